"""When weak labels stop paying."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.crossover import WeakState, WeakUse, compare, judge
from adapter.policies import TrainPolicy

POLICY = TrainPolicy(min_gate=10, weak_gate=10, weak_patience=2)


def rights(*cells: tuple[int, bool]) -> np.ndarray:
    return np.array([value for count, value in cells for _ in range(count)], bool)


def test_the_paired_interval_by_hand() -> None:
    # wins 6, losses 2 of 20: (6 - 2) / 22 = .1818; error sqrt(9 - 16 / 22) / 22 = .1307.
    found = compare(rights((16, True), (4, False)), rights((10, True), (6, False), (2, True), (2, True)))
    assert (found.n, found.with_weak, found.without) == (20, 0.8, 0.7)
    assert found.difference == pytest.approx(0.1)
    wins, losses = 6, 4
    centre = (wins - losses) / 22
    error = (wins + losses + 1 - (wins - losses) ** 2 / 22) ** 0.5 / 22
    assert found.lower == pytest.approx(centre - 1.959964 * error, abs=1e-6)
    assert found.upper == pytest.approx(centre + 1.959964 * error, abs=1e-6)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_the_interval_holds_the_shrunk_difference_and_turns_with_the_models(pairs: list[tuple[bool, bool]]) -> None:
    one, other = (np.array([pair[side] for pair in pairs], bool) for side in (0, 1))
    found, turned = compare(one, other), compare(other, one)
    assert -1 <= found.lower <= found.upper <= 1
    assert found.lower == pytest.approx(-turned.upper)
    assert found.difference == pytest.approx(-turned.difference)


def test_different_tasks_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="paired"):
        compare(rights((3, True)), rights((2, True)))


def test_weak_labels_help_fade_and_retire() -> None:
    better = compare(rights((18, True), (2, False)), rights((12, True), (8, False)))
    worse = compare(rights((12, True), (8, False)), rights((18, True), (2, False)))
    use, with_weak = judge(WeakUse(), better, POLICY, version="m1", labels=30, preferred=False)
    assert (use.state, with_weak, use.fade) == (WeakState.HELPING, True, 1.0)
    assert "weak labels help: 90.0% with and 60.0% without" in use.sentence()
    use, with_weak = judge(use, worse, POLICY, version="m2", labels=60, preferred=True)
    assert (use.state, with_weak, use.fade) == (WeakState.FADING, False, 0.5)
    use, with_weak = judge(use, worse, POLICY, version="m3", labels=90, preferred=True)
    assert (use.state, with_weak, use.fade) == (WeakState.RETIRED, False, 0.0)
    assert "retired since m3" in use.sentence()
    assert [row["labels"] for row in use.history] == [30, 60, 90]


def test_one_better_training_ends_the_fading() -> None:
    better = compare(rights((18, True), (2, False)), rights((12, True), (8, False)))
    worse = compare(rights((12, True), (8, False)), rights((18, True), (2, False)))
    use, _ = judge(WeakUse(), worse, POLICY, version="m1", labels=30, preferred=True)
    use, _ = judge(use, better, POLICY, version="m2", labels=60, preferred=True)
    assert (use.state, use.streak) == (WeakState.HELPING, 0)


def test_too_few_blind_tasks_leave_the_choice_to_cross_validation() -> None:
    few = compare(rights((1, True), (3, False)), rights((4, True)))
    for preferred in (True, False):
        use, with_weak = judge(WeakUse(), few, POLICY, version="m1", labels=30, preferred=preferred)
        assert (use.state, with_weak) == (WeakState.UNTESTED, preferred)


def test_a_small_loss_leaves_weak_labels_in_unless_cross_validation_is_against_them_too() -> None:
    # 20 tasks: 1 win and 2 losses are within the error; 0 wins and 3 losses beyond it, but within the interval.
    close = compare(rights((17, True), (1, True), (2, False)), rights((17, True), (1, False), (2, True)))
    lost = compare(rights((17, True), (3, False)), rights((20, True)))
    assert lost.upper > 0
    for found, against, taken in ((close, True, True), (close, False, True), (lost, True, False), (lost, False, True)):
        use, with_weak = judge(WeakUse(), found, POLICY, version="m1", labels=30, preferred=not against)
        assert (use.state, with_weak) == (WeakState.FADING, taken)


def test_an_even_race_is_won_by_weak_labels_whatever_cross_validation_says() -> None:
    even = compare(rights((18, True), (2, False)), rights((18, True), (2, False)))
    assert judge(WeakUse(), even, POLICY, version="m1", labels=30, preferred=False)[1]


def test_a_few_blind_tasks_choose_the_model_but_retire_nothing() -> None:
    better = compare(rights((18, True), (2, False)), rights((12, True), (8, False)))
    policy = TrainPolicy(min_gate=10, weak_gate=30)
    use, with_weak = judge(WeakUse(), better, policy, version="m1", labels=30, preferred=False)
    assert (use.state, with_weak) == (WeakState.UNTESTED, True)
    worse = compare(rights((12, True), (8, False)), rights((18, True), (2, False)))
    use, with_weak = judge(use, worse, policy, version="m2", labels=60, preferred=True)
    assert (use.state, use.streak, with_weak) == (WeakState.UNTESTED, 0, False)


def test_a_policy_of_always_is_obeyed() -> None:
    worse = compare(rights((12, True), (8, False)), rights((18, True), (2, False)))
    use, with_weak = judge(WeakUse(), worse, TrainPolicy(weak="always"), version="m1", labels=30, preferred=True)
    assert with_weak
    assert use.state is not WeakState.RETIRED


def test_a_record_survives_json_and_new_functions_start_all_over() -> None:
    worse = compare(rights((12, True), (8, False)), rights((18, True), (2, False)))
    use, _ = judge(WeakUse(functions="f1"), worse, POLICY, version="m1", labels=30, preferred=True)
    back = WeakUse.of(json.loads(json.dumps(use.as_json())), "f1")
    assert back == use
    assert WeakUse.of(use.as_json(), "f2") == WeakUse(functions="f2")
    assert "not been compared" in WeakUse().sentence()
