from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.crowd import strengths


def test_two_items_by_hand() -> None:
    # with an almost absent prior the odds are the ratio of wins: three to one
    theta, se = strengths([0, 0, 0, 1], [1, 1, 1, 0], 2, prior=1e-6)
    assert theta[0] - theta[1] == pytest.approx(np.log(3), abs=1e-3)
    assert theta.sum() == pytest.approx(0, abs=1e-9)
    # information of the difference: 4 * 3/4 * 1/4; each theta is half the difference
    assert se[0] == pytest.approx(np.sqrt(1 / 0.75) / 2, rel=1e-3)
    assert se[0] == pytest.approx(se[1])


def test_ties_leave_equals_equal() -> None:
    theta, _ = strengths([0, 1], [1, 0], 2, weights=[0.5, 0.5])
    assert theta == pytest.approx([0, 0], abs=1e-9)


def test_always_winning_stays_finite_and_separate_groups_are_borne() -> None:
    theta, se = strengths([0] * 5 + [2] * 5, [1] * 5 + [3] * 5, 5)
    assert np.isfinite(theta).all()
    assert np.isfinite(se).all()
    assert theta[0] > theta[4] > theta[1]
    assert theta[0] == pytest.approx(theta[2])
    assert theta[4] == pytest.approx(0, abs=1e-6)
    assert se[4] > se[0], "nobody compared it"


def test_strengths_are_recovered_within_their_errors() -> None:
    random = np.random.default_rng(0)
    n = 12
    true = random.normal(0, 1, n)
    true -= true.mean()
    pairs = np.array([random.choice(n, 2, replace=False) for _ in range(3_000)])
    wins = random.random(3_000) < 1 / (1 + np.exp(true[pairs[:, 1]] - true[pairs[:, 0]]))
    winner, loser = np.where(wins, pairs[:, 0], pairs[:, 1]), np.where(wins, pairs[:, 1], pairs[:, 0])
    theta, se = strengths(winner, loser, n)
    assert np.corrcoef(theta, true)[0, 1] > 0.98
    assert (np.abs(theta - true) < 3 * se).all()
    assert se.max() < 0.2


def test_agrees_with_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(1)
    pairs = np.array([random.choice(5, 2, replace=False) for _ in range(400)])
    theta, _ = strengths(pairs[:, 0], pairs[:, 1], 5, prior=1e-6)
    design = np.zeros((800, 5))
    design[np.arange(400), pairs[:, 0]], design[np.arange(400), pairs[:, 1]] = 1, -1
    design[400:] = -design[:400]
    fitted = LogisticRegression(C=1e6, fit_intercept=False, tol=1e-10, max_iter=1_000)
    fitted.fit(design, np.repeat([1, 0], 400))
    found = fitted.coef_[0] - fitted.coef_[0].mean()
    assert theta == pytest.approx(found, abs=1e-3)


def test_nothing_compared() -> None:
    theta, se = strengths([], [], 3)
    assert theta.tolist() == [0, 0, 0]
    assert (se > 0.5).all()
    assert strengths([], [], 0)[0].shape == (0,)


@pytest.mark.parametrize(
    ("winner", "loser", "weights", "said"),
    [
        ([0], [2], None, "outside 0..1"),
        ([0], [0], None, "with itself"),
        ([0, 1], [1], None, "different lengths"),
        ([0], [1], [-1.0], "not negative"),
        ([0], [1], [np.nan], "finite"),
    ],
)
def test_impossible_comparisons_are_refused(
    winner: list[int], loser: list[int], weights: list[float] | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        strengths(winner, loser, 2, weights)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(lambda p: p[0] != p[1]), max_size=30))
def test_order_of_comparisons_changes_nothing_and_all_is_finite(pairs: list[tuple[int, int]]) -> None:
    table = np.array(pairs, int).reshape(-1, 2)
    theta, se = strengths(table[:, 0], table[:, 1], 5)
    again, _ = strengths(table[::-1, 0], table[::-1, 1], 5)
    assert again == pytest.approx(theta)
    assert np.isfinite(theta).all()
    assert (se > 0).all()
    mirrored, _ = strengths(table[:, 1], table[:, 0], 5)
    assert mirrored == pytest.approx(-theta, abs=1e-6)
