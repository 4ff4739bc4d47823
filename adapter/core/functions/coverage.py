"""How often functions speak, and how often others speak with or against them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.weak.base import FAULT, Bools, Ints, Votes

BLOCK = 100_000
"""Rows looked at in one go: the counts by label of a million rows at once would take gigabytes."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How one function speaks over n rows.

    votes: rows on which it votes. coverage: their share of the rows that it has seen. overlap: share on which it votes
    and another function does too. conflict: share on which another votes otherwise; None for a control with several
    labels, where a vote for one says nothing against the others. faults: rows on which it failed. said: (k,) its votes
    for each label.
    """

    seen: int
    votes: int
    coverage: float
    overlap: float
    conflict: float | None
    faults: int
    said: tuple[int, ...]

    @property
    def polarity(self) -> tuple[int, ...]:
        """The labels that it ever votes for."""
        return tuple(label for label, count in enumerate(self.said) if count)

    @property
    def one_sidedness(self) -> float | None:
        """Share of its votes that go to the label it votes for most; 1 for a function that only ever says one label,
        None for one that never votes."""
        return max(self.said) / self.votes if self.votes else None


@dataclass(frozen=True, slots=True)
class Pool:
    """What all functions together do over the pool, in rows. covered: any votes. overlapping: two or more do.
    conflicting: two vote for different labels; None for a control with several labels."""

    rows: int
    covered: int
    overlapping: int
    conflicting: int | None

    @property
    def uncovered(self) -> int:
        """Rows on which no function votes."""
        return self.rows - self.covered


def coverages(votes: Votes, k: int, *, multiple: bool = False, seen: Sequence[int] | None = None) -> list[Coverage]:
    """Return the coverage of each of m functions. votes: (n, m). k: labels. seen: (m,) rows that each function has
    voted on at all, of which abstentions are part; all n if left out."""
    n, m = votes.shape
    spoken, shared, against, failed = (np.zeros(m, np.int64) for _ in range(4))
    said = np.zeros((m, k), np.int64)
    for block, active, tally in _blocks(votes, k):
        spoken += active.sum(axis=0)
        failed += (block == FAULT).sum(axis=0)
        total = tally.sum(axis=1)
        shared += (active & (total >= 2)[:, None]).sum(axis=0)
        for column in range(m):
            rows = np.flatnonzero(active[:, column])
            labels = block[rows, column]
            against[column] += int((total[rows] > tally[rows, labels]).sum())
            said[column] += np.bincount(labels, minlength=k)
    whole = [n] * m if seen is None else list(seen)
    return [
        Coverage(
            seen=whole[column],
            votes=int(spoken[column]),
            coverage=int(spoken[column]) / max(1, whole[column]),
            overlap=int(shared[column]) / max(1, whole[column]),
            conflict=None if multiple else int(against[column]) / max(1, whole[column]),
            faults=int(failed[column]),
            said=tuple(said[column].tolist()),
        )
        for column in range(m)
    ]


def pool(votes: Votes, k: int, *, multiple: bool = False) -> Pool:
    """Return how many of the rows (n, m) are covered, and how many functions meet there."""
    covered = overlapping = conflicting = 0
    for _, _, tally in _blocks(votes, k):
        total = tally.sum(axis=1)
        covered += int((total > 0).sum())
        overlapping += int((total > 1).sum())
        conflicting += int(((tally > 0).sum(axis=1) > 1).sum())
    return Pool(votes.shape[0], covered, overlapping, None if multiple else conflicting)


def conflicts(votes: Votes, column: int) -> tuple[Bools, Ints]:
    """Return (n,) whether another function votes otherwise than this one where it votes, and (n,) how many do."""
    mine = votes[:, column : column + 1]
    against: Bools = (votes >= 0) & (votes != mine) & (mine >= 0)
    count: Ints = against.sum(axis=1)
    return np.asarray(count > 0), count


def _blocks(votes: Votes, k: int) -> Iterator[tuple[Votes, Bools, npt.NDArray[np.int32]]]:
    """Yield stretches of rows: votes, whether each is a vote, and votes for each label (rows, k)."""
    for lo in range(0, votes.shape[0], BLOCK):
        block = votes[lo : lo + BLOCK]
        active: Bools = block >= 0
        tally = np.zeros((len(block), k), np.int32)
        for column in range(block.shape[1]):
            rows = np.flatnonzero(active[:, column])
            tally[rows, block[rows, column]] += 1
        yield block, active, tally
