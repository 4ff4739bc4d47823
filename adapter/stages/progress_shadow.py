"""The shadow: models trained on tasks drawn at random, to know what the active order saves.

The blind sample is random and labelled, so it can be both: some of it trains, the rest measures, many times over. That
draws the start of the curve of labels at random; stand-ins (`stages.progress_standins`) go on where the present model
is. The shadow's models order nothing, pre-label nothing and are deleted; only their decisions are kept.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.backend_loading import build, costly, slow
from adapter.core.blind import blind_order
from adapter.core.saving import LEAST_TASKS
from adapter.core.stopping import Codes
from adapter.kinds import label_kind_of
from adapter.stages.context import Project
from adapter.stages.evidence import group_of
from adapter.stages.progress_lacks import OFF, blind_off, no_model
from adapter.stages.progress_seen import Rows, catch_up, decisions, watched
from adapter.stages.progress_standins import MODELS, StandIns, cost, draw, jobs_of, labels_in, measured
from adapter.stages.reports import Report
from adapter.stages.train_jobs import Gold, gold_of, pool_sample
from adapter.training import ControlJob, TrainJob, run
from adapter.vocabulary import Control, ModelVersion

SHADOW_NOTE = "shadow"
"""Note of a project: control to the last measurement."""
GROWTH = 1.2
"""The shadow is trained again when the labelled blind tasks have grown by a fifth."""
MOST_BLIND = 1000
OUTSIDE = 1500
"""Blind tasks without a label that the shadow's models also answer. Other tasks without a label would not do: the order
has taken the hard ones."""
LARGE_PARTS = 5
LARGE_SHARE = 0.8
BLOCKS = 6
LEAST_SIZE = 8


@dataclass(frozen=True, slots=True)
class ShadowReport(Report):
    """measured: control to the blind tasks it was measured with. remembered: models whose decisions were missing. why:
    control to the reason why it was not measured now."""

    measured: dict[str, int]
    remembered: int
    why: dict[str, str]
    seconds: float


@dataclass(frozen=True, eq=False)
class Shadow:
    """A measurement: m models on r rows of the pool. rows (r,). sizes (m,): labels that each was trained on. codes: m
    arrays of decisions (r, b). trained (r, m): rows that a model was trained on. stand_ins: on the same rows; None
    where too many tasks are labelled to draw any."""

    rows: Rows
    sizes: npt.NDArray[np.int64]
    codes: tuple[Codes, ...]
    trained: npt.NDArray[np.bool_]
    stand_ins: StandIns | None = None


def measure_progress(project: Project, *, stop: threading.Event | None = None) -> ShadowReport:
    """Measure the curve of random labels anew where the labelled blind tasks have grown by a fifth.

    A job for the loop, after a training; cheap when nothing is due. Raises BackendError when a backend that has been
    trained cannot be trained here; nothing changes then. stop: set it to end the training.
    """
    started = time.perf_counter()
    remembered = catch_up(project)
    done: dict[str, int] = {}
    why: dict[str, str] = {}
    for control in project.learned:
        gold = gold_of(project, control)
        reason = _not_due(project, control, gold)
        if reason:
            why[control.name] = reason
        else:
            done[control.name] = _measure(project, control, gold, stop)
    return ShadowReport(done, remembered, why, time.perf_counter() - started)


def kept_shadow(project: Project, control: Control) -> Shadow | None:
    """Return the last measurement, None before the first."""
    note = _note(project).get(control.name)
    if not note or note.get("labels") != list(control.labels):
        return None
    rows, codes, trained, sizes = (
        project.artifacts.get_array(note[part]) for part in ("rows", "codes", "trained", "sizes")
    )
    width = codes.shape[1] // len(sizes)
    each = tuple(codes[:, width * m : width * (m + 1)] for m in range(len(sizes)))
    there = note.get("stand_ins")
    return Shadow(rows, sizes, each, trained.astype(bool), StandIns.kept(project, there) if there else None)


def why_none(project: Project, control: Control, gold: Gold) -> str:
    """Return why there is no measurement of a control, in words."""
    kept = _note(project).get(control.name)
    if kept and kept.get("labels") == list(control.labels) and "stand_ins" in kept and kept["stand_ins"] is None:
        return "the pool has too few tasks to draw as many at random as are labelled"
    return _not_due(project, control, gold) or "it is measured after the next training"


def plan(groups: list[str], seed: int) -> list[Rows]:
    """Return the training parts: positions in n tasks, small parts first.

    Halves, quarters, eighths ... of the tasks (at most BLOCKS of each, down to LEAST_SIZE tasks), and LARGE_PARTS times
    LARGE_SHARE of them; tasks outside a part measure its model. groups: copies of one task stay together.
    """
    rng = np.random.default_rng(seed)
    names = sorted(set(groups))
    place = dict(zip(names, rng.permutation(len(names)).tolist(), strict=True))
    order = np.array(sorted(range(len(groups)), key=lambda row: (place[groups[row]], row)), np.int64)
    spot = np.array([place[groups[row]] for row in order])
    total = len(names)
    parts: list[Rows] = []
    cuts: list[int] = []
    count = 2
    while total // count >= LEAST_SIZE:
        cuts.insert(0, count)
        count *= 2
    for count in cuts:
        size = total // count
        parts += [order[(spot >= size * b) & (spot < size * (b + 1))] for b in range(min(count, BLOCKS))]
    parts += [order[spot % LARGE_PARTS != part] for part in range(LARGE_PARTS)]
    return parts


def _not_due(project: Project, control: Control, gold: Gold) -> str:
    """Return why a control is not measured now, or nothing."""
    policy = project.settings.stop
    if policy.shadow is False:
        return "`stop.shadow` is false"
    n = min(len(gold.blind), MOST_BLIND)
    if n < LEAST_TASKS:
        return OFF if blind_off(project) else f"{n} of {LEAST_TASKS} labelled blind tasks"
    if len({repr(value) for _, value in gold.blind}) < 2:
        return "the blind tasks all have one label"
    current = project.store.models.current(project.name)
    if current is None:
        return no_model(project)
    before = _note(project).get(control.name) or {}
    if before.get("labels") == list(control.labels) and "stand_ins" in before and n < GROWTH * int(before.get("n", 0)):
        return f"measured with {before['n']} blind tasks, {n} now"
    if policy.shadow:
        return ""
    settings = project.backend_of(control)
    backend = build(settings.path, control.fields or (control.field,), settings.options, project.offered(control))
    if costly(backend):
        return "the backend costs money: set `stop.shadow: true` to measure it all the same"
    if slow(backend):
        return "the backend is slow: set `stop.shadow: true` to measure it all the same"
    expected = _expected(project, control, current, n, MODELS[-1])
    if expected > policy.shadow_s:
        return f"it would take about {expected:.0f} s, `stop.shadow_s` allows {policy.shadow_s:.0f}"
    return ""


def _expected(project: Project, control: Control, current: ModelVersion, blind: int, counts: Sequence[int]) -> float:
    """Return about how long a measurement takes: as long for its work as the last one, or as the last training."""
    work = _work(labels_in(current, control), blind, counts)
    before = _note(project).get(control.name) or {}
    if before.get("work"):
        return work * float(before["seconds"]) / float(before["work"])
    about = current.metrics.get("controls", {}).get(control.name, {})
    fits = max(len(about.get("table", ())), 1) * project.settings.flag.folds + 1
    each = float(about.get("seconds", current.metrics.get("seconds", 0.0))) / fits
    return work * each / max(labels_in(current, control), 1)


def _work(labels: int, blind: int, counts: Sequence[int]) -> float:
    """Return the labels that a measurement's models learn from. Each model is cross-validated in two folds beside,
    which doubles it; many parts of the blind sample are so small that starting takes as long as learning."""
    small = 3.0 * (LARGE_PARTS + 2 + 4 + BLOCKS) * min(blind, labels)
    return 2.0 * labels * cost(counts) + small


def _measure(project: Project, control: Control, gold: Gold, stop: threading.Event | None) -> int:
    """Train the shadow's models and keep their decisions; return the number of blind tasks."""
    started = time.perf_counter()
    order = np.argsort(blind_order((task.id for task, _ in gold.blind), project.blind), kind="stable")[:MOST_BLIND]
    blind = [gold.blind[place] for place in order]
    kind = label_kind_of(control)
    targets = np.stack([kind.target(control, value) for _, value in blind]).astype(np.float32)
    groups, classes = group_of([task for task, _ in blind]), [repr(value) for _, value in blind]
    parts = plan(groups, project.settings.stop.seed)
    labelled = {task.seq for task, _ in gold.blind}
    index = project.store.tasks.index(project.name)
    free = [row for row in watched(project, project.settings.stop.stop_set).tolist() if index.blind[row]]
    outside = project.store.tasks.at(project.name, [row for row in free if row not in labelled][:OUTSIDE])
    rows = np.array([task.seq for task, _ in blind] + [task.seq for task in outside], np.int64)
    examples = [task.data for task, _ in blind] + [task.data for task in outside]
    settings = project.backend_of(control)
    pool = pool_sample(project, control)
    jobs: dict[int, ControlJob] = {}
    trained = np.zeros((len(rows), len(parts)), bool)
    for number, part in enumerate(parts):
        trained[part, number] = True
        if len({classes[row] for row in part}) < 2 or len({groups[row] for row in part}) < 2:
            continue  # nothing to learn: it stands for a model that always says that class
        jobs[number] = ControlJob(
            name=f"{control.name} {number}",
            labels=control.labels,
            multiple=control.multiple,
            fields=control.fields or (control.field,),
            ids=tuple(blind[row][0].id for row in part),
            examples=tuple(examples[row] for row in part),
            targets=targets[part],
            weights=np.ones(len(part), np.float32),
            groups=tuple(groups[row] for row in part),
            gate_examples=tuple(examples[row] for row in np.flatnonzero(~trained[:, number])),
            backend=settings.path,
            options=dict(settings.options),
            pool=pool,
        )
    current = project.store.models.current(project.name)
    assert current is not None  # or it would not be due
    limit = project.settings.stop.shadow_s
    sizes = [counts for counts in MODELS if _expected(project, control, current, len(blind), counts) <= limit]
    counts = sizes[0] if sizes else MODELS[-1]
    drawn = draw(project, control, gold, current, examples, counts)
    standing = jobs_of(project, control, drawn, examples, pool)
    answers = _answers(project, control, [*jobs.values(), *standing.values()], stop)
    stand_ins = measured(control, drawn, standing, answers)
    codes = []
    for number, part in enumerate(parts):
        probabilities = np.full((len(rows), len(control.labels)), np.nan, np.float32)
        unseen = ~trained[:, number]
        probabilities[unseen] = answers[jobs[number].name] if number in jobs else targets[part].mean(axis=0)
        codes.append(decisions(control, probabilities))
    put = project.artifacts.put_array
    note = {
        "n": len(blind),
        "labels": list(control.labels),
        "at": project.now().isoformat(),
        "seconds": round(time.perf_counter() - started, 3),
        "work": _work(drawn.labels, len(blind), counts),
        "rows": put(rows)[0],
        "codes": put(np.concatenate(codes, axis=1))[0],
        "trained": put(trained)[0],
        "sizes": put(np.array([len(part) for part in parts], np.int64))[0],
        "stand_ins": stand_ins.note(project) if stand_ins is not None else None,
    }
    project.store.projects.note(project.name, SHADOW_NOTE, {**_note(project), control.name: note})
    return len(blind)


def _answers(
    project: Project, control: Control, jobs: list[ControlJob], stop: threading.Event | None
) -> dict[str, npt.NDArray[np.float32]]:
    """Train in a child process and return each part's probabilities; nothing else of it is kept."""
    if not jobs:
        return {}
    settings = project.backend_of(control)
    job = TrainJob(
        controls=tuple(jobs),
        backend=settings.path,
        options=dict(settings.options),
        weak="never",
        folds=2,
        seed=project.settings.train.seed,
        places=project.places,
    )
    folder = project.home / "jobs" / f"{project.name}-shadow"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        return dict(run(job, folder, project.settings.train.timeout_s, stop=stop).gate_predictions)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _note(project: Project) -> Mapping[str, Any]:
    found: Mapping[str, Any] = project.store.projects.notes(project.name, SHADOW_NOTE).get(SHADOW_NOTE) or {}
    return found


__all__ = ["SHADOW_NOTE", "Shadow", "ShadowReport", "kept_shadow", "measure_progress", "plan", "why_none"]
