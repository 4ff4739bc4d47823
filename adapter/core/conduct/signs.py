"""Signs that a person answers without looking. Each is a test against what the others see on the very same tasks, so
that hard tasks and unbalanced classes excuse nobody and accuse nobody. A sign is not a proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.crowd.skill import Doubles

Ints = npt.NDArray[np.int64]

EXCESS = 0.15
"""Share of a person's answers by which one label, or repeats, must exceed what is expected: with many answers any small
leaning is significant, and no reason for suspicion."""
CHANCE = 0.5
"""Part of a typical person's agreement beyond chance below which agreement counts as near chance."""
LEAST_GAIN = 0.02
"""Agreement beyond chance, a task, that a typical person must be able to show there."""
SHUFFLES = 300


@dataclass(frozen=True)
class Leaning:
    """The label that a person gives most beyond expectation. count: times; expected: by the others on the same tasks.
    p: one-sided, corrected for the number of labels."""

    label: int
    count: int
    n: int
    expected: float
    p: float

    @property
    def large(self) -> bool:
        """Whether it is more than a habit."""
        return self.count - self.expected >= EXCESS * self.n


def leaning(chances: Doubles, said: Ints, typical: Doubles) -> Leaning:
    """Return the label given most beyond what the tasks call for. chances: (n, k) truth by everybody else. said: (n,).
    typical: (k, k) how the crowd confuses labels.

    If the person were like the crowd, the count of a label would be a sum of independent draws; its upper tail is
    bounded by the binomial one with the mean probability (Hoeffding 1956, theorem 4), which is exact for equal
    probabilities and else on the safe side.
    """
    from scipy.stats import binom

    n, k = chances.shape
    if not n:
        return Leaning(0, 0, 0, 0.0, 1.0)
    mean = np.clip((chances @ typical).mean(axis=0), 1e-12, 1 - 1e-12)
    count = np.bincount(said, minlength=k)
    tails = np.where(count > n * mean, binom.sf(count - 1, n, mean), 1.0)
    label = int(np.argmin(tails))
    return Leaning(label, int(count[label]), n, float(n * mean[label]), float(min(1.0, tails[label] * k)))


@dataclass(frozen=True)
class NearChance:
    """Agreement beyond chance, as part of a typical person's on the same tasks: 0 is guessing, 1 typical. p: of the
    hypothesis that it is CHANCE or more, one-sided. telling: whether the tasks can show it at all."""

    ratio: float
    upper: float
    p: float
    n: int
    telling: bool


def near_chance(chances: Doubles, said: Ints, typical: Doubles) -> NearChance:
    """Compare a person's agreement with the others to that of guessing with the same label shares, and to that of a
    typical person. Arguments as in `leaning`. Where the others are unsure, or nearly all tasks have one label, nobody
    can show anything: then it is not telling."""
    n, k = chances.shape
    if n < 2:
        return NearChance(1.0, 1.0, 1.0, n, False)
    shares = np.bincount(said, minlength=k) / n
    agree = chances[np.arange(n), said]
    guess = chances @ shares
    able = ((chances @ typical) * chances).sum(axis=1)
    return _ratio(agree - guess, able - guess)


def near_chance_of_similarities(own: Doubles, guess: Doubles, typical: float) -> NearChance:
    """The same for graded similarity. own: (n,) to the others on the same task; guess: (g,) of the person's answers to
    others' answers on other tasks; typical: mean of pairs of other people on the same task."""
    if len(own) < 2 or not len(guess):
        return NearChance(1.0, 1.0, 1.0, len(own), False)
    chance = float(guess.mean())
    return _ratio(own - chance, np.full(len(own), typical - chance), float(guess.var() / len(guess)))


def _ratio(beyond: Doubles, able: Doubles, more: float = 0.0) -> NearChance:
    from scipy.stats import norm

    n, gain = len(beyond), float(able.sum())
    if gain < LEAST_GAIN * n:
        return NearChance(1.0, 1.0, 1.0, n, False)
    ratio = float(beyond.sum()) / gain
    # One imagined answer keeps a run of equal ones from being taken for certain.
    rest = beyond - ratio * able
    spread = float(np.sqrt((rest @ rest) + 0.25 + more * n * n)) / gain
    return NearChance(ratio, ratio + 1.96 * spread, float(norm.sf((CHANCE - ratio) / spread)), n, True)


@dataclass(frozen=True)
class Repeats:
    """Neighbouring answers, in time, that are the same. n: neighbours. expected: if the answers to alike tasks came in
    any order. longest: the longest run of one answer."""

    same: int
    n: int
    expected: float
    p: float
    longest: slice

    @property
    def large(self) -> bool:
        """Whether it is more than a habit."""
        return self.same - self.expected >= EXCESS * self.n


def repeats(chances: Doubles, said: Ints, *, seed: int) -> Repeats:
    """Test whether answers come in runs that the tasks do not explain. Rows in the order of time.

    Answers are shuffled among the tasks that the others give the same label to, which keeps the person's confusion and
    the order of the tasks, and takes away runs of the person's own: a runs test (Wald and Wolfowitz 1940) given the
    tasks. p: normal tail by mean and spread of SHUFFLES shuffles.
    """
    from scipy.stats import norm

    n = len(said)
    if n < 3:
        return Repeats(0, max(n - 1, 0), 0.0, 1.0, slice(0, 0))
    group = chances.argmax(axis=1)
    place = np.argsort(group, kind="stable")
    same = int((said[1:] == said[:-1]).sum())
    rng = np.random.default_rng(seed)
    counts = np.empty(SHUFFLES)
    shuffled = np.empty(n, np.int64)
    for turn in range(SHUFFLES):
        shuffled[place] = said[np.lexsort((rng.random(n), group))]
        counts[turn] = (shuffled[1:] == shuffled[:-1]).sum()
    mean, spread = float(counts.mean()), float(counts.std())
    # Half a repeat is the correction of continuity; a spread of one at least where few answers can change places.
    p = float(norm.sf((same - 0.5 - mean) / max(spread, 1.0)))
    starts = np.flatnonzero(np.r_[True, said[1:] != said[:-1]])
    lengths = np.diff(np.r_[starts, n])
    at = int(lengths.argmax())
    return Repeats(same, n - 1, mean, p, slice(int(starts[at]), int(starts[at] + lengths[at])))
