"""The workers of one engine at work on the blocks of one call: dealt out, watched, and done elsewhere when one is
lost."""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adapter.engines.base import FAULT, Votes
from adapter.engines.binding import Bound
from adapter.engines.orders import BATCH, FIRST_BATCH, PREPARE, Cells
from adapter.engines.process import Worker, WorkerDied
from adapter.engines.tally import Notes
from adapter.errors import FunctionsError
from adapter.ports import Floats

if TYPE_CHECKING:
    from adapter.engines.local import LocalEngine

_MOST_PATIENCE_S = 0.5


@dataclass(slots=True)
class _Block:
    """votes: (n, m). sure: function to (n,). first: number of its first row in the call."""

    first: int
    votes: Votes
    sure: dict[int, Floats]


@dataclass(slots=True)
class _Chunk:
    """Rows of a block that a worker is to call functions on. at: their places in the block, None for all. votes: (m, n)
    as known so far. asked: by function, the rows to call it on; None: all. retried: cell that was already tried again
    in a new worker."""

    block: _Block
    blob: bytes
    at: npt.NDArray[np.intp] | None
    votes: Votes
    asked: tuple[tuple[int, ...] | None, ...]
    sure: set[int]
    start: tuple[int, int] = (0, 0)
    retried: tuple[int, int] | None = None

    def row(self, row: int) -> int:
        """Return the number of a row in the call."""
        return self.block.first + (row if self.at is None else int(self.at[row]))


class Crew:
    """One call of `Run.batch`. left: strikes of each function, counted down here. rowwise: functions whose call of many
    rows fails, added to here."""

    def __init__(self, engine: LocalEngine, bound: Bound, left: list[int], rowwise: set[int]) -> None:
        self.engine = engine
        self.bound = bound
        self.left = left
        self.rowwise = rowwise
        self.notes = Notes()
        self.seconds = [0.0] * len(bound.orders)
        self._waiting: deque[_Chunk] = deque()
        self._busy: dict[Worker, _Chunk] = {}
        self._blocks: list[_Block] = []

    def work(self, cut: Iterable[list[dict[str, Any]]]) -> tuple[Votes, dict[int, Floats]]:
        """Vote on the blocks; return votes (n, m) and, by function, confidences (n,)."""
        count = len(self.bound.orders)
        if count:
            self._run(self._chunks(cut))
        else:
            self._blocks = [_Block(0, np.empty((len(rows), 0), dtype=np.int16), {}) for rows in cut]
        votes = np.concatenate([np.empty((0, count), dtype=np.int16), *(block.votes for block in self._blocks)])
        sure: dict[int, Floats] = {}
        for block in self._blocks:
            for index, part in block.sure.items():
                whole = sure.setdefault(index, np.ones(len(votes), dtype=np.float32))
                whole[block.first : block.first + len(part)] = part
        return votes, sure

    def _chunks(self, cut: Iterable[list[dict[str, Any]]]) -> Iterator[_Chunk]:
        """Compute what is vectorized, block by block, and yield what is left to the workers."""
        count, able = len(self.bound.orders), frozenset(self.bound.able)
        first = 0
        for rows in cut:
            block = _Block(first, np.full((len(rows), count), FAULT, dtype=np.int16), {})
            self._blocks.append(block)
            block.sure, rest = self.bound.vectorized(rows, block.votes, self.notes, first, self.seconds)
            first += len(rows)
            at: npt.NDArray[np.intp] | None = None
            asked: list[tuple[int, ...] | None]
            if len(able) < count:
                asked = [
                    tuple(rest.get(index, np.empty(0, int)).tolist()) if index in able else None
                    for index in range(count)
                ]
            elif rest:
                at = np.unique(np.concatenate(list(rest.values())))
                places = {index: np.searchsorted(at, found) for index, found in rest.items()}
                asked = [tuple(places[index].tolist()) if index in places else () for index in range(count)]
                rows = [rows[row] for row in at]
            else:
                continue
            votes = np.full((count, len(rows)), FAULT, dtype=np.int16)
            yield _Chunk(block, pickle.dumps(rows, pickle.HIGHEST_PROTOCOL), at, votes, tuple(asked), set())

    def _run(self, source: Iterator[_Chunk]) -> None:
        """Have the workers do all chunks, in any order."""
        try:
            while True:
                while len(self._busy) < self.engine.workers and (chunk := self._next(source)) is not None:
                    self._deal(chunk)
                if not self._busy:
                    return
                listed: list[Any] = list(self._busy)  # each is waited for by its file number
                ready: Any
                for ready in wait(listed, timeout=self._patience()):
                    if ready in self._busy:
                        self._hear(ready)
                self._end_stuck()
        finally:  # an error, Ctrl-C or a caller who had enough: no worker goes on in the background
            for worker in list(self._busy):
                self.engine.discard(worker)

    def _next(self, source: Iterator[_Chunk]) -> _Chunk | None:
        return self._waiting.popleft() if self._waiting else next(source, None)

    def _deal(self, chunk: _Chunk) -> None:
        index = 0
        while (worker := self.engine.worker(index)) in self._busy:
            index += 1
        self._busy[worker] = chunk
        try:
            if worker.orders != self.bound.orders:
                worker.load(self.bound.orders)  # it begins once it has loaded them; others may be dealt to meanwhile
            else:
                self._begin(worker, chunk)
        except WorkerDied:  # it died while idle: a new one takes the chunk
            self.engine.discard(worker)
            del self._busy[worker]
            self._waiting.appendleft(chunk)

    def _begin(self, worker: Worker, chunk: _Chunk) -> None:
        cells = Cells(chunk.start, chunk.asked, tuple(self.left), frozenset(self.rowwise))
        worker.begin(chunk.blob, chunk.votes, cells)

    def _hear(self, worker: Worker) -> None:
        try:
            for message in worker.receive():
                if worker in self._busy:  # not after it was replaced
                    self._heed(worker, self._busy[worker], message)
        except WorkerDied:
            if worker.loading_since is not None:
                raise self._not_loaded() from None
            self._lost(worker, "")

    def _heed(self, worker: Worker, chunk: _Chunk, message: list[Any]) -> None:
        kind, *what = message
        if kind == "loaded":
            worker.loading_since = None
            self._begin(worker, chunk)
        elif kind == "refused":
            raise FunctionsError(what[0], where=what[1], remedy=what[2])
        elif kind == "done":
            del self._busy[worker]
            self._keep(worker, chunk)
            for index, seconds in enumerate(what[0][: len(self.seconds)]):
                self.seconds[index] += float(seconds)
            self._whole(chunk)
        elif not 0 <= what[0] < len(self.left):
            return
        elif kind in ("fault", "strike"):
            self.notes.cell(chunk.row(min(max(what[1], 0), chunk.votes.shape[1] - 1)), what[0], what[2])
            self.left[what[0]] -= kind == "strike"
        elif kind == "whole":
            self.notes.all(what[0], what[1])
        elif kind == "rowwise":
            self.rowwise.add(what[0])
        elif kind == "left":
            self.notes.all(what[0], what[1])
            self.left[what[0]] -= 1
            self._again(worker, chunk, (what[0] + 1, 0))
        elif kind == "memory":
            cell = (what[0], min(max(what[1], 0), chunk.votes.shape[1] - 1))
            if chunk.retried == cell:
                self._blame(worker, chunk, cell, what[2])
            else:  # what filled the memory may have been another function: it is tried once more in a new worker
                chunk.retried = cell
                self._again(worker, chunk, cell)

    def _keep(self, worker: Worker, chunk: _Chunk) -> None:
        """Take over votes and confidences from shared memory."""
        chunk.votes = worker.filled(chunk.votes)
        given = worker.confidences(chunk.votes)
        for index in np.flatnonzero((given != 1).any(axis=1)).tolist():
            whole = chunk.block.sure.setdefault(index, np.ones(len(chunk.block.votes), dtype=np.float32))
            rows = np.flatnonzero(given[index] != 1)
            whole[rows if chunk.at is None else chunk.at[rows]] = given[index][rows]

    def _whole(self, chunk: _Chunk) -> None:
        """A chunk is done: put its cells into its block."""
        for index, asked in enumerate(chunk.asked):
            if asked is None:
                chunk.block.votes[:, index] = chunk.votes[index]
            elif asked:
                rows = np.array(asked)
                chunk.block.votes[rows if chunk.at is None else chunk.at[rows], index] = chunk.votes[index][rows]

    def _again(self, worker: Worker, chunk: _Chunk, start: tuple[int, int]) -> None:
        """Replace a worker; the rest of its chunk goes on elsewhere."""
        self._busy.pop(worker, None)
        self._keep(worker, chunk)
        self.engine.discard(worker)
        chunk.start = start
        self._waiting.appendleft(chunk)

    def _blame(self, worker: Worker, chunk: _Chunk, cell: tuple[int, int], why: str) -> None:
        """The call in progress is the fault; the rest goes on elsewhere."""
        index, row = cell
        self._again(worker, chunk, (index, row + 1))
        chunk.votes[index, row] = FAULT
        self.notes.cell(chunk.row(row), index, why)
        self.left[index] -= 1

    def _lost(self, worker: Worker, why: str) -> None:
        """A worker is gone, or has to go."""
        chunk = self._busy[worker]
        index, row = worker.cell()
        index, row = min(max(index, 0), len(self.left) - 1), min(max(row, 0), chunk.votes.shape[1] - 1)
        way = worker.way()
        if way in (BATCH, FIRST_BATCH):  # nobody knows which row it was: each is called alone now
            self.rowwise.add(index)
            self._again(worker, chunk, (index, row))
            return
        if not why:
            why = f"the worker process {worker.end_of()}"
        if way == PREPARE:
            why = f"making its resources: {why}"
        self._blame(worker, chunk, (index, row), why)

    def _end_stuck(self) -> None:
        for worker in list(self._busy):
            if worker.loading_since is not None:
                if time.monotonic() - worker.loading_since > self.engine.patience_s:
                    raise self._not_loaded()
                continue
            index, _ = worker.cell()
            limit = self.bound.orders[min(max(index, 0), len(self.left) - 1)].limit(worker.way())
            if worker.stuck_for() > 1.5 * limit + 1.0:
                self._lost(worker, f"took longer than {limit:g} s and had to be killed")

    def _not_loaded(self) -> FunctionsError:
        origins = ", ".join(dict.fromkeys(order.origin for order in self.bound.orders))
        return FunctionsError(
            f"the labeling functions did not load in a worker process within {self.engine.patience_s:g} s",
            where=origins,
            remedy="Move slow or fragile work out of the module's top level.",
        )

    def _patience(self) -> float:
        return min(_MOST_PATIENCE_S, min(order.timeout_s for order in self.bound.orders) / 4)
