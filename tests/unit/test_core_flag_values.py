"""Doubts about numbers and texts: far from what the others said."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.flags.values import far_off, unlike

NEAR = 1.0


def test_only_the_number_that_is_far_off_is_doubted_the_farther_the_more() -> None:
    expected = np.linspace(0, 100, 40)
    said = expected + np.tile([-1.0, 0.5, 1.0, -0.5], 10)
    said[3], said[7] = expected[3] + 60, expected[7] + 7
    score = far_off(said, expected, np.ones(40), NEAR)
    assert set(np.flatnonzero(score)) == {3, 7}
    assert 0.5 < score[7] < score[3] <= 1


def test_where_the_others_differ_as_much_they_are_no_measure() -> None:
    expected, said = np.zeros(40), np.zeros(40)
    said[0] = 30.0
    assert far_off(said, expected, np.zeros(40), NEAR)[0] > 0.5
    assert far_off(said, expected, np.full(40, 30.0), NEAR)[0] == 0


def test_equal_numbers_and_none_are_never_doubted() -> None:
    assert not far_off(np.zeros(10), np.zeros(10), np.zeros(10), NEAR).any()
    assert far_off([], [], [], NEAR).shape == (0,)
    assert not far_off([1.0], [1.5], [0.0], NEAR).any()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0.01, 100), st.integers(0, 2**31))
def test_scores_are_nothing_or_a_half_to_one(said: list[float], near: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    score = far_off(said, rng.permutation(said), rng.random(len(said)), near)
    assert ((score == 0) | ((score >= 0.5) & (score <= 1))).all()


def test_a_text_is_unlike_beyond_what_is_usual_and_beyond_the_others_among_themselves() -> None:
    distance = [0.05] * 20 + [0.9, 0.9, 0.4]
    within = [0.1] * 20 + [0.1, 0.95, 0.1]
    assert list(np.flatnonzero(unlike(distance, within))) == [20]
    assert unlike([], []).shape == (0,)
