"""The one-coin model: one accuracy a person. Few parameters, so it stands on little overlap."""

from __future__ import annotations

import numpy as np

from .fitted import ROUNDS, TOLERANCE, Fitted
from .skill import PRIOR_ACCURACY, PRIOR_STRENGTH, Doubles
from .votes import Ballots


def one_coin(ballots: Ballots, *, rounds: int = ROUNDS) -> Fitted:
    """Fit the one-coin model by EM: each annotator is right with one probability, wrong evenly over the other labels.

    All classes are equally likely a priori, which keeps rare classes from being explained away. Accuracy is the
    posterior mean under Beta(18, 2), see PRIOR_STRENGTH. Source: Dawid and Skene 1979 with one parameter an annotator
    ("one-coin", Zhang et al. 2014, section 2).
    """
    k, m = ballots.k, ballots.m
    right_prior = PRIOR_ACCURACY * PRIOR_STRENGTH
    on = ballots.telling[ballots.task]
    who, task, label, weight = ballots.annotator[on], ballots.task[on], ballots.label[on], ballots.weight[on]
    n = np.bincount(who, weights=weight, minlength=m)
    prior = np.zeros(k)

    accuracy = np.full(m, PRIOR_ACCURACY)
    posterior = ballots.truth_given(np.log(_confusion(accuracy, k)), prior)
    for _ in range(rounds):
        right = np.bincount(who, weights=posterior[task, label] * weight, minlength=m)
        accuracy = (right_prior + right) / (PRIOR_STRENGTH + n)
        before, posterior = posterior, ballots.truth_given(np.log(_confusion(accuracy, k)), prior)
        if np.abs(posterior - before).max(initial=0.0) < TOLERANCE:
            break
    return Fitted(posterior, _confusion(accuracy, k))


def _confusion(accuracy: Doubles, k: int) -> Doubles:
    """Return (m, k, k): right with `accuracy`, else evenly wrong."""
    sure = np.clip(accuracy, 1e-6, 1 - 1e-6)[:, None, None]
    eye = np.eye(k)
    return np.asarray(sure * eye + (1 - sure) / (k - 1) * (1 - eye))
