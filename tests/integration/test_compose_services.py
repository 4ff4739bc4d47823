"""docker-compose.yml, run for real: each service's command with its environment, on a real PostgreSQL.

There is no Docker here. `compose_stack` does what an engine would do; images and networks are all that is not tested.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import yaml
from compose_stack import Stack, interpolate, tail
from tests_support import spam_rows

from adapter.scaffold import Wish, scaffold
from adapter.store import Store
from adapter.vocabulary import Annotation

pytestmark = [pytest.mark.integration, pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "POSTGRES_PASSWORD": "pg0Secret1",
    "LABEL_STUDIO_TOKEN": "0123456789abcdef0123456789abcdef01234567",
    "LABEL_STUDIO_USER": "head@localhost.local",
    "LABEL_STUDIO_PASSWORD": "admin-Secret-1",
    "BACKEND_PASSWORD": "backend $ecret: 2",
    "WEBHOOK_SECRET": "webhook-secret-3",
}
PROJECT = "comments"
_Value = TypeVar("_Value")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All services, started in their order, each healthy before the next."""
    pytest.importorskip("label_studio", reason="no server is installed: pip install 'hitl-labeling[server]'")
    checkout, folder = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("containers")
    data = checkout / "data" / f"{PROJECT}.csv"
    data.parent.mkdir()
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["id", "text"])
        writer.writeheader()
        writer.writerows(spam_rows(40)[0])
    scaffold(checkout, Wish(labels=("spam", "ham"), data=data, id_column="id"))
    stack = Stack(ROOT / "docker-compose.yml", checkout, folder, SECRETS)
    try:
        stack.start_database()
        files = folder / "label-studio-data"
        place = ("--internal-host", "127.0.0.1", "--port", str(stack.ports["label-studio"]))
        stack.start("label-studio", *place, LABEL_STUDIO_BASE_DATA_DIR=str(files))
        stack.start("web")
        stack.start("scheduler")
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    """Label Studio's API, asked with the token of the secrets."""
    headers = {"Authorization": f"Token {SECRETS['LABEL_STUDIO_TOKEN']}"}
    with httpx.Client(base_url=stack.url("label-studio"), headers=headers, timeout=30, trust_env=False) as client:
        yield client


def eventually(look: Callable[[], _Value], stack: Stack, within: float = 60) -> _Value:
    """Return the first true value that `look` finds."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, (
            f"not within {within} s; the scheduler's log:\n{tail(stack.logs / 'scheduler.log')}"
        )
        time.sleep(0.3)
    return found


def project_id(http: httpx.Client, stack: Stack) -> int:
    def look() -> list[int]:
        return [row["id"] for row in http.get("/api/projects/").json()["results"] if row["title"] == PROJECT]

    return eventually(look, stack)[0]


def tasks_of(http: httpx.Client, project: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http.get("/api/tasks", params={"project": project, "page_size": 100}).json()["tasks"]
    return found


def test_a_secret_that_is_not_set_stops_compose_before_anything_starts() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    for name in SECRETS.keys() - {"LABEL_STUDIO_USER"}:
        with pytest.raises(ValueError, match=f"{name}: set it in config/secrets.env"):
            interpolate(services, SECRETS | {name: ""})


def test_label_studio_takes_its_user_and_token_and_lets_no_stranger_in(stack: Stack, http: httpx.Client) -> None:
    assert http.get("/api/current-user/whoami").json()["email"] == SECRETS["LABEL_STUDIO_USER"]
    with httpx.Client(base_url=stack.url("label-studio"), timeout=30, trust_env=False) as browser:
        page = browser.get("/user/login/").text
        assert "ingest.sentry.io" not in page
        user = {"email": SECRETS["LABEL_STUDIO_USER"], "password": SECRETS["LABEL_STUDIO_PASSWORD"]}
        form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        stranger = {"email": "stranger@x.org", "password": "a-Long-enough-1"}
        assert browser.post("/user/signup/", data=form | stranger).status_code == 403
        assert browser.post("/user/login/", data=form | user).status_code == 302


def test_label_studio_keeps_its_rows_in_the_database_that_compose_makes(stack: Stack, http: httpx.Client) -> None:
    project = project_id(http, stack)
    environment = stack.environment("label-studio")
    assert stack.db.sql(f"SELECT title FROM project WHERE id = {project}", environment["POSTGRE_NAME"]) == [PROJECT]


def test_an_annotation_made_in_label_studio_arrives_in_our_store(stack: Stack, http: httpx.Client) -> None:
    project = project_id(http, stack)
    task = eventually(lambda: tasks_of(http, project), stack)[0]
    result = [{"from_name": "label", "to_name": "content", "type": "choices", "value": {"choices": ["spam"]}}]
    answer = http.post(f"/api/tasks/{task['id']}/annotations/", json={"result": result, "lead_time": 2.5})
    assert answer.status_code == 201, answer.text
    with Store(stack.environment("web")["HITL_STORE__URL"]) as store:

        def arrived() -> list[Annotation]:
            return store.annotations.voting(PROJECT).get(task["data"]["hitl_id"], [])

        (annotation,) = eventually(arrived, stack)
        assert annotation.id == answer.json()["id"]
        assert store.tasks.count(PROJECT) == 40
        assert store.events.count() > 0  # Label Studio called our webhook, with its secret
    assert not list(stack.data.glob("*.db"))  # all of it lies in PostgreSQL


def test_our_endpoints_ask_for_the_secrets_that_label_studio_has_got(stack: Stack, http: httpx.Client) -> None:
    project = project_id(http, stack)
    web = stack.url("web")
    backends = eventually(lambda: http.get("/api/ml/", params={"project": project}).json(), stack)
    assert [(row["url"], row["state"]) for row in backends] == [(web, "CO")]
    hooks = http.get("/api/webhooks/", params={"project": project}).json()
    assert {"X-Hitl-Secret": SECRETS["WEBHOOK_SECRET"]} in [row["headers"] for row in hooks]
    body = {"project": f"{project}.1", "schema": ""}
    with httpx.Client(base_url=web, timeout=30, trust_env=False) as ours:
        assert ours.post("/setup", json=body, auth=("label-studio", "wrong")).status_code == 401
        assert ours.post("/setup", json=body, auth=("label-studio", SECRETS["BACKEND_PASSWORD"])).status_code == 200


def test_label_studio_takes_the_address_that_our_web_process_has_in_the_compose_network(
    stack: Stack, http: httpx.Client
) -> None:
    address = stack.services["web"]["environment"]["HITL_WEB__PUBLIC_URL"]
    hook = {"url": f"{address}/webhook", "project": project_id(http, stack), "actions": [], "is_active": False}
    answer = http.post("/api/webhooks/", json=hook | {"send_for_all_actions": False})
    assert answer.status_code == 201, answer.text
    assert http.delete(f"/api/webhooks/{answer.json()['id']}/").status_code == 204


def test_the_doctor_as_health_check_finds_nothing_wrong(stack: Stack, http: httpx.Client) -> None:
    eventually(lambda: tasks_of(http, project_id(http, stack)), stack)
    done = stack.check("scheduler")
    findings = json.loads(done.stdout)
    assert [finding for finding in findings if finding["level"] != "ok"] == []
    assert done.returncode == 0
    assert all(stack.check(name).returncode == 0 for name in ("label-studio", "web"))


def test_what_is_mounted_read_only_is_left_as_it_was(stack: Stack, http: httpx.Client) -> None:
    eventually(lambda: tasks_of(http, project_id(http, stack)), stack)
    expected = set()
    for source, target in stack.mounts("web"):
        inner = [path for path in source.rglob("*") if path.is_file()] if source.is_dir() else [source]
        expected |= {target / path.relative_to(source) for path in inner}
    found = {path for path in stack.app.rglob("*") if path.is_file()}
    assert {path for path in found if "__pycache__" not in path.parts} == expected


def test_logs_are_json_and_hold_no_secret(stack: Stack, http: httpx.Client) -> None:
    project_id(http, stack)
    for name in ("web", "scheduler"):
        text = (stack.logs / f"{name}.log").read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        assert lines
        assert not [line for line in lines if line["level"] == "error"]
        assert not [secret for key, secret in SECRETS.items() if key != "LABEL_STUDIO_USER" and secret in text]


def test_services_end_within_the_time_that_docker_gives_them(stack: Stack) -> None:
    assert {name: stack.end(name) for name in ("scheduler", "web", "label-studio")} == {
        "scheduler": True,
        "web": True,
        "label-studio": True,
    }
