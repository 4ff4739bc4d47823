"""One worker process as its parent sees it: started, fed, watched, killed. POSIX only.

A plain `subprocess` rather than `multiprocessing`: nothing of the parent's main module is run again in the child, and
no helper process stays behind.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.engines.worker import PLACE, Order
from adapter.errors import DiskFull, FunctionsError
from adapter.vocabulary import JsonObject

CELLS = 1 << 20
"""Votes that fit into the memory shared with one worker."""

_BOOT = (
    "import json, sys\n"
    "sys.path[:] = json.loads(sys.argv[1])\n"
    "from adapter.engines.worker import main\n"
    "main(*map(int, sys.argv[2:]))\n"
)


class WorkerDied(Exception):
    """The worker process ended by itself."""


class Worker:
    """A worker process. Its pipes carry orders and faults, its shared memory the place of the call and the votes."""

    def __init__(self, memory_mb: int) -> None:
        with tempfile.TemporaryFile(prefix="hitl-votes-") as shared:
            try:
                shared.write(bytes(PLACE + 2 * CELLS))  # a full disk shows here, not as a crash later
                shared.flush()
            except OSError as error:
                raise DiskFull(
                    f"there is no room for a temporary file ({error.strerror})",
                    where=tempfile.gettempdir(),
                    remedy="Free space there, or point TMPDIR elsewhere.",
                ) from error
            self._map = mmap.mmap(shared.fileno(), PLACE + 2 * CELLS)
            child_in, own_out = os.pipe()
            own_in, child_out = os.pipe()
            path = json.dumps([os.path.abspath(entry) for entry in sys.path])
            fds = (child_in, child_out, shared.fileno())
            # Our settings in the environment hold secrets, which are none of a labeling function's business.
            environment = {name: value for name, value in os.environ.items() if not name.startswith("HITL_")}
            try:
                self.process = subprocess.Popen(  # noqa: S603 - our own interpreter with our own arguments
                    [sys.executable, "-c", _BOOT, path, *map(str, fds), str(memory_mb)],
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
        self.inbox, self.outbox = Connection(own_in, writable=False), Connection(own_out, readable=False)
        self.place: npt.NDArray[np.int64] = np.frombuffer(self._map, np.int64, 2)
        self.votes: npt.NDArray[np.int16] = np.frombuffer(self._map, np.int16, CELLS, PLACE)
        self.orders: tuple[Order, ...] = ()
        self._seen = (-1, -1)
        self._seen_at = 0.0

    def load(self, orders: tuple[Order, ...], patience_s: float) -> None:
        """Have it load these functions unless it has them. Raises FunctionsError, also when it dies or hangs."""
        if orders == self.orders:
            return
        self.orders = ()
        try:
            self.send(("load", orders))
            answer = self.receive() if self.inbox.poll(patience_s) else None
        except WorkerDied:
            answer = None
        if answer is None:
            self.kill()
            origins = ", ".join(dict.fromkeys(order.origin for order in orders))
            raise FunctionsError(
                f"the labeling functions did not load in a worker process within {patience_s:g} s",
                where=origins,
                remedy="Move slow or fragile work out of the module's top level.",
            )
        if answer[0] == "refused":
            raise FunctionsError(answer[1], where=answer[2], remedy=answer[3])
        self.orders = orders

    def begin(
        self,
        rows: Sequence[JsonObject],
        votes: npt.NDArray[np.int16],
        start: tuple[int, int],
        strikes: Sequence[int],
    ) -> None:
        """Start on a chunk: votes (m, n) as known so far, to be filled from the cell `start` on. Raises WorkerDied."""
        self.votes[: votes.size] = votes.reshape(-1)
        self.place[:] = start
        self._seen, self._seen_at = start, time.monotonic()
        self.send(("chunk", rows, start, list(strikes)))

    def stuck_for(self) -> float:
        """Return the seconds since the call in progress was first seen."""
        now = time.monotonic()
        cell = self.cell()
        if cell != self._seen:
            self._seen, self._seen_at = cell, now
        return now - self._seen_at

    def cell(self) -> tuple[int, int]:
        """Return function index and row of the call in progress."""
        return int(self.place[0]), int(self.place[1])

    def filled(self, like: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Return a copy of the votes (m, n) in shared memory, in the shape of `like`."""
        return np.array(self.votes[: like.size]).reshape(like.shape)

    def send(self, message: tuple[Any, ...]) -> None:
        """Send it an order. Raises WorkerDied."""
        try:
            self.outbox.send(message)
        except (BrokenPipeError, ConnectionError, OSError) as error:
            raise WorkerDied from error

    def receive(self) -> tuple[Any, ...]:
        """Return its next message. Raises WorkerDied."""
        try:
            message: tuple[Any, ...] = self.inbox.recv()
        except (EOFError, ConnectionError, OSError) as error:
            raise WorkerDied from error
        return message

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
        if self.process.returncode is None:  # not reaped yet, so the group's number cannot be someone else's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.inbox.close()
        self.outbox.close()
