"""Semi-supervised EM: people's labels hold, and need not be a random sample."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.core.weak.base import Labels, WeakVotes
from adapter.core.weak.majority import majority
from adapter.core.weak.semi_supervised import SemiSupervised


def planted(n: int, seed: int) -> tuple[WeakVotes, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(2, size=n)
    right = rng.random((n, 5)) < [0.95, 0.6, 0.6, 0.55, 0.4]
    votes = np.where(right, truth[:, None], 1 - truth[:, None])
    return WeakVotes(np.where(rng.random(votes.shape) < 0.7, votes, -1).astype(np.int16), 2), truth


def labels_of(rows: np.ndarray, truth: np.ndarray) -> Labels:
    return Labels(rows.astype(np.int64), np.eye(2, dtype=np.float32)[truth[rows]], np.ones(len(rows), np.float32))


def hits(answer: np.ndarray, truth: np.ndarray) -> float:
    covered = np.isfinite(answer).all(axis=1)
    top = answer[covered] >= answer[covered].max(axis=1, keepdims=True) - 1e-6
    return float((top[np.arange(len(top)), truth[covered]] / top.sum(axis=1)).mean())


def test_labels_lift_it_above_majority() -> None:
    votes, truth = planted(3000, seed=0)
    answer = SemiSupervised().fit(votes, labels_of(np.arange(50), truth)).predict(votes)
    assert hits(answer[50:], truth[50:]) > hits(majority(votes.votes, 2)[50:], truth[50:]) + 0.05


def test_labels_chosen_by_the_votes_are_as_good_as_random_ones() -> None:
    votes, truth = planted(3000, seed=1)
    shares = majority(votes.votes, 2)
    unsure = np.argsort(np.nan_to_num(np.abs(shares[:, 0] - 0.5), nan=1.0), kind="stable")[:80]
    rest = np.setdiff1d(np.arange(3000), unsure)
    answer = SemiSupervised().fit(votes, labels_of(unsure, truth)).predict(votes)
    assert hits(answer[rest], truth[rest]) > hits(shares[rest], truth[rest]) + 0.03


def test_it_knows_no_order_of_rows() -> None:
    votes, truth = planted(200, seed=2)
    gold = np.arange(0, 200, 7)
    plain = SemiSupervised().fit(votes, labels_of(gold, truth)).predict(votes)
    order = np.random.default_rng(0).permutation(200)
    there = votes.at(order.astype(np.int64))
    moved = Labels(np.argsort(order)[gold], labels_of(gold, truth).targets, np.ones(len(gold), np.float32))
    np.testing.assert_array_equal(SemiSupervised().fit(there, moved).predict(there), plain[order])


def test_uncovered_rows_stay_nan_even_with_a_label() -> None:
    votes = WeakVotes(np.array([[0, 0], [-1, -2], [1, 1], [0, -1]], np.int16), 2)
    answer = SemiSupervised().fit(votes, labels_of(np.array([0, 1]), np.array([0, 1, 1, 0]))).predict(votes)
    assert np.isnan(answer[1]).all()
    assert np.isfinite(answer[[0, 2, 3]]).all()


def test_it_says_why_it_cannot_work() -> None:
    votes, _ = planted(20, seed=3)
    with pytest.raises(ValueError, match="needs people's labels on rows that a function votes on"):
        SemiSupervised().fit(votes, Labels.none(2))
    with pytest.raises(ValueError, match="several may hold"):
        SemiSupervised().fit(WeakVotes(votes.votes, 2, multiple=True), labels_of(np.arange(2), np.zeros(2, int)))
