"""Distances between codes, as Krippendorff's alpha takes them: 0 for the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from adapter.core.agreement.statistic import Doubles

Metric: TypeAlias = Literal["nominal", "ordinal", "interval", "ratio", "masi", "jaccard"]
Distance: TypeAlias = Callable[[Hashable, Hashable], float]


def numbers(values: Sequence[Hashable]) -> Doubles:
    """Return the codes as numbers (k,). Raises ValueError for one that is none."""
    try:
        found = np.array([float(value) for value in values], dtype=np.float64)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError("ordinal, interval and ratio scales need numbers as codes") from None
    if not np.isfinite(found).all():
        raise ValueError("a code is not a finite number")
    return found


def distances(values: Sequence[Hashable], metric: Metric | Distance) -> Doubles:
    """Return (k, k) distances between codes.

    nominal: 0 or 1. interval: (a - b) ** 2; ratio: ((a - b) / (a + b)) ** 2 (Krippendorff 2011, section E; 0 against 0
    is 0). masi, jaccard: between sets, see `set_distances`. A function gives its own. Ordinal distances depend on how
    often each code occurs: see `alpha`.
    """
    k = len(values)
    if callable(metric):
        found = np.zeros((k, k))
        for i in range(k):
            for j in range(i):
                found[i, j] = found[j, i] = metric(values[i], values[j])
        return found
    if metric == "nominal":
        return 1.0 - np.eye(k)
    if metric in ("masi", "jaccard"):
        return set_distances(values, masi=metric == "masi")
    number = numbers(values)
    gap = number[:, None] - number[None, :]
    if metric == "ratio":
        total = number[:, None] + number[None, :]
        gap = np.divide(gap, total, out=np.zeros_like(gap), where=total != 0)
    return np.asarray(gap**2, np.float64)


def set_distances(values: Sequence[Hashable], *, masi: bool) -> Doubles:
    """Return (k, k) Jaccard distances 1 - |a & b| / |a | b|, or MASI distances 1 - J * M (Passonneau, LREC 2006), with
    M = 1 for equal sets, 2/3 if one holds the other, 1/3 if they overlap, 0 if they share nothing. Two empty sets are
    equal. Raises ValueError for codes that are no sets."""
    sets = [value for value in values if isinstance(value, frozenset | tuple)]
    if len(sets) != len(values):
        raise ValueError("set distances need frozensets as codes")
    members = {item: number for number, item in enumerate(sorted({x for one in sets for x in one}, key=repr))}
    table = np.zeros((len(sets), len(members)))
    for row, one in enumerate(sets):
        table[row, [members[x] for x in one]] = 1
    both = table @ table.T
    size = table.sum(axis=1)
    either = size[:, None] + size[None, :] - both
    jaccard = np.divide(both, either, out=np.ones_like(both), where=either > 0)
    if not masi:
        return np.asarray(1.0 - jaccard, np.float64)
    same = (both == size[:, None]) & (both == size[None, :])
    holds = (both == size[:, None]) | (both == size[None, :])
    monotony = np.where(same, 1.0, np.where(both == 0, 0.0, np.where(holds, 2 / 3, 1 / 3)))
    return np.asarray(1.0 - jaccard * monotony, np.float64)


def unlikeness(k: int, weights: Literal["none", "linear", "quadratic"]) -> Doubles:
    """Return (k, k) disagreement weights in 0..1 of ordered categories: 0 or 1 without weights, |i - j| / (k - 1), or
    its square (Cohen 1968)."""
    place = np.arange(k, dtype=np.float64)
    gap = np.abs(place[:, None] - place[None, :]) / max(k - 1, 1)
    if weights == "none":
        return np.asarray(gap > 0, np.float64)
    return np.asarray(gap if weights == "linear" else gap**2, np.float64)
