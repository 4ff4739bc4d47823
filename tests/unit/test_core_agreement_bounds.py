"""Bounds, influence and properties of the coefficients of agreement."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.agreement import (
    Judgements,
    Pairwise,
    alpha,
    alpha_of_pairs,
    brennan_prediger,
    cohen,
    cross_pairs,
    estimate,
    estimates,
    fleiss,
    gwet,
    influence,
    judgements,
    percent,
    ratio,
    unlikeness,
)

UNITS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=12)
METRICS = ("nominal", "ordinal", "interval", "ratio")


def people(tasks: int, raters: int, k: int, agreement: float, seed: int = 0) -> Judgements:
    """Judgements whose true alpha is `agreement`: each person keeps the truth with its square root, else guesses."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, k, tasks)
    kept = random.random((tasks, raters)) < math.sqrt(agreement)
    return judgements(np.where(kept, truth[:, None], random.integers(0, k, (tasks, raters))).tolist(), values=range(k))


def everything(units: list[list[int]]) -> dict[str, float]:
    made = judgements(units, values=range(4))
    found = {metric: alpha(made, metric).value for metric in METRICS}  # type: ignore[arg-type]
    found |= {"fleiss": fleiss(made).value, "bp": brennan_prediger(made).value, "percent": percent(made).value}
    return found | {"ac1": gwet(made).value, "ac2": gwet(made, unlike=unlikeness(4, "quadratic")).value}


@given(UNITS, st.randoms(use_true_random=False))
def test_nothing_depends_on_the_order_of_tasks_or_people(units: list[list[int]], random: Any) -> None:
    shuffled = [list(unit) for unit in units]
    random.shuffle(shuffled)
    for unit in shuffled:
        random.shuffle(unit)
    assert everything(shuffled) == pytest.approx(everything(units), nan_ok=True)


@given(UNITS)
def test_no_value_exceeds_one_and_full_agreement_on_two_labels_is_one(units: list[list[int]]) -> None:
    assert all(math.isnan(value) or value <= 1 + 1e-12 for value in everything(units).values())
    agreed = [[unit[0]] * len(unit) for unit in units]
    paired = {unit[0] for unit in agreed if len(unit) > 1}
    for name, value in everything(agreed).items():
        if not paired:
            assert math.isnan(value), name
        elif len(paired) > 1:
            assert value == pytest.approx(1.0), name


@given(UNITS, st.integers(1, 9))
def test_scales_do_not_depend_on_their_unit(units: list[list[int]], factor: int) -> None:
    scaled = [[code * factor for code in unit] for unit in units]
    moved = [[code + factor for code in unit] for unit in units]
    for metric, same in (("nominal", moved), ("ordinal", moved), ("interval", moved), ("interval", scaled)):
        one, other = (alpha(judgements(x), metric).value for x in (units, same))  # type: ignore[arg-type]
        assert other == pytest.approx(one, nan_ok=True)
    one, other = (alpha(judgements(x), "ratio").value for x in (units, scaled))
    assert other == pytest.approx(one, nan_ok=True)


def test_one_label_throughout_is_undefined_with_a_reason_never_a_pass() -> None:
    made = judgements([["a", "a"]] * 40)
    for statistic in (alpha(made), fleiss(made), gwet(made), cohen(np.array([[40.0]]))):
        found = estimate(statistic, seed=0)
        assert math.isnan(found.value)
        assert math.isnan(found.lower)
        assert "one label" in found.why
        assert found.n == 40
    assert percent(made).value == 1.0


def test_ac1_is_undefined_when_one_of_several_labels_was_used() -> None:
    assert math.isnan(gwet(judgements([["a", "a"]] * 40, values=["a", "b"])).value)


def test_without_a_pair_every_coefficient_is_undefined() -> None:
    for units in ([], [["a"], ["b"]]):
        made = judgements(units)
        for statistic in (alpha(made), fleiss(made), gwet(made), percent(made), brennan_prediger(made)):
            assert math.isnan(estimate(statistic, seed=0).value)
            assert statistic.n == 0
            assert "two people" in statistic.why


def test_judgements_refuse_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="'c' is none of the 2 values"):
        judgements([["a", "c"]], values=["a", "b"])
    with pytest.raises(ValueError, match="above 0"):
        judgements([["a", "c"]], weights=[0.0])
    with pytest.raises(ValueError, match="one of each"):
        judgements([["a", "c"]], weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="numbers"):
        alpha(judgements([["a", "c"]]), "interval")
    with pytest.raises(ValueError, match="finite"):
        alpha(judgements([[1.0, math.inf]]), "interval")
    with pytest.raises(ValueError, match="frozensets"):
        alpha(judgements([["a", "c"]]), "masi")


def test_a_unit_s_weight_counts_as_its_size() -> None:
    units = [["a", "a"], ["a", "b"], ["b", "b"], ["b", "b"], ["a", "a"]] * 40
    weights = [3.0, 1.0, 2.0, 1.0, 5.0] * 40
    copied = [unit for unit, weight in zip(units, weights, strict=True) for _ in range(int(weight))]
    weighted = alpha(judgements(units, weights=weights)).value
    assert weighted == pytest.approx(alpha(judgements(copied)).value, abs=1e-3)
    assert weighted > alpha(judgements(units)).value
    assert alpha(judgements(units, weights=[w / 1000 for w in weights])).value == pytest.approx(weighted)


def test_several_units_of_a_task_are_resampled_together() -> None:
    units = [["a", "a"], ["b", "b"], ["a", "b"]] * 60
    alone = estimate(alpha(judgements(units)), seed=0)
    blocks = estimate(alpha(judgements(units, tasks=[n // 30 for n in range(180)])), seed=0)
    assert blocks.value == alone.value
    assert blocks.n == 6
    random = np.random.default_rng(0)
    uneven = [
        ["a", "b"] if random.random() < (n // 30) / 6 else [code, code] for n in range(180) for code in ("ab"[n % 2],)
    ]
    one = estimate(alpha(judgements(uneven)), seed=0)
    grouped = estimate(alpha(judgements(uneven, tasks=[n // 30 for n in range(180)])), seed=0)
    assert grouped.upper - grouped.lower > 1.5 * (one.upper - one.lower)


def test_bounds_enclose_the_value_and_are_reproducible() -> None:
    made = people(200, 3, 4, 0.7)
    for found in estimates([alpha(made), fleiss(made), gwet(made), percent(made)], seed=1).values():
        assert found.lower < found.value < found.upper
        assert found.upper - found.lower < 0.2
    assert estimate(alpha(made), seed=1) == estimate(alpha(made), seed=1)
    assert estimate(alpha(made), seed=1).lower != estimate(alpha(made), seed=2).lower


@pytest.mark.parametrize("metric", METRICS)
def test_the_fast_bootstrap_is_the_plain_one(metric: Any) -> None:
    """Groups of like tasks, mid-ranks a resample: against resampling the units themselves."""
    random = np.random.default_rng(5)
    units = [[int(x) for x in random.integers(1, 5, random.integers(1, 4))] for _ in range(60)]
    units = [unit for unit in units if len(unit) > 1]
    statistic = alpha(judgements(units), metric)
    for _ in range(20):
        drawn = random.integers(0, len(units), len(units))
        weights = np.zeros((1, len(statistic.count)))
        np.add.at(weights[0], statistic.group[drawn], 1)
        plain = alpha(judgements([units[i] for i in drawn]), metric).value
        assert statistic.values(weights)[0] == pytest.approx(plain)


def test_perfect_agreement_on_few_tasks_is_not_certain() -> None:
    few = estimate(alpha(judgements([["a", "a"], ["b", "b"]] * 4)), seed=0)
    many = estimate(alpha(judgements([["a", "a"], ["b", "b"]] * 100)), seed=0)
    assert few.value == many.value == 1.0
    assert few.lower < 0.6
    assert many.lower > 0.95
    rare = estimate(alpha(judgements([["a", "a"]] * 90 + [["b", "b"]] * 10)), seed=0)
    assert rare.lower < many.lower


def test_the_lower_bound_covers_as_it_says() -> None:
    """Two labels, two people, 50 tasks, true alpha .8: the bound lies above it about one time in twenty."""
    above = sum(estimate(alpha(people(50, 2, 2, 0.8, seed)), seed=seed, rounds=400).lower > 0.8 for seed in range(400))
    assert above / 400 < 0.09


def test_influence_is_the_change_without_the_task() -> None:
    units = [["a", "a"], ["a", "b"], ["b", "b"], ["a", "b", "b"], ["c", "c"], ["a", "c"]]
    for make in (lambda x: alpha(x), lambda x: alpha(x, "nominal"), lambda x: fleiss(x), lambda x: gwet(x)):
        whole = make(judgements(units, values=["a", "b", "c"]))
        gains = influence(whole)
        for place in range(len(units)):
            rest = units[:place] + units[place + 1 :]
            assert gains[place] == pytest.approx(make(judgements(rest, values=["a", "b", "c"])).value - whole.value)
        assert int(np.argmax(gains)) in (1, 3, 5)


def test_influence_without_a_short_way() -> None:
    statistic = cohen(np.array([[20.0, 5.0], [10.0, 15.0]]))
    gains = influence(statistic)
    assert len(gains) == 50
    assert gains[20] == pytest.approx(cohen(np.array([[20.0, 4.0], [10.0, 15.0]])).value - 0.4)


def test_alpha_of_pairs_is_alpha_when_every_pair_is_known() -> None:
    random = np.random.default_rng(2)
    units = [[int(x) for x in random.integers(0, 4, random.integers(2, 5))] for _ in range(15)]
    task = np.repeat(np.arange(15), [len(unit) for unit in units])
    said = np.array([code for unit in units for code in unit])
    pairs = cross_pairs(task, seed=0, limit=10_000)
    statistic = alpha_of_pairs(
        Pairwise(
            size=np.array([len(unit) for unit in units], float),
            within=np.array([sum(a != b for i, a in enumerate(unit) for b in unit[:i]) for unit in units], float),
            first=task[pairs[:, 0]],
            second=task[pairs[:, 1]],
            apart=(said[pairs[:, 0]] != said[pairs[:, 1]]).astype(float),
        )
    )
    exact = alpha(judgements(units))
    assert statistic.value == pytest.approx(exact.value)
    mine, theirs = estimate(statistic, seed=0), estimate(exact, seed=0)
    assert mine.lower == pytest.approx(theirs.lower, abs=0.05)
    assert influence(statistic) == pytest.approx(influence(exact))


def test_sampled_pairs_come_near_and_stay_bounded() -> None:
    random = np.random.default_rng(4)
    truth = random.normal(size=2000)
    codes = [[f"{x:.9f}" for x in row] for row in truth[:, None] + random.normal(size=(2000, 2))]
    gap = alpha(judgements(codes), lambda a, b: min(1.0, abs(float(a) - float(b)) / 4))  # type: ignore[arg-type]
    found = estimate(gap, seed=0, rounds=500)
    wide = [[float(x) for x in row] for row in codes]
    plain = alpha(judgements(wide), "interval").value
    assert found.lower < found.value < found.upper
    assert found.value == pytest.approx(1 - 1 / math.sqrt(2), abs=0.05)
    assert plain == pytest.approx(0.5, abs=0.06)


def test_many_codes_of_categories_and_ratios_are_estimated_from_pairs() -> None:
    units = [[n, n if n % 3 else n + 1] for n in range(1, 400)]
    assert alpha(judgements(units)).value == pytest.approx(2 / 3, abs=0.01)
    assert alpha(judgements(units), "ratio").value > 0.98
    assert alpha(judgements(units), "ordinal").value > 0.98


def test_a_pair_needs_two_tasks() -> None:
    assert cross_pairs(np.zeros(500, np.int64), seed=0, limit=10).shape == (0, 2)
    assert cross_pairs(np.zeros(3, np.int64), seed=0).shape == (0, 2)
    drawn = cross_pairs(np.repeat(np.arange(100), 3), seed=0, limit=50)
    assert drawn.shape == (50, 2)
    assert (drawn[:, 0] // 3 != drawn[:, 1] // 3).all()


def test_a_ratio_is_the_sum_of_numerators_over_that_of_denominators() -> None:
    found = estimate(ratio(np.array([2.0, 0.0, 6.0]), np.array([4.0, 2.0, 6.0]), name="f1"), seed=0)
    assert found.value == pytest.approx(8 / 12)
    assert found.n == 3
    nothing = estimate(ratio(np.zeros(3), np.zeros(3), name="f1"), seed=0)
    assert math.isnan(nothing.value)
    assert "nobody marked" in nothing.why


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30))
def test_a_ratio_stays_within_its_bounds(rows: list[tuple[int, int]]) -> None:
    numerator = np.array([min(a, b) for a, b in rows], float)
    found = estimate(ratio(numerator, np.array([b for _, b in rows], float), name="f1"), seed=0, rounds=200)
    if found.n:
        assert 0 <= found.value <= 1
        assert math.isnan(found.lower) or found.lower <= found.value + 1e-12


def test_ten_thousand_tasks_and_five_people_take_seconds() -> None:
    made = people(10_000, 5, 5, 0.6)
    started = time.perf_counter()
    for metric in METRICS:
        assert estimate(alpha(made, metric), seed=0).value == pytest.approx(0.6, abs=0.03)  # type: ignore[arg-type]
    estimates([fleiss(made), gwet(made), percent(made), brennan_prediger(made)], seed=0)
    assert time.perf_counter() - started < 10
