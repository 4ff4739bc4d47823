"""The doctor's checks: each ailment is named, with where it is and how to mend it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapter.app import App
from adapter.doctor import diagnose
from adapter.errors import SettingsError, StoreError
from adapter.findings import (
    Answer,
    Finding,
    Level,
    backend_finding,
    blocked_finding,
    disk_finding,
    fetch,
    ours_finding,
    reach_finding,
    sampling_finding,
    settings_finding,
    token_finding,
    token_kind,
    version_finding,
    webhook_finding,
)
from adapter.function_labels import unknown_labels
from adapter.ports import ConnectedBackend, PlatformProject, Webhook
from adapter.settings import LabelStudioSettings, Settings

URL = "http://ls.example"
OURS = "http://127.0.0.1:9090"


def jwt(kind: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"token_type": kind}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{claims}.c2lnbmF0dXJl"


class Answers:
    """A fake Label Studio: (method, path) to answer; remembers what it was asked."""

    def __init__(self, **given: Answer) -> None:
        self.given = {
            "GET /health": Answer(200, ""),
            "GET /api/current-user/whoami": Answer(200, "{}"),
            "POST /api/token/refresh/": Answer(200, json.dumps({"access": "short"})),
            "POST /api/ml/": Answer(400, '{"project": ["required"]}'),
            "POST /api/webhooks/": Answer(400, '{"actions": ["invalid"]}'),
            **given,
        }
        self.asked: list[tuple[str, Mapping[str, str], Any]] = []

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: Any) -> Answer:
        path = "/" + url.split("/", 3)[3]
        self.asked.append((f"{method} {path}", headers, body))
        return self.given[f"{method} {path}"]


def there(**changes: Any) -> PlatformProject:
    values: dict[str, Any] = {
        "id": 7,
        "title": "spam",
        "label_config": "<View/>",
        "model_version": "",
        "sampling": "Sequential sampling",
        "maximum_annotations": 1,
        "show_prelabels": True,
        "task_count": 3,
    }
    return PlatformProject(**{**values, **changes})


def test_the_kinds_of_tokens_are_told_apart() -> None:
    assert token_kind("") == "none"
    assert token_kind("0123456789abcdef" * 2) == "legacy"
    assert token_kind(jwt("refresh")) == "personal"
    assert token_kind(jwt("access")) == "access"
    assert token_kind("a.b.c") == "legacy"


def test_a_token_that_works_gives_its_headers() -> None:
    answers = Answers()
    finding, headers = token_finding(URL, "abcdef0123456789", answers)
    assert finding.level is Level.OK
    assert headers == {"Authorization": "Token abcdef0123456789"}
    finding, headers = token_finding(URL, jwt("refresh"), answers)
    assert finding.level is Level.OK
    assert headers == {"Authorization": "Bearer short"}


@pytest.mark.parametrize(
    ("token", "answers", "what", "remedy"),
    [
        ("", {}, "no token is set", "HITL_LABEL_STUDIO_TOKEN"),
        (jwt("access"), {}, "lives five minutes", "personal access token itself"),
        (
            "abcdef0123456789",
            {
                "GET /api/current-user/whoami": Answer(
                    401, "Authentication token no longer valid: legacy token authentication has been disabled"
                )
            },
            "legacy tokens are switched off",
            "personal access token",
        ),
        (
            "abcdef0123456789",
            {"GET /api/current-user/whoami": Answer(401, "Invalid token.")},
            "the legacy token is refused (401)",
            "Account & Settings",
        ),
        (jwt("refresh"), {"POST /api/token/refresh/": Answer(401, "")}, "revoked, expired", "Make a new one"),
        (jwt("refresh"), {"POST /api/token/refresh/": Answer(200, "<html>")}, "no access token", "label_studio.url"),
        (jwt("refresh"), {"GET /api/current-user/whoami": Answer(403, "")}, "refused (403)", "Make a new one"),
    ],
)
def test_a_wrong_token_is_told_by_its_kind(token: str, answers: dict[str, Answer], what: str, remedy: str) -> None:
    finding, headers = token_finding(URL, token, Answers(**answers))
    assert finding.level is Level.ERROR
    assert what in finding.what
    assert remedy in finding.remedy
    assert headers == {}
    assert not token or token not in str(finding)


def test_a_server_that_is_down_or_is_none_is_told() -> None:
    assert reach_finding(URL, Answer(200, "")).level is Level.OK
    down = reach_finding(URL, Answer(0, "connection refused"))
    assert down.level is Level.ERROR
    assert "hitl up" in down.remedy
    assert "label_studio.url" in reach_finding(URL, Answer(404, "")).remedy


def test_our_own_endpoints_being_down_is_a_warning() -> None:
    assert ours_finding(OURS, Answer(200, "")).level is Level.OK
    finding = ours_finding(OURS, Answer(0, "connection refused"))
    assert finding.level is Level.WARN
    assert "hitl up" in finding.remedy
    assert "web.public_url" in finding.remedy


def test_blocked_local_addresses_name_the_two_switches() -> None:
    blocked = Answer(403, '{"detail": "URL resolves to a reserved network address (block: 127.0.0.0/8)"}')
    fine = Answer(400, '{"project": ["This field is required."]}')
    assert blocked_finding(OURS, (fine, fine)).level is Level.OK
    for pair, name in (((blocked, fine), "ML backend"), ((fine, blocked), "webhook")):
        finding = blocked_finding(OURS, pair)
        assert finding.level is Level.ERROR
        assert name in finding.what
        assert "ML_BLOCK_LOCAL_IP=false" in finding.remedy
        assert "SSRF_PROTECTION_ENABLED=false" in finding.remedy


def test_sampling_must_fit_the_mode() -> None:
    assert sampling_finding("project spam", "window", there()).level is Level.OK
    wrong = sampling_finding("project spam", "window", there(sampling="Uniform sampling"))
    assert wrong.level is Level.ERROR
    assert "'Sequential sampling'" in wrong.remedy
    assert sampling_finding("project spam", "in-place", there()).level is Level.ERROR
    assert sampling_finding("project spam", "in-place", there(sampling="Uncertainty sampling")).level is Level.OK


def test_the_title_trap_and_other_version_mismatches_are_told() -> None:
    def check(shown: str, current: str | None, counts: dict[str, int]) -> Finding:
        return version_finding("project spam", there(model_version=shown), current, "hitl spam", counts)

    assert check("spam-2-x", "spam-2-x", {"spam-2-x": 5}).level is Level.OK
    assert check("", None, {}).level is Level.OK
    trap = check("hitl spam", "spam-2-x", {"spam-2-x": 5})
    assert trap.level is Level.ERROR
    assert "title" in trap.what
    assert "random" in trap.what
    old = check("spam-1-x", "spam-2-x", {"spam-1-x": 5})
    assert old.level is Level.WARN
    assert "hitl push spam" in old.remedy
    assert check("spam-2-x", "spam-2-x", {}).level is Level.WARN


def test_a_missing_unsigned_or_sleeping_webhook_is_told() -> None:
    def check(*hooks: Webhook) -> Finding:
        return webhook_finding("project spam", f"{OURS}/webhook", "X-Hitl-Secret", hooks)

    signed = Webhook(1, f"{OURS}/webhook", ("x-hitl-secret",))
    bare = Webhook(2, f"{OURS}/webhook", ())
    assert check(signed).level is Level.OK
    assert check(bare, signed).level is Level.OK
    assert "lacks its secret header X-Hitl-Secret" in check(bare).what
    assert "no webhook leads to" in check(Webhook(3, "http://other/webhook", ())).what
    assert "http://other/webhook" in check(Webhook(3, "http://other/webhook", ())).what
    assert "switched off" in check(Webhook(4, f"{OURS}/webhook", ("X-Hitl-Secret",), active=False)).what


def test_a_backend_that_is_unreachable_or_missing_is_told() -> None:
    assert backend_finding("project spam", OURS, [ConnectedBackend(1, OURS, "hitl", "CO")]).level is Level.OK
    lost = backend_finding("project spam", OURS, [ConnectedBackend(1, OURS + "/", "hitl", "DI")])
    assert "cannot reach" in lost.what
    assert "web.public_url" in lost.remedy
    assert "not connected" in backend_finding("project spam", OURS, []).what


def test_little_space_is_told(tmp_path: Path) -> None:
    assert disk_finding(tmp_path / "not" / "there").where.endswith("there")
    assert disk_finding(tmp_path, 10 << 30).level is Level.OK
    assert disk_finding(tmp_path, 500 << 20).level is Level.WARN
    assert disk_finding(tmp_path, 1 << 20).level is Level.ERROR


def test_settings_that_cannot_be_read_are_a_finding() -> None:
    finding = settings_finding(SettingsError("unknown key", where="adapter.yaml:3", remedy="Did you mean 'port'?"))
    assert finding == Finding(Level.ERROR, "settings", "adapter.yaml:3: unknown key", "Did you mean 'port'?")


HAM = "ham"
EGG = "egg"


def typo(x: dict[str, Any]) -> str | None:
    if x["n"] > 3:
        return "smap"
    return HAM if x["n"] else EGG


def computed(x: dict[str, Any]) -> str | None:
    def inner() -> str:
        return "not ours"

    return x["label"] or inner()


def test_labels_that_functions_return_for_certain_are_compared() -> None:
    first = typo.__code__.co_firstlineno
    assert unknown_labels(typo, ["spam", "ham"]) == [
        ("egg", first + 3, "Valid: ham, spam."),
        ("smap", first + 2, "Did you mean 'spam'?"),
    ]
    assert unknown_labels(computed, ["spam"]) == []
    assert unknown_labels(len, ["spam"]) == []


def levels(findings: list[Finding]) -> dict[str, Level]:
    return {f"{finding.where}: {finding.what}": finding.level for finding in findings}


def with_token(app: App, url: str = URL) -> App:
    from pydantic import SecretStr

    conf = LabelStudioSettings(url=url, token=SecretStr("abcdef0123456789"))
    app.settings = app.settings.model_copy(update={"label_studio": conf})
    return app


def test_a_healthy_project_has_no_errors_and_looking_changes_nothing(make_world: Callable[..., Any]) -> None:
    from adapter.loop import LoopRunner, default_stages

    world = make_world(30)
    runner = LoopRunner(world.project, default_stages())
    assert runner.pull()
    assert runner.consolidate()
    assert runner.top_up()
    hooks = world.platform.webhooks(world.project.platform_id)
    answers = Answers()
    findings = diagnose(with_token(world.app), Path("adapter.yaml"), ask=answers)
    bad = [finding for finding in findings if finding.level is Level.ERROR]
    assert bad == []
    assert all(finding.remedy for finding in findings if finding.level is not Level.OK)
    assert world.platform.webhooks(world.project.platform_id) == hooks
    posted = {call: body for call, _, body in answers.asked if call.startswith("POST")}
    assert "project" not in posted["POST /api/ml/"]  # such a request is refused whatever else holds
    assert posted["POST /api/webhooks/"]["actions"] == ["NO_SUCH_ACTION"]


def test_every_ailment_of_a_sick_project_is_told_at_once(make_world: Callable[..., Any]) -> None:
    world = make_world(30)
    from adapter.stages.setup import setup

    setup(world.project)
    world.platform.configure(
        world.project.platform_id,
        sampling="Uniform sampling",
        model_version=world.project.backend_title,
        label_config=world.project.space.config.replace('value="ham"', 'value="fine"'),
    )
    functions = world.folder / "functions.py"
    functions.write_text(
        functions.read_text(encoding="utf-8").replace('return "ham"', 'return "hma"'), encoding="utf-8"
    )
    blocked = Answer(403, "URL resolves to a reserved network address")
    answers = Answers(**{"POST /api/ml/": blocked, "POST /api/webhooks/": blocked})
    findings = diagnose(with_token(world.app), Path("adapter.yaml"), ask=answers)
    told = " / ".join(f"{finding.what} -> {finding.remedy}" for finding in findings if finding.level is Level.ERROR)
    for part in ("reserved network address", "Uniform sampling", "title", "labels of 'spam'", "'hma'", "'ham'"):
        assert part in told, part


def test_a_store_that_is_broken_and_a_server_that_is_down_are_told_together(
    make_world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(5)

    def broken() -> None:
        raise StoreError("no such server", where="postgresql://db", remedy="Start it.")

    monkeypatch.setattr(world.app.store.projects, "all", broken)
    findings = diagnose(with_token(world.app), Path("adapter.yaml"), ask=lambda *_: Answer(0, "connection refused"))
    found = levels(findings)
    assert found["store: postgresql://db: no such server"] is Level.ERROR
    assert found[f"{URL}: Label Studio does not answer (connection refused)"] is Level.ERROR


def test_a_functions_module_that_does_not_import_is_told(make_world: Callable[..., Any]) -> None:
    world = make_world(5)
    (world.folder / "functions.py").write_text("import nothing_of_this_name\n", encoding="utf-8")
    findings = diagnose(with_token(world.app), Path("adapter.yaml"), ask=Answers())
    assert any("nothing_of_this_name" in f.what and f.level is Level.ERROR for f in findings)


def test_without_projects_the_first_step_is_named(tmp_path: Path) -> None:
    app = App(Settings(home=tmp_path / "home", config=tmp_path))
    try:
        findings = diagnose(app, tmp_path / "adapter.yaml", ask=lambda *_: Answer(0, "refused"))
    finally:
        app.close()
    assert any("hitl init" in finding.remedy for finding in findings)


def test_fetch_never_raises() -> None:
    for url in ("http://127.0.0.1:9", "nonsense", "http://[", "ftp://x"):
        answer = fetch("GET", url, {}, None)
        assert answer.status == 0
        assert answer.body
    assert os.environ.get("HITL_LABEL_STUDIO_TOKEN") is None
