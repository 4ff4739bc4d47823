"""`hitl agreement` and `hitl gates`: tables for people, JSON for machines, exit codes for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from adapter.cli import agreement as commands
from adapter.stages.ingest import ingest
from adapter.vocabulary import Annotation

Make = Callable[..., Any]


@pytest.fixture
def world(make_world: Make) -> Any:
    made = make_world(
        tasks=160,
        functions=False,
        blind={"share": 1.0, "batch_share": 1.0, "double_share": 1.0},
        agreement={"rounds": 300},
    )
    ingest(made.project)
    return made


@pytest.fixture
def run(world: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that runs a command line against the world's store."""

    @contextmanager
    def opened(context: typer.Context) -> Iterator[Any]:
        yield world.app

    monkeypatch.setattr(commands, "opened", opened)
    app = typer.Typer()
    commands.register(app)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def say(world: Any, tasks: int, wrong: int) -> None:
    for n in range(tasks):
        label = "spam" if n % 2 else "ham"
        other = {"spam": "ham", "ham": "spam"}[label] if wrong and n % wrong == 0 else label
        at = world.clock()
        rows = [
            Annotation(10 * n + place, f"c{n}", who, {"spam": [said]}, (), at, at)
            for place, (who, said) in enumerate((("[ann]", label), ("bob", other)), start=1)
        ]
        world.project.store.annotations.record("spam", f"c{n}", rows)


def test_tables_for_people(world: Any, run: Callable[..., Any]) -> None:
    say(world, 80, 10)
    result = run("agreement", "spam")
    assert result.exit_code == 0
    for words in (
        "Krippendorff's alpha",
        "Gwet's AC1",
        "exactly the same",
        "by class",
        "by pair of people",
        "[ann] and bob",
        "by when",
        "what people differ in",
        "ham against spam",
        "the tasks that pull it down most",
        "c0",
        "bounds one-sided at 95%",
    ):
        assert words in result.output, words


def test_nothing_to_compare_says_what_to_do(run: Callable[..., Any]) -> None:
    result = run("agreement")
    assert result.exit_code == 0
    assert "double_share" in result.output


def test_json_for_machines(world: Any, run: Callable[..., Any]) -> None:
    say(world, 80, 10)
    told = json.loads(run("agreement", "--all", "--json").stdout)
    assert told["everything"] is True
    assert told["controls"][0]["statistics"][0]["value"] > 0.5
    judged = json.loads(run("gates", "--json").stdout)
    assert judged["gates"][0]["verdict"]["figures"]["threshold"] == 0.8


@pytest.mark.parametrize(
    ("tasks", "wrong", "code", "word"), [(150, 50, 0, "pass"), (80, 3, 4, "fail"), (10, 0, 5, "not enough data")]
)
def test_the_exit_code_says_the_outcome(
    world: Any, run: Callable[..., Any], tasks: int, wrong: int, code: int, word: str
) -> None:
    say(world, tasks, wrong)
    result = run("gates")
    assert result.exit_code == code
    assert word in result.output
    assert run("gates", "--json").exit_code == code


def test_a_failed_gate_says_what_to_do_on_stderr(world: Any, run: Callable[..., Any]) -> None:
    say(world, 80, 3)
    result = run("gates")
    assert "Review the guideline" in result.stderr
    assert "not accepted" in result.stderr
    assert "Review the guideline" not in result.stdout
