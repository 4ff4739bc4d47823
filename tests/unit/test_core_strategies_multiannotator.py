"""ActiveLab against cleanlab's own, and what it asks again."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.strategies import State, asks_again, choose
from adapter.core.strategies.multiannotator import MOST_ANSWERED, best_temperature, scores


def people(
    m: int, k: int, annotators: int, seed: int, *, several: float = 0.5, noise: float = 0.2
) -> tuple[dict[str, dict[str, int]], dict[str, np.ndarray]]:
    """Answers to m tasks, some by several of the annotators, and a model that is right more often than not."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(k, size=m)
    answers: dict[str, dict[str, int]] = {}
    judged: dict[str, np.ndarray] = {}
    for i in range(m):
        count = 1 if rng.random() >= several else int(rng.integers(2, annotators + 1))
        who = rng.choice(annotators, size=count, replace=False)
        answers[f"t{i}"] = {
            f"p{j}": int(rng.integers(k) if rng.random() < noise else truth[i]) for j in sorted(who.tolist())
        }
        judged[f"t{i}"] = rng.dirichlet(0.5 + 3 * np.eye(k)[truth[i]])
    return answers, judged


def state_of(n: int, **more: Any) -> State:
    return State(**{"size": 5, "batch": 5, "seed": 0, "chance": np.random.default_rng(9).random(n), **more})


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """cleanlab 2.9 counts labels that come as floats in the order of their occurrence, whatever they are, so that its
    search for the temperature looks at wrong labels: give it whole numbers."""
    from cleanlab.internal import multiannotator_utils

    count = multiannotator_utils.value_counts
    monkeypatch.setattr(multiannotator_utils, "value_counts", lambda x, **more: count(x.astype(int), **more))


def cleanlabs(answers: Any, judged: Any, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from cleanlab.multiannotator import get_active_learning_scores

    names = sorted({name for given in answers.values() for name in given})
    votes = np.array([[given.get(name, np.nan) for name in names] for given in answers.values()], float)
    old, fresh = get_active_learning_scores(votes, np.stack(list(judged.values())), new)
    return 1 - old, 1 - fresh


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("several", [0.0, 0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_scores_are_cleanlabs(k: int, several: float, seed: int) -> None:
    answers, judged = people(60, k, 4, seed, several=several)
    new = np.random.default_rng(seed).dirichlet(np.ones(k), 50)
    state = state_of(50, answers=answers, judged=judged, again=tuple(answers))
    found = scores(state, new.astype(np.float64))
    old, fresh = cleanlabs(answers, judged, new)
    assert found.new == pytest.approx(fresh, abs=1e-6)
    assert [found.again[task] for task in answers] == pytest.approx(old.tolist(), abs=1e-6)


@pytest.mark.usefixtures("counting")
def test_the_temperature_is_cleanlabs() -> None:
    from cleanlab.internal.multiannotator_utils import find_best_temp_scaler

    for seed in range(6):
        answers, judged = people(40, 3, 3, seed, several=1.0, noise=0.1 * seed)
        votes = np.array([[given.get(f"p{j}", np.nan) for j in range(3)] for given in answers.values()], float)
        own = np.stack(list(judged.values()))
        assert best_temperature(votes, own) == pytest.approx(find_best_temp_scaler(votes, own))


def test_a_contested_task_is_asked_again_and_a_plain_one_is_not() -> None:
    answers, judged = people(60, 2, 4, 0, several=0.6, noise=0.05)
    answers["contested"], judged["contested"] = {"p0": 0, "p1": 1}, np.array([0.5, 0.5])
    answers["plain"], judged["plain"] = {"p0": 0, "p1": 0, "p2": 0}, np.array([0.98, 0.02])
    sure = np.tile([[0.95, 0.05]], (30, 1)).astype(np.float32)
    state = state_of(30, answers=answers, judged=judged, again=("plain", "contested"))
    assert asks_again(state, sure) == ["contested"]
    assert choose("activelab", None, sure, state).again == ("contested",)
    unsure = np.full((30, 2), 0.5, np.float32)
    assert asks_again(state, unsure) == []


def test_again_takes_no_more_than_a_batch() -> None:
    answers, judged = people(60, 2, 4, 0, noise=0.9)
    sure = np.tile([[1.0, 0.0]], (30, 1)).astype(np.float32)
    state = state_of(30, answers=answers, judged=judged, again=tuple(answers))
    assert len(asks_again(state, sure)) == 5
    assert len(asks_again(dataclasses.replace(state, batch=100), sure)) <= 60


def test_new_tasks_stand_in_the_order_of_least_confidence() -> None:
    answers, judged = people(60, 3, 4, 0)
    p = np.random.default_rng(0).dirichlet(np.ones(3), 100).astype(np.float32)
    alone = choose("activelab", None, p, state_of(100))
    assert alone.rows.tolist() == choose("least-confidence", None, p, state_of(100)).rows.tolist()
    assert choose("activelab", None, p, state_of(100, answers=answers, judged=judged)).name == "activelab"


def test_people_who_never_agree_weigh_the_same() -> None:
    answers = {"a": {"p0": 0, "p1": 1}, "b": {"p0": 1, "p2": 0}}
    judged = {"a": np.array([0.9, 0.1]), "b": np.array([0.2, 0.8])}
    state = state_of(3, answers=answers, judged=judged, again=("a", "b"))
    found = scores(state, np.full((3, 2), 0.5))
    assert found.again["a"] == pytest.approx(1 - (0.9 * 3 + 0.5) / 4)
    assert found.again["b"] == pytest.approx(1 - (0.8 * 3 + 0.5) / 4)


@settings(max_examples=40, deadline=None)
@given(
    m=st.integers(0, 12),
    k=st.integers(2, 5),
    annotators=st.integers(2, 4),
    seed=st.integers(0, 10_000),
    several=st.sampled_from([0.0, 0.3, 1.0]),
    damage=st.booleans(),
)
def test_whatever_people_said_there_are_scores(
    m: int, k: int, annotators: int, seed: int, several: float, damage: bool
) -> None:
    answers, judged = people(m, k, annotators, seed, several=several, noise=0.5)
    if damage:
        answers |= {
            "odd": {"p0": k, "p1": -1},
            "empty": {},
            "unjudged": {"p0": 0},
            "nan": {"p0": 0},
            "short": {"p0": 1},
        }
        judged |= {"odd": np.ones(k) / k, "nan": np.full(k, np.nan), "short": np.ones(k + 1), "empty": np.ones(k) / k}
    state = state_of(4, answers=answers, judged=judged, again=tuple(answers))
    found = scores(state, np.random.default_rng(seed).dirichlet(np.ones(k), 4))
    assert set(found.again) == {f"t{i}" for i in range(m)}
    assert all(0 <= score <= 1 for score in found.again.values())


def test_of_many_labelled_tasks_it_looks_at_some() -> None:
    answers, judged = people(MOST_ANSWERED + 500, 2, 3, 0)
    again = tuple(answers)[-300:]
    state = state_of(10, answers=answers, judged=judged, again=again)
    assert set(scores(state, np.full((10, 2), 0.5)).again) == set(again)
    everything = dataclasses.replace(state, again=tuple(answers))
    assert len(scores(everything, np.full((10, 2), 0.5)).again) == MOST_ANSWERED


def test_without_a_label_to_choose_there_is_nothing_to_ask() -> None:
    assert asks_again(state_of(3), np.ones((3, 1))) == []
    assert asks_again(state_of(3, multiple=True), np.ones((3, 2))) == []
