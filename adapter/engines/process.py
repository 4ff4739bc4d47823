"""One worker process as its parent sees it: started, fed, watched, killed. POSIX only.

A plain `subprocess` rather than `multiprocessing`: nothing of the parent's main module is run again in the child, and
no helper process stays behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.engines.orders import PLACE, Cells, Order
from adapter.errors import DiskFull
from adapter.ports import Floats

CELLS = 1 << 20
"""Votes that fit into the memory shared with one worker."""
_BYTES = PLACE + (2 + 4) * CELLS
_LONGEST_LINE = 1 << 20
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PIPE_BYTES = 1 << 20
_DEAF_S = 20.0
"""Seconds after which a worker that does not read what it is sent is given up."""

_BOOT = (
    "import json, sys\n"
    "sys.path[:] = json.loads(sys.argv[1])\n"
    "from adapter.engines.worker import main\n"
    "main(*map(int, sys.argv[2:]))\n"
)


class WorkerDied(Exception):
    """The worker process ended by itself."""


class Worker:
    """A worker process. Its pipes carry orders and faults, its shared memory the place of the call, the votes and the
    confidences. path: folders to import from besides our own."""

    def __init__(self, memory_mb: int, path: Sequence[str] = ()) -> None:
        with tempfile.TemporaryFile(prefix="hitl-votes-") as shared:
            try:
                shared.write(bytes(_BYTES))  # a full disk shows here, not as a crash later
                shared.flush()
            except OSError as error:
                raise DiskFull(
                    f"there is no room for a temporary file ({error.strerror})",
                    where=tempfile.gettempdir(),
                    remedy="Free space there, or point TMPDIR elsewhere.",
                ) from error
            self._map = mmap.mmap(shared.fileno(), _BYTES)
            child_in, own_out = os.pipe()
            own_in, child_out = os.pipe()
            folders = json.dumps([os.path.abspath(entry) for entry in (*sys.path, *path)])
            fds = (child_in, child_out, shared.fileno())
            # Our settings in the environment hold secrets, which are none of a labeling function's business.
            # There is a worker for each core, so an author's numpy or torch shall not take them all.
            environment = dict.fromkeys(_THREADS, "1")
            environment |= {name: value for name, value in os.environ.items() if not name.startswith("HITL_")}
            try:
                self.process = subprocess.Popen(  # noqa: S603 - our own interpreter with our own arguments
                    [sys.executable, "-c", _BOOT, folders, *map(str, (*fds, memory_mb, CELLS))],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    pass_fds=fds,
                    start_new_session=True,
                )
            except BaseException:
                os.close(own_out)
                os.close(own_in)
                raise
            finally:
                os.close(child_in)
                os.close(child_out)
        with contextlib.suppress(
            OSError, AttributeError
        ):  # a chunk of rows then goes in at once, where that is allowed
            fcntl.fcntl(own_out, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(own_in, False)
        os.set_blocking(own_out, False)
        self._in, self._out = own_in, own_out
        self._heard = b""
        self.place: npt.NDArray[np.int64] = np.frombuffer(self._map, np.int64, 3)
        self.votes: npt.NDArray[np.int16] = np.frombuffer(self._map, np.int16, CELLS, PLACE)
        self.sure: Floats = np.frombuffer(self._map, np.float32, CELLS, PLACE + 2 * CELLS)
        self.orders: tuple[Order, ...] = ()
        self.loading_since: float | None = None
        self._seen = (-1, -1, -1)
        self._seen_at = 0.0

    def fileno(self) -> int:
        """Return what to wait on for messages."""
        return self._in

    def load(self, orders: tuple[Order, ...]) -> None:
        """Order it to load these functions; it answers `loaded` or `refused`. Raises WorkerDied."""
        self.orders = ()
        self.send(pickle.dumps(("load", orders)))
        self.orders = orders
        self.loading_since = time.monotonic()

    def begin(self, blob: bytes, votes: npt.NDArray[np.int16], cells: Cells) -> None:
        """Start on a chunk of pickled rows: votes (m, n) as known so far, to be filled as `cells` says. Raises
        WorkerDied."""
        self.votes[: votes.size] = votes.reshape(-1)
        self.sure[: votes.size] = 1
        self.place[:] = (*cells.start, 0)
        self.send(pickle.dumps(("chunk", cells)), blob)
        self._seen, self._seen_at = (*cells.start, 0), time.monotonic()

    def stuck_for(self) -> float:
        """Return the seconds since the call in progress was first seen."""
        now = time.monotonic()
        seen = (*self.cell(), self.way())
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        return now - self._seen_at

    def cell(self) -> tuple[int, int]:
        """Return function index and row of the call in progress."""
        return int(self.place[0]), int(self.place[1])

    def way(self) -> int:
        """Return the way of the call in progress, one of those in `adapter.engines.orders`."""
        return int(self.place[2])

    def filled(self, like: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Return a copy of the votes (m, n) in shared memory, in the shape of `like`."""
        return np.array(self.votes[: like.size]).reshape(like.shape)

    def confidences(self, like: npt.NDArray[np.int16]) -> Floats:
        """Return the confidences (m, n) in shared memory, in the shape of `like`; they change with the next chunk."""
        return self.sure[: like.size].reshape(like.shape)

    def send(self, *frames: bytes) -> None:
        """Send it orders. Raises WorkerDied, also when it does not read."""
        for frame in frames:
            left = memoryview(struct.pack("!i", len(frame)) + frame)
            while left:
                try:
                    left = left[os.write(self._out, left) :]
                except BlockingIOError:
                    poll = select.poll()
                    poll.register(self._out, select.POLLOUT)
                    if not poll.poll(1000 * _DEAF_S):
                        raise WorkerDied from None
                except OSError as error:
                    raise WorkerDied from error

    def receive(self) -> list[list[Any]]:
        """Return the messages that are there, without waiting. Raises WorkerDied."""
        ended = False
        while not ended:
            try:
                more = os.read(self._in, 1 << 16)
            except BlockingIOError:
                break
            except OSError as error:
                raise WorkerDied from error
            self._heard += more
            ended = not more or len(self._heard) > _LONGEST_LINE
        *lines, self._heard = self._heard.split(b"\n")
        messages = [message for line in lines if (message := _message(line)) is not None]
        if ended and not messages:
            raise WorkerDied
        return messages

    def end_of(self) -> str:
        """Say how the process ended, once its pipe is closed."""
        until = time.monotonic() + 1.0
        while time.monotonic() < until and not os.waitid(
            os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
        ):
            time.sleep(0.005)
        self.kill()
        code = self.process.returncode
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def kill(self) -> None:
        """End the process, and what it started, now; free its pipes. Does nothing the second time."""
        if self._in < 0:
            return
        if self.process.returncode is None:  # not reaped yet, so the group's number cannot be someone else's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._in)
        os.close(self._out)
        self._in = self._out = -1


_SHAPES: dict[str, tuple[type, ...]] = {
    "loaded": (),
    "refused": (str, str, str),
    "done": (list,),
    "fault": (int, int, str),
    "strike": (int, int, str),
    "memory": (int, int, str),
    "left": (int, str),
    "whole": (int, str),
    "rowwise": (int,),
}


def _message(line: bytes) -> list[Any] | None:
    """Return what one line says; None for what an author's code wrote there, which is not listened to."""
    try:
        message: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    shape = _SHAPES.get(message[0]) if isinstance(message, list) and message and isinstance(message[0], str) else None
    if shape is None or tuple(map(type, message[1:])) != shape:
        return None
    if message[0] == "done" and not all(type(seconds) is float for seconds in message[1]):
        return None
    return list(message)
