"""The gate on agreement: three outcomes on the lower bound."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from adapter.core.agreement import Estimate, alpha, estimate, judge, judgements, more_needed
from adapter.vocabulary import Outcome


def found(value: float, lower: float, n: int = 100, why: str = "") -> Estimate:
    return Estimate("alpha", value, lower, min(1.0, 2 * value - lower), n, why)


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (found(0.9, 0.85), Outcome.PASS),
        (found(0.9, 0.8), Outcome.PASS),
        (found(0.85, 0.79), Outcome.NOT_ENOUGH_DATA),
        (found(0.8, 0.7), Outcome.NOT_ENOUGH_DATA),
        (found(0.79, 0.7), Outcome.FAIL),
        (found(0.9, 0.85, n=29), Outcome.NOT_ENOUGH_DATA),
        (found(0.1, -0.2, n=29), Outcome.NOT_ENOUGH_DATA),
        (found(math.nan, math.nan, why="one label"), Outcome.NOT_ENOUGH_DATA),
        (found(0.9, math.nan), Outcome.NOT_ENOUGH_DATA),
    ],
)
def test_the_outcome(given: Estimate, outcome: Outcome) -> None:
    verdict = judge(given, threshold=0.8, min_units=30)
    assert verdict.outcome is outcome
    assert verdict.sentence.endswith(".")
    assert verdict.figures["threshold"] == 0.8


def test_the_figures_are_json() -> None:
    figures = judge(found(math.nan, math.nan, why="one label"), threshold=0.8, min_units=30).figures
    assert figures["value"] is None
    assert figures["lower"] is None


def test_an_undefined_figure_says_why() -> None:
    verdict = judge(estimate(alpha(judgements([["a", "a"]] * 50)), seed=0), threshold=0.8, min_units=30)
    assert verdict.outcome is Outcome.NOT_ENOUGH_DATA
    assert "one label" in verdict.sentence


def test_fewer_tasks_of_a_class_count() -> None:
    assert judge(found(0.9, 0.85, n=100), threshold=0.8, min_units=30, n=12).outcome is Outcome.NOT_ENOUGH_DATA
    assert judge(found(0.9, 0.85, n=100), threshold=0.8, min_units=30, n=12).figures["more"] == 18


def test_more_tasks_are_named_by_the_square_root() -> None:
    # The bound is .1 under the value and must come within .05: four times the tasks.
    assert more_needed(found(0.85, 0.75), 0.8) == pytest.approx(300, abs=1)
    assert "300 more" in judge(found(0.85, 0.75), threshold=0.8, min_units=30).sentence
    assert more_needed(found(0.8, 0.7), 0.8) is None
    assert more_needed(found(0.8000001, 0.7), 0.8) is None
    assert "very many" in judge(found(0.8, 0.7), threshold=0.8, min_units=30).sentence


def test_the_named_number_of_tasks_settles_it() -> None:
    random = np.random.default_rng(1)

    def sample(units: int) -> list[list[int]]:
        truth = random.integers(0, 4, units)
        kept = random.random((units, 2)) < math.sqrt(0.87)
        return np.where(kept, truth[:, None], random.integers(0, 4, (units, 2))).tolist()  # type: ignore[no-any-return]

    first = next(
        one
        for one in (estimate(alpha(judgements(sample(60))), seed=0) for _ in range(50))
        if 0.86 < one.value < 0.88 and one.lower < 0.8
    )
    more = more_needed(first, 0.8)
    assert more
    settled = sum(
        judge(estimate(alpha(judgements(sample(60 + 2 * more))), seed=n), threshold=0.8, min_units=30).outcome
        is Outcome.PASS
        for n in range(20)
    )
    assert settled >= 15


def test_the_point_gate_passes_wrongly_and_the_lower_bound_does_not() -> None:
    """50 units, three people, five labels, true alpha .75, gate at .8."""
    random = np.random.default_rng(0)
    point, outcomes = 0, Counter[Outcome]()
    rounds = 600
    for n in range(rounds):
        truth = random.integers(0, 5, 50)
        kept = random.random((50, 3)) < math.sqrt(0.75)
        said = np.where(kept, truth[:, None], random.integers(0, 5, (50, 3)))
        one = estimate(alpha(judgements(said.tolist(), values=range(5))), seed=n, rounds=400)
        point += one.value >= 0.8
        outcomes[judge(one, threshold=0.8, min_units=30).outcome] += 1
    assert 0.12 < point / rounds < 0.22
    assert outcomes[Outcome.PASS] / rounds <= 0.025
    assert outcomes[Outcome.FAIL] / rounds > 0.75


def test_two_hundred_tasks_settle_a_gate_at_point_eight() -> None:
    random = np.random.default_rng(0)
    passed = 0
    for n in range(60):
        truth = random.integers(0, 3, 200)
        said = np.where(random.random((200, 2)) < math.sqrt(0.9), truth[:, None], random.integers(0, 3, (200, 2)))
        one = estimate(alpha(judgements(said.tolist())), seed=n, rounds=400)
        passed += judge(one, threshold=0.8, min_units=30).outcome is Outcome.PASS
    assert passed >= 54
