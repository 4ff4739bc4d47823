"""Existence of marked things: what simulated people's marks say of them, and of the people."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adapter.core.existence import PRECISION_PRIOR, RECALL_PRIOR, existence


def simulate(
    precision: list[float], recall: list[float], *, tasks: int, asked: int | None = None, seed: int = 0
) -> tuple[Any, Any]:
    """Marks of people on `tasks` tasks of ten things; each invention stands alone."""
    rng = np.random.default_rng(seed)
    p, rows, truth = len(precision), [], []
    for _ in range(tasks):
        sees = np.isin(np.arange(p), rng.choice(p, asked or p, replace=False))
        for _ in range(10):
            row = np.where(sees, rng.random(p) < recall, -1)
            if (row == 1).any():
                rows.append(row)
                truth.append(1)
        for i in np.flatnonzero(sees):
            for _ in range(rng.poisson(10 * recall[i] * (1 - precision[i]) / precision[i])):
                row = np.where(sees, 0, -1)
                row[i] = 1
                rows.append(row)
                truth.append(0)
    return np.array(rows, np.int8), np.array(truth)


def test_precision_and_recall_of_simulated_people_lie_within_their_intervals() -> None:
    precision, recall = [0.9, 0.8, 0.95, 0.7, 0.85], [0.9, 0.7, 0.8, 0.95, 0.6]
    drawn, truth = simulate(precision, recall, tasks=100)
    found = existence(drawn)
    for i in range(5):
        # what the sample really holds, not the rate it was drawn with
        really = truth[drawn[:, i] == 1].mean()
        assert found.precision_interval[i, 0] <= really <= found.precision_interval[i, 1]
        assert found.recall[i] == pytest.approx(recall[i], abs=0.05)
    assert ((found.posterior > 0.5) == truth).mean() > 0.99


def test_posteriors_are_calibrated_where_only_some_are_asked() -> None:
    drawn, truth = simulate([0.9, 0.8, 0.9, 0.85, 0.7, 0.9], [0.8, 0.8, 0.9, 0.6, 0.9, 0.7], tasks=200, asked=4)
    found = existence(drawn)
    for low, high in ((0.0, 0.3), (0.7, 1.01)):
        inside = (found.posterior >= low) & (found.posterior < high)
        assert found.posterior[inside].mean() == pytest.approx(truth[inside].mean(), abs=0.1)


def test_of_the_only_person_asked_the_posterior_is_the_precision() -> None:
    found = existence(np.ones((7, 1), np.int8))
    prior = PRECISION_PRIOR[0] / sum(PRECISION_PRIOR)
    assert found.posterior == pytest.approx([prior] * 7)
    assert found.precision == pytest.approx([prior])
    assert found.marks.tolist() == [0]


def test_what_is_learned_on_shared_tasks_holds_where_one_person_is_alone() -> None:
    drawn, _ = simulate([0.95, 0.95, 0.4], [0.9, 0.9, 0.9], tasks=60)
    alone = np.array([[-1, -1, 1], [1, -1, -1]], np.int8)
    found = existence(np.vstack([drawn, alone]))
    assert found.posterior[-2] == pytest.approx(found.precision[2], abs=1e-6)
    assert found.posterior[-1] == pytest.approx(found.precision[0], abs=1e-6)
    assert found.precision[2] < 0.5 < 0.9 < found.precision[0]


def test_someone_who_always_invents_and_someone_who_never_misses_are_known() -> None:
    drawn, truth = simulate([0.9, 0.05, 0.95], [0.9, 0.9, 0.999], tasks=60)
    found = existence(drawn)
    assert found.precision[1] < 0.1
    assert found.recall[2] > 0.97
    assert ((found.posterior > 0.5) == truth).mean() > 0.99


def test_few_marks_stay_near_the_prior() -> None:
    found = existence(np.array([[1, 1, 0], [1, 0, 0]], np.int8))
    assert found.precision == pytest.approx([0.9, 0.9, 0.9], abs=0.06)
    assert found.recall == pytest.approx([0.8, 0.8, 0.8], abs=0.08)
    assert found.posterior[0] > 0.8 > 0.5 > found.posterior[1]


def test_missed_things_that_nobody_drew_count_against_recall() -> None:
    # each finds half, so an eighth is found by nobody: half over seven eighths would say .57
    drawn, _ = simulate([0.95] * 3, [0.5] * 3, tasks=200)
    assert existence(drawn).recall == pytest.approx([0.5] * 3, abs=0.04)


def test_gold_decides_and_teaches() -> None:
    drawn = np.array([[1, 0]] * 60 + [[0, 1]] * 60, np.int8)
    known = np.array([0] * 50 + [-1] * 10 + [1] * 50 + [-1] * 10, np.int8)
    found = existence(drawn, known=known)
    assert (found.posterior[:50] == 0).all()
    assert (found.posterior[60:110] == 1).all()
    assert found.precision[0] < 0.3 < 0.9 < found.precision[1]
    assert found.posterior[55] < 0.1 < 0.75 < found.posterior[115]


@given(
    arrays(np.int8, st.tuples(st.integers(1, 12), st.integers(1, 5)), elements=st.sampled_from([-1, 0, 1])),
    st.randoms(use_true_random=False),
)
def test_order_of_clusters_and_people_does_not_matter(drawn: Any, random: Any) -> None:
    rows, columns = list(range(drawn.shape[0])), list(range(drawn.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    one, other = existence(drawn), existence(drawn[rows][:, columns])
    assert ((one.posterior >= 0) & (one.posterior <= 1)).all()
    assert other.posterior == pytest.approx(one.posterior[rows], abs=1e-6)
    assert other.precision == pytest.approx(one.precision[columns], abs=1e-6)
    assert (one.precision_interval[:, 0] <= one.precision).all()
    assert (one.recall <= one.recall_interval[:, 1]).all()


def test_nothing_marked_gives_the_priors() -> None:
    found = existence(np.zeros((0, 2), np.int8))
    assert found.posterior.shape == (0,)
    assert found.recall == pytest.approx([RECALL_PRIOR[0] / sum(RECALL_PRIOR)] * 2)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="drawn must be"):
        existence(np.array([[2]], np.int8))
    with pytest.raises(ValueError, match="known must be"):
        existence(np.ones((2, 1), np.int8), known=np.ones(3, np.int8))
