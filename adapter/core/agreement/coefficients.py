"""Coefficients for categories, with gaps: percent, Fleiss, Brennan-Prediger (free-marginal), Gwet's AC1 and AC2.

All compare the mean agreement of pairs within units with what chance would give; they differ in what chance is. Units
with one judgement say nothing of agreement, but count in how often each category is used (Gwet 2014, chapter 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from adapter.core.agreement.judgements import Judgements
from adapter.core.agreement.statistic import Doubles, Statistic, linear
from adapter.core.intervals import Z95


@dataclass(frozen=True, slots=True)
class _Parts:
    """counts (u, k) of units with a judgement; size (u,); apart (u,): mean disagreement of the pairs of each."""

    counts: Doubles
    size: Doubles
    apart: Doubles
    paired: Doubles


def _parts(given: Judgements, unlike: Doubles) -> _Parts:
    counts, size = given.counts(), given.size
    paired = (size > 1).astype(np.float64)
    apart = ((counts @ unlike) * counts).sum(axis=1) / np.maximum(size * (size - 1), 1)
    return _Parts(counts, size, apart * paired, paired)


def _statistic(given: Judgements, unlike: Doubles, chance: Doubles | float, name: str) -> Statistic:
    """Return 1 - observed / expected. chance: expected disagreement itself, or (k, k) so that it is p C p for the mean
    use p (k,) of the categories."""
    parts = _parts(given, unlike)
    shares = parts.counts / np.maximum(parts.size, 1)[:, None]
    said = (parts.size > 0).astype(np.float64)
    sums = given.per_task(np.column_stack([parts.paired, parts.apart, said, shares]))

    def over(total: Doubles) -> tuple[Doubles, Doubles]:
        observed = total[:, 1] / np.maximum(total[:, 0], 1e-300)
        observed[total[:, 0] == 0] = np.nan
        if isinstance(chance, float):
            return observed, np.full(len(total), chance)
        p = total[:, 3:] / np.maximum(total[:, 2], 1e-300)[:, None]
        return observed, ((p @ chance) * p).sum(axis=1)

    return linear(name, sums, over, given.doubly, worst=float(unlike.max(initial=0.0)) or 1.0)


def _nominal(k: int) -> Doubles:
    return 1.0 - np.eye(k)


def percent(given: Judgements, *, name: str = "percent") -> Statistic:
    """Return raw agreement: the mean over units of the share of pairs that agree, 0 to 1."""
    return _statistic(given, _nominal(len(given.values)), 1.0, name)


def fleiss(given: Judgements, *, name: str = "fleiss") -> Statistic:
    """Return Fleiss' kappa (Fleiss 1971), in the form that bears unequal numbers of judgements (Gwet 2014, section
    2.3). With two people throughout it is Scott's pi (Scott 1955)."""
    unlike = _nominal(len(given.values))
    return _statistic(given, unlike, unlike, name)


def brennan_prediger(given: Judgements, *, unlike: Doubles | None = None, name: str = "brennan-prediger") -> Statistic:
    """Return Brennan and Prediger's kappa (1981): chance uses all q categories of `given.values` alike. For two people
    it is Bennett's S (1954), for more Randolph's free-marginal kappa (2005). unlike: (q, q) disagreement weights in
    0..1 for ordered categories."""
    weights = _nominal(len(given.values)) if unlike is None else unlike
    return _statistic(given, weights, float(weights.mean()) if weights.size else 0.0, name)


def gwet(given: Judgements, *, unlike: Doubles | None = None, name: str = "ac1") -> Statistic:
    """Return Gwet's AC1 (2008), or AC2 with disagreement weights `unlike` (q, q) in 0..1 for ordered categories.

    Stays meaningful where one category is used nearly always, where kappa and alpha collapse. The categories are those
    of `given.values`: give all of the label config's. With one category it is undefined.
    """
    q = len(given.values)
    weights = _nominal(q) if unlike is None else unlike
    # Chance agreement is T / (q (q - 1)) sum p (1 - p), with T the sum of the agreement weights.
    scale = float((1 - weights).sum()) / (q * (q - 1)) if q > 1 else 0.0
    # Expected disagreement 1 - scale (sum p - sum p p) as a quadratic form in p, since p sums to 1.
    chance = np.full((q, q), 1.0 - scale) + scale * np.eye(q)
    one = _used(given) < 2
    return _statistic(given, weights, 0.0 if one else chance, name)


def _used(given: Judgements) -> int:
    return len(np.unique(given.code))


def ac1_interval(given: Judgements, *, unlike: Doubles | None = None) -> tuple[float, float]:
    """Return the asymptotic 95 % interval of `gwet` over units, not beyond 1 (Gwet 2014, section 5.3; t distribution
    with u - 1 degrees of freedom). (NaN, NaN) where it is undefined, or with one unit."""
    from scipy.special import stdtrit

    q = len(given.values)
    weights = _nominal(q) if unlike is None else unlike
    value = gwet(given, unlike=unlike).value
    parts = _parts(given, weights)
    told = parts.size > 0
    u, pairs = int(told.sum()), float(parts.paired.sum())
    if math.isnan(value) or u < 2:
        return math.nan, math.nan
    shares = (parts.counts[told] / parts.size[told, None]).mean(axis=0)
    scale = float((1 - weights).sum()) / (q * (q - 1))
    chance = scale * float((shares * (1 - shares)).sum())
    agreed = (1 - parts.apart[told]) * parts.paired[told]
    each = (u / pairs) * (agreed - chance * parts.paired[told]) / (1 - chance)
    own = scale * (parts.counts[told] @ (1 - shares)) / parts.size[told]
    each = each - 2 * (1 - value) * (own - chance) / (1 - chance)
    error = math.sqrt(float(((each - value) ** 2).sum()) / (u * (u - 1)))
    reach = float(stdtrit(u - 1, 0.975)) * error
    return value - reach, min(1.0, value + reach)


def cohen(table: Doubles, *, unlike: Doubles | None = None, name: str = "cohen") -> Statistic:
    """Return Cohen's kappa (1960) of two people, weighted (1968) with disagreement weights `unlike` (k, k).

    table (k, k): tasks by what the first (rows) and the second (columns) said, see `cross_table`.
    """
    counts = np.asarray(table, np.float64)
    k = len(counts)
    weights = _nominal(k) if unlike is None else unlike
    row, column = np.nonzero(counts)

    def over(times: Doubles) -> tuple[Doubles, Doubles]:
        n = np.maximum(times.sum(axis=1), 1e-300)
        first, second = np.zeros((len(times), k)), np.zeros((len(times), k))
        for place, (i, j) in enumerate(zip(row, column, strict=True)):
            first[:, i] += times[:, place]
            second[:, j] += times[:, place]
        expected = ((first @ weights) * second).sum(axis=1) / n**2
        return times @ weights[row, column] / n, expected

    count = counts[row, column]
    n = int(count.sum())
    group = np.repeat(np.arange(len(count), dtype=np.int64), count.astype(np.int64))
    return Statistic(name, count, group, over, n, worst=float(weights.max(initial=0.0)) or 1.0, cells=2 * k)


def cross_table(first: list[int], second: list[int], k: int) -> Doubles:
    """Return (k, k): how often the first person gave code i where the second gave j."""
    table = np.zeros((k, k))
    np.add.at(table, (np.asarray(first, np.int64), np.asarray(second, np.int64)), 1)
    return table


def cohen_interval(table: Doubles, *, unlike: Doubles | None = None, z: float = Z95) -> tuple[float, float]:
    """Return the asymptotic interval of `cohen`, 95 % by default (Fleiss, Cohen and Everitt 1969, equation 13). (NaN,
    NaN) where kappa is undefined."""
    counts = np.asarray(table, np.float64)
    n = counts.sum()
    agree = 1 - (_nominal(len(counts)) if unlike is None else unlike)
    kappa = cohen(counts, unlike=unlike).value
    if math.isnan(kappa):
        return math.nan, math.nan
    p = counts / n
    first, second = p.sum(axis=1), p.sum(axis=0)
    expected = float((agree * np.outer(first, second)).sum())
    mean = (agree @ second)[:, None] + (agree.T @ first)[None, :]
    spread = float((p * (agree - mean * (1 - kappa)) ** 2).sum()) - (kappa - expected * (1 - kappa)) ** 2
    error = math.sqrt(max(spread, 0.0) / n) / (1 - expected)
    return kappa - z * error, kappa + z * error
