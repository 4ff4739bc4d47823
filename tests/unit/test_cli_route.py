"""`hitl route`: what it prints, and that a dry run changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from adapter.cli import route as command
from adapter.stages.ingest import ingest
from adapter.stages.push import push


@pytest.fixture
def run(make_world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return `run(world settings)(arguments)`, which gives what the command printed."""

    def prepare(**routing: Any) -> Callable[..., Any]:
        world = make_world(tasks=30, functions=False, routing=routing)
        ingest(world.project)
        push(world.project)

        @contextmanager
        def opened(context: typer.Context, **_: Any) -> Any:
            yield world.app

        monkeypatch.setattr(command, "opened", opened)
        app = typer.Typer()
        app.callback()(lambda: None)
        command.register(app)

        def invoke(*arguments: str) -> Any:
            result = CliRunner().invoke(app, ["route", *arguments])
            assert result.exit_code == 0, result.output
            return world, result.stdout

        return invoke

    return prepare


def test_it_tells_who_gets_what_and_why_with_queues_and_caps(run: Callable[..., Any]) -> None:
    world, text = run(enabled=True, annotators=("ann", "bob"), ahead=2, caps={"bob": 5})()
    for row in world.project.store.routed.of("spam"):
        assert row.task_id in text
    assert "no rule fits: anyone" in text
    assert all(word in text for word in ("ann", "bob", "queue", "cap", "/data?tab="))
    assert "seats that wait" in text


def test_a_dry_run_changes_nothing_and_json_is_one_value(run: Callable[..., Any]) -> None:
    invoke = run(enabled=True, annotators=("ann",), ahead=2)
    world, text = invoke("--dry-run", "--json")
    told = json.loads(text)
    assert [row["annotators"] for row in told["given"]] == [["ann"], ["ann"]]
    assert world.project.store.routed.of("spam") == []
    _, text = invoke("--dry-run")
    assert "nothing was changed" in " ".join(text.split())


def test_off_it_says_how_to_switch_it_on(run: Callable[..., Any]) -> None:
    assert "routing.enabled" in run(enabled=False)()[1]


def test_without_people_it_says_how_to_name_them(run: Callable[..., Any]) -> None:
    assert "routing.annotators" in run(enabled=True)()[1]
