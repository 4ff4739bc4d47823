"""What crosses between a training's two processes, and how it lies in the job's folder: JSON and safetensors, no
pickle.

job.json  job.safetensors  examples.jsonl      written by the parent before the child starts
progress.json                                  replaced by the child as it goes
error.json                                     why the child gave up
result/                                        the child's last act, by rename: result.json, result.safetensors, and
                                               the bundles candidate/ and, where there is one, rival/
log.txt                                        what the child printed
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from adapter.core.heldout import HeldOut
from adapter.errors import BackendError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject

RESULT = "result"
PROGRESS = "progress.json"
ERROR = "error.json"
LOG = "log.txt"
CANDIDATE = "candidate"
RIVAL = "rival"


def _no_floats() -> Floats:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class ControlJob:
    """What one control's model learns from. n people's labels, m weak ones, g tasks of the blind sample, k labels.

    targets (n, k) and weights (n,): of people's consensus. groups: one name a row, equal for duplicates. weak_targets
    (m, k): soft. gate_examples: what to predict for the gate; their labels stay with the parent. gate_groups: names of
    duplicate groups that must not be trained on, since the gate measures on them. fade: what weak labels' weight is
    multiplied by, as they come to be worth less.
    """

    name: str
    labels: tuple[str, ...]
    multiple: bool
    fields: tuple[str, ...]
    ids: tuple[str, ...]
    examples: tuple[JsonObject, ...]
    targets: Floats
    weights: Floats
    groups: tuple[str, ...]
    weak_ids: tuple[str, ...] = ()
    weak_examples: tuple[JsonObject, ...] = ()
    weak_targets: Floats = field(default_factory=_no_floats)
    gate_examples: tuple[JsonObject, ...] = ()
    gate_groups: tuple[str, ...] = ()
    fade: float = 1.0

    def __post_init__(self) -> None:
        n, m, k = len(self.ids), len(self.weak_ids), len(self.labels)
        fits = (
            len(self.examples) == len(self.groups) == n
            and self.targets.shape == (n, k)
            and self.weights.shape == (n,)
            and len(self.weak_examples) == m
            and (m == 0 or self.weak_targets.shape == (m, k))
        )
        if not fits:
            raise BackendError(
                f"{n} ids, {len(self.examples)} examples, {len(self.groups)} groups, targets {self.targets.shape}, "
                f"weights {self.weights.shape}; weak: {m} ids, {len(self.weak_examples)} examples, targets "
                f"{self.weak_targets.shape}; {k} labels: they do not fit together",
                where=f"control '{self.name}'",
                remedy="Give one of each for every task.",
            )


@dataclass(frozen=True, eq=False)
class TrainJob:
    """One training: every control of a project, one backend. weak: see `policies.TrainPolicy`. folds: of
    cross-validation.

    media_root, cache_folder: places of this machine, for backends that have a parameter of that name; no part of a
    model.
    """

    controls: tuple[ControlJob, ...]
    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weak: Literal["auto", "always", "never"] = "auto"
    folds: int = 5
    seed: int = 0
    media_root: str = ""
    cache_folder: str = ""

    @property
    def places(self) -> dict[str, str]:
        """The places that are given."""
        given = {"media_root": self.media_root, "cache_folder": self.cache_folder}
        return {name: place for name, place in given.items() if place}

    def save(self, folder: Path) -> None:
        """Write the job into `folder`."""
        from safetensors.numpy import save_file

        arrays: dict[str, npt.NDArray[Any]] = {}
        controls: list[dict[str, Any]] = []
        lines: list[str] = []
        for number, control in enumerate(self.controls):
            arrays[f"{number}.targets"] = np.ascontiguousarray(control.targets, np.float32)
            arrays[f"{number}.weights"] = np.ascontiguousarray(control.weights, np.float32)
            if control.weak_ids:
                arrays[f"{number}.weak"] = np.ascontiguousarray(control.weak_targets, np.float32)
            for part in (control.examples, control.weak_examples, control.gate_examples):
                lines.extend(json.dumps(dict(example), default=str) for example in part)
            controls.append(
                {
                    "name": control.name,
                    "labels": control.labels,
                    "multiple": control.multiple,
                    "fields": control.fields,
                    "ids": control.ids,
                    "groups": control.groups,
                    "weak_ids": control.weak_ids,
                    "gate": len(control.gate_examples),
                    "gate_groups": control.gate_groups,
                    "fade": control.fade,
                }
            )
        about = {
            "controls": controls,
            "backend": self.backend,
            "options": dict(self.options),
            "weak": self.weak,
            "folds": self.folds,
            "seed": self.seed,
            "media_root": self.media_root,
            "cache_folder": self.cache_folder,
        }
        save_file(arrays, folder / "job.safetensors")
        (folder / "examples.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        (folder / "job.json").write_text(json.dumps(about), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> TrainJob:
        """Return the job that was written there."""
        from safetensors.numpy import load_file

        about = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / "job.safetensors")
        with (folder / "examples.jsonl").open(encoding="utf-8") as stream:
            lines = iter(stream)
            controls = tuple(_control(number, one, arrays, lines) for number, one in enumerate(about.pop("controls")))
        return cls(controls=controls, **about)


def _control(
    number: int, one: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]], lines: Iterator[str]
) -> ControlJob:
    def examples(count: int) -> tuple[JsonObject, ...]:
        return tuple(json.loads(next(lines)) for _ in range(count))

    return ControlJob(
        name=one["name"],
        labels=tuple(one["labels"]),
        multiple=one["multiple"],
        fields=tuple(one["fields"]),
        ids=tuple(one["ids"]),
        examples=examples(len(one["ids"])),
        targets=arrays[f"{number}.targets"],
        weights=arrays[f"{number}.weights"],
        groups=tuple(one["groups"]),
        weak_ids=tuple(one["weak_ids"]),
        weak_examples=examples(len(one["weak_ids"])),
        weak_targets=arrays.get(f"{number}.weak", _no_floats()),
        gate_examples=examples(one["gate"]),
        gate_groups=tuple(one["gate_groups"]),
        fade=float(one["fade"]),
    )


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
    rival: None where weak labels are not in question."""

    bundle_folder: Path
    metrics: JsonObject
    gate_predictions: dict[str, Floats]
    heldout: dict[str, HeldOut]
    used_weak: bool
    seconds: float
    rival: Rival | None = None


def save_result(
    folder: Path,
    metrics: JsonObject,
    variants: Mapping[str, tuple[Mapping[str, Floats], Mapping[str, HeldOut]]],
    used_weak: bool,
) -> None:
    """Write a result's JSON and arrays into `folder`. variants: CANDIDATE, and RIVAL if there is one, to gate
    predictions and held-out probabilities by control."""
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
    about = {"variants": seeds, "metrics": metrics, "used_weak": used_weak}
    (folder / "result.json").write_text(json.dumps(about), encoding="utf-8")


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
