"""The parent's side of a training: start the child, wait for it, end it if need be, read what it left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from adapter.errors import BackendError
from adapter.training.job import TrainJob
from adapter.training.result import (
    ERROR,
    LOG,
    PROGRESS,
    RESULT,
    Progress,
    TrainResult,
    load_result,
    read_progress,
)

POLL_S = 0.1
GRACE_S = 2.0
SECRET_PREFIX = "HITL_"  # noqa: S105 - the prefix of our settings in the environment, which hold secrets
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS")


def run(
    job: TrainJob,
    folder: Path,
    timeout_s: float,
    progress: Callable[[Progress], None] | None = None,
    *,
    stop: threading.Event | None = None,
) -> TrainResult:
    """Train in a child process and return what it left in `folder`, which is made, and emptied of an earlier run.

    The child runs at low priority and leaves a core free. progress: called whenever there is news; others may read it
    with `read_progress(folder)`. stop: set it to end the training. Raises BackendError with the child's last message
    if it fails, is killed, is stopped, or takes longer than timeout_s; nothing in the folder is a result then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in (RESULT, f"{RESULT}.partial"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (PROGRESS, ERROR):
        (folder / name).unlink(missing_ok=True)
    job.save(folder)
    started = time.monotonic()
    with (folder / LOG).open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", "adapter.training", str(folder.resolve())],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(),
            start_new_session=True,
        )
        try:
            _tell_secrets(child, job)
            status = _wait(child, folder, started + timeout_s, progress, stop)
        finally:
            _end(child)
    seconds = time.monotonic() - started
    if status != 0:
        raise _error(folder, status, stop, seconds, timeout_s)
    try:
        return load_result(folder, seconds)
    except (OSError, ValueError, KeyError) as error:
        raise BackendError(
            f"the training process left no result: {error}", where=str(folder), remedy="Train again."
        ) from error


def _tell_secrets(child: subprocess.Popen[bytes], job: TrainJob) -> None:
    """Tell the child what must stand in no file, no argument and no environment: one line of JSON on its input."""
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError), child.stdin as pipe:
        pipe.write(json.dumps(job.secrets).encode() + b"\n")


def _environment() -> dict[str, str]:
    """Return the child's environment: this one's import path, fewer threads than cores, and none of our settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(SECRET_PREFIX)}
    environment["PYTHONPATH"] = os.pathsep.join(str(Path(entry or ".").resolve()) for entry in sys.path)
    environment["TOKENIZERS_PARALLELISM"] = "false"
    environment["HF_HUB_OFFLINE"] = "1"
    threads = str(max(1, (os.cpu_count() or 2) - 1))
    for name in THREADS:
        environment[name] = threads
    return environment


def _wait(
    child: subprocess.Popen[bytes],
    folder: Path,
    deadline: float,
    progress: Callable[[Progress], None] | None,
    stop: threading.Event | None,
) -> int | None:
    """Return the child's exit status; None if it has to be ended."""
    told: Progress | None = None
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(POLL_S)
        if time.monotonic() > deadline or (stop is not None and stop.is_set()):
            return None
        if progress is not None:
            now = read_progress(folder)
            if now is not None and now != told:
                told = now
                progress(now)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and what it started."""
    for number, patience in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)
            if number is signal.SIGTERM:
                continue  # the child is gone; what it may have started goes with the second signal


def _error(
    folder: Path, status: int | None, stop: threading.Event | None, seconds: float, timeout_s: float
) -> BackendError:
    where = "training"
    if status is None and stop is not None and stop.is_set():
        return BackendError("the training was stopped", where=where, remedy="The next one starts from the same labels.")
    if status is None:
        return BackendError(
            f"the training took longer than {timeout_s:g} s",
            where=where,
            remedy="Raise `train.timeout_s`, or choose a lighter backend.",
        )
    try:
        about = json.loads((folder / ERROR).read_text(encoding="utf-8"))
        return BackendError(str(about["what"]), where=str(about["where"]) or where, remedy=str(about["remedy"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
        why, remedy = f"was killed by {name} after {seconds:.0f} s", "SIGKILL often means that memory ran out."
    else:
        why, remedy = f"ended with status {status}", "Its log follows in the message."
    last = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    return BackendError(f"the training process {why}{': ' + last[0] if last else ''}", where=where, remedy=remedy)
