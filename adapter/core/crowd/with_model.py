"""A model's opinion beside the people's: as one more voice, heard as loudly as it has deserved."""

from __future__ import annotations

import numpy as np

from adapter.ports import Floats

from .skill import Doubles

FLOOR = 1e-6
LEAST_ROWS = 50
"""Tasks with a consensus below which a model cannot be calibrated and is not heard."""
RIDGE = 1.0
"""Weight of the prior that draws the slope to 0 ("the model knows nothing") and keeps separable tables finite."""


def with_model(posterior: Doubles, model_probabilities: Floats | Doubles) -> Doubles:
    """Return the people's posterior (t, k) times the model's calibrated opinion, renormalised: a logarithmic opinion
    pool of voices that err independently given the truth.

    posterior: (t, k) of the people's consensus. model_probabilities: (t, k), *out of sample*, NaN rows where there are
    none; those rows stay the people's. The model is calibrated against the consensus as soft truth: its log
    probabilities, centred, get one slope and an intercept for each class by multinomial logistic regression; what is
    multiplied is its likelihood ratio (calibrated probability over class share), since the people's posterior holds the
    class shares already. In spirit CROWDLAB (Goh et al. 2022) with Dawid-Skene in place of its agreement weights;
    pooling: Genest and Zidek 1986, section 3.

    Use it only for what a policy names: its result holds the model's own voice, so it must never become the training
    target of that model. Raises ValueError where shapes differ.
    """
    model = np.asarray(model_probabilities, np.float64)
    if model.shape != posterior.shape:
        raise ValueError(f"the model's probabilities {model.shape} are not shaped as the consensus {posterior.shape}")
    known = np.isfinite(model).all(axis=1)
    if known.sum() < LEAST_ROWS:
        return posterior.copy()
    log_model = np.log(np.clip(model[known], FLOOR, None))
    log_model -= log_model.mean(axis=1, keepdims=True)
    target = posterior[known]
    shares = (target.sum(axis=0) + 1) / (len(target) + target.shape[1])
    scores = _calibrated(log_model, target) - np.log(shares)
    out = posterior.copy()
    scores = np.log(np.clip(target, np.finfo(float).tiny, None)) + scores
    scores -= scores.max(axis=1, keepdims=True)
    pooled = np.exp(scores)
    out[known] = pooled / pooled.sum(axis=1, keepdims=True)
    return out


def _calibrated(log_model: Doubles, target: Doubles) -> Doubles:
    """Return log probabilities (n, k) of softmax(slope * log_model + intercepts), fitted to the soft targets."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    k = target.shape[1]

    def loss(parameters: Doubles) -> tuple[float, Doubles]:
        log_p = log_softmax(parameters[0] * log_model + parameters[1:], axis=1)
        wrong = np.exp(log_p) - target
        value = -(target * log_p).sum() + RIDGE / 2 * (parameters**2).sum()
        slope = np.concatenate([[(wrong * log_model).sum()], wrong.sum(axis=0)]) + RIDGE * parameters
        return float(value / len(target)), slope / len(target)

    start = np.concatenate([[1.0], np.zeros(k)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] + [(None, None)] * k)
    return np.asarray(log_softmax(found.x[0] * log_model + found.x[1:], axis=1))
