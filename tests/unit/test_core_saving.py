"""The live proof: labels at random against the active order, on the same random tasks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from adapter.core.learning_curve import Curve, Estimate
from adapter.core.saving import Points, Said, Saving, savings

RANDOM = np.array([12.0, 25, 50, 100, 160])
ACTIVE = np.array([25.0, 50, 100, 150, 200, 300, 400])


def law(worth: float = 1.0) -> Curve:
    """A curve on which each label is worth so many random ones."""
    return Curve(100.0 / worth, np.array([0.2]), np.array([0.04]), np.array([0.7]), np.array([5.0 / worth]))


def world(worth: float, tasks: int, rng: np.random.Generator, outside: int = 400) -> tuple[Points, Points]:
    """Both curves as they would be measured: the same tasks, hard or easy for all models alike."""
    errors = np.concatenate([law().errors(RANDOM)[0], law(worth).errors(ACTIVE)[0]])
    p = len(errors)
    shape = (tasks + outside, p)
    hard = np.sqrt(0.8) * rng.standard_normal((shape[0], 1)) + np.sqrt(0.2) * rng.standard_normal(shape)
    right = (hard > norm.ppf(errors)).astype(float)
    agree = np.where(right[:, -1:] > 0, right, 1 - right)
    models = np.where(np.arange(p) < len(RANDOM), 4.0, 1.0)

    def part(rows: slice, labels: np.ndarray) -> Points:
        return Points(labels, right[:tasks, rows], models[rows], agree[:tasks, rows], agree[tasks:, rows])

    return part(slice(0, len(RANDOM)), RANDOM), part(slice(len(RANDOM), p), ACTIVE)


@pytest.mark.parametrize(("worth", "tasks"), [(1.0, 60), (1.0, 400), (2.5, 60), (2.5, 400)])
def test_intervals_hold_the_true_saving(worth: float, tasks: int) -> None:
    rng = np.random.default_rng(int(10 * worth) + tasks)
    held, rounds = 0, 25
    for _ in range(rounds):
        found = savings(*world(worth, tasks, rng), labels=400, pool=100_000).now
        assert found.saving is not None
        held += found.saving.lower <= 1 - 1 / worth <= found.saving.upper
    assert held >= 0.85 * rounds


def test_a_large_saving_is_shown_with_enough_blind_tasks() -> None:
    found = savings(*world(4.0, 1500, np.random.default_rng(1)), labels=400, pool=100_000)
    assert found.now.said is Said.SHOWN
    assert found.now.saving is not None
    assert 0.3 < found.now.saving.lower < 0.75 < found.now.saving.upper
    assert found.now.beyond
    assert "extrapolated from 160" in found.now.sentence()
    assert found.measured.said is Said.SHOWN
    assert not found.measured.beyond


def test_no_saving_is_claimed_where_there_is_none() -> None:
    rng = np.random.default_rng(2)
    claims = [savings(*world(1.0, 100, rng), labels=400, pool=100_000).now.said for _ in range(20)]
    assert claims.count(Said.SHOWN) <= 2
    assert claims.count(Said.LOSS) <= 2


def test_an_order_that_harms_is_told() -> None:
    found = savings(*world(0.25, 3000, np.random.default_rng(3)), labels=400, pool=100_000)
    assert found.measured.said is Said.LOSS or found.now.said is Said.LOSS
    said = found.now if found.now.said is Said.LOSS else found.measured
    assert said.saving is not None
    assert said.saving.upper < 0
    assert "labels at random would have done better" in said.sentence()


def test_nothing_is_claimed_far_beyond_what_was_measured() -> None:
    random, active = world(4.0, 1500, np.random.default_rng(1))
    found = savings(random, active, labels=700, pool=100_000)
    assert found.now.said is Said.UNKNOWN
    assert "only up to 160 of 700" in found.now.sentence()
    assert found.measured.said is Said.SHOWN


def test_random_labels_are_never_more_than_the_pool() -> None:
    found = savings(*world(4.0, 300, np.random.default_rng(4)), labels=400, pool=900).now
    assert found.random_labels is not None
    assert found.random_labels.upper <= 900


def test_too_little_is_said_to_be_too_little() -> None:
    random, active = world(2.0, 10, np.random.default_rng(5))
    found = savings(random, active, labels=400, pool=1000).now
    assert (found.said, found.saving) == (Said.UNKNOWN, None)
    assert "10 labelled blind tasks, 20 are needed" in found.sentence()
    random, active = world(2.0, 50, np.random.default_rng(5))
    one = Points(
        *(part[..., :1] for part in (active.labels, active.right, active.models, active.inside, active.outside))
    )
    assert "2 are needed" in savings(random, one, labels=25, pool=1000).now.why
    with pytest.raises(ValueError, match="the same ones"):
        savings(random, world(2.0, 40, np.random.default_rng(5))[1], labels=400, pool=1000)


def test_sentences_for_every_case() -> None:
    wide, labels, needed, accuracy = Estimate(0.3, -0.9, 0.8), *(Estimate(x, x, x) for x in (400.0, 600.0, 0.91))
    said = {
        case: Saving(case, labels, needed, accuracy, wide, 160).sentence()
        for case in (Said.UNKNOWN, Said.NONE, Said.SHOWN, Said.LOSS)
    }
    assert "too wide" in said[Said.UNKNOWN]
    assert said[Said.NONE].startswith("no saving shown so far: 30% (-90% to 80%)")
    assert "91.0% with 400 labels, for which about 600 at random would be needed" in said[Said.SHOWN]
