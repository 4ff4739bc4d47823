"""Status: where a project stands, and why a queue is empty. Reads only our store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from adapter.core.intervals import wilson
from adapter.stages.agreement import headline
from adapter.stages.consensus import METHOD_NOTE
from adapter.stages.context import Project
from adapter.stages.evidence import SKILL_NOTE, WEAK_NOTE, people_labels
from adapter.stages.gates import last_outcomes, paused
from adapter.stages.progress import progress_line
from adapter.stages.reports import Report
from adapter.stages.train import TRAINING_NOTE, due
from adapter.stages.train_again import told_failure
from adapter.stages.weak_use import weak_uses
from adapter.stages.window import left_in_budget, open_placements
from adapter.vocabulary import JsonObject


@dataclass(frozen=True, slots=True)
class StatusReport(Report):
    """All figures of one project. accuracy: of the current model on the blind sample, with a Wilson interval. weak: the
    consolidator of functions' votes in use, by control; weak_use: what its weak labels are worth in training, in
    words. training: how far one is, how it failed, or why one is due. progress: what more labels would bring, and
    the saving so far. calibration: what a confidence means, by control."""

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
    gates: dict[str, str]
    paused: list[str]
    methods: dict[str, str]
    reviewed: int
    unserved: list[str]
    flags_open: int
    strays: int
    faults: dict[str, int]
    per_hour: float
    weak: dict[str, str]
    weak_use: dict[str, str]
    skills: JsonObject
    training: str
    progress: str
    calibration: dict[str, str]
    queue: str


def status(project: Project) -> StatusReport:
    """Collect the figures. Never touches Label Studio."""
    store, name = project.store, project.name
    store.projects.ensure(name, project.space.digest)
    index = store.tasks.index(name)
    placements = store.ledger.placements(name)
    waiting = open_placements(project)
    totals = store.annotations.totals(name)
    voting = store.annotations.voting(name)
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
        budget_left=None if budget is None else max(left_in_budget(project, budget), 0),
        model=current.version if current else None,
        models=len(store.models.all(name)),
        accuracy=_accuracy(gate),
        agreement={control.name: headline(project, control, voting=voting) for control in project.space.controls},
        gates=last_outcomes(project),
        paused=[why for why in (paused(project, control.name) for control in project.space.controls) if why],
        methods={control: str(entry["method"]) for control, entry in notes.get(METHOD_NOTE, {}).items()},
        reviewed=len(store.reviews.all(name)),
        unserved=[f"{control.title}: {control.why}" for control in project.space.unserved],
        flags_open=len(store.flags.open(name)),
        strays=len(store.annotations.strays(name)),
        faults={f"{source} ({where})": count for (source, where), count in store.faults.counts(name).items()},
        per_hour=float(hour),
        weak={control: str(entry.get("chosen", "")) for control, entry in notes.get(WEAK_NOTE, {}).items()},
        weak_use={control: use.sentence() for control, use in weak_uses(project).items() if use.functions},
        skills=notes.get(SKILL_NOTE, {}),
        training=_training(project, notes.get(TRAINING_NOTE)),
        progress=progress_line(project),
        calibration={
            control: str(about.get("sentence", ""))
            for control, about in (dict(current.metrics).get("calibration", {}) if current else {}).items()
        },
        queue=_queue(project, len(waiting), len(index.ids), len(placements)),
    )


def _training(project: Project, under_way: Any) -> str:
    """Say how far a training is, how often it failed, or why one is due."""
    if under_way and under_way.get("step"):
        return f"under way: {under_way['step']} ({under_way['done']} of {under_way['total']} steps)"
    if under_way:
        return "under way: reading what it learns from"
    return told_failure(project) or due(project) or _not_due(project)


def _not_due(project: Project) -> str:
    """Say what a training waits for."""
    policy, store = project.settings.train, project.store
    controls = (*project.learned, *project.marked)
    if not controls:
        return "not due: no control has a model, people label alone"
    free = {c.name: [r for t, r in people_labels(project, c).items() if not project.is_blind(t)] for c in controls}
    most = max(len(rows) for rows in free.values())
    if not store.models.all(project.name) and most < policy.min_labels:
        text = f"not due: {most} labels outside the blind sample, {policy.min_labels} are needed"
        names = {control.name for control in controls}
        undecided = sum(row.value is None and row.control in names for row in store.consensus.all(project.name))
        if undecided:
            text += f"; {undecided} are undecided, and wait for one more person (`consolidate.people_threshold`)"
        return text
    if all(len({repr(row.value) for row in rows}) < 2 for rows in free.values()):
        return "not due: people have used only one label so far"
    return "not due"


def _accuracy(figures: Any) -> JsonObject | None:
    if not figures or not figures.get("n"):
        return None
    right, n = float(figures["candidate_right"]), int(figures["n"])
    low, high = wilson(right, n)
    return {"value": right / n, "lower": low, "upper": high, "n": n}


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
