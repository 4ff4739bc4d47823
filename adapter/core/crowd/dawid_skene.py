"""Dawid and Skene's model: a confusion matrix a person, drawn to the crowd's where the person said little."""

from __future__ import annotations

import numpy as np

from .fitted import ROUNDS, TOLERANCE, Fitted
from .skill import PRIOR_ACCURACY, Doubles
from .votes import Ballots

OWN_STRENGTH = 2.0
"""Number of votes on a class that the crowd's confusion is worth against a person's own. See `dawid_skene`."""
CROWD_STRENGTH = 20.0
"""Number of votes on a class that "right nine times in ten, else evenly wrong" is worth against the crowd's."""
CLASS_STRENGTH = 20.0
"""Overlapping tasks that "all classes alike" is worth against the estimated shares: so that no class dies out, and that
single votes alone, on which nobody can be judged, do not drown a rare class in a frequent one."""


def dawid_skene(
    ballots: Ballots, *, own: float = OWN_STRENGTH, crowd: float = CROWD_STRENGTH, rounds: int = ROUNDS
) -> Fitted:
    """Fit a confusion matrix for each annotator by EM, from the majority's shares.

    Row c of an annotator's matrix has a Dirichlet prior with mean at the crowd's pooled row c, worth `own` votes; the
    pooled row has one with mean at the one-coin row (PRIOR_ACCURACY), worth `crowd` votes. So an annotator who met a
    class seldom is taken to confuse it as the crowd does, and a crowd that met it seldom to be careful. Class shares
    are estimated, smoothed by CLASS_STRENGTH. Source: Dawid and Skene 1979, equations 2.3 to 2.5; the pooled prior is
    the hierarchical model of Paun et al. 2018 (section 3.2) with its hyper-parameters fixed and the pool by its mean.
    """
    k = ballots.k
    posterior = ballots.shares()
    confusion = confusion_of(ballots, posterior, own, crowd)
    for _ in range(rounds):
        before = posterior
        posterior = ballots.truth_given(np.log(confusion), np.log(class_shares(posterior, ballots)))
        confusion = confusion_of(ballots, posterior, own, crowd)
        if np.abs(posterior - before).max(initial=0.0) < TOLERANCE:
            break
    assert confusion.shape == (ballots.m, k, k)
    return Fitted(posterior, confusion)


def class_shares(posterior: Doubles, ballots: Ballots) -> Doubles:
    """Return the (k,) shares of the classes among tasks of which something is known, smoothed by CLASS_STRENGTH: the
    fewer tasks overlap, the more alike."""
    on = (ballots.people_per_task > 0) | (ballots.known >= 0)
    overlap = float(ballots.telling.sum())
    even = np.full(ballots.k, 1 / ballots.k)
    if overlap == 0:
        return even
    return np.asarray((overlap * posterior[on].mean(axis=0) + CLASS_STRENGTH * even) / (overlap + CLASS_STRENGTH))


def confusion_of(ballots: Ballots, posterior: Doubles, own: float, crowd: float) -> Doubles:
    """Return (m, k, k), the shrunk confusion of each annotator under this posterior."""
    k = ballots.k
    counts = ballots.judged(posterior)
    eye = np.eye(k)
    careful = PRIOR_ACCURACY * eye + (1 - PRIOR_ACCURACY) / (k - 1) * (1 - eye)
    pooled = counts.sum(axis=0) + crowd * careful
    pooled /= pooled.sum(axis=1, keepdims=True)
    shrunk = counts + own * pooled
    return np.asarray(shrunk / shrunk.sum(axis=2, keepdims=True))
