"""What the active order has saved: the present model against models of labels drawn at random, on the same blind tasks.

People's labels at random are as few as the labelled blind tasks. Models of more labels at random are therefore stood in
for: tasks drawn at random from the pool, with people's label where there is one and the present model's answer where
there is none, train models of as many labels as the present one has, and of more. Two things make the comparison exact
with few blind labels. Where two models agree they are equally right, so only tasks on which they differ count, and how
many those are is known from tasks without labels. And on those, the present model's calibrated probabilities say how
much more often it is expected to be right; that counts as a few answers, which people's answers outweigh.

Stand-ins learn the present model's mistakes with its answers, so they are somewhat worse than what they stand for, the
more so the more labels they have and the worse the model is: `WORSE` and `GROWS` allow for it. TRUST, OFF, WORSE and
GROWS were chosen on five sets (digits, sms_spam, adult_income, ag_news, 60 intents) with logistic regression, 15 to 75
blind labels, so that intervals of 95 % hold at least that often.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from adapter.core.learning_curve import LEVEL, Estimate, estimate
from adapter.core.posterior import Doubles

LEAST_TASKS = 10
"""Blind tasks below which nothing is said: the model's probabilities are to be checked by people's answers."""
TRUST = 12.0
"""Answers of people that the present model's own probabilities count as, on tasks where models differ."""
OFF = 0.6
"""How far the accuracy of stand-ins lies off that of models of people's labels at random, as a standard deviation in
units of sqrt(error (1 - error) / labels): the luck of a few draws."""
WORSE = 0.6
"""How much worse stand-ins are for having learned the present model's mistakes: a half-normal's scale, in units of its
error times the share of tasks on which stand-ins of its size differ from it. Next to nothing where the model is good;
7 to 12 points with 60 classes and 85 to 425 labels."""
GROWS = 0.6
"""Power of their labels, over the present model's, with which that grows: the more stand-ins learn from, the nearer
they come to the model and the farther from people."""
DRAWS = 2000
TIMES = (0.5, 1.0, 2.0, 4.0)
"""Labels of the stand-ins, as multiples of the present model's."""


class Said(StrEnum):
    """What can be said of a saving."""

    UNKNOWN = "cannot say yet"
    NONE = "no saving shown"
    SHOWN = "saving"
    LOSS = "loss"


@dataclass(frozen=True, eq=False)
class Rivals:
    """The present model against stand-ins of z sizes, on n labelled and m unlabelled random tasks; none of them was
    trained on any.

    labels: of the present model. right (n,): whether it is right, 0 or 1. sizes (z,): labels of the stand-ins,
    ascending. differ (n, z): share of a size's models that decide otherwise than the present one. better (n, z), -1
    to 1: how much more often the present one is right. outside (m, z): as `differ`, on the unlabelled. expected (z,),
    -1 to 1: how much more often the present model is right where they differ, by its own probabilities.
    """

    labels: int
    right: Doubles
    sizes: Doubles
    differ: Doubles
    better: Doubles
    outside: Doubles
    expected: Doubles


@dataclass(frozen=True, slots=True)
class Saving:
    """The saving at the present model. labels: it has. blind: labelled blind tasks. gain: accuracy over a model of as
    many labels at random (.01 for one point). saving: 1 - labels / random_labels, for the same accuracy;
    random_labels: with its interval, both infinite (`saving` minus infinite, or 1) beyond the sizes that were measured.
    why: where nothing can be said."""

    said: Said
    labels: int = 0
    blind: int = 0
    gain: Estimate | None = None
    saving: Estimate | None = None
    random_labels: Estimate | None = None
    why: str = ""

    def sentence(self) -> str:
        """Say it in words."""
        if self.gain is None or self.saving is None or self.random_labels is None:
            return f"saving so far: cannot say yet ({self.why})"
        points = f"{_points(self.gain)} over as many labels at random"
        if self.said is Said.SHOWN:
            return (
                f"saving so far at least {max(self.saving.lower, 0.0):.0%} ({LEVEL:.0%} sure): {self.labels} labels "
                f"are worth at least {self.random_labels.lower:.0f} at random; {points}"
            )
        if self.said is Said.LOSS:
            return f"labels at random would have done better so far: {points}"
        return f"no saving shown so far: {points}, from {self.blind} blind labels"


def saving(found: Rivals, *, seed: int = 0) -> Saving:
    """Compare the present model with stand-ins for labels at random.

    A posterior by Bayesian bootstrap (Rubin 1981) over the blind tasks, the same weights at all sizes, so that luck
    with the sample is shared. Raises ValueError when no stand-in has as many labels as the present model.
    """
    n = len(found.right)
    if n < LEAST_TASKS:
        return Saving(Said.UNKNOWN, found.labels, n, why=f"{n} of {LEAST_TASKS} labelled blind tasks")
    same = np.flatnonzero(found.sizes == found.labels)
    if not len(same):
        raise ValueError(f"no stand-in has {found.labels} labels, only {found.sizes.tolist()}")
    here = int(same[0])
    leads = _leads(found, here, np.random.default_rng(seed))
    gain = estimate(leads[:, here])
    needed = _level(leads, found.sizes, here)
    random_labels = estimate(needed)
    with np.errstate(divide="ignore"):
        share = estimate(1.0 - found.labels / needed)
    said = Said.SHOWN if gain.lower > 0 else Said.LOSS if gain.upper < 0 else Said.NONE
    return Saving(said, found.labels, n, gain, share, random_labels)


def _leads(found: Rivals, here: int, rng: np.random.Generator) -> Doubles:
    """Return (DRAWS, z): how much more accurate the present model is than the stand-ins of each size."""
    from scipy.special import gammaincinv

    n, m = len(found.right), len(found.outside)
    inside, outside = rng.gamma(1.0, size=(DRAWS, n)), rng.gamma(1.0, size=(DRAWS, m))
    # Half a task each way: no difference seen is not none.
    some, none = rng.gamma(0.5, size=(2, DRAWS, 1))
    total = inside.sum(axis=1, keepdims=True) + outside.sum(axis=1, keepdims=True) + some + none
    differ = (inside @ found.differ + outside @ found.outside + some) / total
    chance = rng.random((2, DRAWS, 1))
    for_it = gammaincinv(np.maximum(TRUST * (1 + found.expected) / 2, 1e-3), chance[0])
    against = gammaincinv(np.maximum(TRUST * (1 - found.expected) / 2, 1e-3), chance[1])
    answers = inside @ found.differ + for_it + against
    better = (inside @ found.better + for_it - against) / np.maximum(answers, 1e-12)
    error = (n - found.right.sum() + 1.0) / (n + 4.0)
    off = OFF * np.sqrt(error * (1 - error) / found.labels) * rng.standard_normal((DRAWS, 1))
    learned = WORSE * np.abs(rng.standard_normal((DRAWS, 1))) * error * differ[:, here : here + 1]
    leads: Doubles = differ * better + off - learned * (found.sizes / found.labels) ** GROWS
    return leads


def _level(leads: Doubles, sizes: Doubles, here: int) -> Doubles:
    """Return (s,) the labels at random at which each draw's lead is used up, on a log scale between the sizes: 0 where
    it is behind at the smallest size, infinite where it leads at the largest. here: place of the present model's own
    size. From there on more labels at random are taken to be no worse, and fewer no better."""
    falls = np.concatenate(
        [
            np.maximum.accumulate(leads[:, here::-1], axis=1)[:, ::-1],
            np.minimum.accumulate(leads[:, here:], axis=1)[:, 1:],
        ],
        axis=1,
    )
    logs = np.log(sizes)
    behind = falls <= 0
    first = behind.argmax(axis=1)
    found = np.where(behind.any(axis=1), 0.0, np.inf)
    rows = np.flatnonzero(first > 0)
    at = first[rows]
    before, after = falls[rows, at - 1], falls[rows, at]
    found[rows] = np.exp(logs[at - 1] + before / (before - after) * (logs[at] - logs[at - 1]))
    return found


def _points(found: Estimate) -> str:
    return f"{100 * found.value:+.1f} points ({100 * found.lower:+.1f} to {100 * found.upper:+.1f})"


__all__ = ["LEAST_TASKS", "TIMES", "Rivals", "Said", "Saving", "saving"]
