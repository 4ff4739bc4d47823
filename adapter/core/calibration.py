"""What makes a model's probabilities say how often it is right: temperature, or isotonic regression, or nothing.

Temperature (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2) is one number by which log odds
are divided. Isotonic regression (Zadrozny and Elkan 2002) bends the confidence freely, which takes far more labels.
Both are fitted on labels that the model did not learn from, and neither ever changes what the model decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from adapter.errors import ModelError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject

Doubles = npt.NDArray[np.float64]
Method = Literal["none", "temperature", "isotonic"]
Basis = Literal["held-out folds", "blind sample"]

EPS = 1e-7
"""Least probability that log odds are taken of: what float32 still tells from 0 beside 1."""
MOST = 20.0
"""Greatest temperature, and the inverse of the least."""
MOST_KNOTS = 1_000
SLOPE = 1e-3
_KEYS = {"method", "parameters", "basis", "n"}
_HALF = np.float32(0.5)
_UNDER_HALF = np.nextafter(_HALF, np.float32(0))


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A fitted calibration. parameters: JSON; `temperature`: {"temperature": T}; `isotonic`: {"confidence": [...],
    "right": [...]}, knots between which the curve is straight. basis: what labels it was fitted on. n: how many tasks.
    """

    method: Method = "none"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    basis: Basis = "held-out folds"
    n: int = 0

    def apply(self, probabilities: Floats, *, multiple: bool) -> Floats:
        """Return calibrated probabilities, float32 (n, k) in 0..1.

        probabilities: (n, k) in 0..1; rows with NaN stay as they are. Single label: rows sum to 1, and the first of
        the greatest stays the first of the greatest. multiple: each cell for itself, on the side of .5 where it was.
        Raises ValueError unless probabilities is two-dimensional.
        """
        given = np.asarray(probabilities, np.float32)
        if given.ndim != 2:
            raise ValueError(f"probabilities need the shape (n, k), got {given.shape}")
        out = np.array(given, np.float32, copy=True)
        rows = np.flatnonzero(np.isfinite(given).all(axis=1))
        if self.method == "none" or not len(rows) or not given.shape[1]:
            return out
        known = np.clip(given[rows].astype(np.float64), 0.0, 1.0)
        if self.method == "temperature":
            changed = tempered(known, float(self.parameters["temperature"]), multiple)
        else:
            x, y = (np.asarray(self.parameters[name], np.float64) for name in ("confidence", "right"))
            # A little of the given confidence keeps the order of tasks where the curve is flat.
            changed = bent(known, lambda sure: (1 - SLOPE) * np.interp(sure, x, y) + SLOPE * sure, multiple)
        out[rows] = _kept(given[rows], changed.astype(np.float32), multiple)
        return out

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return {"method": self.method, "parameters": dict(self.parameters), "basis": self.basis, "n": self.n}

    @classmethod
    def from_json(cls, document: object) -> Calibrator:
        """Return the calibrator that was written. Raises ModelError for anything that `to_json` would not write."""
        if not isinstance(document, Mapping) or set(document) != _KEYS:
            raise _damaged(f"it needs exactly the keys {', '.join(sorted(_KEYS))}")
        method, basis, n, parameters = (document[name] for name in ("method", "basis", "n", "parameters"))
        if method not in get_args(Method):
            raise _damaged("its method is unknown")
        if basis not in get_args(Basis):
            raise _damaged("its basis is unknown")
        if not isinstance(n, int) or isinstance(n, bool) or n < 0:
            raise _damaged("its number of tasks is no whole number")
        if not isinstance(parameters, Mapping):
            raise _damaged("its parameters are no object")
        return cls(method, _PARAMETERS[method](parameters), basis, n)

    def sentence(self) -> str:
        """Say it in words."""
        if self.method == "none":
            return f"as the model gives them ({self.n} tasks of the {self.basis} gave no reason to change them)"
        how = f"temperature {self.parameters['temperature']:.2f}" if self.method == "temperature" else "isotonic"
        return f"{how}, fitted on {self.n} tasks of the {self.basis}"


def tempered(probabilities: Doubles, temperature: float, multiple: bool) -> Doubles:
    """Return (n, k) probabilities with their log odds divided by a temperature: above 1 less sure, below 1 surer."""
    p = np.clip(probabilities, EPS, 1 - EPS)
    if multiple:
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * (np.log(p) - np.log1p(-p)) / temperature)))
    scores = np.log(p) / temperature
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def bent(probabilities: Doubles, curve: Callable[[Doubles], Doubles], multiple: bool) -> Doubles:
    """Return (n, k) probabilities whose confidence is what `curve` makes of it.

    Single label: the confidence is the greatest probability; the rest share what is left as before, flattened just so
    far that none of them overtakes it (so the confidence cannot fall below 1 / k). multiple: that of each cell, the
    probability of its more likely side; it cannot fall below one half.
    """
    if multiple:
        sure = np.clip(curve(np.maximum(probabilities, 1 - probabilities)), 0.5, 1.0)
        return np.where(probabilities >= 0.5, sure, 1 - sure)
    n, k = probabilities.shape
    if k == 1:
        return np.ones_like(probabilities)
    every = np.arange(n)
    best = probabilities.argmax(axis=1)
    total = probabilities.sum(axis=1)
    old = probabilities[every, best] / np.where(total > 0, total, 1.0)
    new = np.clip(curve(old), 1.0 / k, 1.0)
    rest = probabilities.copy()
    rest[every, best] = 0.0
    left = rest.sum(axis=1, keepdims=True)
    rest = np.where(left > 0, rest / np.where(left > 0, left, 1.0), 1.0 / (k - 1))
    rest[every, best] = 0.0
    most, even = rest.max(axis=1), 1.0 / (k - 1)
    room = np.divide(new, 1 - new, out=np.full(n, np.inf), where=new < 1)
    over = most > np.maximum(room, even)
    flatten = np.where(over, (most - room) / np.where(over, most - even, 1.0), 0.0)
    flatten = np.clip(flatten, 0.0, 1.0)[:, None]
    out = (1 - new)[:, None] * ((1 - flatten) * rest + flatten * even)
    out[every, best] = new
    return np.asarray(out)


def _kept(given: Floats, changed: Floats, multiple: bool) -> Floats:
    """Undo what rounding did to decisions: a label that was just ahead, or just under one half, still is."""
    if multiple:
        above = given >= _HALF
        return np.where(above, np.maximum(changed, _HALF), np.minimum(changed, _UNDER_HALF))
    every, best = np.arange(len(given)), given.argmax(axis=1)
    lost = changed.argmax(axis=1) != best
    changed[every[lost], best[lost]] = np.nextafter(changed[lost].max(axis=1), np.float32(2))
    return changed


def _nothing(parameters: Mapping[str, Any]) -> JsonObject:
    if parameters:
        raise _damaged("it has parameters where none belong")
    return {}


def _temperature(parameters: Mapping[str, Any]) -> JsonObject:
    if set(parameters) != {"temperature"}:
        raise _damaged("it needs a temperature and nothing else")
    value = _number(parameters["temperature"])
    if not 1 / MOST <= value <= MOST:
        raise _damaged(f"its temperature is not within {1 / MOST:g} and {MOST:g}")
    return {"temperature": value}


def _isotonic(parameters: Mapping[str, Any]) -> JsonObject:
    if set(parameters) != {"confidence", "right"}:
        raise _damaged("it needs the knots `confidence` and `right` and nothing else")
    knots: dict[str, list[float]] = {}
    for name, column in parameters.items():
        if not isinstance(column, list | tuple) or not 1 <= len(column) <= MOST_KNOTS:
            raise _damaged(f"`{name}` is no list of 1 to {MOST_KNOTS} numbers")
        knots[name] = [_number(one) for one in column]
    x, y = np.asarray(knots["confidence"]), np.asarray(knots["right"])
    if len(x) != len(y) or (np.diff(x) <= 0).any() or (np.diff(y) < 0).any():
        raise _damaged("its knots do not rise")
    if x[0] < 0 or x[-1] > 1 or y[0] < 0 or y[-1] > 1:
        raise _damaged("its knots are not within 0 and 1")
    return {"confidence": knots["confidence"], "right": knots["right"]}


def _number(value: object) -> float:
    # Compared, not converted: a whole number may be too large for a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise _damaged("it holds something that is no finite number")
    return float(value)


_PARAMETERS: dict[str, Callable[[Mapping[str, Any]], JsonObject]] = {
    "none": _nothing,
    "temperature": _temperature,
    "isotonic": _isotonic,
}


def _damaged(why: str) -> ModelError:
    return ModelError(
        f"a model's calibration cannot be read: {why}",
        where="calibration",
        remedy="Train again, or roll back to another version with `hitl model list`.",
    )


__all__ = ["Basis", "Calibrator", "Method", "bent", "tempered"]
