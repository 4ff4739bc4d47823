"""Runs labeling functions on many tasks in this machine's processes; a fault stays in the cell it happened in."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Sequence

from adapter.engines.base import ABSTAIN, FAULT, Applied, VoteFault
from adapter.engines.binding import Bound, bind
from adapter.engines.blocks import blocks
from adapter.engines.crew import Crew
from adapter.engines.process import Worker
from adapter.engines.tally import Batch, together
from adapter.labeling import LabelingFunction
from adapter.vocabulary import Control, JsonObject, LabelSpace

__all__ = ["ABSTAIN", "FAULT", "Applied", "LocalEngine", "Run", "VoteFault"]


class LocalEngine:
    """A pool of worker processes, started when first needed and kept until `close` or the end of the program. Declared
    functions are computed here, vectorized, while the workers call the others.

    workers: most processes at one time; None: one for each core this process may use, at most 8. timeout_s: for one
    call of one function on one task, unless the function sets its own. strikes: time-outs and crashes after which a
    function is given up for the rest of a run. memory_mb: most memory of one worker; beyond it a call gets MemoryError;
    0: no limit. patience_s: for loading the functions in a worker, for making a function's resources, and for its first
    call of many rows. path: folders that workers import from besides our own. Safe to use from several threads, one at
    a time runs.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        timeout_s: float = 5.0,
        strikes: int = 3,
        memory_mb: int = 4096,
        patience_s: float = 60.0,
        path: Sequence[str] = (),
    ) -> None:
        self.workers = max(1, workers if workers is not None else min(8, cores()))
        self.timeout_s = timeout_s
        self.strikes = max(1, strikes)
        self.memory_mb = memory_mb
        self.patience_s = patience_s
        self.path = tuple(path)
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
        return Run(self, bind(functions, space, self.timeout_s, self.patience_s))

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
            self._pool.append(Worker(self.memory_mb, self.path))
        return self._pool[index]

    def discard(self, worker: Worker) -> None:
        """Kill a worker and take it out of the pool."""
        worker.kill()
        if worker in self._pool:
            self._pool.remove(worker)


class Run:
    """Functions bound to a label space, applied to batch after batch. A function that has used up its strikes stays
    stopped: it is not called any more and its cells are faults. left: strikes that each function may still have."""

    def __init__(self, engine: LocalEngine, bound: Bound) -> None:
        self.engine = engine
        self.bound = bound
        self.left = [engine.strikes] * len(bound.orders)
        self._rowwise: set[int] = set()

    @property
    def stopped(self) -> frozenset[str]:
        """Names of the functions that are given up."""
        return frozenset(order.name for order, left in zip(self.bound.orders, self.left, strict=True) if left <= 0)

    def apply(self, rows: Iterable[JsonObject]) -> Applied:
        """Vote on these rows; see `LocalEngine.apply`."""
        before = [left <= 0 for left in self.left]
        count = len(self.bound.orders)
        batch = self.batch(blocks(rows, count, declared=self.bound.declared))
        stopped = [left <= 0 for left in self.left]
        return together([batch], self.bound.named, stopped=stopped, before=before, strikes=self.engine.strikes)

    def batch(self, cut: Iterable[list[dict[str, object]]]) -> Batch:
        """Vote on rows that are cut into blocks already. Raises FunctionsError as `LocalEngine.apply` does."""
        with self.engine.lock:
            before = list(self.left)
            crew = Crew(self.engine, self.bound, self.left, self._rowwise)
            votes, sure = crew.work(cut)
            strikes = [was - now for was, now in zip(before, self.left, strict=True)]
            return Batch(votes, sure, crew.notes, crew.seconds, strikes)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _kill_all(pool: list[Worker]) -> None:
    while pool:
        pool.pop().kill()
