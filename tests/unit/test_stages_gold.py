"""Gold: from files, columns, ground truth marks and reviewers; bad rows are told, stronger origins stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import DataError, LabelError
from adapter.label_studio.label_config import parse_label_config
from adapter.stages.consolidate import consolidate
from adapter.stages.gold import (
    drop_gold,
    gold_from_column,
    gold_of_control,
    import_gold,
    keep_adjudicated,
    keep_ground_truth,
    parsed,
)
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.store import NewRow
from adapter.vocabulary import Control, Decision, GoldLabel, Review

Make = Callable[..., Any]


@pytest.fixture
def world(make_world: Make) -> Any:
    made = make_world(tasks=12, functions=False)
    ingest(made.project)
    return made


def control(world: Any) -> Control:
    found: Control = world.project.space.control("spam")
    return found


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_gives_gold_and_tells_what_it_could_not_use(world: Any, tmp_path: Path) -> None:
    path = written(tmp_path, "gold.csv", 'id,spam\nc0,spam\nc1,ham\nc2,\nc99,ham\nc3,eggs\n"c4\n')
    report = import_gold(world.project, path, by="lead")
    assert (report.changed, report.unknown, report.wrong) == (2, 1, 2)
    assert any("c99" in problem for problem in report.problems)
    assert any("eggs" in problem and ":6:" in problem for problem in report.problems)
    assert gold_of_control(world.project, control(world)) == {"c0": ("spam",), "c1": ("ham",)}
    assert import_gold(world.project, path, by="lead").changed == 0
    assert {row.origin for row in world.project.store.gold.all("spam")} == {"given"}


def test_jsonl_keeps_values_as_they_are_and_ids_under_another_name(world: Any, tmp_path: Path) -> None:
    lines = [{"key": "c0", "spam": ["spam"]}, {"key": "c1", "spam": "ham"}, {"key": "c2", "spam": {"x": 1}}]
    path = written(tmp_path, "gold.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match=r"no column 'id'.*--id-column.*key, spam"):
        import_gold(world.project, path, by="lead")
    report = import_gold(world.project, path, by="lead", id_column="key")
    assert (report.changed, report.wrong) == (2, 1)


def test_a_file_without_a_control_s_column_is_refused(world: Any, tmp_path: Path) -> None:
    path = written(tmp_path, "gold.csv", "id,label\nc0,spam\n")
    with pytest.raises(DataError, match="Call it like one of: spam"):
        import_gold(world.project, path, by="lead")
    with pytest.raises(DataError, match="no such file"):
        import_gold(world.project, tmp_path / "none.csv", by="lead")


def test_cells_of_text_mean_lists_numbers_and_labels() -> None:
    space = parse_label_config(
        """<View><Text name="t" value="$text"/>
        <Choices name="many" toName="t" choice="multiple"><Choice value="a"/><Choice value="b"/></Choices>
        <Choices name="year" toName="t"><Choice value="1"/><Choice value="2"/></Choices></View>"""
    )
    many, year = space.controls
    assert parsed(many, "b; a") == parsed(many, '["a", "b"]') == parsed(many, ["b", "a"]) == ("a", "b")
    assert parsed(many, "[]") == ()
    assert parsed(year, 2) == parsed(year, " 2 ") == ("2",)
    with pytest.raises(LabelError, match="not a label"):
        parsed(year, "[[[")
    with pytest.raises(LabelError):
        parsed(year, "[" * 100_000)


def test_a_column_of_the_tasks_gives_gold_unless_annotators_see_it(world: Any) -> None:
    with pytest.raises(DataError, match="sees the answer"):
        gold_from_column(world.project, control(world), "text", by="lead")
    with pytest.raises(DataError, match="no task has anything in 'truth'"):
        gold_from_column(world.project, control(world), "truth", by="lead")
    rows = [NewRow("x1", {"text": "a", "truth": "ham"}, "x1"), NewRow("x2", {"text": "b", "truth": "?"}, "x2")]
    world.project.store.tasks.add("spam", rows, blind=lambda _: False)
    report = gold_from_column(world.project, control(world), "truth", by="lead")
    assert (report.read, report.changed, report.wrong) == (2, 1, 1)
    assert gold_of_control(world.project, control(world)) == {"x1": ("ham",)}


def test_dropping_names_what_is_not_there_and_then_drops_nothing(world: Any, tmp_path: Path) -> None:
    import_gold(world.project, written(tmp_path, "gold.csv", "id,spam\nc0,spam\nc1,ham\n"), by="lead")
    with pytest.raises(DataError, match=r"no gold label for c7.*Nothing was dropped"):
        drop_gold(world.project, ["c0", "c7"], by="lead")
    assert drop_gold(world.project, ["c0"], by="lead") == 1
    assert list(gold_of_control(world.project, control(world))) == ["c1"]


def test_ground_truth_marks_become_gold_and_leave_with_the_mark(world: Any) -> None:
    push(world.project)
    task = next(iter(world.platform.tasks(world.project.platform_id)))
    made = world.platform.annotate(task.id, "lead", world.result("ham"), ground_truth=True)
    world.platform.annotate(task.id, "ann", world.result("spam"))
    pull(world.project)
    assert keep_ground_truth(world.project) == 1
    assert keep_ground_truth(world.project) == 0
    (row,) = world.project.store.gold.all("spam")
    assert (row.task_id, row.value, row.origin, row.by) == (task.key, ["ham"], "ground truth", "lead")
    world.platform.delete_annotation(made)
    pull(world.project)
    assert keep_ground_truth(world.project) == 1
    assert world.project.store.gold.all("spam") == []


def decided(world: Any, task_id: str, value: Any, decision: Decision = Decision.CORRECT, number: int = 1) -> Review:
    return Review(task_id, "spam", "eve", decision, None, value, number, "why", world.clock())


def test_decisions_become_gold_but_never_over_what_the_lead_gave(world: Any, tmp_path: Path) -> None:
    import_gold(world.project, written(tmp_path, "gold.csv", "id,spam\nc0,spam\n"), by="lead")
    rows = [decided(world, "c0", ("ham",), number=1), decided(world, "c1", ("ham",), number=2)]
    world.project.store.reviews.record("spam", [*rows, decided(world, "c2", None, Decision.REJECT, 3)])
    assert keep_adjudicated(world.project) == 1
    found = {row.task_id: (row.value, row.origin) for row in world.project.store.gold.all("spam")}
    assert found == {"c0": (["spam"], "given"), "c1": (["ham"], "adjudicated")}
    world.project.store.reviews.withdraw("spam", [2])
    assert keep_adjudicated(world.project) == 1
    assert list(gold_of_control(world.project, control(world))) == ["c0"]


def test_decisions_stay_out_of_gold_if_the_policy_says_so(make_world: Make) -> None:
    world = make_world(tasks=12, functions=False, review={"adjudicated_gold": False})
    ingest(world.project)
    world.project.store.reviews.record("spam", [decided(world, "c1", ("ham",))])
    assert keep_adjudicated(world.project) == 0


def test_gold_alone_is_no_label_to_train_on(world: Any, tmp_path: Path) -> None:
    import_gold(world.project, written(tmp_path, "gold.csv", "id,spam\nc0,spam\n"), by="lead")
    consolidate(world.project)
    assert world.project.store.consensus.all("spam") == []


def test_gold_that_the_label_config_no_longer_knows_is_left_out(world: Any) -> None:
    world.project.store.gold.put("spam", [GoldLabel("c0", "spam", ("eggs",), "given", "lead", world.clock())])
    assert gold_of_control(world.project, control(world)) == {}
