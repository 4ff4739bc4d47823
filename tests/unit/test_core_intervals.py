from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.intervals import wilson


def test_wilson_matches_the_formula_worked_by_hand() -> None:
    # 8 of 10, z = 2: centre (.8 + .2) / 1.4, half 2 / 1.4 * sqrt(.016 + .01)
    low, high = wilson(8, 10, z=2.0)
    half = 2 / 1.4 * (0.8 * 0.2 / 10 + 4 / 400) ** 0.5
    assert low == pytest.approx(1 / 1.4 - half)
    assert high == pytest.approx(1 / 1.4 + half)


def test_nothing_counted_means_nothing_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 2000), st.data())
def test_interval_holds_the_share_and_stays_in_range(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    low, high = wilson(right, n)
    assert 0.0 <= low <= right / n <= high <= 1.0
    assert (low == 0.0) == (right == 0)
    assert (high == 1.0) == (right == n)
    mirrored = wilson(n - right, n)
    assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-12)


@pytest.mark.parametrize(("right", "n"), [(-1, 3), (4, 3), (0, -1)])
def test_impossible_counts_are_refused(right: int, n: int) -> None:
    with pytest.raises(ValueError, match="0 <= right <= n"):
        wilson(right, n)
