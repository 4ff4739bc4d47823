"""The distinct patterns in a matrix of votes, and which row has which.

How it is used (consolidators that go over the votes many times, such as EM, do so over the patterns):

    found = unique_patterns(votes)          # int16 (n, m)
    found.rows, found.counts                # int16 (u, m) sorted, int64 (u,): each pattern and how many rows have it
    found.spread(answers)                   # (u, ...) of the patterns to (n, ...) of the rows

Each row is packed exactly (no hashing) into one or a few integers, which are ranked one after the other: one sort of n
integers for about twenty functions, so it costs the same however many patterns there are. When nearly every row is
unique, u is nearly n, `rows` takes as much as the votes and nothing is gained, but nothing is lost either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from adapter.core.weak.base import ABSTAIN, Ints, Votes

CHUNK = 32_768
"""Rows packed at a time: what is unpacked meanwhile stays within a few megabytes."""
EXACT_BITS = 53
"""Bits of an integer that a float64 holds exactly; packing is a product of matrices in float64."""

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Patterns:
    """The distinct rows of a matrix of votes.

    rows: int16 (u, m), sorted by the first column, then the second and so on: the same for every order of the rows
    they were found in. A FAULT is no vote and stands there as ABSTAIN. counts: int64 (u,), rows that have the pattern.
    inverse: int64 (n,), the pattern of each row.
    """

    rows: Votes
    counts: Ints
    inverse: Ints

    def __len__(self) -> int:
        return len(self.rows)

    def spread(self, answers: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """Return what each row gets: `answers` (u, ...) of the patterns as (n, ...)."""
        return answers[self.inverse]

    def sums(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return the sum of values (n,) over the rows of each pattern, float64 (u,). The last bits of a sum of
        fractions depend on the order of the rows."""
        return np.asarray(np.bincount(self.inverse, weights=values, minlength=len(self.rows)), np.float64)


def unique_patterns(votes: Votes) -> Patterns:
    """Find the distinct rows of votes (n, m); see `Patterns`. Raises ValueError unless votes have two axes."""
    if votes.ndim != 2:
        raise ValueError(f"votes need the shape (rows, functions), got {votes.shape}")
    n, m = votes.shape
    ranks: Ints = np.zeros(n, np.int64)
    u = min(n, 1)
    for key, size in _keys(votes):
        ranks, u = _ranked(ranks * size + key, u * size) if u > 1 else _ranked(key, size)
    example = np.empty(u, np.int64)
    example[ranks] = np.arange(n)  # any row of a pattern shows it
    rows = np.maximum(votes[example], ABSTAIN)
    return Patterns(rows.reshape(u, m), np.bincount(ranks, minlength=u).astype(np.int64), ranks)


def _keys(votes: Votes) -> Iterator[tuple[Ints, int]]:
    """Yield the votes of a few columns at a time as one integer a row, int64 (n,), and the number of its values.

    As many columns as are exact in float64 and leave room, in 63 bits, for a rank among n patterns in front."""
    n, m = votes.shape
    base = int(votes.max(initial=ABSTAIN)) + 2
    bits = min(EXACT_BITS, 62 - max(n, 2).bit_length())
    together = max(1, int(bits / np.log2(base))) if base > 1 else max(m, 1)
    for start in range(0, m, together):
        width = min(together, m - start)
        places = np.array([float(base**place) for place in reversed(range(width))])
        key = np.empty(n, np.int64)
        for top in range(0, n, CHUNK):
            digits = votes[top : top + CHUNK, start : start + width].astype(np.float64)
            np.maximum(digits, ABSTAIN, out=digits)
            digits += 1
            key[top : top + CHUNK] = digits @ places
        yield key, base**width


def _ranked(key: Ints, size: int) -> tuple[Ints, int]:
    """Return the rank of each key among the distinct ones, int64 (n,), and how many there are; keys lie below size."""
    n = len(key)
    if size <= 2 * n:  # a table of all values is small: no sort
        there = np.zeros(size, bool)
        there[key] = True
        rank = np.cumsum(there) - 1
        return rank[key], int(rank[-1]) + 1
    order = np.argsort(key)
    arranged = key[order]
    steps = np.zeros(n, np.int64)
    np.cumsum(arranged[1:] != arranged[:-1], out=steps[1:])
    ranks = np.empty(n, np.int64)
    ranks[order] = steps
    return ranks, int(steps[-1]) + 1 if n else 0
