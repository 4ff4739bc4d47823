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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject


def _no_floats() -> Floats:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class ControlJob:
    """What one control's model learns from. n people's labels, m weak ones, g tasks of the blind sample, k labels.

    targets (n, k) and weights (n,): of people's consensus. groups: one name a row, equal for duplicates. weak_targets
    (m, k): soft. gate_examples: what to predict for the gate; their labels stay with the parent. gate_groups: names of
    duplicate groups that must not be trained on, since the gate measures on them. fade: what weak labels' weight is
    multiplied by, as they come to be worth less. backend, options: of its own; empty means the job's. pool: a sample of
    the pool, without labels, for backends that learn from it first.
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
    backend: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    pool: tuple[JsonObject, ...] = ()

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
class RegionJob:
    """What one control of regions learns from: n tasks with all that people marked there, g tasks of the blind sample.

    regions: of each task, plain JSON as `adapter.kinds.base.Region`. weights (n,). The rest as in `ControlJob`.
    """

    name: str
    labels: tuple[str, ...]
    fields: tuple[str, ...]
    ids: tuple[str, ...]
    examples: tuple[JsonObject, ...]
    regions: tuple[tuple[JsonObject, ...], ...]
    weights: Floats
    groups: tuple[str, ...]
    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)
    gate_examples: tuple[JsonObject, ...] = ()
    gate_groups: tuple[str, ...] = ()


SECRET = ("llm_key",)
"""Places that are never written into a job's folder."""


@dataclass(frozen=True, eq=False)
class TrainJob:
    """One training: every control of a project. backend, options: of controls that have none of their own. weak: see
    `policies.TrainPolicy`. folds: of cross-validation. marked: the controls of regions.

    places: what this machine and project offer to backends that ask for it by parameter name, see
    `ports.BackendFactory`; no part of a model. previous: folder of the model in use, for backends that begin there;
    empty for none.
    """

    controls: tuple[ControlJob, ...]
    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weak: Literal["auto", "always", "never"] = "auto"
    folds: int = 5
    seed: int = 0
    marked: tuple[RegionJob, ...] = ()
    places: Mapping[str, Any] = field(default_factory=dict, repr=False)
    previous: str = ""

    @property
    def secrets(self) -> dict[str, str]:
        """The places that are secrets: the parent tells the child in another way."""
        return {name: str(self.places[name]) for name in SECRET if self.places.get(name)}

    def offered(self, control: ControlJob | RegionJob) -> dict[str, Any]:
        """Return what a control's backend may ask for by parameter name."""
        return {**self.places, "labels": control.labels, "control": control.name}

    def save(self, folder: Path) -> None:
        """Write the job into `folder`."""
        from safetensors.numpy import save_file

        arrays: dict[str, npt.NDArray[Any]] = {}
        controls: list[dict[str, Any]] = []
        lines: list[str] = []
        pools: dict[int, int] = {}
        for number, control in enumerate(self.controls):
            first = pools.setdefault(id(control.pool), number)  # one sample may serve many jobs: it is written once
            pool = control.pool if first == number else ()
            arrays[f"{number}.targets"] = np.ascontiguousarray(control.targets, np.float32)
            arrays[f"{number}.weights"] = np.ascontiguousarray(control.weights, np.float32)
            if control.weak_ids:
                arrays[f"{number}.weak"] = np.ascontiguousarray(control.weak_targets, np.float32)
            for part in (control.examples, control.weak_examples, control.gate_examples, pool):
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
                    "pool": len(pool),
                    "pool_of": first,
                    "fade": control.fade,
                    "backend": control.backend,
                    "options": dict(control.options),
                }
            )
        marked: list[dict[str, Any]] = []
        for number, region in enumerate(self.marked):
            arrays[f"marked.{number}.weights"] = np.ascontiguousarray(region.weights, np.float32)
            for rows in (region.examples, region.regions, region.gate_examples):
                lines.extend(json.dumps(row if isinstance(row, tuple) else dict(row), default=str) for row in rows)
            marked.append(
                {
                    "name": region.name,
                    "labels": region.labels,
                    "fields": region.fields,
                    "ids": region.ids,
                    "groups": region.groups,
                    "backend": region.backend,
                    "options": dict(region.options),
                    "gate": len(region.gate_examples),
                    "gate_groups": region.gate_groups,
                }
            )
        about = {
            "controls": controls,
            "marked": marked,
            "backend": self.backend,
            "options": dict(self.options),
            "weak": self.weak,
            "folds": self.folds,
            "seed": self.seed,
            "previous": self.previous,
            "places": {name: place for name, place in self.places.items() if name not in SECRET},
        }
        save_file(arrays, folder / "job.safetensors")
        (folder / "examples.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        (folder / "job.json").write_text(json.dumps(about), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, secrets: Mapping[str, str] | None = None) -> TrainJob:
        """Return the job that was written there. secrets: places that were not."""
        from safetensors.numpy import load_file

        about = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / "job.safetensors")
        with (folder / "examples.jsonl").open(encoding="utf-8") as stream:
            lines = iter(stream)
            controls: list[ControlJob] = []
            for number, one in enumerate(about.pop("controls")):
                control = _control(number, one, arrays, lines)
                first = int(one["pool_of"])
                controls.append(control if first == number else replace(control, pool=controls[first].pool))
            marked = tuple(_marked(number, one, arrays, lines) for number, one in enumerate(about.pop("marked")))
        places = {**about.pop("places"), **(secrets or {})}
        return cls(controls=tuple(controls), marked=marked, places=places, **about)


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
        backend=str(one["backend"]),
        options=dict(one["options"]),
        pool=examples(one["pool"]),
    )


def _marked(
    number: int, one: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]], lines: Iterator[str]
) -> RegionJob:
    count = len(one["ids"])
    return RegionJob(
        name=one["name"],
        labels=tuple(one["labels"]),
        fields=tuple(one["fields"]),
        ids=tuple(one["ids"]),
        examples=tuple(json.loads(next(lines)) for _ in range(count)),
        regions=tuple(tuple(json.loads(next(lines))) for _ in range(count)),
        weights=arrays[f"marked.{number}.weights"],
        groups=tuple(one["groups"]),
        backend=str(one["backend"]),
        options=dict(one["options"]),
        gate_examples=tuple(json.loads(next(lines)) for _ in range(one["gate"])),
        gate_groups=tuple(one["gate_groups"]),
    )
