"""Intervals for proportions."""

from __future__ import annotations

import math

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


def wilson(right: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Return the Wilson score interval (lower, upper) of the proportion right / n; (0, 1) when n is 0.

    right may be fractional (a tie between two labels counts one half). Raises ValueError unless 0 <= right <= n.
    Source: Wilson 1927; Brown, Cai, DasGupta 2001 recommend it for small n.
    """
    if n < 0 or not 0 <= right <= n:
        raise ValueError(f"a proportion needs 0 <= right <= n, got {right} of {n}")
    if n == 0:
        return 0.0, 1.0
    share = right / n
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the exact bounds are 0 and 1; rounding must not miss them.
    lower = 0.0 if right == 0 else max(0.0, centre - half)
    upper = 1.0 if right == n else min(1.0, centre + half)
    return lower, upper
