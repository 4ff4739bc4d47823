"""How fast people work: the median, and the times that do not fit it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapter.core.crowd.skill import Doubles

SHORTEST_S = 0.01
"""What shorter lead times, 0 too, are taken for on the log scale."""
FLOOR_S = 1.0
"""Median below which nobody can have read and answered."""
PART = 0.25
"""Part of the others' median below which a person is impossibly fast, or the others do another work."""
_MAD, _MEAN = 1.4826, 1.2533
"""What makes the median, and the mean, absolute deviation a standard deviation for normal data."""


@dataclass(frozen=True)
class Speed:
    """Lead times of one person. median, lower and upper quartile in seconds; fast, slow: positions of outliers, worst
    first; n: times that are known."""

    median: float | None
    lower: float | None
    upper: float | None
    n: int
    fast: tuple[int, ...]
    slow: tuple[int, ...]


def speed(seconds: Doubles, *, outlier: float, least: int) -> Speed:
    """Return median and robust outliers. seconds: (n,) lead times, NaN where unknown. outlier: robust standard
    deviations from the person's own median, on the log scale (Iglewicz and Hoaglin 1993; MAD, or where more than half
    of the times are equal the mean absolute deviation). Under `least` times no outlier is named."""
    known = np.flatnonzero(np.isfinite(seconds) & (seconds >= 0))
    if not len(known):
        return Speed(None, None, None, 0, (), ())
    times = seconds[known]
    lower, median, upper = (float(value) for value in np.quantile(times, [0.25, 0.5, 0.75]))
    fast: tuple[int, ...] = ()
    slow: tuple[int, ...] = ()
    if len(known) >= least:
        z = robust_z(np.log(np.maximum(times, SHORTEST_S)))
        order = np.argsort(-np.abs(z), kind="stable")
        fast = tuple(int(known[i]) for i in order if z[i] < -outlier)
        slow = tuple(int(known[i]) for i in order if z[i] > outlier)
    return Speed(median, lower, upper, len(known), fast, slow)


def robust_z(values: Doubles) -> Doubles:
    """Return (n,) distances from the median in robust standard deviations; zeros where all are alike."""
    apart = np.abs(values - np.median(values))
    spread = _MAD * float(np.median(apart)) or _MEAN * float(apart.mean())
    z: Doubles = (values - np.median(values)) / spread if spread > 0 else np.zeros(len(values))
    return z


def too_fast(median: float, others: float | None) -> bool:
    """Whether a median lead time is impossibly short: under FLOOR_S, or under PART of the others' median. A rule, not a
    test: its false alarms depend on how unlike honest people are in speed."""
    return median < FLOOR_S or (others is not None and median < PART * others)
