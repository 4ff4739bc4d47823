"""`hitl lf`: tables that fit a terminal, JSON that holds everything, examples without blind tasks, tests without a
store."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import command_line

from adapter.cli import lf, lf_examples, lf_report
from adapter.cli import main as hitl
from adapter.cli.lf_examples import by_label, cut
from adapter.cli.lf_report import Sort, bars, ordered, says
from adapter.stages.consolidate import consolidate
from adapter.stages.function_votes import votes_key
from adapter.stages.functions import functions_report
from adapter.stages.ingest import ingest
from adapter.stages.vote import VOTES, vote
from adapter.vocabulary import Annotation, Consensus

Make = Callable[..., Any]
WORDS = ("subscribe", "check", "visit", "www", "prize", "gifts", "money", "number", "my", "video", "channel", "out")
FUNCTIONS = (
    "from adapter.labeling import labeling_function\n"
    + "".join(
        f'\n\n@labeling_function\ndef says_{word}(x):\n    """Has {word}."""\n'
        f'    return "spam" if "{word}" in x["text"] else None\n'
        for word in WORDS
    )
    + """

@labeling_function(examples=[({"text": "a song"}, "ham"), ({"text": "[bold]"}, None)])
def music(x):
    return "ham" if any(word in x["text"] for word in ("song", "chorus", "voice", "listen")) else None


@labeling_function
def turned(x):
    return "ham" if "my" in x["text"] else None


@labeling_function
def dead(x):
    return None


@labeling_function
def broken(x):
    raise ValueError("[bold]no such word")
"""
)


@pytest.fixture
def world(make_world: Make) -> Any:
    made = make_world(tasks=400)
    (made.folder / "functions.py").write_text(FUNCTIONS, encoding="utf-8")
    ingest(made.project)
    return made


@pytest.fixture
def run(world: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that runs a command line against the world's store."""
    call = command_line(world, monkeypatch, lf.register, lf, lf_examples)
    return lambda *arguments: call("lf", *arguments)


def annotate(world: Any, *, others: int = 100) -> None:
    """Give all blind tasks and some others the true label."""
    index = world.project.store.tasks.index("spam")
    blind = index.ids[index.blind].tolist()
    rest = index.ids[~index.blind].tolist()[:others]
    rows, by_task = [], {}
    for number, task in enumerate(blind + rest):
        at = world.clock() + timedelta(minutes=number)
        value = [world.gold[task]]
        rows.append(Consensus(task, "spam", value, 0.9, (), {"ann": value}, "one"))
        by_task[task] = [Annotation(number, task, "ann", {"spam": value}, (), at, at)]
    world.project.store.consensus.replace("spam", rows)
    world.project.store.annotations.record_many("spam", by_task)


def blind_labels(world: Any) -> list[str]:
    index = world.project.store.tasks.index("spam")
    return [world.gold[task] for task in index.ids[index.blind]]


def test_before_the_first_vote_the_report_says_what_to_do(run: Callable[..., Any]) -> None:
    assert "none has voted yet: run `hitl vote`" in run("report").output


def test_the_report_fits_a_hundred_columns(
    world: Any, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import rich.console

    monkeypatch.setenv("COLUMNS", "100")
    build = rich.console.Console.__init__
    monkeypatch.setattr(
        rich.console.Console, "__init__", lambda self, **options: build(self, **{**options, "width": 100})
    )
    vote(world.project)
    annotate(world)
    result = run("report")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 100
    rows = [line.split()[0] for line in lines if line.startswith(("says_", "music", "turned", "dead", "broken"))]
    assert set(rows) >= {*(f"says_{word}" for word in WORDS), "music", "turned"}  # no name is cut
    assert "16 functions cover" in result.output


def test_the_report_says_what_to_look_at(world: Any, run: Callable[..., Any]) -> None:
    vote(world.project)
    annotate(world)
    text = run("report").output
    assert "dead: never votes: it does nothing" in text
    assert "turned: worse than chance" in text
    assert "Near-copies, which count once: says_check, says_out, says_video." in text
    assert "broken: never votes and fails on 400 tasks: ValueError: [bold]no such word" in text
    assert "blind tasks." in text


def test_without_blind_labels_the_report_says_so(world: Any, run: Callable[..., Any]) -> None:
    vote(world.project)
    text = run("report").output
    assert "No blind task has been labelled yet, so nothing can be said about accuracy." in text


def test_few_labels_are_called_too_few(world: Any, run: Callable[..., Any]) -> None:
    vote(world.project)
    index = world.project.store.tasks.index("spam")
    blind = index.ids[index.blind].tolist()[:5]
    rows = [Consensus(task, "spam", [world.gold[task]], 0.9, (), {}, "one") for task in blind]
    world.project.store.consensus.replace("spam", rows)
    text = run("report").output
    assert "too few" in text
    assert "fewer than 10 labelled blind tasks" in text


def test_wide_adds_precision_twins_cost_and_trends(world: Any, run: Callable[..., Any]) -> None:
    vote(world.project)
    annotate(world)
    text = run("report", "--wide").output
    for words in ("precision by label", "nearest twin", "s / 100,000", "over time", "p after Holm", "faults"):
        assert words in text, words


def test_json_holds_everything(world: Any, run: Callable[..., Any]) -> None:
    vote(world.project)
    annotate(world)
    consolidate(world.project)
    told = json.loads(run("report", "--json").output)
    assert len(told["functions"]) == 16
    music = next(row for row in told["functions"] if row["name"] == "music")
    assert music["accuracy"] == 1.0
    assert music["classes"][0]["label"] == "ham"
    assert music["coverage_trend"]["windows"][0]["n"] > 0
    broken = next(row for row in told["functions"] if row["name"] == "broken")
    assert broken["faults"] == 400
    assert broken["fault_examples"][0]["task_id"].startswith("c")
    assert ["says_check", "says_out", "says_video"] in told["controls"][0]["copies"]
    assert told["controls"][0]["labelled"] == music["n"] + sum(label == "spam" for label in blind_labels(world))
    assert {row["name"] for row in told["consolidators"]["spam"]} >= {"majority"}


def test_sorting_puts_the_greatest_first_and_the_unknown_last(world: Any, run: Callable[..., Any]) -> None:
    vote(world.project)
    annotate(world)
    names = [row["name"] for row in json.loads(run("report", "--json", "--sort", "accuracy").output)["functions"]]
    assert names[-1] in ("dead", "broken")
    figures = [row["coverage"] for row in json.loads(run("report", "--json", "--sort", "coverage").output)["functions"]]
    assert figures == sorted(figures, reverse=True)
    found = functions_report(world.project).functions
    assert [item.name for item in ordered(found, Sort.NAME)] == sorted(item.name for item in found)
    assert [item.name for item in ordered(found, Sort.DECLARED)] == [item.name for item in found]
    for sort in lf_report.KEYS:
        assert {item.name for item in ordered(found, sort)} == {item.name for item in found}


def test_drift_of_many_functions_is_told_once(world: Any, run: Callable[..., Any]) -> None:
    project = world.project
    for function in project.functions():
        said = np.where(np.arange(400) < 150, 0, -1).astype(np.int16)
        project.columns.write("spam", VOTES, *votes_key(function, project.learned[0]), 0, said)
    text = " ".join(run("report").output.split())
    assert "so the data changes with the order of ingest: says_subscribe, says_check" in text
    assert "coverage drifts over the pool: " not in text


def test_list_shows_kind_purpose_and_examples(run: Callable[..., Any]) -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "--json").output)}
    assert rows["music"]["examples"] == 2
    assert rows["says_www"]["kind"] == "python"
    assert rows["says_www"]["doc"] == "Has www."
    assert (rows["says_www"]["says"], rows["dead"]["says"]) == (["spam"], [])
    text = run("list").output
    assert "Has www." in text
    assert "what it looks for" in text


def test_wrong_examples_are_the_default_and_show_others(world: Any, run: Callable[..., Any]) -> None:
    vote(world.project)
    annotate(world)
    text = run("examples", "turned").output
    assert "turned is wrong on" in text
    assert "labelled outside the blind sample" in text
    assert "spam: says_" in text
    index = world.project.store.tasks.index("spam")
    blind = set(index.ids[index.blind].tolist())
    for option in ("--wrong", "--conflict", "--abstain"):
        report = json.loads(run("examples", "turned", option, "--limit", "400", "--json").output)
        assert not blind & {task["task_id"] for task in report["tasks"]}, option


def test_faults_show_the_message_as_it_is(world: Any, run: Callable[..., Any]) -> None:
    vote(world.project)
    text = run("examples", "broken", "--faults", "--limit", "2").output
    assert "broken failed on 400 of 400 tasks." in text
    assert "[bold]no such word" in text
    assert "2 of them" in text


def test_wrong_without_labels_says_why_there_are_none(world: Any, run: Callable[..., Any]) -> None:
    vote(world.project)
    assert "people have labelled no task outside the blind sample yet" in run("examples", "music").output


def test_two_sorts_of_examples_at_once_are_refused(run: Callable[..., Any]) -> None:
    result = run("examples", "music", "--wrong", "--conflict")
    assert result.exit_code == 2
    assert "--wrong, --conflict" in result.output


def test_long_texts_are_cut_at_a_word() -> None:
    assert cut("short", 10) == "short"
    assert cut("one two three four", 12) == "one two…"
    assert cut("x" * 30, 10) == "x" * 9 + "…"
    assert by_label({name: "spam" for name in "abcdef"} | {"g": "ham"}) == "spam: a, b, c, d +2; ham: g"


def test_labels_and_bars_are_short() -> None:
    assert says(["a", "b", "c", "d", "e"]) == "a, b, c +2"
    assert bars([0.0, 0.5, 1.0], 1.0) == "▁▅█"
    assert bars([0.0, 0.0], 0.0) == "▁▁"


@pytest.fixture
def project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with settings and functions, but no data and no store."""
    from tests_support import SPAM_CONFIG

    config = tmp_path / "config"
    (config / "projects").mkdir(parents=True)
    (config / "label_configs").mkdir()
    (config / "adapter.yaml").write_text("home: ../data\n", encoding="utf-8")
    (config / "label_configs" / "mail.xml").write_text(SPAM_CONFIG, encoding="utf-8")
    (config / "projects" / "mail.yaml").write_text(
        "label_config: label_configs/mail.xml\ndata:\n  path: nowhere.csv\nlabeling_functions: ../functions.py\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HITL_CONFIG", raising=False)
    return tmp_path


HEAD = "from adapter.labeling import labeling_function\n\n\n"


def tried(folder: Path, source: str, *arguments: str) -> int:
    (folder / "functions.py").write_text(HEAD + source, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        hitl(["lf", "test", *arguments])
    return int(ended.value.code or 0)


def test_examples_that_hold_pass_without_data_or_store(
    project_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = """@labeling_function(examples=[({"text": "http://x"}, "spam"), ({"text": "hi"}, None)])
def link(x):
    return ("spam", 0.9) if "http" in x["text"] else None


@labeling_function
def bare(x):
    return None
"""
    assert tried(project_folder, source) == 0
    text = capsys.readouterr().out
    assert "passed" in text
    assert "without examples: bare" in text
    assert not (project_folder / "data" / "hitl.db").exists()


def test_examples_that_do_not_hold_fail_the_command(project_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = """import os
import time

from adapter.labeling import keywords

prizes = keywords("spamm", ["win"])


@labeling_function(examples=[({"text": "hi"}, "spam")])
def quiet(x):
    return None


@labeling_function(examples=[({"other": 1}, "spam"), ({"text": "x"}, "spma")])
def strict(x):
    return "spam" if x["text"] else None


@labeling_function(timeout_s=0.3, examples=[({"text": "a"}, None)])
def hangs(x):
    time.sleep(60)


@labeling_function(examples=[({"text": "a"}, "ham"), ({"text": "b"}, "ham")])
def dies(x):
    if x["text"] == "a":
        os._exit(3)
    return "ham"


@labeling_function
def wrong_label(x):
    return "spma"
"""
    assert tried(project_folder, source) == 1
    text = capsys.readouterr().out
    assert "quiet, example 1" in text
    assert "expected 'spam', got no vote" in text
    assert "KeyError" in text
    assert "Did you mean 'spam'?" in text
    assert "longer than 0.3 s" in text
    assert "dies, example 1" in text
    assert "dies, example 2" not in text
    assert "warning: wrong_label" in text
    assert "warning: prizes" in text
    assert "votes 'spamm', which 'spam' does not list. Did you mean 'spam'?" in text
    assert "Traceback" not in text


def test_one_function_alone_and_as_json(project_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = """@labeling_function(examples=[({"text": "hi"}, "spam")])
def bad(x):
    return "ham"


@labeling_function(examples=[({"text": "hi"}, "ham")])
def good(x):
    return "ham"
"""
    assert tried(project_folder, source, "good") == 0
    capsys.readouterr()
    assert tried(project_folder, source, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is False
    example = told["functions"][0]["examples"][0]
    assert (example["expected"], example["got"], example["passed"]) == ("spam", "ham", False)
    assert tried(project_folder, source, "goood") == 2
    assert "Did you mean 'good'?" in capsys.readouterr().err


def test_no_functions_and_unknown_projects_are_said(project_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tried(project_folder, "") == 0
    assert "there are no labeling functions" in capsys.readouterr().out
    assert tried(project_folder, "", "--project", "mial") == 2
    assert "Did you mean 'mail'?" in capsys.readouterr().err


def test_a_function_without_its_control_cannot_be_tried(
    project_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = """@labeling_function(control="sapm", examples=[({"text": "hi"}, "spam")])
def lost(x):
    return "spam"
"""
    assert tried(project_folder, source) == 1
    text = capsys.readouterr().out
    assert "cannot be tried" in text
    assert "Did you mean 'spam'?" in text
