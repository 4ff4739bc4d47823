"""A web application around a small project and a fake model, for the tests of the endpoints."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient
from tests_support import SPAM_CONFIG

from adapter.app import App
from adapter.settings import Settings
from adapter.store import Intent, NewRow
from adapter.vocabulary import ModelState, ModelVersion
from adapter.web.app import create_web
from adapter.web.service import Service

USER, PASSWORD, SECRET = "label-studio", "the-password", "the-secret"
BASIC = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
HEADER = {"X-Hitl-Secret": SECRET}


class FakeBundle:
    """Says spam where the text says so; the text also says when to fail."""

    def __init__(self, spam: float = 0.9) -> None:
        self.spam = spam
        self.gate = threading.Event()
        self.sizes: list[int] = []
        self.seen: list[dict[str, Any]] = []

    def predict(self, examples: Sequence[Any]) -> dict[str, Any]:
        self.sizes.append(len(examples))
        self.seen += examples
        rows = []
        for example in examples:
            text = example["text"]
            if "boom" in text:
                raise RuntimeError("the model burst at /secret/place")
            if "gate" in text:
                assert self.gate.wait(10)
            p = np.nan if "nan" in text else self.spam if "spam" in text else 1 - self.spam
            rows.append((p, 1 - p))
        if "shape" in str(examples):
            return {"spam": np.zeros((len(examples), 3), np.float32)}
        if "beyond" in str(examples):
            return {"spam": np.full((len(examples), 2), 7.0, np.float32)}
        return {"spam": np.array(rows, np.float32)}

    def regions(self, examples: Sequence[Any]) -> dict[str, Any]:
        return {}

    def suggest(self, name: str, example: Any, drawn: Sequence[Any]) -> list[Any] | None:
        return None


@dataclass
class Web:
    """The application, its client, and the models it would load, by version."""

    app: App
    client: TestClient
    service: Service
    bundles: dict[str, Any] = field(default_factory=dict)

    def post(self, path: str, content: Any, headers: dict[str, str] = BASIC) -> Any:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.client.post(path, content=body, headers=headers)

    def predict(self, *tasks: Any, project: Any = "7.1700000000", **rest: Any) -> list[Any]:
        reply = self.post("/predict", {"tasks": list(tasks), "project": project, **rest})
        assert reply.status_code == 200, reply.text
        results: list[Any] = reply.json()["results"]
        return results

    def promote(self, version: str, bundle: Any, project: str = "spam", *, look: bool = True) -> None:
        self.bundles[version] = bundle
        number = self.app.store.models.next_number(project)
        self.app.store.models.add(
            project,
            ModelVersion(
                version, number, "b", ModelState.CURRENT, {}, "d", f"u/{version}", datetime(2025, 1, 1, tzinfo=UTC)
            ),
        )
        if look:
            self.service.host.look()

    def faults(self, project: str = "spam") -> list[str]:
        """Messages of the stored faults, after what waits was stored."""
        self.service.recorder._store_faults()
        return [fault.message for fault in self.app.store.faults.recent(project)]

    def events(self) -> list[Any]:
        """Stored webhooks, after what waits was stored."""
        until(lambda: self.service.recorder.waiting == 0)
        return self.app.store.events.unhandled()

    def place(self, key: str, platform_id: int, project: str = "spam") -> None:
        """Enter a task into pool and ledger."""
        store = self.app.store
        store.tasks.add(project, [NewRow(key, {"text": key}, key, {}, 1)], blind=self.app.project(project).is_blind)
        store.ledger.intend(project, [Intent(key, 1, "", 1, False)])
        store.ledger.landed(project, {key: platform_id})

    def blind_key(self, blind: bool, prefix: str = "c") -> str:
        """A key that is, or is not, in the blind sample of project spam."""
        project = self.app.project("spam")
        return next(key for key in (f"{prefix}{n}" for n in range(1000)) if project.is_blind(key) == blind)


def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something holds; fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


def make_app(folder: Path, **web: Any) -> App:
    """An App with the projects `spam` (Label Studio project 7) and `other` (8)."""
    config = folder / "config"
    config.mkdir(exist_ok=True)
    (config / "spam.xml").write_text(SPAM_CONFIG, encoding="utf-8")
    (folder / "media").mkdir(exist_ok=True)
    common = {"label_config": str(config / "spam.xml"), "blind": {"share": 0.3}}
    projects = {
        "spam": {**common, "name": "spam", "data": {"path": str(folder / "media"), "id_column": "id"}},
        "other": {**common, "name": "other"},
    }
    secrets = {"backend_password": PASSWORD, "webhook_secret": SECRET, "backend_user": USER}
    app = App(
        Settings.model_validate(
            {"home": folder / "home", "config": config, "projects": projects, "web": {**secrets, **web}}
        )
    )
    for number, name in ((7, "spam"), (8, "other")):
        app.store.projects.ensure(name, "digest")
        app.store.projects.bind(name, number)
    return app


def open_web(app: App, bundles: dict[str, Any], *, poll_s: float = 60.0) -> tuple[TestClient, Service]:
    """The application's client (enter it to start the threads) and its service."""

    def load(project: Any, model: ModelVersion) -> Any:
        bundle = bundles[model.version]
        if isinstance(bundle, Exception):
            raise bundle
        return bundle

    web = create_web(app, load=load, poll_s=poll_s)
    return TestClient(web, raise_server_exceptions=False), web.state.service
