"""/predict: one valid result per task, in order, whatever comes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests_support import SPAM_CONFIG
from web_support import BASIC, FakeBundle, Web, make_app, open_web, until

from adapter.errors import ModelError, StoreError
from adapter.label_studio.payloads import ProjectRef
from adapter.web import fast
from adapter.web import predictor as predictor_module


def task(text: str, number: int = 1, **data: Any) -> dict[str, Any]:
    return {"id": number, "data": {"text": text, **data}, "project": 7, "predictions": []}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    app = make_app(tmp_path, max_body_mb=1)
    bundles: dict[str, Any] = {}
    client, service = open_web(app, bundles)
    with client:
        made = Web(app, client, service, bundles)
        assert service.host.wait_ready(5)
        made.promote("spam-1", FakeBundle())
        yield made
    app.close()


def visible(web: Web, text: str, number: int = 1) -> dict[str, Any]:
    return task(text, number, hitl_id=web.blind_key(False))


def empty(version: str = "spam-1") -> dict[str, Any]:
    return {"result": [], "score": 0.0, "model_version": version}


def test_each_task_gets_its_own_result_in_order(web: Web) -> None:
    texts = ["spam", "song", "more spam", "nan", "song"]
    results = web.predict(*(visible(web, text, n) for n, text in enumerate(texts)))
    labels = [result["result"][0]["value"]["choices"] if result["result"] else None for result in results]
    assert labels == [["spam"], ["ham"], ["spam"], None, ["ham"]]
    assert results[0] == {
        "result": [{"from_name": "spam", "to_name": "text", "type": "choices", "value": {"choices": ["spam"]}}],
        "score": pytest.approx(0.9),
        "model_version": "spam-1",
    }
    assert results[3] == empty()
    assert any("no probabilities" in message for message in web.faults())


def test_a_large_request_is_answered_in_parts_and_in_order(web: Web) -> None:
    texts = ["spam" if n % 3 else "song" for n in range(500)]
    results = web.predict(*(visible(web, text, n) for n, text in enumerate(texts)))
    found = ["spam" if r["result"][0]["value"]["choices"] == ["spam"] else "song" for r in results]
    assert found == texts
    assert max(web.bundles["spam-1"].sizes) <= predictor_module.BATCH


def test_no_tasks_no_results(web: Web) -> None:
    assert web.predict() == []


def test_malformed_tasks_get_empty_results_and_a_fault_each(web: Web) -> None:
    results = web.predict(None, visible(web, "spam"), {"id": 5}, [], {"id": 6, "data": []})
    assert [bool(result["result"]) for result in results] == [False, True, False, False, False]
    assert [result["model_version"] for result in results] == ["spam-1"] * 5
    assert web.faults().count("the task has no 'data' object") == 4


def test_a_task_that_breaks_the_model_costs_the_others_nothing(web: Web) -> None:
    results = web.predict(*(visible(web, text) for text in ("spam", "boom", "song", "boom")))
    assert [bool(result["result"]) for result in results] == [True, False, True, False]
    assert sum("burst" in message for message in web.faults()) == 2
    assert "secret" not in str(results)


def test_data_that_the_model_cannot_read_gets_an_empty_result(web: Web) -> None:
    (one,) = web.predict({"id": 1, "data": {"other": 1, "hitl_id": web.blind_key(False)}})
    assert one == empty()
    assert any("KeyError" in message for message in web.faults())


@pytest.mark.parametrize("text", ["wrong shape", "beyond one"])
def test_numbers_that_are_no_probabilities_never_become_a_pre_label(web: Web, text: str) -> None:
    assert web.predict(visible(web, text)) == [empty()]
    assert any("the model returned" in message for message in web.faults())


def test_nesting_without_end_gets_an_empty_result(web: Web) -> None:
    deep = '{"text": "spam", "deep": ' + "[" * 1000 + '"/files/"' + "]" * 1000 + "}"
    reply = web.post("/predict", f'{{"project": "7.1", "tasks": [{{"id": 1, "data": {deep}}}]}}'.encode())
    assert reply.json() == {"results": [empty()]}
    assert web.faults() == ["the task's data is nested too deeply"]


def test_a_blind_task_looks_like_one_that_could_not_be_predicted(web: Web) -> None:
    blind = task("spam", hitl_id=web.blind_key(True))
    one, two = web.predict(blind, visible(web, "nan"))
    assert one == two == empty()
    assert web.bundles["spam-1"].seen == [visible(web, "nan")["data"]]


def test_a_blind_task_without_our_key_is_known_by_the_ledger(web: Web) -> None:
    web.place(web.blind_key(True), 41)
    web.place(web.blind_key(False), 42)
    one, two = web.predict(task("spam", 41), task("spam", 42))
    assert (bool(one["result"]), bool(two["result"])) == (False, True)


def test_the_ledger_is_asked_once_for_each_task(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.place(web.blind_key(False), 42)
    asked = []
    ledger = web.app.store.ledger
    real = ledger.task_ids
    monkeypatch.setattr(ledger, "task_ids", lambda project, ids: asked.append(list(ids)) or real(project, ids))
    for _ in range(3):
        web.predict(task("spam", 42), task("spam", 43))
    assert asked == [[42, 43]]


def test_a_task_that_is_not_adopted_yet_is_blind_by_the_key_that_it_will_get(web: Web) -> None:
    blind, seen = web.blind_key(True), web.blind_key(False)
    one, two = web.predict(task("spam", 91, id=blind), task("spam", 92, id=seen))
    assert (bool(one["result"]), bool(two["result"])) == (False, True)
    foreign = int(web.blind_key(True, "ls-").removeprefix("ls-"))
    assert web.predict(task("spam", foreign)) == [empty()]


def test_a_ledger_that_cannot_be_read_shows_no_blind_pre_label(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(project: str, ids: Any) -> Any:
        raise StoreError("locked")

    monkeypatch.setattr(web.app.store.ledger, "task_ids", broken)
    assert web.predict(task("spam", 91, id=web.blind_key(True))) == [empty()]


@pytest.mark.parametrize("project", ["99.1", "", [], {"x": 1}, 99, None])
def test_an_unknown_project_gets_polite_empty_results(web: Web, project: Any) -> None:
    assert web.predict(visible(web, "spam"), None, project=project) == [empty("none"), empty("none")]


def test_a_project_without_a_model_gets_empty_results(web: Web) -> None:
    assert web.predict(visible(web, "spam"), project="8.1") == [empty("none")]
    assert web.faults("other") == []


def test_each_project_is_served_by_its_own_model(web: Web) -> None:
    web.promote("other-1", FakeBundle(spam=0.2), "other")
    (ours,), (other,) = web.predict(visible(web, "spam")), web.predict(visible(web, "spam"), project="8.1")
    assert (ours["model_version"], other["model_version"]) == ("spam-1", "other-1")
    assert ours["result"] != other["result"]


def test_a_project_that_was_just_bound_is_found_at_once(web: Web) -> None:
    web.app.store.projects.bind("spam", 70)
    until(lambda: web.service.host.find_anew(ProjectRef(True, 70)) is not None)
    assert web.predict(visible(web, "spam"), project="70.1")[0]["result"]


@pytest.mark.parametrize("params", [None, {}, {"context": None}, {"context": {"result": "all"}, "login": None}, "x"])
def test_params_in_any_shape_are_tolerated(web: Web, params: Any) -> None:
    assert web.predict(visible(web, "spam"), params=params)[0]["result"]


def test_label_studios_config_with_other_labels_gets_no_pre_labels(web: Web) -> None:
    renamed = SPAM_CONFIG.replace('value="ham"', 'value="fine"')
    assert web.predict(visible(web, "spam"), label_config=renamed) == [empty()]
    assert any("other controls or labels" in message for message in web.faults())
    same = SPAM_CONFIG.replace("<View>", '<View><Header value="$hitl_reason"/>')
    assert web.predict(visible(web, "spam"), label_config=same)[0]["result"]
    assert web.predict(visible(web, "spam"), label_config="<View>") == [empty()]


def test_without_the_password_nothing_is_predicted(web: Web) -> None:
    for headers in ({}, {"Authorization": "Basic bm86bm8="}, {"Authorization": "Bearer x"}, {"X-Hitl-Secret": "x"}):
        reply = web.post("/predict", {"tasks": [], "project": "7.1"}, headers)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Basic")
        assert "the-password" not in reply.text


@pytest.mark.parametrize(("sent", "status"), [(b"{", 400), (b"[]", 400), (b'{"tasks": 1}', 400), (b"x" * 2**21, 413)])
def test_a_bad_body_is_told_in_one_sentence(web: Web, sent: bytes, status: int) -> None:
    reply = web.post("/predict", sent)
    assert reply.status_code == status
    assert set(reply.json()) == {"error", "detail"}
    assert "Traceback" not in reply.text


def test_a_body_that_does_not_announce_its_length_is_limited_too(web: Web) -> None:
    reply = web.client.post("/predict", content=(b"x" * 2**16 for _ in range(64)), headers=BASIC)
    assert reply.status_code == 413


def test_a_new_current_model_is_swapped_in_without_a_wrong_answer(web: Web) -> None:
    web.promote("spam-2", FakeBundle(spam=0.7), look=False)
    stop, replies = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            replies.append(web.predict(visible(web, "spam"))[0])

    asker = threading.Thread(target=ask)
    asker.start()
    until(lambda: len(replies) > 5)
    web.service.host.look()
    until(lambda: replies[-1]["model_version"] == "spam-2")
    stop.set()
    asker.join()
    assert {(reply["model_version"], round(reply["score"], 2)) for reply in replies} == {
        ("spam-1", 0.9),
        ("spam-2", 0.7),
    }


def test_a_model_that_cannot_be_loaded_leaves_the_old_one_and_a_fault(web: Web) -> None:
    web.promote("spam-2", ModelError("its files are damaged"))
    web.service.host.look()
    assert web.predict(visible(web, "spam"))[0]["model_version"] == "spam-1"
    assert sum("its files are damaged" in message for message in web.faults()) == 1
    web.promote("spam-3", FakeBundle())
    assert web.predict(visible(web, "spam"))[0]["model_version"] == "spam-3"


def test_a_rollback_is_served_at_the_next_look(web: Web) -> None:
    web.promote("spam-2", FakeBundle(spam=0.7))
    web.app.store.models.promote("spam", "spam-1")
    web.service.host.look()
    assert web.predict(visible(web, "spam"))[0]["model_version"] == "spam-1"


def test_a_store_that_is_gone_for_a_while_does_not_stop_predictions(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise StoreError("gone")

    monkeypatch.setattr(web.app.store.projects, "all", broken)
    web.service.host.look()
    assert web.predict(visible(web, "spam"))[0]["result"]
    assert web.predict(visible(web, "spam"), project="99.1") == [empty("none")]


def test_more_than_can_wait_gets_empty_results_at_once(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor_module, "MOST_WAITING", 3)
    replies: list[Any] = []
    slow = threading.Thread(target=lambda: replies.append(web.predict(*[visible(web, "gate spam")] * 3)))
    slow.start()
    until(lambda: web.service.waiting("spam") == 3)
    assert web.predict(visible(web, "spam")) == [empty()]
    web.bundles["spam-1"].gate.set()
    slow.join()
    assert all(result["result"] for result in replies[0])
    assert any("too many tasks wait" in message for message in web.faults())
    assert web.service.waiting("spam") == 0


def test_requests_that_come_together_share_one_call_of_the_model(web: Web) -> None:
    first = threading.Thread(target=lambda: web.predict(visible(web, "gate spam")))
    first.start()
    until(lambda: bool(web.bundles["spam-1"].sizes))
    others = [threading.Thread(target=lambda: web.predict(visible(web, "spam"))) for _ in range(4)]
    for other in others:
        other.start()
    until(lambda: web.service.waiting("spam") == 5)
    web.bundles["spam-1"].gate.set()
    for thread in (first, *others):
        thread.join()
    assert web.bundles["spam-1"].sizes == [1, 4]


def test_a_flood_of_faults_is_stored_in_part_and_counted_in_full(web: Web) -> None:
    web.predict(*[None] * 1000)
    messages = web.faults()
    assert len(web.app.store.faults.recent("spam", limit=5000)) <= 600
    assert any("more in the same second" in message for message in messages)
    assert 'hitl_faults_total{project="spam",source="model",where="predict"} 1000.0' in web.client.get("/metrics").text


def test_our_own_file_addresses_reach_the_model_as_local_files(web: Web, tmp_path: Path) -> None:
    media = web.app.project("spam").media
    (tmp_path / "media" / "a b.png").write_bytes(b"x")
    address = media.url_for("a b.png").replace("127.0.0.1", "labels.example.org")
    forged = address[:-1] + ("0" if address[-1] != "0" else "1")
    data = {
        "hitl_id": web.blind_key(False),
        "image": address,
        "forged": forged,
        "inner": [address],
        "raw": "hitl-file:x",
    }
    web.predict(task("spam", **data))
    seen = web.bundles["spam-1"].seen[0]
    assert (seen["image"], seen["inner"]) == ("hitl-file:a b.png", ["hitl-file:a b.png"])
    assert (seen["forged"], seen["raw"]) == (forged, None)


def test_a_model_that_hangs_gets_empty_results_in_time(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "PREDICT_S", 0.05)
    assert web.predict(visible(web, "gate spam")) == [empty()]
    assert any("no answer within" in message for message in web.faults())
    web.bundles["spam-1"].gate.set()
    monkeypatch.setattr(fast, "PREDICT_S", 5.0)
    assert web.predict(visible(web, "spam"))[0]["result"]
    assert web.service.waiting("spam") == 0
