"""Train: a candidate in a process of its own, the gate on the blind sample, and promotion if it is not worse.

Targets: people's consensus first, weak labels while they still help; never a model's own votes. Blind tasks never
train.
"""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from adapter.core.gates import promotes, promotion
from adapter.kinds import label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import (
    HELD_OUT_NOTE,
    HeldOutNote,
    current_judge,
    group_of,
    people_labels,
    restored,
    tipped_by_model,
    weak_probabilities,
)
from adapter.stages.models import promote
from adapter.stages.reports import TrainReport
from adapter.stages.weak_use import keep_weak_uses, weak_uses, with_or_without
from adapter.training import ControlJob, Progress, TrainJob, TrainResult, run
from adapter.vocabulary import Control, ModelState, ModelVersion, Task, Value

TRAINED_NOTE = "trained"
TRAINING_NOTE = "training"
MOST_WEAK = 20_000
"""Most weakly labelled tasks that a candidate sees: beyond it, they cost time and change little."""

_stops: dict[str, threading.Event] = {}


@dataclass(frozen=True, slots=True)
class Gold:
    """People's labels of one control: tasks outside the blind sample to train on, blind ones to measure with."""

    train: tuple[tuple[Task, Value, float], ...]
    blind: tuple[tuple[Task, Value], ...]


def due(project: Project) -> str | None:
    """Return why a training should start now, or None."""
    policy = project.settings.train
    if not project.learned:
        return None
    labels = _usable_labels(project)
    if labels < policy.min_labels:
        return None
    trained = project.store.projects.notes(project.name, TRAINED_NOTE).get(TRAINED_NOTE)
    if not trained:
        return f"{labels} labels and no model yet"
    if trained.get("digest") == project.store.annotations.digest(project.name):
        return None
    votes = project.store.annotations.totals(project.name).votes
    new = votes - int(trained.get("annotations", 0))
    if new >= policy.min_new:
        return f"{new} new annotations"
    waited = (project.now() - datetime.fromisoformat(str(trained["at"]))).total_seconds()
    if new > 0 and waited >= policy.max_wait_s:
        return f"{new} new annotations have waited {waited:.0f} s"
    return None


def _usable_labels(project: Project) -> int:
    """Labels outside the blind sample, of the control that has fewest among those with two different ones: a control
    that the page shows now and then must not keep the others waiting."""
    counts = [
        sum(not project.is_blind(task_id) for task_id in labels)
        for labels in (people_labels(project, control) for control in project.learned)
        if len({repr(row.value) for row in labels.values()}) > 1
    ]
    return min(counts, default=0)


def train(project: Project) -> TrainReport:
    """Train a candidate on what is known now, put it to the gate, and promote it if it passes.

    Raises BackendError when the backend cannot learn from these labels; nothing changes then.
    """
    started = time.perf_counter()
    if not project.learned:
        return TrainReport(None, False, "no control has labels that a backend learns: people label alone")
    store, name = project.store, project.name
    votes = store.annotations.totals(name).votes
    seen = store.annotations.digest(name)
    gold = {control.name: gold_of(project, control) for control in project.learned}
    thin = [control for control, rows in gold.items() if len({repr(value) for _, value, _ in rows.train}) < 2]
    controls = [control for control in project.learned if control.name not in thin]
    if not controls:
        return TrainReport(None, False, f"people have used fewer than two labels of {', '.join(thin)} so far")
    number = store.models.next_number(name)
    uses = weak_uses(project)
    job = TrainJob(
        controls=tuple(
            _control_job(project, control, gold[control.name], uses[control.name].fade) for control in controls
        ),
        backend=project.settings.backend.path,
        options=dict(project.settings.backend.options),
        weak=project.settings.train.weak,
        folds=project.settings.flag.folds,
        seed=project.settings.train.seed,
        **project.places,
    )
    folder = project.home / "jobs" / f"{name}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    stop = _stops[name] = threading.Event()
    about = {"number": number, "started": project.now().isoformat(), "annotations": votes}
    store.projects.note(name, TRAINING_NOTE, about)

    def tell(progress: Progress) -> None:
        store.projects.note(name, TRAINING_NOTE, {**about, **asdict(progress)})

    try:
        result = run(job, folder, project.settings.train.timeout_s, tell, stop=stop)
        gold = {control.name: gold[control.name] for control in controls}

        def right(control: Control, probabilities: Floats) -> npt.NDArray[np.bool_]:
            return _correct(control, probabilities, gold[control.name].blind)

        labels = {control: len(rows.train) for control, rows in gold.items()}
        result, uses = with_or_without(project, result, right, labels, folder, f"{name}-{number}")
        report = _judge(project, number, result, gold, votes, seen, time.perf_counter() - started)
        keep_weak_uses(project, uses)
        return report
    finally:
        store.projects.note(name, TRAINING_NOTE, None)
        shutil.rmtree(folder, ignore_errors=True)
        _stops.pop(name, None)


def stop_training(project: Project) -> None:
    """End a training of this project that is under way in this process; it leaves nothing behind."""
    stop = _stops.get(project.name)
    if stop is not None:
        stop.set()


def _judge(
    project: Project,
    number: int,
    result: TrainResult,
    gold: dict[str, Gold],
    votes: int,
    seen: str,
    seconds: float,
) -> TrainReport:
    """Store the candidate, compare it with the current model on the blind sample, promote or reject it."""
    store, name = project.store, project.name
    judge = current_judge(project)
    candidate, current = [], []
    controls = [control for control in project.learned if control.name in gold]
    for control in controls:
        blind = gold[control.name].blind
        candidate.append(_correct(control, result.gate_predictions[control.name], blind))
        if judge is not None:
            answers = judge.probabilities([task.data for task, _ in blind]).get(control.name)
            wrong = np.zeros(len(blind), bool)  # a control that the current model has not learned
            current.append(wrong if answers is None else _correct(control, answers, blind))
    common = np.concatenate([_most_common(gold[control.name]) for control in controls])
    verdict = promotion(
        np.concatenate(current) if judge is not None else None,
        np.concatenate(candidate),
        project.settings.train,
        baseline=common,
    )
    uri, digest = project.artifacts.put_folder(result.bundle_folder)
    version = f"{name}-{number}-{digest[:8]}"
    model = ModelVersion(
        version=version,
        number=number,
        backend=project.settings.backend.path,
        state=ModelState.CANDIDATE,
        metrics={
            **result.metrics,
            "annotations": votes,
            "labels": {control: len(rows.train) for control, rows in gold.items()},
            "used_weak": result.used_weak,
            "seconds": round(result.seconds, 3),
        },
        data_digest=str(result.metrics.get("data_digest", "")),
        uri=uri,
        created_at=project.now(),
        parent=judge.version if judge is not None else None,
        verdict={"outcome": str(verdict.outcome), "figures": verdict.figures, "sentence": verdict.sentence},
    )
    store.models.add(name, model)
    _keep_held_out(project, version, result, gold)
    passed = promotes(verdict)
    if passed:
        promote(project, version, "gate", why=verdict.sentence)
    else:
        store.models.set_state(name, version, ModelState.REJECTED)
        store.audit.append(name, "gate", "rejected", {"version": version, "why": verdict.sentence}, project.now())
    store.projects.note(
        name, TRAINED_NOTE, {"annotations": votes, "digest": seen, "at": project.now().isoformat(), "version": version}
    )
    return TrainReport(version, passed, verdict.sentence, model.metrics, model.verdict, seconds)


def _keep_held_out(project: Project, version: str, result: TrainResult, gold: dict[str, Gold]) -> None:
    """Keep the held-out probabilities that the training made anyway: they are what flagging may judge labels by."""
    kept: dict[str, HeldOutNote] = {}
    for control, held_out in result.heldout.items():
        probabilities, folds = (
            project.artifacts.put_array(array)[0] for array in (held_out.probabilities, held_out.folds)
        )
        ids = [task.id for task, _, _ in gold[control].train]
        kept[control] = {
            "version": version,
            "ids": ids,
            "probabilities": probabilities,
            "folds": folds,
            "seed": held_out.seed,
        }
    project.store.projects.note(project.name, HELD_OUT_NOTE, kept)


def gold_of(project: Project, control: Control) -> Gold:
    """Return people's labels of a control, split by the blind sample; a copy of a blind task does not train either."""
    labels = people_labels(project, control)
    tasks = project.store.tasks.get(project.name, sorted(labels))
    blind_groups = {group for task, group in zip(tasks, group_of(tasks), strict=True) if task.blind}
    train, blind = [], []
    for task, group in zip(tasks, group_of(tasks), strict=True):
        value = restored(control, labels[task.id].value)
        if tipped_by_model(labels[task.id]) and not task.blind:
            continue
        if task.blind:
            blind.append((task, value))
        elif group not in blind_groups:
            train.append((task, value, labels[task.id].confidence))
    return Gold(tuple(train), tuple(blind))


def _control_job(project: Project, control: Control, gold: Gold, fade: float) -> ControlJob:
    """Return what a control's model learns from. fade: what weak labels weigh less by now; 0 leaves them out."""
    kind = label_kind_of(control)
    tasks = [task for task, _, _ in gold.train]
    weak_tasks, weak_targets = _weak_rows(project, control, fade)
    return ControlJob(
        name=control.name,
        labels=control.labels,
        multiple=control.multiple,
        fields=control.fields or (control.field,),
        ids=tuple(task.id for task in tasks),
        examples=tuple(task.data for task in tasks),
        targets=np.stack([kind.target(control, value) for _, value, _ in gold.train]).astype(np.float32),
        weights=np.array([weight for _, _, weight in gold.train], np.float32),
        groups=tuple(group_of(tasks)),
        weak_ids=tuple(task.id for task in weak_tasks),
        weak_examples=tuple(task.data for task in weak_tasks),
        weak_targets=weak_targets,
        gate_examples=tuple(task.data for task, _ in gold.blind),
        fade=fade,
    )


def _weak_rows(project: Project, control: Control, fade: float) -> tuple[list[Task], Floats]:
    """Return weakly labelled tasks that people have not labelled, none of them blind or a copy, and their soft
    targets."""
    nothing: tuple[list[Task], Floats] = ([], np.empty((0, len(control.labels)), np.float32))
    weak = weak_probabilities(project, control)
    if weak is None or not fade or project.settings.train.weak == "never":
        return nothing
    index = project.store.tasks.index(project.name)
    usable = ~np.isnan(weak[1]).any(axis=1) & ~index.blind & (index.duplicate_of < 0)
    for task_id in people_labels(project, control):
        usable[index.seq_of[task_id]] = False
    rows = np.flatnonzero(usable)
    if len(rows) > MOST_WEAK:
        rows = np.sort(np.random.default_rng(project.settings.train.seed).choice(rows, MOST_WEAK, replace=False))
    tasks = project.store.tasks.at(project.name, [int(row) for row in rows])
    return tasks, weak[1][rows].astype(np.float32)


def _correct(control: Control, probabilities: Floats, blind: tuple[tuple[Task, Value], ...]) -> npt.NDArray[np.bool_]:
    """Return which blind tasks are labelled exactly right; one that cannot be predicted counts as wrong."""
    kind = label_kind_of(control)
    return np.array(
        [
            not np.isnan(row).any() and kind.decide(control, row)[0] == value
            for row, (_, value) in zip(probabilities, blind, strict=True)
        ],
        dtype=bool,
    )


def _most_common(gold: Gold) -> npt.NDArray[np.bool_]:
    """Return which blind tasks the most common label (of those to train on) gets right: what any model must not lose
    to."""
    counts: dict[str, int] = {}
    for _, value, _ in gold.train:
        counts[repr(value)] = counts.get(repr(value), 0) + 1
    common = max(sorted(counts), key=lambda key: counts[key])
    return np.array([repr(value) == common for _, value in gold.blind], dtype=bool)


__all__ = ["Gold", "due", "gold_of", "stop_training", "train"]
