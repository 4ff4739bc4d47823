"""Stand-ins for labels at random: what they learn from, what they are measured on, and what is said of the saving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from loop_support import in_process

from adapter.core.stopping import encode
from adapter.stages import progress_shadow
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.progress import measure_progress, progress, progress_line, remember
from adapter.stages.progress_shadow import kept_shadow
from adapter.stages.progress_standins import (
    MODELS,
    StandIns,
    cost,
    draw,
    jobs_of,
    likelihood,
    measured,
    parts_of,
    rivals,
)
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.train import train
from adapter.stages.train_jobs import gold_of

Make = Callable[..., Any]
SETTINGS: dict[str, Any] = {
    "blind": {"share": 0.4, "batch_share": 0.4, "double_share": 0.0},
    "stop": {"stop_set": 100, "least_labels": 20, "step": 5},
    "flag": {"folds": 2},
}


@pytest.fixture
def trained(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A world with a model after two turns of the loop."""
    monkeypatch.setattr("adapter.stages.train.run", in_process)
    monkeypatch.setattr(progress_shadow, "run", in_process)
    world = make_world(tasks=240, functions=False, **SETTINGS)
    ingest(world.project)
    for _ in range(2):
        push(world.project)
        world.label("ann", 30)
        pull(world.project)
        consolidate(world.project)
        version = train(world.project).version
        assert version is not None
        remember(world.project, version)
    return world


def test_drawn_tasks_are_none_of_the_blind_sample_and_keep_peoples_labels(trained: Any) -> None:
    project = trained.project
    control = project.space.controls[0]
    gold, current = gold_of(project, control), project.store.models.current(project.name)
    drawn = draw(project, control, gold, current, [{"text": "hello"}])
    index = project.store.tasks.index(project.name)
    rows = np.unique(np.concatenate(drawn.parts))
    assert not index.blind[rows].any()
    assert (index.duplicate_of[rows] < 0).all()
    groups = np.where(index.duplicate_of >= 0, index.duplicate_of, np.arange(len(index)))
    assert not np.isin(rows, groups[index.blind]).any()
    spam = control.labels.index("spam")
    said = {task.seq: value for task, value, _ in gold.train}
    for row in set(rows.tolist()) & set(said):
        assert drawn.targets[row][spam] == ("spam" in str(said[row]))
    assert len(set(rows.tolist()) - set(said)) > 0  # the others have the model's answers
    assert drawn.labels == len(gold.train)
    assert drawn.probabilities.shape == (1, len(control.labels))


def test_the_saving_is_said_with_points_and_an_interval(trained: Any) -> None:
    report = measure_progress(trained.project)
    assert report.measured["spam"] >= 10
    shadow = kept_shadow(trained.project, trained.project.space.controls[0])
    assert shadow is not None
    assert shadow.stand_ins is not None
    index = trained.project.store.tasks.index("spam")
    assert index.blind[shadow.rows].all()
    assert shadow.stand_ins.present.shape[0] == len(shadow.rows) == len(shadow.stand_ins.margins)
    assert np.abs(shadow.stand_ins.margins).max() <= 1
    found = progress(trained.project).controls[0]
    assert found.saving["gain"]["lower"] <= found.saving["gain"]["value"] <= found.saving["gain"]["upper"]
    assert found.saving["labels"] == found.labels
    assert found.saving["blind"] == report.measured["spam"]
    assert "over as many labels at random" in found.saved
    assert found.saved in progress_line(trained.project)
    assert [point.labels for point in found.stood_in] == sorted({point.labels for point in found.stood_in})
    assert found.labels in {point.labels for point in found.stood_in}


def test_blind_labels_that_come_later_make_it_more_exact_without_training(trained: Any) -> None:
    measure_progress(trained.project)
    before = progress(trained.project).controls[0].saving
    push(trained.project)
    trained.label("ann", 20)
    pull(trained.project)
    consolidate(trained.project)
    after = progress(trained.project).controls[0].saving
    assert after["blind"] > before["blind"]
    assert after["labels"] == before["labels"]


def test_a_short_limit_leaves_out_the_large_stand_ins(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_shadow, "_expected", lambda *about: 1e6 if about[-1] != MODELS[-1] else 1.0)
    measure_progress(trained.project)
    shadow = kept_shadow(trained.project, trained.project.space.controls[0])
    assert shadow is not None
    assert shadow.stand_ins is not None
    assert set(shadow.stand_ins.sizes.tolist()) == {shadow.stand_ins.labels}
    assert progress(trained.project).controls[0].saving["gain"] is not None


def test_a_part_with_one_label_trains_nothing_and_says_that_label(trained: Any) -> None:
    project = trained.project
    control = project.space.controls[0]
    current = project.store.models.current(project.name)
    drawn = draw(project, control, gold_of(project, control), current, [{"text": "hello"}])
    for target in drawn.targets.values():
        target[:] = [1.0, 0.0]
    assert jobs_of(project, control, drawn, [{"text": "hello"}]) == {}
    found = measured(control, drawn, {}, {})
    assert found is not None
    assert all((codes == encode(np.array([[1.0, 0.0]]), np.array([True]))).all() for codes in found.codes)


def test_parts_do_not_overlap_where_the_tasks_suffice() -> None:
    rows = np.arange(1000, 1400)
    parts = parts_of(rows, 100)
    sizes = [len(part) for part in parts]
    assert sizes == [50] * 4 + [100] * 4 + [200] * 2 + [400]
    for size in (50, 100, 200):
        same = np.concatenate([part for part in parts if len(part) == size])
        assert len(np.unique(same)) == len(same)
    few = parts_of(rows[:150], 100)
    assert [len(part) for part in few] == [50] * 4 + [100] * 4
    assert not np.array_equal(few[4], few[5])
    assert parts_of(rows, 0) == ()
    assert all(100 not in {len(part)} for part in parts_of(rows[:80], 100))


def test_a_cheaper_choice_of_stand_ins_costs_less() -> None:
    costs = [cost(counts) for counts in MODELS]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == 14
    assert all(counts[1] for counts in MODELS)  # as many labels as the model has: without them nothing can be said


def test_likelihood_of_one_label_and_of_several(trained: Any) -> None:
    control = trained.project.space.controls[0]
    probabilities = np.array([[0.7, 0.3], [0.7, 0.3], [np.nan, np.nan]], np.float32)
    codes = encode(np.array([[1, 0], [0, 1], [1, 0]], np.float32), np.ones(3, bool))
    np.testing.assert_allclose(likelihood(control, probabilities, codes), [0.7, 0.3, 0.0], atol=1e-6)

    class Several:
        multiple = True

    both: Any = Several()
    codes = encode(np.array([[1, 1], [0, 0], [1, 0]], np.float32), np.ones(3, bool))
    np.testing.assert_allclose(likelihood(both, probabilities, codes), [0.21, 0.21, 0.0], atol=1e-6)


def test_only_tasks_on_which_they_differ_count() -> None:
    """Two stand-ins of one size on three labelled tasks and one without: by hand."""
    one, two = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])

    def code(*rows: np.ndarray) -> np.ndarray:
        return encode(np.concatenate(rows), np.ones(len(rows), bool))

    found = StandIns(
        version="v",
        labels=20,
        present=code(one, one, two, two),
        sizes=np.array([20, 20]),
        codes=(code(one, two, two, one), code(one, two, one, two)),
        margins=np.array([[0, 0], [0.4, 0.6], [0, 0.2], [0.8, 0]], np.float32),
    )
    blind = np.array([True, True, True, False])
    made = rivals(found, blind, code(one, one, one), ~blind)
    assert made.sizes.tolist() == [20]
    assert made.right.tolist() == [1, 1, 0]
    assert made.differ[:, 0].tolist() == [0, 1, 0.5]
    assert made.better[:, 0].tolist() == [0, 1, -0.5]
    assert made.outside[:, 0].tolist() == [0.5]
    assert made.expected[0] == pytest.approx((0.4 + 0.6 + 0.2 + 0.8) / 4)
