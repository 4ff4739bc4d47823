"""What Label Studio sends to us, parsed into frozen values: predict requests, webhooks, and the small backend calls.

Every payload is hostile: any type may stand anywhere. What cannot be used becomes None or is left out; only a body that
is no JSON object at all, or a predict request without a task list, raises DataError. Parsing copies no task data.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from adapter.errors import DataError
from adapter.vocabulary import TASK_KEY_FIELD, JsonObject

START_TRAINING = "START_TRAINING"
"""Action of the button "Start Training". It names a project, but neither task nor annotation."""
MOST_IDS = 1_000
"""Ids kept of one webhook; it is a hint, and the pull that follows finds the rest."""

_LONGEST_ACTION = 64
_LARGEST_ID = 2**63 - 1
_LONGEST_KEY = 500
_PROJECT = re.compile(r"([0-9]{1,18})(?:\.[0-9]*)?\Z")
_UNPRINTABLE = re.compile(r"[^ -~]")


class PredictTask(NamedTuple):
    """A task to predict. key: our id, if the task carries it. data: None if the task is malformed. drafts, predictions:
    as sent, of an interactive call those of the person who asks, and all that are stored."""

    platform_id: int | None
    key: str | None
    data: JsonObject | None
    drafts: object = None
    predictions: object = None


@dataclass(frozen=True, slots=True)
class ProjectRef:
    """The project that a call names. named: whether it named one at all; id None then means an unreadable name."""

    named: bool = False
    id: int | None = None


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A `/predict` call. label_config: the XML as Label Studio holds it, empty if not sent. context: of an interactive
    call, None otherwise."""

    project: ProjectRef
    tasks: tuple[PredictTask, ...]
    label_config: str = ""
    context: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """A webhook. bare: its payload was switched off, so equal bodies may be several events. digest: of the body."""

    action: str
    project: ProjectRef
    task_ids: tuple[int, ...]
    annotation_ids: tuple[int, ...]
    bare: bool
    digest: str

    def summary(self) -> JsonObject:
        """Return what is worth keeping: ids. People's data stays in Label Studio until it is pulled."""
        return {"tasks": list(self.task_ids), "annotations": list(self.annotation_ids)}


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a request's body; an empty body is an empty object. Raises DataError."""
    if not body.strip():
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DataError(
            f"the body is not JSON ({error.msg} at character {error.pos})",
            remedy="Send one JSON object as UTF-8.",
        ) from None
    if not isinstance(value, dict):
        raise DataError(f"the body is a JSON {_type(value)}", remedy="Send one JSON object.")
    return value


def project_ref(value: object) -> ProjectRef:
    """Return the project that a backend call names: `"<id>.<created>"`, a plain id, or a project object with an id."""
    if value is None:
        return ProjectRef()
    if isinstance(value, dict):
        value = value.get("id")
    if isinstance(value, str):
        match = _PROJECT.match(value.strip())
        return ProjectRef(True, int(match[1]) if match else None)
    return ProjectRef(True, _id(value))


def parse_predict(body: bytes) -> PredictRequest:
    """Return a `/predict` call. A malformed task stays in its place with `data` None. Raises DataError."""
    payload = read_object(body)
    tasks = payload.get("tasks")
    if not isinstance(tasks, list):
        raise DataError(f"'tasks' is a JSON {_type(tasks)}", where="/predict", remedy="Send a list of tasks.")
    params, config = payload.get("params"), payload.get("label_config")
    context = params.get("context") if isinstance(params, dict) else None
    return PredictRequest(
        project=project_ref(payload.get("project")),
        tasks=tuple(map(_task, tasks)),
        label_config=config if isinstance(config, str) else "",
        context=context if isinstance(context, dict) else None,
    )


def parse_webhook(body: bytes) -> WebhookCall:
    """Return a webhook in any of Label Studio's shapes, or one it may get: an unknown action is kept by its name.

    Raises DataError when there is no JSON object or no action.
    """
    payload = read_object(body)
    action = payload.get("action")
    if not isinstance(action, str) or not action.strip():
        raise DataError("no 'action'", where="/webhook", remedy="Let Label Studio send its webhooks unchanged.")
    annotations = [*_each(payload.get("annotation")), *_each(payload.get("annotations"))]
    tasks = [*_each(payload.get("task")), *_each(payload.get("tasks"))]
    return WebhookCall(
        action=_UNPRINTABLE.sub("?", action.strip()[:_LONGEST_ACTION]),
        project=project_ref(payload.get("project")),
        task_ids=_unique([*map(_own_id, tasks), *(_task_of(item) for item in annotations)]),
        annotation_ids=_unique(list(map(_own_id, annotations))),
        bare=len(payload) == 1,
        digest=hashlib.sha256(body).hexdigest(),
    )


def _task(item: object) -> PredictTask:
    if not isinstance(item, dict):
        return PredictTask(None, None, None)
    data = item.get("data")
    if not isinstance(data, dict):
        return PredictTask(_id(item.get("id")), None, None)
    key = task_key(data.get(TASK_KEY_FIELD))
    return PredictTask(_id(item.get("id")), key, data, item.get("drafts"), item.get("predictions"))


def task_key(value: object) -> str | None:
    """Return a task's key as text; None for what is no key."""
    if isinstance(value, str):
        return value if 0 < len(value) <= _LONGEST_KEY else None
    number = _id(value)
    return None if number is None else str(number)


def _id(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _LARGEST_ID else None


def _each(value: object) -> Iterator[object]:
    """The items of a field that holds one thing, a list of things, or nothing."""
    if isinstance(value, list):
        yield from value[:MOST_IDS]
    elif value is not None:
        yield value


def _own_id(item: object) -> int | None:
    return _id(item.get("id")) if isinstance(item, dict) else _id(item)


def _task_of(annotation: object) -> int | None:
    if not isinstance(annotation, dict):
        return None
    task = annotation.get("task")
    return _own_id(task)


def _unique(ids: list[int | None]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(number for number in ids if number is not None))[:MOST_IDS]


def _type(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
