"""What the active order has saved: how many labels at random it would have taken to be as accurate.

Both curves are measured on the same random tasks. That of the active order reaches as far as people have labelled; that
of random labels only as far as the random sample, so beyond it the answer is an extrapolation, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from adapter.core.learning_curve import (
    ERROR,
    FLOOR,
    LEAST_TASKS,
    RATE,
    REACH,
    START,
    Curve,
    Estimate,
    estimate,
    expit,
    luck,
    measure,
)
from adapter.core.posterior import Doubles, posterior

WORTH = (0.0, 0.3)
"""Prior of the log ratio of the two curves' errors at the reference size: centred on no saving, so that a saving shows
only where the data show it. With errors that fall by n^-.4 one standard deviation makes a label worth twice a random
one, or half of it."""
STEEPER = (0.0, 0.4)
"""Prior of the log ratio of their exponents: savings grow or shrink along the curve."""
LOWER = (0.0, 1.0)
"""Prior of the difference of their floors (logit of the share of the error at the reference size). With all of a pool
labelled the order makes no difference, but within reach curves seem to level off at different heights."""
WIDEST = 1.0
"""Width of the interval from which on nothing is said."""

FARTHEST = 4.0
"""Multiple of the largest measured number of random labels up to which the present model's saving is claimed. On
sms_spam, with 7 times as many, models still at the majority class made extrapolations claim savings that were not."""


class Said(StrEnum):
    """What can be said of a saving."""

    UNKNOWN = "cannot say yet"
    NONE = "no saving shown"
    SHOWN = "saving"
    LOSS = "loss"


@dataclass(frozen=True, eq=False)
class Points:
    """A measured curve: p models on the same n random tasks. labels (p,): what each was trained on, ascending. right
    (n, p) in 0..1. models (p,): how many models each point is the mean of. inside (n, p), outside (m, p): how far they
    agree with the present model on these tasks and on unlabelled ones, see `learning_curve.measure`."""

    labels: Doubles
    right: Doubles
    models: Doubles
    inside: Doubles
    outside: Doubles


@dataclass(frozen=True, slots=True)
class Saving:
    """The saving at one place of the curve. saving: 1 - labels / random_labels, negative where random is better.
    labels: of the active order. random_labels: drawn at random, for the same accuracy; at most the pool. measured_to:
    random labels up to which their curve was measured. beyond: random_labels lie beyond that, by extrapolation. why:
    where nothing can be said."""

    said: Said
    labels: Estimate | None = None
    random_labels: Estimate | None = None
    accuracy: Estimate | None = None
    saving: Estimate | None = None
    measured_to: int = 0
    beyond: bool = False
    why: str = ""

    def sentence(self) -> str:
        """Say it in words."""
        if self.saving is None or self.labels is None or self.random_labels is None or self.accuracy is None:
            return f"saving so far: cannot say yet ({self.why})"
        shares = f"{self.saving.value:.0%} ({self.saving.lower:.0%} to {self.saving.upper:.0%})"
        how = (
            f"{self.accuracy.value:.1%} with {self.labels.value:.0f} labels, for which about "
            f"{self.random_labels.value:.0f} at random would be needed"
        )
        if self.beyond:
            how += f", extrapolated from {self.measured_to}"
        head = {
            Said.UNKNOWN: f"saving so far: cannot say yet, {self.why or 'the interval is too wide'}: {shares}",
            Said.NONE: f"no saving shown so far: {shares}",
            Said.SHOWN: f"saving so far {shares}",
            Said.LOSS: f"labels at random would have done better: saving {shares}",
        }[self.said]
        return f"{head}; {how}"


@dataclass(frozen=True, eq=False)
class Savings:
    """now: at the labels of the present model. measured: where the curve of random labels ends, nothing extrapolated.
    random, active: the fitted curves, None where nothing was fitted."""

    now: Saving
    measured: Saving
    random: Curve | None = None
    active: Curve | None = None


def savings(random: Points, active: Points, *, labels: int, pool: int, seed: int = 0) -> Savings:
    """Compare the two curves. labels: of the present model. pool: tasks that there are to label at all.

    One posterior over both curves, whose prior is centred on no saving. The covariance of all points comes from the
    tasks that they share, so luck with the sample cancels. Raises ValueError when the tasks are not the same.
    """
    if len(random.right) != len(active.right):
        raise ValueError(f"{len(random.right)} and {len(active.right)} tasks: both curves need the same ones")
    short = _too_little(random, active)
    if short:
        nothing = Saving(Said.UNKNOWN, why=short)
        return Savings(nothing, nothing)
    random, active = _near(random), _near(active)
    curves = _fit(random, active, seed)
    far = float(random.labels.max())
    now = _now(curves, float(labels), far, float(pool))
    return Savings(now, _at_the_end(curves, far, float(active.labels.min()), float(pool)), *curves)


def _too_little(random: Points, active: Points) -> str:
    """Return why nothing can be said, or nothing."""
    n = len(random.right)
    if n < LEAST_TASKS:
        return f"{n} labelled blind tasks, {LEAST_TASKS} are needed"
    if len(active.labels) < 2:
        return f"{len(active.labels)} trained models were measured, 2 are needed"
    if len(random.labels) < 2:
        return "the curve of random labels has fewer than 2 points"
    return ""


def _near(points: Points) -> Points:
    """Return the points where the law holds, see `learning_curve.REACH`."""
    used = points.labels >= points.labels.max() / REACH
    return Points(
        points.labels[used],
        points.right[:, used],
        points.models[used],
        points.inside[:, used],
        points.outside[:, used],
    )


def _fit(random: Points, active: Points, seed: int) -> tuple[Curve, Curve]:
    n, m = random.labels, active.labels
    reference = float(np.exp(np.log(np.concatenate([n, m])).mean()))
    both = measure(
        np.concatenate([random.right, active.right], axis=1),
        np.concatenate([random.inside, active.inside], axis=1),
        np.concatenate([random.outside, active.outside], axis=1),
    )
    measured, noise = both.accuracy, both.noise
    noise[: len(n), : len(n)] += luck(n, measured[: len(n)], random.models, nested=False)
    noise[len(n) :, len(n) :] += luck(m, measured[len(n) :], active.models, nested=True)
    whiten = np.linalg.inv(np.linalg.cholesky(noise))

    def log_likelihood(theta: Doubles) -> Doubles:
        first, second = _curves(theta, reference)
        residual = measured - 1.0 + np.concatenate([first.errors(n), second.errors(m)], axis=1)
        found: Doubles = -0.5 * np.square(residual @ whiten.T).sum(axis=1)
        return found

    priors = np.array([ERROR, FLOOR, RATE, START, WORTH, STEEPER, LOWER])
    return _curves(posterior(log_likelihood, priors[:, 0], priors[:, 1], seed=seed), reference)


def _curves(theta: Doubles, reference: float) -> tuple[Curve, Curve]:
    error, rate, start = expit(theta[:, 0]), np.exp(theta[:, 2]), np.exp(theta[:, 3])
    other = error * np.exp(-theta[:, 4])
    floor, lower = error * expit(theta[:, 1]), other * expit(theta[:, 1] + theta[:, 6])
    steeper = rate * np.exp(theta[:, 5])
    return Curve(reference, error, floor, rate, start), Curve(reference, other, lower, steeper, start)


def _now(curves: tuple[Curve, Curve], labels: float, far: float, pool: float) -> Saving:
    random, active = curves
    errors = active.errors(labels)[:, 0]
    needed = np.clip(random.labels_at(errors), 1.0, max(pool, labels))
    saving = estimate(1 - labels / needed)
    same = estimate(np.full(len(needed), labels))
    beyond = bool(np.median(needed) > far)
    said, why = _said(saving), ""
    if labels > FARTHEST * far:
        said, why = Said.UNKNOWN, f"labels at random are measured only up to {far:.0f} of {labels:.0f}"
    return Saving(said, same, estimate(needed), estimate(1 - errors), saving, int(far), beyond, why)


def _at_the_end(curves: tuple[Curve, Curve], far: float, least: float, pool: float) -> Saving:
    random, active = curves
    errors = random.errors(far)[:, 0]
    needed = np.clip(active.labels_at(errors), 1.0, max(pool, far))
    if float(np.median(needed)) < least:
        return Saving(Said.UNKNOWN, measured_to=int(far), why=f"no model had fewer than {least:.0f} labels")
    saving = estimate(1 - needed / far)
    same = estimate(np.full(len(needed), far))
    return Saving(_said(saving), estimate(needed), same, estimate(1 - errors), saving, int(far))


def _said(saving: Estimate) -> Said:
    if saving.lower > 0:
        return Said.SHOWN
    if saving.upper < 0:
        return Said.LOSS
    return Said.UNKNOWN if saving.upper - saving.lower > WIDEST else Said.NONE


__all__ = ["Points", "Said", "Saving", "Savings", "savings"]
