"""Noisy or: evidence for each label alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.weak.base import Labels, WeakVotes
from adapter.core.weak.noisy_or import NoisyOr


def multiple(votes: list[list[int]], k: int) -> WeakVotes:
    return WeakVotes(np.array(votes, np.int16), k, multiple=True)


def test_takes_each_vote_for_its_label_only() -> None:
    votes = multiple([[0, 0, -1], [0, -1, 1], [-1, -1, -1]], 3)
    answer = NoisyOr().fit(votes, Labels.none(3)).predict(votes)
    # Two voters of precision .75 for label 0: 1 - .25 ** 2. Label 2 has no function at all: one half.
    np.testing.assert_allclose(answer[0], [1 - 0.25**2, 0.1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(answer[1], [0.75, 0.75, 0.5], rtol=1e-6)
    assert np.isnan(answer[2]).all()


def test_shrinks_the_precision_that_labels_show() -> None:
    votes = multiple([[0]] * 20, 2)
    gold = np.zeros((10, 2), np.float32)
    gold[:4, 0] = 1
    labels = Labels(np.arange(10, dtype=np.int64), gold, np.ones(10, np.float32))
    answer = NoisyOr().fit(votes, labels).predict(votes)
    assert answer[0, 0] == pytest.approx((7.5 + 4) / (10 + 10))


def test_a_doubtful_vote_counts_less() -> None:
    votes = WeakVotes(np.array([[0], [0], [0]], np.int16), 2, True, (), np.array([[1.0], [0.5], [np.nan]], np.float32))
    answer = NoisyOr().fit(votes, Labels.none(2)).predict(votes)
    assert answer[0, 0] == pytest.approx(0.75)
    assert answer[1, 0] == pytest.approx(0.5)
    assert answer[2, 0] == pytest.approx(0.75)


@given(st.integers(0, 1000))
def test_order_of_rows_and_functions_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.integers(-2, 3, size=(15, 4)).astype(np.int16)
    votes = WeakVotes(raw, 3, multiple=True)
    answer = NoisyOr().fit(votes, Labels.none(3)).predict(votes)
    rows, columns = rng.permutation(15), rng.permutation(4)
    turned = WeakVotes(raw[rows][:, columns], 3, multiple=True)
    np.testing.assert_allclose(
        NoisyOr().fit(turned, Labels.none(3)).predict(turned), answer[rows], rtol=1e-6, equal_nan=True
    )
    assert np.array_equal(np.isnan(answer).all(axis=1), ~votes.covered)
