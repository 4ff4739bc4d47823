"""The loop's judging half against the in-memory platform: votes, consensus, flags, ranking, training, promotion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from loop_support import trained_world, turn

from adapter.core.blind import is_double
from adapter.errors import FunctionsError, ModelError
from adapter.stages.consolidate import consolidate
from adapter.stages.flag import flag
from adapter.stages.ingest import ingest
from adapter.stages.models import promote, rollback
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.status import status
from adapter.stages.train import due, gold_of, train
from adapter.stages.vote import vote
from adapter.vocabulary import FLAG_FIELD, Flag, FlagReason, ModelState

Make = Callable[..., Any]


@pytest.fixture
def trained(make_world: Make) -> Any:
    """A world with one model, from 40 annotations."""
    return trained_world(make_world)


def test_functions_vote_once_and_only_changed_ones_again(make_world: Make) -> None:
    world = make_world()
    ingest(world.project)
    first = vote(world.project)
    assert first.computed == {"begs": 90, "link": 90, "music": 90}
    assert vote(world.project).computed == {}
    path = world.folder / "functions.py"
    path.write_text(path.read_text().replace("www.", "www"), encoding="utf-8")
    # A version is the digest of what one function is made of, not of its file.
    assert set(vote(world.again().project).computed) == {"link"}


def test_a_function_that_fails_leaves_faults_and_the_others_votes(make_world: Make) -> None:
    world = make_world()
    with (world.folder / "functions.py").open("a", encoding="utf-8") as file:
        file.write("\n\n@labeling_function\ndef broken(x):\n    return x['nothing']\n")
    ingest(world.project)
    report = vote(world.project)
    assert report.faults["broken"] > 0
    assert "music" in report.computed
    consolidate(world.project)
    notes = world.project.store.projects.notes("spam")["weak"]["spam"]
    assert notes["chosen"] == "majority"
    assert "the safe default" in notes["why"]
    assert "KeyError" in world.project.store.faults.recent("spam")[0].message


def test_a_module_that_does_not_import_is_one_clear_error(make_world: Make) -> None:
    world = make_world()
    (world.folder / "functions.py").write_text("import no_such_module_here\n", encoding="utf-8")
    ingest(world.project)
    with pytest.raises(FunctionsError, match="no_such_module_here"):
        vote(world.project)


def test_the_table_of_consolidators_is_scored_on_the_blind_sample_alone(make_world: Make) -> None:
    world = make_world(tasks=150)
    ingest(world.project)
    vote(world.project)
    consolidate(world.project)
    turn(world)
    table = consolidate(world.project).weak["spam"]
    blind = {row.task_id for row in world.project.store.consensus.all("spam") if world.project.is_blind(row.task_id)}
    assert {row["name"] for row in table} >= {"majority", "weighted-vote", "label-model", "semi-supervised"}
    assert all(row["n"] <= len(blind) for row in table)
    assert sum(bool(row["chosen"]) for row in table) == 1


def test_the_first_model_is_trained_when_there_are_labels_enough(trained: Any) -> None:
    model = trained.project.store.models.current("spam")
    assert model.metrics["annotations"] == trained.project.store.annotations.totals("spam").votes
    assert model.verdict["sentence"]
    assert due(trained.project) is None
    turn(trained)
    assert "new annotations" in due(trained.project)


def test_blind_tasks_and_their_copies_never_train(trained: Any) -> None:
    project = trained.project
    gold = gold_of(project, project.space.controls[0])
    assert gold.blind
    assert not any(task.blind for task, _, _ in gold.train)
    assert all(task.blind for task, _ in gold.blind)


def test_the_next_window_carries_the_new_version_and_labels_studio_shows_it(trained: Any) -> None:
    report = push(trained.project)
    model = trained.project.store.models.current("spam")
    assert report.version == model.version
    assert trained.platform.project(trained.project.platform_id).model_version == model.version
    for prediction in trained.platform.predictions(trained.project.platform_id):
        assert 0 <= prediction.score <= 1


def test_promote_and_rollback_are_one_call_each(trained: Any) -> None:
    project = trained.project
    first = project.store.models.current("spam").version
    turn(trained)
    second = train(project).version
    promote(project, second, "lead")
    assert project.store.models.current("spam").version == second
    assert rollback(project, "lead").version == first
    push(project)
    assert trained.platform.project(project.platform_id).model_version == first
    states = {model.version: model.state for model in project.store.models.all("spam")}
    assert states[first] is ModelState.CURRENT
    assert states[second] is ModelState.RETIRED
    who = [(entry.who, entry.what) for entry in project.store.audit.all("spam")]
    assert ("lead", "promoted") in who
    assert project.store.audit.verify("spam") == []


def test_an_unknown_version_names_the_nearest(trained: Any) -> None:
    first = trained.project.store.models.current("spam").version
    with pytest.raises(ModelError, match=f"Did you mean '{first}'"):
        promote(trained.project, first[:-1], "lead")
    with pytest.raises(ModelError, match="no earlier"):
        rollback(trained.project, "lead")


def test_a_worse_candidate_is_refused(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    import adapter.stages.train as module

    project = trained.project
    before = project.store.models.current("spam").version
    turn(trained)
    turn(trained)
    real = module.run

    def spoiled(*args: Any, **options: Any) -> Any:
        import dataclasses

        result = real(*args, **options)
        flipped = {name: np.ascontiguousarray(rows[:, ::-1]) for name, rows in result.gate_predictions.items()}
        return dataclasses.replace(result, gate_predictions=flipped, rival=None)

    monkeypatch.setattr(module, "run", spoiled)
    report = train(project)
    assert not report.promoted
    assert "Refused" in report.sentence
    assert project.store.models.current("spam").version == before
    assert project.store.models.get("spam", report.version).state is ModelState.REJECTED


def test_a_ranking_has_no_copies_no_placed_tasks_and_its_share_of_blind_ones(trained: Any) -> None:
    project = trained.project
    report = rank(project)
    rows = project.store.rankings.current("spam")
    assert report.ranked == len(rows) == len({row.task_id for row in rows})
    placed = {p.task_id for p in project.store.ledger.placements("spam")}
    assert not placed & {row.task_id for row in rows}
    assert report.basis == f"{project.store.models.current('spam').version} and functions"
    for row in rows:
        assert row.blind == project.is_blind(row.task_id)
        assert row.overlap == (2 if row.blind and is_double(row.task_id, project.blind) else 1)


def wrong_labels(world: Any, share: int = 8) -> set[str]:
    """Label 120 tasks; every `share`-th outside the blind sample is wrong. Return the wrong ones."""
    wrong: set[str] = set()
    seen = 0

    def careless(key: str) -> bool:
        nonlocal seen
        if world.project.is_blind(key):
            return False
        seen += 1
        if seen % share == 0:
            wrong.add(key)
            return True
        return False

    for _ in range(8):
        push(world.project)
        world.label("ann", 15, wrong=careless)
        pull(world.project)
        consolidate(world.project)
    return wrong


@pytest.fixture
def doubtful(make_world: Make) -> Any:
    world = make_world(tasks=200, flag={"min_labels": 40}, window={"size": 30, "low_water": 15})
    ingest(world.project)
    world.wrong = wrong_labels(world)
    return world


def test_flags_find_wrong_labels_outside_the_blind_sample(doubtful: Any) -> None:
    report = flag(doubtful.project)
    flags = [f for f in doubtful.project.store.flags.open("spam") if f.reason is FlagReason.LABEL_ISSUE]
    found = {f.task_id for f in flags}
    assert report.raised["label issue"] == len(flags)
    # Eight tasks in a hundred are wrong; chance would hit one in eight.
    assert len(found & doubtful.wrong) >= len(doubtful.wrong) / 2
    assert len(found & doubtful.wrong) >= len(found) / 2
    assert not any(doubtful.project.is_blind(task_id) for task_id in found)


def test_flagged_tasks_reach_people_and_settle(doubtful: Any) -> None:
    project = doubtful.project
    flag(project)
    report = push(project)
    assert report.asked > 0
    shown = {t.key: t.data[FLAG_FIELD] for t in doubtful.platform.tasks(project.platform_id) if t.data.get(FLAG_FIELD)}
    assert len(shown) == report.flagged > 0
    assert not any("spam" in text or "ham" in text for text in shown.values())
    asked = {p.task_id for p in project.store.ledger.placements("spam") if p.overlap == 2 and not p.blind}
    before = {f.task_id for f in project.store.flags.open("spam") if f.reason is FlagReason.LABEL_ISSUE}
    assert asked <= before
    for _ in range(30):
        doubtful.label("carol", 5)
        doubtful.label("dave", 5)
    pull(project)
    consolidate(project)
    settled = flag(project).resolved
    assert sum(settled.values()) > 0
    again = push(project)
    still = {t.key for t in doubtful.platform.tasks(project.platform_id) if t.data.get(FLAG_FIELD)}
    open_now = {f.task_id for f in project.store.flags.open("spam")}
    assert still <= open_now
    assert again.flagged > 0


def test_a_resolved_flag_stays_resolved_unless_the_label_changes(doubtful: Any) -> None:
    project = doubtful.project
    flag(project)
    [first, *_] = project.store.flags.open("spam")
    project.store.flags.resolve([first.id], "it is right", project.now())
    flag(project, again=True)
    assert (first.task_id, first.reason) not in {(f.task_id, f.reason) for f in project.store.flags.open("spam")}
    other = Flag(first.task_id, first.control, first.reason, 0.9, {"people": 1}, "another label")
    assert project.store.flags.raise_("spam", [other]) == 1


def test_status_says_where_things_stand(trained: Any) -> None:
    report = status(trained.project)
    assert report.tasks == 150
    assert report.annotations == trained.project.store.annotations.totals("spam").votes
    assert report.accuracy["n"] > 0
    assert report.accuracy["lower"] <= report.accuracy["value"] <= report.accuracy["upper"]
    assert report.model
    assert "open" in report.queue or "drained" in report.queue
    assert report.as_json()["project"] == "spam"


def test_status_of_an_empty_pool_says_what_to_do(make_world: Make) -> None:
    assert "hitl ingest" in status(make_world().project).queue


def test_a_ranking_in_a_hurry_looks_at_nothing_and_a_later_one_replaces_it(trained: Any) -> None:
    project = trained.project
    report = rank(project, hurry=True)
    assert (report.strategy, report.basis) == ("random", "drawn at random, in a hurry")
    hurried = project.store.rankings.current("spam")
    assert {row.why for row in hurried} == {"drawn at random"}
    assert any(row.blind for row in hurried)
    assert rank(project).strategy != "random"
    assert [row.task_id for row in project.store.rankings.current("spam")] != [row.task_id for row in hurried]
