"""Krippendorff's alpha for every scale, gaps and weighted units allowed. Source: Krippendorff 2011, "Computing
Krippendorff's Alpha-Reliability"; weighted units as in unitizing alpha (Krippendorff 2004, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from adapter.core.agreement.distances import Distance, Metric, distances, numbers
from adapter.core.agreement.judgements import Judgements
from adapter.core.agreement.statistic import Doubles, Ints, Statistic, linear

MANY = 256
"""Distinct codes from which expected disagreement is estimated from sampled pairs instead of all."""
EXACT_RANKS = 32
"""Distinct codes up to which a resample's ordinal distances come from its own frequencies; above, from the whole
sample's."""
PAIRS = 4000
"""Pairs of judgements from different tasks that estimate the expected disagreement of a kind's own distance."""


def alpha(given: Judgements, metric: Metric | Distance = "nominal", *, name: str = "alpha", seed: int = 0) -> Statistic:
    """Return Krippendorff's alpha: 1 perfect, 0 as by chance, below 0 worse.

    metric: a scale, a set distance, or a function of two codes. Units with one judgement count for nothing. seed: of
    the pairs sampled where there are more than MANY codes.
    """
    paired = given.pairable()
    used = np.unique(paired.code)
    paired = Judgements(
        paired.unit, np.searchsorted(used, paired.code), tuple(given.values[i] for i in used), given.task, given.weight
    )
    if metric == "interval":
        return _interval(paired, name)
    if metric == "ordinal":
        return _ordinal(paired, name) if len(used) <= EXACT_RANKS else _interval(_ranked(paired), name)
    if len(used) > MANY:
        return _many(paired, metric, name, seed)
    return _matrix(paired, distances(paired.values, metric), name)


def _matrix(paired: Judgements, delta: Doubles, name: str) -> Statistic:
    """Alpha for distances (k, k) that do not depend on the sample."""
    counts, size = paired.counts(), paired.size
    apart = ((counts @ delta) * counts).sum(axis=1) / np.maximum(size - 1, 1)
    sums = paired.per_task(np.column_stack([counts, apart]))

    def parts(total: Doubles) -> tuple[Doubles, Doubles]:
        seen, observed = total[:, :-1], total[:, -1]
        n = seen.sum(axis=1)
        return _shares(observed, ((seen @ delta) * seen).sum(axis=1), n)

    return linear(name, sums, parts, paired.doubly, worst=float(delta.max(initial=0.0)) or 1.0)


def _interval(paired: Judgements, name: str) -> Statistic:
    """Alpha for squared differences, from sums alone: however many distinct numbers there are."""
    number = numbers(paired.values)
    number = number - (number.min() if len(number) else 0.0)
    said = number[paired.code]
    u, size = len(paired.task), paired.size
    total = np.bincount(paired.unit, weights=said, minlength=u)
    squares = np.bincount(paired.unit, weights=said**2, minlength=u)
    apart = 2 * np.maximum(size * squares - total**2, 0) / np.maximum(size - 1, 1)
    sums = paired.per_task(np.column_stack([size, total, squares, apart]))

    def parts(found: Doubles) -> tuple[Doubles, Doubles]:
        n, first, second, observed = found.T
        return _shares(observed, 2 * (n * second - first**2), n)

    return linear(name, sums, parts, paired.doubly, worst=float(number.max(initial=0.0)) ** 2 or 1.0)


def _ordinal(paired: Judgements, name: str) -> Statistic:
    """Alpha for ordered codes. Krippendorff's ordinal distance is the squared difference of mid-ranks, which depend on
    how often each code occurs, so each resample has its own."""
    numbers(paired.values)
    counts, size = paired.counts(), paired.size
    k = counts.shape[1]
    low, high = np.triu_indices(k, 1)
    together = 2 * counts[:, low] * counts[:, high] / np.maximum(size - 1, 1)[:, None]
    sums = paired.per_task(np.column_stack([counts, together]))

    def parts(total: Doubles) -> tuple[Doubles, Doubles]:
        seen = total[:, :k]
        middle = seen.cumsum(axis=1) - seen / 2
        n = seen.sum(axis=1)
        middle = middle / np.maximum(n, 1)[:, None]
        observed = (total[:, k:] * (middle[:, low] - middle[:, high]) ** 2).sum(axis=1)
        first, second = (seen * middle).sum(axis=1), (seen * middle**2).sum(axis=1)
        return _shares(observed, 2 * (n * second - first**2), n)

    middle = _middle(counts.sum(axis=0))
    return linear(name, sums, parts, paired.doubly, worst=float(np.ptp(middle)) ** 2 if k > 1 else 1.0)


def _middle(counts: Doubles) -> Doubles:
    """Mid-ranks (k,) as shares of all judgements."""
    return np.asarray((counts.cumsum() - counts / 2) / max(float(counts.sum()), 1.0), np.float64)


def _ranked(paired: Judgements) -> Judgements:
    """The same judgements with mid-ranks for codes, on which the ordinal distance is the interval distance."""
    numbers(paired.values)
    middle = _middle(np.bincount(paired.code, minlength=len(paired.values)).astype(np.float64))
    return Judgements(paired.unit, paired.code, tuple(middle.tolist()), paired.task, paired.weight)


def _shares(observed: Doubles, expected: Doubles, n: Doubles) -> tuple[Doubles, Doubles]:
    """Observed and expected disagreement a pair, from their sums over the coincidence matrix."""
    return observed / np.maximum(n, 1), expected / np.maximum(n * (n - 1), 1)


@dataclass(frozen=True, slots=True)
class Pairwise:
    """Disagreement by a distance of which only single pairs are known, distances in 0..1.

    size (t,): judgements of each task. within (t,): sum of the distances of the task's unordered pairs. first, second,
    apart (p,): tasks and distance of pairs of judgements from different tasks, drawn with `cross_pairs`.
    """

    size: Doubles
    within: Doubles
    first: Ints
    second: Ints
    apart: Doubles


def cross_pairs(task: Ints, *, seed: int, limit: int = PAIRS) -> Ints:
    """Return (p, 2) indices of judgements (v,) from different tasks: all pairs where there are at most `limit`, else
    `limit` of them drawn evenly, with replacement."""
    v = len(task)
    if v * (v - 1) // 2 <= limit:
        first, second = np.triu_indices(v, 1)
        pairs = np.column_stack([first, second]).astype(np.int64)
        return np.asarray(pairs[task[pairs[:, 0]] != task[pairs[:, 1]]], np.int64)
    if len(np.unique(task)) < 2:
        return np.zeros((0, 2), np.int64)
    random = np.random.default_rng(seed)
    found = np.zeros((0, 2), np.int64)
    while len(found) < limit:
        drawn = random.integers(0, v, (2 * limit, 2))
        found = np.concatenate([found, drawn[task[drawn[:, 0]] != task[drawn[:, 1]]]])
    return np.asarray(found[:limit], np.int64)


def alpha_of_pairs(given: Pairwise, *, name: str = "alpha") -> Statistic:
    """Return alpha by a distance of its own: pairs within tasks are all known, those between tasks are a sample.

    Exactly Krippendorff's alpha when the sample holds every pair. Tasks must have at least two judgements each, and are
    the units.
    """
    t = len(given.size)
    first, second, apart, size = given.first, given.second, given.apart, given.size
    observed = 2 * given.within / np.maximum(size - 1, 1)

    def over(weights: Doubles) -> tuple[Doubles, Doubles]:
        n = weights @ size
        both = weights[:, first] * weights[:, second]
        drawn = both.sum(axis=1)
        mean = np.divide(both @ apart, drawn, out=np.zeros_like(drawn), where=drawn > 0)
        squared = weights**2
        # Copies of one task in a resample meet as different units, as they do in a coincidence matrix.
        expected = squared @ (2 * given.within) + mean * (n**2 - squared @ size**2)
        return weights @ observed / np.maximum(n, 1), expected / np.maximum(n * (n - 1), 1)

    return Statistic(
        name,
        np.ones(t),
        np.arange(t, dtype=np.int64),
        over,
        int((size > 1).sum()),
        worst=max(1.0, float(apart.max(initial=0.0))),
        cells=2 * len(apart),
    )


def _many(paired: Judgements, metric: Metric | Distance, name: str, seed: int) -> Statistic:
    """Alpha with so many codes that not all their distances can be had. Such codes are whole answers: each unit counts
    as a task of its own, unweighted."""
    apart = _between(paired, metric)
    by_task = np.lexsort((paired.code, paired.unit))
    unit, code = paired.unit[by_task], paired.code[by_task]
    whole = np.unique(unit)
    index = np.searchsorted(whole, unit)
    size = np.bincount(index, minlength=len(whole)).astype(np.float64)
    within = np.zeros(len(whole))
    starts = np.concatenate([[0], np.cumsum(size).astype(np.int64)])
    for place in range(len(whole)):
        mine = code[starts[place] : starts[place + 1]]
        low, high = np.triu_indices(len(mine), 1)
        within[place] = apart(mine[low], mine[high]).sum()
    pairs = cross_pairs(index, seed=seed)
    left, right = code[pairs[:, 0]], code[pairs[:, 1]]
    drawn = Pairwise(size, within, index[pairs[:, 0]], index[pairs[:, 1]], apart(left, right))
    return alpha_of_pairs(drawn, name=name)


def _between(paired: Judgements, metric: Metric | Distance) -> Callable[[Ints, Ints], Doubles]:
    """Return a function of two arrays of codes to their distances."""
    values: Sequence[Hashable] = paired.values
    if metric == "nominal":
        return lambda a, b: (a != b).astype(np.float64)

    def apart(a: Ints, b: Ints) -> Doubles:
        found = (distances((values[i], values[j]), metric)[0, 1] for i, j in zip(a, b, strict=True))
        return np.fromiter(found, np.float64, len(a))

    return apart
