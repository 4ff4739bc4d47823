"""Pairs of people who share errors. Two who look at the same tasks are right together; who copies is also wrong
together, in the same way, more often than the tasks make anybody."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.conduct.others import Others
from adapter.core.crowd.skill import Doubles

Ints = npt.NDArray[np.int64]

SURE = 0.9
"""Posterior of the others from which a task counts as clear: errors there are compared apart from the unclear ones."""
LEAST_SHARED = 5
"""Shared errors below which nothing is said."""
TIMES = 1.5
"""How many times the expected number the shared errors must be."""


@dataclass(frozen=True)
class SharedErrors:
    """Two people's errors. shared: tasks on which both gave the same label and the others think otherwise. expected: by
    each one's own errors and by how often any two people err together. n: tasks in common that others answered too.
    p: one-sided, not corrected for the number of pairs. tasks: positions of the tasks with shared errors."""

    first: int
    second: int
    shared: int
    expected: float
    n: int
    p: float
    tasks: tuple[int, ...]

    @property
    def large(self) -> bool:
        """Whether it is more than an accident of few tasks."""
        return self.shared >= LEAST_SHARED and self.shared >= TIMES * self.expected


@dataclass(frozen=True)
class _Table:
    """One stratum of a pair: both erred alike, the first erred so, the second, and all tasks."""

    both: int
    one: int
    other: int
    n: int


def shared_errors(seen: Others, *, least: int) -> list[SharedErrors]:
    """Return every pair with at least `least` common tasks that somebody else answered too.

    A task's truth is what all but the two say. Tasks are put into strata by that label and by whether it is clear. In
    each, for each wrong label, the 2 x 2 table "first gave it" by "second gave it" has, given its margins (so: given
    each one's own confusion), Fisher's noncentral hypergeometric distribution; tables are added up by convolution. Its
    odds ratio is not 1 but the one of all other pairs together (Mantel and Haenszel 1959), since hard tasks make
    everybody err together. The pair's p is the upper tail, exact given that ratio.
    """
    first, second = pairs_of(seen.ballots.task, seen.ballots.annotator)
    keep = seen.heard(first, second)
    first, second = first[keep], second[keep]
    if not len(first):
        return []
    m = seen.ballots.m
    key = seen.ballots.annotator[first] * m + seen.ballots.annotator[second]
    order = np.argsort(key, kind="stable")
    first, second, key = first[order], second[order], key[order]
    chances = seen.without(first, second)
    group = chances.argmax(axis=1) * 2 + (chances.max(axis=1) >= SURE)
    one, other = seen.ballots.label[first], seen.ballots.label[second]
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    ends = np.r_[starts[1:], len(key)]
    slices = [slice(int(lo), int(hi)) for lo, hi in zip(starts, ends, strict=True) if hi - lo >= least]
    tables = [_tables(group[part], one[part], other[part]) for part in slices]
    sums = np.array([_mantel_haenszel(table) for table in tables]).reshape(-1, 2)
    found = []
    for part, table, own in zip(slices, tables, sums, strict=True):
        rest = sums.sum(axis=0) - own
        odds = max(1.0, float((rest[0] + 0.5) / (rest[1] + 0.5)))
        wrong = (one[part] == other[part]) & (one[part] != group[part] // 2)
        shared, expected, p = tail(table, odds)
        tasks = seen.ballots.task[first[part][wrong]]
        who = divmod(int(key[part.start]), m)
        found.append(SharedErrors(*who, shared, expected, part.stop - part.start, p, tuple(int(t) for t in tasks)))
    return found


def pairs_of(task: Ints, who: Ints) -> tuple[Ints, Ints]:
    """Return the positions of every two votes on one task, the smaller annotator's first. task: sorted; within a task
    annotators ascend."""
    firsts: list[Ints] = [np.empty(0, np.int64)]
    seconds: list[Ints] = [np.empty(0, np.int64)]
    most = int(np.bincount(task).max()) if len(task) else 0
    for step in range(1, most):
        at = np.flatnonzero(task[:-step] == task[step:])
        firsts.append(at.astype(np.int64))
        seconds.append(at.astype(np.int64) + step)
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    swap = who[first] > who[second]
    return np.where(swap, second, first), np.where(swap, first, second)


def _tables(group: Ints, one: Ints, other: Ints) -> list[_Table]:
    """Return the tables of one pair in which both erred somehow alike or could have."""
    found = []
    size: dict[int, int] = defaultdict(int)
    for place in group.tolist():
        size[place] += 1
    for place, n in size.items():
        here = group == place
        a, b = one[here], other[here]
        for label in set(a.tolist()) & set(b.tolist()) - {place // 2}:
            said, also = a == label, b == label
            found.append(_Table(int((said & also).sum()), int(said.sum()), int(also.sum()), n))
    return found


def _mantel_haenszel(tables: list[_Table]) -> tuple[float, float]:
    """Return numerator and denominator of the common odds ratio."""
    above = sum(t.both * (t.n - t.one - t.other + t.both) / t.n for t in tables)
    below = sum((t.one - t.both) * (t.other - t.both) / t.n for t in tables)
    return above, below


def tail(tables: list[_Table], odds: float) -> tuple[int, float, float]:
    """Return how often both erred alike, how often it is expected, and the chance of at least that often."""
    shared = 0
    chance: Doubles = np.ones(1)
    for table in tables:
        shared += table.both
        chance = np.asarray(np.convolve(chance, noncentral(table.one, table.other, table.n, odds)), np.float64)
    expected = float(chance @ np.arange(len(chance)))
    return shared, expected, float(min(1.0, chance[shared:].sum()))


def noncentral(one: int, other: int, n: int, odds: float) -> Doubles:
    """Return Fisher's noncentral hypergeometric chances of 0, 1, ..., min(one, other) in both, given the margins `one`
    and `other` of `n` and the odds ratio. Source: Fisher 1935; McCullagh and Nelder 1989, section 7.3."""
    from scipy.special import gammaln

    x = np.arange(min(one, other) + 1, dtype=np.float64)
    possible = n - one - other + x >= 0
    rest = np.where(possible, n - one - other + x, 0.0)
    log = x * np.log(odds) - sum(gammaln(part + 1) for part in (x, one - x, other - x, rest))
    log = np.where(possible, log, -np.inf)
    weight: Doubles = np.exp(log - log.max())
    weight /= weight.sum()
    return weight
