"""Searching for rare labels, wrong pairs, and doubtful tasks in the midst of the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapter.core.strategies import State, Vectors, choose


def state_of(n: int, **more: Any) -> State:
    return State(**{"size": 20, "batch": 10, "seed": 0, "chance": np.random.default_rng(9).random(n), **more})


class TestRare:
    def test_three_places_in_four_go_to_the_likeliest_one_to_chance(self) -> None:
        n = 400
        p = np.random.default_rng(0).dirichlet(np.ones(3), n).astype(np.float32)
        state = state_of(n, rare=(2,), targets=np.eye(3, dtype=np.float32)[[0, 1, 2]])
        rows = choose("rare", None, p, state).rows
        likeliest = np.argsort(-p[:, 2])
        drawn = np.argsort(state.chance)
        assert [row for place, row in enumerate(rows[:12]) if place % 4 != 3] == likeliest[:9].tolist()
        assert rows[3] == drawn[0]
        assert sorted(rows.tolist()) == list(range(n))

    def test_a_label_that_nobody_has_used_leaves_every_other_place_to_chance(self) -> None:
        n = 100
        p = np.random.default_rng(0).dirichlet(np.ones(3), n).astype(np.float32)
        state = state_of(n, rare=(2,), targets=np.eye(3, dtype=np.float32)[[0, 1]])
        rows = choose("rare", None, p, state).rows
        assert rows[0] == p[:, 2].argmax()
        assert rows[1] == np.argsort(state.chance)[0]

    def test_unnamed_it_looks_for_those_used_least(self) -> None:
        p = np.full((40, 4), 0.25, np.float32)
        p[5], p[6] = [0.1, 0.1, 0.7, 0.1], [0.1, 0.1, 0.1, 0.7]
        used = np.eye(4, dtype=np.float32)[[0] * 20 + [1] * 20 + [2] * 1 + [3] * 4]
        assert set(choose("rare", None, p, state_of(40, targets=used)).rows[:2].tolist()) == {5, 6}
        # Both are rare; the one used once needs more than the one used four times.
        assert choose("rare", None, p, state_of(40, targets=used)).rows[0] == 5

    def test_several_labels_count_as_any_of_them(self) -> None:
        p = np.array([[0.5, 0.5, 0.0], [0.6, 0.0, 0.9], [0.0, 0.0, 1.0]], np.float32)
        assert choose("rare", None, p, state_of(3, multiple=True, rare=(0, 1))).rows.tolist() == [0, 1, 2]

    def test_it_finds_more_than_chance(self) -> None:
        rng = np.random.default_rng(0)
        rare = rng.random(2000) < 0.02
        p = np.clip(np.where(rare, 0.3, 0.05) + rng.normal(0, 0.1, 2000), 0, 1)
        table = np.stack([1 - p, p], axis=1).astype(np.float32)
        rows = choose("rare", None, table, state_of(2000, rare=(1,))).rows[:100]
        assert rare[rows].sum() >= 15  # chance: two


def test_alignment_puts_the_worst_fitting_pairs_first() -> None:
    fit = np.array([0.9, 0.1, np.nan, 0.4], np.float32)
    found = choose("alignment", None, None, state_of(4, alignment=fit))
    assert found.rows.tolist() == [2, 1, 3, 0]
    assert found.scores == pytest.approx([0.1, 0.9, 1.0, 0.6])


class TestDensity:
    def test_of_equally_doubtful_tasks_the_outlier_comes_last(self) -> None:
        rng = np.random.default_rng(0)
        vectors = np.concatenate([np.eye(8)[np.zeros(50, int)] + rng.normal(0, 0.2, (50, 8)), -np.eye(8)[:1]])
        p = np.full((51, 2), 0.5, np.float32)
        rows = choose("density", Vectors.of(vectors), p, state_of(51), diversity=False).rows
        assert rows[-1] == 50

    def test_it_is_margin_times_mean_similarity(self) -> None:
        rng = np.random.default_rng(0)
        n = 300
        vectors = np.abs(rng.normal(size=(n, 6)))
        p = rng.dirichlet(np.ones(3), n).astype(np.float32)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        mean = (unit @ unit.T).mean(axis=1)
        two = np.sort(p, axis=1)[:, -2:]
        expected = (1 - (two[:, 1] - two[:, 0])) * mean / mean.max()
        assert choose("density", Vectors.of(vectors), p, state_of(n)).scores == pytest.approx(expected, abs=1e-4)

    def test_without_any_direction_it_is_margin(self) -> None:
        p = np.random.default_rng(0).dirichlet(np.ones(3), 30).astype(np.float32)
        nowhere = Vectors.of(np.zeros((30, 4)))
        by_margin = choose("margin", None, p, state_of(30)).rows
        assert choose("density", nowhere, p, state_of(30)).rows.tolist() == by_margin.tolist()
