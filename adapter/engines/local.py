"""Runs labeling functions on many tasks in this machine's processes; a fault stays in the cell it happened in."""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from adapter.engines.base import ABSTAIN, FAULT, Applied, VoteFault, Votes
from adapter.engines.process import CELLS, Worker, WorkerDied
from adapter.engines.worker import FAULTS_TOLD, Order
from adapter.errors import FunctionsError
from adapter.labeling import LabelingFunction, control_of
from adapter.vocabulary import Control, JsonObject, LabelSpace

__all__ = ["ABSTAIN", "FAULT", "Applied", "LocalEngine", "Run", "VoteFault"]

_CHUNK_ROWS = 1000
_CHUNK_CHARACTERS = 4_000_000
_LOAD_S = 60.0
_MOST_NOTED = 10_000


@dataclass(slots=True)
class _Chunk:
    first: int
    rows: list[dict[str, Any]]
    votes: Votes  # (m, n)
    start: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class _Tally:
    """What happened during one `Run.apply`. faults: row, function, message; a bounded number for each function."""

    seconds: list[float]
    faults: list[tuple[int, int, str]] = field(default_factory=list)
    noted: Counter[int] = field(default_factory=Counter)

    def note(self, row: int, index: int, message: str) -> None:
        self.noted[index] += 1
        if self.noted[index] <= _MOST_NOTED:
            self.faults.append((row, index, message))


class LocalEngine:
    """A pool of worker processes, started when first needed and kept until `close` or the end of the program.

    workers: most processes at one time; None: one for each core this process may use, at most 8. timeout_s: for one
    call of one function on one task, unless the function sets its own. strikes: time-outs and crashes after which a
    function is given up for the rest of a run. memory_mb: most memory of one worker; beyond it a call gets MemoryError;
    0: no limit. Safe to use from several threads, one at a time runs.
    """

    def __init__(
        self, *, workers: int | None = None, timeout_s: float = 5.0, strikes: int = 3, memory_mb: int = 4096
    ) -> None:
        self.workers = max(1, workers if workers is not None else min(8, _cores()))
        self.timeout_s = timeout_s
        self.strikes = max(1, strikes)
        self.memory_mb = memory_mb
        self.lock = threading.RLock()
        self._pool: list[Worker] = []
        self._finalizer = weakref.finalize(self, _kill_all, self._pool)

    def apply(
        self, functions: Sequence[LabelingFunction], rows: Iterable[JsonObject], space: LabelSpace | Control
    ) -> Applied:
        """Call every function on every row (a task's data); rows may be a generator, and are not held.

        space: the label space, in which each function finds its control, or the one control that all vote on.
        Raises FunctionsError when a function names a control that `space` lacks, was not loaded by `discover`, or
        cannot be loaded in a worker. What goes wrong inside a call is a fault in the answer, never raised.
        """
        return self.start(functions, space).apply(rows)

    def start(self, functions: Sequence[LabelingFunction], space: LabelSpace | Control) -> Run:
        """Begin a run over several batches of rows; strikes count across them. Raises as `apply` does."""
        return Run(self, functions, space)

    def close(self) -> None:
        """End all workers. The engine may be used again and then starts new ones."""
        with self.lock:
            _kill_all(self._pool)

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def worker(self, index: int) -> Worker:
        """Return the pool's worker number `index`, started if it is not there."""
        while len(self._pool) <= index:
            self._pool.append(Worker(self.memory_mb))
        return self._pool[index]

    def discard(self, worker: Worker) -> None:
        """Kill a worker and take it out of the pool."""
        worker.kill()
        if worker in self._pool:
            self._pool.remove(worker)


class Run:
    """Functions bound to a label space, applied to batch after batch. A function that has used up its strikes stays
    stopped: it is not called any more and its cells are faults."""

    def __init__(self, engine: LocalEngine, functions: Sequence[LabelingFunction], space: LabelSpace | Control) -> None:
        self.engine = engine
        self.functions = tuple(functions)
        self.orders = tuple(_order(function, space, engine.timeout_s) for function in functions)
        self.left = [engine.strikes] * len(self.orders)

    @property
    def stopped(self) -> frozenset[str]:
        """Names of the functions that are given up."""
        return frozenset(order.name for order, left in zip(self.orders, self.left, strict=True) if left <= 0)

    def apply(self, rows: Iterable[JsonObject]) -> Applied:
        """Vote on these rows; see `LocalEngine.apply`."""
        with self.engine.lock:
            stopped_before = self.stopped
            tally = _Tally(seconds=[0.0] * len(self.orders))
            parts = []
            if self.orders:
                done: dict[int, Votes] = {}
                for chunk in self._chunks(rows, tally):
                    done[chunk.first] = chunk.votes
                parts = [done[first].T for first in sorted(done)]
            else:
                parts = [np.empty((sum(1 for _ in rows), 0), dtype=np.int16)]
            votes = np.concatenate(parts) if parts else np.empty((0, len(self.orders)), dtype=np.int16)
            faults = self._faults(votes, tally, stopped_before)
            names = [order.name for order in self.orders]
            return Applied(votes, faults, dict(zip(names, tally.seconds, strict=True)), self.stopped)

    def _chunks(self, rows: Iterable[JsonObject], tally: _Tally) -> Iterator[_Chunk]:
        """Run chunks on the workers and yield each when it is whole, in any order."""
        source = self._split(rows)
        waiting: deque[_Chunk] = deque()
        busy: dict[Connection, tuple[Worker, _Chunk]] = {}
        try:
            while True:
                while len(busy) < self.engine.workers and (chunk := _next(waiting, source)) is not None:
                    self._dispatch(chunk, busy, waiting)
                if not busy:
                    return
                for inbox in wait(list(busy), timeout=self._patience()):
                    worker, chunk = busy[inbox]  # type: ignore[index]
                    try:
                        message = worker.receive()
                    except WorkerDied:
                        del busy[worker.inbox]
                        cell, filled = worker.cell(), worker.filled(chunk.votes)
                        self._lost(cell, filled, chunk, waiting, tally, f"the worker process {worker.end_of()}")
                        self.engine.discard(worker)
                        continue
                    if message[0] == "done":
                        del busy[worker.inbox]
                        chunk.votes = worker.filled(chunk.votes)
                        for index, seconds in enumerate(message[1]):
                            tally.seconds[index] += seconds
                        yield chunk
                    else:
                        kind, index, row, why = message
                        tally.note(chunk.first + row, index, why)
                        if kind == "strike":
                            self.left[index] -= 1
                self._end_stuck(busy, waiting, tally)
        finally:  # an error, Ctrl-C or a caller who had enough: no worker goes on in the background
            for worker, _ in busy.values():
                self.engine.discard(worker)

    def _dispatch(self, chunk: _Chunk, busy: dict[Connection, tuple[Worker, _Chunk]], waiting: deque[_Chunk]) -> None:
        running = {id(worker) for worker, _ in busy.values()}
        index = 0
        while id(worker := self.engine.worker(index)) in running:
            index += 1
        try:
            worker.load(self.orders, _LOAD_S)
            worker.begin(chunk.rows, chunk.votes, chunk.start, self.left)
        except WorkerDied:  # it died while idle: a new one takes the chunk
            self.engine.discard(worker)
            waiting.appendleft(chunk)
        except BaseException:
            self.engine.discard(worker)
            raise
        else:
            busy[worker.inbox] = (worker, chunk)

    def _end_stuck(self, busy: dict[Connection, tuple[Worker, _Chunk]], waiting: deque[_Chunk], tally: _Tally) -> None:
        for worker, chunk in list(busy.values()):
            index = worker.cell()[0]
            limit = self.orders[index].timeout_s
            if worker.stuck_for() > 1.5 * limit + 1.0:
                del busy[worker.inbox]
                cell, filled = worker.cell(), worker.filled(chunk.votes)
                self.engine.discard(worker)
                self._lost(cell, filled, chunk, waiting, tally, f"took longer than {limit:g} s and had to be killed")

    def _lost(
        self,
        cell: tuple[int, int],
        filled: Votes,
        chunk: _Chunk,
        waiting: deque[_Chunk],
        tally: _Tally,
        why: str,
    ) -> None:
        """A worker is gone: the call in progress is the fault, the rest of its chunk goes on elsewhere."""
        index, row = cell
        row = min(row, len(chunk.rows) - 1)
        chunk.votes = filled
        chunk.votes[index, row] = FAULT
        chunk.start = (index, row + 1)
        tally.note(chunk.first + row, index, why)
        self.left[index] -= 1
        waiting.appendleft(chunk)

    def _split(self, rows: Iterable[JsonObject]) -> Iterator[_Chunk]:
        most = max(1, min(_CHUNK_ROWS, CELLS // len(self.orders)))
        held: list[dict[str, Any]] = []
        first, characters = 0, 0
        for row in rows:
            data = row if type(row) is dict else dict(row)
            held.append(data)
            characters += sum(len(value) for value in data.values() if type(value) is str)
            if len(held) >= most or characters >= _CHUNK_CHARACTERS:
                yield self._chunk(first, held)
                first += len(held)
                held, characters = [], 0
        if held:
            yield self._chunk(first, held)

    def _chunk(self, first: int, rows: list[dict[str, Any]]) -> _Chunk:
        return _Chunk(first, rows, np.full((len(self.orders), len(rows)), FAULT, dtype=np.int16))

    def _patience(self) -> float:
        return min(0.5, min(order.timeout_s for order in self.orders) / 4)

    def _faults(self, votes: Votes, tally: _Tally, stopped_before: frozenset[str]) -> tuple[VoteFault, ...]:
        told = [0] * len(self.orders)
        faults = []
        for row, index, message in sorted(tally.faults):
            if told[index] < FAULTS_TOLD:
                told[index] += 1
                faults.append(VoteFault(self.orders[index].name, self.orders[index].version, row, message))
        for index, order in enumerate(self.orders):
            more = int((votes[:, index] == FAULT).sum()) - told[index]
            if order.name in self.stopped and order.name not in stopped_before:
                why = f"stopped: it hung or crashed {self.engine.strikes} times; {more} more tasks have no vote of it"
                faults.append(VoteFault(order.name, order.version, None, why))
            elif more > 0 and order.name not in stopped_before:
                faults.append(VoteFault(order.name, order.version, None, f"{more} more tasks failed"))
        return tuple(faults)


def _order(function: LabelingFunction, space: LabelSpace | Control, timeout_s: float) -> Order:
    control = space if isinstance(space, Control) else control_of(function, space)
    if not function.origin:
        raise FunctionsError(
            f"labeling function '{function.name}' was not loaded by `discover`, so no worker can load it",
            remedy="Put it into a file and pass what `adapter.labeling.discover` returns.",
        )
    limit = function.timeout_s if function.timeout_s is not None else timeout_s
    return Order(function.origin, function.name, function.version, control.name, control.labels, limit)


def _next(waiting: deque[_Chunk], source: Iterator[_Chunk]) -> _Chunk | None:
    return waiting.popleft() if waiting else next(source, None)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _kill_all(pool: list[Worker]) -> None:
    while pool:
        pool.pop().kill()
