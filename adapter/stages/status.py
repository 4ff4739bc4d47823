"""Status: where a project stands, and why a queue is empty. Reads only our store."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from adapter.core.agreement import krippendorff_nominal, raw_agreement
from adapter.core.intervals import wilson
from adapter.stages.consolidate import SKILL_NOTE
from adapter.stages.context import Project
from adapter.stages.evidence import WEAK_NOTE, codes, people_labels, values_by_annotator
from adapter.stages.reports import Report
from adapter.stages.train import due
from adapter.stages.window import left_in_budget, open_placements
from adapter.vocabulary import JsonObject


@dataclass(frozen=True, slots=True)
class StatusReport(Report):
    """All figures of one project. accuracy: of the current model on the blind sample, with a Wilson interval."""

    project: str
    platform_id: int | None
    tasks: int
    duplicates: int
    blind: int
    pushed: int
    open: int
    annotations: int
    skipped: int
    annotators: int
    labelled: dict[str, int]
    undecided: dict[str, int]
    budget_left: int | None
    model: str | None
    models: int
    accuracy: JsonObject | None
    agreement: dict[str, JsonObject]
    flags_open: int
    strays: int
    faults: dict[str, int]
    per_hour: float
    weak: dict[str, str]
    skills: JsonObject
    training: str
    queue: str


def status(project: Project) -> StatusReport:
    """Collect the figures. Never touches Label Studio."""
    store, name = project.store, project.name
    store.projects.ensure(name, project.space.digest)
    index = store.tasks.index(name)
    placements = store.ledger.placements(name)
    waiting = open_placements(project)
    totals = store.annotations.totals(name)
    notes = store.projects.notes(name)
    current = store.models.current(name)
    budget = project.settings.window.budget
    rows = store.consensus.all(name)
    gate = dict(current.verdict).get("figures") if current else None
    hour = store.annotations.count(name, since=project.now() - timedelta(hours=1))
    return StatusReport(
        project=name,
        platform_id=project.platform_id,
        tasks=len(index.ids),
        duplicates=int((index.duplicate_of >= 0).sum()),
        blind=int(index.blind.sum()),
        pushed=sum(not p.gone for p in placements),
        open=len(waiting),
        annotations=totals.votes,
        skipped=totals.cancelled,
        annotators=totals.annotators,
        labelled={c.name: len(people_labels(project, c)) for c in project.space.controls},
        undecided={c.name: sum(r.control == c.name and r.value is None for r in rows) for c in project.space.controls},
        budget_left=None if budget is None else left_in_budget(project, budget),
        model=current.version if current else None,
        models=len(store.models.all(name)),
        accuracy=_accuracy(gate),
        agreement=_agreement(project),
        flags_open=len(store.flags.open(name)),
        strays=len(store.annotations.strays(name)),
        faults={f"{source} ({where})": count for (source, where), count in store.faults.counts(name).items()},
        per_hour=float(hour),
        weak={control: str(entry.get("chosen", "")) for control, entry in notes.get(WEAK_NOTE, {}).items()},
        skills=notes.get(SKILL_NOTE, {}),
        training=due(project) or "not due",
        queue=_queue(project, len(waiting), len(index.ids), len(placements)),
    )


def _accuracy(figures: Any) -> JsonObject | None:
    if not figures or not figures.get("n"):
        return None
    right, n = int(figures["candidate_right"]), int(figures["n"])
    low, high = wilson(right, n)
    return {"value": right / n, "lower": low, "upper": high, "n": n}


def _agreement(project: Project) -> dict[str, JsonObject]:
    """Krippendorff's alpha (nominal) on blind tasks that several people labelled, per control."""
    out: dict[str, JsonObject] = {}
    voting = project.store.annotations.voting(project.name)
    for control in project.space.controls:
        votes = {
            task_id: values_by_annotator(annotations, control)
            for task_id, annotations in voting.items()
            if project.is_blind(task_id)
        }
        units = [list(by.values()) for by in codes(control, votes).values() if len(by) > 1]
        alpha, raw = krippendorff_nominal(units), raw_agreement(units)
        out[control.name] = {
            "alpha": None if math.isnan(alpha) else alpha,
            "raw": None if math.isnan(raw) else raw,
            "n": len(units),
        }
    return out


def _queue(project: Project, waiting: int, pool: int, placed: int) -> str:
    """Say in words what annotators find now, and why if it is nothing."""
    if waiting:
        return f"{waiting} tasks are open"
    if pool == 0:
        return "the pool is empty: run `hitl ingest`"
    if placed == 0:
        return "nothing has been pushed yet: run `hitl push` or `hitl up`"
    budget = project.settings.window.budget
    if budget is not None and left_in_budget(project, budget) <= 0:
        return f"the budget of {budget} annotations is spent"
    if placed >= pool:
        return "every task has been labelled"
    return "the window has drained: the scheduler tops it up at its next tick"
