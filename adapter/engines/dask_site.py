"""What runs on a Dask worker: the same code as on this machine, a `LocalEngine` with one process for each thread.

The functions' sources are unpacked into a private folder of the worker; folder and processes go when the client says
so, when nothing has come for two minutes, or with the worker. Votes, faults and strikes are what `LocalEngine` says.
"""

from __future__ import annotations

import atexit
import contextlib
import pickle
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import adapter
from adapter.engines.local import LocalEngine, Run
from adapter.engines.shipping import Bundle, unpack
from adapter.engines.tally import Batch
from adapter.errors import HitlError
from adapter.labeling import LabelingFunction, discover
from adapter.vocabulary import Control, LabelSpace

IDLE_S = 120.0
"""Seconds without rows after which a job is put away; the next rows open it again."""
MOST_IDLE = 2
"""Jobs without rows that are kept at most: an author who edits makes a new one with each save."""


@dataclass(frozen=True, slots=True)
class Job:
    """Functions to run. functions: (origin, name, version). space: what their controls are found in."""

    bundle: Bundle
    functions: tuple[tuple[str, str, str], ...]
    space: LabelSpace | Control
    timeout_s: float
    strikes: int
    memory_mb: int
    patience_s: float


def identify() -> tuple[str, str]:
    """Return the versions of Python (without the last part) and of this package."""
    return f"{sys.version_info.major}.{sys.version_info.minor}", adapter.__version__


def keep(job: bytes) -> bytes:
    """Hold the pickled job on the cluster, so that it travels to each worker once."""
    return job


def vote(job: bytes, token: str, run: str, left: tuple[int, ...], rows: bytes) -> Batch | tuple[str, str, str]:
    """Vote on pickled blocks of rows. left: strikes that the run has left by what its client knows. Returns a refusal
    (what, where, remedy) when the functions cannot be loaded here."""
    try:
        desk = _desk(job, token)
        try:
            return desk.vote(run, left, pickle.loads(rows))  # noqa: S301 - from our client, through the user's cluster
        finally:
            desk.leave()
    except HitlError as error:
        return error.what, error.where, error.remedy


def forget(tokens: tuple[str, ...]) -> None:
    """Put these jobs away unless somebody is at one; all of them where none is named."""
    with _LOCK:
        gone = [
            _DESKS.pop(token)
            for token, desk in list(_DESKS.items())
            if not tokens or (token in tokens and not desk.users)
        ]
    for desk in gone:
        desk.close()


class _Desk:
    """One job on this worker: its folder, and engines, each with a run, for as many threads as ask."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.job = job
        self.folder = folder
        self.users = 0
        self.used = time.monotonic()
        self.closed = False
        self._functions: list[LabelingFunction] | None = None
        self._idle: list[tuple[LocalEngine, Run]] = []
        self._left: dict[str, list[int]] = {}
        self._lock = threading.Lock()

    def vote(self, run: str, left: tuple[int, ...], cut: list[list[dict[str, Any]]]) -> Batch:
        """Vote on the blocks with an engine that nobody else uses meanwhile."""
        with self._lock:
            known = self._left.setdefault(run, list(left))
            for index, given in enumerate(left):
                known[index] = min(known[index], given)
            if self._functions is None:
                self._functions = self._load()
            seat = self._idle.pop() if self._idle else None
        if seat is None:
            engine = LocalEngine(
                workers=1,
                timeout_s=self.job.timeout_s,
                strikes=self.job.strikes,
                memory_mb=self.job.memory_mb,
                patience_s=self.job.patience_s,
                path=[str(self.folder / name) for name in self.job.bundle.folders],
            )
            seat = engine, engine.start(self._functions, self.job.space)
        try:
            seat[1].left[:] = known
            batch = seat[1].batch(cut)
            with self._lock:
                for index, used in enumerate(batch.strikes):
                    known[index] -= used
            return batch
        finally:
            with self._lock:
                if not self.closed:
                    self._idle.append(seat)
                    seat = None
            if seat is not None:
                seat[0].close()

    def _load(self) -> list[LabelingFunction]:
        there = unpack(self.job.bundle, self.folder)
        found = {
            (origin, function.name): function
            for origin in dict.fromkeys(origin for origin, _, _ in self.job.functions)
            for function in discover(there[origin])
        }
        functions = []
        for origin, name, version in self.job.functions:
            function = found.get((origin, name))
            if function is None or function.version != version:
                raise HitlError(
                    f"labeling function '{name}' is another one on the cluster",
                    where=origin,
                    remedy="Install the same version there, or name the functions by the path of their file or folder.",
                )
            functions.append(function)
        return functions

    def leave(self) -> None:
        """One call is over."""
        with _LOCK:
            self.users -= 1
            self.used = time.monotonic()

    def close(self) -> None:
        """End the processes and remove the folder."""
        with self._lock:
            self.closed = True
            idle, self._idle = self._idle, []
        for engine, _ in idle:
            engine.close()
        shutil.rmtree(self.folder, ignore_errors=True)


_LOCK = threading.Lock()
_DESKS: dict[str, _Desk] = {}
_SWEEPING = threading.Event()


def _desk(job: bytes, token: str) -> _Desk:
    with _LOCK:
        idle = sorted((each.used, name) for name, each in _DESKS.items() if not each.users and name != token)
    if len(idle) > MOST_IDLE:
        forget(tuple(name for _, name in idle[:-MOST_IDLE]))
    with _LOCK:
        desk = _DESKS.get(token)
        if desk is None:
            folder = Path(tempfile.mkdtemp(prefix="hitl-functions-", dir=_home()))
            desk = _DESKS[token] = _Desk(pickle.loads(job), folder)  # noqa: S301 - as above
            if not _SWEEPING.is_set():
                _SWEEPING.set()
                threading.Thread(target=_sweep, name="hitl-sweep", daemon=True).start()
        desk.users += 1
        desk.used = time.monotonic()
        return desk


def _home() -> str | None:
    """The worker's own folder, which Dask clears; the system's where there is none."""
    with contextlib.suppress(ImportError, ValueError):
        from distributed import get_worker

        return str(get_worker().local_directory)
    return None


def _sweep() -> None:
    while True:
        time.sleep(IDLE_S / 10)
        with _LOCK:
            old = [token for token, desk in _DESKS.items() if not desk.users and time.monotonic() - desk.used > IDLE_S]
            if not _DESKS:
                _SWEEPING.clear()
                return
        if old:
            forget(tuple(old))


atexit.register(forget, ())
