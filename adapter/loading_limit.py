"""A time limit on importing an author's files, so that one which never ends does not hang who loads it.

In a program's main thread a timer raises inside the import. In other threads, where Python has no such way, a process
of its own imports what is new or has changed first; it also notices modules that end their process. What stays out of
reach is a call in C which never gives the interpreter back (a backtracking pattern), in the main thread: there only the
end of the program helps. A module that catches everything for ever goes on too.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from adapter.errors import FunctionsError

LOAD_S = 60.0
"""Seconds that importing a project's functions may take."""
_DONE = 77
_AGAIN_S = 1.0
_GRACE_S = 5.0
_BOOT = (
    "import json, sys\n"
    "sys.path[:] = json.loads(sys.argv[1])\n"
    "from adapter.loading_limit import serve\n"
    "serve(sys.argv[2], float(sys.argv[3]), sys.argv[4])\n"
)


class LoadTooLong(BaseException):
    """An import ran past its limit. Not an Exception, so that an author's `except Exception` does not swallow it."""


@contextlib.contextmanager
def limited(limit_s: float) -> Iterator[None]:
    """Raise LoadTooLong inside the block once it has run for `limit_s` seconds; 0 for no limit.

    Does nothing outside of the main thread. A timer that the program has set goes on afterwards; where it is due
    before, it is left to ring."""
    main = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    due, interval = signal.getitimer(signal.ITIMER_REAL) if main else (0.0, 0.0)
    if not limit_s or not main or 0 < due <= limit_s:
        yield
        return

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise LoadTooLong(f"took longer than {limit_s:g} s")

    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s, _AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before if before is not None else signal.SIG_DFL)
        if due:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, due - (time.monotonic() - began)), interval)


def rehearse(spec: str | Path, limit_s: float) -> None:
    """Import what `spec` names in a process of its own. Raises FunctionsError when that does not end within `limit_s`
    seconds, or ends the process; other errors are left to who imports it then."""
    path = json.dumps([os.path.abspath(entry) for entry in sys.path])
    # Our settings in the environment hold secrets, which are none of a labeling function's business.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HITL_")}
    with tempfile.NamedTemporaryFile(prefix="hitl-load-", suffix=".json") as told:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter with our own arguments
            [sys.executable, "-c", _BOOT, path, str(spec), str(limit_s), told.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(limit_s + _GRACE_S)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        answer = told.read()
    if answer:
        what, where, remedy = json.loads(answer)
        raise FunctionsError(what, where=where, remedy=remedy)
    if code != _DONE:
        ended = f"takes longer than {limit_s:g} s" if code is None else "ends the process that does it"
        raise FunctionsError(
            f"importing it {ended}", where=str(spec), remedy="Move slow or fragile work out of the module's top level."
        )


def serve(spec: str, limit_s: float, told: str) -> None:
    """Be the process of `rehearse`: import, and write down where it was when the time was up."""
    from adapter.loading import load

    try:
        load(Path(spec) if os.path.isabs(spec) else spec, limit_s=limit_s)
    except FunctionsError as error:
        if isinstance(error.__cause__, LoadTooLong):
            Path(told).write_text(json.dumps([error.what, error.where, error.remedy]), encoding="utf-8")
    os._exit(_DONE)
