"""Columns over the pool: parts join, gaps are known, a version never changes."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.artifacts import Artifacts, ColumnStore
from adapter.artifacts.columns import gaps
from adapter.errors import StoreError
from adapter.store import Store

KEY = ("p", "votes", "spam", "f", "v1")


@pytest.fixture
def columns(tmp_path: Path) -> Iterator[ColumnStore]:
    with Store(f"sqlite:///{tmp_path / 'hitl.db'}") as store:
        store.migrate()
        store.projects.ensure("p", "d")
        yield ColumnStore(store.columns, Artifacts(str(tmp_path / "artifacts")))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=8), st.integers(0, 40))
def test_gaps_are_exactly_the_rows_that_nothing_covers(spans: list[tuple[int, int]], n: int) -> None:
    ranges = sorted((lo, lo + length) for lo, length in spans)
    covered = {row for lo, hi in ranges for row in range(lo, hi)}
    missing = gaps(ranges, n)
    assert [row for lo, hi in missing for row in range(lo, hi)] == [row for row in range(n) if row not in covered]
    assert all(lo < hi for lo, hi in missing)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(missing))


def test_parts_join_into_one_array(columns: ColumnStore) -> None:
    assert not columns.has(*KEY)
    assert columns.missing(*KEY, 10) == [(0, 10)]
    columns.write(*KEY, 6, np.array([1, -1, 0], np.int16))
    columns.write(*KEY, 0, np.array([0, 1], np.int16))
    columns.write(*KEY, 2, np.zeros(0, np.int16))
    assert columns.has(*KEY)
    assert columns.missing(*KEY, 10) == [(2, 6), (9, 10)]
    array = columns.read(*KEY, 10, fill=-2)
    assert array.dtype == np.int16
    assert array.tolist() == [0, 1, -2, -2, -2, -2, 1, -1, 0, -2]
    assert columns.read(*KEY, 7, fill=-2).tolist() == [0, 1, -2, -2, -2, -2, 1]
    assert columns.read(*KEY, 1, fill=-2).tolist() == [0]
    array[:] = 7  # the caller's own
    assert columns.read(*KEY, 1, fill=-2).tolist() == [0]


def test_a_column_of_rows_keeps_its_width(columns: ColumnStore) -> None:
    key = ("p", "probabilities", "spam", "model", "v1")
    columns.write(*key, 1, np.array([[0.25, 0.75], [np.nan, np.nan]], np.float32))
    array = columns.read(*key, 4, fill=np.nan)
    assert array.shape == (4, 2)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array[1], [0.25, 0.75])
    assert np.isnan(array[[0, 2, 3]]).all()


def test_an_unknown_column_is_all_fill(columns: ColumnStore) -> None:
    assert columns.read(*KEY, 3, fill=-1).tolist() == [-1, -1, -1]
    assert columns.missing(*KEY, 0) == []


def test_a_range_again_keeps_what_was_first(columns: ColumnStore) -> None:
    columns.write(*KEY, 0, np.array([1, 1], np.int16))
    columns.write(*KEY, 0, np.array([0, 0], np.int16))
    assert columns.read(*KEY, 2, fill=-1).tolist() == [1, 1]


def test_parts_that_do_not_fit_together_are_refused(columns: ColumnStore) -> None:
    columns.write(*KEY, 0, np.zeros((2, 3), np.float32))
    columns.write(*KEY, 2, np.zeros((2, 4), np.float32))
    with pytest.raises(StoreError, match="rows 2 to 4 of column votes/spam/f/v1 do not fit"):
        columns.read(*KEY, 4, fill=0)
    assert columns.read(*KEY, 2, fill=0).shape == (2, 3)


def test_a_part_whose_file_is_gone_is_an_error_not_a_fill(columns: ColumnStore, tmp_path: Path) -> None:
    columns.write(*KEY, 0, np.zeros(2, np.int16))
    shutil.rmtree(tmp_path / "artifacts" / "arrays")
    with pytest.raises(StoreError, match="artifact is gone"):
        columns.read(*KEY, 2, fill=-1)


def test_dropping_a_column_keeps_what_another_shares(columns: ColumnStore) -> None:
    other = (*KEY[:3], "g", "v1")
    columns.write(*KEY, 0, np.zeros(5, np.int16))
    columns.write(*other, 0, np.zeros(5, np.int16))
    columns.drop(*KEY)
    assert not columns.has(*KEY)
    assert columns.read(*other, 5, fill=-1).tolist() == [0] * 5
    columns.drop(*other)
    columns.write(*KEY, 0, np.zeros(5, np.int16))
    assert columns.read(*KEY, 5, fill=-1).tolist() == [0] * 5
