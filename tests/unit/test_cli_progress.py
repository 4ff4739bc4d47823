"""`hitl progress`: sentences, tables and curves for people, JSON for machines, pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_support import command_line

from adapter.cli import progress as commands
from adapter.errors import SettingsError
from adapter.stages import progress as stage
from adapter.stages.progress import ControlProgress, CurvePoint, ProgressReport

SAVING = {
    "said": "saving",
    "saving": {"value": 0.4, "lower": 0.1, "upper": 0.6},
    "sentence": "saving so far at least 10% (95% sure)",
}


def point(labels: int, accuracy: float) -> CurvePoint:
    return CurvePoint(labels, accuracy, accuracy - 0.05, accuracy + 0.05, 100)


REPORT = ProgressReport(
    project="spam",
    model="spam-3-abc",
    rate=85.0,
    stop=False,
    why="go on",
    controls=(
        ControlProgress(
            control="[spam]",
            labels=120,
            accuracy={"value": 0.9, "lower": 0.85, "upper": 0.95},
            active=(point(40, 0.8), point(80, 0.87), point(120, 0.9)),
            random=(point(10, 0.6), point(40, 0.75)),
            stood_in=(point(60, 0.8), point(120, 0.86), point(240, 0.9)),
            more=None,
            hours=None,
            gain=None,
            saving=SAVING,
            advice={"stop": False, "why": "go on"},
            forecast="about 120 more labels for +1.0 points (70 to 260)",
            saved="saving so far at least 10% (95% sure)",
        ),
    ),
    notes=("weak labels were used",),
)


@pytest.fixture
def run(make_world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    return command_line(make_world(tasks=30), monkeypatch, commands.register, commands)


def test_a_project_without_a_model_says_what_is_missing(run: Callable[..., Any]) -> None:
    result = run("progress", "--measure")
    assert result.exit_code == 0, result.output
    assert "cannot say yet" in result.output
    assert "no model has been measured" in result.output
    assert "not measured now" in result.stderr


def test_curves_sentences_and_notes_for_people(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "progress", lambda project: REPORT)
    result = run("progress", "spam")
    assert result.exit_code == 0, result.output
    for words in ("[spam]", "this order", "at random, estimated", "about 120 more", "- saving so far at least 10%"):
        assert words in result.output
    assert "labels in training" in result.output
    assert "Note: weak labels were used." in result.output
    assert "\x1b" not in result.output


def test_json_is_one_value_with_everything(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "progress", lambda project: REPORT)
    found = json.loads(run("progress", "spam", "--json").stdout)
    assert found["controls"][0]["active"][1] == {
        "labels": 80,
        "accuracy": 0.87,
        "lower": 0.82,
        "upper": 0.92,
        "n": 100,
    }
    assert found["controls"][0]["saving"]["saving"]["value"] == 0.4


def test_a_picture_is_drawn_where_asked(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stage, "progress", lambda project: REPORT)
    path = tmp_path / "new" / "curve.png"
    assert run("progress", "spam", "--plot", str(path), "--json").exit_code == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_file_that_is_no_picture_is_refused_with_the_endings(run: Callable[..., Any], tmp_path: Path) -> None:
    result = run("progress", "--plot", str(tmp_path / "curve.docx"))
    assert isinstance(result.exception, SettingsError)
    assert ".png" in str(result.exception)
