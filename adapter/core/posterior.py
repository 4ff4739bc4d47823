"""Draws from the posterior of a few real parameters: adaptive multiple importance sampling.

No gradients, no chains to diagnose, the same draws for the same seed, and wide posteriors (little data, curved ridges)
are no trouble, as every proposal keeps a share of the prior.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
LogLikelihood = Callable[[Doubles], Doubles]

ROUNDS = 6
EACH = 3000
"""Proposals of a round."""
FREEDOM = 5.0
"""Degrees of freedom of the t proposals: heavier tails than any posterior here has."""
FROM_PRIOR = 0.1
ENOUGH = 200.0
"""Effective draws that the next proposal is fitted to; the weights are tempered until there are as many."""


def posterior(
    log_likelihood: LogLikelihood, mean: Doubles, deviation: Doubles, *, seed: int, draws: int = 2000
) -> Doubles:
    """Return equally weighted draws (draws, d) from the posterior under independent normal priors.

    log_likelihood: parameters (m, d) to (m,); minus infinity and NaN mean impossible. mean, deviation: (d,) of the
    priors. Weights are those of the mixture of all proposals. Source: Cornuet, Marin, Mira, Robert 2012 (adaptive
    multiple importance sampling), with tempered weights for the next proposal.
    """
    rng = np.random.default_rng(seed)
    d = len(mean)
    centres: list[Doubles] = []
    roots: list[Doubles] = []
    points: Doubles = np.empty((0, d))
    target: Doubles = np.empty(0)
    weights: Doubles = np.empty(0)
    for round_ in range(ROUNDS):
        fresh = mean + deviation * rng.standard_normal((EACH, d))
        if centres:
            adapted = rng.random(EACH) >= FROM_PRIOR
            noise = rng.standard_normal((EACH, d)) * np.sqrt(FREEDOM / rng.chisquare(FREEDOM, (EACH, 1)))
            fresh = np.where(adapted[:, None], centres[-1] + noise @ roots[-1].T, fresh)
        with np.errstate(all="ignore"):
            likely = np.nan_to_num(log_likelihood(fresh), nan=-np.inf, posinf=-np.inf, neginf=-np.inf)
        points = np.concatenate([points, fresh])
        target = np.concatenate([target, likely + _log_normal(fresh, mean, deviation)])
        prior = _log_normal(points, mean, deviation)
        # The mixture of everything that was proposed so far, the first round being the prior alone.
        parts = [prior + np.log((1 + FROM_PRIOR * round_) / (round_ + 1))]
        parts += [
            _log_t(points, centre, root) + np.log((1 - FROM_PRIOR) / (round_ + 1))
            for centre, root in zip(centres, roots, strict=True)
        ]
        log_weights = target - np.logaddexp.reduce(np.stack(parts), axis=0)
        if not np.isfinite(log_weights).any():  # nothing fits: say what was known before
            log_weights = np.where(np.arange(len(points)) < EACH, 0.0, -np.inf)
        weights = _normal(log_weights)
        soft = _tempered(log_weights)
        centre = soft @ points
        spread = (points - centre).T @ ((points - centre) * soft[:, None])
        centres.append(centre)
        root = np.asarray(np.linalg.cholesky(spread + 1e-9 * np.eye(d)), np.float64)
        roots.append(root)
    # Systematic resampling: less noise than independent draws.
    places = (np.arange(draws) + rng.random()) / draws
    rows = np.minimum(np.searchsorted(np.cumsum(weights), places), len(points) - 1)
    found: Doubles = points[rows]
    return found


def _normal(log_weights: Doubles) -> Doubles:
    weights: Doubles = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    return weights


def _tempered(log_weights: Doubles) -> Doubles:
    """Return weights to the highest power up to 1 at which they still stand for ENOUGH draws."""
    low, high = 0.0, 1.0
    finite = np.where(np.isfinite(log_weights), log_weights, log_weights[np.isfinite(log_weights)].min() - 1e3)
    if _effective(_normal(finite)) >= ENOUGH:
        return _normal(finite)
    for _ in range(30):
        power = (low + high) / 2
        low, high = (power, high) if _effective(_normal(power * finite)) >= ENOUGH else (low, power)
    return _normal(low * finite)


def _effective(weights: Doubles) -> float:
    return float(1.0 / np.square(weights).sum())


def _log_normal(points: Doubles, mean: Doubles, deviation: Doubles) -> Doubles:
    scaled = (points - mean) / deviation
    density: Doubles = -0.5 * np.square(scaled).sum(axis=1) - np.log(deviation).sum() - 0.5 * len(mean) * _LOG_TAU
    return density


def _log_t(points: Doubles, centre: Doubles, root: Doubles) -> Doubles:
    from scipy.special import gammaln

    d = len(centre)
    scaled = np.linalg.solve(root, (points - centre).T)
    distance = np.square(scaled).sum(axis=0)
    density: Doubles = (
        gammaln((FREEDOM + d) / 2)
        - gammaln(FREEDOM / 2)
        - 0.5 * d * np.log(FREEDOM * np.pi)
        - np.log(np.diag(root)).sum()
        - 0.5 * (FREEDOM + d) * np.log1p(distance / FREEDOM)
    )
    return density


_LOG_TAU = float(np.log(2 * np.pi))

__all__ = ["Doubles", "posterior"]
