"""How coverage and accuracy change over time: windows, and a test for drift that is corrected for the number of
functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from adapter.core.conduct import difference, holm
from adapter.core.functions.accuracy import ENOUGH
from adapter.core.intervals import wilson
from adapter.core.weak.base import Bools, Votes

DRIFT_LEVEL = 0.01
"""Level of the tests, after Holm. Reports are made again and again: at .05 one in twenty would cry wolf."""
DRIFT_EFFECT = 0.1
"""Effect (Cramer's V, "small" in Cohen 1988, section 7.2) below which a drift of coverage is not worth a word: over a
million rows any difference is significant."""
WINDOWS = 10
EXPECTED = 5
"""Votes, and rows without one, expected in each window; the chi-square test needs them (Cochran 1954)."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of rows lo to hi - 1. count: of n rows, those that have it (a vote, or a right vote)."""

    lo: int
    hi: int
    count: int
    n: int

    @property
    def share(self) -> float | None:
        """count / n; None for an empty window."""
        return self.count / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class CoverageTrend:
    """Coverage in windows of the pool by order of ingest. p: of equal coverage everywhere, by the chi-square test,
    after Holm over the functions; effect: Cramer's V in 0..1; both None where there are too few votes to test."""

    windows: tuple[Window, ...]
    p: float | None
    effect: float | None

    @property
    def drifts(self) -> bool:
        """Whether coverage changes by more than chance and more than a trifle."""
        return self.p is not None and self.effect is not None and self.p < DRIFT_LEVEL and self.effect >= DRIFT_EFFECT


@dataclass(frozen=True, slots=True)
class AccuracyTrend:
    """Accuracy in windows of the labelled tasks on which a function votes, numbered from 0 by time of people's label.

    early, late: the first and the second half. difference: late - early, with Newcombe's 95 % interval lower, upper. p:
    of no difference, Fisher's exact test, two-sided, after Holm over the functions. All None with fewer than ENOUGH
    labelled votes in each half.
    """

    windows: tuple[Window, ...]
    difference: float | None
    lower: float | None
    upper: float | None
    p: float | None

    @property
    def drifts(self) -> bool:
        """Whether accuracy changes by more than chance."""
        return self.p is not None and self.p < DRIFT_LEVEL


def coverage_trends(
    votes: Votes, seen: Sequence[Sequence[tuple[int, int]]] | None = None, *, windows: int = WINDOWS
) -> list[CoverageTrend]:
    """Return the trend of each of m functions. votes: (n, m) by order of ingest. seen: for each function the stretches
    of rows [lo, hi) that it has voted on at all; everything if left out. windows: most of them."""
    found = [
        _coverage_trend(votes[:, column] >= 0, seen[column] if seen is not None else [(0, votes.shape[0])], windows)
        for column in range(votes.shape[1])
    ]
    tested = [index for index, trend in enumerate(found) if trend.p is not None]
    for index, p in zip(tested, holm([found[index].p or 0.0 for index in tested]), strict=True):
        found[index] = CoverageTrend(found[index].windows, p, found[index].effect)
    return found


def _coverage_trend(spoken: Bools, seen: Sequence[tuple[int, int]], most: int) -> CoverageTrend:
    rows = np.concatenate([np.arange(lo, hi) for lo, hi in seen]) if seen else np.empty(0, np.int64)
    total, votes = len(rows), int(spoken[rows].sum())
    count = max(1, min(most, votes // EXPECTED, (total - votes) // EXPECTED))
    parts = [part for part in np.array_split(rows, count) if len(part)]
    found = tuple(Window(int(part[0]), int(part[-1]) + 1, int(spoken[part].sum()), len(part)) for part in parts)
    if len(found) < 2:
        return CoverageTrend(found, None, None)
    from scipy.stats import chi2

    # A table of windows by (votes, does not): its shorter side is 2, so Cramer's V is sqrt(chi-square / rows).
    share = votes / total
    statistic = sum((part.count - part.n * share) ** 2 / (part.n * share * (1 - share)) for part in found)
    return CoverageTrend(found, float(chi2.sf(statistic, len(found) - 1)), min(1.0, math.sqrt(statistic / total)))


def accuracy_trends(right: Bools, spoken: Bools, *, windows: int = 5) -> list[AccuracyTrend]:
    """Return the trend of each of m functions. right, spoken: (b, m) on labelled tasks in the order in which people
    labelled them. windows: most of them; each has ENOUGH votes of the function."""
    found = [_accuracy_trend(right[spoken[:, column], column], windows) for column in range(right.shape[1])]
    tested = [index for index, trend in enumerate(found) if trend.p is not None]
    for index, p in zip(tested, holm([found[index].p or 0.0 for index in tested]), strict=True):
        old = found[index]
        found[index] = AccuracyTrend(old.windows, old.difference, old.lower, old.upper, p)
    return found


def _accuracy_trend(right: Bools, most: int) -> AccuracyTrend:
    n = len(right)
    edges = np.linspace(0, n, max(1, min(most, n // ENOUGH)) + 1).astype(int).tolist()
    parts = tuple(Window(lo, hi, int(right[lo:hi].sum()), hi - lo) for lo, hi in pairwise(edges) if hi > lo)
    half = n // 2
    if half < ENOUGH:
        return AccuracyTrend(parts, None, None, None, None)
    from scipy.stats import fisher_exact

    early, late = int(right[:half].sum()), int(right[half:].sum())
    change = difference(late, n - half, early, half)
    if change is None:  # both halves have tasks
        return AccuracyTrend(parts, None, None, None, None)
    p = float(fisher_exact([[early, half - early], [late, n - half - late]])[1])
    return AccuracyTrend(parts, change.value, change.lower, change.upper, p)


def interval(window: Window) -> tuple[float, float]:
    """Return the Wilson 95 % interval of a window's share; (0, 1) for an empty one."""
    return wilson(window.count, window.n)
