"""`hitl kinds`: what is served, in a table for people and as JSON for machines."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from adapter.cli import kinds as module
from adapter.errors import HitlError, SettingsError
from adapter.kinds import kinds
from adapter.label_studio.label_config import parse_label_config

CONFIG = """<View><Text name="text" value="$text"/><Image name="img" value="$image"/>
  <Choices name="tone" toName="text"><Choice value="kind"/><Choice value="rude"/></Choices>
  <View visibleWhen="choice-selected" whenTagName="tone" whenChoiceValue="rude">
    <TextArea name="why" toName="text"/>
  </View>
  <RectangleLabels name="box" toName="img"><Label value="Car"/></RectangleLabels>
  <Rating name="stars" toName="img" perRegion="true" maxRating="3"/>
  <Chat name="talk" value="$talk"/>
</View>"""
Run = Callable[..., Any]


@pytest.fixture
def hitl() -> Run:
    app = typer.Typer()
    app.callback()(lambda: None)
    module.register(app)
    return lambda *arguments: CliRunner().invoke(app, ["kinds", *arguments])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.xml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def by_name(result: Any) -> dict[str, dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return {each["control"]: each for each in json.loads(result.output)["controls"]}


class TestConfig:
    def test_the_table_has_a_row_for_each_control(self, hitl: Run, config: Path) -> None:
        shown = hitl("--config", str(config)).output
        for word in ("tone", "why", "box", "stars", "Choices", "rectangles", "rating per region", "kind, rude"):
            assert word in shown
        assert "<Chat name='talk'>" in shown
        assert "no: " in shown

    def test_json_holds_what_the_table_does(self, hitl: Run, config: Path) -> None:
        result = hitl("--config", str(config), "--json")
        found = by_name(result)
        assert list(found) == ["tone", "why", "box", "stars"]
        assert found["tone"]["labels"] == ["kind", "rude"]
        assert found["tone"]["headline"]
        assert {"auto", "majority", "dawid-skene"} <= set(found["tone"]["methods"])
        assert found["why"]["shown"] == ["if 'tone' is 'rude'"]
        assert found["stars"]["kind"] == "rating per region"
        assert "business of the control" in found["stars"]["compared"]
        left = json.loads(result.output)["unserved"]
        assert [each["control"] for each in left] == ["<Chat name='talk'>"]
        assert left[0]["why"]

    def test_a_config_that_is_not_there_is_named(self, hitl: Run, tmp_path: Path) -> None:
        result = hitl("--config", str(tmp_path / "nowhere.xml"))
        assert isinstance(result.exception, HitlError)
        assert "nowhere.xml" in str(result.exception)

    @pytest.mark.parametrize("options", [("--config", "x.xml", "--templates"), ("--markdown",)])
    def test_options_that_do_not_go_together_are_refused(self, hitl: Run, options: tuple[str, ...]) -> None:
        assert isinstance(hitl(*options).exception, SettingsError)


def test_without_options_all_kinds_are_listed(hitl: Run) -> None:
    shown = hitl().output
    assert all(name in shown for name in kinds())
    found = {each["kind"]: each["tags"] for each in json.loads(hitl("--json").output)}
    assert found["choices"] == ["Choices"]
    assert set(found) == set(kinds())


def test_every_control_has_methods_and_a_sentence() -> None:
    for control in parse_label_config(CONFIG).controls:
        described = module.described(control)
        assert described["methods"], control.name
        assert described["compared"], control.name


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("choice-selected", "if 'a' is 'x' or 'y'"),
        ("choice-unselected", "unless 'a' is 'x' or 'y'"),
        ("region-selected", "on a region of 'a' labelled 'x' or 'y'"),
        ("no-region-selected", "while no region is selected"),
    ],
)
def test_conditions_are_said_in_words(when: str, words: str) -> None:
    assert module.shown_words(when, "a", ("x", "y")) == words


@pytest.mark.skipif(
    importlib.util.find_spec("label_studio") is None,
    reason="needs the templates of an installed label-studio: pip install '.[server]'",
)
class TestTemplates:
    def test_markdown_has_a_row_for_each_template(self, hitl: Run) -> None:
        lines = hitl("--templates", "--markdown").output.splitlines()
        assert lines[0].startswith("69 templates: ")
        rows = [line for line in lines if line.startswith("| ")][1:]
        assert len(rows) == 69
        assert all(len(row.replace("\\|", "").split("|")) == 7 for row in rows)

    def test_json_holds_the_checks(self, hitl: Run) -> None:
        found = json.loads(hitl("--templates", "--json").output)
        assert sum(found["summary"].values()) == len(found["templates"]) == 69
        rows = {row["template"]: row for row in found["templates"]}
        (control,) = rows["natural-language-processing/text-classification"]["controls"]
        assert (control["validate_prediction"], control["round_trip"], control["wrong"]) == (True, True, "")

    def test_the_table_says_how_many(self, hitl: Run) -> None:
        assert "69 templates: " in hitl("--templates").output

    def test_without_the_server_one_sentence_says_so(self, hitl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        result = hitl("--templates")
        assert isinstance(result.exception, HitlError)
        assert "not installed" in str(result.exception)
