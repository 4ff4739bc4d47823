"""`hitl people`: tables for the lead, pseudonyms, links, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from cli_support import command_line

from adapter.cli import people as commands
from adapter.core.own_links import opens
from adapter.stages.ingest import ingest
from adapter.vocabulary import Annotation
from benchmarks.conduct import crowd

Make = Callable[..., Any]
LABELS = ("spam", "ham")


@pytest.fixture
def world(make_world: Make) -> Any:
    made = make_world(tasks=300, functions=False, blind={"share": 0.3, "batch_share": 0.3})
    ingest(made.project)
    return made


@pytest.fixture
def run(world: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that runs a command line against the world's store."""
    call = command_line(world, monkeypatch, commands.register, commands)
    return lambda *arguments: call("people", *arguments)


def label(world: Any, kind: str = "copier") -> None:
    """A crowd in which p0 takes answers from p1; p2 has a name that looks like markup."""
    votes, _ = crowd(3, kind, k=2)
    names = {"p2": "[bold]p2"}
    rng = np.random.default_rng(0)
    by_task: dict[str, list[Annotation]] = {}
    start = world.clock()
    every = zip(votes.task.tolist(), votes.annotator.tolist(), votes.label.tolist(), strict=True)
    for number, (task, who, said) in enumerate(every):
        at = start + timedelta(minutes=number)
        seconds = float(np.exp(rng.normal(2.0, 0.3))) if number != 100 else 4000.0
        name = names.get(votes.annotators[who], votes.annotators[who])
        row = Annotation(number, f"c{task}", name, {"spam": [LABELS[said]]}, (), at, at, seconds)
        by_task.setdefault(f"c{task}", []).append(row)
    world.project.store.annotations.record_many("spam", by_task)


def test_tables_for_the_lead(world: Any, run: Callable[..., Any]) -> None:
    label(world)
    result = run("spam")
    assert result.exit_code == 0, result.output
    for words in ("by the others", "blind sample", "[bold]p2", "pace", "signs to look at", "copying", "not a proof"):
        assert words in result.output, words
    assert "tests at 0.01 after Holm" in result.output


def test_nobody_yet(run: Callable[..., Any]) -> None:
    assert "nobody has labelled anything yet" in run().output


def test_one_person_in_detail(world: Any, run: Callable[..., Any]) -> None:
    label(world, "honest")
    who = next(
        row.annotator
        for rows in world.project.store.annotations.voting("spam").values()
        for row in rows
        if row.lead_time == 4000.0
    )
    output = run("--person", who).output
    for words in ("by label", "truth / said", "over time", "trend:", "unusually slow"):
        assert words in output, words
    wrong = run("--person", "p99")
    assert wrong.exit_code != 0
    assert "nobody called 'p99'" in str(wrong.exception)


def test_pseudonyms_hide_the_names(world: Any, run: Callable[..., Any]) -> None:
    label(world)
    for arguments in (["--pseudonyms"], ["--pseudonyms", "--json"]):
        output = run(*arguments).output
        assert "annotator-" in output
        assert not any(name in output for name in ("p0", "p1", "[bold]p2", "p3"))


def test_json_is_one_value(world: Any, run: Callable[..., Any]) -> None:
    label(world)
    found = json.loads(run("--json").output)
    assert found["project"] == "spam"
    by = {one["person"]: one for one in found["people"]}
    assert [sign["other"] for sign in by["p0"]["signs"]] == ["p1"]
    assert by["p0"]["controls"][0]["overlap"]["n"] > 50


def test_links_open_each_ones_own_page(world: Any, run: Callable[..., Any]) -> None:
    label(world)
    made = json.loads(run("--links", "--json", "--days", "3").output)
    secret = world.project.secrets.media_key
    for name, link in made.items():
        asked = {key: values[0] for key, values in parse_qs(urlsplit(link).query).items()}
        assert asked["who"] == name
        assert opens(secret, "spam", name, asked["until"], asked["sig"], world.clock())
        assert not opens(secret, "spam", name, asked["until"], asked["sig"], world.clock() + timedelta(days=3.1))
    lines = [line for line in run("--links").output.splitlines() if "\t" in line]
    assert {line.split("\t")[0] for line in lines} == set(made)
