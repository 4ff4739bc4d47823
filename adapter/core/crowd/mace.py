"""MACE: who knows, and who clicks something else. A competence and a habit a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .dawid_skene import class_shares, dawid_skene
from .fitted import ROUNDS, TOLERANCE, Fitted
from .one_coin import one_coin
from .skill import Doubles
from .votes import Ballots

COMPETENCE_PRIOR = (0.5, 0.5)
"""Beta prior of (knows, does not), the paper's for variational Bayes."""
HABIT_PRIOR = 1.0
"""Dirichlet prior of each label of the habit: flat. (The published software's 10 draws all habits to even clicking; the
flat one gains 0.4 points in the mean over the sets of `benchmarks.crowd`.)"""


@dataclass(frozen=True)
class _Beliefs:
    """Variational posterior. competence: (m, 2) Beta counts of knowing and not. habit: (m, k) Dirichlet counts."""

    competence: Doubles
    habit: Doubles

    def mean(self) -> Doubles:
        """Return the expected confusion (m, k, k)."""
        knows = self.competence / self.competence.sum(axis=1, keepdims=True)
        return _confusion(knows, self.habit / self.habit.sum(axis=1, keepdims=True))

    def geometric(self) -> tuple[Doubles, Doubles]:
        """Return exp of the expected logarithms, (m, 2) and (m, k): what variational updates weigh votes with."""
        return _exp_log(self.competence), _exp_log(self.habit)

    def divergence(self) -> float:
        """Return the Kullback-Leibler divergence from the prior, over all annotators."""
        start = np.array(COMPETENCE_PRIOR)
        return _divergence(self.competence, start) + _divergence(self.habit, np.full(self.habit.shape[1], HABIT_PRIOR))


def mace(ballots: Ballots, *, informed: bool = True, rounds: int = ROUNDS) -> Fitted:
    """Fit MACE by variational Bayes: with probability `competence` an annotator gives the true label, else one drawn
    from a habit (distribution over labels) of their own that does not look at the task.

    Source: Hovy et al. 2013, sections 2.1 and 2.2, with two departures. The classes' shares are estimated: with equal
    shares a class of one in eight is explained away as somebody's habit (84 instead of 94 % on product pairs). And the
    fit with the best evidence lower bound is taken over starts from the majority's shares and, if `informed`, from the
    one-coin and Dawid-Skene posteriors, not from random ones: those would break a tie of two equals by chance, which is
    a silent guess. (On all sets of `benchmarks.crowd` random starts reach the same fit.)
    """
    starts = [ballots.shares()]
    if informed:
        starts += [one_coin(ballots).posterior, dawid_skene(ballots).posterior]
    fits = [_fit(ballots, start, rounds) for start in starts]
    # Bounds within a millionth of a nat a vote are one fit: the first is taken, so that rounding decides nothing.
    best = max(bound for _, bound in fits) - 1e-6 * len(ballots.task)
    return next(fit for fit, bound in fits if bound >= best)


def _fit(ballots: Ballots, posterior: Doubles, rounds: int) -> tuple[Fitted, float]:
    """Return the fit that this start leads to, and its evidence lower bound."""
    given = np.asarray(ballots.heard @ ballots.telling.astype(np.float64)).reshape(ballots.m, ballots.k)
    competence: Doubles = np.full((ballots.m, 2), 0.5)
    habit: Doubles = np.full((ballots.m, ballots.k), 1 / ballots.k)
    beliefs, shares = _Beliefs(competence, habit), class_shares(posterior, ballots)
    for _ in range(rounds):
        hit = np.einsum("jcc->jc", ballots.judged(posterior))
        known = hit * competence[:, :1] / (competence[:, :1] + competence[:, 1:] * habit)
        blind = np.maximum(given - known, 0.0)
        told = np.stack([known.sum(axis=1), blind.sum(axis=1)], axis=1)
        beliefs = _Beliefs(np.array(COMPETENCE_PRIOR) + told, HABIT_PRIOR + blind)
        competence, habit = beliefs.geometric()
        shares = class_shares(posterior, ballots)
        before, posterior = posterior, ballots.truth_given(np.log(_confusion(competence, habit)), np.log(shares))
        if np.abs(posterior - before).max(initial=0.0) < TOLERANCE:
            break
    bound = ballots.log_evidence(np.log(_confusion(competence, habit)), np.log(shares)) - beliefs.divergence()
    return Fitted(posterior, beliefs.mean()), bound


def _confusion(competence: Doubles, habit: Doubles) -> Doubles:
    """Return (m, k, k), truth by said: knows times identity plus does-not times habit."""
    return np.asarray(competence[:, 0, None, None] * np.eye(habit.shape[1]) + (competence[:, 1:] * habit)[:, None, :])


def _exp_log(counts: Doubles) -> Doubles:
    """Return exp(E[log p]) under Dirichlet rows."""
    from scipy.special import digamma

    return np.asarray(np.exp(digamma(counts) - digamma(counts.sum(axis=1, keepdims=True))))


def _divergence(counts: Doubles, prior: Doubles) -> float:
    """Return the summed Kullback-Leibler divergence of Dirichlet rows from one Dirichlet."""
    from scipy.special import digamma, gammaln

    total = counts.sum(axis=1)
    rows = gammaln(total) - gammaln(counts).sum(axis=1) - gammaln(prior.sum()) + gammaln(prior).sum()
    rows = rows + ((counts - prior) * (digamma(counts) - digamma(total)[:, None])).sum(axis=1)
    return float(rows.sum())
