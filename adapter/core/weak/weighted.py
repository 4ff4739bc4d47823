"""Weighted vote: each function's votes count by the log-odds that labels by people give them, shrunk to equal weights.

The guide to the weights is Nitzan and Paroush 1982: of independent voters the best rule adds log(p / (1 - p)) of each.
Functions are not independent, so their weights are fitted together, as the maximum a posteriori of a multinomial
logistic model of the label given the votes (Gaussian prior around equal weights): two functions that repeat each other
share their evidence. A model of labels *given* votes stays right when labels were chosen actively by looking at the
votes (missing at random, Rubin 1976); a rate among all rows would not.

Without labels it is majority vote. Few labels move it little and 50 much. Accuracy in % on covered rows without labels,
mean of ten draws of 25 / 50 / 100 / 200 random labels, majority in brackets, ties sharing their credit: youtube_spam
90.5 / 91.5 / 92.3 / 93.4 [85.6], ag_news with nine lists of words 83.0 / 83.2 / 83.4 / 83.8 [82.5]; F1 of sms_spam 88.6
/ 88.7 / 88.6 / 88.7 [88.7].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from adapter.core.weak.base import ABSTAIN, Labels, WeakVotes
from adapter.core.weak.lookup import Doubles, posteriors
from adapter.core.weak.majority import Majority
from adapter.core.weak.noisy_or import SILENT, FittedNoisyOr
from adapter.ports import Floats

EVEN_ODDS = math.log(9)
"""Log-odds of every vote before any label is seen: one vote in ten is wrong."""
SPREAD = 0.7
"""Standard deviation of the prior around EVEN_ODDS, and around 0 for what a vote says of the labels it is not for."""
LEAN = 0.1
"""Standard deviation of the prior around 0 of a label's own weight, whoever votes."""
STEP = 0.2
"""Weights are rounded to steps of this log-odds: less is no evidence, and shall not break a tie of votes. It keeps the
F1 of sms_spam from falling (88.7 instead of 88.5 with 25 labels), whose rules seldom meet a label."""
PRECISION = 0.75
PRECISION_STRENGTH = 10.0
"""With several labels at once: what is assumed of a vote's precision, and how many labels the assumption is worth."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedWeights:
    """weights: float64 (m, k + 1, k), what a vote adds to the log-odds of each label, at [function, 1 + vote, label];
    0 for abstaining. lean: (k,), added to each label."""

    weights: Doubles
    lean: Doubles

    def predict(self, votes: WeakVotes) -> Floats:
        """Return probabilities, float32 (n, k); NaN rows where nobody votes. A vote's confidence scales its weight."""
        if votes.confidence is None:
            return posteriors(votes.votes, self.weights, self.lean)
        scores = np.tile(self.lean, (len(votes.votes), 1))
        for column in range(votes.votes.shape[1]):
            rows = np.flatnonzero(votes.votes[:, column] > ABSTAIN)
            sure = _sure(votes.confidence[rows, column])
            scores[rows] += sure[:, None] * self.weights[column, 1 + votes.votes[rows, column]]
        scores -= scores.max(axis=1, keepdims=True)
        odds = np.exp(scores)
        answer: Floats = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        answer[~votes.covered] = np.nan
        return answer


@dataclass(frozen=True, slots=True)
class WeightedVote:
    """Log-odds weights of each function and label, learned from labels by people; see the module."""

    name: str = "weighted-vote"
    learns: bool = True

    def fit(
        self, votes: WeakVotes, labels: Labels, *, balance: Floats | None = None, seed: int = 0
    ) -> FittedWeights | Majority | FittedNoisyOr:
        """Learn from the labels of covered rows; balance and seed have no effect, for nothing of either is needed.

        Without such labels it is majority vote, or where several labels may hold at once evidence of equal weights.
        """
        if votes.multiple:
            return _by_label(votes, labels)
        there = np.flatnonzero(votes.covered[labels.rows])
        if not len(there):
            return Majority()
        return _weights(votes.at(labels.rows[there]), labels.targets[there], labels.weights[there])


def _weights(asked: WeakVotes, targets: Floats, weights: Floats) -> FittedWeights:
    """Return the weights that fit (g, k) targets best, with the prior; asked: the votes on these g rows.

    Only votes that occur among the asked rows can leave the prior, so the optimisation sees no others.
    """
    from scipy.optimize import minimize

    m, k = asked.votes.shape[1], asked.k
    asked, aims, sure = _canonical(asked, targets, weights)
    row, column = np.nonzero(asked.votes > ABSTAIN)
    cells, cell = np.unique(column * k + asked.votes[row, column], return_inverse=True)
    features = np.zeros((len(aims), len(cells) + 1))
    features[row, cell.reshape(-1)] = 1 if asked.confidence is None else _sure(asked.confidence[row, column])
    features[:, -1] = 1
    prior = np.zeros((len(cells) + 1, k))
    prior[np.arange(len(cells)), cells % k] = EVEN_ODDS
    tight = np.full((len(cells) + 1, 1), 1 / SPREAD**2)
    tight[-1] = 1 / LEAN**2
    known = features @ prior

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        moved = flat.reshape(-1, k)
        scores = known + features @ moved
        scores -= scores.max(axis=1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        slope = features.T @ (sure * (np.exp(logs) * aims.sum(axis=1, keepdims=True) - aims)) + tight * moved
        return float(-(sure * aims * logs).sum() + (tight * moved**2).sum() / 2), slope.ravel()

    found = minimize(
        loss,
        np.zeros(prior.size),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-9},
    )
    moved = found.x.reshape(-1, k)
    moved = np.round((moved - moved.mean(axis=1, keepdims=True)) / STEP) * STEP
    table = np.zeros((m, k + 1, k))
    table[:, 1:] = EVEN_ODDS * np.eye(k)
    table[cells // k, 1 + cells % k] += moved[:-1]
    return FittedWeights(table, moved[-1])


def _canonical(asked: WeakVotes, targets: Floats, weights: Floats) -> tuple[WeakVotes, Doubles, Doubles]:
    """Return votes, targets and weights (g, 1) of the asked rows sorted by their content: sums come out the same to the
    last bit for every order of rows."""
    keys = [*targets.T, weights, *asked.votes.T]
    if asked.confidence is not None:
        keys += [*asked.confidence.T]
    order = np.lexsort(keys).astype(np.int64)
    return asked.at(order), targets[order].astype(np.float64), weights[order].astype(np.float64)[:, None]


def _sure(confidence: Floats) -> Doubles:
    """Return confidences in 0..1, 1 where a function said nothing of it."""
    sure: Doubles = np.where(np.isnan(confidence), 1.0, np.clip(confidence, 0, 1)).astype(np.float64)
    return sure


def _by_label(votes: WeakVotes, labels: Labels) -> FittedNoisyOr:
    """Return evidence for each label alone: its log-odds are those of a label without voters plus, of each voter, how
    much its precision on that label is above that (naive Bayes on the votes that speak of the label).

    Both precisions, function by function and label by label, are shrunk (Beta prior): a function's to PRECISION, and
    its precision on one label to that of the function.
    """
    m, k = votes.votes.shape[1], votes.k
    said, holds, sure = votes.votes[labels.rows], labels.targets, labels.weights.astype(np.float64)
    there = (said > ABSTAIN).any(axis=1)
    said, holds, sure = said[there], holds[there], sure[there]
    tables = np.zeros((m, k + 1, k))
    quiet = np.full(k, SILENT)
    for label in range(k):
        silent = ~(said == label).any(axis=1)
        right = float((sure * holds[:, label])[silent].sum())
        quiet[label] = _shrunk(right, float(sure[silent].sum()), SILENT)
    start = np.log(quiet / (1 - quiet))
    spoken = np.zeros(k, bool)
    for column in range(m):
        spoken[np.unique(votes.votes[:, column][votes.votes[:, column] > ABSTAIN])] = True
        rows = np.flatnonzero(said[:, column] > ABSTAIN)
        hits = sure[rows] * holds[rows, said[rows, column]]
        mean = _shrunk(float(hits.sum()), float(sure[rows].sum()), PRECISION)
        for label in range(k):
            on = said[rows, column] == label
            precision = _shrunk(float(hits[on].sum()), float(sure[rows][on].sum()), mean)
            tables[column, 1 + label, label] = math.log(precision / (1 - precision)) - start[label]
    return FittedNoisyOr(tables, start, np.where(spoken, quiet, 0.5), odds=True)


def _shrunk(right: float, n: float, mean: float) -> float:
    """Return right / n, shrunk to a mean that is worth PRECISION_STRENGTH rows, within .001 and .999."""
    share = (right + mean * PRECISION_STRENGTH) / (n + PRECISION_STRENGTH)
    return min(max(share, 0.001), 0.999)
