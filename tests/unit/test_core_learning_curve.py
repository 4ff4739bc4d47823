"""Learning curves: intervals that hold what they promise, honest about what is not known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from adapter.core import learning_curve as module
from adapter.core.learning_curve import Curve, Estimate, fit, luck, measure
from adapter.core.posterior import posterior

SIZES = np.array([25.0, 50, 75, 100, 150, 200, 300])


def curve(error: float = 0.2, floor: float = 0.05, rate: float = 0.6, start: float = 5.0) -> Curve:
    return Curve(100.0, *(np.array([value]) for value in (error, floor, rate, start)))


def answers(errors: np.ndarray, tasks: int, rng: np.random.Generator) -> np.ndarray:
    """Which tasks models with these errors get right; tasks are hard or easy for all of them alike."""
    hard = np.sqrt(0.7) * rng.standard_normal((tasks, 1)) + np.sqrt(0.3) * rng.standard_normal((tasks, len(errors)))
    return (hard > norm.ppf(np.clip(errors, 1e-6, 1 - 1e-6))).astype(float)


def test_the_posterior_of_a_normal_mean_is_the_known_one() -> None:
    data, deviation = np.array([1.0, 1.4, 0.9]), 0.2
    draws = posterior(
        lambda theta: -0.5 * np.square((data - theta[:, :1]) / deviation).sum(axis=1),
        np.array([0.0, 0.0]),
        np.array([1.0, 2.0]),
        seed=3,
        draws=4000,
    )
    weight = len(data) / deviation**2
    assert draws[:, 0].mean() == pytest.approx(weight * data.mean() / (weight + 1), abs=0.01)
    assert draws[:, 0].std() == pytest.approx(math.sqrt(1 / (weight + 1)), rel=0.06)
    assert draws[:, 1].std() == pytest.approx(2.0, rel=0.06)  # nothing was learned of it


def test_a_likelihood_that_fits_nothing_leaves_the_prior() -> None:
    draws = posterior(lambda theta: np.full(len(theta), -np.inf), np.zeros(1), np.ones(1), seed=0)
    assert draws.std() == pytest.approx(1.0, rel=0.1)


def test_the_law_and_its_inverse_agree() -> None:
    one = curve()
    for labels in (10.0, 100.0, 3000.0):
        error = one.errors(labels)[:, 0]
        assert one.labels_at(error)[0] == pytest.approx(labels)
    assert one.errors(100.0)[0, 0] == pytest.approx(0.2)
    assert one.labels_at(np.array([0.05]))[0] == np.inf
    assert one.labels_at(np.array([0.01]))[0] == np.inf
    assert (np.diff(one.errors(np.arange(1.0, 500.0))[0]) < 0).all()


def test_much_data_finds_the_curve_again() -> None:
    true = curve()
    rng = np.random.default_rng(0)
    right = answers(true.errors(SIZES)[0], 20_000, rng)
    found = fit(SIZES, right.mean(axis=0), measure(right).noise + 1e-7 * np.eye(len(SIZES)))
    assert found is not None
    assert found.accuracy(300.0).value == pytest.approx(1 - true.errors(300.0)[0, 0], abs=0.006)
    gain = true.errors([300.0, 500.0])[0]
    assert found.gain(300.0, 200.0).value == pytest.approx(gain[0] - gain[1], abs=0.006)


@pytest.mark.parametrize("tasks", [40, 150, 600])
def test_intervals_hold_what_they_promise(tasks: int) -> None:
    """Curves drawn from the prior, models with luck, answers on few tasks: at least 85 of 100 intervals that claim 95
    hold the truth (40 curves: fewer by chance once in a thousand tests)."""
    rng = np.random.default_rng(tasks)
    held = {"gain": 0, "more": 0, "accuracy": 0}
    rounds = 40
    for _ in range(rounds):
        priors = (module.ERROR, module.FLOOR, module.RATE, module.START)
        theta = np.array([[rng.normal(*prior) for prior in priors]])
        true = module._curve(theta, float(np.exp(np.log(SIZES).mean())))
        errors = true.errors(SIZES)[0]
        lucky = np.linalg.cholesky(luck(SIZES, 1 - errors)) @ rng.standard_normal(len(SIZES))
        right = answers(np.clip(errors - lucky, 0.0, 1.0), tasks, rng)
        accuracy = right.mean(axis=0)
        found = fit(SIZES, accuracy, measure(right).noise + luck(SIZES, accuracy))
        assert found is not None
        now, later = true.errors([300.0, 400.0])[0]
        held["accuracy"] += inside(found.accuracy(300.0), 1 - now)
        held["gain"] += inside(found.gain(300.0, 100.0), now - later)
        held["more"] += inside(found.more_for(300.0, 0.01), true.labels_at(np.array([now - 0.01]))[0] - 300)
    assert min(held.values()) >= 0.85 * rounds, held


def inside(found: Estimate, true: float) -> bool:
    return found.lower <= true <= found.upper


def test_labels_that_no_number_reaches_are_infinite_and_null_in_json() -> None:
    flat = Curve(100.0, np.full(50, 0.101), np.full(50, 0.1), np.full(50, 0.5), np.full(50, 1.0))
    assert flat.more_for(200.0, 0.01) == Estimate(math.inf, math.inf, math.inf)
    assert flat.more_for(200.0, 0.01).json() == {"value": None, "lower": None, "upper": None}


@pytest.mark.parametrize("sizes", [[], [50.0], [50.0, 100.0], [100.0, 110.0, 120.0]])
def test_too_few_points_say_nothing(sizes: list[float]) -> None:
    assert fit(sizes, np.full(len(sizes), 0.8), 1e-3 * np.eye(len(sizes))) is None


def test_the_same_seed_gives_the_same_curve() -> None:
    accuracy = np.array([0.6, 0.7, 0.75, 0.77, 0.8, 0.82, 0.84])
    noise = 1e-3 * np.eye(len(SIZES))
    first, second = fit(SIZES, accuracy, noise, seed=4), fit(SIZES, accuracy, noise, seed=4)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.error, second.error)


def test_answers_without_labels_make_accuracies_more_exact_and_stay_unbiased() -> None:
    """Prediction-powered: a model that is right nine times in ten stands in for labels on 2,000 tasks."""
    rng = np.random.default_rng(7)
    plain, powered, claimed = [], [], []
    errors = np.array([0.3, 0.2, 0.1])
    for _ in range(300):
        right = answers(errors, 2080, rng)
        agree = np.where(right[:, 2:] > 0, right, 1 - right)  # two labels: both wrong is the same label
        few = right[:80]
        found = measure(few, agree[:80], agree[80:])
        plain.append(few.mean(axis=0)[0])
        powered.append(found.accuracy[0])
        claimed.append(found.noise[0, 0])
    assert np.mean(powered) == pytest.approx(0.7, abs=0.012)
    assert np.var(powered) < 0.7 * np.var(plain)
    assert np.mean(claimed) == pytest.approx(np.var(powered), rel=0.35)


def test_a_perfect_score_on_few_tasks_is_not_taken_for_certain() -> None:
    assert (np.diag(measure(np.ones((20, 2))).noise) > 0).all()


def test_luck_is_shared_by_nested_training_sets() -> None:
    found = luck(np.array([50.0, 100.0]), np.array([0.8, 0.8]))
    assert found[0, 1] > 0
    assert found[1, 1] < found[0, 0]
