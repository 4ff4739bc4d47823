"""Label Studio's JSON into the values of `adapter.ports`. It is hostile: a wrong shape is refused by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from adapter.errors import PlatformRejected
from adapter.ports import (
    ConnectedBackend,
    PlatformAnnotation,
    PlatformPrediction,
    PlatformProject,
    PlatformTask,
    PlatformUser,
    Webhook,
)
from adapter.vocabulary import TASK_KEY_FIELD, JsonObject

_ANNOTATION_FIELDS = (
    "id,result,completed_by,created_username,lead_time,was_cancelled,ground_truth,created_at,updated_at,"
    "parent_prediction"
)
TASK_FIELDS = ",".join(
    (
        "id,data,updated_at,overlap,annotations,predictions",
        # Named twice: a server that makes nothing of `expand` applies the list itself to annotations, and without
        # `result` they would come empty.
        _ANNOTATION_FIELDS,
        *(f"annotations.{field}" for field in _ANNOTATION_FIELDS.split(",")),
    )
)
"""`include` for a whole task, to be sent with `expand=annotations`."""
PROJECT_FIELDS = (
    "id,title,label_config,model_version,sampling,maximum_annotations,show_collab_predictions,task_number,created_at"
)
# `created_username` reads "First Last mail@host, 7": names are free text, so only its end is trusted.
_EMAIL = re.compile(r"(\S+@\S+), (\d+)$")


def task(raw: Any) -> PlatformTask:
    """Return a task with its annotations, each with the model version of the pre-label that it started from."""
    item = mapping(raw, "a task")
    data = mapping(item.get("data"), "a task's data")
    key = data.get(TASK_KEY_FIELD)
    versions = {shown.id: shown.model_version for shown in predictions(item)}
    number = integer(item, "id")
    return PlatformTask(
        id=number,
        key=key if isinstance(key, str) and key else None,
        data=data,
        updated_at=moment(item, "updated_at"),
        annotations=tuple(_annotation(annotation, number, versions) for annotation in items(item.get("annotations"))),
        overlap=int(item.get("overlap") or 1),
    )


def _annotation(raw: Any, task_id: int, versions: Mapping[int, str]) -> PlatformAnnotation:
    item = mapping(raw, "an annotation")
    lead_time = item.get("lead_time")
    parent = item.get("parent_prediction")
    return PlatformAnnotation(
        id=integer(item, "id"),
        task_id=task_id,
        annotator=_annotator(item),
        result=result(item),
        created_at=moment(item, "created_at"),
        updated_at=moment(item, "updated_at"),
        lead_time=float(lead_time) if isinstance(lead_time, int | float) else None,
        cancelled=item.get("was_cancelled") is True,
        ground_truth=item.get("ground_truth") is True,
        prediction=versions.get(parent) if isinstance(parent, int) else None,
    )


def _annotator(item: JsonObject) -> str:
    """Return the user's e-mail, which comes along for free; `user:<id>` if it does not."""
    by: Any = item.get("completed_by")
    found = _EMAIL.search(str(item.get("created_username") or ""))
    if found is not None and found.group(2) == str(by):
        return found.group(1)
    return f"user:{by if isinstance(by, int) else 'unknown'}"


def predictions(item: JsonObject) -> list[PlatformPrediction]:
    """Return a task's stored predictions."""
    return [prediction(raw) for raw in items(item.get("predictions"))]


def prediction(raw: Any) -> PlatformPrediction:
    """Return one stored prediction."""
    item = mapping(raw, "a prediction")
    score = item.get("score")
    return PlatformPrediction(
        id=integer(item, "id"),
        task_id=integer(item, "task"),
        score=float(score) if isinstance(score, int | float) else None,
        model_version=str(item.get("model_version") or ""),
        result=result(item),
    )


def project(raw: Any) -> PlatformProject:
    """Return a project's settings."""
    item = mapping(raw, "a project")
    return PlatformProject(
        id=integer(item, "id"),
        title=str(item.get("title") or ""),
        label_config=str(item.get("label_config") or ""),
        model_version=str(item.get("model_version") or ""),
        sampling=str(item.get("sampling") or ""),
        maximum_annotations=int(item.get("maximum_annotations") or 1),
        show_prelabels=item.get("show_collab_predictions") is True,
        task_count=int(item.get("task_number") or 0),
    )


def webhook(raw: Any) -> Webhook:
    """Return a webhook; its headers' values stay behind."""
    item = mapping(raw, "a webhook")
    headers = item.get("headers")
    return Webhook(
        id=integer(item, "id"),
        url=str(item.get("url") or ""),
        header_names=tuple(sorted(headers)) if isinstance(headers, Mapping) else (),
        active=item.get("is_active") is True,
        send_payload=item.get("send_payload") is True,
    )


def user(raw: Any) -> PlatformUser:
    """Return a user: the e-mail is the name, as with annotations."""
    item = mapping(raw, "a user")
    number = integer(item, "id")
    return PlatformUser(
        id=number,
        name=str(item.get("email") or f"user:{number}"),
        active_at=moment(item, "last_activity") if item.get("last_activity") else None,
    )


def backend(raw: Any) -> ConnectedBackend:
    """Return a connected ML backend."""
    item = mapping(raw, "an ML backend")
    return ConnectedBackend(
        id=integer(item, "id"),
        url=str(item.get("url") or ""),
        title=str(item.get("title") or ""),
        state=str(item.get("state") or ""),
    )


def result(item: JsonObject) -> tuple[JsonObject, ...]:
    """Return the items of a `result` that are objects."""
    return tuple(entry for entry in items(item.get("result")) if isinstance(entry, Mapping))


def items(raw: Any) -> list[Any]:
    """Return a list; nothing counts as an empty one."""
    if raw is None:
        return []
    if not isinstance(raw, list):
        raise _strange("a list", raw)
    return raw


def mapping(raw: Any, what: str) -> JsonObject:
    """Return an object; raises PlatformRejected that names what was expected."""
    if not isinstance(raw, Mapping):
        raise _strange(what, raw)
    return raw


def integer(item: JsonObject, name: str) -> int:
    """Return a whole number; raises PlatformRejected that names the field."""
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _strange(f"a number in '{name}'", value)
    return value


def moment(item: JsonObject, name: str) -> datetime:
    """Return a time with its zone; raises PlatformRejected that names the field."""
    try:
        found = datetime.fromisoformat(str(item.get(name)))
    except ValueError as error:
        raise _strange(f"a time in '{name}'", item.get(name)) from error
    if found.tzinfo is None:
        raise _strange(f"a time with its zone in '{name}'", item.get(name))
    return found


def _strange(expected: str, got: Any) -> PlatformRejected:
    return PlatformRejected(
        f"Label Studio's answer has {type(got).__name__} where {expected} belongs",
        remedy="Its version may be one that we do not know; 1.23 is served.",
    )
