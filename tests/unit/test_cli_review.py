"""`hitl review` and `hitl gold`: what people and machines read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from adapter.cli import gold, review
from adapter.errors import HitlError
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push

Make = Callable[..., Any]
Hitl = Callable[..., Result]


@pytest.fixture
def world(make_world: Make) -> Any:
    made = make_world(
        tasks=12,
        functions=False,
        review={"enabled": True, "random_share": 0.0, "low_skill": 0.0},
        consolidate={"max_people": 2},
        blind={"share": 0.0},
    )
    ingest(made.project)
    push(made.project)
    for task in list(made.platform.tasks(made.project.platform_id)):
        made.platform.annotate(task.id, "ann", made.result(made.gold[task.key]))
        wrong = {"spam": "ham", "ham": "spam"}[made.gold[task.key]]
        label = wrong if task.key in ("c1", "c2", "c3") else made.gold[task.key]
        made.platform.annotate(task.id, "bob", made.result(label))
    pull(made.project)
    consolidate(made.project)
    return made


@pytest.fixture
def hitl(world: Any, monkeypatch: pytest.MonkeyPatch) -> Hitl:
    @contextmanager
    def opened(_context: Any) -> Iterator[Any]:
        yield world.app

    for module in (review, gold):
        monkeypatch.setattr(module, "opened", opened)
    app = typer.Typer()
    review.register(app)
    gold.register(app)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return run


def ok(result: Result) -> str:
    assert result.exit_code == 0, result.exception
    return result.stdout


def test_the_queue_is_listed_with_reasons(hitl: Hitl) -> None:
    assert "nothing waits for a reviewer" in ok(hitl("review", "queue"))
    assert json.loads(ok(hitl("review", "run", "--json")))["open"] == 3
    rows = json.loads(ok(hitl("review", "queue", "--json")))
    assert sorted(row["task"] for row in rows) == ["c1", "c2", "c3"]
    assert all("no consensus" in row["why"] for row in rows)
    assert "no consensus" in ok(hitl("review", "queue", "spam", "--limit", "1"))


def test_decisions_and_status_tell_who_decided_what(hitl: Hitl, world: Any, tmp_path: Path) -> None:
    ok(hitl("review", "run"))
    path = tmp_path / "gold.csv"
    path.write_text("id,spam\n" + "".join(f"c{n},{world.gold[f'c{n}']}\n" for n in range(12)), encoding="utf-8")
    ok(hitl("gold", "add", str(path)))
    seat = world.platform.desk(world.platform.find_project("spam · review").id, "eve")
    task = seat.next_task()
    seat.submit(task.task_id, world.result(world.gold[task.data["hitl_id"]]), 3.0)
    task = seat.next_task()
    seat.skip(task.task_id, 1.0)
    assert "correct 1, reject 1" in ok(hitl("review", "run"))
    (rejected, corrected) = json.loads(ok(hitl("review", "decisions", "--json")))
    assert (rejected["decision"], corrected["decision"]) == ("reject", "correct")
    assert "eve" in ok(hitl("review", "decisions"))
    status = json.loads(ok(hitl("review", "status", "--json")))
    assert (status["open"], status["asked_again"], status["decided"]) == (1, 1, {"correct": 1, "reject": 1})
    (reviewer,) = status["reviewers"]
    assert (reviewer["reviewer"], reviewer["median_s"], reviewer["on_gold"], reviewer["right"]) == ("eve", 2.0, 1, 1)
    assert "eve" in ok(hitl("review", "status"))


def test_the_guideline_report_names_classes_people_and_examples(hitl: Hitl) -> None:
    text = ok(hitl("review", "guideline"))
    assert "'ham' and 'spam' are mixed up in 3 of 12 comparisons that are about them, 25%" in text
    assert "ann and bob differ on 3 of 12 tasks, mean distance 25%" in text
    assert "task c1 (" in text
    assert "ann against bob:" in text
    found = json.loads(ok(hitl("review", "guideline", "--json")))
    assert [problem["what"] for problem in found["problems"]] == ["classes", "people"]
    assert found["problems"][0]["figures"]["chance"] == pytest.approx(2 * (9 / 24) * (15 / 24), abs=0.05)
    assert len(found["problems"][0]["examples"]) == 3


def test_gold_is_added_listed_and_dropped(hitl: Hitl, tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    path.write_text("id,spam\nc0,spam\nc1,ham\nc77,ham\n", encoding="utf-8")
    assert "c77" in ok(hitl("gold", "add", str(path)))
    rows = json.loads(ok(hitl("gold", "list", "--json")))
    assert [(row["task_id"], row["value"]) for row in rows] == [("c0", ["spam"]), ("c1", ["ham"])]
    assert "'ham'" in ok(hitl("gold", "list"))
    assert json.loads(ok(hitl("gold", "drop", "c0", "--json"))) == {"dropped": 1}
    assert "1 dropped" in ok(hitl("gold", "drop", "c1"))
    assert "hitl gold add FILE" in ok(hitl("gold", "list"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gold", "add"), "where is the gold"),
        (("gold", "add", "x.csv", "--column", "y"), "where is the gold"),
        (("gold", "add", "no-such-file.csv"), "no such file"),
        (("gold", "add", "--column", "truth", "--control", "spma"), "Did you mean 'spam'"),
        (("gold", "drop", "c5"), "no gold label for c5"),
    ],
)
def test_mistakes_are_told_with_a_remedy(hitl: Hitl, arguments: tuple[str, ...], words: str) -> None:
    result = hitl(*arguments)
    assert isinstance(result.exception, HitlError)
    assert words in str(result.exception)
