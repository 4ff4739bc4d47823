"""Strengths from comparisons: who beats whom, how surely."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .skill import Doubles
from .votes import Ints

PRIOR = 0.5
"""Comparisons won, and as many lost, of each item against an imaginary one of average strength: keeps the strengths
finite where an item always wins, and defined where the comparisons fall into separate groups."""
ROUNDS = 10_000
TOLERANCE = 1e-9


def strengths(
    winner: Ints, loser: Ints, n: int, weights: npt.ArrayLike | None = None, *, prior: float = PRIOR
) -> tuple[Doubles, Doubles]:
    """Return log strengths theta (n,), of mean 0, and their standard errors (n,): item i beats j with probability
    1 / (1 + exp(theta[j] - theta[i])).

    winner, loser: (c,) item indices 0..n-1, one entry a comparison. weights: (c,) of each comparison, 1 by default; a
    tie is two entries of weight one half, one each way; a ranking is all its pairs. Items without comparisons get the
    prior: theta near 0, a wide error. Fitted by the MM algorithm, until no theta moves by more than 1e-9; errors from
    the inverse of the information at the maximum. Source: Hunter 2004, sections 2 and 3; the prior as in Caron and
    Doucet 2012, section 2.2. Raises ValueError for indices outside 0..n-1, weights that are negative or not finite, an
    item compared with itself, or a prior that is not positive.
    """
    winner, loser = np.asarray(winner, np.int64).ravel(), np.asarray(loser, np.int64).ravel()
    weight = np.ones(len(winner)) if weights is None else np.asarray(weights, np.float64).ravel()
    if not len(winner) == len(loser) == len(weight):
        raise ValueError(f"comparisons of different lengths: {len(winner)}, {len(loser)}, {len(weight)} weights")
    both = np.concatenate([winner, loser])
    if len(both) and (both.min() < 0 or both.max() >= n):
        raise ValueError(f"a compared item lies outside 0..{n - 1}")
    if (winner == loser).any():
        raise ValueError("an item cannot be compared with itself")
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise ValueError("weights of comparisons must be finite and not negative")
    if prior <= 0:
        raise ValueError(f"the prior must be positive, got {prior}")
    if n == 0:
        return np.zeros(0), np.zeros(0)
    low, high = np.minimum(winner, loser), np.maximum(winner, loser)
    pairs, at = np.unique(low * n + high, return_inverse=True)
    first, second = pairs // n, pairs % n
    met = np.bincount(at, weights=weight, minlength=len(pairs))
    won = np.bincount(winner, weights=weight, minlength=n) + prior

    def total(per_pair: Doubles) -> Doubles:
        sums = np.bincount(first, per_pair, minlength=n) + np.bincount(second, per_pair, minlength=n)
        return np.asarray(sums, np.float64)

    theta: Doubles = np.zeros(n)
    for _ in range(ROUNDS):
        strength = np.exp(theta)
        # The imaginary item stays at strength 1; the mean is taken out at the end only.
        load = total(met / (strength[first] + strength[second])) + 2 * prior / (strength + 1)
        before, theta = theta, np.asarray(np.log(won / load))
        if np.abs(theta - before).max() < TOLERANCE:
            break
    chance = 1 / (1 + np.exp(theta[second] - theta[first]))
    told = met * chance * (1 - chance)
    sure = 1 / (1 + np.exp(-theta))
    information = np.diag(total(told) + 2 * prior * sure * (1 - sure))
    np.add.at(information, (first, second), -told)
    np.add.at(information, (second, first), -told)
    centre = np.eye(n) - 1 / n
    spread = centre @ np.linalg.inv(information) @ centre if n > 1 else np.linalg.inv(information)
    return theta - theta.mean(), np.sqrt(np.maximum(np.diag(spread), 0.0))
