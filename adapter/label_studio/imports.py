"""Bulk imports that end with exactly what was asked for, though a POST may land and its answer get lost.

A broken import is never simply sent again: what landed is looked up by its key first, then the rest is sent, and what
came twice is deleted.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapter.errors import PlatformRejected, PlatformUnreachable
from adapter.label_studio.client import Client
from adapter.label_studio.parse import integer, items, mapping
from adapter.ports import NewPrediction, NewTask, PlatformPrediction
from adapter.vocabulary import TASK_KEY_FIELD, JsonObject

TASKS_AT_ONCE = 1000
PREDICTIONS_AT_ONCE = 5000
"""The server counts anew after each import, which costs as much for a thousand as for five thousand."""
BYTES_AT_ONCE = 16_000_000
"""Of results in one import of predictions: masks of images are large, and servers limit a request's size."""
ATTEMPTS = 4
SETTLE_S = 1.0
"""Time for an import whose answer was lost to be committed, before looking for it."""

FindTasks = Callable[[Sequence[str]], Mapping[str, tuple[int, ...]]]
FindPredictions = Callable[[Sequence[int]], Iterable[PlatformPrediction]]


def send_tasks(
    client: Client, project_id: int, tasks: Sequence[NewTask], find: FindTasks, delete: Callable[[Sequence[int]], None]
) -> dict[str, int]:
    """Create the tasks in this order; return key to id. One task for each key, ids ascending."""
    wanted = [task.key for task in tasks]
    if len(set(wanted)) != len(wanted):
        raise PlatformRejected("the same task key was given twice", where=f"Label Studio project {project_id}")
    placed: dict[str, int] = {}
    for start in range(0, len(tasks), TASKS_AT_ONCE):
        placed |= _send_chunk(client, project_id, tasks[start : start + TASKS_AT_ONCE], find, delete)
    ids = [placed[key] for key in wanted]
    if ids != sorted(ids):
        raise PlatformRejected(
            "the tasks did not get ids in the order given, so people would see them in another order",
            where=f"Label Studio project {project_id}",
            remedy="Delete these tasks there and push again.",
        )
    return placed


def _send_chunk(
    client: Client, project_id: int, tasks: Sequence[NewTask], find: FindTasks, delete: Callable[[Sequence[int]], None]
) -> dict[str, int]:
    keys = [task.key for task in tasks]
    body = [{"data": {**task.data, TASK_KEY_FIELD: task.key}} for task in tasks]
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = mapping(
                client.post(f"/api/projects/{project_id}/import", body, {"return_task_ids": "true"}),
                "an import's answer",
            )
        except PlatformUnreachable:
            if attempt == ATTEMPTS:
                raise
            time.sleep(SETTLE_S)
        else:
            ids = [number for number in items(answer.get("task_ids")) if isinstance(number, int)]
            if attempt == 1 and len(ids) == len(keys):
                return dict(zip(keys, ids, strict=True))
        # An import is one transaction: it landed as a whole, perhaps more than once, or not at all.
        landed = find(keys)
        if len(landed) == len(keys):
            surplus = [number for numbers in landed.values() for number in numbers[1:]]
            if surplus:
                delete(surplus)
            return {key: landed[key][0] for key in keys}
        partial = [number for numbers in landed.values() for number in numbers]
        if partial:
            # A part would break the order if the rest came after it: begin anew.
            delete(partial)
    raise PlatformRejected(
        f"{len(tasks)} tasks were sent {ATTEMPTS} times and never all arrived",
        where=f"Label Studio project {project_id}",
    )


def send_predictions(
    client: Client,
    project_id: int,
    predictions: Sequence[NewPrediction],
    find: FindPredictions,
    delete: Callable[[Sequence[int]], None],
) -> int:
    """Store the predictions, each once; return how many the server has of those asked for."""
    created = 0
    for chunk in _chunks(predictions):
        created += _send_prediction_chunk(client, project_id, chunk, find, delete)
    return created


def _chunks(predictions: Sequence[NewPrediction]) -> Iterator[list[NewPrediction]]:
    """Yield the predictions in runs that are neither too many nor too large for one request."""
    chunk: list[NewPrediction] = []
    size = 0
    for one in predictions:
        cost = len(json.dumps(one.result))
        if chunk and (len(chunk) == PREDICTIONS_AT_ONCE or size + cost > BYTES_AT_ONCE):
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += cost
    if chunk:
        yield chunk


def _send_prediction_chunk(
    client: Client,
    project_id: int,
    chunk: Sequence[NewPrediction],
    find: FindPredictions,
    delete: Callable[[Sequence[int]], None],
) -> int:
    missing = list(chunk)
    for attempt in range(1, ATTEMPTS + 1):
        body = [
            {"task": one.task_id, "result": list(one.result), "score": one.score, "model_version": one.model_version}
            for one in missing
        ]
        try:
            answer = mapping(client.post(f"/api/projects/{project_id}/import/predictions", body), "an import's answer")
        except PlatformUnreachable:
            if attempt == ATTEMPTS:
                raise
            time.sleep(SETTLE_S)
        else:
            if attempt == 1:
                return integer(answer, "created")
        # From here on the count of an answer says nothing: look at what is there.
        wanted = {(one.task_id, one.model_version): one for one in chunk}
        there: dict[tuple[int, str], list[int]] = {}
        for stored in find([one.task_id for one in chunk]):
            if (stored.task_id, stored.model_version) in wanted:
                there.setdefault((stored.task_id, stored.model_version), []).append(stored.id)
        surplus = [number for numbers in there.values() for number in sorted(numbers)[1:]]
        if surplus:
            delete(surplus)
        missing = [one for place, one in wanted.items() if place not in there]
        if not missing:
            return len(chunk)
    return len(chunk) - len(missing)


def require_valid(label_config: str, predictions: Sequence[NewPrediction]) -> None:
    """Raise PlatformRejected for predictions that the server would drop in silence or show wrongly; it names them."""
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface(label_config)
    known: dict[str, tuple[str, ...]] = {}  # a few labels make thousands of equal results, and checking one is slow
    wrong: list[str] = []
    places: set[tuple[int, str]] = set()
    for one in predictions:
        wrong.extend(f"task {one.task_id}: {reason}" for reason in _faults(interface, one, known))
        if (one.task_id, one.model_version) in places:
            wrong.append(f"task {one.task_id}: model version '{one.model_version}' is given twice")
        places.add((one.task_id, one.model_version))
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise PlatformRejected(
            f"predictions are not valid: {'; '.join(wrong[:5])}{more}",
            remedy="Nothing was sent. The label config there and ours may differ.",
        )


def _faults(interface: Any, one: NewPrediction, known: dict[str, tuple[str, ...]]) -> Iterator[str]:
    if not one.model_version.strip():
        yield "it has no model version"
    if not (math.isfinite(one.score) and 0.0 <= one.score <= 1.0):
        yield f"its score {one.score} is not in 0..1"
    try:
        result = [dict(item) for item in one.result]
        content = json.dumps(result, allow_nan=False)
    except (TypeError, ValueError) as error:
        yield f"its result is no JSON ({error})"
        return
    if content not in known:
        known[content] = tuple(_result_faults(interface, result))
    yield from known[content]


def _result_faults(interface: Any, result: Sequence[JsonObject]) -> Iterator[str]:
    # Score and version are checked apart; these stand in for any valid ones.
    raw = {"result": list(result), "score": 0.5, "model_version": "any"}
    try:
        yield from map(str, interface.validate_prediction(raw, return_errors=True))
    except Exception as error:  # the SDK raises what it likes on strange results
        yield f"it cannot be validated ({type(error).__name__})"
