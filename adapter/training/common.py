"""What training a control of labels and one of regions share: progress, the backend, the digest of the data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.backend_loading import AnyBackend, build, costly, looked_at, slow
from adapter.bundle import MODEL_FILE, folder_of
from adapter.ports import Preparing, WarmStarting
from adapter.training.job import ControlJob, RegionJob, TrainJob
from adapter.training.result import PROGRESS, write_json
from adapter.vocabulary import JsonObject

LEARNED = "learned.json"
"""In a model's folder: control to digests of the tasks that it learned from, for backends that warm-start."""


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


def fields_of(job: TrainJob, control: ControlJob | RegionJob) -> tuple[str, ...]:
    """Return the task fields that a control's backend looks at."""
    return looked_at(control.fields, backend_of(job, control)[1])


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


def warmed(job: TrainJob, control: ControlJob | RegionJob, learns: Sequence[str]) -> AnyBackend:
    """Return an unfitted backend that begins where the model in use ended, if it is of a kind that does and that model
    is of the same kind: same path, options and labels; and that has seen the pool, if it learns from that. Raises
    BackendError.

    learns: digests of all that it is to learn from, see `learned`. The model in use must have learned from nothing
    else: it would carry into this one what a task said that has come to be a copy of a blind one, is rejected, or is
    only weakly labelled, and no measure on such a task would be honest any more.
    """
    backend = new_backend(job, control)
    if job.previous and isinstance(backend, WarmStarting):
        folder = folder_of(Path(job.previous), control.name, about(job, control))
        before = _learned_before(Path(job.previous), control.name)
        if folder is not None and before and before <= set(learns):
            backend.warm_start(folder)
    if isinstance(control, ControlJob) and control.pool and isinstance(backend, Preparing):
        backend.prepare(control.pool, seed=job.seed)
    return backend


def learned(ids: Sequence[str], examples: Sequence[JsonObject], fields: Sequence[str]) -> list[str]:
    """Return a digest of each task that a model learns from: its id, and what is looked at of it."""
    return [sha256(one, example)[:16] for one, example in zip(ids, seen(examples, fields), strict=True)]


def write_learned(folder: Path, backends: Mapping[str, AnyBackend], by_control: Mapping[str, Sequence[str]]) -> None:
    """Put into a saved model's folder what its backends learned from, of those that can warm-start."""
    warming = {name: list(by_control[name]) for name, one in backends.items() if isinstance(one, WarmStarting)}
    if warming:
        write_json(folder / LEARNED, warming)


def _learned_before(folder: Path, control: str) -> set[str]:
    """Return what a model's control learned from; empty where that is not known."""
    try:
        found = json.loads((folder / LEARNED).read_text(encoding="utf-8"))[control]
        return set(found) if isinstance(found, list) else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def beginning(backend: AnyBackend) -> dict[str, str]:
    """Return for a training's metrics how a fitted backend began, of those that can warm-start and tell by `warm`."""
    warm = _warm(backend)
    return {} if warm is None else {"began": "near the model in use" if warm else "anew"}


def _warm(backend: AnyBackend) -> bool | None:
    warm = getattr(backend, "warm", None) if isinstance(backend, WarmStarting) else None
    return warm if isinstance(warm, bool) else None


def origin(job: TrainJob, backend: AnyBackend) -> list[str]:
    """Return for the digest of what a fitted backend learned from the model that it began near to; nothing for one that
    began anew."""
    return [sha256((Path(job.previous) / MODEL_FILE).read_text(encoding="utf-8"))] if _warm(backend) else []


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
