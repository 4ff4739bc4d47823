"""A training that fails is tried again after a pause that doubles; a refused model leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import adapter.stages.train as training
from adapter.errors import BackendError
from adapter.stages.consolidate import consolidate
from adapter.stages.evidence import HELD_OUT_NOTE
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.status import status
from adapter.stages.train import due, train
from adapter.stages.train_again import FIRST_PAUSE_S, LONGEST_PAUSE_S
from adapter.stages.vote import vote

Make = Callable[..., Any]


def turn(world: Any, people: int = 10, **options: Any) -> None:
    push(world.project)
    world.label("ann", people, **options)
    world.label("bob", people, **options)
    pull(world.project)
    consolidate(world.project)


@pytest.fixture
def world(make_world: Make) -> Any:
    made = make_world(tasks=200, train={"min_new": 15})
    ingest(made.project)
    vote(made.project)
    consolidate(made.project)
    turn(made)
    turn(made)
    return made


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **options: Any) -> Any:
        raise BackendError("the disk is full", where="training", remedy="Make room.")

    monkeypatch.setattr(training, "run", fails)


def fail(world: Any) -> None:
    with pytest.raises(BackendError, match="the disk is full"):
        train(world.project)


@pytest.mark.usefixtures("broken")
def test_pauses_double_up_to_an_hour(world: Any) -> None:
    assert due(world.project)
    pause = FIRST_PAUSE_S
    for _ in range(8):
        fail(world)
        assert due(world.project) is None
        world.clock.forward(pause - 1)
        assert due(world.project) is None
        world.clock.forward(2)
        assert due(world.project)
        pause = min(2 * pause, LONGEST_PAUSE_S)
    assert pause == LONGEST_PAUSE_S


@pytest.mark.usefixtures("broken")
def test_status_says_how_often_and_when(world: Any) -> None:
    fail(world)
    assert status(world.project).training.startswith("training failed once: training: the disk is full")
    world.clock.forward(FIRST_PAUSE_S + 1)
    fail(world)
    said = status(world.project).training
    assert "training failed 2 times" in said
    assert said.endswith("again in 2 min")


@pytest.mark.usefixtures("broken")
def test_new_labels_end_the_pause(world: Any) -> None:
    fail(world)
    assert due(world.project) is None
    turn(world)
    assert due(world.project)


@pytest.mark.usefixtures("broken")
def test_one_that_a_person_asked_for_starts_the_pauses_anew(world: Any) -> None:
    for _ in range(3):
        fail(world)
        world.clock.forward(LONGEST_PAUSE_S)
    fail(world)  # the fourth in a row: eight minutes
    fail(world)  # within its pause, so somebody asked for it
    assert "training failed once" in status(world.project).training
    world.clock.forward(FIRST_PAUSE_S + 1)
    assert due(world.project)


def test_a_training_that_goes_through_forgets_them(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(training, "run", lambda *_, **__: (_ for _ in ()).throw(BackendError("no", where="training")))
        with pytest.raises(BackendError):
            train(world.project)
    assert "failed" in status(world.project).training
    assert train(world.project).version
    assert "failed" not in status(world.project).training


def test_a_refused_candidate_does_not_judge_peoples_labels(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags come of held-out answers: those of a model that is worse would accuse everybody."""
    assert train(world.project).promoted
    kept = world.project.store.projects.notes("spam", HELD_OUT_NOTE)
    turn(world)
    monkeypatch.setattr(training, "promotes", lambda verdict: False)
    refused = train(world.project)
    assert refused.version is not None
    assert not refused.promoted
    assert world.project.store.projects.notes("spam", HELD_OUT_NOTE) == kept
