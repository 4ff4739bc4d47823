"""What can be said of annotators: skill, conduct over time, anchoring, and signs of answering without looking. Pure.

The parts stand in `conduct_others` (the view without the judged vote), `conduct_skill`, `conduct_signs`,
`conduct_copying` and `conduct_speed`; here is what joins them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adapter.core.conduct.copying import SharedErrors, shared_errors
from adapter.core.conduct.others import Others, others
from adapter.core.conduct.signs import (
    Leaning,
    NearChance,
    Repeats,
    leaning,
    near_chance,
    near_chance_of_similarities,
    repeats,
)
from adapter.core.conduct.skill import (
    TREND_LEVEL,
    OwnConfusion,
    Trend,
    accuracy,
    own_confusion,
    surprise,
    trend,
    windows,
)
from adapter.core.conduct.speed import Speed, robust_z, speed, too_fast
from adapter.core.intervals import wilson

__all__ = [
    "TREND_LEVEL",
    "Difference",
    "Leaning",
    "NearChance",
    "Others",
    "OwnConfusion",
    "Repeats",
    "SharedErrors",
    "Speed",
    "Trend",
    "accuracy",
    "difference",
    "holm",
    "leaning",
    "near_chance",
    "near_chance_of_similarities",
    "others",
    "own_confusion",
    "repeats",
    "robust_z",
    "shared_errors",
    "speed",
    "surprise",
    "too_fast",
    "trend",
    "windows",
]


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number so that the chance of any false alarm among them stays under the level
    (Holm 1979)."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, most = [1.0] * len(p), 0.0
    for rank, i in enumerate(order):
        most = max(most, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = most
    return adjusted


@dataclass(frozen=True)
class Difference:
    """A share minus another, with a 95 % interval, and p: one-sided, of the first being no greater."""

    value: float
    lower: float
    upper: float
    p: float


def difference(right: float, n: int, other_right: float, other_n: int) -> Difference | None:
    """Return right / n - other_right / other_n with Newcombe's hybrid score interval (Newcombe 1998, method 10); None
    if either has no items. p: by the pooled score test with Yates' correction."""
    if not n or not other_n:
        return None
    from scipy.stats import norm

    one, two = right / n, other_right / other_n
    low1, high1 = wilson(right, n)
    low2, high2 = wilson(other_right, other_n)
    value = one - two
    lower = value - float(np.hypot(one - low1, high2 - two))
    upper = value + float(np.hypot(high1 - one, two - low2))
    pooled = (right + other_right) / (n + other_n)
    spread = float(np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / other_n)))
    shift = value - 0.5 * (1 / n + 1 / other_n)
    p = float(norm.sf(shift / spread)) if spread > 0 else 1.0
    return Difference(value, lower, upper, p)
