"""Payloads from outside: every shape of Label Studio's, and shapes that nobody should send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import DataError
from adapter.label_studio.payloads import MOST_IDS, PredictTask, parse_predict, parse_webhook, project_ref

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("sent", "tasks", "annotations"),
    [
        ({"action": "ANNOTATION_CREATED", "annotation": {"id": 5, "task": 3}, "task": {"id": 3}}, (3,), (5,)),
        (
            {"action": "ANNOTATIONS_CREATED", "annotation": [{"id": 5}, {"id": 6}], "task": [{"id": 3}, {"id": 4}]},
            (3, 4),
            (5, 6),
        ),
        ({"action": "ANNOTATION_UPDATED", "annotation": {"id": 5, "task": 3}}, (3,), (5,)),
        ({"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 5}, {"id": 6}]}, (), (5, 6)),
        ({"action": "TASKS_CREATED", "tasks": [{"id": 1}, {"id": 2}]}, (1, 2), ()),
        ({"action": "TASKS_DELETED", "tasks": [1, 2]}, (1, 2), ()),
        ({"action": "PROJECT_UPDATED"}, (), ()),
        ({"action": "LABEL_LINK_CREATED", "label_link": [{"id": 9}]}, (), ()),
    ],
)
def test_each_of_label_studios_webhooks_gives_its_ids(sent: dict[str, Any], tasks: Any, annotations: Any) -> None:
    call = parse_webhook(body({**sent, "project": {"id": 7, "title": "t"}}))
    assert (call.action, call.project.id) == (sent["action"], 7)
    assert (call.task_ids, call.annotation_ids) == (tasks, annotations)
    assert not call.bare


def test_with_its_payload_off_a_webhook_is_bare() -> None:
    call = parse_webhook(b'{"action": "ANNOTATION_CREATED"}')
    assert call.bare
    assert not call.project.named


def test_the_same_body_has_the_same_digest_and_another_has_another() -> None:
    one, two = body({"action": "X", "tasks": [1]}), body({"action": "X", "tasks": [2]})
    assert parse_webhook(one).digest == parse_webhook(one).digest != parse_webhook(two).digest


def test_an_unknown_action_is_kept_by_a_harmless_name() -> None:
    assert parse_webhook(body({"action": "A\x00B\n\x1b[31m" + "c" * 500})).action == "A?B??[31m" + "c" * 55


@pytest.mark.parametrize(
    "sent", [b"", b"{", b"null", b"[]", b"7", b"\xff\xfe", b"{}", b'{"action": 7}', b'{"action": " "}']
)
def test_no_webhook_is_told_in_one_sentence(sent: bytes) -> None:
    with pytest.raises(DataError):
        parse_webhook(sent)


def test_nesting_without_end_is_refused_like_any_broken_body() -> None:
    deep = b'{"action": "X", "task": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(DataError, match="not JSON"):
        parse_webhook(deep)


def test_of_very_many_ids_a_bounded_number_is_kept() -> None:
    call = parse_webhook(body({"action": "TASKS_CREATED", "tasks": [{"id": n} for n in range(5 * MOST_IDS)]}))
    assert call.task_ids == tuple(range(MOST_IDS))


@given(st.dictionaries(st.sampled_from(["annotation", "annotations", "task", "tasks", "project", "x"]), JSON))
def test_a_webhook_with_anything_anywhere_is_read(rest: dict[str, Any]) -> None:
    try:
        call = parse_webhook(body({"action": "ANNOTATION_CREATED", **rest}))
    except DataError:
        return  # integers that no JSON reader of ours holds
    assert all(isinstance(number, int) and number >= 0 for number in call.task_ids + call.annotation_ids)
    json.dumps(call.summary())


@pytest.mark.parametrize(
    ("sent", "named", "number"),
    [
        ("12.1700000000", True, 12),
        ("12", True, 12),
        (12, True, 12),
        ({"id": 12, "title": "t"}, True, 12),
        (None, False, None),
        ("", True, None),
        ("12.13.14", True, None),
        ("-3.1", True, None),
        ("٣.1", True, None),
        (True, True, None),
        (12.5, True, None),
        ([12], True, None),
        ({}, True, None),
        (10**30, True, None),
    ],
)
def test_a_project_is_named_by_its_id_before_the_dot(sent: object, named: bool, number: int | None) -> None:
    ref = project_ref(sent)
    assert (ref.named, ref.id) == (named, number)


def test_a_malformed_task_keeps_its_place() -> None:
    good = {"id": 1, "data": {"text": "a", "hitl_id": "k"}}
    sent = [good, None, 7, [], {"id": 2}, {"id": 3, "data": "text"}, {"id": True, "data": {}}, good]
    request = parse_predict(body({"tasks": sent, "project": "7.1"}))
    assert len(request.tasks) == len(sent)
    assert request.tasks[0] == request.tasks[-1] == PredictTask(1, "k", good["data"])
    assert [task.data is None for task in request.tasks[1:-1]] == [True, True, True, True, True, False]
    assert [task.platform_id for task in request.tasks[1:-1]] == [None, None, None, 2, 3, None]


@pytest.mark.parametrize(("params", "context"), [(None, None), ({}, None), ({"context": None}, None), ("x", None)])
def test_a_context_that_is_not_there_is_none(params: object, context: object) -> None:
    assert parse_predict(body({"tasks": [], "params": params})).context is context


def test_an_interactive_call_has_its_context() -> None:
    assert parse_predict(body({"tasks": [], "params": {"context": {"result": []}}})).context == {"result": []}


@pytest.mark.parametrize("sent", [{}, {"tasks": None}, {"tasks": {}}, {"tasks": "all"}])
def test_predict_without_a_list_of_tasks_is_told(sent: object) -> None:
    with pytest.raises(DataError, match="'tasks' is a JSON"):
        parse_predict(body(sent))


@given(st.lists(JSON | st.fixed_dictionaries({"id": JSON, "data": JSON})), JSON, JSON, JSON)
def test_predict_with_anything_anywhere_has_as_many_tasks_as_were_sent(
    tasks: list[Any], project: Any, config: Any, params: Any
) -> None:
    sent = body({"tasks": tasks, "project": project, "label_config": config, "params": params})
    try:
        request = parse_predict(sent)
    except DataError:
        return
    assert len(request.tasks) == len(tasks)
    assert isinstance(request.label_config, str)
