"""One-to-one matching of marks: between two people, and across any number of them.

Similarities are in 0..1. Matching is optimal (Kuhn 1955, by SciPy's linear_sum_assignment), never greedy: greedy
matching depends on the order of marks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Member = tuple[int, int]
"""Number of the group, and of the mark within it."""


def match(similarity: Doubles, threshold: float) -> list[tuple[int, int]]:
    """Return the pairs (i, j), i ascending, of the one-to-one matching with the greatest total similarity.

    similarity: (n, m) in 0..1. Pairs below `threshold`, and those that share nothing (0), are never matched.
    Raises ValueError on NaN or another shape.
    """
    from scipy.optimize import linear_sum_assignment

    table = np.asarray(similarity, np.float64)
    if table.ndim != 2:
        raise ValueError(f"a similarity needs the shape (n, m), got {table.shape}")
    if np.isnan(table).any():
        raise ValueError("a similarity is NaN: nothing can be matched by it")
    usable = np.where(table >= threshold, table, 0.0)
    rows, columns = np.flatnonzero(usable.any(axis=1)), np.flatnonzero(usable.any(axis=0))
    if not len(rows):
        return []
    inner = usable[np.ix_(rows, columns)]
    found = zip(*linear_sum_assignment(inner, maximize=True), strict=True)
    return sorted((int(rows[i]), int(columns[j])) for i, j in found if inner[i, j] > 0)


def clusters(sizes: Sequence[int], similarity: Callable[[int, int], Doubles], threshold: float) -> list[dict[int, int]]:
    """Return clusters of marks that mean one thing: each maps a group (person) to the number of its mark.

    sizes: number of marks of each group. similarity: of two groups g < h, the (sizes[g], sizes[h]) table. Every mark is
    in exactly one cluster, no cluster holds two marks of a group. Each two groups are matched optimally; then matched
    pairs join, the most alike first, while the mean similarity between the two sides stays at `threshold` or above
    (average linkage). So the order of groups decides nothing, except where similarities tie exactly.
    """
    tables: dict[tuple[int, int], Doubles] = {}
    edges: list[tuple[float, Member, Member]] = []
    for g, h in combinations(range(len(sizes)), 2):
        if not sizes[g] or not sizes[h]:
            continue
        tables[g, h] = table = np.asarray(similarity(g, h), np.float64)
        edges += [(float(table[i, j]), (g, i), (h, j)) for i, j in match(table, threshold)]
    edges.sort(key=lambda edge: (-edge[0], edge[1], edge[2]))
    home: dict[Member, dict[int, int]] = {(g, i): {g: i} for g, size in enumerate(sizes) for i in range(size)}
    for _, one, other in edges:
        a, b = home[one], home[other]
        if a is b or a.keys() & b.keys():
            continue
        cross = [tables[g, h][i, j] if g < h else tables[h, g][j, i] for g, i in a.items() for h, j in b.items()]
        if sum(cross) / len(cross) < threshold - 1e-12:
            continue
        a.update(b)
        for member in b.items():
            home[member] = a
    unique = {id(cluster): dict(sorted(cluster.items())) for cluster in home.values()}
    return sorted(unique.values(), key=lambda cluster: sorted(cluster.items()))


def weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    """Return the weighted median: the value at which half of the weight is reached, the mean of two where it is reached
    exactly between them. Without any weight all count alike. Raises ValueError without values."""
    if not values or len(values) != len(weights):
        raise ValueError(f"a median needs values and as many weights, got {len(values)} and {len(weights)}")
    numbers, counts = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    if not counts.sum() > 0:
        counts = np.ones(len(numbers))
    order = np.argsort(numbers, kind="stable")
    numbers, reached = numbers[order], np.cumsum(counts[order])
    half = reached[-1] / 2
    at = int(np.searchsorted(reached, half * (1 - 1e-12)))
    if abs(reached[at] - half) <= 1e-9 * half and at + 1 < len(numbers):
        return float((numbers[at] + numbers[at + 1]) / 2)
    return float(numbers[at])
