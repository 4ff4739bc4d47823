"""Optimal design: the greedy steps are the exact ones, and doubt, typicality and novelty each count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapter.core.strategies import State, Vectors, choose, load_strategy
from adapter.core.strategies.design import _greedy

FISHER = "adapter.core.strategies.design:fisher"


def state(n: int, size: int = 5, **more: Any) -> State:
    chance = np.random.default_rng(9).random(n)
    return State(size=size, batch=size, seed=0, chance=chance, **more)


def given(vectors: Any) -> Vectors:
    rows = np.asarray(vectors, np.float32)
    return Vectors(len(rows), lambda wanted: rows[wanted])


def test_each_step_is_the_exact_one() -> None:
    random = np.random.default_rng(0)
    mine = random.normal(size=(40, 6)).astype(np.float32)
    weight = random.random(40).astype(np.float32)
    pool = random.normal(size=(100, 6))
    target = (pool.T @ pool / 100).astype(np.float32)
    information = np.eye(6) * 0.5
    picked: list[int] = []
    for _ in range(8):
        left = [
            np.trace(np.linalg.inv(information + weight[i] * np.outer(mine[i], mine[i])) @ target)
            if i not in picked
            else np.inf
            for i in range(40)
        ]
        best = int(np.argmin(left))
        picked.append(best)
        information += weight[best] * np.outer(mine[best], mine[best])
    found = _greedy(mine, weight, np.linalg.inv(np.eye(6) * 0.5).astype(np.float32), target, 8)
    assert found.tolist() == picked


def test_it_takes_one_of_each_doubtful_crowd_before_a_second_of_one() -> None:
    random = np.random.default_rng(1)
    centres = np.eye(8)[:5]
    rows = np.concatenate([centre + random.normal(scale=0.05, size=(40, 8)) for centre in centres])
    even = np.full((200, 2), 0.5, np.float32)
    chosen = choose(load_strategy(FISHER), given(rows), even, state(200), diversity=False)
    assert sorted((chosen.rows[:5] // 40).tolist()) == [0, 1, 2, 3, 4]
    assert sorted(chosen.rows.tolist()) == list(range(200))


def test_it_leaves_alone_what_the_model_is_sure_of_and_what_is_labelled_already() -> None:
    random = np.random.default_rng(2)
    rows = np.concatenate([np.eye(6)[k] + random.normal(scale=0.05, size=(50, 6)) for k in range(3)])
    probabilities = np.full((150, 2), 0.5, np.float32)
    probabilities[:50] = [0.999, 0.001]
    labelled = np.tile(np.eye(6, dtype=np.float32)[1], (30, 1))
    here = state(150, 10, labelled=labelled)
    chosen = choose(load_strategy(FISHER), given(rows), probabilities, here, diversity=False)
    assert set((chosen.rows[:10] // 50).tolist()) == {2}


@pytest.mark.parametrize("multiple", [False, True])
def test_it_bears_unknown_rows_zero_vectors_and_one_label(multiple: bool) -> None:
    rows = np.random.default_rng(3).normal(size=(30, 4))
    rows[3] = 0
    for k in (1, 3):
        probabilities = np.full((30, k), 1 / k, np.float32)
        probabilities[5] = np.nan
        chosen = choose(load_strategy(FISHER), given(rows), probabilities, state(30, 40, multiple=multiple))
        assert sorted(chosen.rows.tolist()) == list(range(30))


def test_of_many_it_compares_some_thousands_and_stays_quick() -> None:
    random = np.random.default_rng(4)
    rows = random.normal(size=(30_000, 16)).astype(np.float32)
    asked = []

    def fetch(wanted: Any) -> Any:
        asked.append(len(wanted))
        return rows[wanted]

    probabilities = random.dirichlet(np.ones(3), 30_000).astype(np.float32)
    chosen = choose(load_strategy(FISHER), Vectors(30_000, fetch), probabilities, state(30_000, 50), diversity=False)
    assert len(chosen.rows) == 30_000
    assert sum(asked) <= 4_000
    again = choose(load_strategy(FISHER), Vectors(30_000, fetch), probabilities, state(30_000, 50), diversity=False)
    assert again.rows.tolist() == chosen.rows.tolist()
