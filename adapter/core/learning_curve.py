"""Learning curves: accuracy against labels, fitted with what is not known told as an interval.

An inverse power law with a floor (Figueroa, Zeng-Treitler, Kandula, Ngo 2012), shifted, since models hardly
learn from the first labels of a rare class: error(n) = floor + b (n + start)^-c. A posterior takes the place of their
least squares: with some dozens of blind tasks a best fit is certain of a floor that the data say nothing about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.posterior import Doubles, posterior

LEVEL = 0.95
LEAST_POINTS = 3
LEAST_TASKS = 20
"""Blind tasks below which nothing is said."""
SPREAD = 0.3
"""Accuracy differs between training sets of one size n with about this times the variance error (1 - error) / n.
Measured with logistic regression over 10 seeds from 90 labels on: .07 to .54 on ag_news, .04 to .43 on sms_spam; about
1 on ag_news with fewer."""
OFF_LAW = 0.004
"""How far a real curve lies off its power law, as a standard deviation of accuracy."""
REACH = 40.0
"""Points at fewer than 1 / REACH of the most labels are left out: the law holds worst where models hardly learn."""

ERROR = (-1.3, 1.3)
"""Prior of the error at the reference size: mean and standard deviation of its logit; 2 % to 78 % at two of them."""
FLOOR = (0.0, 1.3)
"""Prior of the floor as a share of that error, logit."""
RATE = (math.log(0.6), 0.5)
"""Prior of the exponent, log: .2 to 1.6 at two standard deviations. A wide choice of ours."""
START = (math.log(15.0), 1.5)
"""Prior of the start, log: 1 to 300 labels at two standard deviations."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; infinite where no end is in sight."""

    value: float
    lower: float
    upper: float

    def json(self, digits: int = 4) -> dict[str, float | None]:
        """Return it rounded; an infinite figure is None."""

        def plain(x: float) -> float | None:
            return round(x, digits) if math.isfinite(x) else None

        return {"value": plain(self.value), "lower": plain(self.lower), "upper": plain(self.upper)}


@dataclass(frozen=True, eq=False)
class Curve:
    """A fitted curve as s draws from its posterior. reference: labels at which `error` (s,) is the error. floor (s,):
    the error that no number of labels gets below. rate (s,): the exponent. start (s,): labels by which the law is
    shifted."""

    reference: float
    error: Doubles
    floor: Doubles
    rate: Doubles
    start: Doubles

    def errors(self, labels: npt.ArrayLike) -> Doubles:
        """Return the error at m numbers of labels, (s, m), at most 1."""
        n = np.atleast_1d(np.asarray(labels, np.float64))
        grown = (n[None, :] + self.start[:, None]) / (self.reference + self.start)[:, None]
        falls = np.exp(-self.rate[:, None] * np.log(grown))
        errors: Doubles = np.minimum(self.floor[:, None] + (self.error - self.floor)[:, None] * falls, 1.0)
        return errors

    def accuracy(self, labels: float) -> Estimate:
        """Return the accuracy with that many labels."""
        return estimate(1.0 - self.errors(labels)[:, 0])

    def gain(self, labels: float, more: float) -> Estimate:
        """Return the accuracy that `more` labels add to a model with `labels` of them."""
        errors = self.errors([labels, labels + more])
        return estimate(errors[:, 0] - errors[:, 1])

    def more_for(self, labels: float, points: float) -> Estimate:
        """Return how many labels beyond `labels` bring `points` more accuracy (.01 for one point); infinite where the
        floor is in the way."""
        wanted = self.errors(labels)[:, 0] - points
        return estimate(self.labels_at(wanted) - labels)

    def labels_at(self, error: Doubles) -> Doubles:
        """Return (s,) the labels at which each draw has this error (s,), at least 0; infinite where it never has."""
        with np.errstate(all="ignore"):
            share = (error - self.floor) / (self.error - self.floor)
            found = np.exp(np.log(self.reference + self.start) - np.log(share) / self.rate) - self.start
        reached: Doubles = np.where(share > 0, np.maximum(found, 0.0), np.inf)
        return reached


def estimate(draws: Doubles) -> Estimate:
    """Return the median of draws and the interval that holds LEVEL of them."""
    tail = (1 - LEVEL) / 2
    # "lower" and "higher" stay with draws, so that infinite ones do no arithmetic.
    value, lower, upper = (
        float(np.quantile(draws, q, method=method))  # type: ignore[call-overload]
        for q, method in ((0.5, "nearest"), (tail, "lower"), (1 - tail, "higher"))
    )
    return Estimate(value, lower, upper)


@dataclass(frozen=True, eq=False)
class Measured:
    """p accuracies (p,) and their covariance (p, p) as far as it comes of the tasks."""

    accuracy: Doubles
    noise: Doubles


@dataclass(frozen=True, eq=False)
class Points:
    """A measured curve: p models on the same n random tasks. labels (p,): what each was trained on, ascending. right
    (n, p) in 0..1. inside (n, p), outside (m, p): how far they agree with the present model on these tasks and on
    unlabelled ones, see `measure`."""

    labels: Doubles
    right: Doubles
    inside: Doubles
    outside: Doubles


def measure(right: Doubles, inside: Doubles | None = None, outside: Doubles | None = None) -> Measured:
    """Measure p models on the same n random labelled tasks. right: (n, p) in 0..1, how right each model (or the mean of
    several) is on each task.

    inside (n, p), outside (m, p): how far each agrees with one good model on these tasks, and on m random tasks without
    labels. That model's answers stand in for labels there, and the labelled tasks correct for its errors: unbiased
    whatever it is worth, and far more exact where it is good (prediction-powered inference: Angelopoulos, Duchi,
    Zrnic 2023, with a weight for each point).

    Tasks that are easy or hard for all models make accuracies rise and fall together; differences between points of
    one curve, and between two curves, are therefore known better than the accuracies. One task that all get right and
    one that all get wrong are added, so that a perfect score on few tasks is not taken for certain.
    """
    n, p = right.shape
    if inside is None or outside is None or len(outside) <= n:
        return Measured(right.mean(axis=0), _spread(_padded(right)) / n)
    pair = _spread(np.concatenate([_padded(right), _padded(inside)], axis=1))
    alike = np.diag(pair)[p:]
    share = np.diag(pair[:p, p:]) / np.maximum(alike, 1e-9) / (1 + n / len(outside))
    weight = np.clip(np.where(inside.std(axis=0) > 0, share, 0.0), 0.0, 1.0)
    accuracy = (right - weight * inside).mean(axis=0) + weight * outside.mean(axis=0)
    noise = _spread(_padded(right) - weight * _padded(inside)) / n + _spread(weight * outside) / len(outside)
    return Measured(np.clip(accuracy, 0.0, 1.0), noise)


def _padded(right: Doubles) -> Doubles:
    edge = np.zeros((1, right.shape[1]))
    return np.concatenate([right, edge, edge + 1.0])


def _spread(rows: Doubles) -> Doubles:
    found: Doubles = np.atleast_2d(np.cov(rows, rowvar=False))
    return found


def luck(labels: Doubles, accuracy: Doubles) -> Doubles:
    """Return the covariance (p, p) of accuracies that comes of which tasks were labelled: SPREAD, and what curves are
    off the law. Each training set holds the one before, so they share their luck."""
    error = np.clip(1.0 - accuracy, 0.02, 0.5)
    deviation = np.sqrt(SPREAD * error * (1 - error) / labels)
    shared = np.sqrt(np.minimum.outer(labels, labels) / np.maximum.outer(labels, labels))
    noise: Doubles = np.outer(deviation, deviation) * shared + OFF_LAW**2 * np.eye(len(labels))
    return noise


def fit(labels: npt.ArrayLike, accuracy: npt.ArrayLike, noise: Doubles, *, seed: int = 0) -> Curve | None:
    """Return the curve through p points; None where they are too few to say anything.

    labels, accuracy: (p,). noise: (p, p), their covariance: `measure` plus `luck` of the training set.
    """
    n, a = np.asarray(labels, np.float64), np.asarray(accuracy, np.float64)
    used = np.flatnonzero(n >= n.max(initial=0.0) / REACH) if len(n) else np.empty(0, np.int64)
    if len(used) < LEAST_POINTS or n[used].max() < 1.5 * n[used].min():
        return None
    n, a, noise = n[used], a[used], noise[np.ix_(used, used)]
    reference = float(np.exp(np.log(n).mean()))
    whiten = np.linalg.inv(np.linalg.cholesky(noise))

    def log_likelihood(theta: Doubles) -> Doubles:
        curve = _curve(theta, reference)
        residual = (a - (1.0 - curve.errors(n))) @ whiten.T
        found: Doubles = -0.5 * np.square(residual).sum(axis=1)
        return found

    priors = np.array([ERROR, FLOOR, RATE, START])
    return _curve(posterior(log_likelihood, priors[:, 0], priors[:, 1], seed=seed), reference)


def _curve(theta: Doubles, reference: float) -> Curve:
    error = expit(theta[:, 0])
    return Curve(reference, error, error * expit(theta[:, 1]), np.exp(theta[:, 2]), np.exp(theta[:, 3]))


def expit(x: Doubles) -> Doubles:
    """Return the logistic function."""
    found: Doubles = 1.0 / (1.0 + np.exp(-x))
    return found


__all__ = ["Curve", "Estimate", "Measured", "Points", "estimate", "fit", "luck", "measure"]
