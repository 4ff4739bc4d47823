"""Progress against the in-memory platform: what models are remembered by, the shadow, the saving, when to stop."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from loop_support import in_process

from adapter.core.blind import blind_order
from adapter.errors import BackendError
from adapter.stages import progress_shadow
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.progress import advice, measure_progress, progress, progress_line, remember
from adapter.stages.progress_seen import SEEN_NOTE, seen, watched
from adapter.stages.progress_shadow import SHADOW_NOTE, kept_shadow, plan
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.train import train
from adapter.training import run

Make = Callable[..., Any]
SETTINGS: dict[str, Any] = {
    "blind": {"share": 0.4, "batch_share": 0.4, "double_share": 0.0},
    "stop": {"stop_set": 100, "least_labels": 20, "step": 5},
    "flag": {"folds": 2},
}


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.stages.train.run", in_process)
    monkeypatch.setattr(progress_shadow, "run", in_process)


def turn(world: Any, count: int = 20) -> str:
    """One turn of the loop; return the version that it trained."""
    push(world.project)
    world.label("ann", count)
    pull(world.project)
    consolidate(world.project)
    version = train(world.project).version
    assert version is not None
    return version


@pytest.fixture
def started(make_world: Make) -> Any:
    world = make_world(tasks=240, functions=False, **SETTINGS)
    ingest(world.project)
    return world


def test_before_any_model_everything_cannot_be_said_yet(started: Any) -> None:
    report = progress(started.project)
    assert (report.model, report.stop, report.rate) == (None, False, None)
    assert report.controls[0].saving["said"] == "cannot say yet"
    assert "no model yet" in progress_line(started.project)
    assert not advice(started.project).stop
    assert measure_progress(started.project).measured == {}


def test_a_version_is_remembered_once_and_in_little_space(started: Any) -> None:
    version = turn(started)
    assert remember(started.project, version)
    assert not remember(started.project, version)
    assert not remember(started.project, "no-such-version")
    note = started.project.store.projects.notes("spam")[SEEN_NOTE]
    assert [one["version"] for one in note["versions"]] == [version]
    assert len(json.dumps(note)) < 2000
    (one,) = seen(started.project, started.project.space.controls[0])
    assert one.codes.shape == (len(one.rows), 2)
    assert (one.codes[:, 0] == 1).all()


def test_watched_tasks_are_a_fixed_random_draw_and_the_first_blind_ones(started: Any) -> None:
    rows = watched(started.project, 100)
    again = watched(started.again().project, 100)
    np.testing.assert_array_equal(rows, again)
    index = started.project.store.tasks.index("spam")
    blind = np.flatnonzero(index.blind & (index.duplicate_of < 0))
    order = np.argsort(blind_order((str(index.ids[row]) for row in blind), started.project.blind))
    assert set(blind[order[:100]].tolist()) <= set(rows.tolist())
    assert len(rows) > 100
    assert (index.duplicate_of[rows] < 0).all()


def test_a_blind_task_labelled_later_also_measures_the_models_of_before(started: Any) -> None:
    remember(started.project, turn(started))
    before = progress(started.project).controls[0].active
    remember(started.project, turn(started))
    after = progress(started.project).controls[0].active
    assert len(before) == 1
    assert len(after) == 2
    assert after[0].labels == before[0].labels
    assert after[0].n > before[0].n


def test_the_shadow_is_measured_kept_cleaned_up_and_used_for_nothing_else(started: Any) -> None:
    for _ in range(3):
        remember(started.project, turn(started, 30))
    models = started.project.store.models.all("spam")
    report = measure_progress(started.project)
    assert report.measured["spam"] >= 20
    shadow = kept_shadow(started.project, started.project.space.controls[0])
    assert shadow is not None
    assert shadow.trained.sum(axis=0).tolist() == shadow.sizes.tolist()
    assert not list((started.project.home / "jobs").glob("*/"))
    assert started.project.store.models.all("spam") == models
    found = progress(started.project).controls[0]
    assert [point.labels for point in found.random] == sorted(point.labels for point in found.random)
    assert len(found.random) >= 2
    assert found.saving["saving"] is not None or found.saving["said"] == "cannot say yet"
    assert "saving" in progress_line(started.project)
    # Nothing is due until the blind labels have grown by a fifth.
    assert "measured with" in measure_progress(started.project).why["spam"]


def test_models_that_were_not_remembered_in_time_are_caught_up(started: Any) -> None:
    for _ in range(2):
        turn(started)
    assert measure_progress(started.project).remembered == 2
    assert measure_progress(started.project).remembered == 0
    assert len(progress(started.project).controls[0].active) == 2


def test_slow_backends_are_left_out_unless_asked_for(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        turn(started, 30)
    monkeypatch.setattr(progress_shadow, "slow", lambda backend: True)
    assert "slow" in measure_progress(started.project).why["spam"]
    assert "slow" in progress(started.project).controls[0].saved
    monkeypatch.setattr(progress_shadow, "slow", lambda backend: False)
    monkeypatch.setattr(progress_shadow, "_expected", lambda *about: 1e6)
    assert "stop.shadow_s" in measure_progress(started.project).why["spam"]


def test_a_shadow_that_is_stopped_leaves_nothing(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_shadow, "run", run)
    for _ in range(3):
        turn(started, 30)
    stop = threading.Event()
    stop.set()
    with pytest.raises(BackendError, match="stopped"):
        measure_progress(started.project, stop=stop)
    assert SHADOW_NOTE not in started.project.store.projects.notes("spam")
    assert not list((started.project.home / "jobs").glob("*/"))


def test_a_met_target_advises_to_stop(make_world: Make) -> None:
    settings = {**SETTINGS, "stop": {**SETTINGS["stop"], "target": 0.5, "kappa": None}}
    world = make_world(tasks=240, functions=False, **settings)
    ingest(world.project)
    remember(world.project, turn(world, 40))
    found = advice(world.project)
    assert found.stop
    assert "the target 50.0%" in found.why
    assert progress(world.project).stop
    assert "stopping is advised" in progress_line(world.project)


def test_a_spent_budget_advises_to_stop(make_world: Make) -> None:
    world = make_world(tasks=240, functions=False, **SETTINGS, window={"budget": 20}, rank={"flagged_share": 0.0})
    ingest(world.project)
    remember(world.project, turn(world, 40))
    assert "the budget is spent" in advice(world.project).why


def test_parts_of_the_shadow_keep_copies_together_and_leave_tasks_to_measure_with() -> None:
    groups = [f"g{n // 2}" for n in range(80)]
    parts = plan(groups, 0)
    sizes = [len(part) for part in parts]
    assert sizes == sorted(sizes)
    assert max(sizes) == 64
    assert sorted(set(sizes)) == [20, 40, 64]
    for part in parts:
        inside = {groups[row] for row in part}
        assert not inside & {groups[row] for row in set(range(80)) - set(part.tolist())}
    measured = np.zeros(80, int)
    for part in parts[-5:]:
        measured[np.setdiff1d(np.arange(80), part)] += 1
    assert (measured == 1).all()
    np.testing.assert_array_equal(parts[0], plan(groups, 0)[0])
