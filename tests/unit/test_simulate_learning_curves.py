"""Figures of learning curves: by hand, against SciPy and scikit-learn, and what was not reached told as such."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from adapter.errors import SettingsError
from adapter.simulate.curves import area, labels_to, mean_interval, median_reached, saving, summary
from adapter.simulate.learning import Run
from adapter.simulate.metrics import Metric, decided, parse_metric

INF = math.inf


def test_labels_to_a_mark_are_those_of_the_first_measurement_there() -> None:
    run = Run((20, 30, 40, 50), (0.5, 0.8, 0.7, 0.9))
    assert labels_to(run, 0.5) == 20
    assert labels_to(run, 0.75) == 30
    assert labels_to(run, 0.81) == 50
    assert labels_to(run, 0.91) == INF


def test_area_is_the_mean_height_up_to_the_budget() -> None:
    run = Run((20, 30, 50), (0.4, 0.6, 1.0))
    assert area(run, 50) == pytest.approx((10 * 0.5 + 20 * 0.8) / 30)
    assert area(run, 30) == pytest.approx(0.5)
    assert area(Run((20,), (0.4,)), 50) == 0.4


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_area_lies_between_the_lowest_and_the_highest_score(scores: list[float]) -> None:
    run = Run(tuple(range(10, 10 + len(scores))), tuple(scores))
    assert min(scores) - 1e-9 <= area(run, 100) <= max(scores) + 1e-9


def test_the_interval_of_a_mean_is_students() -> None:
    values = [0.81, 0.84, 0.79, 0.86, 0.83]
    found = mean_interval(values)
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert mean_interval([0.5]).low is None


def test_a_median_of_what_half_the_seeds_never_reached_is_infinite() -> None:
    assert median_reached([100, 120, INF]).value == 120
    assert median_reached([100, INF]).value == INF
    found = median_reached([100, 110, 120, 130, INF, 105, 115, 125, 135, 140])
    assert found.value == 122.5
    assert found.low is not None
    assert found.low >= 100
    assert found.high is not None
    assert found.high < INF
    assert median_reached([100, 110, INF, INF, 105]).high == INF


def test_a_saving_is_paired_and_told_as_a_bound_where_a_mark_was_not_reached() -> None:
    both = saving([100, 120, 110], [400, 480, 440], 300, 2000)
    assert both.censored == ""
    assert both.estimate.value == pytest.approx(0.75)
    assert (both.estimate.low, both.estimate.high) == pytest.approx((0.75, 0.75), abs=0.06)
    bound = saving([100, 120, 110], [INF, INF, 440], 300, 500)
    assert (bound.censored, bound.estimate.value) == ("at least", pytest.approx(1 - 110 / 500))
    other = saving([INF, INF, 110], [400, 480, 440], 300, 500)
    assert (other.censored, other.estimate.value) == ("at most", pytest.approx(1 - 300 / 440))
    nobody = saving([INF], [INF], 300, 500)
    assert nobody.censored == "unknown"
    assert math.isnan(nobody.estimate.value)


def test_the_bootstrap_of_a_saving_covers_it_about_as_often_as_promised() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for trial in range(120):
        base = random.lognormal(6.0, 0.25, 15)
        mine = base * random.lognormal(math.log(0.4), 0.2, 15)
        found = saving(mine.tolist(), base.tolist(), 10**6, 10**6, seed=trial).estimate
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.6 <= found.high
    assert covered / 120 >= 0.88


def test_a_summary_is_json_and_compares_with_random_seed_by_seed() -> None:
    labels = (20, 40, 60)
    runs = {
        "random": [Run(labels, (0.5, 0.6, 0.7)), Run(labels, (0.4, 0.5, 0.6))],
        "mine": [Run(labels, (0.5, 0.8, 0.9)), Run(labels, (0.4, 0.7, 0.8))],
    }
    found = json.loads(json.dumps(summary(runs, [0.8, 0.7], budget=60, far=60), allow_nan=False))
    mine = found["strategies"]["mine"]
    assert mine["labels_to"]["95"]["value"] == 40
    assert mine["labels_to"]["95"]["each"] == [40, 40]
    assert found["strategies"]["random"]["labels_to"]["98"]["value"] is None
    assert found["strategies"]["random"]["labels_to"]["98"]["reached"] == 0
    assert mine["saving"]["98"]["censored"] == "at least"
    assert mine["area_over_random"]["value"] == pytest.approx(0.15)
    assert mine["area_over_random"]["standard_error"] == pytest.approx(0.0)
    assert "saving" not in found["strategies"]["random"]
    assert [point["labels"] for point in mine["curve"]] == [20, 40, 60]


@given(st.integers(2, 5), st.integers(1, 40), st.integers(0, 10_000))
def test_scores_are_scikit_learns(k: int, n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    answers = random.dirichlet(np.ones(k), n).astype(np.float32)
    gold = random.integers(0, k, n)
    truth = np.eye(k, dtype=np.float32)[gold]
    said = answers.argmax(axis=1)
    assert Metric().score(answers, truth) == pytest.approx(accuracy_score(gold, said))
    wanted = f1_score(gold == 0, said == 0, zero_division=1.0)
    assert Metric("f1", 0).score(answers, truth) == pytest.approx(wanted)


def test_a_row_that_the_model_cannot_read_is_wrong() -> None:
    answers = np.array([[0.9, 0.1], [np.nan, np.nan]], np.float32)
    assert Metric().score(answers, np.array([[1, 0], [1, 0]], np.float32)) == 0.5


def test_several_labels_hold_from_one_half_and_a_required_control_has_one() -> None:
    answers = np.array([[0.6, 0.7, 0.2], [0.3, 0.4, 0.1]], np.float32)
    assert decided(answers, multiple=True).tolist() == [[True, True, False], [False, True, False]]
    assert decided(answers, multiple=True, required=False)[1].tolist() == [False, False, False]


@pytest.mark.parametrize(("text", "words"), [("acuracy", "f1:LABEL"), ("f1:spma", "spam"), ("f1", "f1:LABEL")])
def test_a_metric_that_is_none_is_refused_with_advice(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_metric(text, ("spam", "ham"))
    assert words in str(caught.value)


def test_metrics_are_parsed() -> None:
    assert parse_metric("accuracy", ("spam", "ham")).label is None
    assert parse_metric("f1:ham", ("spam", "ham")).label == 1
