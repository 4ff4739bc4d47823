"""Weighted vote: majority without labels, better with a few, unmoved by order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.weak.base import Labels, WeakVotes
from adapter.core.weak.majority import majority
from adapter.core.weak.weighted import EVEN_ODDS, STEP, FittedWeights, WeightedVote


def labels_of(rows: np.ndarray, truth: np.ndarray, k: int, weight: float = 1.0) -> Labels:
    targets = np.eye(k, dtype=np.float32)[truth[rows]]
    return Labels(rows.astype(np.int64), targets, np.full(len(rows), weight, np.float32))


def planted(n: int, accuracy: list[float], coverage: float, seed: int, k: int = 2) -> tuple[WeakVotes, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(k, size=n)
    right = rng.random((n, len(accuracy))) < accuracy
    wrong = (truth[:, None] + rng.integers(1, k, size=right.shape)) % k
    votes = np.where(right, truth[:, None], wrong)
    return WeakVotes(np.where(rng.random(votes.shape) < coverage, votes, -1).astype(np.int16), k), truth


def hits(probabilities: np.ndarray, truth: np.ndarray) -> float:
    covered = np.isfinite(probabilities).all(axis=1)
    return float((probabilities[covered].argmax(axis=1) == truth[covered]).mean())


def test_without_labels_it_is_majority() -> None:
    votes, _ = planted(200, [0.9, 0.6, 0.6], 0.7, seed=0)
    answer = WeightedVote().fit(votes, Labels.none(2)).predict(votes)
    np.testing.assert_array_equal(answer, majority(votes.votes, 2))


def test_labels_of_uncovered_rows_teach_nothing() -> None:
    votes = WeakVotes(np.array([[-1, -1], [0, 1]], np.int16), 2)
    answer = WeightedVote().fit(votes, labels_of(np.array([0]), np.array([1, 0]), 2)).predict(votes)
    assert np.isnan(answer[0]).all()
    assert answer[1].tolist() == [0.5, 0.5]


def test_fifty_labels_beat_majority_where_functions_differ() -> None:
    votes, truth = planted(4000, [0.97, 0.55, 0.55, 0.55, 0.55], 0.9, seed=1)
    labels = labels_of(np.arange(50), truth, 2)
    learned = WeightedVote().fit(votes, labels).predict(votes)
    assert hits(learned[50:], truth[50:]) > hits(majority(votes.votes, 2)[50:], truth[50:]) + 0.05


def test_a_function_that_is_always_wrong_turns_into_evidence_against_its_label() -> None:
    votes = WeakVotes(np.zeros((60, 1), np.int16), 2)
    truth = np.ones(60, np.int64)
    few = WeightedVote().fit(votes, labels_of(np.arange(3), truth, 2)).predict(votes)[0]
    many = WeightedVote().fit(votes, labels_of(np.arange(60), truth, 2)).predict(votes)[0]
    assert few[0] > 0.5 > many[0]


def test_functions_that_repeat_each_other_share_their_evidence() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(2, size=400)
    once = np.where(rng.random(400) < 0.85, truth, 1 - truth)
    other = np.where(rng.random(400) < 0.85, truth, 1 - truth)
    votes = WeakVotes(np.stack([once, once, once, other], axis=1).astype(np.int16), 2)
    fitted = WeightedVote().fit(votes, labels_of(np.arange(400), truth, 2))
    assert isinstance(fitted, FittedWeights)
    strength = [float(fitted.weights[j, 1, 0] - fitted.weights[j, 1, 1]) for j in range(4)]
    assert strength[3] > 2 * strength[0]
    assert strength[0] == pytest.approx(strength[1]) == pytest.approx(strength[2])


def test_weights_are_steps_away_from_equal_ones_and_unseen_functions_keep_theirs() -> None:
    votes, truth = planted(100, [0.9, 0.6, 0.7], 0.8, seed=4)
    never = WeakVotes(np.concatenate([votes.votes, np.full((100, 1), -1, np.int16)], axis=1), 2)
    fitted = WeightedVote().fit(never, labels_of(np.arange(100), truth, 2))
    assert isinstance(fitted, FittedWeights)
    np.testing.assert_array_equal(fitted.weights[3, 1:], EVEN_ODDS * np.eye(2))
    steps = (fitted.weights[:, 1:] - EVEN_ODDS * np.eye(2)) / STEP
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert (fitted.weights[:, 0] == 0).all()


def test_one_label_breaks_no_tie_between_functions_that_it_says_little_of() -> None:
    votes = WeakVotes(np.array([[0, -1, 0], [0, 1, -1]], np.int16), 2)
    answer = WeightedVote().fit(votes, labels_of(np.array([0]), np.array([0, 1]), 2)).predict(votes)
    assert answer[1, 0] == answer[1, 1]


def test_labels_that_people_doubt_count_less() -> None:
    votes = WeakVotes(np.zeros((40, 1), np.int16), 2)
    truth = np.ones(40, np.int64)
    sure = WeightedVote().fit(votes, labels_of(np.arange(40), truth, 2)).predict(votes)[0, 0]
    unsure = WeightedVote().fit(votes, labels_of(np.arange(40), truth, 2, weight=0.1)).predict(votes)[0, 0]
    assert sure < unsure


def test_a_confident_vote_weighs_more_than_a_doubtful_one() -> None:
    votes = np.array([[0, 1]] * 30, np.int16)
    sure = np.tile(np.array([[1.0, 0.2]], np.float32), (30, 1))
    said = WeakVotes(votes, 2, confidence=sure)
    answer = WeightedVote().fit(said, labels_of(np.arange(5), np.zeros(30, np.int64), 2)).predict(said)
    assert answer[0, 0] > 0.8


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4))
def test_order_of_rows_labels_and_functions_changes_no_answer(seed: int, k: int) -> None:
    votes, truth = planted(60, [0.9, 0.7, 0.6, 0.6], 0.6, seed=seed, k=k)
    rng = np.random.default_rng(seed)
    gold = np.sort(rng.choice(60, 25, replace=False))
    plain = WeightedVote().fit(votes, labels_of(gold, truth, k)).predict(votes)

    order = rng.permutation(60)
    place = np.argsort(order)
    there = votes.at(order.astype(np.int64))
    rows = Labels(place[gold], np.eye(k, dtype=np.float32)[truth[gold]], np.ones(25, np.float32))
    np.testing.assert_array_equal(WeightedVote().fit(there, rows).predict(there), plain[order])

    columns = rng.permutation(4)
    turned = WeakVotes(votes.votes[:, columns], k)
    np.testing.assert_allclose(
        WeightedVote().fit(turned, labels_of(gold, truth, k)).predict(turned), plain, atol=1e-5, equal_nan=True
    )

    names = rng.permutation(k)
    said = WeakVotes(np.where(votes.votes >= 0, names[votes.votes], -1).astype(np.int16), k)
    renamed = WeightedVote().fit(said, labels_of(gold, names[truth], k)).predict(said)
    np.testing.assert_allclose(renamed[:, names], plain, atol=1e-5, equal_nan=True)


def test_several_labels_each_have_their_own_precision() -> None:
    votes = WeakVotes(np.array([[0, -1]] * 30 + [[1, -1]] * 30 + [[-1, -1]], np.int16), 3, multiple=True)
    targets = np.zeros((60, 3), np.float32)
    targets[:30, 0] = 1
    targets[30:33, 1] = 1
    labels = Labels(np.arange(60, dtype=np.int64), targets, np.ones(60, np.float32))
    answer = WeightedVote().fit(votes, labels).predict(votes)
    assert answer[0, 0] > 0.85
    assert answer[30, 1] < 0.4
    assert answer[0, 2] == 0.5  # no function ever votes for it
    assert np.isnan(answer[60]).all()


def test_several_labels_need_not_sum_to_one() -> None:
    votes = WeakVotes(np.array([[0, 1, 1]], np.int16), 2, multiple=True)
    answer = WeightedVote().fit(votes, Labels.none(2)).predict(votes)[0]
    assert answer[0] == pytest.approx(0.75)
    assert answer[1] > 0.75
