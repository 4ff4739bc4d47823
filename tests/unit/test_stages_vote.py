"""The vote stage: only what is missing is computed, partition by partition; a kill costs one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapter.settings import EngineSettings
from adapter.stages.function_votes import function_votes, votes_key
from adapter.stages.ingest import ingest
from adapter.stages.vote import CONFIDENCE, SECONDS, VOTES, vote
from adapter.stages.weak import weak_labels

HEAD = "from adapter.labeling import keywords, labeling_function\n"
LINK = "\n@labeling_function\ndef link(data):\n    return 'spam' if 'http' in data['text'] else None\n"
SURE = "\n@labeling_function\ndef sure(data):\n    return ('ham', 0.75) if 'song' in data['text'] else None\n"
BEGS = '\nbegs = keywords("spam", ["subscribe", "visit"])\n'
TASKS = 250


@pytest.fixture
def make(make_world: Callable[..., Any]) -> Callable[..., Any]:
    """Return a maker of a project with these functions, read by hundreds."""
    world = make_world(tasks=TASKS)

    def made(body: str, **engine: Any) -> Any:
        (world.folder / "functions.py").write_text(HEAD + body, encoding="utf-8")
        project = replace(world.project, engine=EngineSettings(**{"workers": 1, "partition_rows": 100, **engine}))
        if not project.store.tasks.count("spam"):
            ingest(project)
        return project

    return made


def column(project: Any, name: str, what: str = VOTES) -> Any:
    function = next(item for item in project.functions() if item.name == name)
    return project.columns.read("spam", what, *votes_key(function, project.learned[0]), TASKS, fill=-9)


def by_hand(project: Any, name: str) -> list[int]:
    function = next(item for item in project.functions() if item.name == name)
    found = []
    for task in project.store.tasks.between("spam", 0, TASKS):
        answer = function(task.data)
        label = answer[0] if isinstance(answer, tuple) else answer
        found.append(-1 if label is None else ("spam", "ham").index(label))
    return found


def test_the_columns_hold_what_the_functions_say_whatever_the_partitions(make: Any) -> None:
    project = make(LINK + SURE + BEGS)
    seen: list[tuple[int, int | None]] = []
    report = vote(project, progress=lambda *step: seen.append(step))
    assert report.computed == {"link": TASKS, "sure": TASKS, "begs": TASKS}
    assert report.faults == {}
    assert seen == [(100, TASKS), (200, TASKS), (250, TASKS)]
    for name in ("link", "sure", "begs"):
        assert column(project, name).tolist() == by_hand(project, name)
    assert [
        part.hi for part in project.store.columns.parts("spam", VOTES, "spam", "link", _version(project, "link"))
    ] == [
        100,
        200,
        250,
    ]


def _version(project: Any, name: str) -> str:
    function = next(item for item in project.functions() if item.name == name)
    return votes_key(function, project.learned[0])[2]


def _own_version(project: Any, name: str) -> str:
    return str(next(item.version for item in project.functions() if item.name == name))


def test_a_label_put_before_the_others_does_not_change_what_votes_say(
    make: Any, make_world: Callable[..., Any]
) -> None:
    """Votes are stored as numbers of labels: those of the old list must not be read by the new one."""
    project = make(LINK + BEGS)
    vote(project)
    before = weak_labels(project, project.learned[0])
    (control,) = project.learned
    renumbered = replace(control, labels=("other", *control.labels))
    space = replace(project.space, controls=(renumbered,))
    project = replace(project, space=space)
    assert function_votes(project, renumbered).names == ()
    assert vote(project).computed == {"link": TASKS, "begs": TASKS}
    found = function_votes(project, renumbered)
    assert found.names == ("link", "begs")
    for place, name in enumerate(found.names):
        expected = [vote + 1 if vote >= 0 else vote for vote in by_hand(project, name)]
        assert found.votes[:, place].tolist() == expected
    after = weak_labels(project, renumbered)
    assert after["version"] != before["version"]
    assert after["of"] == ["other", "spam", "ham"]


def test_confidences_are_stored_for_those_that_gave_any(make: Any) -> None:
    project = make(LINK + SURE)
    vote(project)
    stored = project.store.columns.versions("spam", CONFIDENCE)
    assert [source for _, source, _ in stored] == ["sure"]
    confidence = column(project, "sure", CONFIDENCE)
    assert confidence.dtype == np.float32
    assert np.array_equal(confidence == 0.75, column(project, "sure") == 1)
    assert set(confidence.tolist()) == {0.75, 1.0}


def test_only_the_changed_function_votes_again_and_its_old_columns_go(make: Any) -> None:
    project = make(LINK + SURE)
    vote(project)
    old = _version(project, "sure")
    project = make(LINK + SURE.replace("0.75", "0.5"))
    assert vote(project).computed == {"sure": TASKS}
    assert _version(project, "sure") != old
    for what in (VOTES, CONFIDENCE):
        assert ("spam", "sure", old) not in project.store.columns.versions("spam", what)
    assert set(column(project, "sure", CONFIDENCE).tolist()) == {0.5, 1.0}
    assert vote(project).computed == {}


def test_a_function_that_is_gone_takes_its_columns_along(make: Any) -> None:
    vote(make(LINK + SURE))
    project = make(LINK)
    assert vote(project).computed == {}
    assert [source for _, source, _ in project.store.columns.versions("spam", VOTES)] == ["link"]
    assert project.store.columns.versions("spam", CONFIDENCE) == []


def test_a_new_function_and_new_tasks_are_read_once_for_all_that_lack_them(
    make: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    vote(make(LINK))
    project = make(LINK + SURE)
    rows = [{"id": f"new{number}", "text": f"a song {number}"} for number in range(30)]
    with (tmp_path / "comments.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    ingest(project)
    read: list[tuple[int, int]] = []
    between = project.store.tasks.data_between
    monkeypatch.setattr(
        project.store.tasks, "data_between", lambda name, lo, hi: read.append((lo, hi)) or between(name, lo, hi)
    )
    assert vote(project).computed == {"link": 30, "sure": TASKS + 30}
    whole = [(task.id, task.data) for task in project.store.tasks.between("spam", 100, 280)]
    assert between("spam", 100, 280) == whole
    assert read == [(0, 100), (100, 200), (200, 250), (250, 280)]


def test_a_kill_between_partitions_costs_no_more_than_what_was_under_way(make: Any) -> None:
    project = make(LINK + SURE)

    class Killed(BaseException):
        pass

    def kill(done: int, _: int | None) -> None:
        if done == 200:
            raise Killed

    with pytest.raises(Killed):
        vote(project, progress=kill)
    assert vote(project).computed == {"link": 50, "sure": 50}
    assert column(project, "sure").tolist() == by_hand(project, "sure")


def test_what_each_function_costs_is_kept_and_starts_anew_with_a_version(make: Any) -> None:
    project = make(LINK + SURE)
    vote(project)
    note = project.store.projects.notes("spam", SECONDS)[SECONDS]["spam"]
    assert set(note) == {"link", "sure"}
    assert note["link"]["rows"] == TASKS
    assert note["link"]["seconds"] > 0
    assert note["link"]["version"] == _own_version(project, "link")
    project = make(LINK + SURE.replace("0.75", "0.5"))
    vote(project)
    again = project.store.projects.notes("spam", SECONDS)[SECONDS]["spam"]
    assert again["link"] == note["link"]
    assert again["sure"]["rows"] == TASKS
    assert again["sure"]["version"] == _own_version(project, "sure")


def test_faults_are_counted_and_shown_with_three_examples(make: Any) -> None:
    boom = "\n@labeling_function\ndef boom(data):\n    raise ValueError('no luck')\n"
    project = make(boom + LINK)
    report = vote(project)
    assert report.faults == {"boom": TASKS}
    tasks = project.store.tasks.between("spam", 0, 3)
    assert report.examples == {"boom": [{"task": task.id, "message": "ValueError: no luck (line 5)"} for task in tasks]}
    kept = [fault for fault in project.store.faults.recent("spam", 1000) if fault.source == "boom"]
    assert len(kept) == 101
    assert kept[0].message == "150 more tasks failed"
    assert kept[0].task_id is None
    assert json.loads(json.dumps(report.as_json()))["examples"]["boom"]


def test_a_function_that_hangs_is_given_up_for_all_partitions(make: Any) -> None:
    hangs = "\nimport time\n@labeling_function(timeout_s=0.1)\ndef hangs(data):\n    time.sleep(60)\n"
    project = make(hangs + LINK)
    report = vote(project)
    assert report.faults == {"hangs": TASKS}
    assert column(project, "link").tolist() == by_hand(project, "link")
    messages = [fault.message for fault in project.store.faults.recent("spam", 100)]
    assert messages[0] == "stopped: it hung or crashed 3 times; 247 more tasks have no vote of it"
    assert len(messages) == 4


def test_a_declared_function_whose_field_no_task_has_is_told_with_the_nearest_one(make: Any) -> None:
    project = make('\nbegs = keywords("spam", ["subscribe"], field="txt")\n' + LINK)
    report = vote(project)
    assert report.faults == {"begs": 1}
    assert "'txt'" in report.examples["begs"][0]["message"]
    assert "Did you mean 'text'?" in report.examples["begs"][0]["message"]
