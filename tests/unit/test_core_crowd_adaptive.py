from __future__ import annotations

import numpy as np
import pytest

from adapter.core.crowd import ask_more, consolidate, with_model
from adapter.core.crowd.votes import CrowdVotes


def test_asks_until_sure_or_until_most() -> None:
    posterior = np.array([[0.6, 0.4], [0.95, 0.05], [0.6, 0.4], [0.9, 0.1]])
    found = ask_more(posterior, np.array([1, 1, 3, 2]), threshold=0.9, most=3)
    assert found.tolist() == [True, False, False, False]


def test_a_task_nobody_saw_is_asked_however_sure_the_prior() -> None:
    posterior = np.array([[1.0, 0.0], [np.nan, np.nan]])
    assert ask_more(posterior, np.array([0, 0]), threshold=0.5, most=1).tolist() == [True, True]


def test_nothing_to_ask_of_no_tasks() -> None:
    assert ask_more(np.zeros((0, 2)), np.zeros(0, int), threshold=0.9, most=3).tolist() == []


@pytest.mark.parametrize(("threshold", "most"), [(1.2, 3), (-0.1, 3), (0.9, 0)])
def test_impossible_policies_are_refused(threshold: float, most: int) -> None:
    with pytest.raises(ValueError, match=r"threshold|at least one person"):
        ask_more(np.full((1, 2), 0.5), np.zeros(1, int), threshold=threshold, most=most)
    with pytest.raises(ValueError, match="same tasks"):
        ask_more(np.full((1, 2), 0.5), np.zeros(2, int), threshold=0.5, most=1)


def crowd_and_model(quality: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    t = 1_000
    truth = (random.random(t) < 0.3).astype(int)
    task, who = np.repeat(np.arange(t), 3), random.integers(12, size=3 * t)
    label = np.where(random.random(3 * t) < 0.75, truth[task], 1 - truth[task])
    votes = CrowdVotes(task, who, label, [f"t{i:04d}" for i in range(t)], list("abcdefghijkl"), 2)
    score = quality * (2 * truth - 1) + random.normal(0, 1, t)
    chance = 1 / (1 + np.exp(-4 * score))  # far too sure of itself
    return consolidate(votes, method="one-coin").posterior, np.stack([1 - chance, chance], axis=1), truth


def test_a_good_model_helps_and_a_blind_one_does_no_harm() -> None:
    people, good, truth = crowd_and_model(1.0)
    alone = (people.argmax(axis=1) == truth).mean()
    assert (with_model(people, good).argmax(axis=1) == truth).mean() > alone + 0.03
    people, noise, truth = crowd_and_model(0.0)
    assert (with_model(people, noise).argmax(axis=1) == truth).mean() > alone - 0.02


def test_a_model_that_is_too_sure_is_calibrated() -> None:
    people, model, truth = crowd_and_model(1.0)
    together = with_model(people, model)
    surest = together.max(axis=1)
    assert surest.mean() - (together.argmax(axis=1) == truth).mean() < 0.05


def test_rows_without_a_model_and_small_sets_stay_the_peoples() -> None:
    people, model, _ = crowd_and_model(1.0)
    model[:100] = np.nan
    together = with_model(people, model)
    assert np.array_equal(together[:100], people[:100])
    assert np.isfinite(together).all()
    assert together.sum(axis=1) == pytest.approx(np.ones(len(people)))
    assert np.array_equal(with_model(people[:10], model[:10]), people[:10])


def test_a_certain_row_stays_certain() -> None:
    people, model, _ = crowd_and_model(1.0)
    people[0] = [1.0, 0.0]
    model[0] = [0.0, 1.0]
    together = with_model(people, model)
    assert np.isfinite(together).all()
    assert together[0, 0] > 0.999


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="not shaped"):
        with_model(np.full((3, 2), 0.5), np.full((3, 3), 0.5))
