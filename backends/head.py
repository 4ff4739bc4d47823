"""Logistic regression that every backend here puts on top of its features, with soft targets and honest probabilities.

Fitted by L-BFGS on the exact soft-target loss, which for hard targets is scikit-learn's `LogisticRegression(C=c)`
with a multinomial loss: c * sum of weights * cross-entropy + half the squared norm of the coefficients; intercepts
are free.

Calibration: with CALIBRATE_FROM distinct examples or more, logits are divided by one temperature, chosen on inner
held-out logits (duplicates share a fold) by log loss with a weak prior at 1 (Guo et al. 2017, "On Calibration of
Modern Neural Networks", section 4.2). With fewer examples it stays 1.

A prior from the pool (`root`): on the same folds it is decided whether to lean on it: held-out logits must lose less
with it at their own best temperature and, from ERRORS_FROM examples on, be wrong less often by SURE standard errors.
Examples that were chosen because they are hard speak for the prior more than the data at large do: with the loss
alone it was kept on 60 intents from 500 labels on, where it costs a point or two of accuracy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError
from adapter.ports import Floats
from backends.files import Arrays

CALIBRATE_FROM = 40
FOLDS = 3
ONE_FOLD_FROM = 3_000  # from here on a single held-out part is plenty for one temperature
ERRORS_FROM = 200  # examples; with fewer, errors are too few to decide anything
SURE = 1.5  # standard errors; chosen on AG News and 60 intents
MAX_ITERATIONS = 300
SPAN_UP_TO = 2_000  # examples; the eigenvalues of their Gram matrix then take about a second
TINY = 1e-6
NEVER = -1e30  # a logit whose exponential is 0
Doubles = npt.NDArray[np.float64]
Features = Any
"""(n, d): a float array, or a SciPy CSR matrix."""


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted head. coef (d, k) and bias (k,), the temperature already in them. unseen (k,): labels without an
    example; each gets the probability `floor`. multiple: each label by itself."""

    coef: Floats
    bias: Floats
    unseen: npt.NDArray[np.bool_]
    floor: float
    multiple: bool
    temperature: float

    def probabilities(self, logits: npt.NDArray[Any]) -> Floats:
        """Return probabilities (n, k) for logits (n, k) = features @ coef + bias."""
        if self.multiple:
            return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), np.float32)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        shifted /= shifted.sum(axis=1, keepdims=True)
        if self.floor:
            shifted *= 1.0 - self.floor * self.unseen.sum()
            shifted[:, self.unseen] = self.floor
        return np.asarray(shifted, np.float32)

    def predict(self, features: Features) -> Floats:
        """Return probabilities (n, k) for features (n, d)."""
        return self.probabilities(np.asarray(features @ self.coef) + self.bias)

    def arrays(self) -> Arrays:
        """Return what `from_parts` needs as arrays."""
        return {"coef": self.coef, "bias": self.bias, "unseen": self.unseen}

    def meta(self) -> dict[str, Any]:
        """Return what `from_parts` needs as JSON."""
        return {"floor": self.floor, "multiple": self.multiple, "temperature": self.temperature}

    @classmethod
    def from_parts(cls, meta: dict[str, Any], arrays: Arrays) -> Head:
        """Return the head that was taken apart. Raises KeyError, TypeError or ValueError if the parts do not fit."""
        coef, bias, unseen = arrays["coef"], arrays["bias"], arrays["unseen"]
        if coef.ndim != 2 or bias.shape != (coef.shape[1],) or unseen.shape != bias.shape:
            raise ValueError(f"coefficients {coef.shape}, intercepts {bias.shape} and labels {unseen.shape} do not fit")
        head = meta["head"]
        return cls(
            coef=np.ascontiguousarray(coef, np.float32),
            bias=bias.astype(np.float32),
            unseen=unseen.astype(bool),
            floor=float(head["floor"]),
            multiple=bool(head["multiple"]),
            temperature=float(head["temperature"]),
        )


def checked(
    examples: Sequence[object],
    targets: npt.ArrayLike,
    weights: npt.ArrayLike,
    readable: npt.NDArray[np.bool_],
    what: str,
) -> tuple[Doubles, Doubles, npt.NDArray[np.int64]]:
    """Return targets, weights and row numbers of the examples that can be learned from: readable and with weight.

    Raises BackendError if shapes do not fit or nothing is left. what: names what an example should have been.
    """
    goal, mass = np.asarray(targets, np.float64), np.asarray(weights, np.float64)
    if goal.ndim != 2 or goal.shape[0] != len(examples) or mass.shape != (len(examples),):
        raise BackendError(
            f"{len(examples)} examples, targets {goal.shape} and weights {mass.shape} do not fit together",
            where="fit",
            remedy="Give targets of shape (n, k) and weights of shape (n,).",
        )
    if not np.isfinite(goal).all() or not np.isfinite(mass).all() or (mass < 0).any() or (goal < 0).any():
        raise BackendError(
            "targets or weights are negative or not finite", where="fit", remedy="Leave such examples out."
        )
    rows = np.flatnonzero(readable & (mass > 0))
    if not len(rows):
        raise BackendError(
            f"none of {len(examples)} examples has {what}", where="fit", remedy="Check `fields` and the tasks' data."
        )
    return goal[rows], mass[rows], rows


def fit_head(
    features: Features,
    targets: Doubles,
    weights: Doubles,
    *,
    multiple: bool,
    c: float,
    keys: Sequence[str],
    seed: int,
    root: Floats | None = None,
) -> Head:
    """Fit a head. features (n, d); targets (n, k) as in `ports.Backend.fit`; weights (n,), all above 0; keys: one for
    each example, equal for duplicates. root: (d, d) of `core.pool_prior`, by which the pool says along which directions
    coefficients may be large. The head is fitted with it, and from CALIBRATE_FROM examples on without it if held-out
    examples speak against it; None holds all directions alike. Raises BackendError when only one class has examples."""
    seen = _seen(targets, weights, multiple)
    if seen.sum() < (1 if multiple else 2):
        raise BackendError(
            "all examples have the same label, so there is nothing to tell apart",
            where="fit",
            remedy="Label some examples of another class first.",
        )
    turned = [features] if root is None else [np.asarray(features @ root, np.float64), features]
    best, temperature = 0, 1.0
    if len(set(keys)) >= CALIBRATE_FROM:
        tried = [_held_out(each, targets, weights, multiple, c, keys, seed) for each in turned]
        best = int(len(tried) == 2 and not _worth(tried[0], tried[1]))
        temperature = tried[best].temperature
    coef, bias = _solve(turned[best], targets[:, seen], weights, multiple, c)
    if root is not None and best == 0:
        coef = root @ coef
    n, k = targets.shape
    all_coef, all_bias = np.zeros((coef.shape[0], k)), np.zeros(k)
    all_coef[:, seen], all_bias[seen] = coef / temperature, bias / temperature
    floor = 0.0
    if multiple:  # a label that is always or never there: its share by the rule of succession, whatever the example
        share = (weights @ targets + 0.5) / (weights.sum() + 1.0)
        all_bias[~seen] = np.log(share[~seen] / (1.0 - share[~seen]))
    elif not seen.all():
        floor = 1.0 / (n + k)
        all_bias[~seen] = NEVER
    return Head(
        coef=np.ascontiguousarray(all_coef, np.float32),
        bias=all_bias.astype(np.float32),
        unseen=~seen,
        floor=floor,
        multiple=multiple,
        temperature=float(temperature),
    )


def _seen(targets: Doubles, weights: Doubles, multiple: bool) -> npt.NDArray[np.bool_]:
    """Return (k,): labels that have examples (single), or examples both with and without (multiple)."""
    share = (weights @ targets) / weights.sum()
    seen: npt.NDArray[np.bool_] = (share > TINY) & ((share < 1 - TINY) | (not multiple))
    return seen


def _solve(features: Features, targets: Doubles, weights: Doubles, multiple: bool, c: float) -> tuple[Doubles, Doubles]:
    """Return coefficients (d, k) and intercepts (k,) that minimise the loss named at the top of this module.

    With fewer examples than features the solution lies in the examples' span (the representer theorem), so it is sought
    there, in at most n dimensions, and carried back: the same result in a fraction of the time.
    """
    n, d = features.shape
    if n >= d or n > SPAN_UP_TO:
        return _descend(features, targets, weights, multiple, c)
    gram = features @ features.T
    values, vectors = np.linalg.eigh(gram.toarray() if hasattr(gram, "toarray") else np.asarray(gram, np.float64))
    kept = values > 1e-9 * max(float(values[-1]), TINY)
    root = np.sqrt(values[kept])
    coef, bias = _descend(vectors[:, kept] * root, targets, weights, multiple, c)
    return np.asarray(features.T @ (vectors[:, kept] @ (coef / root[:, None]))), bias


def _descend(
    features: Features, targets: Doubles, weights: Doubles, multiple: bool, c: float
) -> tuple[Doubles, Doubles]:
    """Do as `_solve`, by L-BFGS in all d dimensions."""
    from scipy.optimize import minimize

    d, k = features.shape[1], targets.shape[1]
    scale = 1.0 / (c * weights.sum())
    weight = (weights / weights.sum())[:, None]
    transposed = features.T.tocsr() if hasattr(features, "tocsr") else features.T

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        coef, bias = flat[: d * k].reshape(d, k), flat[d * k :]
        logits = np.asarray(features @ coef) + bias
        if multiple:
            value = weight * (np.logaddexp(0.0, logits) - targets * logits)
            wrong = weight * (0.5 * (1.0 + np.tanh(0.5 * logits)) - targets)
        else:
            logits -= logits.max(axis=1, keepdims=True)
            total = np.log(np.exp(logits).sum(axis=1, keepdims=True))
            mass = targets.sum(axis=1, keepdims=True)
            value = weight * (mass * total - (targets * logits).sum(axis=1, keepdims=True))
            wrong = weight * (np.exp(logits - total) * mass - targets)
        gradient = np.asarray(transposed @ wrong) + scale * coef
        both = np.concatenate([gradient.ravel(), wrong.sum(axis=0)])
        return float(value.sum() + 0.5 * scale * (coef * coef).sum()), both

    found = minimize(
        loss,
        np.zeros(d * k + k),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MAX_ITERATIONS, "gtol": 1e-6, "ftol": 1e-7},
    )
    flat: Doubles = found.x
    return flat[: d * k].reshape(d, k), flat[d * k :]


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """How heads fare on examples that they have not seen. temperature: the one that suits their logits. loss: summed,
    at that temperature. wrong: (m,) share of each example's decisions that are."""

    temperature: float
    loss: float
    wrong: Doubles


def _worth(leaning: _HeldOut, plain: _HeldOut) -> bool:
    """Whether to lean on the pool."""
    gain = plain.wrong - leaning.wrong
    if leaning.loss >= plain.loss:
        return False
    return len(gain) < ERRORS_FROM or float(gain.sum()) >= SURE * float(np.sqrt((gain * gain).sum())) > 0


def _held_out(
    features: Features, targets: Doubles, weights: Doubles, multiple: bool, c: float, keys: Sequence[str], seed: int
) -> _HeldOut:
    """Fit heads on parts of the examples and look at the others; duplicates share a part."""
    from scipy.optimize import minimize_scalar

    digests = [hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogatepass")).digest() for key in keys]
    folds = np.asarray([int.from_bytes(digest[:4], "big") % FOLDS for digest in digests])
    parts: list[tuple[Doubles, Doubles, Doubles]] = []
    for fold in range(1 if len(keys) >= ONE_FOLD_FROM else FOLDS):
        out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if not len(out) or not len(rest):
            continue
        seen = _seen(targets[rest], weights[rest], multiple)
        if seen.sum() < (1 if multiple else 2):
            continue
        coef, bias = _solve(features[rest], targets[rest][:, seen], weights[rest], multiple, c)
        goal, mass = targets[out][:, seen], weights[out]
        known = np.ones(len(out), bool) if multiple else goal.sum(axis=1) > 0.5
        logits = np.asarray(features[out] @ coef) + bias
        goal = goal if multiple else goal / np.maximum(goal.sum(axis=1, keepdims=True), TINY)
        parts.append((logits[known], goal[known], mass[known]))
    if not parts:
        return _HeldOut(1.0, 0.0, np.empty(0))

    def cost(log_temperature: float) -> float:
        total = 0.5 * log_temperature**2
        for logits, goal, mass in parts:
            scaled = logits / np.exp(log_temperature)
            if multiple:
                each = (np.logaddexp(0.0, scaled) - goal * scaled).sum(axis=1)
            else:
                scaled = scaled - scaled.max(axis=1, keepdims=True)
                each = np.log(np.exp(scaled).sum(axis=1)) - (goal * scaled).sum(axis=1)
            total += float(mass @ each)
        return total

    best = minimize_scalar(cost, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return _HeldOut(
        float(np.exp(best.x)), float(best.fun), np.concatenate([_wrong(x, y, multiple) for x, y, _ in parts])
    )


def _wrong(logits: Doubles, goal: Doubles, multiple: bool) -> Doubles:
    """(m,): whether each example is decided otherwise than its target; with several labels the share of them."""
    if multiple:
        return np.asarray(((logits > 0) != (goal > 0.5)).mean(axis=1), np.float64)
    return np.asarray(logits.argmax(axis=1) != goal.argmax(axis=1), np.float64)
