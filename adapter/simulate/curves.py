"""What learning curves over several seeds say: their mean, the labels they need, and what is saved against random.

All figures are paired: every strategy has the same seeds, and seed i is the same split, start and model for all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.simulate.learning import RANDOM, Run

Doubles: TypeAlias = npt.NDArray[np.float64]

SHARES = (0.90, 0.95, 0.98)
"""Of the full-data score: the marks to which labels are counted."""
DRAWS = 2_000
"""Bootstrap draws over seeds."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; None: no interval (one seed). An infinite end is one that was not reached."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Saving:
    """Share of labels that are saved against random for the same score. censored: `` if both reached it, `at least` if
    random did not within its labels, `at most` if the strategy did not, `unknown` if neither did (value is NaN)."""

    estimate: Estimate
    censored: str = ""


def mean_interval(values: Sequence[float] | Doubles) -> Estimate:
    """Return the mean with Student's t interval; without an interval for fewer than two values."""
    array = np.asarray(values, np.float64)
    mean = float(array.mean())
    if len(array) < 2:
        return Estimate(mean)
    from scipy.stats import t

    half = float(t.ppf(0.975, len(array) - 1)) * standard_error(array)
    return Estimate(mean, mean - half, mean + half)


def standard_error(values: Sequence[float] | Doubles) -> float:
    """Return the standard error of the mean; 0 for fewer than two values."""
    array = np.asarray(values, np.float64)
    return float(array.std(ddof=1) / math.sqrt(len(array))) if len(array) > 1 else 0.0


def labels_to(run: Run, target: float) -> float:
    """Return the fewest labels at which a run was measured at `target` or above; infinity if it never was."""
    for labels, score in zip(run.labels, run.scores, strict=True):
        if score >= target - 1e-12:
            return float(labels)
    return math.inf


def area(run: Run, budget: int) -> float:
    """Return the mean height of the curve from its first measurement to `budget` (trapezoids): 0..1. The area under
    the curve, divided by its width. A single measurement is its own height."""
    kept = [(x, y) for x, y in zip(run.labels, run.scores, strict=True) if x <= budget]
    x, y = np.asarray(kept, np.float64).T
    if len(x) < 2:
        return float(y[-1])
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0]))


def median_reached(reached: Sequence[float], seed: int = 0) -> Estimate:
    """Return the median of labels needed over seeds with a percentile-bootstrap interval. A seed that never reached the
    mark counts as infinite, so the median is infinite where half of them did not, and so may an end be."""
    array = np.asarray(reached, np.float64)
    value = _median(array)
    if len(array) < 2:
        return Estimate(value)
    drawn = _medians(array[_resamples(len(array), seed)])
    return Estimate(value, _lower(drawn), _upper(drawn))


def saving(ours: Sequence[float], random: Sequence[float], budget: int, far: int, seed: int = 0) -> Saving:
    """Return 1 - median labels of ours / median labels of random, with a paired percentile-bootstrap interval.

    budget, far: the most labels that ours and random had. What was not reached counts as needing just these: a saving
    is then told as a bound (see `Saving`).
    """
    mine, theirs = np.asarray(ours, np.float64), np.asarray(random, np.float64)
    short, never = math.isinf(_median(mine)), math.isinf(_median(theirs))
    if short and never:
        return Saving(Estimate(math.nan), "unknown")
    censored = "at most" if short else "at least" if never else ""
    capped, base = np.minimum(mine, budget), np.minimum(theirs, far)
    value = 1.0 - _median(capped) / _median(base)
    if len(mine) < 2:
        return Saving(Estimate(value), censored)
    rows = _resamples(len(mine), seed)
    drawn = 1.0 - _medians(capped[rows]) / _medians(base[rows])
    return Saving(Estimate(value, _lower(drawn), _upper(drawn)), censored)


def _resamples(count: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, count, (DRAWS, count))


def _median(values: Doubles) -> float:
    """Return the median; of an even number the mean of the middle two, infinite if one of them is."""
    return float(_medians(values[None])[0])


def _medians(rows: Doubles) -> Doubles:
    ordered = np.sort(rows, axis=1)
    n = ordered.shape[1]
    return np.asarray((ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / 2)


def _lower(drawn: Doubles) -> float:
    return float(np.sort(drawn)[int(0.025 * len(drawn))])


def _upper(drawn: Doubles) -> float:
    return float(np.sort(drawn)[min(math.ceil(0.975 * len(drawn)), len(drawn) - 1)])


def summary(
    runs: Mapping[str, Sequence[Run]], full: Sequence[float], *, budget: int, far: int, shares: Sequence[float] = SHARES
) -> dict[str, Any]:
    """Return, as JSON, what the runs say. runs: strategy to one run a seed, `random` among them; full: the full-data
    score of each seed. Infinite figures become None."""
    base = runs[RANDOM]
    random_area = np.asarray([area(run, budget) for run in base])
    strategies: dict[str, Any] = {}
    for name, mine in runs.items():
        areas = np.asarray([area(run, budget) for run in mine])
        reached, before = ({share: _reached(some, full, share) for share in shares} for some in (mine, base))
        most = far if name == RANDOM else budget
        strategies[name] = {
            "curve": curve(mine),
            "labels_to": {
                _percent(share): {
                    **plain(median_reached(reached[share])),
                    "reached": sum(math.isfinite(one) for one in reached[share]),
                    "each": [_finite(one) for one in reached[share]],
                    "most": most,
                }
                for share in shares
            },
            "area": plain(mean_interval(areas)) | {"each": areas.tolist()},
            "area_over_random": plain(mean_interval(areas - random_area))
            | {"standard_error": standard_error(areas - random_area)},
            "stand_ins": sorted({word for run in mine for word in run.stand_ins}),
        }
        if name != RANDOM:
            found = {share: saving(reached[share], before[share], budget, far) for share in shares}
            strategies[name]["saving"] = {
                _percent(share): plain(one.estimate) | {"censored": one.censored} for share, one in found.items()
            }
    return {"full": plain(mean_interval(full)) | {"each": list(full)}, "strategies": strategies}


def _reached(runs: Sequence[Run], full: Sequence[float], share: float) -> list[float]:
    return [labels_to(run, share * top) for run, top in zip(runs, full, strict=True)]


def curve(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return a point for each number of labels at which every run was measured: mean score with interval."""
    known = [dict(zip(run.labels, run.scores, strict=True)) for run in runs]
    common = sorted(set.intersection(*(set(one) for one in known)))
    return [{"labels": x, **plain(mean_interval([one[x] for one in known]))} for x in common]


def plain(estimate: Estimate) -> dict[str, float | None]:
    """Return an estimate as JSON can hold it."""
    return {"value": _finite(estimate.value), "low": _finite(estimate.low), "high": _finite(estimate.high)}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _percent(share: float) -> str:
    return f"{100 * share:g}"
