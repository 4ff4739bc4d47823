"""Abstain-aware EM: abstaining is an answer, nothing drifts, nothing depends on order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.weak import abstain_em
from adapter.core.weak.abstain_em import AbstainEM, Answers, expectation_maximization
from adapter.core.weak.base import Labels, WeakVotes
from adapter.core.weak.majority import Majority, majority

NONE = Labels.none(2)


def one_sided(n: int, seed: int) -> tuple[WeakVotes, np.ndarray]:
    """Four functions that only ever say 1, of 80 % of the 1s and 20 % of the 0s, and one that says 0 of nearly all."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(2, size=n)
    votes = np.full((n, 5), -1)
    for column in range(4):
        votes[(truth == 1) & (rng.random(n) < 0.8), column] = 1
        votes[(truth == 0) & (rng.random(n) < 0.2), column] = 1
    votes[rng.random(n) < 0.9, 4] = 0
    return WeakVotes(votes.astype(np.int16), 2), truth


def hits(answer: np.ndarray, truth: np.ndarray) -> float:
    covered = np.isfinite(answer).all(axis=1)
    top = answer[covered] >= answer[covered].max(axis=1, keepdims=True) - 1e-6
    return float((top[np.arange(len(top)), truth[covered]] / top.sum(axis=1)).mean())


def test_one_sided_functions_are_told_from_silence() -> None:
    votes, truth = one_sided(2000, seed=0)
    answer = AbstainEM().fit(votes, NONE).predict(votes)
    assert hits(answer, truth) > hits(majority(votes.votes, 2), truth) + 0.05


def test_probabilities_sum_to_one_and_uncovered_rows_are_nan() -> None:
    votes, _ = one_sided(300, seed=1)
    answer = AbstainEM().fit(votes, NONE).predict(votes)
    np.testing.assert_allclose(answer[votes.covered].sum(axis=1), 1, rtol=1e-5)
    assert np.isnan(answer[~votes.covered]).all()
    assert answer.dtype == np.float32


def test_a_fault_is_an_abstention() -> None:
    votes, _ = one_sided(300, seed=2)
    faulty = WeakVotes(np.where(votes.votes == -1, -2, votes.votes).astype(np.int16), 2)
    np.testing.assert_array_equal(
        AbstainEM().fit(faulty, NONE).predict(faulty), AbstainEM().fit(votes, NONE).predict(votes)
    )


def test_symmetric_votes_stay_a_tie() -> None:
    votes = WeakVotes(np.array([[0, 1], [1, 0]] * 20, np.int16), 2)
    answer = AbstainEM().fit(votes, NONE).predict(votes)
    np.testing.assert_allclose(answer, 0.5, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_order_of_rows_functions_and_labels_changes_no_answer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.integers(-1, 3, size=(40, 4)).astype(np.int16)
    votes = WeakVotes(raw, 3)
    if not votes.covered.any():
        return
    none = Labels.none(3)
    plain = AbstainEM().fit(votes, none).predict(votes)
    order = rng.permutation(40)
    there = votes.at(order.astype(np.int64))
    np.testing.assert_array_equal(AbstainEM().fit(there, none).predict(there), plain[order])
    columns = rng.permutation(4)
    turned = WeakVotes(raw[:, columns], 3)
    np.testing.assert_allclose(AbstainEM().fit(turned, none).predict(turned), plain, atol=1e-4, equal_nan=True)
    names = rng.permutation(3)
    said = WeakVotes(np.where(raw >= 0, names[raw], -1).astype(np.int16), 3)
    renamed = AbstainEM().fit(said, none).predict(said)
    np.testing.assert_allclose(renamed[:, names], plain, atol=1e-4, equal_nan=True)


def test_class_balance_moves_the_answers_its_way() -> None:
    votes, _ = one_sided(500, seed=3)
    even = AbstainEM().fit(votes, NONE, balance=np.array([0.5, 0.5], np.float32)).predict(votes)
    rare = AbstainEM().fit(votes, NONE, balance=np.array([0.9, 0.1], np.float32)).predict(votes)
    assert np.nanmean(rare[:, 1]) < np.nanmean(even[:, 1])


@pytest.mark.parametrize("balance", [[1.0], [0.0, 1.0], [float("nan"), 1.0]])
def test_a_balance_that_does_not_fit_is_refused(balance: list[float]) -> None:
    votes, _ = one_sided(50, seed=4)
    with pytest.raises(ValueError, match="class balance needs 2 positive shares"):
        AbstainEM().fit(votes, NONE, balance=np.array(balance, np.float32))


def test_it_says_why_it_cannot_work() -> None:
    with pytest.raises(ValueError, match="several may hold"):
        AbstainEM().fit(WeakVotes(np.zeros((3, 2), np.int16), 2, multiple=True), NONE)
    with pytest.raises(ValueError, match="no function votes"):
        AbstainEM().fit(WeakVotes(np.full((3, 2), -1, np.int16), 2), NONE)
    with pytest.raises(ValueError, match="no function votes"):
        AbstainEM().fit(WeakVotes(np.zeros((3, 0), np.int16), 2), NONE)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 1000))
def test_packed_answers_count_and_sum_as_plain_ones(m: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-1, k, size=(7, m)).astype(np.int16)
    mass, tables = rng.random((7, k)), rng.random((m, k + 1, k))
    answers = Answers(rows, k)
    hot = (rows[:, :, None] + 1 == np.arange(k + 1)).astype(float)
    np.testing.assert_allclose(answers.counts(mass), np.einsum("uy,uja->jay", mass, hot))
    np.testing.assert_allclose(answers.scores(tables), np.einsum("uja,jay->uy", hot, tables))


def test_a_sample_of_patterns_gives_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(2, size=6000)
    raw = np.where(rng.random((6000, 12)) < 0.75, truth[:, None], 1 - truth[:, None])
    votes = WeakVotes(np.where(rng.random(raw.shape) < 0.5, raw, -1).astype(np.int16), 2)
    full = AbstainEM().fit(votes, NONE).predict(votes)
    monkeypatch.setattr(abstain_em, "MOST_PATTERNS", 1500)
    labels = Labels(np.arange(20, dtype=np.int64), np.eye(2, dtype=np.float32)[truth[:20]], np.ones(20, np.float32))
    part = expectation_maximization(votes, labels, Majority(), abstain_em.ANCHOR, None).predict(votes)
    assert float(np.nanmean(np.abs(full - part))) < 0.02


@pytest.mark.data
def test_it_restores_the_one_sided_functions_of_youtube_spam(data_folder: Path) -> None:
    from benchmarks.weak_data import sms, youtube

    data = youtube(data_folder)
    votes = WeakVotes(data.votes, 2)
    answer = AbstainEM().fit(votes, NONE).predict(votes)
    assert hits(answer, data.truth) == pytest.approx(0.834, abs=0.003)
    data = sms(data_folder)
    votes = WeakVotes(data.votes, 2)
    assert hits(AbstainEM().fit(votes, NONE).predict(votes), data.truth) >= hits(majority(data.votes, 2), data.truth)
