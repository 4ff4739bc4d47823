"""`hitl lf watch`: what an author sees in a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cli_support import command_line
from tests_support import FUNCTIONS
from typer.testing import Result

from adapter.cli import lf_watch
from adapter.stages.function_watch_reports import Figures, Flip, FunctionChange, WatchReport
from adapter.stages.ingest import ingest

Hitl = Callable[..., Result]


@pytest.fixture
def world(make_world: Callable[..., Any]) -> Any:
    made = make_world(tasks=30, functions=True)
    ingest(made.project)
    return made


@pytest.fixture
def hitl(world: Any, monkeypatch: pytest.MonkeyPatch) -> Hitl:
    return command_line(world, monkeypatch, lf_watch.register_on, lf_watch)


def ok(result: Result) -> str:
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_once_shows_all_functions_and_ends(hitl: Hitl) -> None:
    text = ok(hitl("watch", "--once", "--rows", "20"))
    assert "labeling functions on 20 of 30 tasks" in text
    for name in ("begs", "link", "music"):
        assert name in text
    report = json.loads(ok(hitl("watch", "--once", "--json")))
    assert (report["rows"], report["pool"]) == (30, 30)
    assert [change["name"] for change in report["changes"]] == ["begs", "link", "music"]


def test_it_watches_until_ctrl_c_and_a_broken_file_is_one_line(
    hitl: Hitl, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.folder / "functions.py"
    texts = [FUNCTIONS + "\ndef half(:\n", FUNCTIONS.replace("www.", "lovely")]
    count = iter(range(1000))

    def sleep(_seconds: float) -> None:
        turn = next(count)
        if turn % 4 == 0:
            if not texts:
                raise KeyboardInterrupt
            path.write_text(texts.pop(0))

    monkeypatch.setattr(lf_watch.time, "sleep", sleep)
    result = hitl("watch")
    text = ok(result)
    broken = [line for line in text.splitlines() if line.startswith("✗")]
    assert len(broken) == 1
    assert "functions.py:" in broken[0]
    assert "link changed" in text
    assert "abstain → spam" in text
    assert "2 functions unchanged" in text
    assert "Nothing was stored" in result.stderr
    assert "Traceback" not in result.output


def test_while_watching_json_is_one_value_a_line(hitl: Hitl, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = world.folder / "functions.py"
    texts = [FUNCTIONS.replace("www.", "lovely")]

    def sleep(_seconds: float, count: Iterator[int] = iter(range(1000))) -> None:  # noqa: B008 - one counter is wanted
        if next(count) % 4 == 0:
            if not texts:
                raise KeyboardInterrupt
            path.write_text(texts.pop(0))

    monkeypatch.setattr(lf_watch.time, "sleep", sleep)
    first, second = map(json.loads, ok(hitl("watch", "--json")).splitlines())
    assert len(first["changes"]) == 3
    assert [change["what"] for change in second["changes"]] == ["changed"]


def test_the_help_says_that_looking_at_accuracy_wears_it_out(hitl: Hitl) -> None:
    text = " ".join(ok(hitl("watch", "--help")).split())
    assert "no text of a blind task is ever shown" in text
    assert "a little worse than it looks" in text
    assert "hitl lf watch --once" in text


def figures(right: int, judged: int) -> Figures:
    return Figures(0.5, 0.1, {"spam": 5}, 0, judged, right, 0.2 if judged else None, 0.9 if judged else None)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (WatchReport(0, 0, (), 0, "", 0.0), "the pool is empty"),
        (WatchReport(5, 5, (), 3, "", 0.0), "loads again"),
        (WatchReport(5, 5, (FunctionChange("f", "c", "removed", figures(0, 0)),), 0, "", 0.1), "- f is gone"),
        (WatchReport(5, 5, (FunctionChange("f", "", "refused", messages=("why",)),), 0, "", 0.1), "f cannot run: why"),
        (
            WatchReport(5, 5, (FunctionChange("f", "c", "judged", figures(1, 2), figures(3, 4)),), 0, "", 0.1),
            "0.75 (0.20 to 0.90, n=4)",
        ),
        (
            WatchReport(5, 5, (FunctionChange("f", "c", "changed", figures(0, 0), figures(0, 0)),), 0, "", 0.1),
            "no vote changed",
        ),
        (
            WatchReport(
                5,
                5,
                (
                    FunctionChange(
                        "f", "c", "new", None, figures(1, 1), (Flip("abstain", "spam", 4, ("text",)),), ("e",)
                    ),
                ),
                0,
                "",
                0.1,
            ),
            "abstain → spam: 4",
        ),
    ],
)
def test_each_kind_of_change_has_its_words(report: WatchReport, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    lf_watch.show(report)
    assert said in capsys.readouterr().out
