"""Ingest: each row once, bad ones in the rejects file, nothing excluded ever stored."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import DataError
from adapter.ports import NewTask
from adapter.stages.ingest import ingest

Make = Callable[..., Any]


def world_of(make: Make, content: str | bytes, *, name: str = "data.jsonl", **data: Any) -> Any:
    """A world whose project reads this content."""
    first = make(tasks=1)
    path = first.folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    first.app.close()
    return make(tasks=1, data={"path": str(path), **data})


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def stored(world: Any) -> list[Any]:
    return [task for chunk in world.project.store.tasks.stream("spam") for task in chunk]


def rejected(report: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(report.rejects_file).read_text(encoding="utf-8").splitlines()]


def test_rows_become_tasks_in_order_and_a_second_run_adds_nothing(make_world: Make) -> None:
    world = make_world(tasks=90)
    first = ingest(world.project)
    assert (first.read, first.new, first.known, first.rejected) == (90, 90, 0, 0)
    assert first.rejects_file is None
    assert {task.id for task in stored(world)} == set(world.gold)
    second = ingest(world.again().project)
    assert (second.read, second.new, second.known, second.changed) == (90, 0, 90, 0)


def test_ids_by_content_are_stable_and_number_exact_copies(make_world: Make) -> None:
    body = lines({"text": "a"}, {"text": "b"}, {"text": "a"}, {"text": "a"})
    world = world_of(make_world, body)
    report = ingest(world.project)
    assert (report.new, report.duplicates) == (4, 2)
    tasks = stored(world)
    assert [task.duplicate_of for task in tasks] == [None, None, tasks[0].id, tasks[0].id]
    assert [task.id for task in tasks[2:]] == [f"{tasks[0].id}~2", f"{tasks[0].id}~3"]
    assert (ingest(world.project).new, ingest(world.project).known) == (0, 4)


def test_rows_of_different_ids_and_equal_content_are_linked(make_world: Make) -> None:
    body = lines({"id": 1, "text": "caf\u00e9"}, {"id": 2, "text": "cafe\u0301"}, {"id": 3, "text": "tea"})
    world = world_of(make_world, body, id_column="id")
    assert ingest(world.project).duplicates == 1
    assert [(task.id, task.duplicate_of) for task in stored(world)] == [("1", None), ("2", "1"), ("3", None)]
    assert stored(world)[1].data["text"] == "cafe\u0301"


def test_a_known_id_with_other_content_is_told_and_kept_as_it_was(make_world: Make) -> None:
    world = world_of(make_world, lines({"id": "x", "text": "old"}), id_column="id")
    ingest(world.project)
    Path(world.project.settings.data.path).write_text(lines({"id": "x", "text": "new"}), encoding="utf-8")
    report = ingest(world.project)
    assert (report.changed, report.changed_ids, report.known) == (1, ("x",), 1)
    assert stored(world)[0].data["text"] == "old"


def test_bad_rows_go_to_a_rejects_file_that_a_second_run_rewrites(make_world: Make) -> None:
    body = lines({"id": "1", "text": "fine"}, {"text": "no id"}, {"id": "3", "text": "  "}, {"id": "4"})
    body += 'no json\n{"id": "6", "text": "nul \\u0000"}\n{"id": "7", "text": "half \\ud800"}\n'
    body += lines(
        {"id": "", "text": "x"}, {"id": 1.5, "text": "x"}, {"id": "y" * 201, "text": "x"}, {"id": 11, "text": "x"}
    )
    world = world_of(make_world, body, id_column="id")
    report = ingest(world.project)
    assert [task.id for task in stored(world)] == ["1", "11"]
    assert (report.read, report.new, report.rejected) == (11, 2, 9)
    found = rejected(report)
    assert [row["line"] for row in found] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert found[0]["reason"] == "no id in column 'id'"
    assert found[1]["reason"] == found[2]["reason"] == "field 'text', which the label config shows, is empty or missing"
    assert found[3]["raw"] == "no json"
    assert "NUL" in found[4]["reason"]
    assert "surrogate" in found[5]["reason"]
    again = ingest(world.project)
    assert (again.rejects_file, again.rejected, again.new) == (report.rejects_file, 9, 0)
    assert rejected(again) == found
    assert [path.name for path in Path(report.rejects_file).parent.iterdir()] == [Path(report.rejects_file).name]


def test_a_mended_source_leaves_no_rejects_file(make_world: Make) -> None:
    world = world_of(make_world, lines({"text": "a"}) + "bad\n")
    file = Path(ingest(world.project).rejects_file)
    assert file.exists()
    Path(world.project.settings.data.path).write_text(lines({"text": "a"}), encoding="utf-8")
    assert ingest(world.project).rejects_file is None
    assert not file.exists()


def test_a_text_that_speaks_of_u0000_is_no_nul(make_world: Make) -> None:
    world = world_of(make_world, lines({"text": "a literal \\u0000 and C:\\u0000"}))
    assert ingest(world.project).rejected == 0


def test_excluded_columns_never_reach_the_store_nor_the_identity(make_world: Make) -> None:
    world = world_of(make_world, "text,gold\nhello,spam\nbye,ham\n", name="a.csv", exclude=["gold"])
    ingest(world.project)
    assert [dict(task.data) for task in stored(world)] == [{"text": "hello"}, {"text": "bye"}]
    ids = [task.id for task in stored(world)]
    other = world_of(make_world, "text\nhello\nbye\n", name="b.csv")
    assert ingest(other.project).known == 2
    assert [task.id for task in stored(other)] == ids


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"exclude": ["glod"]}, "'glod', which data.exclude names. Did you mean 'gold'?"),
        ({"id_column": "idd"}, "'idd', which data.id_column names. Did you mean 'id'?"),
        ({"subgroups": ["age"]}, "'age', which data.subgroups names"),
        ({"exclude": ["text"]}, "'text' is excluded, but the label config shows it"),
    ],
)
def test_a_misspelt_column_stops_before_anything_is_stored(make_world: Make, data: dict[str, Any], says: str) -> None:
    world = world_of(make_world, "id,text,gold\n1,a,spam\n", name="a.csv", **data)
    with pytest.raises(DataError) as caught:
        ingest(world.project)
    assert says in str(caught.value)
    assert world.project.store.projects.get("spam") is None or world.project.store.tasks.count("spam") == 0


def test_a_file_without_the_column_that_people_would_see_is_an_error(make_world: Make) -> None:
    world = world_of(make_world, "id,txt\n1,a\n", name="a.csv")
    with pytest.raises(DataError, match=r"the label config names\. Did you mean 'txt'"):
        ingest(world.project)


def test_subgroups_are_kept_beside_the_data(make_world: Make) -> None:
    body = lines({"text": "a", "age": 30, "sex": "f"}, {"text": "b", "age": None, "sex": "m"})
    world = world_of(make_world, body, subgroups=["age", "sex"], exclude=["sex"])
    ingest(world.project)
    first, second = stored(world)
    assert (dict(first.subgroup), dict(second.subgroup)) == ({"age": "30", "sex": "f"}, {"sex": "m"})
    assert "sex" not in first.data
    assert first.data["age"] == 30


def test_fields_of_our_own_are_not_taken_from_outside(make_world: Make) -> None:
    world = world_of(make_world, lines({"text": "a", "hitl_id": "z", "hitl_reason": "r"}))
    ingest(world.project)
    assert dict(stored(world)[0].data) == {"text": "a"}


def test_a_label_studio_project_is_read_through_the_platform(make_world: Make) -> None:
    world = make_world(tasks=1)
    number = world.platform.create_project("theirs", world.project.space.config).id
    ids = world.platform.import_tasks(number, [NewTask("k1", {"text": "a"}), NewTask("k2", {"text": "b"})])
    world.app.close()
    world = make_world(tasks=1, data={"path": f"label-studio:{number}"})
    # Platforms of different worlds are different servers: read the first one's tasks through the second's project.
    world.platform.create_project("theirs", world.project.space.config)
    world.platform.import_tasks(number, [NewTask("k1", {"text": "a"}), NewTask("k2", {"text": "b"})])
    report = ingest(world.project)
    assert (report.new, len(ids)) == (2, 2)
    assert [task.id for task in stored(world)] == ["k1", "k2"]
    assert set(stored(world)[0].data) == {"text"}
    assert ingest(world.project).new == 0


def test_a_folder_fills_the_field_that_the_label_config_shows(make_world: Make) -> None:
    first = make_world(tasks=1)
    root = first.folder / "mails"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("hello", encoding="utf-8")
    (root / "sub" / "b.txt").write_text("hello", encoding="utf-8")
    first.app.close()
    world = make_world(tasks=1, data={"path": str(root)})
    report = ingest(world.project)
    assert (report.new, report.duplicates) == (2, 1)
    assert [dict(task.data) for task in stored(world)] == [
        {"text": "hello", "path": "a.txt"},
        {"text": "hello", "path": "sub/b.txt"},
    ]


def test_missing_data_is_one_clear_error_and_stores_nothing(make_world: Make) -> None:
    world = make_world(tasks=1, data={"path": "nowhere/file.csv"})
    with pytest.raises(DataError, match=r"file\.csv.*Mend `data\.path`"):
        ingest(world.project)
    assert world.project.store.projects.get("spam") is None


def test_an_empty_file_of_lines_is_no_error(make_world: Make) -> None:
    assert ingest(world_of(make_world, "\n\n").project).read == 0


def test_a_source_that_breaks_keeps_the_batches_before_and_their_rejects(
    make_world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.stages.ingest._BATCH_ROWS", 2)
    world = world_of(make_world, '[{"text": "a"}, 5, {"text": "b"}, {"text": "c"}, {"te', name="a.json")
    monkeypatch.setattr("adapter.stages.ingest._LOOKED_AT", 1)
    with pytest.raises(DataError, match="does not parse"):
        ingest(world.project)
    assert [task.data["text"] for task in stored(world)] == ["a", "b", "c"]
    assert len(list((world.app.settings.home / "rejects").iterdir())) == 1
    Path(world.project.settings.data.path).write_text('[{"text": "a"}, {"text": "b"}, {"text": "c"}, {"text": "d"}]')
    assert (ingest(world.project).new, world.project.store.tasks.count("spam")) == (1, 4)


def test_progress_is_told_with_an_estimate_of_the_whole(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.stages.ingest._BATCH_ROWS", 1_000)
    world = world_of(make_world, "".join(f'{{"text": "{number:06}"}}\n' for number in range(20_000)))
    calls: list[tuple[int, int | None]] = []
    ingest(world.project, progress=lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == list(range(1_000, 20_001, 1_000))
    assert all(total is not None for _, total in calls)
    middle = calls[10][1]
    assert middle is not None
    assert 12_000 < middle < 28_000
    assert calls[-1][1] == 20_000


def test_memory_does_not_grow_with_the_rows(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are 24 MB as text; what is remembered of each is a number."""
    monkeypatch.setattr("adapter.stages.ingest._BATCH_ROWS", 500)
    body = "text\n" + "".join(f"{number:06} {'word ' * 400}\n" for number in range(12_000))
    world = world_of(make_world, body, name="a.csv")
    del body
    ingest(make_world(tasks=1).project)  # what is imported and made once is not counted
    tracemalloc.start()
    try:
        assert ingest(world.project).new == 12_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000
