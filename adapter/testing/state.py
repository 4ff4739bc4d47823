"""What the fake platform remembers, and its JSON as Label Studio writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from adapter.errors import LabelConfigError, LabelError, PlatformRejected
from adapter.kinds import kind_of
from adapter.label_studio.label_config import data_fields, parse_label_config
from adapter.ports import (
    ConnectedBackend,
    PlatformAnnotation,
    PlatformPrediction,
    PlatformProject,
    PlatformTask,
    Webhook,
)
from adapter.testing.queue import Queue
from adapter.testing.views import ViewState
from adapter.vocabulary import TASK_KEY_FIELD, Control, JsonObject

SEQUENTIAL, UNIFORM, UNCERTAINTY = "Sequential sampling", "Uniform sampling", "Uncertainty sampling"


@dataclass
class TaskState:
    """A task with all that hangs on it. locks: annotator to the time until which it is reserved. assignees: whom
    Enterprise's assignment names."""

    id: int
    project_id: int
    data: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    overlap: int
    revision: int = 0
    annotations: dict[int, PlatformAnnotation] = field(default_factory=dict)
    predictions: dict[int, PlatformPrediction] = field(default_factory=dict)
    locks: dict[str, datetime] = field(default_factory=dict)
    assignees: set[str] = field(default_factory=set)
    parents: dict[int, int] = field(default_factory=dict)  # annotation to the prediction that was on the page

    @property
    def key(self) -> str | None:
        """Our key in its data."""
        key = self.data.get(TASK_KEY_FIELD)
        return None if key is None else str(key)

    def is_open_for(self, annotator: str) -> bool:
        """Whether it needs more people and this one has neither labeled nor skipped it."""
        done = {a.annotator for a in self.annotations.values() if not a.cancelled}
        return len(done) < self.overlap and all(a.annotator != annotator for a in self.annotations.values())

    def is_locked_for(self, annotator: str, now: datetime) -> bool:
        """Whether others have it on their desks, or did it, as often as its overlap allows."""
        others = sum(until > now for who, until in self.locks.items() if who != annotator)
        taken = sum(not a.cancelled and not a.ground_truth for a in self.annotations.values())
        return others + taken >= self.overlap


@dataclass
class ProjectState:
    """A project with its tasks, and the indexes that keep calls cheap."""

    id: int
    title: str
    label_config: str
    fields: tuple[str, ...]
    controls: tuple[Control, ...] | None
    created_at: datetime
    model_version: str = ""
    sampling: str = SEQUENTIAL
    maximum_annotations: int = 1
    show_prelabels: bool = True
    revision: int = 0
    predictions_changed: int = 0
    tasks: dict[int, TaskState] = field(default_factory=dict)
    keys: dict[str, list[int]] = field(default_factory=dict)
    touched: dict[int, None] = field(default_factory=dict)  # task ids, the least recently changed first
    queues: dict[str, Queue] = field(default_factory=dict)
    webhooks: dict[str, Webhook] = field(default_factory=dict)
    backends: dict[str, ConnectedBackend] = field(default_factory=dict)
    views: dict[str, ViewState] = field(default_factory=dict)

    def public(self) -> PlatformProject:
        """Return it as the port tells it."""
        return PlatformProject(
            id=self.id,
            title=self.title,
            label_config=self.label_config,
            model_version=self.model_version,
            sampling=self.sampling,
            maximum_annotations=self.maximum_annotations,
            show_prelabels=self.show_prelabels,
            task_count=len(self.tasks),
        )


def plain(data: JsonObject) -> dict[str, Any]:
    """Return data as it is after a trip over the wire."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(data), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise PlatformRejected(
            f"data is no JSON: {error}", remedy="Convert it to text, numbers, lists and mappings."
        ) from error
    return plain


def results(result: Sequence[JsonObject]) -> tuple[JsonObject, ...]:
    """Return a result as it is after a trip over the wire."""
    return tuple(plain({"result": [dict(item) for item in result]})["result"])


def read_config(xml: str) -> tuple[tuple[str, ...], tuple[Control, ...] | None]:
    """Return the fields that tasks must have, and the controls; None for the latter where we do not serve them all."""
    try:
        fields = data_fields(xml)
    except LabelConfigError as error:
        raise PlatformRejected(f"the label config is refused: {error}", remedy="Mend the label config.") from error
    try:
        return fields, parse_label_config(xml).controls
    except LabelConfigError:
        return fields, None


def fits(project: ProjectState, result: Sequence[JsonObject]) -> bool:
    """Whether Label Studio keeps a prediction with this result: known names, type and labels. As there, how many labels
    a single choice has is not looked at."""
    if project.controls is None:
        return True
    controls = {control.name: control for control in project.controls}
    for item in result:
        control = controls.get(item.get("from_name", ""))
        if control is None or item.get("to_name") != control.to_name or "value" not in item:
            return False
        kind = kind_of(control.kind)
        if str(item.get("type", "")).lower() not in {tag.lower() for tag in kind.tags}:
            return False
        try:
            kind.read(replace(control, multiple=True, required=False), [item])
        except LabelError:
            return False
    return True


def least_score(project: ProjectState, number: int) -> float | None:
    """The score by which a task is served; None if no prediction of the project's version is there."""
    found = [p.score for p in project.tasks[number].predictions.values() if p.model_version == project.model_version]
    return min((-1.0 if score is None else score for score in found), default=None)


def public_task(task: TaskState) -> PlatformTask:
    """Return a task as the port tells it."""
    annotations = tuple(
        replace(made, prediction=task.predictions[task.parents[made.id]].model_version)
        if made.id in task.parents
        else made
        for made in task.annotations.values()
    )
    return PlatformTask(task.id, task.key, dict(task.data), task.updated_at, annotations, task.overlap)


def moment_text(moment: datetime) -> str:
    """Return a time as Label Studio writes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def task_json(task: TaskState) -> dict[str, Any]:
    """Return a task as webhooks carry it."""
    return {
        "id": task.id,
        "data": dict(task.data),
        "project": task.project_id,
        "overlap": task.overlap,
        "created_at": moment_text(task.created_at),
        "updated_at": moment_text(task.updated_at),
    }


def project_json(project: ProjectState) -> dict[str, Any]:
    """Return a project as webhooks carry it."""
    return {
        "id": project.id,
        "title": project.title,
        "label_config": project.label_config,
        "model_version": project.model_version,
        "sampling": project.sampling,
        "maximum_annotations": project.maximum_annotations,
        "show_collab_predictions": project.show_prelabels,
        "created_at": moment_text(project.created_at),
        "task_number": len(project.tasks),
    }
