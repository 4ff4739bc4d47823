"""When to stop: kappa on the stop set, target, gain, budget; advice in words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.learning_curve import Estimate
from adapter.core.stopping import Agreement, Seen, Standing, advise, bound, encode, kappa, same, successive
from adapter.policies import StopPolicy


def codes(labels: list[int], k: int = 3) -> np.ndarray:
    """Decisions for one label each; -1 for a task that could not be read."""
    known = np.array([label >= 0 for label in labels])
    return encode(np.eye(k)[np.maximum(labels, 0)], known)


def test_kappa_is_the_textbook_s() -> None:
    # 50 decisions of two raters: both yes 20, both no 15, yes-no 5, no-yes 10: (.7 - .5) / (1 - .5).
    first = [0] * 20 + [1] * 15 + [0] * 5 + [1] * 10
    second = [0] * 20 + [1] * 15 + [1] * 5 + [0] * 10
    assert kappa(codes(first), codes(second)) == pytest.approx(0.4)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60))
def test_kappa_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import cohen_kappa_score

    a, b = [one for one, _ in pairs], [two for _, two in pairs]
    found = kappa(codes(a, 4), codes(b, 4))
    if len({*a, *b}) == 1:
        assert found == 1.0
    else:
        assert found == pytest.approx(float(cohen_kappa_score(a, b)))


def test_decisions_that_cannot_be_read_are_no_agreement_and_no_disagreement() -> None:
    a, b = codes([0, 1, -1, 2]), codes([0, 1, -1, -1])
    assert kappa(a, b) == 1.0
    assert same(a, b).tolist() == [True, True, False, False]
    assert math.isnan(kappa(codes([-1]), codes([0])))


@given(st.integers(1, 20), st.integers(1, 30), st.integers(0, 99))
def test_several_labels_at_once_are_one_pattern(k: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.random((n, k)) > 0.5, rng.random((n, k)) > 0.5
    known = np.ones(n, bool)
    assert encode(a, known).shape == (n, 1 + math.ceil(k / 8))
    assert same(encode(a, known), encode(b, known)).tolist() == (a == b).all(axis=1).tolist()


def seen(version: str, labels: int, decisions: list[int], rows: list[int] | None = None) -> Seen:
    at = np.array(rows if rows is not None else range(len(decisions)), np.int64)
    return Seen(version, labels, at, codes(decisions))


def test_models_are_compared_on_tasks_that_nobody_labelled_for_training() -> None:
    models = [seen("a", 20, [0, 1, 2, 0]), seen("b", 40, [0, 1, 2, 1])]
    assert successive(models, [], window=3, step=10)[0].kappa < 1
    (found,) = successive(models, [3], window=3, step=10)
    assert found == Agreement(1.0, 3, (20, 40))


def test_a_model_trained_again_on_nearly_the_same_labels_is_passed_over() -> None:
    models = [seen("a", 20, [0, 1, 2, 0]), seen("b", 38, [1, 1, 1, 0]), seen("c", 40, [1, 1, 1, 0])]
    (found,) = successive(models, [], window=3, step=10)
    assert found.labels == (20, 40)
    assert found.kappa < 0.9


def test_only_the_newest_comparisons_count_and_a_change_of_labels_ends_them() -> None:
    models = [seen(str(n), 20 * n, [0, 1, 2, 0]) for n in range(1, 7)]
    assert [one.labels for one in successive(models, [], window=3, step=10)] == [(60, 80), (80, 100), (100, 120)]
    wider = Seen("0", 10, np.arange(4), encode(np.eye(9)[[0, 1, 2, 0]], np.ones(4, bool)))
    assert len(successive([wider, *models[:2]], [], window=3, step=10)) == 1
    assert successive([], [], window=3, step=10) == []


def test_the_bound_on_f_is_the_paper_s() -> None:
    assert bound(0.99) == pytest.approx(4 * 0.01 / 0.99)
    assert bound(1.0) == 0
    with pytest.raises(ValueError, match="threshold"):
        bound(0.0)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=10, max_size=80))
def test_f_never_differs_by_more_than_the_bound(pairs: list[tuple[bool, bool]]) -> None:
    """F of the one model's decisions against the other's truth differs by no more than 4 (1 - T) / T, for any truth:
    here the worst truths, each model being right itself."""
    a, b = (np.array(one) for one in zip(*pairs, strict=True))
    value = kappa(codes(a.astype(int).tolist()), codes(b.astype(int).tolist()))
    if value <= 0:
        return

    def f(said: np.ndarray, truth: np.ndarray) -> float:
        hits = int((said & truth).sum())
        return 2 * hits / max(int(said.sum() + truth.sum()), 1)

    for truth in (a, b):
        if truth.any():
            assert abs(f(a, truth) - f(b, truth)) <= bound(value) + 1e-9


def agreements(*values: float) -> list[Agreement]:
    return [Agreement(value, 1000, (100 + 20 * n, 120 + 20 * n)) for n, value in enumerate(values)]


def test_models_that_agree_advise_to_stop_and_say_the_bound() -> None:
    found = advise(Standing(200, agreements(0.991, 0.992, 0.996)), StopPolicy())
    assert found.stop
    assert "kappa 0.993" in found.why
    assert "0.040" in found.why
    assert found.figures["kappa"]["last"] == [0.991, 0.992, 0.996]


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing(200, agreements(0.95, 0.999, 0.999)), "still differ"),
        (Standing(200, agreements(0.999, 0.999)), "2 of 3"),
        (Standing(50, agreements(0.999, 0.999, 0.999)), "50 labels of the 100"),
        (Standing(0), "0 labels"),
    ],
)
def test_otherwise_it_says_what_is_missing(standing: Standing, words: str) -> None:
    found = advise(standing, StopPolicy())
    assert not found.stop
    assert words in found.why


def test_the_target_is_met_by_the_lower_bound_alone() -> None:
    policy = StopPolicy(kappa=None, target=0.9)
    assert not advise(Standing(500, accuracy=Estimate(0.93, 0.88, 0.96)), policy).stop
    assert advise(Standing(30, accuracy=Estimate(0.95, 0.91, 0.98)), policy).stop
    assert "cannot be judged" in advise(Standing(500), policy).why


def test_a_gain_is_small_when_even_its_upper_bound_is() -> None:
    policy = StopPolicy(kappa=None, gain=0.01)
    assert not advise(Standing(500, gain=Estimate(0.004, 0.001, 0.02)), policy).stop
    found = advise(Standing(500, gain=Estimate(0.004, 0.001, 0.008)), policy)
    assert found.stop
    assert "0.4 points (0.1 to 0.8)" in found.why
    assert not advise(Standing(500), policy).stop


def test_a_spent_budget_counts_from_the_first_label() -> None:
    assert advise(Standing(1, budget_left=0), StopPolicy()).stop
    assert not advise(Standing(1, budget_left=1), StopPolicy()).stop
