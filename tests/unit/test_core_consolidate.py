from __future__ import annotations

import csv
import json
import os
import random
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adapter.core.consolidate import (
    CONSOLIDATORS,
    ConsolidatorScore,
    NoisyOr,
    choose,
    consolidators,
    label_model,
    majority,
    score_table,
)
from adapter.policies import ConsolidatePolicy

VOTES = arrays(np.int16, st.tuples(st.integers(0, 12), st.integers(0, 5)), elements=st.integers(-2, 2))


def planted(n: int, accuracy: list[float], coverage: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Votes of independent functions on two labels, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(2, size=n)
    right = rng.random((n, len(accuracy))) < accuracy
    votes = np.where(right, truth[:, None], 1 - truth[:, None])
    return np.where(rng.random(votes.shape) < coverage, votes, -1).astype(np.int16), truth


def hits(probabilities: np.ndarray, truth: np.ndarray) -> float:
    covered = np.isfinite(probabilities).all(axis=1)
    return float((probabilities[covered].argmax(axis=1) == truth[covered]).mean())


def test_majority_is_the_share_of_votes() -> None:
    votes = np.array([[0, 0, 1], [1, -1, -1], [-1, -2, 2]], np.int16)
    assert majority(votes, 3).tolist() == pytest.approx(np.array([[2 / 3, 1 / 3, 0], [0, 1, 0], [0, 0, 1]]))


def test_uncovered_row_is_nan_never_the_prior() -> None:
    votes = np.array([[-1, -1, -1], [-2, -1, -2], [0, -1, -1]], np.int16)
    for make in CONSOLIDATORS.values():
        try:
            answer = make().fit_predict(votes, 2, seed=0)
        except ValueError:
            continue
        assert np.isnan(answer[:2]).all()
        assert np.isfinite(answer[2]).all()


def test_fault_is_no_vote() -> None:
    assert majority(np.array([[0, -2]], np.int16), 2).tolist() == [[1.0, 0.0]]


def test_tie_stays_a_tie() -> None:
    assert majority(np.array([[0, 1], [1, 0]], np.int16), 2).tolist() == [[0.5, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize("wrong", [np.array([[2]]), np.array([[-3]]), np.array([0, 1])])
def test_votes_outside_the_labels_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="votes"):
        majority(wrong.astype(np.int16), 2)


@given(VOTES, st.integers(0, 100))
def test_majority_knows_no_order_of_rows_or_functions(votes: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(votes.shape[0]), rng.permutation(votes.shape[1])
    answer = majority(votes, 3)
    np.testing.assert_allclose(majority(votes[rows][:, columns], 3), answer[rows])
    covered = (votes >= 0).any(axis=1)
    np.testing.assert_allclose(answer[covered].sum(axis=1), 1.0, rtol=1e-6)
    assert np.isnan(answer[~covered]).all()


def test_label_model_beats_majority_when_functions_differ_in_accuracy() -> None:
    votes, truth = planted(3000, [0.95, 0.6, 0.6, 0.6, 0.6], 0.8, seed=1)
    assert hits(label_model(votes, 2, seed=0), truth) > hits(majority(votes, 2), truth) + 0.03


def test_label_model_knows_no_order_of_rows_and_is_reproducible() -> None:
    votes, _ = planted(400, [0.9, 0.8, 0.7, 0.7], 0.6, seed=2)
    order = np.random.default_rng(0).permutation(len(votes))
    answer = label_model(votes, 2, seed=4)
    np.testing.assert_array_equal(label_model(votes[order], 2, seed=4), answer[order])
    covered = (votes >= 0).any(axis=1)
    np.testing.assert_allclose(answer[covered].sum(axis=1), 1.0, rtol=1e-5)
    assert np.isnan(answer[~covered]).all()


def test_label_model_equals_snorkel_fitted_row_by_row() -> None:
    from snorkel.labeling.model import LabelModel

    votes, _ = planted(300, [0.9, 0.8, 0.7], 0.7, seed=3)
    covered = (votes >= 0).any(axis=1)
    plain = LabelModel(cardinality=2, verbose=False)
    state = np.random.get_state()
    plain.fit(votes.astype(int), n_epochs=100, seed=5, progress_bar=False)
    np.random.set_state(state)
    expected = plain.predict_proba(votes.astype(int))
    np.testing.assert_allclose(label_model(votes, 2, seed=5)[covered], expected[covered], atol=1e-4)


def test_label_model_leaves_global_randomness_and_the_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    label_model(planted(100, [0.9, 0.8, 0.7], 1.0, seed=0)[0], 2, seed=1)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert list(tmp_path.iterdir()) == []


def test_label_model_says_why_it_cannot_work() -> None:
    votes, _ = planted(50, [0.9, 0.8, 0.7], 1.0, seed=0)
    votes[:, 2] = -1
    with pytest.raises(ValueError, match="at least 3 functions that vote, there are 2"):
        label_model(votes, 2, seed=0)
    with pytest.raises(ValueError, match="class balance"):
        label_model(planted(50, [0.9] * 3, 1.0, seed=0)[0], 2, seed=0, class_balance=[1.0])


def test_label_model_with_unanimous_functions_is_finite() -> None:
    votes = np.zeros((40, 3), np.int16)
    answer = label_model(votes, 2, seed=0)
    assert np.isfinite(answer).all()
    assert (answer.argmax(axis=1) == 0).all()


def test_noisy_or_takes_each_vote_for_its_label_only() -> None:
    votes = np.array([[0, 0, -1], [0, -1, 1], [-1, -1, -1]], np.int16)
    answer = NoisyOr().fit_predict(votes, 3, seed=0)
    # Two voters of precision .75 for label 0: 1 - .25 ** 2. Label 2 has no function at all: one half.
    np.testing.assert_allclose(answer[0], [1 - 0.25**2, 0.1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(answer[1], [0.75, 0.75, 0.5], rtol=1e-6)
    assert np.isnan(answer[2]).all()


def test_noisy_or_shrinks_precision_measured_on_random_gold() -> None:
    votes = np.zeros((20, 1), np.int16)
    gold = np.zeros((10, 2), np.float32)
    gold[:4, 0] = 1
    answer = NoisyOr(gold_rows=np.arange(10), gold=gold).fit_predict(votes, 2, seed=0)
    assert answer[0, 0] == pytest.approx((7.5 + 4) / (10 + 10))


def test_controls_with_several_labels_have_their_own_consolidators() -> None:
    assert list(consolidators(False)) == ["majority", "label-model"]
    assert list(consolidators(True)) == ["noisy-or"]


def test_score_counts_covered_blind_rows_and_splits_ties() -> None:
    probabilities = np.array([[1, 0], [0.5, 0.5], [np.nan, np.nan], [0, 1], [0.4, 0.6]], np.float32)
    gold = np.eye(2, dtype=np.float32)[[0, 0, 0, 0]]
    (score,) = score_table({"majority": probabilities}, np.array([0, 1, 2, 3]), gold)
    assert score.n == 3
    assert score.accuracy == pytest.approx(1.5 / 3)
    assert score.covered == pytest.approx(4 / 5)
    assert score.ties == pytest.approx(1 / 4)
    assert score.lower is not None
    assert score.upper is not None
    assert score.lower < 0.5 < score.upper
    assert json.loads(json.dumps(asdict(score)))["n"] == 3


def test_score_of_several_labels_asks_for_the_exact_set() -> None:
    probabilities = np.array([[0.9, 0.8, 0.1], [0.9, 0.2, 0.1]], np.float32)
    gold = np.array([[1, 1, 0], [1, 1, 0]], np.float32)
    (score,) = score_table({"noisy-or": probabilities}, np.array([0, 1]), gold, multiple=True)
    assert score.accuracy == pytest.approx(0.5)


def test_score_without_blind_labels_is_unknown() -> None:
    (score,) = score_table({"majority": np.ones((3, 2), np.float32) / 2}, np.zeros(0, np.int64), np.zeros((0, 2)))
    assert (score.accuracy, score.lower, score.upper, score.n) == (None, None, None, 0)
    with pytest.raises(ValueError, match="blind rows"):
        score_table({}, np.zeros(1, np.int64), np.zeros((0, 2)))


def row(name: str, accuracy: float | None, n: int) -> ConsolidatorScore:
    return ConsolidatorScore(name, accuracy, None, None, n, 1.0, 0.0)


def test_choice_is_the_best_on_the_blind_sample() -> None:
    policy = ConsolidatePolicy(min_gold=20)
    assert choose([row("majority", 0.8, 30), row("label-model", 0.85, 30)], policy) == "label-model"
    assert choose([row("majority", 0.8, 30), row("label-model", 0.75, 30)], policy) == "majority"
    assert choose([row("label-model", 0.8, 30), row("majority", 0.8, 30)], policy) == "majority"


def test_choice_is_majority_without_enough_blind_labels() -> None:
    policy = ConsolidatePolicy(min_gold=20)
    assert choose([row("majority", 0.8, 19), row("label-model", 0.95, 19)], policy) == "majority"
    assert choose([row("majority", None, 0), row("label-model", None, 0)], policy) == "majority"


def test_named_consolidator_is_used_while_it_is_there() -> None:
    policy = ConsolidatePolicy(consolidator="label-model")
    assert choose([row("majority", 0.8, 30), row("label-model", 0.7, 30)], policy) == "label-model"
    assert choose([row("majority", 0.8, 30)], policy) == "majority"
    assert choose([row("noisy-or", 0.8, 30)], policy) == "noisy-or"
    assert choose([], policy) == ""


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 60)), min_size=1, max_size=5))
def test_choice_is_never_below_majority(rows: list[tuple[float, int]]) -> None:
    scores = [row("majority" if i == 0 else f"other-{i}", accuracy, n) for i, (accuracy, n) in enumerate(rows)]
    chosen = choose(scores, ConsolidatePolicy(min_gold=20))
    by_name = {score.name: score for score in scores}
    assert (by_name[chosen].accuracy or 0) >= (scores[0].accuracy or 0)
    assert chosen == "majority" or by_name[chosen].n >= 20


@pytest.mark.data
def test_youtube_spam_gives_the_published_figures() -> None:
    folder = os.environ.get("HITL_DATA")
    if not folder:
        pytest.skip("HITL_DATA does not name the folder with the data sets")
    with (Path(folder) / "youtube_spam" / "youtube_clean.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    votes = np.array([[int(float(row[f"LF{i}"])) for i in range(1, 11)] for row in rows], np.int16)
    truth = np.array([int(float(row["label"])) for row in rows])
    shares, posteriors = majority(votes, 2), label_model(votes, 2, seed=0)
    # Published with ties given to the first label; in our table a tie counts one half.
    assert hits(shares, truth) == pytest.approx(0.796, abs=0.001)
    assert hits(posteriors, truth) == pytest.approx(0.853, abs=0.005)
    table = score_table({"majority": shares, "label-model": posteriors}, np.arange(len(truth)), np.eye(2)[truth])
    assert [round(score.covered, 2) for score in table] == [0.87, 0.87]
    assert table[0].ties == pytest.approx(0.16, abs=0.005)
    assert table[0].accuracy == pytest.approx(0.856, abs=0.001)
