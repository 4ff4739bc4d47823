"""One consensus of functions and model on tasks that nobody has labelled; where people have, theirs outranks.

The two are pooled logarithmically, p(label) ~ functions(label)^a * model(label)^b (Genest and Zidek 1986, section 3): a
source that is sure moves the pool, one that is indifferent leaves it, and two that contradict each other leave it open.
The model has learned from the functions' labels too, so the two are not independent: without evidence a and b are one
half, which takes the geometric mean and never makes the pool surer than the surer of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats

LEAST = 1e-4
"""Least probability that a source may give a label: below it one source alone would forbid a label."""
PRIOR = 0.5
PRIOR_STRENGTH = 10.0
"""How hard the weights are held to PRIOR: in nats for a weight that is 1 away."""
MOST = 1.5


@dataclass(frozen=True, slots=True)
class PoolWeights:
    """functions, model: the exponents a and b. n: labels that they were fitted on."""

    functions: float = PRIOR
    model: float = PRIOR
    n: int = 0


def pool(functions: Floats, model: Floats, weights: PoolWeights, *, multiple: bool = False) -> Floats:
    """Return the pooled probabilities (n, k) of two sources (n, k), NaN rows where neither speaks.

    A row on which only one of them speaks is that one's, as it is. multiple: each label is a question of its own.
    Raises ValueError when the shapes differ.
    """
    if functions.shape != model.shape:
        raise ValueError(f"functions have the shape {functions.shape}, the model {model.shape}")
    here, there = _known(functions), _known(model)
    out = np.where(here[:, None], functions, model).astype(np.float32)
    both = here & there
    if both.any():
        mixed = weights.functions * _score(functions[both], multiple) + weights.model * _score(model[both], multiple)
        out[both] = _probabilities(mixed, multiple)
    return out


def fit_weights(
    functions: Floats, model: Floats, targets: Floats, sure: Floats, *, multiple: bool = False
) -> PoolWeights:
    """Return the exponents that predict people's labels best, shrunk to one half each.

    functions, model: (g, k) on g labelled tasks; the model's held out, or it would be believed too much. targets (g,
    k), sure (g,): people's labels and their confidence. Tasks on which only one of the two speaks say nothing. The loss
    is the log loss; the exponents stay between 0 and MOST.
    """
    from scipy.optimize import minimize

    both = _known(functions) & _known(model)
    n = int(both.sum())
    if not n:
        return PoolWeights()
    f, m = _score(functions[both], multiple), _score(model[both], multiple)
    y, w = np.asarray(targets[both], np.float64), np.asarray(sure[both], np.float64)

    def loss(exponents: npt.NDArray[np.float64]) -> float:
        p = np.clip(_probabilities(exponents[0] * f + exponents[1] * m, multiple), 1e-9, 1 - 1e-9)
        each = -(y * np.log(p) + (1 - y) * np.log(1 - p)) if multiple else -y * np.log(p)
        return float(w @ each.sum(axis=1)) + PRIOR_STRENGTH * float(((exponents - PRIOR) ** 2).sum())

    found = minimize(loss, np.full(2, PRIOR), method="L-BFGS-B", bounds=[(0.0, MOST)] * 2)
    return PoolWeights(round(float(found.x[0]), 4), round(float(found.x[1]), 4), n)


def disagreement(functions: Floats, model: Floats, *, multiple: bool = False) -> Floats:
    """Return how far two sources (n, k) are apart on each task, in 0..1: 0 the same, or only one of them speaks; 1
    nothing in common. The Jensen-Shannon divergence in bits (Lin 1991); with several labels that of the label on which
    they differ most."""
    both = _known(functions) & _known(model)
    out = np.zeros(len(functions), np.float32)
    if both.any():
        p, q = np.asarray(functions[both], np.float64), np.asarray(model[both], np.float64)
        if multiple:
            p, q = np.stack([p, 1 - p], axis=-1), np.stack([q, 1 - q], axis=-1)
        else:
            p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
        middle = (p + q) / 2
        apart = (_divergence(p, middle) + _divergence(q, middle)) / 2
        out[both] = np.clip(apart.max(axis=1) if multiple else apart, 0.0, 1.0)
    return out


def _known(probabilities: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(probabilities).all(axis=1))


def _score(probabilities: Floats, multiple: bool) -> npt.NDArray[np.float64]:
    """Log probabilities, or log odds where each label is a question of its own."""
    p = np.clip(np.asarray(probabilities, np.float64), LEAST, 1 - LEAST)
    return np.asarray(np.log(p) - np.log1p(-p)) if multiple else np.asarray(np.log(p))


def _probabilities(scores: npt.NDArray[np.float64], multiple: bool) -> npt.NDArray[np.float64]:
    if multiple:
        return np.asarray(1 / (1 + np.exp(-scores)))
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _divergence(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    ratio = np.log2(np.divide(p, q, out=np.ones_like(p), where=p > 0))
    return np.asarray((p * ratio).sum(axis=-1))


__all__ = ["PoolWeights", "disagreement", "fit_weights", "pool"]
