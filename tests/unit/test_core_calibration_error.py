"""The expected calibration error: against the definition, and against what simulation knows to be true."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.calibration_error import (
    Bin,
    _direction,
    classwise_calibration_error,
    expected_calibration_error,
)


def by_definition(confidence: Any, right: Any, bins: int) -> float:
    """The plain error in bins of equal mass, for confidences that are all different."""
    order = np.argsort(confidence)
    n = len(order)
    total = 0.0
    for number in range(bins):
        rows = [row for place, row in enumerate(order) if int((place + 0.5) / n * bins) == number]
        if rows:
            total += len(rows) / n * abs(np.mean(confidence[rows]) - np.mean(right[rows]))
    return total


class TestPlainError:
    def test_by_hand(self) -> None:
        confidence = [0.6] * 10 + [0.9] * 10
        right = [1] * 5 + [0] * 5 + [1] * 8 + [0] * 2
        found = expected_calibration_error(confidence, right, bins=2)
        assert found.plain == pytest.approx(float(Fraction(1, 2) * Fraction(1, 10) + Fraction(1, 2) * Fraction(1, 10)))
        assert [(one.confidence, one.right, one.n) for one in found.bins] == [
            (pytest.approx(0.6), 0.5, 10),
            (pytest.approx(0.9), 0.8, 10),
        ]

    @given(st.integers(0, 10_000), st.integers(150, 400), st.integers(1, 15))
    @settings(max_examples=10, deadline=None)
    def test_by_definition(self, seed: int, n: int, bins: int) -> None:
        random = np.random.default_rng(seed)
        confidence = random.uniform(0.3, 1, n)
        right = random.random(n) < confidence
        found = expected_calibration_error(confidence, right, bins=bins)
        assert found.plain == pytest.approx(by_definition(confidence, right, bins))

    def test_equal_confidences_share_a_bin_whatever_their_order(self) -> None:
        confidence = np.array([0.7] * 30 + [0.9] * 30)
        right = np.array([1, 0] * 30)
        order = np.random.default_rng(0).permutation(60)
        a = expected_calibration_error(confidence, right)
        b = expected_calibration_error(confidence[order], right[order])
        assert len(a.bins) == 2
        assert a == b

    def test_few_tasks_have_few_bins(self) -> None:
        random = np.random.default_rng(0)
        for n, bins in ((5, 1), (39, 3), (150, 15), (1000, 15)):
            assert len(expected_calibration_error(random.random(n), random.random(n) < 0.5).bins) == bins

    def test_weights_count_as_that_many_tasks(self) -> None:
        random = np.random.default_rng(0)
        confidence, right = random.uniform(0.5, 1, 40), random.random(40) < 0.7
        twice = expected_calibration_error(np.tile(confidence, 2), np.tile(right, 2), bins=4)
        weighted = expected_calibration_error(confidence, right, bins=4, weights=np.full(40, 2.0))
        assert weighted.plain == pytest.approx(twice.plain)

    def test_rows_with_nan_are_left_out(self) -> None:
        found = expected_calibration_error([0.8, np.nan, 0.6], [1, 1, 0])
        assert found.n == 2

    def test_nothing_is_known_of_nothing(self) -> None:
        found = expected_calibration_error([], [])
        assert math.isnan(found.value)
        assert (found.lower, found.upper, found.n) == (0.0, 1.0, 0)
        assert json.loads(json.dumps(found.to_json(), allow_nan=False))["value"] is None

    @pytest.mark.parametrize(("confidence", "right"), [([0.5], [1, 0]), ([1.2], [1]), ([0.5], [-1]), ([[0.5]], [[1]])])
    def test_nonsense_is_refused(self, confidence: Any, right: Any) -> None:
        with pytest.raises(ValueError, match=r"fit|within"):
            expected_calibration_error(confidence, right)

    def test_the_squared_error_has_its_bias_taken_off(self) -> None:
        # One bin of 10, right in 7, confidence .7: no gap, and less than none after the correction, so 0.
        assert expected_calibration_error([0.7] * 10, [1] * 7 + [0] * 3).rms == 0.0
        # Kumar et al. 2019, section 4.1: gap .2, variance .5 * .5 / 9.
        found = expected_calibration_error([0.7] * 10, [1] * 5 + [0] * 5)
        assert found.rms == pytest.approx(math.sqrt(0.2**2 - 0.25 / 9))


def simulated(n: int, truth: float, rounds: int, seed: int = 0) -> list[Any]:
    """Errors of samples from a model whose confidence is too high by `truth` everywhere."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(rounds):
        confidence = 0.6 + 0.4 * random.beta(3, 1, n)
        right = random.random(n) < confidence - truth
        found.append(expected_calibration_error(confidence, right, seed=number))
    return found


def softmax(scores: Any) -> Any:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def tempered_model(n: int, k: int, factor: float, random: np.random.Generator, scale: float = 4.0) -> tuple[Any, Any]:
    """Confidence of a model of k labels whose log odds are `factor` times what they should be, and the probability that
    it is right."""
    scores = random.normal(0.0, scale, (n, k))
    said, true = softmax(factor * scores), softmax(scores)
    return said.max(axis=1), true[np.arange(n), said.argmax(axis=1)]


@pytest.mark.slow
class TestIntervalOfModels:
    """A reduced form of a simulation: 168 kinds of model and sample, 400 draws each; see the figures in the module."""

    @pytest.mark.parametrize(("k", "factor"), [(2, 1.3), (4, 0.5), (10, 2.0)])
    @pytest.mark.parametrize("n", [150, 300, 1200])
    def test_it_covers_the_truth(self, k: int, factor: float, n: int) -> None:
        confidence, right = tempered_model(400_000, k, factor, np.random.default_rng(99))
        truth = abs(float((confidence - right).mean()))  # all of one sign
        random = np.random.default_rng([k, n])
        covered = []
        for number in range(30):
            confidence, right = tempered_model(n, k, factor, random)
            found = expected_calibration_error(confidence, random.random(n) < right, seed=number)
            covered.append(found.lower <= truth <= found.upper)
        assert np.mean(covered) >= 0.8  # .95 in theory: one in 10,000 falls below

    def test_an_interval_of_an_underconfident_model_does_not_end_too_low(self) -> None:
        confidence, right = tempered_model(400_000, 4, 0.5, np.random.default_rng(99))
        truth = float((right - confidence).mean())
        random = np.random.default_rng(5)
        above = []
        for number in range(150):
            confidence, right = tempered_model(150, 4, 0.5, random)
            found = expected_calibration_error(confidence, random.random(150) < right, seed=number)
            above.append(found.upper >= truth)
        assert np.mean(above) >= 0.93  # .975 in theory; along the gaps as they were found .91


def test_deviations_are_sought_along_a_line_where_bends_are_noise() -> None:
    random = np.random.default_rng(0)
    confidence = np.linspace(0.3, 0.95, 15)
    for size, straight in ((10, True), (100_000, False)):
        gap = 0.1 * np.sign(confidence - 0.6) + random.normal(0, 0.4 / np.sqrt(size), 15)
        right = np.clip(confidence + gap, 0, 1)
        rows = [Bin(c, c, c, r, 1 / 15, size) for c, r in zip(confidence, right, strict=True)]
        way = _direction(rows, right - confidence)
        assert bool(np.abs(np.diff(way, 2)).max() < 0.02) == straight


@pytest.mark.slow
class TestInterval:
    @pytest.mark.parametrize("n", [50, 300])
    def test_a_perfect_model_is_not_accused(self, n: int) -> None:
        found = simulated(n, 0.0, 40)
        assert np.mean([one.lower == 0 for one in found]) >= 0.9  # 97.5 % in theory
        assert np.mean([one.plain for one in found]) > 0.03  # what the usual sum says
        assert np.median([one.value for one in found]) < 0.03

    @pytest.mark.parametrize("n", [50, 300])
    def test_it_covers_the_truth_and_the_estimate_is_centred(self, n: int) -> None:
        truth = 0.1
        found = simulated(n, truth, 40, seed=1)
        assert np.mean([one.lower <= truth <= one.upper for one in found]) >= 0.85
        assert np.mean([one.value for one in found]) == pytest.approx(truth, abs=0.03)

    def test_more_tasks_make_it_narrower(self) -> None:
        widths = [np.mean([one.upper - one.lower for one in simulated(n, 0.1, 5)]) for n in (50, 200, 800)]
        assert widths[0] > 1.3 * widths[1] > 1.3 * 1.3 * widths[2]


def test_interval_contains_the_estimate_and_is_the_same_each_time() -> None:
    for seed in range(5):
        random = np.random.default_rng(seed)
        confidence = random.uniform(0.4, 1, 80)
        right = random.random(80) < confidence**2
        a, b = (expected_calibration_error(confidence, right, seed=3) for _ in range(2))
        assert a == b
        assert 0 <= a.lower <= a.value <= a.upper <= 1


@pytest.mark.parametrize(("said", "right"), [(1.0, 1), (0.0, 0), (1.0, 0), (0.0, 1), (0.5, 1)])
def test_the_same_confidence_everywhere(said: float, right: int) -> None:
    found = expected_calibration_error([said] * 40, [right] * 40)
    assert found.plain == pytest.approx(abs(said - right))
    assert found.lower <= found.plain <= found.upper + 1e-9
    if said == right:
        assert found.value == 0


def test_classwise_is_the_mean_over_classes() -> None:
    random = np.random.default_rng(0)
    p = random.dirichlet([1, 1, 1], 200)
    y = np.eye(3)[random.integers(0, 3, 200)]
    found = classwise_calibration_error(p, y, bins=5)
    each = [expected_calibration_error(p[:, label], y[:, label], bins=5).plain for label in range(3)]
    assert found.plain == pytest.approx(np.mean(each))
    assert {one.label for one in found.bins} == {0, 1, 2}
    assert found.n == 200
    with pytest.raises(ValueError, match="fit"):
        classwise_calibration_error(p, y[:10])
