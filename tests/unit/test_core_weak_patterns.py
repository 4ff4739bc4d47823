from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adapter.core.weak.lookup import posteriors, table_sums
from adapter.core.weak.moments import pair_counts
from adapter.core.weak.patterns import unique_patterns

FEW = arrays(np.int16, st.tuples(st.integers(0, 40), st.integers(0, 7)), elements=st.integers(-2, 3))
WIDE = arrays(np.int16, st.tuples(st.integers(1, 12), st.integers(1, 80)), elements=st.integers(-2, 300))


@given(st.one_of(FEW, WIDE))
def test_patterns_are_the_sorted_distinct_rows_with_faults_as_abstentions(votes: np.ndarray) -> None:
    clean = np.maximum(votes, -1)
    found = unique_patterns(votes)
    assert [tuple(row) for row in found.rows.tolist()] == sorted({tuple(row) for row in clean.tolist()})
    np.testing.assert_array_equal(found.rows[found.inverse], clean)
    np.testing.assert_array_equal(found.counts, np.bincount(found.inverse, minlength=len(found)))
    assert found.rows.dtype == np.int16
    assert found.rows.shape[1] == votes.shape[1]


def test_patterns_know_no_order_of_rows() -> None:
    rng = np.random.default_rng(0)
    votes = rng.integers(-1, 2, (500, 6)).astype(np.int16)
    order = rng.permutation(len(votes))
    one, other = unique_patterns(votes), unique_patterns(votes[order])
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(one.inverse[order], other.inverse)


def test_patterns_are_the_same_in_either_memory_order() -> None:
    votes = np.random.default_rng(1).integers(-1, 4, (300, 30)).astype(np.int16)
    np.testing.assert_array_equal(unique_patterns(votes).inverse, unique_patterns(np.asfortranarray(votes)).inverse)


def test_spread_and_sums_go_from_patterns_to_rows_and_back() -> None:
    votes = np.array([[1, -1], [0, 0], [1, -2], [0, 0], [-1, -1]], np.int16)
    found = unique_patterns(votes)
    assert found.rows.tolist() == [[-1, -1], [0, 0], [1, -1]]
    assert found.counts.tolist() == [1, 2, 2]
    assert found.spread(np.array([10, 20, 30])).tolist() == [30, 20, 30, 20, 10]
    assert found.sums(np.array([1.0, 2.0, 3.0, 4.0, 5.0])).tolist() == [5.0, 6.0, 4.0]


def test_patterns_refuse_what_is_no_matrix() -> None:
    with pytest.raises(ValueError, match="shape"):
        unique_patterns(np.zeros(3, np.int16))


def test_nearly_unique_rows_cost_a_sort_or_two() -> None:
    votes = np.random.default_rng(0).integers(-1, 4, (200_000, 30)).astype(np.int16)
    started = time.process_time()
    found = unique_patterns(votes)
    assert len(found) == len(votes)
    assert time.process_time() - started < 3.0  # .07 s on a quiet machine; np.unique by rows takes 20 x that


@given(FEW)
def test_pair_counts_are_those_of_the_one_hot_matrix(votes: np.ndarray) -> None:
    n, m = votes.shape
    one_hot = (votes[:, :, None] == np.arange(4)).reshape(n, m * 4).astype(int)
    np.testing.assert_array_equal(pair_counts(votes, 4), one_hot.T @ one_hot)


def test_pair_counts_add_up_over_chunks() -> None:
    votes = np.random.default_rng(2).integers(-1, 2, (150_001, 4)).astype(np.int16)
    one_hot = (votes[:, :, None] == np.arange(2)).reshape(len(votes), 8).astype(int)
    np.testing.assert_array_equal(pair_counts(votes, 2), one_hot.T @ one_hot)


@given(FEW, st.integers(0, 2**32 - 1))
def test_sums_look_up_each_vote_in_its_functions_table(votes: np.ndarray, seed: int) -> None:
    n, m = votes.shape
    tables = np.random.default_rng(seed).normal(size=(m, 5, 3))
    expected = np.zeros((n, 3))
    for row in range(n):
        for column in range(m):
            expected[row] += tables[column, max(votes[row, column], -1) + 1]
    for rows, sums, covered in table_sums(votes, tables):
        np.testing.assert_allclose(sums, expected[rows], atol=1e-12)
        np.testing.assert_array_equal(covered, (votes[rows] >= 0).any(axis=1))


def test_sums_serve_labels_by_the_hundred() -> None:
    rng = np.random.default_rng(3)
    votes = rng.integers(-1, 300, (5000, 3)).astype(np.int16)
    tables = rng.normal(size=(3, 301, 2))
    expected = sum(tables[column, votes[:, column] + 1] for column in range(3))
    np.testing.assert_allclose(np.concatenate([sums for _, sums, _ in table_sums(votes, tables)]), expected)


def test_sums_refuse_tables_of_other_functions() -> None:
    with pytest.raises(ValueError, match="2 functions but tables of 3"):
        list(table_sums(np.zeros((4, 2), np.int16), np.zeros((3, 3, 2))))


def test_posteriors_do_not_underflow_and_leave_uncovered_rows_nan() -> None:
    votes = np.array([[0, 0], [-1, -2], [1, 1], [0, 1]], np.int16)
    tables = np.zeros((2, 3, 2))
    tables[:, 1], tables[:, 2] = [-1000.0, -3000.0], [-3000.0, -1000.0]
    answer = posteriors(votes, tables, np.log([0.25, 0.75]))
    assert answer.dtype == np.float32
    assert answer[[0, 2]].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert answer[3].tolist() == [0.25, 0.75]
    assert np.isnan(answer[1]).all()
