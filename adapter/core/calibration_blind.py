"""Calibrate by held-out folds and the blind sample together, and measure honestly what came of it.

Held-out labels are many, but of tasks that were asked because they were hard: a model that learned from such tasks is
less sure of the easy rest than it might be, which they cannot show. The blind sample is random, but small. So the blind
sample sets the temperature, with held-out labels beside it at a tenth of its weight: on ag_news and digits
(`benchmarks/calibration.py`) the two together are about as good as the better of either alone, from 50 blind labels on.
The error afterwards is measured on the blind sample too, each task calibrated by what was fitted without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.calibration import Basis, Calibrator
from adapter.core.calibration_fit import FOLDS, LEAST_TEMPERATURE, fit
from adapter.core.folds import grouped_folds
from adapter.ports import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Labels that a model did not learn from. probabilities, targets: (n, k), as `calibration_fit.fit` takes them.
    weights: (n,). groups: (n,) equal for duplicates."""

    probabilities: Floats
    targets: Floats
    weights: Floats
    groups: Sequence[str]

    def rows(self, which: npt.NDArray[np.bool_]) -> Labelled:
        """Return some of the rows."""
        groups = [self.groups[row] for row in np.flatnonzero(which)]
        return Labelled(self.probabilities[which], self.targets[which], self.weights[which], groups)

    def fit(self, basis: Basis, *, multiple: bool, seed: int, beside: Labelled | None = None) -> Calibrator:
        """Return what `calibration_fit.fit` makes of them."""
        others = None if beside is None else (beside.probabilities, beside.targets, beside.weights)
        parts = self.probabilities, self.targets, self.weights
        return fit(*parts, multiple=multiple, groups=self.groups, seed=seed, basis=basis, beside=others)

    @property
    def enough(self) -> bool:
        """Whether a temperature can be fitted on them."""
        readable = np.isfinite(self.probabilities).all(axis=1) & (self.weights > 0)
        return int(readable.sum()) >= LEAST_TEMPERATURE and len(set(self.groups)) > 1


def calibrate(held_out: Labelled | None, blind: Labelled | None, *, multiple: bool, seed: int) -> Calibrator:
    """Return the calibrator for a model. held_out: None where nothing was held out. blind: None without a blind sample;
    one that is too small to calibrate with leaves it to the held-out folds."""
    if blind is not None and blind.enough:
        return blind.fit("blind sample", multiple=multiple, seed=seed, beside=held_out)
    return Calibrator() if held_out is None else held_out.fit("held-out folds", multiple=multiple, seed=seed)


def cross_fitted(held_out: Labelled | None, blind: Labelled, *, multiple: bool, seed: int) -> Floats:
    """Return calibrated probabilities (n, k) of the blind tasks, none of them by a calibrator that saw its label."""
    if not blind.enough:
        return calibrate(held_out, None, multiple=multiple, seed=seed).apply(blind.probabilities, multiple=multiple)
    out = np.array(blind.probabilities, np.float32)
    folds = grouped_folds(blind.groups, FOLDS, seed)
    for fold in range(int(folds.max()) + 1):
        made = calibrate(held_out, blind.rows(folds != fold), multiple=multiple, seed=seed)
        out[folds == fold] = made.apply(blind.probabilities[folds == fold], multiple=multiple)
    return out


__all__ = ["Labelled", "calibrate", "cross_fitted"]
