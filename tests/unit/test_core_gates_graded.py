"""The promotion gate on degrees of likeness, as regions have them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.gates import mcnemar_worse, paired_worse, promotes, promotion
from adapter.policies import TrainPolicy
from adapter.vocabulary import Outcome

POLICY = TrainPolicy()


@given(st.integers(0, 8), st.integers(0, 4))
def test_flips_of_whole_differences_are_the_exact_mcnemar_test(losses: int, wins: int) -> None:
    differences = np.array([1.0] * losses + [-1.0] * wins)
    expected = mcnemar_worse(losses, wins) if losses > wins else 1.0
    assert paired_worse(differences) == pytest.approx(expected)


def test_three_differences_by_hand() -> None:
    # of the eight ways to flip .4, .2, .1 only the one that was seen sums to .7, and two reach .5
    assert paired_worse(np.array([0.4, 0.2, 0.1])) == pytest.approx(1 / 8)
    assert paired_worse(np.array([0.4, 0.2, -0.1])) == pytest.approx(2 / 8)
    assert paired_worse(np.array([-0.4, 0.1])) == 1.0


def test_a_sample_of_flips_agrees_with_the_normal_approximation() -> None:
    random = np.random.default_rng(1)
    differences = random.normal(0.05, 0.2, 60)
    from scipy.stats import norm

    z = differences.sum() / np.sqrt((differences**2).sum())
    assert paired_worse(differences) == pytest.approx(float(norm.sf(z)), abs=0.02)


def test_a_candidate_that_marks_worse_is_refused_and_a_better_one_promoted() -> None:
    random = np.random.default_rng(2)
    current = np.clip(random.normal(0.8, 0.1, 40), 0, 1)
    worse = promotion(current, np.clip(current - random.uniform(0.0, 0.3, 40), 0, 1), POLICY)
    assert (worse.outcome, promotes(worse)) == (Outcome.FAIL, False)
    assert worse.figures["test"] == "sign flips of paired differences"
    better = promotion(current, np.clip(current + random.uniform(0.0, 0.3, 40), 0, 1), POLICY)
    assert (better.outcome, promotes(better)) == (Outcome.PASS, True)


def test_a_first_model_must_not_lose_to_marking_nothing() -> None:
    nothing = np.full(30, 0.5)
    verdict = promotion(None, np.full(30, 0.2), POLICY, baseline=nothing)
    assert verdict.outcome is Outcome.FAIL


def test_equal_tasks_make_no_difference() -> None:
    verdict = promotion(np.full(20, 0.4), np.full(20, 0.4), POLICY)
    assert (verdict.outcome, verdict.figures["p_worse"], verdict.figures["losses"]) == (Outcome.PASS, 1.0, 0)


def test_thousands_of_blind_tasks_take_little_memory() -> None:
    differences = np.random.default_rng(3).normal(0.02, 0.2, 3_000)
    tracemalloc.start()
    try:
        p = paired_worse(differences)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert p < 0.01
    assert peak < 64e6  # all flips at once: 480 MB
