"""How good one annotator is, when the truth of each task is only known as far as the others say it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.crowd.skill import PRIOR_ACCURACY, PRIOR_STRENGTH, Doubles, Skill, beta_skills

Ints = npt.NDArray[np.int64]

GRID = 1000
ROUNDS = 50
ROW_STRENGTH = 2.0
"""Votes on a class that "right nine times in ten" is worth in one person's confusion matrix."""
WINDOWS = 6
TREND_LEVEL = 0.05
"""Level of the trend test, for each person: a trend is a figure, no accusation."""


def accuracy(right: Doubles, k: int) -> Skill:
    """Return the accuracy with a 95 % credible interval. right: (n,) probability, by everybody else or by a known
    truth, that what the person said is right. k: number of labels.

    A person right with probability a says so with likelihood right * a + (1 - right) * (1 - a) / (k - 1): the truth is
    summed out, so that others' errors widen the interval and do not pull the estimate down, as counting their mean
    would. The prior is Beta(18, 2), as everywhere; the posterior is exact on a grid. With known truths it is the Beta
    posterior itself.

    Errors that several people make together (hard tasks that mislead everybody alike) are taken for truths: then the
    figure is too high, by some points where few people answer a task (`benchmarks.conduct`). Gold tells.
    """
    grid = (np.arange(GRID) + 0.5) / GRID
    a, b = PRIOR_ACCURACY * PRIOR_STRENGTH, (1 - PRIOR_ACCURACY) * PRIOR_STRENGTH
    log = (a - 1) * np.log(grid) + (b - 1) * np.log1p(-grid)
    p, times = np.unique(np.round(np.clip(right, 0.0, 1.0), 3), return_counts=True)
    if len(p):
        log = log + times @ np.log(p[:, None] * grid + (1 - p[:, None]) * (1 - grid) / max(k - 1, 1))
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    mean = float(weight @ grid)
    low, high = np.interp([0.025, 0.975], np.cumsum(weight), grid)
    return Skill(mean, float(min(low, mean)), float(max(high, mean)), len(right))


@dataclass(frozen=True)
class OwnConfusion:
    """One person's confusion. share: (k, k) rows truth, columns said, each row summing to 1 and drawn to "right nine
    times in ten" where little is known. count: (k, k) expected times. classes: accuracy by true label."""

    share: Doubles
    count: Doubles
    classes: tuple[Skill, ...]


def own_confusion(chances: Doubles, said: Ints) -> OwnConfusion:
    """Return what a person says where the truth is each label. chances: (n, k) the truth by everybody else, said: (n,).

    EM over this one person's matrix, the others' view being the prior of each truth (Dawid and Skene 1979 for a single
    annotator). Rows have a Dirichlet prior worth ROW_STRENGTH votes; the classes' accuracies are shrunk like everywhere
    (`core.crowd.skill`) and their intervals bear that the truths are uncertain.
    """
    k = chances.shape[1]
    eye = np.eye(k)
    prior = ROW_STRENGTH * (PRIOR_ACCURACY * eye + (1 - PRIOR_ACCURACY) / max(k - 1, 1) * (1 - eye))
    share = prior / prior.sum(axis=1, keepdims=True)
    truth, count = chances, np.zeros((k, k))
    for _ in range(ROUNDS if len(said) else 0):
        truth = chances * share[:, said].T
        truth = truth / np.maximum(truth.sum(axis=1, keepdims=True), 1e-300)
        before, count = count, np.zeros((k, k))
        np.add.at(count.T, said, truth)
        share = (prior + count) / (prior + count).sum(axis=1, keepdims=True)
        if np.abs(count - before).max() < 1e-4:
            break
    unsure = np.bincount(said, weights=(truth * (1 - truth))[np.arange(len(said)), said], minlength=k)
    names = [str(label) for label in range(k)]
    classes = beta_skills(names, np.diag(count).astype(np.float64), unsure[:k].astype(np.float64), count.sum(axis=1))
    return OwnConfusion(share, count, tuple(classes[name] for name in names))


def windows(n: int, least: int) -> list[slice]:
    """Return stretches of equal count, in order, of at least `least` items; at most WINDOWS, none if only one fits."""
    parts = min(WINDOWS, n // max(least, 1))
    if parts < 2:
        return []
    edges = np.linspace(0, n, parts + 1).round().astype(int)
    return [slice(int(lo), int(hi)) for lo, hi in itertools.pairwise(edges)]


def surprise(chances: Doubles, said: Ints, share: Doubles) -> Doubles:
    """Return (n,) how much more than expected the others agree with each answer. chances: (n, k) the truth by everybody
    else. share: (k, k) the person's own confusion, the same at all times.

    Agreement itself also rises when the others get better, or more of them answer; this has mean 0 as long as nothing
    about anybody changes. In a small crowd one person's change still shows a little in the others' figures.
    """
    expected = ((chances @ share) * chances).sum(axis=1)
    return np.asarray(chances[np.arange(len(said)), said] - expected)


@dataclass(frozen=True)
class Trend:
    """Whether scores rise or fall in time. change: from first to last item, by a straight line. p: two-sided."""

    change: float
    p: float
    n: int


def trend(scores: Sequence[float]) -> Trend:
    """Return the score test of a linear trend of scores in the order of time, with a variance that bears unlike spreads
    (White 1980) and Student's t. p is 1 where all scores are the same or fewer than three are there. It looks at means:
    a test of ranks would take it for a trend when the others only get surer."""
    values = np.asarray(scores, np.float64)
    n = len(values)
    if n < 3 or np.ptp(values) == 0:
        return Trend(0.0, 1.0, n)
    from scipy.stats import t

    rest, time = values - values.mean(), np.arange(n) - (n - 1) / 2
    slope = float(time @ rest / (time @ time))
    spread = float(np.sqrt((time * rest) @ (time * rest)))
    p = float(2 * t.sf(abs(time @ rest) / spread, n - 2)) if spread > 0 else 1.0
    return Trend(slope * (n - 1), p, n)
