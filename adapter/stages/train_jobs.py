"""What a training learns from: people's labels outside the blind sample, and weak labels while they still help.

A model's own votes never train. Blind tasks do not either, nor copies of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from adapter.artifacts.errors import Gone
from adapter.backend_loading import build
from adapter.errors import StoreError
from adapter.kinds import label_kind_of
from adapter.ports import Floats, Preparing
from adapter.stages.context import Project
from adapter.stages.evidence import group_of, people_labels, restored, tipped_by_model, weak_probabilities
from adapter.training import ControlJob, RegionJob, TrainJob
from adapter.vocabulary import Control, JsonObject, ModelVersion, Task, Value

MOST_POOL = 5_000
"""Most tasks without labels that a candidate sees."""
MOST_WEAK = 20_000
"""Most weakly labelled tasks that a candidate sees: beyond it, they cost time and change little."""


@dataclass(frozen=True, slots=True)
class Gold:
    """People's labels of one control: tasks outside the blind sample to train on, blind ones to measure with."""

    train: tuple[tuple[Task, Value, float], ...]
    blind: tuple[tuple[Task, Value], ...]


def train_job(project: Project, gold: Mapping[str, Gold], fades: Mapping[str, float]) -> TrainJob:
    """Return the training of all controls that `gold` names. fades: control to what weak labels weigh less by now."""
    settings, current = project.settings, project.store.models.current(project.name)
    return TrainJob(
        controls=tuple(
            _control_job(project, c, gold[c.name], fades[c.name]) for c in project.learned if c.name in gold
        ),
        marked=tuple(_region_job(project, c, gold[c.name]) for c in project.marked if c.name in gold),
        backend=settings.backend.path,
        options=dict(settings.backend.options),
        weak=settings.train.weak,
        folds=settings.flag.folds,
        seed=settings.train.seed,
        places=project.places,
        previous=_folder_of(project, current),
    )


def _folder_of(project: Project, current: ModelVersion | None) -> str:
    """Return where the current model lies; empty where there is none, or its files are gone: a new one mends that."""
    if current is None:
        return ""
    try:
        return str(project.artifacts.get_folder(current.uri))
    except Gone:
        return ""


def files_gone(project: Project, model: ModelVersion) -> bool:
    """Whether a model's files are not there any more; a store that cannot be reached now says nothing of them."""
    try:
        project.artifacts.get_folder(model.uri)
    except Gone:
        return True
    except StoreError:
        return False
    return False


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
        gate_groups=tuple(group_of([task for task, _ in gold.blind])),
        fade=fade,
        backend=project.backend_of(control).path,
        options=dict(project.backend_of(control).options),
        pool=pool_sample(project, control),
    )


def pool_sample(project: Project, control: Control) -> tuple[JsonObject, ...]:
    """Return tasks of the pool, drawn at random, for a backend that learns from them without labels; none for others.
    They may be blind: nobody's label is looked at."""
    conf = project.backend_of(control)
    fields = control.fields or (control.field,)
    if not isinstance(build(conf.path, fields, conf.options, project.offered(control)), Preparing):
        return ()
    free = np.flatnonzero(project.store.tasks.index(project.name).duplicate_of < 0)
    if len(free) > MOST_POOL:
        free = np.sort(np.random.default_rng(project.settings.train.seed).choice(free, MOST_POOL, replace=False))
    return tuple(task.data for task in project.store.tasks.at(project.name, [int(seq) for seq in free]))


def _region_job(project: Project, control: Control, gold: Gold) -> RegionJob:
    tasks = [task for task, _, _ in gold.train]
    return RegionJob(
        name=control.name,
        labels=control.labels,
        fields=control.fields or (control.field,),
        ids=tuple(task.id for task in tasks),
        examples=tuple(task.data for task in tasks),
        regions=tuple(tuple(dict(region) for region in value) for _, value, _ in gold.train),
        weights=np.array([weight for _, _, weight in gold.train], np.float32),
        groups=tuple(group_of(tasks)),
        backend=project.backend_of(control).path,
        options=dict(project.backend_of(control).options),
        gate_examples=tuple(task.data for task, _ in gold.blind),
        gate_groups=tuple(group_of([task for task, _ in gold.blind])),
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
