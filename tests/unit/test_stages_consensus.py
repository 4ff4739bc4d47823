"""People's consensus in the loop: which labels stand, which wait, and what may train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapter.errors import SettingsError
from adapter.stages import consensus as module
from adapter.stages.consensus import METHOD_NOTE, method_for
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.train import gold_of
from adapter.vocabulary import Consensus

Make = Callable[..., Any]


def labelled(make_world: Make, people: tuple[str, ...] = ("ann",), **settings: Any) -> Any:
    world = make_world(
        tasks=40, functions=False, **{"window": {"size": 40, "low_water": 1, "overlap": len(people)}, **settings}
    )
    ingest(world.project)
    rank(world.project)
    push(world.project)
    for annotator in people:
        world.label(annotator, 40)
    pull(world.project)
    return world


def rows(world: Any) -> list[Consensus]:
    return world.project.store.consensus.all("spam", "spam")  # type: ignore[no-any-return]


def test_a_label_on_one_person_s_word_stands_unless_a_gate_has_stopped_that(
    make_world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = labelled(make_world)
    assert consolidate(world.project).undecided == {"spam": 0}
    monkeypatch.setattr(module, "paused", lambda project, control: f"{control}: agreement is too low")
    report = consolidate(world.project)
    assert report.people == {"spam": 0}
    assert {row.why for row in rows(world)} == {"spam: agreement is too low"}
    assert all(row.proposal is not None for row in rows(world))


def test_two_votes_stand_while_single_ones_are_stopped(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    world = labelled(make_world, ("ann", "bob"))
    monkeypatch.setattr(module, "paused", lambda project, control: "stopped")
    assert consolidate(world.project).people == {"spam": 40}


def test_a_certainty_under_the_threshold_asks_for_one_more_person_and_says_why(make_world: Make) -> None:
    world = labelled(make_world, consolidate={"people_threshold": 0.99})
    assert consolidate(world.project).people == {"spam": 0}
    assert "is under 0.99 after 1 of 3 people" in rows(world)[0].why


def test_an_unknown_method_is_refused_with_the_nearest_name(make_world: Make) -> None:
    world = labelled(make_world, consolidate={"people_method": "dawid-skeen"})
    with pytest.raises(SettingsError, match=r"people_method.*Did you mean 'dawid-skene'"):
        consolidate(world.project)


def test_a_named_method_is_used(make_world: Make) -> None:
    world = labelled(make_world, ("ann", "bob"), consolidate={"people_method": "majority"})
    assert consolidate(world.project).methods == {"spam": "majority"}
    assert {row.method for row in rows(world)} == {"majority"}


def test_a_method_is_chosen_anew_only_when_there_are_a_fifth_more_votes(make_world: Make) -> None:
    world = labelled(make_world, ("ann", "bob", "cid"))
    consolidate(world.project)
    note = world.project.store.projects.notes("spam")[METHOD_NOTE]["spam"]
    control = world.project.space.control("spam")
    assert note["votes"] == 120
    assert method_for(world.project, control, note, votes=120, gold=0) == note["method"]
    assert method_for(world.project, control, note, votes=144, gold=0) == "auto"


def test_a_label_that_only_the_model_tipped_does_not_train(make_world: Make) -> None:
    world = labelled(make_world, ("ann", "bob"))
    consolidate(world.project)
    project, control = world.project, world.project.space.control("spam")
    trained = {task.id for task, _, _ in gold_of(project, control).train}
    assert len(trained) > 10
    tipped, backed = sorted(trained)[:2]
    changed = []
    for row in rows(world):
        support = {"ann": ("spam",), "bob": ("ham",)} if row.task_id == tipped else row.support
        method = "crowdlab" if row.task_id in (tipped, backed) else row.method
        changed.append(
            Consensus(row.task_id, row.control, row.value, row.confidence, row.probabilities, support, method)
        )
    project.store.consensus.replace("spam", changed)
    assert trained - {task.id for task, _, _ in gold_of(project, control).train} == {tipped}
