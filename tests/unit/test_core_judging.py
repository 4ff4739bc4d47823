"""How much a label tells about labeling functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.judging import deciding_shares, judged, judging_value, pick_judging

A = -1


def votes_of(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.int16)


def test_a_function_never_judged_is_judged_first() -> None:
    votes = votes_of([0, A, A], [A, 1, A], [A, A, 0])
    value = judging_value(votes, [40, 0, 40], [36, 0, 20])
    assert value.argmax() == 1
    assert pick_judging(votes, [40, 0, 40], [36, 0, 20], 1).about.tolist() == [1]


def test_what_a_label_tells_fades_with_the_square_of_the_labels() -> None:
    votes = votes_of([0])
    value = [float(judging_value(votes, [n], [n / 2])[0]) for n in (0, 1, 10, 100)]
    # p (1 - p) / (n + 3)^2 with p = 1/2, as a share of 1/36, half of it because nothing contradicts.
    assert value == pytest.approx([0.5 * 36 * 0.25 / (n + 3) ** 2 for n in (0, 1, 10, 100)], rel=1e-5)
    assert value[-1] < 0.001


def test_a_function_of_unsure_accuracy_tells_more_than_one_that_is_always_right() -> None:
    votes = votes_of([0, A], [A, 0])
    value = judging_value(votes, [10, 10], [10, 5])
    assert value[1] > value[0]


def test_a_label_tells_more_where_functions_contradict_each_other() -> None:
    votes = votes_of([0, 0], [0, 1])
    value = judging_value(votes, [0, 0], [0, 0])
    assert value[1] == pytest.approx(2 * value[0])
    several = judging_value(votes, [0, 0], [0, 0], multiple=True)
    assert several[1] == pytest.approx(several[0])


def test_a_function_that_decides_more_of_the_pool_counts_more() -> None:
    votes = votes_of([0, A], [0, A], [0, A], [A, 0])
    assert deciding_shares(votes).tolist() == [0.75, 0.25]
    value = judging_value(votes, [0, 0], [0, 0])
    assert value[0] == pytest.approx(3 * value[3])


def test_rows_without_votes_and_faults_tell_nothing() -> None:
    votes = votes_of([A, A], [-2, -2], [0, A])
    assert judging_value(votes, [0, 0], [0, 0]).tolist()[:2] == [0, 0]
    assert pick_judging(votes, [0, 0], [0, 0], 10).rows.tolist() == [2]


def test_picks_do_not_all_judge_the_same_function() -> None:
    votes = np.full((400, 4), A, np.int16)
    for row in range(400):
        votes[row, row % 4] = 0
    picks = pick_judging(votes, np.zeros(4), np.zeros(4), 12)
    assert np.bincount(picks.about).tolist() == [3, 3, 3, 3]
    assert len(set(picks.rows.tolist())) == 12
    assert (np.diff(picks.value) <= 0).all()


def test_a_well_judged_function_is_left_alone_until_the_others_have_caught_up() -> None:
    votes = np.full((200, 2), A, np.int16)
    votes[:100, 0], votes[100:, 1] = 0, 1
    picks = pick_judging(votes, [50, 0], [25, 0], 10)
    assert picks.about.tolist() == [1] * 10


def test_equal_rows_come_in_the_order_given_and_the_order_of_storage_changes_nothing() -> None:
    random = np.random.default_rng(1)
    votes = np.where(random.random((300, 5)) < 0.4, random.integers(0, 3, (300, 5)), A).astype(np.int16)
    order = random.random(300)
    picks = pick_judging(votes, np.zeros(5), np.zeros(5), 30, order=order)
    shuffled = random.permutation(300)
    again = pick_judging(votes[shuffled], np.zeros(5), np.zeros(5), 30, order=order[shuffled])
    assert shuffled[again.rows].tolist() == picks.rows.tolist()


def test_picking_looks_beyond_the_front_when_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    votes = np.where(random.random((500, 6)) < 0.5, random.integers(0, 2, (500, 6)), A).astype(np.int16)
    whole = pick_judging(votes, np.zeros(6), np.zeros(6), 40)
    monkeypatch.setattr("adapter.core.judging._FRONT", 2)
    assert pick_judging(votes, np.zeros(6), np.zeros(6), 40).rows.tolist() == whole.rows.tolist()


def test_labels_are_counted_for_each_function_that_voted() -> None:
    votes = votes_of([0, 1], [0, A], [1, 1], [-2, 0])
    asked, right = judged(votes, np.array([0, 1, 3]), np.array([[1, 0], [0, 1], [0.25, 0.75]]))
    assert asked.tolist() == [2, 2]
    assert right.tolist() == [1, 0.25]


def test_what_does_not_fit_is_refused() -> None:
    votes = votes_of([0, 1])
    with pytest.raises(ValueError, match="2 functions"):
        judging_value(votes, [0], [0])
    with pytest.raises(ValueError, match="more often than it was judged"):
        judging_value(votes, [1, 1], [2, 0])
    with pytest.raises(ValueError, match="places in the order"):
        pick_judging(votes, [0, 0], [0, 0], 1, order=np.zeros(3))
    with pytest.raises(ValueError, match="targets"):
        judged(votes, np.array([0]), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="shape"):
        judging_value(np.zeros(3, np.int16), [0], [0])


def test_rows_whose_functions_are_known_are_left_alone() -> None:
    votes = votes_of([0, A], [A, 1], [0, 1], [A, A])
    assert len(pick_judging(votes, [50, 50], [45, 45], 9).rows) == 3
    assert len(pick_judging(votes, [50, 50], [45, 45], 9, least=0.05).rows) == 0
    # One function is unknown: its rows are picked until it has been judged, six times if it is always right.
    many = votes_of(*[[0, A]] * 30, *[[A, 1]] * 30)
    picks = pick_judging(many, [50, 0], [45, 0], 30, least=0.05)
    assert set(picks.about.tolist()) == {1}
    assert 5 <= len(picks.rows) <= 12


def test_nothing_to_judge_gives_nothing() -> None:
    assert judging_value(np.empty((0, 3), np.int16), np.zeros(3), np.zeros(3)).shape == (0,)
    assert judging_value(np.empty((4, 0), np.int16), [], []).tolist() == [0, 0, 0, 0]
    assert len(pick_judging(np.empty((4, 0), np.int16), [], [], 3).rows) == 0


@given(
    st.lists(st.lists(st.integers(-2, 3), min_size=3, max_size=3), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1)), min_size=3, max_size=3),
    st.integers(0, 40),
)
def test_values_stay_between_0_and_1_and_picks_are_distinct(
    rows: list[list[int]], counts: list[tuple[int, float]], count: int
) -> None:
    votes = votes_of(*rows)
    asked = [n for n, _ in counts]
    right = [n * share for n, share in counts]
    value = judging_value(votes, asked, right)
    assert value.dtype == np.float32
    assert ((value >= 0) & (value <= 1)).all()
    assert ((value > 0) == (votes >= 0).any(axis=1)).all()
    picks = pick_judging(votes, asked, right, count)
    assert len(set(picks.rows.tolist())) == len(picks.rows) == min(count, int((value > 0).sum()))
    if len(picks.rows):
        assert picks.value[0] == pytest.approx(value.max(), rel=1e-4)
