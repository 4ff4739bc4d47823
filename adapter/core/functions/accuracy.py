"""How often functions are right where people's labels are known, with intervals.

Give labels of the *blind sample* alone: on actively chosen tasks, which are the hard ones, every figure would be off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.intervals import wilson
from adapter.core.weak.base import Bools, Votes
from adapter.ports import Floats

ENOUGH = 10
"""Labelled tasks below which an accuracy is shown as "too few": with 9 right of 9 the interval still starts at .70."""


@dataclass(frozen=True, slots=True)
class Precision:
    """How often a function's votes for one label are right, with a Wilson 95 % interval; None without any (n = 0)."""

    label: int
    n: int
    right: int
    precision: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often one function is right, on the n labelled tasks on which it votes; None without any.

    lower, upper: Wilson 95 % interval. chance: what its votes would score if they were dealt out blindly over the
    labelled tasks, so the mean share of the labels it votes for. classes: by label that it votes for there.
    """

    n: int
    right: int
    accuracy: float | None
    lower: float | None
    upper: float | None
    chance: float | None
    classes: tuple[Precision, ...]

    @property
    def enough(self) -> bool:
        """Whether there are enough labelled tasks to say anything."""
        return self.n >= ENOUGH

    @property
    def worse_than_chance(self) -> bool:
        """Whether even the upper end of the interval lies below chance."""
        return self.enough and self.upper is not None and self.chance is not None and self.upper < self.chance


def rights(votes: Votes, targets: Floats) -> Bools:
    """Return (b, m) whether each vote is one of the right labels; False where there is no vote. votes: (b, m) on the
    labelled tasks. targets: (b, k), one-hot, or multi-hot for a control with several labels."""
    if not votes.size:
        return np.zeros(votes.shape, np.bool_)
    hit = np.take_along_axis(targets > 0.5, np.maximum(votes, 0).astype(np.int64), axis=1)
    return np.asarray(hit & (votes >= 0))


def accuracies(votes: Votes, targets: Floats) -> list[Accuracy]:
    """Return the accuracy of each of m functions. votes: (b, m). targets: (b, k), as in `rights`."""
    right = rights(votes, targets)
    shares = (targets > 0.5).mean(axis=0) if len(targets) else np.zeros(targets.shape[1])
    return [_accuracy(votes[:, column], right[:, column], shares) for column in range(votes.shape[1])]


def _accuracy(said: npt.NDArray[np.int16], right: Bools, shares: npt.NDArray[np.floating]) -> Accuracy:
    spoken = said >= 0
    n, hits = int(spoken.sum()), int(right.sum())
    classes = []
    for label in np.unique(said[spoken]).tolist():
        there = said == label
        count, good = int(there.sum()), int(right[there].sum())
        classes.append(Precision(label, count, good, good / count, *wilson(good, count)))
    if not n:
        return Accuracy(0, 0, None, None, None, None, ())
    return Accuracy(n, hits, hits / n, *wilson(hits, n), float(shares[said[spoken]].mean()), tuple(classes))


def credits(tally: npt.NDArray[np.float64], targets: Floats, *, multiple: bool) -> npt.NDArray[np.float64]:
    """Return (b,) the credit in 0..1 that a majority of votes earns on each labelled task. tally: (b, k) votes for each
    label. targets: (b, k), as in `rights`.

    One label: a tie among t labels counts 1 / t if the right one is among them, so a task that no function votes on
    counts 1 / k: what chance would make of it. Several labels: the overlap (Jaccard) of the labels that any function
    votes for with those that hold; 1 where both are empty.
    """
    truth = targets > 0.5
    if multiple:
        voted = tally > 0
        either = (voted | truth).sum(axis=1)
        return np.where(either > 0, (voted & truth).sum(axis=1) / np.maximum(either, 1), 1.0)
    best = tally >= tally.max(axis=1, keepdims=True) - 1e-9
    return np.asarray((best & truth).sum(axis=1) / best.sum(axis=1), np.float64)
