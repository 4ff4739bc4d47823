from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.gates import mcnemar_worse, promotes, promotion
from adapter.policies import TrainPolicy
from adapter.vocabulary import Outcome

POLICY = TrainPolicy(alpha=0.05, tolerance=0.02, min_gate=10)


def pair(both: int, losses: int, wins: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Correctness of the current model and of the candidate."""
    current = [True] * both + [True] * losses + [False] * wins + [False] * neither
    candidate = [True] * both + [False] * losses + [True] * wins + [False] * neither
    return np.array(current), np.array(candidate)


@pytest.mark.parametrize(
    ("losses", "wins", "p"),
    [(0, 0, 1.0), (0, 5, 1.0), (5, 0, 1 / 32), (4, 1, 6 / 32), (3, 3, 42 / 64), (8, 2, 56 / 1024)],
)
def test_mcnemar_is_the_binomial_tail_counted_by_hand(losses: int, wins: int, p: float) -> None:
    assert mcnemar_worse(losses, wins) == pytest.approx(p)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_tails_overlap_in_one_point(losses: int, wins: int) -> None:
    from math import comb

    point = comb(losses + wins, losses) / 2 ** (losses + wins)
    assert mcnemar_worse(losses, wins) + mcnemar_worse(wins, losses) == pytest.approx(1 + point)


def test_better_candidate_is_promoted() -> None:
    verdict = promotion(*pair(60, 3, 12, 25), POLICY)
    assert verdict.outcome is Outcome.PASS
    assert promotes(verdict)
    assert verdict.figures["losses"] == 3
    assert verdict.figures["wins"] == 12
    assert verdict.figures["candidate_right"] == 72
    assert verdict.figures["n"] == 100


def test_significantly_worse_candidate_is_refused() -> None:
    # Five tasks lost of 500 is within the tolerance of .02, but none won: p = 1/32.
    verdict = promotion(*pair(450, 5, 0, 45), POLICY)
    assert verdict.outcome is Outcome.FAIL
    assert not promotes(verdict)
    assert verdict.figures["p_worse"] == pytest.approx(1 / 32)
    assert "significantly worse" in verdict.sentence


def test_candidate_below_the_tolerance_is_refused_without_significance() -> None:
    # 100 tasks, 12 lost, 5 won: p = 9402 / 131072 = .072; lower by .07, tolerance and error are .02 + sqrt(17) / 100.
    verdict = promotion(*pair(70, 12, 5, 13), POLICY)
    assert verdict.figures["p_worse"] == pytest.approx(9402 / 131072)
    assert verdict.outcome is Outcome.FAIL
    assert "tolerance" in verdict.sentence


def test_candidate_exactly_at_the_tolerance_passes() -> None:
    assert promotion(*pair(70, 5, 3, 22), POLICY).outcome is Outcome.PASS


def test_one_task_of_few_is_no_reason_to_refuse() -> None:
    # 37 tasks, 3 lost, 2 won: lower by .027, the error of that difference is sqrt(5) / 37 = .060.
    assert promotion(*pair(20, 3, 2, 12), POLICY).outcome is Outcome.PASS


def test_equal_models_pass() -> None:
    assert promotion(*pair(8, 0, 0, 2), POLICY).outcome is Outcome.PASS


def test_first_model_must_not_be_worse_than_the_most_common_label() -> None:
    common, candidate = pair(40, 8, 1, 11)
    refused = promotion(None, candidate, POLICY, baseline=common)
    assert refused.outcome is Outcome.FAIL
    assert "most common label" in refused.sentence
    assert promotion(None, common, POLICY, baseline=candidate).outcome is Outcome.PASS


def test_first_model_with_nothing_to_compare_passes() -> None:
    verdict = promotion(None, np.array([True] * 7 + [False] * 5), POLICY)
    assert verdict.outcome is Outcome.PASS
    assert verdict.figures["against"] == "nothing"


def test_first_model_without_blind_labels_is_promoted_provisionally() -> None:
    verdict = promotion(None, np.zeros(0, bool), POLICY, baseline=np.zeros(0, bool))
    assert verdict.outcome is Outcome.NOT_ENOUGH_DATA
    assert promotes(verdict)
    assert "provisionally" in verdict.sentence
    assert verdict.figures["candidate_accuracy"] is None


@pytest.mark.parametrize(("losses", "wins", "promoted"), [(1, 1, True), (0, 2, True), (1, 0, False)])
def test_successor_with_few_labels_must_be_right_as_often(losses: int, wins: int, promoted: bool) -> None:
    verdict = promotion(*pair(4, losses, wins, 0), POLICY)
    assert verdict.outcome is Outcome.NOT_ENOUGH_DATA
    assert promotes(verdict) is promoted


def test_verdict_survives_json() -> None:
    verdict = promotion(*pair(60, 3, 12, 25), POLICY)
    assert json.loads(json.dumps(asdict(verdict)))["figures"]["promote"] is True


def test_unpaired_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="paired"):
        promotion(np.ones(3, bool), np.ones(4, bool), POLICY)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60), st.randoms(use_true_random=False))
def test_order_of_tasks_does_not_matter(rows: list[tuple[bool, bool]], random: object) -> None:
    def judge(pairs: list[tuple[bool, bool]]) -> object:
        return promotion(np.array([a for a, _ in pairs], bool), np.array([b for _, b in pairs], bool), POLICY)

    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert judge(rows) == judge(shuffled)
