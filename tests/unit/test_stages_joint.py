"""One consensus per task, and what becomes of weak labels, against the in-memory platform."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapter.stages.consolidate import consolidate
from adapter.stages.evidence import current_judge
from adapter.stages.ingest import ingest
from adapter.stages.joint import JOINT_NOTE, consensus_report, joint
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.status import status
from adapter.stages.train import train
from adapter.stages.vote import vote
from adapter.stages.weak_use import weak_uses

Make = Callable[..., Any]

BACKWARDS = """
from adapter.labeling import labeling_function

@labeling_function
def begs(x):
    return "ham" if any(word in x["text"] for word in ("subscribe", "check out", "visit", "money")) else None

@labeling_function
def song(x):
    return "spam" if "song" in x["text"] or "chorus" in x["text"] else None

@labeling_function
def voice(x):
    return "spam" if "voice" in x["text"] or "listen" in x["text"] else None
"""


def turn(world: Any, people: int = 10) -> None:
    rank(world.project)
    push(world.project)
    world.label("ann", people)
    world.label("bob", people)
    pull(world.project)
    consolidate(world.project)


def begun(make_world: Make, **settings: Any) -> Any:
    world = make_world(tasks=150, **settings)
    ingest(world.project)
    vote(world.project)
    consolidate(world.project)
    return world


@pytest.fixture
def trained(make_world: Make) -> Any:
    world = begun(make_world)
    turn(world)
    turn(world)
    assert train(world.project).promoted
    return world


def test_every_task_is_decided_once_and_people_outrank(trained: Any) -> None:
    project = trained.project
    report = consensus_report(project, task_ids=("c0", "c1"))
    counts = report.by["spam"]
    assert sum(counts.values()) == 150
    assert counts["people"] == sum(row.value is not None for row in project.store.consensus.all("spam"))
    assert counts["functions and model"] > 0
    assert counts["nobody"] == 0
    assert {row["name"] for row in report.scores["spam"]} == {"functions", "model", "together"}
    labelled = next(iter(row for row in project.store.consensus.all("spam") if row.value is not None))
    row = consensus_report(project, task_ids=(labelled.task_id,)).rows[0]
    assert (row.by, row.value) == ("people", tuple(labelled.value))
    assert set(labelled.support) <= set(row.support)
    assert "model" in row.support


def test_before_a_model_functions_decide_alone_and_before_votes_nobody(make_world: Make) -> None:
    world = make_world(tasks=60)
    ingest(world.project)
    assert consensus_report(world.project).by["spam"]["nobody"] == 60
    vote(world.project)
    consolidate(world.project)
    counts = consensus_report(world.project).by["spam"]
    assert counts["functions"] > 0
    assert counts["functions and model"] == counts["model"] == 0
    row = consensus_report(world.project, task_ids=("c0",)).rows[0]
    assert (row.by, row.value) == ("functions", ("spam",))
    assert row.support["begs"]["value"] == "spam"


def test_pooling_weights_are_fitted_once_for_a_model_and_its_functions(trained: Any) -> None:
    project = trained.project
    control, judge = project.learned[0], current_judge(project)
    first = joint(project, control, judge)
    assert first is not None
    assert first.weights is not None
    assert first.weights.n > 0
    noted = project.store.projects.notes("spam", JOINT_NOTE)[JOINT_NOTE]
    again = joint(project, control, judge)
    assert again is not None
    assert again.weights == first.weights
    assert project.store.projects.notes("spam", JOINT_NOTE)[JOINT_NOTE] == noted
    assert np.array_equal(first.together, again.together)
    assert first.basis.startswith(judge.version if judge else "?")


def test_contradictions_come_first_and_a_wrong_person_is_named(trained: Any) -> None:
    push(trained.project)
    wrong = trained.label("eve", 1, wrong=lambda key: True)
    pull(trained.project)
    consolidate(trained.project)
    rows = consensus_report(trained.project, apart=True, limit=5).rows
    if wrong[0] in {row.task_id for row in trained.project.store.consensus.all("spam") if row.value is not None}:
        assert rows[0].task_id == wrong[0]
        assert rows[0].contradicted
    assert [row.apart for row in rows if row.by != "people"] == sorted(
        (row.apart for row in rows if row.by != "people"), reverse=True
    )


def test_weak_labels_that_harm_fade_and_retire_and_status_says_so(make_world: Make) -> None:
    world = begun_with(make_world, BACKWARDS)
    for _ in range(2):
        turn(world)
    states = []
    for _ in range(3):
        turn(world, 6)
        train(world.project)
        use = weak_uses(world.project)["spam"]
        states.append(str(use.state))
    assert states[:2] == ["fading", "retired"]
    assert "retired" in status(world.project).weak_use["spam"]
    last = world.project.store.models.all("spam")[-1]
    assert last.metrics["controls"]["spam"]["weak_available"] == 0
    assert json.dumps(weak_uses(world.project)["spam"].as_json())


def test_functions_that_change_bring_retired_weak_labels_back(make_world: Make) -> None:
    world = begun_with(make_world, BACKWARDS)
    for _ in range(2):
        turn(world)
    for _ in range(2):
        turn(world, 6)
        train(world.project)
    assert str(weak_uses(world.project)["spam"].state) == "retired"
    path = world.folder / "functions.py"
    path.write_text(path.read_text().replace("chorus", "refrain"), encoding="utf-8")
    world = world.again()
    vote(world.project)
    consolidate(world.project)
    assert str(weak_uses(world.project)["spam"].state) == "untested"


def begun_with(make_world: Make, functions: str) -> Any:
    train_policy = {"min_labels": 12, "min_new": 12, "min_gate": 4, "weak_gate": 4, "weak_patience": 2}
    world = make_world(tasks=150, train=train_policy)
    (world.folder / "functions.py").write_text(functions, encoding="utf-8")
    ingest(world.project)
    vote(world.project)
    consolidate(world.project)
    return world
