"""Suggestions of a project, and taking one over into the author's file."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests_support import FUNCTIONS

from adapter.errors import DataError, FunctionsError, LabelError
from adapter.labeling import discover
from adapter.settings import ProjectSettings
from adapter.stages import suggest_accept, suggest_likeness
from adapter.stages.function_votes import votes_key
from adapter.stages.ingest import ingest
from adapter.stages.suggest import GROUPS, kept, suggest
from adapter.stages.suggest_accept import accept
from adapter.stages.vote import vote
from adapter.vocabulary import Consensus

Make = Callable[..., Any]


def know(world: Any, share: int = 2) -> set[str]:
    """People know the label of one task in `share`, blind ones too; return the ids."""
    known = [task_id for n, task_id in enumerate(sorted(world.gold)) if n % share == 0]
    rows = [
        Consensus(key, "spam", world.gold[key], 1.0, tuple(float(world.gold[key] == x) for x in ("spam", "ham")), {})
        for key in known
    ]
    world.project.store.consensus.replace("spam", rows)
    return set(known)


@pytest.fixture
def world(make_world: Make) -> Any:
    made = make_world(tasks=180)
    ingest(made.project)
    know(made, share=1)
    return made


def test_rules_are_found_in_labels_outside_the_blind_sample(world: Any) -> None:
    report = suggest(world.project)
    assert (report.rows, report.pool) == (180, 180)
    blind = sum(world.project.is_blind(key) for key in world.gold)
    assert report.labels == 180 - blind
    assert blind > 5
    rules = [one for one in report.suggestions if one.kind != GROUPS]
    assert {one.label for one in rules} == {"spam", "ham"}
    for one in rules:
        assert one.name.startswith(one.label)
        assert one.found + one.checked <= report.labels
        assert one.lower <= (one.held / one.checked if one.checked else 1) <= one.upper
        assert one.newly <= one.votes <= 180
        assert one.overlap == 0


def test_examples_are_never_blind(world: Any) -> None:
    blind = {task.data["text"] for task in world.project.store.tasks.between("spam", 0, 180) if task.blind}
    shown = {text for one in suggest(world.project).suggestions for text in one.examples}
    assert shown
    assert not shown & blind


def test_the_label_of_a_blind_task_changes_nothing(world: Any) -> None:
    before = suggest(world.project).suggestions
    swap = {"spam": "ham", "ham": "spam"}
    world.gold = {key: swap[label] if world.project.is_blind(key) else label for key, label in world.gold.items()}
    know(world, share=1)
    assert suggest(world.project).suggestions == before


def test_what_functions_cover_already_counts_less(world: Any) -> None:
    vote(world.project)
    report = suggest(world.project)
    covered = [one for one in report.suggestions if one.overlap == 1.0]
    assert covered
    assert all(one.newly == 0 for one in covered)
    assert sum(one.newly for one in report.suggestions) < 180 / 4


def test_the_same_call_gives_the_same_names(world: Any) -> None:
    first, second = suggest(world.project), suggest(world.project)
    assert first.suggestions == second.suggestions
    assert len({one.name for one in first.suggestions}) == len(first.suggestions)


def test_a_sampled_pool_is_said_with_its_seed(world: Any) -> None:
    report = suggest(world.project, kinds=("keywords",), rows=100, seed=4)
    assert report.rows == 100
    assert any("100 of 180 tasks, drawn with seed 4" in note for note in report.notes)
    assert all(one.votes <= 180 for one in report.suggestions)


def test_too_few_labels_say_so_and_groups_still_come(world: Any) -> None:
    world.project.store.consensus.replace("spam", [])
    report = suggest(world.project)
    assert report.labels == 0
    assert "0 labels outside the blind sample" in report.notes[0]
    assert {one.kind for one in report.suggestions} == {GROUPS}
    assert all(one.label == "" for one in report.suggestions)


def test_an_unknown_kind_is_refused(world: Any) -> None:
    with pytest.raises(DataError, match="Did you mean 'keywords'"):
        suggest(world.project, kinds=("keyword",))


def test_fields_of_subgroups_and_ids_make_no_rule(make_world: Make, tmp_path: Path) -> None:
    world = make_world(tasks=4, functions=False, data={"path": str(tmp_path / "rows.csv"), "id_column": "id",
                                                       "subgroups": ["sex"]})  # fmt: skip
    rows = [
        f"p{n},{'xyz'[n % 3]}{n // 10}{'abcdefghij'[n % 10]} words,{'f' if n % 2 else 'm'},{n % 2}" for n in range(120)
    ]
    (tmp_path / "rows.csv").write_text("id,text,sex,paid\n" + "\n".join(rows) + "\n")
    world.gold = {f"p{n}": ("spam", "ham")[n % 2] for n in range(120)}
    ingest(world.project)
    know(world, share=1)
    rules = suggest(world.project, kinds=("thresholds",)).suggestions
    assert rules
    assert {one.args[1] for one in rules} <= {"paid", "text"}
    assert any(one.args == ["ham", "paid"] and one.options == {"at_least": 1} for one in rules)


def test_neighbour_rules_use_an_embedding_or_say_why_not(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Words:
        def embed(self, examples: Any) -> np.ndarray:
            words = ("subscribe", "check", "win", "visit")
            return np.array([[1.0, 3.0 * any(word in data["text"] for word in words)] for data in examples], np.float32)

    monkeypatch.setattr(suggest_likeness, "build", lambda *given: Words())
    report = suggest(world.project, kinds=("neighbours",))
    assert report.suggestions
    for one in report.suggestions:
        assert (one.call, one.options["embedder"]) == ("nearest", "backends.linear:Linear")
        assert one.held == one.checked

    def broken(*_given: Any) -> Any:
        raise DataError("no weights here")

    monkeypatch.setattr(suggest_likeness, "build", broken)
    report = suggest(world.project, kinds=("neighbours",))
    assert not report.suggestions
    assert "no neighbour rules for spam: no weights here." in report.notes


def test_a_suggestion_becomes_readable_code_that_votes(world: Any) -> None:
    first = next(one for one in suggest(world.project, kinds=("keywords",)).suggestions if one.label == "spam")
    file = world.folder / "functions.py"
    file.chmod(0o640)
    report = accept(world.project, first.name, by="me")
    text = file.read_text()
    assert text.startswith(FUNCTIONS.rstrip().replace("import labeling_function", "import keywords, labeling_function"))
    assert text.endswith(report.code)
    assert text.splitlines()[report.line - 1] == report.code.splitlines()[0]
    assert f'{first.name} = keywords("spam", [' in report.code
    assert "# found: precision" in report.code
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in world.folder.glob(".*")] == []
    assert [one.name for one in world.project.functions()] == ["begs", "link", "music", first.name]
    vote(world.project)
    function = world.project.functions()[-1]
    key = votes_key(function, world.project.learned[0])
    votes = world.project.columns.read("spam", "votes", *key, 180, fill=-1)
    assert int((votes == 0).sum()) == first.votes
    assert any(entry.what == "suggestion accepted" for entry in world.project.store.audit.all("spam"))


def test_every_suggestion_can_be_accepted_and_votes_as_often_as_it_said(world: Any) -> None:
    made = [one for one in suggest(world.project, limit=6).suggestions]
    for one in made:
        accept(world.project, one.name, label=one.label or "ham")
    texts = [task.data for task in world.project.store.tasks.between("spam", 0, 180)]
    functions = {function.name: function for function in world.project.functions()}
    for one in made:
        assert sum(functions[one.name](data) is not None for data in texts) == one.votes


def test_a_name_that_is_taken_or_no_name_is_refused(world: Any) -> None:
    name = suggest(world.project, kinds=("keywords",)).suggestions[0].name
    before = (world.folder / "functions.py").read_bytes()
    with pytest.raises(FunctionsError, match="'begs' already"):
        accept(world.project, name, function="begs")
    with pytest.raises(FunctionsError, match="cannot name a function"):
        accept(world.project, name, function="not a name")
    with pytest.raises(DataError, match=f"Did you mean '{name}'"):
        accept(world.project, name + "x")
    with pytest.raises(LabelError, match="no label"):
        accept(world.project, name, label="smap")
    assert (world.folder / "functions.py").read_bytes() == before
    accept(world.project, name)
    with pytest.raises(FunctionsError, match="already"):
        accept(world.project, name)


def test_a_group_needs_a_label_where_nobody_gave_one(world: Any) -> None:
    world.project.store.consensus.replace("spam", [])
    group = suggest(world.project).suggestions[0]
    with pytest.raises(LabelError, match="--label"):
        accept(world.project, group.name)
    report = accept(world.project, group.name, label="ham", function="mine")
    assert 'mine = keywords("ham"' in report.code


def test_a_file_that_would_not_load_is_left_as_it_was(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = suggest(world.project, kinds=("keywords",)).suggestions[0].name
    before = (world.folder / "functions.py").read_bytes()
    monkeypatch.setattr(suggest_accept, "declaration", lambda called, *given, **more: f"{called} = 1 / 0\n")
    with pytest.raises(FunctionsError, match="left as it was") as caught:
        accept(world.project, name)
    assert "ZeroDivisionError" in str(caught.value)
    assert (world.folder / "functions.py").read_bytes() == before


def test_a_file_that_was_edited_meanwhile_is_not_overwritten(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = suggest(world.project, kinds=("keywords",)).suggestions[0].name
    file = world.folder / "functions.py"

    def edit(source: str, code: str) -> str:
        file.write_text(FUNCTIONS + "# edited\n")
        return source + code

    monkeypatch.setattr(suggest_accept, "appended", edit)
    with pytest.raises(FunctionsError, match="changed while"):
        accept(world.project, name)
    assert file.read_text() == FUNCTIONS + "# edited\n"
    assert [path.name for path in world.folder.glob(".*")] == []


def with_spec(world: Any, spec: str) -> Any:
    """The world's project with other labeling functions."""
    settings = world.app.settings.projects["spam"]
    changed = ProjectSettings.model_validate(settings.model_dump() | {"labeling_functions": spec})
    object.__setattr__(world.project, "settings", changed)
    return world.project


def test_a_project_without_a_file_gets_one(world: Any) -> None:
    project = with_spec(world, "")
    name = suggest(project, kinds=("keywords",)).suggestions[0].name
    report = accept(project, name)
    file = world.folder / "labeling_functions" / "spam.py"
    assert (report.file, report.created) == (str(file), True)
    assert [one.name for one in discover(file)] == [name]


def test_a_folder_gets_a_module_of_its_own(world: Any) -> None:
    folder = world.folder / "pack"
    folder.mkdir()
    (folder / "one.py").write_text(FUNCTIONS)
    (folder / "two.py").write_text("x = 1\n")
    project = with_spec(world, str(folder))
    names = [one.name for one in suggest(project, kinds=("keywords",)).suggestions[:2]]
    assert accept(project, names[0]).created
    report = accept(project, names[1])
    assert (report.file, report.created) == (str(folder / "suggested.py"), False)
    assert {one.name for one in project.functions()} >= {*names, "begs"}


def test_a_project_that_wants_no_functions_is_told_what_to_do(world: Any) -> None:
    project = with_spec(world, "none")
    name = suggest(project, kinds=("keywords",)).suggestions[0].name
    with pytest.raises(FunctionsError, match="labeling_functions: none"):
        accept(project, name)


def test_kept_suggestions_read_back_whole(world: Any) -> None:
    for one in suggest(world.project).suggestions:
        assert kept(world.project, one.name) == one
