"""Several processes under one roof: readable prefixed logs, restarts after growing pauses, an end that leaves nothing.

Each child leads a process group of its own and is ended by that group's id. On Linux the kernel ends a child when its
supervisor dies, even by `kill -9`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

GRACE_S = 15.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""A child that ran this long and then ends is restarted as if for the first time."""
HOPELESS = frozenset({2})
"""Exit codes after which a restart cannot help: wrong settings. The supervisor ends with them."""
LARGEST_LOG = 10 * 1024 * 1024

# Runs before the child's own program: asks the kernel for SIGTERM when the parent dies, then becomes the program.
_STARTER = """
import ctypes, os, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    ctypes.CDLL(None, use_errno=True).prctl(1, 15, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(143)
os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class Child:
    """A process to keep alive. name: prefix of its log lines. argv: program and arguments. env: added to ours; its
    values may be secrets, so they are never logged. needs: it is started when this says so. log: keep `<name>.log`."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    needs: Callable[[], bool] | None = None
    log: bool = True


@dataclass
class _Running:
    child: Child
    process: subprocess.Popen[bytes] | None = None
    reader: threading.Thread | None = None
    started: float = 0.0
    crashes: int = 0
    due: float = 0.0


class Supervisor:
    """Keeps children running until it is stopped.

    write: gets each line, prefixed. logs: folder for `<name>.log`, or None. grace_s: time between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        children: Sequence[Child],
        *,
        write: Callable[[str], None],
        logs: Path | None = None,
        grace_s: float = GRACE_S,
        first_pause_s: float = FIRST_PAUSE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
        hopeless: frozenset[int] = HOPELESS,
    ) -> None:
        self._running = [_Running(child) for child in children]
        self._logs = logs
        self._write = write
        self._grace_s = grace_s
        self._first_pause_s = first_pause_s
        self._longest_pause_s = longest_pause_s
        self._hopeless = hopeless
        self._width = max((len(child.name) for child in children), default=0)
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._lock = threading.Lock()

    def run(self, *, signals: bool = True) -> int:
        """Keep all children running until `stop`, or a hopeless child; return 0 or that child's code.

        signals: also end on SIGTERM and SIGINT; only in the main thread. The kernel ends the children when the thread
        that runs this ends, so the thread must last as long as they shall.
        """
        numbers = (signal.SIGTERM, signal.SIGINT) if signals else ()
        previous = {number: signal.signal(number, self._signalled) for number in numbers}
        code = 0
        try:
            while not self._stop.is_set():
                code = self._look()
                if code:
                    break
                self._stop.wait(0.1)
        finally:
            self._end_all()
            for number, handler in previous.items():
                signal.signal(number, handler)
        return code

    def stop(self) -> None:
        """Let `run` end all children and return. From any thread."""
        self._stop.set()

    def pids(self) -> dict[str, int]:
        """Return the process ids of the children that run now."""
        return {item.child.name: item.process.pid for item in self._running if item.process is not None}

    def say(self, name: str, line: str) -> None:
        """Write one line under a name, as if that child had written it."""
        with self._lock:
            self._write(f"{name:<{self._width}} | {line}")

    def _signalled(self, number: int, frame: object) -> None:
        if self._stop.is_set():
            self._hurry.set()  # asked twice: do not wait for a clean end
        self._stop.set()

    def _look(self) -> int:
        """Start what is due and notice what has ended; return a hopeless exit code, else 0."""
        now = time.monotonic()
        for item in self._running:
            if item.process is None:
                if now >= item.due and (item.child.needs is None or item.child.needs()):
                    self._start(item)
                continue
            code = item.process.poll()
            if code is None:
                continue
            self._reap(item)
            if code in self._hopeless:
                self.say(item.child.name, f"ended with code {code}, which a restart cannot mend; everything ends")
                return code
            item.crashes = 1 if now - item.started >= STEADY_S else item.crashes + 1
            pause = self._pause(item.crashes)
            item.due = now + pause
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
            self.say(item.child.name, f"ended by itself ({how}); it starts again in {pause:.1f} s")
        return 0

    def _pause(self, crashes: int) -> float:
        return float(min(self._longest_pause_s, self._first_pause_s * 2.0 ** min(crashes - 1, 30)))

    def _start(self, item: _Running) -> None:
        starter = [sys.executable, "-c", _STARTER, str(os.getpid())] if os.name == "posix" else []
        try:
            item.process = subprocess.Popen(  # noqa: S603 - our own argument list, no shell
                [*starter, *item.child.argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **item.child.env},
                start_new_session=True,
            )
        except OSError as error:
            item.crashes += 1
            item.due = time.monotonic() + self._pause(item.crashes)
            self.say(item.child.name, f"cannot be started ({error})")
            return
        item.started = time.monotonic()
        assert item.process.stdout is not None
        item.reader = threading.Thread(target=self._read, args=(item.child, item.process.stdout), daemon=True)
        item.reader.start()

    def _read(self, child: Child, stream: IO[bytes]) -> None:
        """Pass a child's lines on, to us and to its log file. A full disk stops the file, never the child."""
        file: IO[bytes] | None = None
        name = child.name
        if self._logs is not None and child.log:
            with contextlib.suppress(OSError):
                file = open_log(self._logs / f"{name}.log")
        with stream:
            for raw in stream:
                if file is not None:
                    try:
                        file.write(raw)
                        file.flush()
                    except OSError as error:
                        self.say(name, f"its log file cannot be written any more ({error})")
                        with contextlib.suppress(OSError):
                            file.close()
                        file = None
                self.say(name, raw.decode("utf-8", "replace").rstrip())
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()

    def _reap(self, item: _Running) -> None:
        """Forget an ended child, and end what it left in its group."""
        if item.process is None:
            return
        _signal_group(item.process.pid, signal.SIGKILL)
        item.process.wait()
        if item.reader is not None:
            item.reader.join(timeout=2)
        item.process = item.reader = None

    def _end_all(self) -> None:
        alive = [item for item in self._running if item.process is not None]
        for item in alive:
            if item.process is not None:
                _signal_group(item.process.pid, signal.SIGTERM, leader_only=True)
        deadline = time.monotonic() + self._grace_s
        while time.monotonic() < deadline and not self._hurry.is_set():
            if all(item.process is None or item.process.poll() is not None for item in alive):
                break
            time.sleep(0.05)
        for item in alive:
            if item.process is not None and item.process.poll() is None:
                self.say(item.child.name, "did not end in time and is killed")
            self._reap(item)


def open_log(path: Path) -> IO[bytes]:
    """Open a log file for appending; one that has grown large is set aside as `<name>.1` first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def _signal_group(pid: int, number: int, *, leader_only: bool = False) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if leader_only:
            os.kill(pid, number)
        else:
            os.killpg(pid, number)
