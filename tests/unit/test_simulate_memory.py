"""`simulate` in memory: the whole account, and gold that the adapter never sees."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tests_support import FUNCTIONS, SPAM_CONFIG, spam_rows

from adapter.errors import DataError, LabelError
from adapter.simulate.command import simulate
from adapter.simulate.options import SimulateOptions
from adapter.store import Store


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rows, gold = spam_rows(220)
    with (tmp_path / "comments.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label"])
        writer.writerows([row["id"], row["text"], gold[row["id"]]] for row in rows)
    with (tmp_path / "votes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["task", "annotator", "label"])
        for key, label in gold.items():
            writer.writerows([key, worker, label] for worker in ("w1", "w2"))
    (tmp_path / "spam.xml").write_text(SPAM_CONFIG, encoding="utf-8")
    (tmp_path / "functions.py").write_text(FUNCTIONS, encoding="utf-8")
    return tmp_path


def run(folder: Path, **options: Any) -> dict[str, Any]:
    given = {"gold": "label", "budget": 60, "batch": 15, "lfs": str(folder / "functions.py"), **options}
    account = simulate(SimulateOptions(data=folder / "comments.csv", label_config=folder / "spam.xml", **given))
    return json.loads(json.dumps(account, default=str))  # type: ignore[no-any-return]


def test_the_account_holds_what_was_promised(files: Path) -> None:
    account = run(files, out=files / "out.json")
    assert account["annotations"] == 60
    assert (account["lost"], account["duplicated"]) == (0, 0)
    assert account["tasks"] + account["test"] == 220
    assert account["order"]["inversions"] == 0
    assert account["models"]
    assert set(account["curve"][0]) >= {"labels", "test_accuracy", "pool_accuracy"}
    assert set(account["flags"]) >= {"found", "true"}
    assert {row["name"] for row in account["weak"]} >= {"majority", "label-model", "weighted-vote", "semi-supervised"}
    assert json.loads((files / "out.json").read_text())["annotations"] == 60


def test_the_adapter_never_sees_gold_and_no_test_row_is_in_the_pool(files: Path) -> None:
    home = files / "home"
    account = run(files, home=home)
    store = Store(f"sqlite:///{home / 'data' / 'hitl.db'}")
    tasks = [task for part in store.tasks.stream("simulation") for task in part]
    store.close()
    assert len(tasks) == account["tasks"]
    assert all(set(task.data) == {"id", "text"} for task in tasks)
    pool = (home / "gold-free" / "pool.jsonl").read_text(encoding="utf-8")
    assert '"label"' not in pool


def test_the_same_seed_gives_the_same_run(files: Path) -> None:
    first, second = run(files, seed=4, budget=30), run(files, seed=4, budget=30)
    for key in ("curve", "models", "flags", "weak", "pool_accuracy", "pushed"):
        assert first[key] == second[key], key


def test_stored_votes_are_replayed_for_every_task(files: Path) -> None:
    account = run(files, annotators=str(files / "votes.csv"), budget=40)
    assert account["annotators"] == 2
    assert account["annotations"] == 40
    assert account["skipped"] == 0
    assert account["flags"]["true"] == 0, "the stored votes are all right"


def test_a_gold_label_outside_the_config_names_line_and_label(files: Path) -> None:
    path = files / "comments.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",ham\n", ",hamster\n", 1), encoding="utf-8")
    with pytest.raises(LabelError, match=r"comments\.csv, line 3.*hamster"):
        run(files)


def test_a_missing_gold_column_lists_the_columns(files: Path) -> None:
    with pytest.raises(DataError, match=r"no column .truth.*id, text, label"):
        run(files, gold="truth")
