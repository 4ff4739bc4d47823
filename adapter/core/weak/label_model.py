"""Snorkel 0.10's label model (Ratner et al. 2019, "Training Complex Models with Multi-Task Weak Supervision", AAAI), at
scale.

Snorkel learns P(vote | label) of each function from one matrix, O: how often two functions vote this and that
together. It makes O of a dense one-hot matrix, rows x functions x labels of 8 bytes, in fit and again in predict. Here
O is counted in bits (`moments`), predictions are table look-ups (`lookup`), and the optimisation between the two is
Snorkel's, step for step, in numpy: the same start, loss, gradient, momentum, clamping and choice among permutations of
the labels. So the probabilities are Snorkel's under the same settings; `snorkel.SnorkelLabelModel` runs Snorkel's own
class, for its other options (optimisers, schedules of the learning rate), and the tests compare the two.

What is odd in Snorkel's probabilities is kept, for they are meant to be the same: abstaining says nothing; and rows on
which all functions agree may get a probability far from 1, or even another label, where the optimisation has not
converged or has overfitted (with 500 epochs accuracy fell below majority vote on three public sets of four).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.weak.base import Labels, WeakVotes
from adapter.core.weak.lookup import Doubles, posteriors
from adapter.core.weak.moments import pair_counts
from adapter.ports import Floats

EPOCHS = 100
"""Snorkel's own default. Its tutorial's 500 overfit: 75.9 instead of 85.3 on YouTube, below plain majority (79.6)."""
MOMENTUM = 0.9
MOST_CELLS = 4096
"""Functions x labels at most: O has the square of it, and each epoch goes over O a few times."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What Snorkel calls its train config, by its names, with its defaults.

    class_balance: (k,) shares of the labels, None for equal ones. n_epochs: steps of gradient descent over O. lr: their
    length. l2: weight of staying near the start. prec_init: precision assumed of each function at the start, one for
    all or one each. mu_eps: P(vote | label) is kept in mu_eps..1 - mu_eps; None for one over the number of rows,
    rounded to a power of ten, at most .01.
    """

    class_balance: tuple[float, ...] | None = None
    n_epochs: int = EPOCHS
    lr: float = 0.01
    l2: float = 0.0
    prec_init: float | tuple[float, ...] = 0.7
    mu_eps: float | None = None


DEFAULTS = Settings()


@dataclass(frozen=True, slots=True, eq=False)
class FittedLabelModel:
    """What the label model has learned. conditional: float64 (m, k, k), P(function votes y | label z) at [., y, z], 1
    for functions that never voted, which say nothing. prior: (k,) shares of the labels."""

    conditional: Doubles
    prior: Doubles

    def predict(self, votes: WeakVotes) -> Floats:
        """Return the posteriors, float32 (n, k); NaN rows where nobody votes. Raises ValueError for another number of
        functions or labels than it was fitted to."""
        m, k = self.conditional.shape[:2]
        if votes.votes.shape[1] != m or votes.k != k:
            raise ValueError(f"fitted to {m} functions and {k} labels, asked {votes.votes.shape[1]} and {votes.k}")
        tables = np.zeros((m, k + 1, k))
        tables[:, 1:] = np.log(self.conditional)
        return posteriors(votes.votes, tables, np.log(self.prior))


@dataclass(frozen=True, slots=True)
class LabelModel:
    """Learns each function's accuracy from how the functions agree, without any label by people.

    settings: Snorkel's. The class balance stays equal unless it is set there, whatever balance `fit` is told: given the
    *true* one the F1 on SMS spam fell from 87.5 to 43.2. The seed scales the start, as in Snorkel; no global random
    state is read or changed.
    """

    settings: Settings = DEFAULTS
    name: str = "label-model"
    learns: bool = False

    def fit(
        self, votes: WeakVotes, labels: Labels, *, balance: Floats | None = None, seed: int = 0
    ) -> FittedLabelModel:
        """Learn from all votes; labels and balance have no effect. Row order does not matter: only counts are seen.

        Raises ValueError with fewer than three functions that ever vote, fewer than two labels, several labels that may
        hold at once, settings that do not fit, and when the optimisation ends in NaN.
        """
        settings, k = self.settings, votes.k
        voting = voting_functions(votes)
        prior = checked(settings, votes, voting)
        counts = pair_counts(votes.votes[:, voting] if not voting.all() else votes.votes, k)
        n = len(votes.votes)
        start = settings.prec_init
        precision = np.full(len(voting), start) if isinstance(start, (int, float)) else np.asarray(start)
        moments = (counts / n).astype(np.float32)
        mu = _descend(moments, prior, precision[voting], settings, seed)
        eps = settings.mu_eps if settings.mu_eps is not None else min(0.01, 1 / 10 ** np.ceil(np.log10(n)))
        mu = trusting(np.clip(mu, np.float32(eps), np.float32(1 - eps)), prior)
        conditional = np.ones((len(voting), k, k))
        conditional[voting] = mu.reshape(-1, k, k)
        return FittedLabelModel(conditional, prior)


def voting_functions(votes: WeakVotes) -> npt.NDArray[np.bool_]:
    """Return which functions ever vote, (m,)."""
    return np.asarray(votes.votes.max(axis=0, initial=-1) >= 0)


def checked(settings: Settings, votes: WeakVotes, voting: npt.NDArray[np.bool_]) -> Doubles:
    """Return the prior (k,). Raises ValueError, saying why, when the label model cannot be fitted to such votes."""
    k = votes.k
    if votes.multiple:
        raise ValueError("the label model makes labels exclude each other, but here several may hold at once")
    active = int(voting.sum())
    if active < 3:
        raise ValueError(f"the label model needs at least 3 functions that vote, there are {active}")
    if k < 2:
        raise ValueError(f"the label model needs at least 2 labels, there are {k}")
    if active * k > MOST_CELLS:
        raise ValueError(
            f"the label model is limited to {MOST_CELLS} functions x labels, there are {active} x {k}; leave out the "
            "functions that add least"
        )
    balance = settings.class_balance
    if balance is not None and (len(balance) != k or not all(0 < share < np.inf for share in balance)):
        raise ValueError(f"the class balance needs {k} positive shares, got {balance}")
    start = settings.prec_init
    if not isinstance(start, (int, float)) and len(start) != len(voting):
        raise ValueError(f"prec_init needs one number, or {len(voting)} for as many functions, got {len(start)}")
    return np.full(k, 1 / k) if balance is None else np.array(balance, np.float64)


def _descend(moments: Floats, prior: Doubles, precision: Doubles, settings: Settings, seed: int) -> Floats:
    """Return mu, float32 (m * k, k), that minimises |O - mu P mu'|^2 off the functions' own blocks + |mu p - diag O|^2.

    moments: O, float32 (m * k, m * k). precision: (m,). In float32 as Snorkel: near a saddle the last bits of its
    arithmetic decide, and those of float64 are no better. Raises ValueError when it does not stay finite.
    """
    cells, k = len(moments), len(prior)
    seen = np.diag(moments).copy()
    p = prior.astype(np.float32)
    start = np.zeros((cells, k), np.float32)
    share = np.clip(seen * np.repeat(precision, k).astype(np.float32) / np.tile(p, cells // k), 0, 1)
    start[np.arange(cells), np.tile(np.arange(k), cells // k)] = share
    mu: Floats = start * np.float32(np.random.RandomState(seed).random_sample())
    own = np.arange(cells // k)
    l2, lr, momentum = np.float32(settings.l2), np.float32(settings.lr), np.float32(MOMENTUM)
    velocity = np.zeros_like(mu)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(settings.n_epochs):
            weighted = mu * p
            gap = moments - weighted @ mu.T
            gap.reshape(len(own), k, len(own), k)[own, :, own, :] = 0  # a function's votes exclude each other
            slope = gap @ weighted
            slope *= -4
            slope += 2 * (weighted.sum(axis=1) - seen)[:, None] * p
            if l2:  # Snorkel's own term around the start, and its optimiser's weight decay by the same number
                slope += 2 * l2 * l2 * (mu - start) + l2 * mu
            velocity = momentum * velocity + slope
            mu = mu - lr * velocity
            if not np.isfinite(mu).all():
                raise ValueError(f"the label model could not be fitted: it diverged; lower lr, which is {settings.lr}")
    return mu


def trusting(mu: Floats, prior: Doubles) -> Floats:
    """Return mu with its columns permuted such that functions are right as often as possible.

    The loss is the same for every permutation of labels with the same prior; Snorkel's
    `_break_col_permutation_symmetry` takes the one that trusts the authors most, and so does this.
    """
    k = len(prior)
    right = mu.reshape(-1, k, k).sum(axis=0) * prior.astype(np.float32)
    order = np.arange(k)
    same = np.around(prior.astype(np.float32), 3)
    for share in np.unique(same):
        group = np.flatnonzero(same == share)
        gain = right[np.ix_(group, group)]
        if (gain.argmax(axis=1) == np.arange(len(group))).all():
            continue  # each label has its best column already, as nearly always

        from scipy.optimize import linear_sum_assignment

        said, column = linear_sum_assignment(gain, maximize=True)
        if gain[said, column].sum() > np.trace(gain):
            order[group[said]] = group[column]
    return mu[:, order]
