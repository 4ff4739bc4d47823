"""What training a control of labels and one of regions share: progress, the backend, the digest of the data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.backend_loading import AnyBackend, build, costly, slow
from adapter.bundle import folder_of
from adapter.ports import Preparing, WarmStarting
from adapter.training.job import ControlJob, RegionJob, TrainJob
from adapter.training.result import PROGRESS, write_json
from adapter.vocabulary import JsonObject


class Steps:
    """Writes the progress file."""

    def __init__(self, folder: Path, total: int) -> None:
        self._folder = folder
        self._total = total
        self._done = 0

    def say(self, step: str, done: int = 0) -> None:
        """Tell what goes on, and that `done` more fits are done."""
        self._done += done
        write_json(
            self._folder / PROGRESS, {"step": step, "done": self._done, "total": max(self._total, self._done, 1)}
        )


def backend_of(job: TrainJob, control: ControlJob | RegionJob) -> tuple[str, Mapping[str, Any]]:
    """Return the path and the options of a control's backend."""
    return (control.backend, control.options) if control.backend else (job.backend, job.options)


def about(job: TrainJob, control: ControlJob | RegionJob) -> dict[str, Any]:
    """Return what a bundle keeps of a control."""
    path, options = backend_of(job, control)
    multiple = isinstance(control, ControlJob) and control.multiple
    return {
        "labels": control.labels,
        "multiple": multiple,
        "fields": control.fields,
        "backend": path,
        "options": dict(options),
    }


def new_backend(job: TrainJob, control: ControlJob | RegionJob) -> AnyBackend:
    """Return an unfitted backend for a control. Raises BackendError."""
    path, options = backend_of(job, control)
    return build(path, control.fields, options, job.offered(control))


def warmed(job: TrainJob, control: ControlJob | RegionJob) -> AnyBackend:
    """Return an unfitted backend that begins where the model in use ended, if it is of a kind that does and that model
    is of the same kind: same path, options and labels; and that has seen the pool, if it learns from that. Raises
    BackendError."""
    backend = new_backend(job, control)
    if job.previous and isinstance(backend, WarmStarting):
        folder = folder_of(Path(job.previous), control.name, about(job, control))
        if folder is not None:
            backend.warm_start(folder)
    if isinstance(control, ControlJob) and control.pool and isinstance(backend, Preparing):
        backend.prepare(control.pool, seed=job.seed)
    return backend


def is_slow(job: TrainJob, control: ControlJob) -> bool:
    """Whether few fits are to be made: one held-out part, and no search for the weight of weak labels."""
    backend = new_backend(job, control)
    return slow(backend) or costly(backend)


def seen(examples: Sequence[JsonObject], fields: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return what a backend looks at of each example."""
    return [{name: example.get(name) for name in fields} for example in examples]


def sha256(*parts: Any) -> str:
    """Return the hex digest of parts: arrays by their bytes, everything else by canonical JSON."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.shape}".encode() + np.ascontiguousarray(part, np.float32).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, separators=(",", ":"), default=str).encode())
        digest.update(b"\x1e")
    return digest.hexdigest()
