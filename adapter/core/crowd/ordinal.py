"""Labels that have an order (ratings, grades): people miss by a step more often than by four."""

from __future__ import annotations

import numpy as np

from .dawid_skene import class_shares
from .fitted import ROUNDS, TOLERANCE, Fitted
from .skill import Doubles
from .votes import Ballots

OWN_STRENGTH = 20.0
"""Number of votes that the crowd's leniency and spread are worth against a person's own."""
NORMAL_STRENGTH = 10.0
"""Number of votes on a class that the discretised normal is worth against the person's counts."""
START_SPREAD = 0.75
"""Standard deviation, in steps, of the crowd's error before anything is known, worth OWN_STRENGTH votes."""
LEAST_SPREAD = 0.25
SLIP = 0.01
"""Chance of a slip to any label, so that no vote is impossible."""


def ordinal(ballots: Ballots, *, rounds: int = ROUNDS) -> Fitted:
    """Fit Dawid and Skene's model with confusions drawn to a discretised normal error, by EM.

    An annotator with leniency b and spread s says d of a true c with the chance that c + b + s * (standard normal)
    rounds to d, the end labels taking the tails. b and s are estimated from expected errors, shrunk to the crowd's;
    counts then move the confusion away from the normal where there are many. Source: the discretised normal of
    Lakshminarayanan and Teh 2013 (section 2) and Rogers, Girolami and Polajnar 2010, as a prior on Dawid and Skene
    1979.
    """
    posterior = ballots.shares()
    confusion = _confusion(ballots, posterior)
    for _ in range(rounds):
        before = posterior
        posterior = ballots.truth_given(np.log(confusion), np.log(class_shares(posterior, ballots)))
        confusion = _confusion(ballots, posterior)
        if np.abs(posterior - before).max(initial=0.0) < TOLERANCE:
            break
    return Fitted(posterior, confusion)


def _confusion(ballots: Ballots, posterior: Doubles) -> Doubles:
    """Return (m, k, k): counts drawn to each person's discretised normal."""
    from scipy.special import ndtr

    k = ballots.k
    counts = ballots.judged(posterior)
    error = np.arange(k)[None, :] - np.arange(k)[:, None]
    n = counts.sum(axis=(1, 2))
    first, second = (counts * error).sum(axis=(1, 2)), (counts * error**2).sum(axis=(1, 2))
    crowd_lean = first.sum() / (n.sum() + OWN_STRENGTH)
    around = second.sum() - 2 * crowd_lean * first.sum() + crowd_lean**2 * n.sum()
    crowd_spread = (around + OWN_STRENGTH * START_SPREAD**2) / (n.sum() + OWN_STRENGTH)
    lean = (first + OWN_STRENGTH * crowd_lean) / (n + OWN_STRENGTH)
    own = second - 2 * lean * first + lean**2 * n
    spread = np.maximum(np.sqrt((own + OWN_STRENGTH * crowd_spread) / (n + OWN_STRENGTH)), LEAST_SPREAD)
    centre = np.arange(k)[None, :, None] + lean[:, None, None]
    edges = np.concatenate([[-np.inf], np.arange(k - 1) + 0.5, [np.inf]])
    normal = np.diff(ndtr((edges - centre) / spread[:, None, None]), axis=2)
    normal = (1 - SLIP) * normal + SLIP / k
    shrunk = counts + NORMAL_STRENGTH * normal
    return np.asarray(shrunk / shrunk.sum(axis=2, keepdims=True))
