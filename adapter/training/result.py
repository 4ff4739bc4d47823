"""What a training leaves, and how far it is: JSON and safetensors in the job's folder, see `training.job`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.heldout import HeldOut
from adapter.ports import Floats
from adapter.vocabulary import JsonObject

RESULT = "result"
PROGRESS = "progress.json"
ERROR = "error.json"
LOG = "log.txt"
CANDIDATE = "candidate"
RIVAL = "rival"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is. step: in words. done of total: fits."""

    step: str
    done: int
    total: int


@dataclass(frozen=True, eq=False)
class Rival:
    """The same training with the other answer to the question of weak labels: with them where the candidate is without,
    and the other way round. Made for the controls where the blind sample is to decide. Fields as in `TrainResult`."""

    bundle_folder: Path
    gate_predictions: dict[str, Floats]
    heldout: dict[str, HeldOut]


@dataclass(frozen=True, eq=False)
class TrainResult:
    """What a training left. bundle_folder: for `Bundle.load`. metrics: JSON, `data_digest` and, for each control, the
    table of weak weights. gate_predictions: control to (g, k). heldout: control to held-out probabilities of people's
    examples, in the job's order. used_weak: whether any control learned from weak labels. seconds: of the whole.
    rival: None where weak labels are not in question. gate_regions: control of regions to what the model finds in each
    task of the blind sample, as its backend gives it; None where it cannot read the task."""

    bundle_folder: Path
    metrics: JsonObject
    gate_predictions: dict[str, Floats]
    heldout: dict[str, HeldOut]
    used_weak: bool
    seconds: float
    rival: Rival | None = None
    gate_regions: Mapping[str, list[list[JsonObject] | None]] = field(default_factory=dict)


def save_result(
    folder: Path,
    metrics: JsonObject,
    variants: Mapping[str, tuple[Mapping[str, Floats], Mapping[str, HeldOut]]],
    used_weak: bool,
    gate_regions: Mapping[str, list[list[JsonObject] | None]],
) -> None:
    """Write a result's JSON and arrays into `folder`. variants: CANDIDATE, and RIVAL if there is one, to gate
    predictions and held-out probabilities by control. gate_regions: see `TrainResult`."""
    from safetensors.numpy import save_file

    arrays: dict[str, npt.NDArray[Any]] = {}
    seeds: dict[str, dict[str, int]] = {}
    for variant, (gate, heldout) in variants.items():
        for number, name in enumerate(gate):
            arrays[f"{variant}.{number}.gate"] = np.ascontiguousarray(gate[name], np.float32)
            arrays[f"{variant}.{number}.heldout"] = np.ascontiguousarray(heldout[name].probabilities, np.float32)
            arrays[f"{variant}.{number}.folds"] = np.ascontiguousarray(heldout[name].folds, np.int64)
        seeds[variant] = {name: held.seed for name, held in heldout.items()}
    save_file(arrays, folder / "result.safetensors")
    about = {"variants": seeds, "metrics": metrics, "used_weak": used_weak, "gate_regions": gate_regions}
    (folder / "result.json").write_text(json.dumps(about, default=str), encoding="utf-8")


def load_result(folder: Path, seconds: float) -> TrainResult:
    """Return the result that the child left in a job's folder; raises OSError, ValueError or KeyError if there is
    none."""
    from safetensors.numpy import load_file

    place = folder / RESULT
    about = json.loads((place / "result.json").read_text(encoding="utf-8"))
    arrays = load_file(place / "result.safetensors")

    def variant(name: str) -> Rival:
        numbered = list(enumerate(about["variants"][name].items()))
        return Rival(
            place / name,
            {control: arrays[f"{name}.{i}.gate"] for i, (control, _) in numbered},
            {
                control: HeldOut(arrays[f"{name}.{i}.heldout"], arrays[f"{name}.{i}.folds"], int(seed))
                for i, (control, seed) in numbered
            },
        )

    candidate = variant(CANDIDATE)
    return TrainResult(
        bundle_folder=candidate.bundle_folder,
        metrics=about["metrics"],
        gate_predictions=candidate.gate_predictions,
        heldout=candidate.heldout,
        used_weak=bool(about["used_weak"]),
        seconds=seconds,
        rival=variant(RIVAL) if RIVAL in about["variants"] else None,
        gate_regions=about["gate_regions"],
    )


def read_progress(folder: Path) -> Progress | None:
    """Return how far the training in this folder is; None before it has said anything."""
    try:
        about = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        return Progress(str(about["step"]), int(about["done"]), int(about["total"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that a reader never sees half of it."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)
