from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.folds import grouped_folds

ROWS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3)), min_size=2, max_size=40).filter(
    lambda rows: len({group for group, _ in rows}) > 1
)


@given(ROWS, st.integers(2, 6), st.integers(0, 9))
def test_a_group_never_spans_two_folds_and_no_fold_is_empty(rows: list[tuple[str, int]], folds: int, seed: int) -> None:
    groups = [group for group, _ in rows]
    found = grouped_folds(groups, folds, seed, [label for _, label in rows])
    where: dict[str, set[int]] = {}
    for group, fold in zip(groups, found.tolist(), strict=True):
        where.setdefault(group, set()).add(fold)
    assert all(len(fold) == 1 for fold in where.values())
    assert set(found.tolist()) <= set(range(folds))
    assert len(set(found.tolist())) >= 2


@given(ROWS, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(rows: list[tuple[str, int]], random: object) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = [rows[i] for i in order]
    before = grouped_folds([g for g, _ in rows], 3, 0, [s for _, s in rows])
    after = grouped_folds([g for g, _ in shuffled], 3, 0, [s for _, s in shuffled])
    assert after.tolist() == before[order].tolist()


def test_strata_and_sizes_are_even() -> None:
    strata = ["common"] * 90 + ["rare"] * 10
    folds = grouped_folds([str(i) for i in range(100)], 5, 0, strata)
    assert sorted(Counter(folds.tolist()).values()) == [20] * 5
    assert sorted(Counter(folds[90:].tolist()).values()) == [2] * 5


def test_class_with_one_group_and_more_folds_than_groups_are_borne() -> None:
    assert sorted(grouped_folds(["a", "b", "c"], 5, 0, [0, 0, 1]).tolist()) == [0, 1, 2]


def test_another_seed_is_another_split() -> None:
    names = [str(i) for i in range(60)]
    assert grouped_folds(names, 3, 1).tolist() != grouped_folds(names, 3, 2).tolist()


def test_multi_hot_strata_are_accepted() -> None:
    strata = np.eye(3, dtype=np.float32)[[0, 1, 2] * 4]
    folds = grouped_folds([str(i) for i in range(12)], 2, 0, strata)
    assert sorted(Counter(folds.tolist()).values()) == [6, 6]


@pytest.mark.parametrize(
    ("groups", "folds", "strata"), [(["a", "b"], 1, None), (["a", "a"], 3, None), (["a", "b"], 2, [1])]
)
def test_impossible_splits_are_refused(groups: list[str], folds: int, strata: list[int] | None) -> None:
    with pytest.raises(ValueError, match=r"at least two|strata"):
        grouped_folds(groups, folds, 0, strata)
