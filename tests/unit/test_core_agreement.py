from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.agreement import alpha_lower_bound, krippendorff_nominal, raw_agreement


def units_of(*raters: str) -> list[list[str]]:
    """One unit a column; a dot is a missing label."""
    return [[label for label in column if label != "."] for column in zip(*(r.split() for r in raters), strict=True)]


KRIPPENDORFF_C = units_of(
    "1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."
)
WIKIPEDIA = units_of(". . . . . 3 4 1 2 1 1 3 3 . 3", "1 . 2 1 3 3 4 3 . . . . . . .", ". . 2 1 3 4 4 . 2 1 1 3 3 . 4")


def test_alpha_of_krippendorff_2011_section_c() -> None:
    assert krippendorff_nominal(KRIPPENDORFF_C) == pytest.approx(0.743, abs=5e-4)


def test_raw_agreement_of_the_same_data() -> None:
    assert raw_agreement(KRIPPENDORFF_C) == pytest.approx(0.818, abs=5e-4)


def test_alpha_of_wikipedias_three_coders() -> None:
    assert krippendorff_nominal(WIKIPEDIA) == pytest.approx(0.691, abs=5e-4)


@pytest.mark.parametrize(
    ("a", "b", "alpha"),
    [
        ("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0", 0.095),
        ("a a b b d c c c e d d a", "b a b b b c c c e d d d", 0.692),
    ],
)
def test_alpha_of_krippendorff_2011_sections_a_and_b(a: str, b: str, alpha: float) -> None:
    assert krippendorff_nominal(units_of(a, b)) == pytest.approx(alpha, abs=5e-4)


def test_alpha_of_artstein_and_poesio() -> None:
    counts = {
        ("stat", "stat"): 46,
        ("ireq", "stat"): 6,
        ("ireq", "ireq"): 32,
        ("ireq", "chck"): 6,
        ("chck", "chck"): 10,
    }
    units = [pair for pair, count in counts.items() for _ in range(count)]
    assert krippendorff_nominal(units) == pytest.approx(0.80053, abs=5e-6)
    assert raw_agreement(units) == pytest.approx(0.88)


def test_one_label_throughout_is_undefined_never_perfect() -> None:
    units = [["a", "a"]] * 30
    assert math.isnan(krippendorff_nominal(units))
    assert math.isnan(alpha_lower_bound(units, seed=0))
    assert raw_agreement(units) == 1.0


def test_no_unit_with_two_labels_is_undefined() -> None:
    for units in ([], [["a"], ["b"]]):
        assert math.isnan(krippendorff_nominal(units))
        assert math.isnan(raw_agreement(units))
        assert math.isnan(alpha_lower_bound(units, seed=0))


def test_lower_bound_lies_below_the_value_and_is_reproducible() -> None:
    value = krippendorff_nominal(KRIPPENDORFF_C)
    bound = alpha_lower_bound(KRIPPENDORFF_C, seed=1)
    assert 0.3 < bound < value
    assert bound == alpha_lower_bound(KRIPPENDORFF_C, seed=1)


def test_bound_is_undefined_when_a_resample_often_has_one_label() -> None:
    # One unit of twelve carries the second label; every third resample misses it.
    assert math.isnan(alpha_lower_bound([["a", "a"]] * 11 + [["b", "b"]], seed=0))


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_alpha_does_not_depend_on_order_or_names(units: list[list[int]], random: object) -> None:
    shuffled = [list(unit) for unit in units]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for unit in shuffled:
        random.shuffle(unit)  # type: ignore[attr-defined]
    renamed = [["wxyz"[label] for label in unit] for unit in shuffled]
    assert krippendorff_nominal(renamed) == pytest.approx(krippendorff_nominal(units), nan_ok=True)
    value = krippendorff_nominal(units)
    assert math.isnan(value) or value <= 1.0
