"""The live proof: the present model against stand-ins for labels at random, on few labelled random tasks and many
without a label."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.learning_curve import Estimate
from adapter.core.saving import LEAST_TASKS, Rivals, Said, Saving, saving

LABELS = 200
SIZES = np.array([100.0, 200, 400, 800])
APART = np.array([0.16, 0.1, 0.08, 0.06])
"""Share of tasks on which stand-ins of each size decide otherwise than the present model."""
AHEAD = np.array([0.7, 0.5, 0.25, -0.1])
"""How much more often the present model is right there: it is ahead up to somewhere between 400 and 800 labels."""


def world(
    rng: np.random.Generator,
    tasks: int,
    *,
    outside: int = 800,
    apart: np.ndarray = APART,
    ahead: np.ndarray = AHEAD,
    expected: np.ndarray | None = None,
) -> Rivals:
    """What would be measured; tasks on which a size differs are those on which the smaller ones do too."""
    doubt, luck = rng.random((2, tasks, 1))
    differ = (doubt < apart).astype(float)
    better = differ * np.where(luck < (0.9 + ahead) / 2, 1.0, np.where(luck < 0.9, -1.0, 0.0))
    return Rivals(
        labels=LABELS,
        right=(rng.random(tasks) < 0.9).astype(float),
        sizes=SIZES,
        differ=differ,
        better=better,
        outside=(rng.random((outside, 1)) < apart).astype(float),
        expected=ahead if expected is None else expected,
    )


def width(found: Estimate) -> float:
    return found.upper - found.lower


@pytest.mark.parametrize("tasks", [15, 60, 400])
def test_intervals_hold_the_true_gain_and_the_true_saving(tasks: int) -> None:
    """At least 85 of 100 that claim 95, where the model's own probabilities are 30 points too sure of it."""
    rng = np.random.default_rng(tasks)
    true = APART * AHEAD
    worth = math.exp(np.interp(0.0, -true[2:], np.log(SIZES[2:])))
    rounds, gains, savings = 40, 0, 0
    for _ in range(rounds):
        found = saving(world(rng, tasks, expected=AHEAD + 0.3))
        assert found.gain is not None
        assert found.saving is not None
        gains += found.gain.lower <= true[1] <= found.gain.upper
        savings += found.saving.lower <= 1 - LABELS / worth <= found.saving.upper
    assert gains >= 0.85 * rounds
    assert savings >= 0.85 * rounds


def test_a_saving_is_shown_as_a_bound_with_the_points_gained() -> None:
    ahead = np.array([0.8, 0.75, 0.6, -0.1])
    found = saving(world(np.random.default_rng(1), 400, ahead=ahead))
    assert found.said is Said.SHOWN
    assert found.saving is not None
    assert found.gain is not None
    assert 0 < found.saving.lower < 0.6
    assert found.gain.lower < 0.075 < found.gain.upper
    assert found.sentence().startswith(
        f"saving so far at least {found.saving.lower:.0%} (95% sure): 200 labels are worth"
    )
    assert "points (+" in found.sentence()


def test_no_saving_is_claimed_where_there_is_none() -> None:
    rng = np.random.default_rng(2)
    none = np.array([0.5, 0.0, -0.2, -0.4])
    said = [saving(world(rng, 100, ahead=none)).said for _ in range(40)]
    assert said.count(Said.SHOWN) <= 2
    assert said.count(Said.LOSS) <= 2


def test_an_order_that_harms_is_told() -> None:
    found = saving(world(np.random.default_rng(3), 300, apart=2 * APART, ahead=np.array([-0.1, -0.5, -0.7, -0.8])))
    assert found.said is Said.LOSS
    assert "labels at random would have done better so far: -" in found.sentence()


def test_people_outweigh_a_model_that_trusts_itself() -> None:
    against = np.array([-0.3, -0.6, -0.7, -0.8])
    sure = np.full(4, 0.9)
    few = saving(world(np.random.default_rng(4), 15, apart=2 * APART, ahead=against, expected=sure))
    many = saving(world(np.random.default_rng(4), 600, apart=2 * APART, ahead=against, expected=sure))
    assert few.said is not Said.LOSS
    assert many.said is Said.LOSS


def test_tasks_without_labels_make_it_more_exact() -> None:
    rng = np.random.default_rng(5)
    with_: list[float] = []
    without: list[float] = []
    for _ in range(10):
        found = world(rng, 40, outside=1500)
        alone = Rivals(found.labels, found.right, SIZES, found.differ, found.better, found.outside[:0], found.expected)
        for one, widths in ((found, with_), (alone, without)):
            gain = saving(one).gain
            assert gain is not None
            widths.append(width(gain))
    assert np.mean(with_) < 0.8 * np.mean(without)


def test_a_saving_beyond_what_was_measured_has_no_upper_end() -> None:
    ahead = np.full(4, 0.9)
    found = saving(world(np.random.default_rng(6), 500, apart=np.full(4, 0.2), ahead=ahead))
    assert found.random_labels is not None
    assert found.random_labels.upper == math.inf
    assert found.saving is not None
    assert found.saving.upper == 1.0
    assert found.random_labels.json(0)["upper"] is None


def test_too_little_is_said_to_be_too_little() -> None:
    found = saving(world(np.random.default_rng(7), LEAST_TASKS - 1))
    assert (found.said, found.gain, found.saving) == (Said.UNKNOWN, None, None)
    assert found.sentence() == "saving so far: cannot say yet (9 of 10 labelled blind tasks)"


def test_stand_ins_with_other_numbers_of_labels_are_refused() -> None:
    found = world(np.random.default_rng(8), 40)
    other = Rivals(150, found.right, SIZES, found.differ, found.better, found.outside, found.expected)
    with pytest.raises(ValueError, match="no stand-in has 150 labels"):
        saving(other)


def test_the_same_seed_gives_the_same_figures() -> None:
    found = world(np.random.default_rng(9), 50)
    assert saving(found, seed=3) == saving(found, seed=3)


@settings(max_examples=25)
@given(tasks=st.integers(LEAST_TASKS, 60), outside=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
def test_figures_are_ordered_and_bounded(tasks: int, outside: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = saving(
        world(rng, tasks, outside=outside, apart=rng.random(4), ahead=rng.uniform(-0.9, 0.9, 4)), seed=seed % 7
    )
    assert found.gain is not None
    assert found.saving is not None
    assert found.random_labels is not None
    assert -1.3 < found.gain.lower <= found.gain.value <= found.gain.upper < 1.3
    assert found.saving.lower <= found.saving.value <= found.saving.upper <= 1.0
    # More accurate than as many labels at random, and worth more of them, are the same thing.
    assert (found.said is Said.SHOWN) <= (found.saving.lower >= -1e-9)
    assert (found.said is Said.LOSS) <= (found.saving.value <= 1e-9)


def test_sentences_for_every_case() -> None:
    gain, share, worth = Estimate(0.021, 0.004, 0.038), Estimate(0.5, 0.32, 1.0), Estimate(400.0, 294.0, math.inf)
    said = {case: Saving(case, 200, 45, gain, share, worth).sentence() for case in Said}
    assert said[Said.SHOWN] == (
        "saving so far at least 32% (95% sure): 200 labels are worth at least 294 at random; "
        "+2.1 points (+0.4 to +3.8) over as many labels at random"
    )
    assert said[Said.NONE].startswith(
        "no saving shown so far: +2.1 points (+0.4 to +3.8) over as many labels at random"
    )
    assert said[Said.NONE].endswith("from 45 blind labels")
    assert "would have done better" in said[Said.LOSS]
