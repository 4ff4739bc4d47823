"""Agreement between people on nominal labels: raw share and Krippendorff's alpha, with a bootstrap bound.

A unit is what several people labelled; it holds their labels, in any order, missing ones left out. Units with fewer
than two labels cannot show agreement and are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Units = Iterable[Sequence[Hashable]]

_CELLS = 4_000_000  # of one block of bootstrap weights: 32 MB


@dataclass(frozen=True, slots=True)
class _Table:
    """Units with two or more labels. counts (u, k): how often each label was given. disagreed (u,): ordered pairs of
    unlike labels, divided by (labels of the unit - 1), as in Krippendorff's coincidence matrix."""

    counts: npt.NDArray[np.float64]
    disagreed: npt.NDArray[np.float64]

    def alpha(self, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return alpha for each row of weights (r, u): how often each unit counts. NaN where only one label occurs."""
        totals = weights @ self.counts
        n = totals.sum(axis=1)
        expected = n**2 - (totals**2).sum(axis=1)
        observed = weights @ self.disagreed
        with np.errstate(invalid="ignore", divide="ignore"):
            value: npt.NDArray[np.float64] = np.where(expected > 0, 1 - (n - 1) * observed / expected, np.nan)
        return value


def _table(units: Units) -> _Table:
    kept = [list(unit) for unit in units if len(unit) > 1]
    codes: dict[Hashable, int] = {}
    for unit in kept:
        for label in unit:
            codes.setdefault(label, len(codes))
    counts = np.zeros((len(kept), len(codes)))
    for row, unit in enumerate(kept):
        for label in unit:
            counts[row, codes[label]] += 1
    size = counts.sum(axis=1)
    disagreed = (size**2 - (counts**2).sum(axis=1)) / np.maximum(size - 1, 1)
    return _Table(counts, disagreed)


def raw_agreement(units: Units) -> float:
    """Return the mean over units of the share of pairs that agree, 0 to 1; NaN without a unit of two labels."""
    table = _table(units)
    if not len(table.counts):
        return math.nan
    size = table.counts.sum(axis=1)
    return float((1 - table.disagreed / size).mean())


def krippendorff_nominal(units: Units) -> float:
    """Return Krippendorff's alpha with the nominal metric: 1 perfect, 0 as by chance, below 0 worse.

    NaN when it is undefined: no unit of two labels, or one label used throughout (perfect agreement that proves
    nothing). Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C.
    """
    table = _table(units)
    if not len(table.counts):
        return math.nan
    return float(table.alpha(np.ones((1, len(table.counts))))[0])


def alpha_lower_bound(units: Units, *, seed: int, level: float = 0.05, rounds: int = 1000) -> float:
    """Return the one-sided lower confidence bound of `krippendorff_nominal`: the `level` quantile over bootstrapped
    units.

    Gates must compare this bound, never the point value: with 50 units and a true alpha of .75 a point gate at .8
    passes wrongly about one time in six. A resample in which alpha is undefined counts as the worst; NaN when the
    bound itself is.
    """
    table = _table(units)
    u = len(table.counts)
    if u == 0 or np.isnan(table.alpha(np.ones((1, u)))).any():
        return math.nan
    random = np.random.default_rng(seed)
    even = np.full(u, 1 / u)
    step = max(1, _CELLS // u)
    parts = [
        table.alpha(random.multinomial(u, even, size=min(step, rounds - start)).astype(np.float64))
        for start in range(0, rounds, step)
    ]
    values = np.concatenate(parts)
    ordered = np.sort(np.where(np.isnan(values), -np.inf, values))
    bound = float(ordered[math.floor(level * (len(ordered) - 1))])
    return bound if math.isfinite(bound) else math.nan
