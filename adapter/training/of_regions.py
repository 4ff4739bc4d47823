"""Training one control of regions: fit on what people marked, and ask about the blind sample."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from adapter.backend_loading import AnyBackend, ask_regions, for_regions
from adapter.errors import BackendError
from adapter.training.common import Steps, beginning, fields_of, learned, origin, seen, sha256, warmed
from adapter.training.job import RegionJob, TrainJob
from adapter.vocabulary import JsonObject


@dataclass(frozen=True, eq=False)
class Found:
    """One control of regions, trained. gate: what it finds in the blind sample. learned: digests of its tasks."""

    backend: AnyBackend
    gate: list[list[JsonObject] | None]
    metrics: dict[str, Any]
    digest: str
    learned: list[str]


def train_regions(job: TrainJob, control: RegionJob, steps: Steps) -> Found:
    """Train a control of regions on what people marked outside the blind sample, and ask it about the blind sample."""
    started = time.perf_counter()
    measured = set(control.gate_groups)
    rows = [
        row
        for row, (group, weight) in enumerate(zip(control.groups, control.weights, strict=True))
        if weight > 0 and group not in measured
    ]
    if not rows:
        raise BackendError(
            "there is no task to train on",
            where=f"control '{control.name}'",
            remedy="Label tasks outside the blind sample first.",
        )
    steps.say(f"training '{control.name}'")
    examples, regions = [control.examples[row] for row in rows], [control.regions[row] for row in rows]
    ids = [control.ids[row] for row in rows]
    fields = fields_of(job, control)
    tasks = learned(ids, examples, fields)
    backend = for_regions(warmed(job, control, tasks), control.name)
    backend.fit(examples, regions, labels=control.labels, weights=control.weights[rows], seed=job.seed)
    gate = ask_regions(backend, control.gate_examples, control.name)
    steps.say(f"asked '{control.name}' about the blind sample", 1)
    digest = sha256(
        control.name,
        control.labels,
        fields,
        ids,
        regions,
        control.weights[rows],
        seen(examples, fields),
        *origin(job, backend),
    )
    metrics = {
        "people": len(rows),
        "regions": sum(map(len, regions)),
        "seconds": round(time.perf_counter() - started, 3),
        "sentence": f"{len(rows)} tasks with {sum(map(len, regions))} regions.",
        **beginning(backend),
    }
    return Found(backend, gate, metrics, digest, tasks)
