"""/webhook: recorded and answered at once, in every shape; trusted with credentials, a hint without."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from web_support import BASIC, HEADER, Web, make_app, open_web, until

from adapter.errors import StoreError
from adapter.web import fast


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    app = make_app(tmp_path, max_body_mb=1)
    client, service = open_web(app, {})
    with client:
        assert service.host.wait_ready(5)
        yield Web(app, client, service)
    app.close()


def created(number: int = 5) -> dict[str, Any]:
    return {
        "action": "ANNOTATION_CREATED",
        "project": {"id": 7},
        "annotation": {"id": number, "result": [{"value": {"choices": ["private words"]}}]},
        "task": {"id": 3, "data": {"text": "private words"}},
    }


def test_a_webhook_is_recorded_with_its_ids_and_nothing_private(web: Web) -> None:
    assert web.post("/webhook", created(), HEADER).status_code == 200
    (event,) = web.events()
    assert (event.platform_id, event.action) == (7, "ANNOTATION_CREATED")
    assert event.payload == {"tasks": [3], "annotations": [5]}


def test_the_same_call_twice_is_one_event_and_order_does_not_matter(web: Web) -> None:
    for number in (5, 4, 5, 6, 4):
        assert web.post("/webhook", created(number), HEADER).status_code == 200
    assert sorted(event.payload["annotations"] for event in web.events()) == [[4], [5], [6]]


def test_with_payloads_off_each_call_counts_again(web: Web) -> None:
    assert web.post("/webhook", {"action": "ANNOTATION_UPDATED"}, HEADER).status_code == 200
    time.sleep(0.15)
    assert web.post("/webhook", {"action": "ANNOTATION_UPDATED"}, HEADER).status_code == 200
    assert [event.platform_id for event in web.events()] == [None, None]


@pytest.mark.parametrize(
    "sent",
    [
        {"action": "NEVER_HEARD_OF", "project": {"id": 7}},
        {"action": "TASKS_DELETED", "tasks": "all", "project": "7"},
        {"action": "ANNOTATIONS_DELETED", "annotations": {"id": {"id": 1}}, "project": [7]},
        {"action": "ANNOTATION_CREATED", "annotation": [[[]]], "task": 3.5, "project": {"id": -1}},
        {"action": "PROJECT_UPDATED", "project": {"id": 10**25}},
        {"action": "\u0000\ud7ff\U0001f600", "project": {"id": 8}},
    ],
)
def test_odd_webhooks_are_recorded_without_a_word(web: Web, sent: Any) -> None:
    reply = web.post("/webhook", json.dumps(sent).encode(), HEADER)
    if reply.status_code == 400:  # an integer that no JSON reader of ours holds
        assert "JSON" in reply.json()["error"]
    else:
        assert reply.status_code == 200
        assert len(web.events()) == 1


@pytest.mark.parametrize("headers", [HEADER, {}, BASIC])
@pytest.mark.parametrize("sent", [b"", b"{", b"[]", b'{"action": []}', b"\xff", b'{"a":' * 20_000])
def test_what_is_no_webhook_is_told_in_one_sentence(web: Web, sent: bytes, headers: dict[str, str]) -> None:
    reply = web.post("/webhook", sent, headers)
    assert reply.status_code == 400
    assert set(reply.json()) == {"error", "detail"}
    assert web.events() == []


def test_a_huge_body_is_refused_before_it_is_read(web: Web) -> None:
    assert web.post("/webhook", b"x" * 2**21, HEADER).status_code == 413
    reply = web.client.post("/webhook", content=b"{}", headers={**HEADER, "Content-Length": "99999999999"})
    assert reply.status_code == 413


@pytest.mark.parametrize(
    "headers", [{"X-Hitl-Secret": "wrong"}, {"X-Hitl-Secret": ""}, {"Authorization": "Basic eDp5"}]
)
def test_wrong_credentials_are_refused(web: Web, headers: dict[str, str]) -> None:
    reply = web.post("/webhook", created(), headers)
    assert reply.status_code == 401
    assert "the-secret" not in reply.text
    assert web.events() == []


def test_without_credentials_a_webhook_only_wakes_the_project(web: Web) -> None:
    assert web.post("/webhook", created(), {}).status_code == 200
    (event,) = web.events()
    assert (event.platform_id, event.action, dict(event.payload)) == (7, "HINT", {})


def test_a_stranger_cannot_wake_a_project_that_is_none_of_ours(web: Web) -> None:
    assert web.post("/webhook", {**created(), "project": {"id": 99}}, {}).status_code == 200
    assert web.events() == []


def test_strangers_cannot_flood_the_store(web: Web) -> None:
    started = time.time()
    for number in range(300):
        assert web.post("/webhook", created(number), {}).status_code == 200
    assert len(web.events()) <= time.time() - started + 2


def test_a_large_webhook_of_a_stranger_is_not_even_parsed(web: Web) -> None:
    assert web.post("/webhook", b"{" + b" " * fast.LARGEST_HINT, {}).status_code == 200
    assert [event.platform_id for event in web.events()] == [None]


def test_allowance_fills_again_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(fast.time, "monotonic", lambda: now[0])
    allowance = fast.Allowance(per_s=2.0, most=3.0)
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
    now[0] += 1.0
    assert [allowance.take() for _ in range(3)] == [True, True, False]


def test_the_button_start_training_leaves_a_request_and_a_job(web: Web) -> None:
    sent = {"action": "START_TRAINING", "project": {"id": 7, "title": "t"}}
    reply = web.post("/webhook", sent)
    assert reply.status_code == 200
    job = reply.json()["job"]
    assert job.startswith("spam@")
    assert web.app.store.projects.notes("spam")["train_requested"] == job.partition("@")[2]
    assert web.post("/webhook", sent).json()["job"] == job
    assert [event.action for event in web.events()] == ["START_TRAINING"]


def test_strangers_cannot_start_a_training(web: Web) -> None:
    sent = {"action": "START_TRAINING", "project": {"id": 7}}
    assert web.post("/webhook", sent, {}).status_code == 401
    assert "train_requested" not in web.app.store.projects.notes("spam")
    assert web.events() == []


def test_start_training_for_a_foreign_project_is_told(web: Web) -> None:
    reply = web.post("/webhook", {"action": "START_TRAINING", "project": {"id": 99}})
    assert (reply.status_code, "none of ours" in reply.json()["error"]) == (404, True)


def test_a_store_that_is_busy_delays_no_answer_and_loses_no_hint(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    events = web.app.store.events
    real = events.record_many
    broken = True

    def record_many(calls: Any) -> None:
        if broken:
            raise StoreError("locked")
        real(calls)

    monkeypatch.setattr(events, "record_many", record_many)
    started = time.perf_counter()
    assert web.post("/webhook", created(), HEADER).status_code == 200
    assert time.perf_counter() - started < 1
    until(lambda: web.service.recorder._told)
    broken = False
    assert len(web.events()) == 1


def test_what_waits_is_stored_when_the_server_ends(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    client, service = open_web(app, {})
    with client:
        Web(app, client, service).post("/webhook", created(), HEADER)
    assert len(app.store.events.unhandled()) == 1
    app.close()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_told(web: Web, method: str) -> None:
    reply = web.client.request(method, "/webhook")
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
