"""Functions with a rule for many rows at once: used where it works, and row by row where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.engines.base import ABSTAIN, FAULT
from adapter.engines.local import LocalEngine
from adapter.labeling import LabelingFunction, discover
from adapter.vocabulary import Control, JsonObject

CONTROL = Control("label", "choices", "text", "Text", "text", ("spam", "ham"))
HEAD = """
import os, sys, time
from dataclasses import replace
from pathlib import Path
from adapter.labeling import labeling_function

CALLS = Path(__file__).with_name("calls")

def batch(rows):
{batch}

@labeling_function
def f(data):
    with CALLS.open("a") as file:
        file.write("row\\n")
{rule}

f = replace(f, batch=batch)

@labeling_function
def good(data):
    return "ham"
"""
RULE = "    return 'spam' if data['n'] % 2 else None"
MANY = "    with CALLS.open('a') as file: file.write(f'{len(rows)}\\n')\n"


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(workers=1, timeout_s=0.3, memory_mb=1024, patience_s=1.5) as made:
        yield made


def functions(folder: Path, batch: str, rule: str = RULE) -> list[LabelingFunction]:
    path = folder / "functions.py"
    path.write_text(HEAD.format(batch=batch, rule=rule), encoding="utf-8")
    return discover(path)


def rows(count: int) -> list[JsonObject]:
    return [{"n": number} for number in range(count)]


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text(encoding="utf-8").split()


def test_many_rows_are_voted_on_at_once(engine: LocalEngine, tmp_path: Path) -> None:
    found = functions(tmp_path, MANY + "    return [('spam', 0.5) if row['n'] % 2 else None for row in rows]")
    applied = engine.apply(found, rows(600), CONTROL)
    assert applied.votes[:, 0].tolist() == [ABSTAIN, 0] * 300
    assert applied.confidence["f"].tolist() == [1, 0.5] * 300
    assert calls(tmp_path) == ["256", "256", "88"]


@pytest.mark.parametrize(
    "batch",
    [
        "    raise ValueError('no')",
        "    return ['spam']",
        "    return None",
        "    sys.exit(1)",
        "    time.sleep(60)",
        "    os._exit(3)",
        "    sum(range(10**15))",
    ],
)
def test_where_that_fails_the_rows_are_called_one_by_one(engine: LocalEngine, tmp_path: Path, batch: str) -> None:
    boom = "    return 'spam' if data['n'] % 2 else (None if data['n'] != 4 else 1 / 0)"
    run = engine.start(functions(tmp_path, batch, boom), CONTROL)
    applied = run.apply(rows(10))
    assert applied.votes[:, 0].tolist() == [-1, 0, -1, 0, FAULT, 0, -1, 0, -1, 0]
    assert (applied.votes[:, 1] == 1).all()
    assert [(fault.source, fault.row) for fault in applied.faults] == [("f", 4)]
    assert applied.stopped == frozenset()
    assert calls(tmp_path) == ["row"] * 10
    assert (run.apply(rows(2)).votes[:, 0] == [-1, 0]).all()


def test_an_answer_that_is_none_is_asked_of_the_row_rule(engine: LocalEngine, tmp_path: Path) -> None:
    found = functions(tmp_path, "    return ['spam' if row['n'] % 2 else ['x'] for row in rows]")
    assert engine.apply(found, rows(4), CONTROL).votes[:, 0].tolist() == [-1, 0, -1, 0]
    assert calls(tmp_path) == ["row", "row"]


def test_the_first_call_may_take_longer_as_models_are_loaded_in_it(engine: LocalEngine, tmp_path: Path) -> None:
    slow = "    time.sleep(1.3)\n    return ['spam'] * len(rows)"
    found = functions(tmp_path, slow)
    assert engine.apply(found, rows(3), CONTROL).votes[:, 0].tolist() == [0, 0, 0]


def test_resources_are_made_outside_the_limit_of_a_row_and_an_endless_one_is_named(
    engine: LocalEngine, tmp_path: Path
) -> None:
    path = tmp_path / "functions.py"
    path.write_text(
        "import time\nfrom adapter.labeling import labeling_function\n"
        "def slow():\n    time.sleep(0.8)\n    return 'ham'\n"
        "def endless():\n    time.sleep(60)\n"
        "@labeling_function(resources={'label': slow})\ndef f(data, label):\n    return label\n"
        "@labeling_function(resources={'label': endless})\ndef g(data, label):\n    return label\n",
        encoding="utf-8",
    )
    applied = engine.apply(discover(path), rows(3), CONTROL)
    assert applied.votes.tolist() == [[1, FAULT]] * 3
    assert "making its resources took longer than 1.5 s" in applied.faults[0].message
