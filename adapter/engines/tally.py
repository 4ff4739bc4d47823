"""What one batch of rows gave, as the engines pass it on, and how several are put together into one `Applied`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from adapter.engines.base import FAULT, Applied, VoteFault, Votes
from adapter.ports import Floats

FAULTS_TOLD = 100
"""Rows told for each function; the others are counted."""
_MOST_NOTED = 10_000
_FAILED, _NO_VOTE = "more tasks failed", "more tasks have no vote of it"


@dataclass(slots=True)
class Notes:
    """Faults as they happen, in any order; of each function only the first rows are kept.

    cells: (row, function, message). whole: (function, message), what concerns no single row."""

    cells: list[tuple[int, int, str]] = field(default_factory=list)
    whole: list[tuple[int, str]] = field(default_factory=list)
    _noted: Counter[int] = field(default_factory=Counter)

    def cell(self, row: int, function: int, message: str) -> None:
        """Note that a function failed on a row."""
        self.cells.append((row, function, message))
        self._noted[function] += 1
        if self._noted[function] >= _MOST_NOTED:
            self._noted[function] = FAULTS_TOLD
            own = sorted(note for note in self.cells if note[1] == function)[:FAULTS_TOLD]
            self.cells = [note for note in self.cells if note[1] != function] + own

    def all(self, function: int, message: str) -> None:
        """Note something about a function that no single row is to blame for, once."""
        if (function, message) not in self.whole:
            self.whole.append((function, message))

    def first(self) -> list[tuple[int, int, str]]:
        """Return the notes of single rows by row, then function, at most `FAULTS_TOLD` for each function."""
        told: Counter[int] = Counter()
        kept = []
        for note in sorted(self.cells):
            told[note[1]] += 1
            if told[note[1]] <= FAULTS_TOLD:
                kept.append(note)
        return kept


@dataclass(slots=True)
class Batch:
    """Outcome of some rows. votes: (n, m). sure: function to float32 (n,), where it said how sure it is; 1 elsewhere.
    seconds: by function. strikes: used up by each function meanwhile."""

    votes: Votes
    sure: dict[int, Floats]
    notes: Notes
    seconds: list[float]
    strikes: list[int]


def together(
    batches: Sequence[Batch],
    named: Sequence[tuple[str, str]],
    *,
    stopped: Sequence[bool],
    before: Sequence[bool],
    strikes: int,
) -> Applied:
    """Put batches of rows that follow each other into one answer.

    named: (name, version) of each function. stopped, before: which are given up now, and were before these rows.
    strikes: after how many a function is given up.
    """
    count = len(named)
    votes = np.concatenate([np.empty((0, count), dtype=np.int16), *(batch.votes for batch in batches)])
    notes = Notes()
    seconds = [0.0] * count
    first = 0
    for batch in batches:
        for row, function, message in batch.notes.cells:
            notes.cell(first + row, function, message)
        for function, message in batch.notes.whole:
            notes.all(function, message)
        for function, spent in enumerate(batch.seconds):
            seconds[function] += spent
        first += len(batch.votes)
    names = [name for name, _ in named]
    return Applied(
        votes,
        _faults(votes, notes, named, stopped, before, strikes),
        dict(zip(names, seconds, strict=True)),
        frozenset(name for name, gone in zip(names, stopped, strict=True) if gone),
        _confidence(batches, names),
    )


def _confidence(batches: Sequence[Batch], names: Sequence[str]) -> dict[str, Floats]:
    """Functions that were less than sure at least once; who always says 1 has said nothing."""
    found: dict[str, Floats] = {}
    for function in sorted({function for batch in batches for function in batch.sure}):
        parts = []
        for batch in batches:
            sure = batch.sure.get(function)
            ones = np.ones(len(batch.votes), dtype=np.float32)
            parts.append(ones if sure is None else np.where(batch.votes[:, function] >= 0, sure, ones))
        whole: Floats = np.concatenate(parts).astype(np.float32, copy=False)
        if (whole != 1).any():
            found[names[function]] = whole
    return found


def _faults(
    votes: Votes,
    notes: Notes,
    named: Sequence[tuple[str, str]],
    stopped: Sequence[bool],
    before: Sequence[bool],
    strikes: int,
) -> tuple[VoteFault, ...]:
    told = [0] * len(named)
    faults = []
    for row, function, message in notes.first():
        told[function] += 1
        faults.append(VoteFault(*named[function], row, message))
    faults += [VoteFault(*named[function], None, message) for function, message in notes.whole]
    for function, names in enumerate(named):
        more = int((votes[:, function] == FAULT).sum()) - told[function]
        if stopped[function] and not before[function]:
            faults.append(VoteFault(*names, None, counted(more, strikes)))
        elif more > 0 and not before[function]:
            faults.append(VoteFault(*names, None, counted(more)))
    return tuple(faults)


def counted(more: int, strikes: int = 0) -> str:
    """Say how many tasks failed besides those told. strikes: after which the function was stopped, 0 if it was not."""
    if strikes:
        return f"stopped: it hung or crashed {strikes} times; {more} {_NO_VOTE}"
    return f"{more} {_FAILED}"


def is_count(fault: VoteFault) -> bool:
    """Whether a fault only counts further tasks: whoever puts batches together counts anew."""
    return fault.row is None and fault.message.endswith((_FAILED, _NO_VOTE))
