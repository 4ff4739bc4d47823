"""What all tests share: a small project against the in-memory platform, a clock that moves when told, the data
folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from real_server import label_studio  # noqa: F401 - the fixture of the shared server
from tests_support import FUNCTIONS, SPAM_CONFIG, spam_rows

from adapter.app import App
from adapter.settings import ProjectSettings, Settings


class Clock:
    """Time that moves a millisecond at each look, and further when told."""

    def __init__(self) -> None:
        self.time = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(milliseconds=1)
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class World:
    """A spam project in memory. gold: task id to label, which the adapter never sees."""

    app: App
    platform: Any
    clock: Clock
    folder: Path
    gold: dict[str, str]

    @property
    def project(self) -> Any:
        return self.app.project("spam")

    def again(self) -> World:
        """The same world after a restart: a new process on the same store and the same platform."""
        self.app.close()
        app = App(self.app.settings, platform=self.platform, now=self.clock)
        return World(app, self.platform, self.clock, self.folder, self.gold)

    def desk(self, annotator: str = "ann") -> Any:
        return self.platform.desk(self.project.platform_id, annotator)

    def result(self, label: str) -> list[dict[str, Any]]:
        return [{"from_name": "spam", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]

    def label(self, annotator: str, count: int, *, wrong: Callable[[str], bool] = lambda key: False) -> list[str]:
        """Let an annotator label up to `count` tasks as the platform serves them; return our task ids in that order."""
        desk = self.desk(annotator)
        keys = []
        for _ in range(count):
            assignment = desk.next_task()
            if assignment is None:
                break
            key = assignment.data["hitl_id"]
            gold = self.gold[key]
            label = {"spam": "ham", "ham": "spam"}[gold] if wrong(key) else gold
            self.clock.forward(1)
            desk.submit(assignment.task_id, self.result(label), 1.0)
            keys.append(key)
        return keys


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_world(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., World]]:
    """Return a maker of worlds: `make_world(tasks=90, functions=True, **project settings)`."""
    from adapter.testing import MemoryPlatform

    apps: list[App] = []

    def make(tasks: int = 90, *, functions: bool = True, label_config: str = SPAM_CONFIG, **settings: Any) -> World:
        config = tmp_path / "config"
        config.mkdir(exist_ok=True)
        (config / "spam.xml").write_text(label_config, encoding="utf-8")
        rows, gold = spam_rows(tasks)
        data = tmp_path / "comments.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (tmp_path / "functions.py").write_text(FUNCTIONS, encoding="utf-8")
        project = ProjectSettings.model_validate(
            {
                "name": "spam",
                "label_config": str(config / "spam.xml"),
                "data": {"path": str(data), "id_column": "id"},
                "labeling_functions": str(tmp_path / "functions.py") if functions else "none",
                "window": {"size": 20, "low_water": 10},
                "train": {"min_labels": 12, "min_new": 12, "min_gate": 4},
                "blind": {"share": 0.25, "batch_share": 0.25},
                **settings,
            }
        )
        app = App(
            Settings(home=tmp_path / "home", config=config, projects={"spam": project}),
            platform=MemoryPlatform(now=clock),
            now=clock,
        )
        apps.append(app)
        return World(app, app.platform, clock, tmp_path, gold)

    yield make
    for app in apps:
        app.close()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with data sets, or a skip that says how to get it."""
    folder = os.environ.get("HITL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs data sets: set HITL_DATA to the folder that holds them")
    return Path(folder)
