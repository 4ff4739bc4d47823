"""What an edit of a labeling function does, told at once and stored nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests_support import FUNCTIONS

from adapter.engines.local import LocalEngine
from adapter.errors import FunctionsError
from adapter.stages.consolidate import consolidate
from adapter.stages.function_watch import FunctionWatch
from adapter.stages.function_watch_loop import digest_of, files_of, stamp_of, watch_functions
from adapter.stages.function_watch_reports import WatchReport, excerpt
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.vote import vote

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(workers=1, timeout_s=30, strikes=1) as made:
        yield made


@pytest.fixture
def world(make_world: Make) -> Any:
    made = make_world(tasks=90)
    ingest(made.project)
    return made


def edits(world: Any, *texts: str | Callable[[], None]) -> Callable[[float], bool]:
    """A pause in which an author saves the next text; says no when all are saved and were looked at."""
    path = world.folder / "functions.py"
    waiting = list(texts)
    turns = {"left": 0}

    def pause(_seconds: float) -> bool:
        if turns["left"] > 0:
            turns["left"] -= 1
            return True
        if not waiting:
            return False
        step = waiting.pop(0)
        if callable(step):
            step()
        else:
            path.write_text(step, encoding="utf-8")
        turns["left"] = 4
        return True

    return pause


def watch(world: Any, engine: LocalEngine, *texts: Any, rows: int = 60, clock: Any = None) -> list[WatchReport]:
    told: list[WatchReport] = []
    watched = FunctionWatch(world.project, engine, rows=rows, seed=3)
    more = {"clock": clock} if clock else {}
    watch_functions(watched, told.append, pause=edits(world, *texts), **more)
    return told


def test_at_the_start_every_function_is_shown_on_the_sample(world: Any, engine: LocalEngine) -> None:
    (first,) = watch(world, engine)
    assert (first.rows, first.pool, first.error) == (60, 90, "")
    assert [change.name for change in first.changes] == ["begs", "link", "music"]
    for change in first.changes:
        assert change.what == "there"
        assert change.after is not None
        assert change.after.coverage == pytest.approx(sum(change.after.labels.values()) / 60)
        assert change.after.accuracy is None


def test_an_edit_runs_the_changed_function_alone_and_shows_what_flipped(world: Any, engine: LocalEngine) -> None:
    edited = FUNCTIONS.replace('return "spam" if "www." in x["text"]', 'return "ham" if "lovely" in x["text"]')
    first, second = watch(world, engine, edited)
    (change,) = second.changes
    assert (change.name, change.what, second.unchanged) == ("link", "changed", 2)
    assert change.before == first.changes[1].after
    assert change.after is not None
    assert set(change.after.labels) == {"ham"}
    flips = {(flip.before, flip.after): flip for flip in change.flips}
    assert set(flips) == {("spam", "abstain"), ("abstain", "ham")}
    assert flips["spam", "abstain"].count == change.before.labels["spam"]  # type: ignore[union-attr]
    for text in flips["abstain", "ham"].examples:
        assert "lovely" in text
    assert 1 <= len(flips["abstain", "ham"].examples) <= 3


def test_examples_never_show_blind_tasks(world: Any, engine: LocalEngine) -> None:
    _, second = watch(world, engine, FUNCTIONS.replace('"www." in x["text"]', "True"), rows=90)
    shown = {text for change in second.changes for flip in change.flips for text in flip.examples}
    blind = {task.data["text"] for task in world.project.store.tasks.between("spam", 0, 90) if task.blind}
    assert shown
    assert blind
    assert not shown & blind


def test_a_syntax_error_is_one_line_with_its_place_and_the_watch_goes_on(world: Any, engine: LocalEngine) -> None:
    _, broken, mended = watch(world, engine, FUNCTIONS + "\ndef half(:\n", FUNCTIONS)
    line = len(FUNCTIONS.splitlines()) + 2
    assert f"functions.py:{line}" in broken.error
    assert "SyntaxError" in broken.error
    assert "\n" not in broken.error
    assert (mended.error, mended.changes, mended.unchanged) == ("", (), 3)


def test_new_and_removed_functions_are_told(world: Any, engine: LocalEngine) -> None:
    longer = FUNCTIONS + '\n\n@labeling_function\ndef all_ham(x):\n    return "ham"\n'
    _, added, gone = watch(world, engine, longer, FUNCTIONS)
    (change,) = added.changes
    assert (change.name, change.what, change.before) == ("all_ham", "new", None)
    assert change.after is not None
    assert change.after.coverage == 1.0
    (change,) = gone.changes
    assert (change.name, change.what, change.after) == ("all_ham", "removed", None)


def test_a_failing_function_is_shown_with_message_and_line(world: Any, engine: LocalEngine) -> None:
    _, second = watch(world, engine, FUNCTIONS.replace('"www." in x["text"]', 'x["no such field"]'))
    (change,) = second.changes
    assert change.after is not None
    assert change.after.faults == 60
    assert "KeyError" in change.messages[0]
    assert "(line " in change.messages[0]
    assert change.flips[0].after == "fault"


def test_a_function_on_a_wrong_control_is_refused_and_the_others_run(world: Any, engine: LocalEngine) -> None:
    wrong = FUNCTIONS.replace("@labeling_function\ndef link", '@labeling_function(control="spma")\ndef link')
    _, second = watch(world, engine, wrong)
    (change,) = [change for change in second.changes if change.name == "link"]
    assert change.what == "refused"
    assert "Did you mean 'spam'?" in change.messages[0]


def test_a_save_without_a_change_is_silent(world: Any, engine: LocalEngine) -> None:
    assert len(watch(world, engine, FUNCTIONS, FUNCTIONS)) == 1


def test_nothing_is_written_and_stored_votes_are_used(world: Any, engine: LocalEngine, monkeypatch: Any) -> None:
    vote(world.project)
    written: list[object] = []
    monkeypatch.setattr(type(world.project.columns), "write", lambda *given: written.append(given))
    seen: list[list[str]] = []
    start = engine.start
    monkeypatch.setattr(
        engine, "start", lambda group, control: seen.append([f.name for f in group]) or start(group, control)
    )
    told = watch(world, engine, FUNCTIONS.replace("www.", "http"))
    assert seen == [["link"]]
    assert len(told) == 2
    assert not written


def test_accuracy_moves_as_people_label_blind_tasks(world: Any, engine: LocalEngine) -> None:
    ticks = iter(range(0, 100_000, 2))

    def people() -> None:
        push(world.project)
        for task in list(world.platform.tasks(world.project.platform_id)):
            world.platform.annotate(task.id, "ann", world.result(world.gold[task.key]))
        pull(world.project)
        consolidate(world.project)

    told = watch(world, engine, people, rows=10, clock=lambda: float(next(ticks)))
    judged = [change for report in told for change in report.changes if change.what == "judged"]
    assert judged
    for change in judged:
        assert change.after is not None
        assert change.after.judged > 0
        assert change.after.accuracy == 1.0
        assert change.after.lower is not None
    blind = {task.id for task in world.project.store.tasks.between("spam", 0, 90) if task.blind}
    assert max(change.after.judged for change in judged if change.after) <= len(blind)


def test_a_project_without_functions_is_told_where_to_write_them(make_world: Make, engine: LocalEngine) -> None:
    world = make_world(tasks=3, functions=False)
    with pytest.raises(FunctionsError, match=r"labeling_functions/spam\.py"):
        watch(world, engine)


def test_the_files_are_those_that_functions_are_made_of(tmp_path: Any) -> None:
    (tmp_path / "a.py").write_text("from .b import x\nWORDS = 'words.txt'\n")
    (tmp_path / "b.py").write_text("x = 1\n")
    (tmp_path / "c.py").write_text("")
    (tmp_path / "words.txt").write_text("one\n")
    found = files_of(str(tmp_path / "a.py"))
    assert [file.name for file in found] == ["a.py", "b.py", "words.txt"]
    assert {file.name for file in files_of(str(tmp_path))} == {"a.py", "b.py", "c.py", "words.txt"}
    assert files_of(str(tmp_path / "nothing.py")) == []
    assert files_of("adapter.labeling.discovery")[0].name
    before = stamp_of(found), digest_of(found)
    (tmp_path / "words.txt").write_text("one\ntwo\n")
    assert stamp_of(found) != before[0]
    assert digest_of(found) != before[1]


def test_an_example_is_one_clean_line(world: Any) -> None:
    control = world.project.learned[0]
    assert excerpt({"text": "a\n\x1b[31mb\tc"}, control) == "a [31mb c"
    assert excerpt({"text": "x" * 500}, control).endswith("x…")
    assert excerpt({"other": 3}, control) == '{"other": 3}'
