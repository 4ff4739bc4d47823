"""Calibrate a candidate: confidence that annotators see and thresholds use is how often the model is right.

The gate is not touched by it: calibration never changes what a model decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.calibration import Calibrator
from adapter.core.calibration_blind import Labelled, calibrate, cross_fitted
from adapter.core.calibration_error import CalibrationError, expected_calibration_error
from adapter.kinds import label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import group_of
from adapter.stages.train_jobs import Gold
from adapter.training import TrainResult
from adapter.vocabulary import Control, Value

SAID = 0.9
"""The confidence that the sentence of `status` speaks of, and how far from it tasks may lie that tell of it."""
AROUND = 0.05
LEAST_AROUND = 10


@dataclass(frozen=True, slots=True)
class Reading:
    """What a confidence means: of n blind tasks with a confidence of about `said`, the share `right` was right."""

    said: float
    right: float
    n: int


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A control's calibrator, and what confidence was worth on the blind sample before and after. Each blind task is
    judged by a calibrator that did not see its label. reading: what a confidence means after it; None without blind
    labels."""

    calibrator: Calibrator
    before: CalibrationError
    after: CalibrationError
    reading: Reading | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it for the model's metrics."""
        return {
            "method": self.calibrator.method,
            "parameters": dict(self.calibrator.parameters),
            "basis": self.calibrator.basis,
            "n": self.calibrator.n,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """Say it for `status`."""
        if self.reading is None:
            return f"probabilities: {self.calibrator.sentence()}; no blind labels yet to measure them with"
        error = self.after
        return (
            f"confidence of {_short(self.reading.said)} means right in {_short(self.reading.right)} of cases (ECE "
            f"{_fine(error.value)}, {_fine(error.lower)} to {_fine(error.upper)}, on {error.n} blind tasks)"
        )


def calibrated(project: Project, result: TrainResult, gold: Mapping[str, Gold]) -> dict[str, Calibrated]:
    """Return control to its calibration, for every control whose model gives probabilities.

    result: of a training; its `gate_predictions` are as the model gives them. gold: what it was trained and judged on.
    """
    found = {}
    for control in project.learned:
        if control.name in result.gate_predictions and control.name in gold:
            rows, held = gold[control.name], result.heldout.get(control.name)
            kind = label_kind_of(control)
            train = None
            if held is not None and len(held.probabilities) == len(rows.train):
                train = Labelled(
                    held.probabilities,
                    np.stack([kind.target(control, value) for _, value, _ in rows.train]).astype(np.float32),
                    np.array([weight for _, _, weight in rows.train], np.float32),
                    group_of([task for task, _, _ in rows.train]),
                )
            found[control.name] = calibrated_control(
                control,
                train,
                result.gate_predictions[control.name],
                [value for _, value in rows.blind],
                group_of([task for task, _ in rows.blind]),
                seed=project.settings.train.seed,
            )
    return found


def calibrated_control(
    control: Control,
    held_out: Labelled | None,
    predictions: Floats,
    truth: list[Value],
    groups: list[str],
    *,
    seed: int,
) -> Calibrated:
    """Return one control's calibration. held_out: people's labels outside the blind sample with the probabilities of
    models that did not see them. predictions: (b, k) of the blind tasks. truth: (b,) people's labels of these. groups:
    (b,) equal for duplicates."""
    kind = label_kind_of(control)
    blind = None
    after = predictions
    if truth:
        targets = np.stack([kind.target(control, value) for value in truth]).astype(np.float32)
        blind = Labelled(predictions, targets, np.ones(len(truth), np.float32), groups)
        after = cross_fitted(held_out, blind, multiple=control.multiple, seed=seed)
    confidence, right = decided(control, after, truth)
    return Calibrated(
        calibrate(held_out, blind, multiple=control.multiple, seed=seed),
        expected_calibration_error(*decided(control, predictions, truth), seed=seed),
        expected_calibration_error(confidence, right, seed=seed),
        reading(confidence, right),
    )


def decided(
    control: Control, probabilities: Floats, truth: list[Value]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return (confidence, right) of the tasks that can be predicted: of exactly the value that annotators are shown."""
    kind = label_kind_of(control)
    pairs = [
        (sure, answer == value)
        for (answer, sure), value in (
            (kind.decide(control, row), value)
            for row, value in zip(probabilities, truth, strict=True)
            if np.isfinite(row).all()
        )
    ]
    return np.array([sure for sure, _ in pairs], np.float64), np.array([good for _, good in pairs], np.bool_)


def reading(confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> Reading | None:
    """Return what a confidence of about SAID means; with fewer than LEAST_AROUND tasks near it, what that of the
    average task means."""
    if not len(confidence):
        return None
    near = np.abs(confidence - SAID) <= AROUND + 1e-9
    if near.sum() < LEAST_AROUND:
        near = np.ones(len(confidence), bool)
    return Reading(float(confidence[near].mean()), float(right[near].mean()), int(near.sum()))


def _short(share: float) -> str:
    return f"{share:.2f}".replace("0.", ".", 1) if share < 0.995 else "1.00"


def _fine(share: float) -> str:
    return f"{share:.3f}".replace("0.", ".", 1) if share < 0.9995 else "1.000"


__all__ = ["Calibrated", "Reading", "calibrated", "calibrated_control", "decided", "reading"]
