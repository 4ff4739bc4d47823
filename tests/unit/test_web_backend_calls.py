"""The other calls of Label Studio's ML connector, metrics, files, and what errors look like."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests_support import SPAM_CONFIG
from web_support import BASIC, PASSWORD, SECRET, FakeBundle, Web, make_app, open_web

from adapter.errors import StoreError
from adapter.logs import configure_logging
from adapter.web.auth import Caller, Guard

CALLS = [
    ("POST", "/setup"),
    ("GET", "/versions"),
    ("POST", "/validate"),
    ("POST", "/train"),
    ("GET", "/job_status"),
    ("POST", "/job_status"),
    ("POST", "/delete"),
    ("POST", "/duplicate_model"),
]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    app = make_app(tmp_path, max_body_mb=1)
    bundles: dict[str, Any] = {}
    client, service = open_web(app, bundles)
    with client:
        assert service.host.wait_ready(5)
        yield Web(app, client, service, bundles)
    app.close()


@pytest.mark.parametrize("path", ["/health", "/"])
def test_health_needs_no_password(web: Web, path: str) -> None:
    assert web.client.get(path).json() == {"status": "UP"}


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_backend_calls_need_the_password(web: Web, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Basic ***"}, {"Authorization": "Digest x"}):
        reply = web.client.request(method, path, headers=headers)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Basic")
    assert web.client.request(method, path, headers=BASIC).status_code != 401


@pytest.mark.parametrize(("method", "path"), [call for call in CALLS if call[0] == "POST"])
@pytest.mark.parametrize("sent", [b"{", b"[]", b"\xff", b"x" * 2**21])
def test_bad_bodies_are_told_in_one_sentence(web: Web, method: str, path: str, sent: bytes) -> None:
    reply = web.post(path, sent)
    assert reply.status_code == (413 if len(sent) > 2**20 else 400)
    assert set(reply.json()) == {"error", "detail"}


def test_setup_tells_the_version_of_our_predictions(web: Web) -> None:
    sent = {"project": "7.1", "schema": SPAM_CONFIG, "hostname": "http://x", "access_token": "t", "extra_params": None}
    assert web.post("/setup", sent).json() == {"model_version": "none"}
    web.promote("spam-1", FakeBundle())
    assert web.post("/setup", sent).json() == {"model_version": "spam-1"}
    (result,) = web.predict({"id": 1, "data": {}})
    assert result["model_version"] == "spam-1"
    assert web.post("/setup", {"project": "99.1"}).json() == {"model_version": "none"}


def test_versions_start_with_the_current_one(web: Web) -> None:
    assert web.client.get("/versions", headers=BASIC).json() == {"versions": ["none"]}
    for number in (1, 2, 3):
        web.promote(f"spam-{number}", FakeBundle())
    web.app.store.models.promote("spam", "spam-2")
    web.service.host.look()
    reply = web.client.get("/versions", params={"project": "7.1"}, headers=BASIC)
    assert reply.json() == {"versions": ["spam-2", "spam-3", "spam-1"]}


def test_validate_says_what_is_wrong_with_a_label_config(web: Web) -> None:
    good = web.post("/validate", {"config": SPAM_CONFIG})
    assert (good.status_code, good.json()["controls"]) == (200, {"spam": ["spam", "ham"]})
    for config in (
        "<View>",
        "<View><Chat name='chat' value='$text'/></View>",
        "",
        None,
        7,
        "<!DOCTYPE x [<!ENTITY a 'b'>]><View/>",
    ):
        bad = web.post("/validate", {"config": config})
        assert bad.status_code == 400
        assert bad.json()["error"].endswith(".")
        assert "Traceback" not in bad.text


def test_a_training_that_was_asked_for_can_be_followed_to_its_end(web: Web) -> None:
    store = web.app.store
    job = web.post("/train", {"project": "7.1", "annotations": [], "label_config": SPAM_CONFIG}).json()["job"]
    moment = store.projects.notes("spam")["train_requested"]

    def state() -> dict[str, Any]:
        reply = web.post("/job_status", {"job": job})
        assert reply.status_code == 200
        answer: dict[str, Any] = reply.json()
        return answer

    assert (state()["job_id"], state()["job_status"]) == (job, "queued")
    store.projects.note("spam", "training", {"number": 1, "share": 0.5})
    assert (state()["job_status"], state()["training"]["share"]) == ("started", 0.5)
    store.projects.note("spam", "training", None)
    store.projects.note("spam", "train_requested", None)
    web.promote("spam-1", FakeBundle())
    assert (state()["job_status"], state()["model_version"]) == ("finished", "spam-1")
    later = web.app.now() + timedelta(seconds=1)
    store.runs.record("spam", "train", later, 1.0, {}, "too few labels.")
    assert (state()["job_status"], state()["error"]) == ("failed", "too few labels.")
    assert web.client.get("/job_status", params={"job": job}, headers=BASIC).json()["job_status"] == "failed"
    assert job.endswith(moment)


@pytest.mark.parametrize("job", [None, "", 7, [], "x", "spam@", "spam@yesterday", "nobody@2025-01-01T00:00:00+00:00"])
def test_a_job_that_nobody_knows_is_gone(web: Web, job: Any) -> None:
    assert web.post("/job_status", {"job": job}).status_code == 410


def test_train_for_a_foreign_project_is_told(web: Web) -> None:
    assert web.post("/train", {"project": "99.1"}).status_code == 404


def test_delete_and_duplicate_change_nothing(web: Web) -> None:
    web.promote("spam-1", FakeBundle())
    assert web.post("/delete", {"project": "7.1"}).status_code == 200
    assert web.post("/duplicate_model", {"project_src": "7.1", "project_dst": "8.1"}).status_code == 200
    assert [model.version for model in web.app.store.models.all("spam")] == ["spam-1"]
    assert web.app.store.models.all("other") == []


def test_metrics_tell_requests_models_and_where_projects_stand(web: Web) -> None:
    web.promote("spam-1", FakeBundle())
    web.place("c1", 41)
    web.predict({"id": 1, "data": {"text": "x"}}, None)
    web.client.get("/some/../odd path")
    web.client.get("/no-such")
    reply = web.client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain")
    for line in (
        'hitl_http_requests_total{endpoint="/predict",status="200"} 1.0',
        'hitl_http_request_seconds_count{endpoint="/predict"} 1.0',
        'hitl_model{project="spam",version="spam-1"} 1.0',
        'hitl_model{project="other",version="none"} 1.0',
        'hitl_tasks{project="spam"} 1.0',
        'hitl_tasks_open{project="spam"} 1.0',
        'hitl_annotations{project="spam"} 0.0',
        "hitl_webhooks_waiting 0.0",
    ):
        assert line in reply.text
    assert "no-such" not in reply.text
    assert 'endpoint="other",status="404"' in reply.text


def test_actions_from_outside_cannot_grow_the_metrics_without_end(web: Web) -> None:
    for number in range(100):
        web.post("/webhook", {"action": f"ACTION_{number}", "project": {"id": 7}}, {"X-Hitl-Secret": SECRET})
    lines = [line for line in web.client.get("/metrics").text.splitlines() if line.startswith("hitl_webhooks_total")]
    assert len(lines) <= 45
    assert sum(float(line.rsplit(" ", 1)[1]) for line in lines) == 100


def test_metrics_answer_while_the_store_does_not(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(project: str) -> Any:
        raise StoreError("gone")

    monkeypatch.setattr(web.app.store.annotations, "totals", broken)
    assert web.client.get("/metrics").status_code == 200


def test_a_signed_address_shows_its_file_to_any_page(web: Web, tmp_path: Path) -> None:
    (tmp_path / "media" / "deep").mkdir()
    (tmp_path / "media" / "deep" / "ärger 1#?.png").write_bytes(b"picture")
    address = web.app.project("spam").media.url_for("deep/ärger 1#?.png")
    path = address.partition("9090")[2]
    reply = web.client.get(path, headers={"Origin": "http://label-studio.example"})
    assert (reply.status_code, reply.content) == (200, b"picture")
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert web.client.head(path).status_code == 200


def test_a_page_among_the_files_is_never_run(web: Web, tmp_path: Path) -> None:
    for name in ("page.html", "page.svg", "code.js"):
        (tmp_path / "media" / name).write_text("<script>alert(1)</script>")
        reply = web.client.get(web.app.project("spam").media.url_for(name).partition("9090")[2])
        assert "sandbox" in reply.headers["content-security-policy"]
        assert not reply.headers["content-type"].startswith(("text/html", "text/javascript"))


def test_without_the_right_signature_no_file_is_shown_nor_told_of(web: Web, tmp_path: Path) -> None:
    media = web.app.project("spam").media
    (tmp_path / "media" / "a.txt").write_text("a")
    (tmp_path / "secret.txt").write_text("secret")
    good = media.signature("a.txt")
    climbs = "../secret.txt"
    replies = [
        web.client.get(path)
        for path in (
            "/files/spam/a.txt",
            "/files/spam/a.txt?sig=",
            "/files/spam/a.txt?sig=" + "0" * 64,
            f"/files/other/a.txt?sig={good}",
            f"/files/nobody/a.txt?sig={good}",
            f"/files/spam/b.txt?sig={good}",
            f"/files/spam/gone.txt?sig={media.signature('gone.txt')}",
            f"/files/spam/%2e%2e/secret.txt?sig={media.signature(climbs)}",
            f"/files/spam/..%2fsecret.txt?sig={media.signature(climbs)}",
            f"/files/spam/%00?sig={good}",
        )
    ]
    assert {reply.status_code for reply in replies} == {404}
    assert not any("secret" in reply.text.replace("secret.txt", "") for reply in replies)


def test_unknown_addresses_and_methods_are_told(web: Web) -> None:
    assert web.client.get("/predictions").status_code == 404
    assert web.client.get("/docs").status_code == 404
    assert web.client.get("/setup").status_code == 405
    assert web.client.get("/predict").status_code == 405
    assert web.client.post("/health").status_code == 405


def test_an_unexpected_error_shows_no_traceback_and_no_secret(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    configure_logging("info", "text", secrets=[PASSWORD, SECRET], stream=log)

    def burst(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"burst with {PASSWORD}")

    monkeypatch.setattr(web.service.host, "find_anew", burst)
    monkeypatch.setattr(web.service.host, "find", burst)
    for path in ("/setup", "/predict"):
        reply = web.post(path, {"project": "7.1", "tasks": [], "access_token": "label-studio-token"})
        assert reply.status_code == 500
        assert set(reply.json()) == {"error", "detail"}
        assert "burst" not in reply.text
    assert "burst" in log.getvalue()
    for secret in (PASSWORD, SECRET, "label-studio-token"):
        assert secret not in log.getvalue()


def test_a_store_that_is_gone_is_told_as_one_sentence(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise StoreError("the store is gone", remedy="Bring it back.")

    monkeypatch.setattr(web.app.store.projects, "notes", broken)
    reply = web.post("/train", {"project": "7.1"})
    assert (reply.status_code, reply.json()["error"]) == (503, "the store is gone. Bring it back.")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_password_beyond_ascii_works_in_both_encodings(encoding: str) -> None:
    import base64

    guard = Guard("Jürgen", "pä:ss", "s")
    code = base64.b64encode("Jürgen:pä:ss".encode(encoding))
    assert guard.backend([(b"authorization", b"basic " + code)]) is Caller.TRUSTED
    assert guard.backend([(b"authorization", b"Basic " + code[:-4])]) is Caller.REFUSED
    assert "ss" not in repr(guard)


def test_one_project_with_a_broken_label_config_leaves_the_others_served(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    projects = dict(app.settings.projects)
    projects["other"] = projects["other"].model_copy(update={"label_config": tmp_path / "none.xml"})
    app.settings = app.settings.model_copy(update={"projects": projects})
    client, service = open_web(app, {"spam-1": FakeBundle()})
    with client:
        assert service.host.wait_ready(5)
        web = Web(app, client, service, {})
        assert list(service.host.directory.by_name) == ["spam"]
        assert web.post("/setup", {"project": "7.1"}).status_code == 200
        assert web.post("/setup", {"project": "8.1"}).json() == {"model_version": "none"}
    app.close()
