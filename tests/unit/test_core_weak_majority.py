from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adapter.core.weak.base import Labels, WeakVotes
from adapter.core.weak.majority import Majority, majority

VOTES = arrays(np.int16, st.tuples(st.integers(0, 12), st.integers(0, 5)), elements=st.integers(-2, 2))


def test_majority_is_the_share_of_votes() -> None:
    votes = np.array([[0, 0, 1], [1, -1, -1], [-1, -2, 2]], np.int16)
    assert majority(votes, 3).tolist() == pytest.approx(np.array([[2 / 3, 1 / 3, 0], [0, 1, 0], [0, 0, 1]]))


@given(VOTES)
def test_shares_count_votes_and_uncovered_rows_are_nan(votes: np.ndarray) -> None:
    given_votes = WeakVotes(votes, 3)
    answer = Majority().fit(given_votes, Labels.none(3)).predict(given_votes)
    assert answer.shape == (len(votes), 3)
    assert answer.dtype == np.float32
    for row, shares in zip(votes, answer, strict=True):
        said = row[row >= 0]
        if len(said):
            np.testing.assert_allclose(shares, np.bincount(said, minlength=3) / len(said), rtol=1e-6)
        else:
            assert np.isnan(shares).all()


def test_tie_stays_a_tie_whatever_the_order_of_labels_and_functions() -> None:
    votes = np.array([[0, 1, 2, 2, 1, 0], [2, 2, 0, 0, -1, -2]], np.int16)
    answer = majority(votes, 3)
    assert len(set(answer[0].tolist())) == 1
    assert answer[1, 0] == answer[1, 2] == 0.5


def test_confident_votes_weigh_more() -> None:
    votes = np.array([[0, 1, 1]], np.int16)
    answer = majority(votes, 2, confidence=np.array([[0.9, 0.3, 0.3]], np.float32))
    assert answer[0].tolist() == pytest.approx([0.6, 0.4])


def test_vote_without_a_stated_confidence_weighs_one() -> None:
    votes = np.array([[0, 1, -1]], np.int16)
    answer = majority(votes, 2, confidence=np.array([[np.nan, 0.5, 1.0]], np.float32))
    assert answer[0].tolist() == pytest.approx([2 / 3, 1 / 3])


def test_votes_worth_nothing_are_counted_plainly_not_called_uncovered() -> None:
    votes = np.array([[0, 1, 1], [-1, -1, -1]], np.int16)
    answer = majority(votes, 2, confidence=np.zeros((2, 3), np.float32))
    assert answer[0].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert np.isnan(answer[1]).all()


def test_the_same_confidences_in_another_order_make_the_same_tie() -> None:
    sure = np.array([0.1, 0.7, 0.33, 0.91, 0.2], np.float32)
    votes = np.array([[0] * 5 + [1] * 5], np.int16)
    confidence = np.concatenate([sure, sure[::-1]])[None]
    assert majority(votes, 2, confidence=confidence)[0].tolist() == [0.5, 0.5]


def test_all_ones_of_confidence_change_nothing() -> None:
    votes = np.random.default_rng(0).integers(-1, 4, (9000, 7)).astype(np.int16)
    plain = majority(votes, 4)
    np.testing.assert_array_equal(majority(votes, 4, confidence=np.ones(votes.shape, np.float32)), plain)


def test_row_answers_by_its_own_votes_alone() -> None:
    rng = np.random.default_rng(1)
    votes = rng.integers(-1, 3, (10_000, 6)).astype(np.int16)
    order = rng.permutation(len(votes))
    np.testing.assert_array_equal(majority(votes[order], 3), majority(votes, 3)[order])


def test_majority_refuses_labels_that_hold_together() -> None:
    with pytest.raises(ValueError, match="several may hold at once"):
        Majority().fit(WeakVotes(np.zeros((3, 2), np.int16), 2, multiple=True), Labels.none(2))
