"""What people said and what is known to be true, as `people` needs it: votes with their moments, gold, the shown
model's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np

from adapter.errors import LabelError
from adapter.kinds import label_kind_of
from adapter.kinds.base import LabelKind
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import WEAK, restored, weak_column
from adapter.stages.gold import ADJUDICATED, GIVEN
from adapter.stages.review_decisions import expert_votes
from adapter.vocabulary import Annotation, Control, Value


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person said of one control of a task. at: when. shown: model version on the page. blind: the task is of
    the blind sample and nothing was on the page."""

    task_id: str
    who: str
    value: Value
    at: datetime
    shown: str | None
    blind: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a task. by: who said so; empty for imported gold, which is nobody's own vote."""

    value: Value
    by: str


def votes_of(
    project: Project, control: Control, voting: Mapping[str, Sequence[Annotation]]
) -> dict[str, dict[str, Vote]]:
    """Return task id to annotator to vote, the latest annotation of each person on a task. Values that the label config
    no longer knows are left out."""
    found: dict[str, dict[str, Vote]] = {}
    for task_id in sorted(voting):
        latest: dict[str, Annotation] = {}
        for annotation in voting[task_id]:
            before = latest.get(annotation.annotator)
            if control.name in annotation.values and (
                before is None or (annotation.updated_at, annotation.id) > (before.updated_at, before.id)
            ):
                latest[annotation.annotator] = annotation
        blind = project.is_blind(task_id)
        for who, annotation in sorted(latest.items()):
            try:
                value = restored(control, annotation.values[control.name])
            except LabelError:
                continue
            found.setdefault(task_id, {})[who] = Vote(
                task_id, who, value, annotation.updated_at, annotation.shown, blind and annotation.shown is None
            )
    return found


def gold_truths(project: Project, control: Control) -> dict[str, Truth]:
    """Return task id to gold that was imported, or marked as ground truth in Label Studio."""
    return _truths(project, control, adjudicated=False)


def expert_truths(project: Project, control: Control) -> dict[str, Truth]:
    """Return task id to what reviewers decided."""
    found = _truths(project, control, adjudicated=True)
    return found | {task_id: Truth(value, by) for task_id, (value, by) in expert_votes(project, control).items()}


def _truths(project: Project, control: Control, *, adjudicated: bool) -> dict[str, Truth]:
    found = {}
    for row in project.store.gold.all(project.name, control.name):
        if (row.origin == ADJUDICATED) == adjudicated:
            try:
                found[row.task_id] = Truth(restored(control, row.value), "" if row.origin == GIVEN else row.by)
            except LabelError:
                continue
    return found


@dataclass(frozen=True)
class ModelAnswers:
    """What model versions, and weak labels, say of the pool, as far as it is stored. Nothing is computed anew."""

    project: Project
    control: Control

    @cached_property
    def _columns(self) -> dict[str, Floats | None]:
        return {}

    @cached_property
    def _seq_of(self) -> Mapping[str, int]:
        return self.project.store.tasks.index(self.project.name).seq_of

    @cached_property
    def _kind(self) -> LabelKind:
        return label_kind_of(self.control)

    def value(self, version: str, task_id: str) -> Value | None:
        """Return the label that a version stands for; None where nothing is stored."""
        if version not in self._columns:
            self._columns[version] = self._read(version)
        column, seq = self._columns[version], self._seq_of.get(task_id)
        if column is None or seq is None or seq >= len(column) or np.isnan(column[seq]).any():
            return None
        return self._kind.decide(self.control, column[seq])[0]

    def _read(self, version: str) -> Floats | None:
        project, name = self.project, self.control.name
        asked = ("probabilities", name, "model", version)
        if not project.columns.has(project.name, *asked):
            weak = weak_column(project, self.control)
            if weak is None or version != f"weak-{weak[0]}-{weak[1][:8]}":
                return None
            asked = (WEAK, name, *weak)
        total = project.store.tasks.count(project.name)
        column: Floats = project.columns.read(project.name, *asked, total, fill=np.nan)
        return column if column.ndim == 2 else None
