"""How good weak labels are on the blind sample: the rows of the table of consolidators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from adapter.core.intervals import wilson
from adapter.core.weak.base import Bools, Labels
from adapter.core.weak.lookup import Doubles
from adapter.ports import Floats

EQUAL = 1e-6
"""Probabilities that differ by less are equal: the last bits of a sum shall not decide a tie."""
SURE = 0.999
"""Highest and (1 - SURE) lowest probability that the log loss takes a consolidator at its word for."""


@dataclass(frozen=True, slots=True)
class Score:
    """One row of the table of consolidators; every field survives JSON.

    accuracy: on covered blind rows, with its 95 % Wilson interval; None without any. n: covered blind rows. covered:
    share of all rows that have a weak label. ties: share of covered rows on which the best two labels are equal, 0 with
    several labels at once. log_loss: mean over covered blind rows of -log of the right label's probability, in nats.
    note: why there is no score.
    """

    name: str
    accuracy: float | None = None
    lower: float | None = None
    upper: float | None = None
    n: int = 0
    covered: float = 0.0
    ties: float = 0.0
    log_loss: float | None = None
    note: str = ""


def score(name: str, said: Floats, truth: Floats, everywhere: Floats, *, multiple: bool, note: str = "") -> Score:
    """Score one consolidator. said, truth: (b, k) probabilities and people's labels of the blind rows, uncovered ones
    NaN. everywhere: (n, k) probabilities of all rows."""
    covered: Bools = np.asarray(np.isfinite(everywhere).all(axis=1))
    tied = 0.0 if multiple or not covered.any() else float((best(everywhere[covered]).sum(axis=1) > 1).mean())
    share = float(covered.mean()) if len(covered) else 0.0
    asked = np.isfinite(said).all(axis=1)
    earned = credit(said[asked], truth[asked], multiple=multiple)
    if not len(earned):
        return Score(name, covered=share, ties=tied, note=note)
    right, n = float(earned.sum()), len(earned)
    lower, upper = wilson(min(right, n), n)
    loss = log_loss(said[asked], truth[asked], multiple=multiple)
    return Score(name, right / n, lower, upper, n, share, tied, loss, note)


def credit(said: Floats, truth: Floats, *, multiple: bool) -> Doubles:
    """Return the credit in 0..1 of each row of probabilities (b, k) against labels (b, k), soft, one-hot or multi-hot.

    With one label, a tie among t labels counts 1/t if the right one is among them: what chance would make of it, and no
    order of rows or labels decides. With several, a row is right when exactly the right labels are above one half.
    """
    if multiple:
        exact: Doubles = np.asarray(((said > 0.5) == (truth > 0.5)).all(axis=1), np.float64)
        return exact
    if not len(said):
        return np.zeros(0)
    top, right = best(said), best(truth)
    shared: Doubles = (top * (right / right.sum(axis=1, keepdims=True))).sum(axis=1) / top.sum(axis=1)
    return shared


def best(probabilities: Floats) -> Bools:
    """Return which labels of each row (n, k) share the greatest probability, up to EQUAL."""
    top: Bools = probabilities >= probabilities.max(axis=1, keepdims=True) - EQUAL
    return top


def log_loss(said: Floats, truth: Floats, *, multiple: bool) -> float:
    """Return the mean log loss in nats of probabilities (b, k) against labels (b, k); with several labels at once, the
    mean of theirs."""
    sure = np.clip(said.astype(np.float64), 1 - SURE, SURE)
    aims = truth.astype(np.float64)
    if multiple:
        return float(-(aims * np.log(sure) + (1 - aims) * np.log(1 - sure)).mean())
    aims = aims / np.maximum(aims.sum(axis=1, keepdims=True), EQUAL)
    return float(-(aims * np.log(sure)).sum(axis=1).mean())


def least_gain(candidate: Doubles, reference: Doubles) -> float:
    """Return the mean gain in credit (b,) on the same rows, less its standard error: above 0 it is more than luck (the
    one-standard-error rule, Hastie et al. 2009, section 7.10). One imagined row without gain, and one that contradicts
    in the error, keep a few equal gains from being taken for certain."""
    gain = candidate - reference
    n = len(gain)
    error = float(np.sqrt((gain.var() * n + 1) / (n + 1) / (n + 1))) if n else 1.0
    return float(gain.sum()) / (n + 1) - error


def covered_credits(said: Mapping[str, Floats], truth: Floats, *, multiple: bool) -> dict[str, Doubles]:
    """Return each consolidator's credit on the blind rows that have a weak label from all of them."""
    if not said:
        return {}
    asked = np.logical_and.reduce([np.isfinite(answer).all(axis=1) for answer in said.values()])
    return {name: credit(answer[asked], truth[asked], multiple=multiple) for name, answer in said.items()}


def class_balance(labels: Labels, k: int) -> Floats:
    """Return the labels' shares in a *random* sample, float32 (k,), shrunk to equal shares that are worth five rows a
    label (Dirichlet prior). Labels of actively chosen rows must not enter: their shares are not those of the tasks."""
    worth = labels.targets.astype(np.float64) * labels.weights[:, None]
    sums = np.sort(worth, axis=0).sum(axis=0) + 5.0
    shares: Floats = (sums / sums.sum()).astype(np.float32)
    return shares
