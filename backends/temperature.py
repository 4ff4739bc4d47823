"""One temperature for logits of any model, and which examples to hold out to find it.

The rule of `backends.head`, for models that are no linear head: logits are divided by the temperature that suits logits
of held-out examples best by log loss, with a weak prior at 1 (Guo et al. 2017, "On Calibration of Modern Neural
Networks", section 4.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError

TINY = 1e-6
Doubles = npt.NDArray[np.float64]


def seen_labels(targets: Doubles, weights: Doubles, multiple: bool) -> npt.NDArray[np.bool_]:
    """Return (k,): labels that have examples, or with `multiple` examples both with and without. Raises BackendError
    when there is nothing to tell apart. targets (n, k), weights (n,)."""
    share = (weights @ targets) / weights.sum()
    seen: npt.NDArray[np.bool_] = (share > TINY) & ((share < 1 - TINY) | (not multiple))
    if seen.sum() < (1 if multiple else 2):
        raise BackendError(
            "all examples have the same label, so there is nothing to tell apart",
            where="fit",
            remedy="Label some examples of another class first.",
        )
    return seen


def folds_of(keys: Sequence[str], targets: Doubles, parts: int, seed: int) -> npt.NDArray[np.int64]:
    """Return (n,) a number of 0..parts-1 for each example: duplicates (equal keys) share one, and each class is spread
    evenly, by its likeliest label in targets (n, k)."""
    marks = {key: hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogatepass")).digest() for key in keys}
    label: dict[str, int] = {}
    for key, best in zip(keys, targets.argmax(axis=1).tolist(), strict=True):
        label.setdefault(key, best)
    order = sorted(marks, key=lambda key: (label[key], marks[key]))
    fold = {key: place % parts for place, key in enumerate(order)}
    return np.asarray([fold[key] for key in keys], np.int64)


def temperature_of(logits: Doubles, targets: Doubles, weights: Doubles, multiple: bool) -> float:
    """Return the temperature for logits (n, k) of examples that were held out, with their targets (n, k) and weights
    (n,). 1 without examples."""
    from scipy.optimize import minimize_scalar

    if not len(logits):
        return 1.0
    total = targets.sum(axis=1, keepdims=True)
    goal = targets if multiple else targets / np.maximum(total, TINY)
    mass = weights if multiple else weights * (total[:, 0] > 0.5)

    def cost(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        if multiple:
            each = (np.logaddexp(0.0, scaled) - goal * scaled).sum(axis=1)
        else:
            scaled = scaled - scaled.max(axis=1, keepdims=True)
            each = np.log(np.exp(scaled).sum(axis=1)) - (goal * scaled).sum(axis=1)
        return float(mass @ each) + 0.5 * log_temperature**2

    best = minimize_scalar(cost, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(best.x))
