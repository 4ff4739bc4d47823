"""Stored votes replayed by those who gave them, through routing, in memory."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from tests_support import SPAM_CONFIG, spam_rows

from adapter.errors import DataError
from adapter.simulate.command import simulate
from adapter.simulate.options import SimulateOptions
from adapter.simulate.people import parse_people


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """60 comments, three votes each by 9 workers; worker w8 is wrong on everything."""
    rows, gold = spam_rows(60)
    with (tmp_path / "comments.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label"])
        writer.writerows([row["id"], row["text"], gold[row["id"]]] for row in rows)
    other = {"spam": "ham", "ham": "spam"}
    with (tmp_path / "votes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["task", "annotator", "label"])
        for n, (key, label) in enumerate(gold.items()):
            for worker in {n % 9, (n + 2) % 9, (2 * n + 5) % 9} | {(n + 1) % 9}:
                writer.writerow([key, f"w{worker}", other[label] if worker == 8 else label])
    (tmp_path / "spam.xml").write_text(SPAM_CONFIG, encoding="utf-8")
    return tmp_path


def run(folder: Path, **options: Any) -> dict[str, Any]:
    given = {"gold": "label", "budget": 500, "batch": 20, "annotators": str(folder / "votes.csv"), "workers": True}
    chosen = {**given, "test_share": 0.0, "home": folder / "home", **options}
    account = simulate(SimulateOptions(data=folder / "comments.csv", label_config=folder / "spam.xml", **chosen))
    return json.loads(json.dumps(account, default=str))  # type: ignore[no-any-return]


def test_every_task_reaches_people_who_labelled_it_and_says_what_they_said(files: Path) -> None:
    account = run(files, overlap=3)
    assert account["annotations"] >= 180
    assert (account["lost"], account["duplicated"], account["skipped"]) == (0, 0, 0)
    assert account["annotators"] == 9
    assert account["consensus"]["n"] == 60
    assert account["consensus"]["exact"] > 0.95
    assert account["skills"]["spearman"] is not None


def test_asking_while_unsure_takes_fewer_votes_than_three_each(files: Path) -> None:
    account = run(files, threshold=0.97)
    assert 60 < account["annotations"] < 180
    assert account["consensus"]["exact"] > 0.9


def test_workers_keep_their_votes_apart_and_seats_do_not(files: Path) -> None:
    workers = parse_people(str(files / "votes.csv"), workers=True)
    assert {person.name for person in workers} == {f"worker-w{n}" for n in range(9)}
    by_task = defaultdict(int)
    for person in workers:
        for task in person.stored:
            by_task[task] += 1
    seats = parse_people(str(files / "votes.csv"))
    assert len(seats) == max(by_task.values())


def test_stored_values_of_any_kind_come_as_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text('{"task": "t", "annotator": "a", "value": [{"start": 1}]}\n', encoding="utf-8")
    (person,) = parse_people(str(path), workers=True)
    assert person.stored == {"t": [{"start": 1}]}
    path.write_text('{"task": "t"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 1"):
        parse_people(str(path))
