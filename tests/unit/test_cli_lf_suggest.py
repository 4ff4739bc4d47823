"""`hitl lf suggest` and `hitl lf accept`: what authors read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cli_support import command_line
from typer.testing import Result

from adapter.cli import lf_suggest
from adapter.errors import DataError
from adapter.stages.ingest import ingest
from adapter.vocabulary import Consensus

Hitl = Callable[..., Result]


@pytest.fixture
def world(make_world: Callable[..., Any]) -> Any:
    made = make_world(tasks=180)
    ingest(made.project)
    made.project.store.consensus.replace(
        "spam", [Consensus(key, "spam", label, 1.0, (), {"ann": label}) for key, label in made.gold.items()]
    )
    return made


@pytest.fixture
def hitl(world: Any, monkeypatch: pytest.MonkeyPatch) -> Hitl:
    return command_line(world, monkeypatch, lf_suggest.register_on, lf_suggest)


def ok(result: Result) -> str:
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_the_list_shows_rules_and_says_what_the_figures_are_worth(hitl: Hitl) -> None:
    text = ok(hitl("suggest"))
    assert "labels outside the blind sample" in text
    assert "the labels that did not find the rule" in text
    assert "hitl lf accept" in text
    assert "--kind neighbours" in text
    help_text = ok(hitl("suggest", "--help"))
    assert "Wilson" in help_text
    assert "hitl lf suggest spam --kind keywords --limit 5" in help_text


def test_json_has_every_figure(hitl: Hitl) -> None:
    report = json.loads(ok(hitl("suggest", "spam", "--kind", "keywords", "--limit", "2", "--json")))
    assert 1 <= len(report["suggestions"]) <= 2
    first = report["suggestions"][0]
    assert first["call"] == "keywords"
    assert {"votes", "newly", "gained", "overlap", "base", "lower", "upper", "checked", "held"} <= set(first)


def test_accepting_prints_the_code_and_its_place(hitl: Hitl, world: Any) -> None:
    report = json.loads(ok(hitl("suggest", "--json")))
    rule = next(one for one in report["suggestions"] if one["precision"] is not None)
    text = ok(hitl("accept", rule["name"], "--as", "mine"))
    assert f"{world.folder / 'functions.py'}:" in text
    assert "mine = " in text or "def mine(" in text
    assert "hitl vote" in text
    again = hitl("accept", "nothing like it")
    assert isinstance(again.exception, DataError)


def test_accepting_as_json(hitl: Hitl) -> None:
    report = json.loads(ok(hitl("suggest", "--kind", "keywords", "--json")))
    made = json.loads(ok(hitl("accept", report["suggestions"][0]["name"], "--project", "spam", "--json")))
    assert made["function"] == report["suggestions"][0]["name"]
    assert made["code"].startswith(made["function"]) or made["code"].startswith("#")


def test_groups_are_listed_to_be_named_and_an_empty_list_says_why(hitl: Hitl, world: Any) -> None:
    world.project.store.consensus.replace("spam", [])
    text = ok(hitl("suggest"))
    assert "people have labelled nothing outside the blind sample yet" in text
    assert "to be named" in text


@pytest.mark.parametrize(
    ("call", "args", "options", "words"),
    [
        ("keywords", ["spam", ["free", "win"]], {}, "free, win"),
        ("column", ["a", "age"], {"at_least": 3}, "age at least 3"),
        ("column", ["a", "job"], {"one_of": ["x", "y"]}, "job is one of x, y"),
        ("python", ["a", "text"], {"feature": "words", "at_most": 4}, "words of text at most 4"),
        ("nearest", ["a"], {"exemplars": ["hello there"], "at_least": 0.8}, "like hello there (0.8)"),
    ],
)
def test_rules_read_as_a_person_would_say_them(call: str, args: list[Any], options: dict[str, Any], words: str) -> None:
    from adapter.stages.suggest import Suggestion

    made = Suggestion("n", "k", "c", "l", call, args, options, 1, 1, 1.0, 0.0, 0.5, 0.9, 1, 1, 1, 1, 0.1, 1.0, [])
    assert lf_suggest.rule_of(made) == words
