"""Near-copies among labeling functions: two that nearly always do the same, and would count twice.

What makes a copy is not that two functions agree where both vote: two good one-sided functions always do. It is that of
the rows on which either gives a label, both give it (Jaccard 1901), label by label, so that a frequent label cannot
hide a different rare one; and on enough rows that chance does not do it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapter.core.intervals import wilson
from adapter.core.weak.base import ABSTAIN, Votes, WeakVotes
from adapter.core.weak.moments import pair_counts
from adapter.ports import Floats

LOWEST = 0.8
"""Least lower Wilson bound of the share of rows on which both say the same: at least 16 rows are needed."""
FEW = 10
"""Rows on which either gives a label from which that label is looked at on its own."""


@dataclass(frozen=True, slots=True)
class Copies:
    """groups: columns of each group of near-copies, sorted, none in two groups. m: columns in all."""

    groups: tuple[tuple[int, ...], ...]
    m: int

    def named(self, names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """Return the groups by name, sorted; without names functions are counted from 1."""
        called = names or tuple(f"function {column + 1}" for column in range(self.m))
        return tuple(sorted(tuple(sorted(called[column] for column in group)) for group in self.groups))

    def merged(self, votes: WeakVotes) -> WeakVotes:
        """Return the votes with each group as one column, in the place of its first: what most of those who vote say,
        ABSTAIN where they tie; its confidence is the mean of those who say it."""
        if not self.groups:
            return votes
        first = {group[0]: group for group in self.groups}
        gone = {column for group in self.groups for column in group[1:]}
        kept = [column for column in range(self.m) if column not in gone]
        merged = np.maximum(votes.votes[:, kept], ABSTAIN)
        sure = None if votes.confidence is None else votes.confidence[:, kept].copy()
        for at, column in enumerate(kept):
            if column in first:
                group = list(first[column])
                merged[:, at] = _most(votes.votes[:, group], votes.k)
                if sure is not None and votes.confidence is not None:
                    agree = votes.votes[:, group] == merged[:, at, None]
                    sure[:, at] = _mean(votes.confidence[:, group], agree)
        names = tuple(votes.names[column] for column in kept) if votes.names else ()
        return WeakVotes(merged, votes.k, votes.multiple, names, sure)


def near_copies(votes: WeakVotes, threshold: float) -> Copies:
    """Find groups of functions that are near-copies of each other, directly or through others.

    threshold: share, of the rows on which either of two functions gives a label, on which both give it, from which they
    are copies; over all labels together, and for each label that either gives on FEW rows or more.
    """
    m, k = votes.votes.shape[1], votes.k
    counts = pair_counts(votes.votes, k).reshape(m, k, m, k)
    same = np.einsum("iyjy->ijy", counts)
    alone = np.einsum("iyiy->iy", counts)
    either = alone[:, None, :] + alone[None, :, :] - same
    pooled = alone.sum(axis=1)
    both = np.einsum("iyjz->ij", counts)
    union = pooled[:, None] + pooled[None, :] - both
    group = np.arange(m)
    for i in range(m):
        for j in range(i + 1, m):
            n, right = int(union[i, j]), int(same[i, j].sum())
            if n == 0 or right < threshold * n or wilson(right, n)[0] < LOWEST:
                continue
            asked = either[i, j] >= FEW
            if (same[i, j][asked] >= threshold * either[i, j][asked]).all():
                group[group == group[j]] = group[i]
    found = [tuple(np.flatnonzero(group == at).tolist()) for at in np.unique(group)]
    return Copies(tuple(sorted(columns for columns in found if len(columns) > 1)), m)


def _most(votes: Votes, k: int) -> Votes:
    """Return what most of each row's votes (n, g) say, (n,); ABSTAIN for none and for ties."""
    counts = np.stack([(votes == label).sum(axis=1, dtype=np.int16) for label in range(k)])
    top = counts.max(axis=0)
    clear = (top > 0) & ((counts == top).sum(axis=0) == 1)
    said: Votes = np.where(clear, counts.argmax(axis=0), ABSTAIN).astype(np.int16)
    return said


def _mean(confidence: Floats, of: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    """Return the mean of each row's confidences (n, g) where `of`, (n,); a missing one counts 1, NaN where none is."""
    there = of & ~np.isnan(confidence)
    sums = np.where(there, confidence, 0).sum(axis=1) + (of & ~there).sum(axis=1)
    n = of.sum(axis=1)
    mean: Floats = np.divide(sums, n, out=np.full(len(n), np.nan), where=(n > 0) & there.any(axis=1)).astype(np.float32)
    return mean
