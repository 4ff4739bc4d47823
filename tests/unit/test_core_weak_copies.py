"""Near-copies are found by what they do on the rows of either, and count once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.weak.base import WeakVotes
from adapter.core.weak.copies import near_copies


def votes_of(*columns: np.ndarray, k: int = 2, names: tuple[str, ...] = ()) -> WeakVotes:
    return WeakVotes(np.stack(columns, axis=1).astype(np.int16), k, names=names)


def sparse(n: int, share: float, label: int, seed: int) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(n) < share, label, -1)


def test_an_exact_copy_and_one_with_a_few_other_rows_are_found_and_named() -> None:
    plain = sparse(1000, 0.2, 1, 0)
    nearly = plain.copy()
    nearly[np.flatnonzero(plain >= 0)[:3]] = -1
    votes = votes_of(plain, sparse(1000, 0.2, 1, 1), plain, nearly, names=("d", "b", "c", "a"))
    found = near_copies(votes, 0.95)
    assert found.groups == ((0, 2, 3),)
    assert found.named(votes.names) == (("a", "c", "d"),)
    assert near_copies(votes_of(plain, plain), 0.95).named(()) == (("function 1", "function 2"),)


def test_good_one_sided_functions_that_always_agree_are_no_copies() -> None:
    spam = np.random.default_rng(2).random(2000) < 0.5
    columns = [np.where(spam & (np.random.default_rng(seed).random(2000) < 0.6), 1, -1) for seed in range(4)]
    assert near_copies(votes_of(*columns), 0.95).groups == ()


def test_a_frequent_label_does_not_hide_a_different_rare_one() -> None:
    rng = np.random.default_rng(3)
    columns = [np.where(rng.random(5000) < 0.02, 1, 0) for _ in range(2)]
    agree = float((columns[0] == columns[1]).mean())
    assert agree > 0.95
    assert near_copies(votes_of(*columns), 0.95).groups == ()


def test_a_few_rows_are_too_few_to_call_two_functions_copies() -> None:
    rare = np.full(1000, -1)
    rare[:8] = 1
    assert near_copies(votes_of(rare, rare), 0.95).groups == ()
    rare[:30] = 1
    assert near_copies(votes_of(rare, rare), 0.95).groups == ((0, 1),)


def test_functions_that_never_vote_are_no_copies() -> None:
    silent = np.full(100, -1)
    votes = votes_of(silent, silent)
    assert near_copies(votes, 0.95).groups == ()
    assert near_copies(votes, 0.95).merged(votes) is votes


def test_merged_copies_are_one_column_of_what_most_say() -> None:
    votes = WeakVotes(
        np.array([[0, 1, 0, 0], [1, -1, -1, 1], [0, 1, 1, -2], [-1, 0, -1, -1]] * 30, np.int16),
        2,
        names=("a", "x", "b", "c"),
        confidence=np.tile(np.array([[0.2, 1, 0.4, np.nan]], np.float32), (120, 1)),
    )
    found = near_copies(votes, 0.95)
    assert found.groups == ()
    merged = type(found)(((0, 2, 3),), 4).merged(votes)
    assert merged.names == ("a", "x")
    assert merged.votes[:4].tolist() == [[0, 1], [1, -1], [-1, 1], [-1, 0]]
    assert merged.confidence is not None
    assert merged.confidence[0, 0] == pytest.approx((0.2 + 0.4 + 1) / 3)
    assert merged.confidence[1, 0] == pytest.approx((0.2 + 1) / 2)


@given(st.integers(0, 500))
def test_order_of_rows_and_functions_changes_no_group(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = sparse(200, 0.3, 1, seed)
    noisy = np.where(rng.random(200) < 0.02, 0, base)
    columns = [base, sparse(200, 0.3, 0, seed + 1), noisy, base, sparse(200, 0.9, 1, seed + 2)]
    names = np.array(["a", "b", "c", "d", "e"])
    plain = near_copies(votes_of(*columns, names=tuple(names)), 0.95).named(tuple(names))
    order, rows = rng.permutation(5), rng.permutation(200)
    turned = votes_of(*(columns[i][rows] for i in order), names=tuple(names[order]))
    assert near_copies(turned, 0.95).named(turned.names) == plain


@pytest.mark.data
def test_different_functions_of_the_public_sets_are_never_merged(data_folder: Path) -> None:
    from benchmarks.weak_data import ag_news, sms, youtube

    for read in (youtube, sms, ag_news):
        data = read(data_folder)
        assert near_copies(WeakVotes(data.votes, data.k), 0.8).groups == (), data.name
