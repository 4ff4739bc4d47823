"""One annotator's walk in a real browser: log in, see the pre-label, correct it, submit; it is in our store within
seconds."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from browser_support import chromium as opened
from browser_support import until
from tests_support import FUNCTIONS, SPAM_CONFIG, spam_rows

from adapter.app import App
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.label_studio.users import annotator_email, annotator_password, make_annotator
from adapter.settings_file import load_settings
from adapter.simulate.relay import free_port
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.push import push
from adapter.stages.vote import vote
from adapter.supervise import Child, Supervisor
from adapter.vocabulary import TASK_KEY_FIELD

pytestmark = [
    pytest.mark.integration,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Selenium itself leaves sockets to its finalisers.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Any]:
    with opened(tmp_path / "chromium") as driver:
        yield driver


@pytest.fixture
def running(tmp_path: Path, label_studio: EmbeddedServer) -> Iterator[App]:
    """Web and scheduler as processes, beside the shared server."""
    import json

    rows, _ = spam_rows(60)
    config = tmp_path / "config"
    (config / "projects").mkdir(parents=True)
    (config / "label_configs").mkdir()
    (tmp_path / "comments.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "functions.py").write_text(FUNCTIONS, encoding="utf-8")
    (config / "label_configs" / "spam.xml").write_text(SPAM_CONFIG, encoding="utf-8")
    settings = {
        "home": "../home",
        "label_studio": {"url": label_studio.url},
        "web": {"port": free_port()},
        "schedule": {"pull_s": 30, "top_up_s": 2},  # a pull in time is the webhook's doing
    }
    (config / "adapter.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    project = {
        "title": "Browser walk",
        "label_config": "label_configs/spam.xml",
        "data": {"path": "../comments.jsonl", "id_column": "id"},
        "labeling_functions": "../functions.py",
        "blind": {"share": 0.0},
    }
    (config / "projects" / "spam.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
    secret = {"HITL_LABEL_STUDIO_TOKEN": label_studio.token}
    app = App(
        load_settings(config / "adapter.yaml", secret),
        platform=LabelStudioPlatform(label_studio.url, label_studio.token, timeout_s=60),
    )
    ingest(app.project("spam"))
    vote(app.project("spam"))
    consolidate(app.project("spam"))
    start = [sys.executable, "-m", "adapter", "--config", str(config / "adapter.yaml")]
    supervisor = Supervisor(
        [Child(verb, [*start, verb], env=secret) for verb in ("web", "scheduler")],
        write=lambda line: None,
        logs=tmp_path / "logs",
    )
    thread = threading.Thread(target=supervisor.run, kwargs={"signals": False})
    thread.start()
    try:
        yield app
    finally:
        supervisor.stop()
        thread.join()
        app.close()


def test_an_annotator_corrects_a_prelabel_and_we_have_it_within_two_seconds(
    chromium: Any, running: App, label_studio: EmbeddedServer, tmp_path: Path
) -> None:
    from selenium.webdriver.common.by import By

    project = running.project("spam")
    until(lambda: project.platform_id, 60, "the scheduler did not set the project up")
    until(lambda: len(project.store.ledger.placements("spam")) > 5, 60, "nothing was pushed")
    push(project)
    until(lambda: project.platform.webhooks(project.platform_id), 30, "no webhook was registered")
    make_annotator(label_studio, "walker")

    chromium.get(label_studio.url)
    until(lambda: chromium.find_elements(By.NAME, "email"), 30, "no log-in form")
    chromium.find_element(By.NAME, "email").send_keys(annotator_email("walker"))
    chromium.find_element(By.NAME, "password").send_keys(annotator_password(label_studio, "walker"))
    chromium.find_element(By.CSS_SELECTOR, "button[type=submit], input[type=submit]").click()
    until(lambda: "/user/login" not in chromium.current_url, 30, "log-in failed")
    chromium.get(f"{label_studio.url}/projects/{project.platform_id}/data?labeling=1")
    widgets = "input[type=radio], input[type=checkbox]"
    try:
        choices = until(lambda: chromium.find_elements(By.CSS_SELECTOR, widgets), 60, "no choices on the page")
    finally:
        keep_picture(chromium, tmp_path / "opened.png")
    assert len(choices) == 2

    def marked() -> list[bool]:  # the page draws its widgets anew after each click
        return [widget.is_selected() for widget in chromium.find_elements(By.CSS_SELECTOR, widgets)]

    before_click = until(lambda: marked() if any(marked()) else None, 20, "no pre-label is selected")
    keep_picture(chromium, tmp_path / "prelabel.png")
    page = chromium.find_element(By.TAG_NAME, "body").text
    other = chromium.find_elements(By.CSS_SELECTOR, widgets)[before_click.index(False)]
    chromium.execute_script("arguments[0].click()", other)
    corrected = [not was for was in before_click]
    until(lambda: marked() == corrected, 10, "the correction was not taken")
    keep_picture(chromium, tmp_path / "corrected.png")
    [submit] = until(
        lambda: [b for b in chromium.find_elements(By.TAG_NAME, "button") if b.text.strip().startswith("Submit")][:1],
        10,
        "no submit button",
    )
    before = project.store.annotations.totals("spam").votes
    submit.click()
    submitted = time.monotonic()
    there = lambda: sum(len(task.annotations) for task in project.platform.tasks(project.platform_id))  # noqa: E731
    until(lambda: project.store.annotations.totals("spam").votes > before, 10, f"not pulled; there: {there()}")
    took = time.monotonic() - submitted
    print(f"from the click to our store: {took:.2f} s")
    assert took < 2.0
    [annotation] = [a for rows in project.store.annotations.voting("spam").values() for a in rows]
    task = project.store.tasks.get("spam", [annotation.task_id])[0]
    assert task.data["text"] in page
    assert annotation.shown is not None
    assert TASK_KEY_FIELD not in task.data


def keep_picture(driver: Any, path: Path) -> None:
    """Take a screenshot; keep it where HITL_TEST_PICTURES says, for somebody to look at."""
    driver.save_screenshot(str(path))
    assert path.stat().st_size > 10_000
    if folder := os.environ.get("HITL_TEST_PICTURES"):
        shutil.copy(path, Path(folder) / path.name)
