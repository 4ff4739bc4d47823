"""What a refused model leaves behind, models whose files vanish, and trainings that fail."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from loop_support import trained_world, turn

import adapter.stages.train as training
from adapter.errors import BackendError
from adapter.loop import TRAIN_REQUESTED, LoopRunner, default_stages
from adapter.stages.evidence import HELD_OUT_NOTE
from adapter.stages.flag import flag
from adapter.stages.status import status
from adapter.stages.train import due, stop_training, train
from adapter.training import run

Make = Callable[..., Any]


@pytest.fixture
def trained(make_world: Make) -> Any:
    """A world with one model, from 40 annotations."""
    return trained_world(make_world, flag={"min_labels": 10})


@pytest.fixture
def failing(trained: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A world where a training is due, and each fails; `tries` counts them."""
    trained.tries = 0

    def fail(*_: Any, **__: Any) -> Any:
        trained.tries += 1
        raise BackendError("the training took longer than 5 s", where="training", remedy="Give it more.")

    monkeypatch.setattr(training, "run", fail)
    turn(trained)
    assert due(trained.project) is not None
    return trained


def fails(world: Any) -> None:
    with pytest.raises(BackendError):
        train(world.project)


def waited(world: Any) -> float:
    """Return after how many seconds a training is due again."""
    seconds = 0.0
    while due(world.project) is None:
        world.clock.forward(10)
        seconds += 10
        assert seconds < 10_000
    return seconds


def upside_down(*args: Any, **options: Any) -> Any:
    """A training whose model says the opposite of the truth, also of what it had not seen."""
    result = run(*args, **options)
    flipped = {name: np.ascontiguousarray(rows[:, ::-1]) for name, rows in result.gate_predictions.items()}
    held_out = {
        name: dataclasses.replace(one, probabilities=np.ascontiguousarray(one.probabilities[:, ::-1]))
        for name, one in result.heldout.items()
    }
    return dataclasses.replace(result, gate_predictions=flipped, heldout=held_out, rival=None)


def vanish(world: Any) -> None:
    current = world.project.store.models.current("spam")
    shutil.rmtree(world.project.artifacts.get_folder(current.uri))


def test_a_refused_model_does_not_judge_people_s_labels(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project = trained.project
    flag(project)
    kept, flags = project.store.projects.notes("spam")[HELD_OUT_NOTE], len(project.store.flags.open("spam"))
    turn(trained)
    turn(trained)
    monkeypatch.setattr(training, "run", upside_down)
    assert not train(project).promoted
    assert project.store.projects.notes("spam")[HELD_OUT_NOTE] == kept
    flag(project)
    assert len(project.store.flags.open("spam")) <= flags + 2


def test_a_model_that_passes_brings_its_own_held_out_answers(trained: Any) -> None:
    turn(trained)
    report = train(trained.project)
    assert report.promoted
    kept = trained.project.store.projects.notes("spam")[HELD_OUT_NOTE]
    assert {entry["version"] for entry in kept.values()} == {report.version}


def test_a_model_whose_files_are_gone_is_made_again_at_once(trained: Any) -> None:
    project = trained.project
    assert due(project) is None
    vanish(trained)
    assert due(project) == "the model's files are gone"
    assert status(project).training == "the model's files are gone"
    report = train(project)
    assert report.promoted
    assert project.store.models.current("spam").version == report.version
    assert due(project) is None


def test_a_model_that_was_refused_in_place_of_lost_files_is_not_made_for_ever(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn(trained)
    turn(trained)
    vanish(trained)
    assert due(trained.project) == "the model's files are gone"
    monkeypatch.setattr(training, "run", upside_down)
    assert not train(trained.project).promoted
    assert due(trained.project) is None


def test_a_training_that_fails_is_tried_again_after_pauses_that_double_up_to_an_hour(failing: Any) -> None:
    pauses = []
    for _ in range(9):
        fails(failing)
        pauses.append(waited(failing))
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_status_says_how_often_why_and_when_again(failing: Any) -> None:
    fails(failing)
    assert "training failed once: training: the training took longer than 5 s" in status(failing.project).training
    for _ in range(3):
        waited(failing)
        fails(failing)
    assert "training failed 4 times: " in status(failing.project).training
    assert status(failing.project).training.endswith("; again in 8 min")
    failing.clock.forward(450)
    assert status(failing.project).training.endswith("; again in 30 s")


def test_the_pauses_outlive_the_process(failing: Any) -> None:
    fails(failing)
    assert due(failing.again().project) is None


def test_new_labels_start_the_pauses_anew(failing: Any) -> None:
    for _ in range(3):
        fails(failing)
        waited(failing)
    fails(failing)
    turn(failing)
    assert due(failing.project) is not None
    assert "failed" not in status(failing.project).training
    fails(failing)
    assert waited(failing) == 60


def test_other_settings_start_the_pauses_anew(failing: Any) -> None:
    fails(failing)
    project = failing.project
    policy = project.settings.train.model_copy(update={"timeout_s": 7200.0})
    backend = project.settings.backend.model_copy(update={"options": {"seed": 3}})
    for change in ({"train": policy}, {"backend": backend}):
        other = dataclasses.replace(project, settings=project.settings.model_copy(update=change))
        assert due(other) is not None
    assert due(project) is None


def test_a_backend_that_its_author_changed_is_tried_at_once(failing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = failing.folder / "slow_backend_of_mine.py"
    file.write_text("class Slow: ...\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(failing.folder))
    project = failing.project
    backend = project.settings.backend.model_copy(update={"path": "slow_backend_of_mine:Slow"})
    from adapter.stages.train_again import keep_failure, pauses

    other = dataclasses.replace(project, settings=project.settings.model_copy(update={"backend": backend}))
    keep_failure(other, BackendError("no"))
    assert pauses(other)
    file.write_text("class Slow:\n    mended = True\n", encoding="utf-8")
    assert not pauses(other)


def test_whoever_asks_for_a_training_does_not_wait(failing: Any) -> None:
    fails(failing)
    waited(failing)
    fails(failing)
    project, tries = failing.project, failing.tries
    stages = {**default_stages(), "measure_progress": lambda *_, **__: None}
    runner = LoopRunner(project, stages)
    assert runner.train()  # nothing is due
    assert failing.tries == tries
    project.store.projects.note("spam", TRAIN_REQUESTED, project.now().isoformat())
    assert not runner.train()
    assert failing.tries == tries + 1
    assert waited(failing) == 60


def test_a_training_that_went_through_ends_the_pauses(failing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(failing)
    monkeypatch.setattr(training, "run", run)
    train(failing.project)
    assert "failed" not in status(failing.project).training


def test_a_training_that_was_stopped_did_not_fail(failing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, **__: Any) -> Any:
        stop_training(failing.project)
        raise BackendError("the training was stopped")

    monkeypatch.setattr(training, "run", stopped)
    fails(failing)
    assert due(failing.project) is not None
    assert "failed" not in status(failing.project).training
