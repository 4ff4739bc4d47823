"""Accuracy, precision by label and gain on the blind sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.functions import accuracies, credits, gains, rights
from adapter.core.functions.gain import paired
from adapter.core.intervals import wilson


def targets(*labels: int, k: int = 2) -> npt.NDArray[np.float32]:
    return np.eye(k, dtype=np.float32)[list(labels)]


def column(*votes: int) -> npt.NDArray[np.int16]:
    return np.array(votes, np.int16)[:, None]


def test_accuracy_counts_only_the_tasks_it_votes_on() -> None:
    found = accuracies(column(0, 0, 1, -1, -2), targets(0, 1, 1, 0, 0))[0]
    assert (found.n, found.right) == (3, 2)
    assert found.accuracy == pytest.approx(2 / 3)
    assert (found.lower, found.upper) == wilson(2, 3)
    assert not found.enough


def test_precision_stands_by_label() -> None:
    found = accuracies(column(0, 0, 1, 1, 1), targets(0, 1, 1, 1, 0))[0]
    assert [(item.label, item.n, item.right) for item in found.classes] == [(0, 2, 1), (1, 3, 2)]
    assert (found.classes[1].lower, found.classes[1].upper) == wilson(2, 3)


def test_with_several_labels_a_vote_is_right_if_its_label_is_among_them() -> None:
    multi = np.array([[1, 1, 0], [0, 1, 0]], np.float32)
    assert rights(column(0, 0), multi)[:, 0].tolist() == [True, False]


def test_nothing_is_said_without_labels() -> None:
    found = accuracies(np.empty((0, 2), np.int16), np.empty((0, 2), np.float32))
    assert [(item.n, item.accuracy, item.lower, item.chance) for item in found] == [(0, None, None, None)] * 2
    assert gains(np.empty((0, 2), np.int16), np.empty((0, 2), np.float32))[0].gain is None


def test_chance_is_the_share_of_what_it_says() -> None:
    truth = targets(*[0] * 8, *[1] * 32)
    rare = accuracies(np.zeros((40, 1), np.int16), truth)[0]
    assert rare.chance == pytest.approx(0.2)
    assert not rare.worse_than_chance  # it is as right as blind guesses of the rare label
    opposite = accuracies(column(*[1] * 8, *[0] * 32), truth)[0]
    assert opposite.worse_than_chance


def test_few_labels_never_make_a_function_worse_than_chance() -> None:
    assert not accuracies(column(*[0] * 9), targets(*[1] * 9))[0].worse_than_chance


def test_a_tie_counts_what_chance_would_make_of_it() -> None:
    tally = np.array([[1, 1, 0], [2, 1, 0], [0, 0, 0]], float)
    assert credits(tally, targets(0, 0, 0, k=3), multiple=False).tolist() == [0.5, 1.0, pytest.approx(1 / 3)]


def test_with_several_labels_credit_is_the_overlap_of_the_sets() -> None:
    tally = np.array([[2, 1, 0], [0, 0, 0], [0, 0, 1]], float)
    truth = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 1]], np.float32)
    assert credits(tally, truth, multiple=True).tolist() == [0.5, 1.0, pytest.approx(1 / 3)]


def test_gain_is_what_the_majority_loses_without_the_function() -> None:
    votes = np.array([[0, 0, 1], [0, 1, 1], [-1, 0, -1], [0, -1, -1]], np.int16)
    truth = targets(0, 0, 0, 0)
    good, middling, bad = gains(votes, truth)
    # Row by row: the tie it makes or breaks counts a half.
    assert good.gain == pytest.approx((0.5 + 0.0 + 0.0 + 0.5) / 4)
    assert middling.gain == pytest.approx((0.5 - 0.5 + 0.5) / 4)
    assert bad.gain == pytest.approx((0.0 - 0.5) / 4)
    assert good.n == 4


def test_a_silent_function_gains_nothing_but_nothing_is_certain() -> None:
    found = gains(column(-1, -1, -1), targets(0, 1, 0))[0]
    assert found.gain == 0.0
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < 0 < found.upper


def test_the_paired_interval_is_bonett_and_price_s() -> None:
    # n = 30, 12 and 2 discordant: (13 - 3) / 32 +- 1.96 sqrt((16/32 - (10/32)^2) / 32).
    found = paired(12, 2, 30)
    half = 1.959963984540054 * np.sqrt((0.5 - 0.3125**2) / 32)
    assert found.gain == pytest.approx(1 / 3)
    assert (found.lower, found.upper) == pytest.approx((0.3125 - half, 0.3125 + half))


def test_the_paired_interval_holds_its_level() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(2000):
        wins, losses, _ = rng.multinomial(60, [0.15, 0.05, 0.8])
        found = paired(float(wins), float(losses), 60)
        assert found.lower is not None
        assert found.upper is not None
        inside += found.lower <= 0.1 <= found.upper
    assert 0.93 <= inside / 2000 <= 0.985


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_the_paired_interval_holds_the_estimate(wins: int, losses: int, same: int) -> None:
    found = paired(wins, losses, wins + losses + same)
    if found.gain is None:
        assert wins + losses + same == 0
        return
    assert found.lower is not None
    assert found.upper is not None
    assert -1 <= found.lower <= found.gain <= found.upper <= 1


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_gain_is_the_difference_of_two_consolidations(seed: int, multiple: bool) -> None:
    rng = np.random.default_rng(seed)
    votes = rng.integers(-2, 3, (20, 4)).astype(np.int16)
    truth = (rng.random((20, 3)) < 0.4).astype(np.float32) if multiple else targets(*rng.integers(0, 3, 20), k=3)

    def score(some: npt.NDArray[np.int16]) -> float:
        tally = np.stack([(some == label).sum(axis=1) for label in range(3)], axis=1).astype(float)
        return float(credits(tally, truth, multiple=multiple).mean())

    for index, found in enumerate(gains(votes, truth, multiple=multiple)):
        assert found.gain == pytest.approx(score(votes) - score(np.delete(votes, index, axis=1)), abs=1e-9)
