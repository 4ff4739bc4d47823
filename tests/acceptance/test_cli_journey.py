"""A team with a CSV and a list of labels, from `hitl init` on, with Label Studio in memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests_support import FUNCTIONS, spam_rows

from adapter.app import App
from adapter.cli import main
from adapter.testing import MemoryPlatform

Hitl = Callable[..., str]


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> MemoryPlatform:
    found = MemoryPlatform()
    monkeypatch.setattr(App, "_label_studio", lambda self: found)
    return found


@pytest.fixture
def hitl(capsys: pytest.CaptureFixture[str]) -> Hitl:
    """Run one command; return its stdout, which is all JSON if --json was asked for."""

    def run(*arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsys.readouterr()
        assert (ended.value.code or 0) == code, captured.err
        return captured.out

    return run


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hitl: Hitl, platform: MemoryPlatform) -> dict[str, str]:
    """A folder with a CSV of comments after `hitl init`; returns the gold labels, which only the annotators know."""
    rows, gold = spam_rows(120)
    with (tmp_path / "comments.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["id", "text"])
        writer.writeheader()
        writer.writerows(rows)
    monkeypatch.chdir(tmp_path)
    hitl("init", "--data", "comments.csv", "--labels", "spam,ham", "--id-column", "id")
    (tmp_path / "labeling_functions" / "comments.py").write_text(FUNCTIONS, encoding="utf-8")
    path = tmp_path / "config" / "projects" / "comments.yaml"
    text = path.read_text(encoding="utf-8").replace("size: 200", "size: 30").replace("low_water: 100", "low_water: 15")
    text += "train:\n  min_labels: 12\n  min_new: 12\n  min_gate: 3\nblind:\n  share: 0.3\n  batch_share: 0.3\n"
    path.write_text(text, encoding="utf-8")
    return gold


def annotate(platform: MemoryPlatform, gold: dict[str, str], count: int) -> None:
    project = platform.find_project("comments")
    assert project is not None
    desk = platform.desk(project.id, "ann")
    for _ in range(count):
        task = desk.next_task()
        assert task is not None
        label = gold[task.data["hitl_id"]]
        result = [{"from_name": "label", "to_name": "content", "type": "choices", "value": {"choices": [label]}}]
        desk.submit(task.task_id, result, 1.0)


def test_ten_lines_from_a_csv_to_a_model(team: dict[str, str], hitl: Hitl, platform: MemoryPlatform) -> None:
    def ask(*arguments: str) -> Any:
        return json.loads(hitl(*arguments, "--json"))

    assert ask("ingest")["new"] == 120
    assert ask("ingest")["new"] == 0
    assert ask("vote")["functions"] == 3
    ask("consolidate")
    assert len(ask("rank", "--show", "5")) == 5
    pushed = ask("push")
    assert pushed["pushed"] == 30
    annotate(platform, team, 30)
    pulled = ask("pull")
    assert (pulled["created"], pulled["strays"]) == (30, 0)
    table = ask("consolidate")["weak"]
    assert {row["name"] for row in table["label"]} >= {"majority"}
    report = ask("lf", "report")
    by_name = {row["name"]: row for row in report["functions"]}
    assert set(by_name) == {"begs", "link", "music"}
    assert by_name["link"]["coverage"] == pytest.approx(10 / 120)
    assert by_name["link"]["conflict"] == 0
    assert sum(row["n"] for row in by_name.values()) > 0
    for row in by_name.values():
        assert row["n"] == 0 or 0 <= row["lower"] <= row["accuracy"] <= row["upper"] <= 1
    assert [row["name"] for row in ask("lf", "list")] == ["begs", "link", "music"]
    trained = ask("train", "--if-due")
    assert trained["version"]
    assert ask("train", "--if-due")["sentence"] == "no training is due"
    versions = ask("model", "list")
    assert [row["version"] for row in versions] == [trained["version"]]
    promoted = ask("model", "promote", trained["version"])
    assert promoted["state"] == "current"
    ask("flag")
    assert ask("flags", "list") == []
    status = ask("status")
    assert (status["annotations"], status["model"], status["tasks"]) == (30, trained["version"], 120)


def test_people_get_tables_and_sentences(team: dict[str, str], hitl: Hitl, platform: MemoryPlatform) -> None:
    assert "120" in hitl("ingest")
    assert "none has voted yet" in hitl("lf", "report")
    assert "functions" in hitl("vote")
    assert "begs" in hitl("lf", "list")
    assert "pushed" in hitl("push")
    assert "next tasks of comments" in hitl("rank", "--show", "3")
    annotate(platform, team, 5)
    assert "created" in hitl("pull", "--whole")
    hitl("consolidate")
    text = hitl("lf", "report")
    assert "coverage" in text
    assert "consolidators of label" in text
    assert "none is trained yet" in hitl("model", "list")
    assert "none is open" in hitl("flags", "list")
    assert "25 tasks are open" in hitl("status")


def test_an_existing_project_is_adopted_and_a_new_one_can_be_made(
    team: dict[str, str], hitl: Hitl, platform: MemoryPlatform
) -> None:
    from adapter.ports import NewTask

    config = Path("config/label_configs/comments.xml").read_text(encoding="utf-8")
    theirs = platform.create_project("theirs", config)
    platform.import_tasks(theirs.id, [NewTask(f"x{n}", {"text": f"their comment {n}"}) for n in range(4)])
    adopted = json.loads(hitl("attach", "--id", str(theirs.id), "--json"))
    assert (adopted["platform_id"], adopted["tasks"]) == (theirs.id, 4)
    made = json.loads(hitl("attach", "--new", "--json"))
    assert made["platform_id"] != theirs.id
    assert made["created"]


def test_flags_are_listed_and_resolved_by_hand(team: dict[str, str], hitl: Hitl, platform: MemoryPlatform) -> None:
    from adapter.settings_file import load_settings
    from adapter.vocabulary import Flag, FlagReason

    hitl("ingest")
    app = App(load_settings(Path("config/adapter.yaml"), {}))
    app.store.flags.raise_("comments", [Flag("c1", "label", FlagReason.LABEL_ISSUE, 0.9, {}, "about")])
    app.close()
    (flag,) = json.loads(hitl("flags", "list", "--json"))
    assert "label issue" in hitl("flags", "list")
    assert flag["reason"] == "label issue"
    hitl("flags", "resolve", "999", code=2)
    assert "1 resolved" in hitl("flags", "resolve", str(flag["id"]), "--as", "it is spam")
    assert json.loads(hitl("flags", "list", "--json")) == []
    (flag,) = json.loads(hitl("flags", "list", "--all", "--json"))
    assert flag["resolution"] == "it is spam"


def test_the_doctor_speaks_json_and_fails_when_something_is_wrong(team: dict[str, str], hitl: Hitl) -> None:
    findings = json.loads(hitl("doctor", "--json", code=1))
    assert {finding["level"] for finding in findings} >= {"ok", "error"}
    text = hitl("doctor", code=1)
    assert "ERROR" in text
    assert "->" in text


def test_a_simulation_writes_its_account(tmp_path: Path, hitl: Hitl) -> None:
    rows, gold = spam_rows(150)
    data, config = tmp_path / "rows.jsonl", tmp_path / "spam.xml"
    data.write_text("".join(json.dumps({"text": r["text"], "gold": gold[r["id"]]}) + "\n" for r in rows), "utf-8")
    from tests_support import SPAM_CONFIG

    config.write_text(SPAM_CONFIG, encoding="utf-8")
    arguments = ["simulate", "--data", str(data), "--label-config", str(config), "--gold", "gold", "--budget", "20"]
    account = json.loads(hitl(*arguments, "--batch", "10", "--annotators", "0.99,0.95", "--json", "-"))
    assert (account["annotations"], account["lost"], account["duplicated"]) == (20, 0, 0)
    out = tmp_path / "out.json"
    assert "curve" in hitl(*arguments, "--json", str(out))
    assert json.loads(out.read_text(encoding="utf-8"))["lost"] == 0
