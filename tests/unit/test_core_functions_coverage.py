"""How often functions speak, and with or against whom: hand-counted tables and invariants."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from adapter.core.functions import conflicts, coverages, pool, similarities, twins
from adapter.core.functions import coverage as module

Votes = npt.NDArray[np.int16]
#               a   b   c
TABLE = np.array(
    [
        [0, 0, -1],  # a and b agree
        [0, 1, -1],  # a and b conflict
        [0, -1, -1],  # a alone
        [-1, 1, 1],  # b and c agree
        [-1, -1, -2],  # c failed
        [-1, -1, -1],  # nobody
    ],
    np.int16,
)
VOTES = arrays.arrays(np.int16, st.tuples(st.integers(0, 12), st.integers(1, 5)), elements=st.integers(-2, 2))


def test_coverage_overlap_and_conflict_are_the_hand_counted_fractions() -> None:
    a, b, c = coverages(TABLE, 2)
    assert (a.coverage, a.overlap, a.conflict) == (3 / 6, 2 / 6, 1 / 6)
    assert (b.coverage, b.overlap, b.conflict) == (3 / 6, 3 / 6, 1 / 6)
    assert (c.coverage, c.overlap, c.conflict, c.faults) == (1 / 6, 1 / 6, 0.0, 1)


def test_polarity_and_one_sidedness_tell_what_a_function_says() -> None:
    a, b, _ = coverages(TABLE, 2)
    assert (a.polarity, a.one_sidedness, a.said) == ((0,), 1.0, (3, 0))
    assert (b.polarity, b.said) == ((0, 1), (1, 2))
    assert b.one_sidedness == pytest.approx(2 / 3)
    silent = coverages(np.full((3, 1), -1, np.int16), 2)[0]
    assert (silent.polarity, silent.one_sidedness, silent.coverage) == ((), None, 0.0)


def test_the_pool_is_counted_in_rows() -> None:
    whole = pool(TABLE, 2)
    assert (whole.rows, whole.covered, whole.uncovered, whole.overlapping, whole.conflicting) == (6, 4, 2, 3, 1)


def test_votes_for_several_labels_do_not_conflict() -> None:
    assert all(item.conflict is None for item in coverages(TABLE, 2, multiple=True))
    assert pool(TABLE, 2, multiple=True).conflicting is None


def test_coverage_is_a_share_of_the_tasks_that_a_function_has_seen() -> None:
    assert coverages(TABLE, 2, seen=[3, 6, 6])[0].coverage == 1.0


def test_conflicts_count_the_opponents() -> None:
    where, count = conflicts(np.array([[0, 1, 1], [0, 0, -1], [-1, 1, 0]], np.int16), 0)
    assert where.tolist() == [True, False, False]
    assert count.tolist() == [2, 0, 0]


def test_large_pools_are_counted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    votes = np.random.default_rng(0).integers(-2, 3, (50, 4)).astype(np.int16)
    whole = coverages(votes, 3), pool(votes, 3), similarities(votes, 3).tolist()
    monkeypatch.setattr(module, "BLOCK", 7)
    assert (coverages(votes, 3), pool(votes, 3), similarities(votes, 3).tolist()) == whole


def test_similarity_is_agreement_times_the_overlap_of_coverage() -> None:
    alike = similarities(TABLE, 2)
    assert alike[0, 1] == pytest.approx(1 / 4)  # they agree on 1 of 2 shared rows, and share 2 of 4
    assert alike[1, 2] == pytest.approx(1 / 3)
    assert alike[0, 2] == 0.0
    assert [(twin.other, round(twin.similarity, 3)) for twin in twins(alike)] == [(1, 0.25), (2, 0.333), (1, 0.333)]


def test_a_function_that_never_votes_has_no_twin() -> None:
    votes = np.array([[0, -1, -1], [1, -1, -1]], np.int16)
    assert [twin.other for twin in twins(similarities(votes, 3))] == [None, None, None]


@settings(deadline=None)
@given(VOTES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_figure(votes: Votes, random: object) -> None:
    order = np.random.default_rng(random.getrandbits(32)).permutation(len(votes))  # type: ignore[attr-defined]
    assert coverages(votes, 3) == coverages(votes[order], 3)
    assert pool(votes, 3) == pool(votes[order], 3)
    assert np.array_equal(similarities(votes, 3), similarities(votes[order], 3))


@settings(deadline=None)
@given(VOTES)
def test_figures_are_nested(votes: Votes) -> None:
    whole = pool(votes, 3)
    assert whole.conflicting is not None
    assert whole.conflicting <= whole.overlapping <= whole.covered <= whole.rows
    for item in coverages(votes, 3):
        assert item.conflict is not None
        assert item.conflict <= item.overlap <= item.coverage <= 1
        assert item.votes == sum(item.said)
        assert item.votes + item.faults <= len(votes)


@settings(deadline=None)
@given(VOTES)
def test_a_copy_is_its_original_s_nearest_twin(votes: Votes) -> None:
    doubled = np.column_stack([votes, votes[:, 0]])
    alike = similarities(doubled, 3)
    assert np.allclose(alike, alike.T)
    assert ((alike >= 0) & (alike <= 1)).all()
    if (votes[:, 0] >= 0).any():
        assert alike[0, -1] == 1.0
        assert twins(alike)[-1].similarity == 1.0
