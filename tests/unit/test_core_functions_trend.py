"""Drift of coverage and accuracy: found where it is, rarely where it is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import chi2_contingency, fisher_exact

from adapter.core.functions import AccuracyTrend, CoverageTrend, accuracy_trends, coverage_trends


def covered(*shares: float, rows: int = 1000, seed: int = 0) -> npt.NDArray[np.int16]:
    """One function's votes, with these coverages in stretches of equal length."""
    rng = np.random.default_rng(seed)
    spoken = np.concatenate([rng.random(rows // len(shares)) < share for share in shares])
    return np.where(spoken, 0, -1).astype(np.int16)[:, None]


def coverage_of(votes: npt.NDArray[np.int16]) -> CoverageTrend:
    return coverage_trends(votes)[0]


def accuracy_of(right: npt.NDArray[np.bool_]) -> AccuracyTrend:
    return accuracy_trends(right[:, None], np.ones((len(right), 1), np.bool_))[0]


def test_windows_divide_the_pool() -> None:
    trend = coverage_of(covered(0.3))
    assert [window.lo for window in trend.windows] == list(range(0, 1000, 100))
    assert sum(window.n for window in trend.windows) == 1000
    assert all(window.share == window.count / 100 for window in trend.windows)


def test_the_test_is_the_chi_square_test_of_the_table() -> None:
    trend = coverage_of(covered(0.2, 0.3))
    table = [[window.count for window in trend.windows], [window.n - window.count for window in trend.windows]]
    expected = chi2_contingency(table)
    assert trend.p == pytest.approx(expected.pvalue)
    assert trend.effect == pytest.approx(np.sqrt(expected.statistic / 1000))


def test_a_drift_of_coverage_is_found() -> None:
    assert coverage_of(covered(0.1, 0.4)).drifts


def test_a_steady_function_seldom_drifts() -> None:
    alarms = sum(coverage_of(covered(0.3, seed=seed)).drifts for seed in range(200))
    assert alarms <= 6  # the level is .01


def test_a_trifle_is_no_drift_however_many_rows_there_are() -> None:
    trend = coverage_of(covered(0.30, 0.32, rows=200_000))
    assert trend.p is not None
    assert trend.p < 1e-6
    assert not trend.drifts


def test_many_functions_are_corrected_for_their_number() -> None:
    alone = coverage_of(covered(0.2, 0.27))
    among = coverage_trends(np.hstack([covered(0.2, 0.27), *(covered(0.3, seed=seed) for seed in range(1, 10))]))[0]
    assert alone.p is not None
    assert among.p == pytest.approx(min(1.0, 10 * alone.p))


def test_rare_votes_get_fewer_windows_or_no_test() -> None:
    votes = np.full((1000, 1), -1, np.int16)
    votes[::60] = 0
    assert len(coverage_of(votes).windows) == 3  # 17 votes, 5 expected in each
    votes[5:] = -1
    assert coverage_of(votes).p is None
    assert coverage_of(np.full((1000, 1), 0, np.int16)).p is None
    assert coverage_of(np.empty((0, 1), np.int16)).windows == ()


def test_rows_that_a_function_has_not_seen_are_no_drift() -> None:
    votes = covered(0.3, 0.3)
    votes[500:] = -1
    assert coverage_of(votes).drifts
    seen = coverage_trends(votes, [[(0, 500)]])[0]
    assert not seen.drifts
    assert sum(window.n for window in seen.windows) == 500


def test_a_fall_of_accuracy_is_found_with_its_interval() -> None:
    right = np.array([True] * 38 + [False] * 2 + [True] * 15 + [False] * 25)
    trend = accuracy_of(right)
    assert trend.difference == pytest.approx(15 / 40 - 38 / 40)
    assert trend.p == pytest.approx(fisher_exact([[38, 2], [15, 25]])[1])
    assert trend.lower is not None
    assert trend.upper is not None
    assert trend.lower < 15 / 40 - 38 / 40 < trend.upper < 0
    assert trend.drifts
    assert [window.n for window in trend.windows] == [16] * 5


def test_a_steady_accuracy_seldom_drifts() -> None:
    rng = np.random.default_rng(0)
    assert sum(accuracy_of(rng.random(80) < 0.8).drifts for _ in range(200)) <= 6


def test_too_few_labels_are_not_tested() -> None:
    trend = accuracy_of(np.array([True] * 19))
    assert (trend.p, trend.difference) == (None, None)
    assert [window.n for window in trend.windows] == [19]
    assert accuracy_of(np.array([True] * 20)).p == 1.0


def test_only_tasks_on_which_the_function_votes_count() -> None:
    right = np.array([[True], [False]] * 30)
    trend = accuracy_trends(right, right)[0]
    assert sum(window.n for window in trend.windows) == 30
    assert trend.difference == 0.0
