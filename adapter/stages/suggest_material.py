"""What suggestions are found in: tasks of the pool, people's labels outside the blind sample, votes there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapter.core.blind import draws
from adapter.core.suggest import Evidence
from adapter.errors import FunctionsError
from adapter.labeling import control_of
from adapter.stages.context import Project
from adapter.stages.evidence import people_labels
from adapter.stages.function_votes import VOTES, votes_key
from adapter.vocabulary import Control, Task

MOST_LABELLED = 20_000
_MEDIA = ("Image", "Audio", "AudioPlus", "Video", "Pdf", "TimeSeries")


@dataclass(frozen=True)
class Material:
    """What is read for one control: the tasks in memory (the sample first), and the evidence about them."""

    control: Control
    tasks: Sequence[Task]
    evidence: Evidence

    def texts(self, field: str) -> list[str]:
        """Return the texts of a field, empty where it holds none."""
        return [value if isinstance(value := task.data.get(field), str) else "" for task in self.tasks]

    @property
    def text_field(self) -> str:
        """The first text that people see of a task; empty for images and the like."""
        if self.control.object_tag in _MEDIA:
            return ""
        shown = self.control.fields or (self.control.field,)
        return next((name for name in shown if any(self.texts(name))), "")


def material_of(project: Project, control: Control, sample: Sequence[Task], seed: int) -> Material:
    """Read labels and votes of one control. Which half a label is in hangs on the task's id alone: it stays there."""
    code = {label: number for number, label in enumerate(control.labels)}
    labels = people_labels(project, control)
    ids = [task_id for task_id in sorted(labels) if not project.is_blind(task_id)]
    if len(ids) > MOST_LABELLED:
        ids = sorted(np.random.default_rng(seed).choice(np.array(ids, object), MOST_LABELLED, replace=False))
    row_of = {task.id: row for row, task in enumerate(sample)}
    tasks = list(sample)
    for task in project.store.tasks.get(project.name, [task_id for task_id in ids if task_id not in row_of]):
        row_of[task.id] = len(tasks)
        tasks.append(task)
    ids = [task_id for task_id in ids if task_id in row_of and not tasks[row_of[task_id]].blind]
    targets = np.zeros((len(ids), len(control.labels)), bool)
    for place, task_id in enumerate(ids):
        value = labels[task_id].value
        for label in value if isinstance(value, list | tuple) else (value,):
            if label in code:
                targets[place, code[label]] = True
    evidence = Evidence(
        labels=control.labels,
        size=len(sample),
        rows=np.array([row_of[task_id] for task_id in ids], np.int64),
        targets=targets,
        held=np.asarray(draws(_whole(tasks, row_of, ids), seed, "suggest") < 0.5, bool),
        votes=_votes(project, control, tasks),
    )
    return Material(control, tasks, evidence)


def _whole(tasks: Sequence[Task], row_of: dict[str, int], ids: Sequence[str]) -> list[str]:
    """Exact copies of one task stand in the same half."""
    return [tasks[row_of[task_id]].duplicate_of or task_id for task_id in ids]


def _votes(project: Project, control: Control, tasks: Sequence[Task]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How many functions vote on each of these tasks, by what the store has of their present versions."""
    total = project.store.tasks.count(project.name)
    seqs = np.array([task.seq for task in tasks], np.int64)
    votes = np.zeros(len(tasks), np.int64)
    for function in project.functions():
        try:
            if control_of(function, project.space).name != control.name:
                continue
        except FunctionsError:
            continue  # `vote` reports it with advice
        key = (project.name, VOTES, *votes_key(function, control))
        if project.columns.has(*key):
            votes += project.columns.read(*key, total, fill=-1)[seqs] >= 0
    return votes
