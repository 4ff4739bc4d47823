from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from adapter.core.surprise import surprise


def test_equal_confidences_give_the_binomial_tail() -> None:
    found = surprise(np.full(20, 0.9), np.arange(20) >= 6)
    assert (found.n, found.wrong, found.expected) == (20, 6, pytest.approx(2.0))
    assert found.p == pytest.approx(binom.sf(5, 20, 0.1))


def test_two_tasks_by_hand() -> None:
    assert surprise(np.array([0.9, 0.6]), np.array([False, False])).p == pytest.approx(0.1 * 0.4)
    assert surprise(np.array([0.9, 0.6]), np.array([False, True])).p == pytest.approx(1 - 0.9 * 0.6)
    assert surprise(np.array([0.9, 0.6]), np.array([True, True])).p == 1.0


def test_what_the_model_did_not_say_does_not_count() -> None:
    assert surprise(np.array([np.nan, 1.0]), np.array([False, True])) == surprise(np.array([1.0]), np.array([True]))
    assert surprise(np.empty(0), np.empty(0, bool)).p == 1.0


def test_an_error_where_the_model_was_certain_is_impossible() -> None:
    assert surprise(np.ones(3), np.array([True, False, True])).p == 0.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(0, 2**32))
def test_p_is_a_probability_and_more_errors_are_more_surprising(sure: list[float], seed: int) -> None:
    right = np.random.default_rng(seed).random(len(sure)) < 0.5
    found = surprise(np.array(sure), right)
    assert 0.0 <= found.p <= 1.0
    if right.any():
        worse = right.copy()
        worse[np.flatnonzero(right)[0]] = False
        assert surprise(np.array(sure), worse).p <= found.p + 1e-12


def test_a_calibrated_model_is_rarely_called_surprising() -> None:
    random = np.random.default_rng(0)
    calls = 0
    for _ in range(2000):
        sure = random.uniform(0.5, 1.0, 30)
        calls += surprise(sure, random.random(30) < sure).p <= 0.01
    assert calls / 2000 <= 0.015


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="2 confidences and 1 answers"):
        surprise(np.ones(2), np.ones(1, bool))
