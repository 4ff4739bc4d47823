"""The choice among consolidators: safe with few labels, the best with more, never one below majority's interval."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adapter.core.weak.choose as weak_choose
from adapter.core.weak import Labels, Score, WeakVotes, class_balance, consolidate, consolidators
from adapter.core.weak.choose import MIN_LEARN, choose
from adapter.core.weak.majority import majority
from adapter.core.weak.scores import covered_credits, credit, least_gain, log_loss, score
from adapter.errors import SettingsError
from adapter.policies import ConsolidatePolicy

POLICY = ConsolidatePolicy(min_gold=20)


def planted(n: int, seed: int, k: int = 2) -> tuple[WeakVotes, np.ndarray]:
    """One good function, three poor ones."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(k, size=n)
    right = rng.random((n, 4)) < [0.95, 0.5, 0.5, 0.5]
    wrong = (truth[:, None] + rng.integers(1, k, size=right.shape)) % k
    votes = np.where(right, truth[:, None], wrong)
    votes = np.where(rng.random(votes.shape) < 0.7, votes, -1).astype(np.int16)
    return WeakVotes(votes, k, names=("a", "b", "c", "d")), truth


def labels_of(rows: np.ndarray, truth: np.ndarray, k: int = 2) -> Labels:
    return Labels(rows.astype(np.int64), np.eye(k, dtype=np.float32)[truth[rows]], np.ones(len(rows), np.float32))


def hits(answer: np.ndarray, truth: np.ndarray) -> float:
    covered = np.isfinite(answer).all(axis=1)
    return float((answer[covered].argmax(axis=1) == truth[covered]).mean())


def test_controls_with_several_labels_have_their_own_consolidators() -> None:
    single = ["majority", "weighted-vote", "label-model", "abstain-em", "semi-supervised"]
    assert list(consolidators(False)) == single
    assert list(consolidators(True)) == ["noisy-or", "weighted-vote"]
    assert all(one.name == name for name, one in (consolidators(False) | consolidators(True)).items())


def test_without_labels_majority_speaks_and_the_table_says_who_could_not() -> None:
    votes, _ = planted(300, seed=0)
    found = consolidate(votes, learn=Labels.none(2), blind=Labels.none(2), policy=POLICY)
    assert found.chosen == "majority"
    np.testing.assert_array_equal(found.probabilities, majority(votes.votes, 2))
    assert "0 blind labels on covered tasks, 20 are needed to compare" in found.why
    rows = {row.name: row for row in found.table}
    assert rows["semi-supervised"].note.startswith("it needs people's labels")
    assert rows["majority"].accuracy is None
    assert rows["majority"].covered == pytest.approx(float(votes.covered.mean()))
    assert set(found.unlearned) == {"majority", "label-model", "abstain-em"}
    assert json.loads(json.dumps([asdict(row) for row in found.table]))


def test_labels_outside_the_blind_sample_are_learned_from() -> None:
    votes, truth = planted(2000, seed=1)
    found = consolidate(
        votes, learn=labels_of(np.arange(60), truth), blind=labels_of(np.arange(100, 105), truth), policy=POLICY
    )
    assert found.chosen == "semi-supervised"
    assert hits(found.probabilities, truth) > hits(majority(votes.votes, 2), truth) + 0.05


def test_blind_labels_in_what_is_learned_from_are_left_out_there() -> None:
    votes, truth = planted(400, seed=2)
    blind = labels_of(np.arange(30), truth)
    both = labels_of(np.arange(80), truth)
    alone = labels_of(np.arange(30, 80), truth)
    leaky = consolidate(votes, learn=both, blind=blind, policy=POLICY)
    clean = consolidate(votes, learn=alone, blind=blind, policy=POLICY)
    np.testing.assert_array_equal(leaky.probabilities, clean.probabilities)
    assert leaky.table == clean.table


def test_cross_validation_learns_from_the_blind_sample_and_scores_without_it() -> None:
    rng = np.random.default_rng(3)
    # Votes that say nothing of the truth: whoever scores on what it learned from looks good here.
    votes = WeakVotes(rng.integers(-1, 2, size=(300, 6)).astype(np.int16), 2)
    truth = rng.integers(2, size=300)
    found = consolidate(
        votes, learn=Labels.none(2), blind=labels_of(np.arange(200), truth), policy=POLICY, cross_validate=True
    )
    learned = next(row for row in found.table if row.name == "weighted-vote")
    assert learned.lower is not None
    assert learned.lower < 0.5
    votes, truth = planted(1500, seed=4)
    found = consolidate(
        votes, learn=Labels.none(2), blind=labels_of(np.arange(100), truth), policy=POLICY, cross_validate=True
    )
    rows = {row.name: row for row in found.table}
    assert (rows["weighted-vote"].accuracy or 0) > (rows["majority"].accuracy or 1)
    assert hits(found.probabilities[100:], truth[100:]) > hits(majority(votes.votes, 2)[100:], truth[100:]) + 0.05


def test_too_few_labels_to_cross_validate_are_said_and_do_no_harm() -> None:
    votes, truth = planted(100, seed=5)
    found = consolidate(
        votes, learn=Labels.none(2), blind=labels_of(np.array([3]), truth), policy=POLICY, cross_validate=True
    )
    assert found.chosen == "majority"
    note = next(row.note for row in found.table if row.name == "semi-supervised")
    assert note.startswith("not scored") or note.startswith("it needs people's labels")


@pytest.mark.parametrize("cross_validate", [False, True])
def test_order_of_rows_changes_no_choice_and_no_answer(cross_validate: bool) -> None:
    for seed in range(5):
        votes, truth = planted(150, seed=10 + seed, k=3)
        rng = np.random.default_rng(seed)
        learn, blind = np.arange(0, 40), np.arange(40, 90)
        order = rng.permutation(150)
        place = np.argsort(order)
        plain, turned = (
            consolidate(
                at,
                learn=labels_of(rows[0], said, 3),
                blind=labels_of(rng.permutation(rows[1]), said, 3),
                policy=POLICY,
                cross_validate=cross_validate,
            )
            for at, rows, said in (
                (votes, (learn, blind), truth),
                (votes.at(order.astype(np.int64)), (place[learn], place[blind]), truth[order]),
            )
        )
        assert plain.chosen == turned.chosen
        np.testing.assert_array_equal(turned.probabilities, plain.probabilities[order])


def test_cross_validation_on_many_rows_sees_some_of_them_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weak_choose, "MOST_ROWS", 200)
    votes, truth = planted(1000, seed=20)
    order = np.random.default_rng(0).permutation(1000)
    place = np.argsort(order)
    tables = [
        consolidate(at, learn=Labels.none(2), blind=labels_of(rows, said), policy=POLICY, cross_validate=True).table
        for at, rows, said in (
            (votes, np.arange(60), truth),
            (votes.at(order.astype(np.int64)), place[:60], truth[order]),
        )
    ]
    for one, other in zip(*tables, strict=True):
        assert (one.name, one.accuracy, one.n) == (other.name, other.accuracy, other.n)
        assert one.log_loss == pytest.approx(other.log_loss, abs=1e-6)


def test_uncovered_rows_are_never_filled() -> None:
    votes, truth = planted(300, seed=6)
    for name in consolidators(False):
        policy = ConsolidatePolicy(consolidator=name)
        found = consolidate(votes, learn=labels_of(np.arange(50), truth), blind=Labels.none(2), policy=policy)
        assert found.chosen == name
        np.testing.assert_array_equal(np.isnan(found.probabilities).any(axis=1), ~votes.covered)


def test_near_copies_count_once_and_are_named() -> None:
    rng = np.random.default_rng(7)
    truth = rng.integers(2, size=600)
    poor = np.where(rng.random(600) < 0.55, truth, 1 - truth)
    good = [np.where(rng.random(600) < 0.9, truth, 1 - truth) for _ in range(2)]
    raw = np.stack([poor, poor, poor, *good], axis=1).astype(np.int16)
    votes = WeakVotes(raw, 2, names=("copy", "again", "poor", "good", "other"))
    found = consolidate(votes, learn=Labels.none(2), blind=Labels.none(2), policy=POLICY)
    assert found.copies == (("again", "copy", "poor"),)
    assert found.warnings == ("again, copy and poor are near-copies: they count once. Keep one of them.",)
    np.testing.assert_array_equal(found.probabilities, majority(raw[:, 2:], 2))


def test_a_row_on_which_only_near_copies_vote_and_differ_is_covered_and_a_tie() -> None:
    raw = np.full((200, 3), -1, np.int16)
    raw[:100, :2] = 1
    raw[100, :2] = [0, 1]
    raw[150:, 2] = 0
    found = consolidate(WeakVotes(raw, 2), learn=Labels.none(2), blind=Labels.none(2), policy=POLICY)
    assert found.copies == (("function 1", "function 2"),)
    assert found.probabilities[100].tolist() == [0.5, 0.5]
    assert np.isnan(found.probabilities[120]).all()


def test_what_looks_at_no_labels_is_taken_from_the_cache() -> None:
    votes, truth = planted(100, seed=8)
    first = consolidate(votes, learn=Labels.none(2), blind=Labels.none(2), policy=POLICY)
    known = {name: np.full((100, 2), 0.5, np.float32) for name in first.unlearned}
    again = consolidate(votes, learn=Labels.none(2), blind=labels_of(np.arange(5), truth), policy=POLICY, cached=known)
    assert again.unlearned["majority"] is known["majority"]
    assert again.probabilities is known["majority"]


def test_a_consolidator_that_does_not_exist_is_refused_with_advice() -> None:
    votes, _ = planted(20, seed=9)
    with pytest.raises(SettingsError, match="Did you mean 'label-model'"):
        consolidate(
            votes, learn=Labels.none(2), blind=Labels.none(2), policy=ConsolidatePolicy(consolidator="labelmodel")
        )


def test_a_named_one_that_cannot_work_gives_way_and_says_why() -> None:
    votes = WeakVotes(np.array([[0, 1], [1, -1]], np.int16), 2)
    none = Labels.none(2)
    found = consolidate(votes, learn=none, blind=none, policy=ConsolidatePolicy(consolidator="label-model"))
    assert found.chosen == "majority"
    assert "at least 3 functions" in found.why
    several = WeakVotes(votes.votes, 2, multiple=True)
    found = consolidate(several, learn=none, blind=none, policy=ConsolidatePolicy(consolidator="majority"))
    assert found.chosen == "noisy-or"
    assert "it is for other controls" in found.why


def test_no_functions_leave_every_row_uncovered() -> None:
    found = consolidate(
        WeakVotes(np.empty((4, 0), np.int16), 2), learn=Labels.none(2), blind=Labels.none(2), policy=POLICY
    )
    assert found.chosen == "majority"
    assert np.isnan(found.probabilities).all()


def test_several_labels_are_consolidated_by_evidence() -> None:
    rng = np.random.default_rng(11)
    truth = (rng.random((400, 3)) < 0.3).astype(np.float32)
    raw = np.stack([np.where(truth[:, j] > 0.5, j, -1) for j in (0, 1, 2)], axis=1).astype(np.int16)
    votes = WeakVotes(raw, 3, multiple=True, names=("a", "b", "c"))
    blind = Labels(np.arange(100, dtype=np.int64), truth[:100], np.ones(100, np.float32))
    found = consolidate(votes, learn=Labels.none(3), blind=blind, policy=POLICY)
    covered = votes.covered
    np.testing.assert_array_equal((found.probabilities[covered] > 0.5), truth[covered] > 0.5)
    assert next(row.accuracy for row in found.table if row.name == found.chosen) == 1.0


def rows_of(**accuracy: float) -> tuple[Score, ...]:
    return tuple(Score(name.replace("_", "-"), a, a - 0.1, a + 0.1, 50, 1.0) for name, a in accuracy.items())


def test_the_default_is_left_only_for_what_is_better_beyond_luck() -> None:
    base = np.array([1.0] * 30 + [0.0] * 20)
    lucky, better = base.copy(), base.copy()
    lucky[30] = 1
    better[30:40] = 1
    table = rows_of(majority=0.6, abstain_em=0.62, label_model=0.8)
    credits = {"majority": base, "abstain-em": lucky}
    assert choose(table, credits, POLICY, multiple=False, learned=0)[0] == "majority"
    name, why = choose(table, {**credits, "label-model": better}, POLICY, multiple=False, learned=0)
    assert name == "label-model"
    assert "80.0 % of 50 blind labels" in why


def test_labels_to_learn_from_make_semi_supervised_the_default() -> None:
    table = rows_of(majority=0.6, semi_supervised=0.6)
    few = ConsolidatePolicy(min_gold=100)
    assert choose(table, {}, few, multiple=False, learned=MIN_LEARN)[0] == "semi-supervised"
    assert choose(table, {}, few, multiple=False, learned=MIN_LEARN - 1)[0] == "majority"


def test_a_default_below_the_interval_of_majority_is_not_used() -> None:
    table = rows_of(majority=0.9, semi_supervised=0.7)
    name, why = choose(table, {}, ConsolidatePolicy(min_gold=100), multiple=False, learned=50)
    assert name == "majority"
    assert "below its interval" in why


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=4, max_size=4), min_size=1, max_size=60),
    st.integers(0, 40),
)
def test_choice_is_never_below_the_interval_of_majority(hits: list[list[float]], learned: int) -> None:
    names = ("majority", "weighted-vote", "abstain-em", "semi-supervised")
    credits = dict(zip(names, np.array(hits).T, strict=True))
    table = []
    for name, earned in credits.items():
        half = 0.3
        table.append(Score(name, float(earned.mean()), float(earned.mean()) - half, 1.0, len(earned), 1.0))
    name, _ = choose(tuple(table), credits, POLICY, multiple=False, learned=learned)
    rows = {row.name: row for row in table}
    assert (rows[name].accuracy or 0) >= (rows["majority"].lower or 0)


def test_score_counts_covered_blind_rows_and_splits_ties() -> None:
    said = np.array([[1, 0], [0.5, 0.5], [np.nan, np.nan], [0, 1], [0.4, 0.6]], np.float32)
    truth = np.eye(2, dtype=np.float32)[[0, 0, 0, 0]]
    found = score("majority", said[:4], truth, said, multiple=False)
    assert found.n == 3
    assert found.accuracy == pytest.approx(1.5 / 3)
    assert found.covered == pytest.approx(4 / 5)
    assert found.ties == pytest.approx(1 / 4)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < 0.5 < found.upper
    assert found.log_loss == pytest.approx(-(np.log(0.999) + np.log(0.5) + np.log(0.001)) / 3, rel=1e-3)


def test_several_labels_ask_for_the_exact_set() -> None:
    said = np.array([[0.9, 0.8, 0.1], [0.9, 0.2, 0.1]], np.float32)
    truth = np.array([[1, 1, 0], [1, 1, 0]], np.float32)
    assert credit(said, truth, multiple=True).tolist() == [1.0, 0.0]
    assert log_loss(said[:1], truth[:1], multiple=True) == pytest.approx(-np.log([0.9, 0.8, 0.9]).mean(), rel=1e-5)


def test_credits_are_compared_on_the_same_rows() -> None:
    one = np.array([[1, 0], [np.nan, np.nan], [1, 0]], np.float32)
    other = np.array([[1, 0], [0, 1], [np.nan, np.nan]], np.float32)
    truth = np.eye(2, dtype=np.float32)[[0, 1, 1]]
    found = covered_credits({"one": one, "other": other}, truth, multiple=False)
    assert {name: earned.tolist() for name, earned in found.items()} == {"one": [1.0], "other": [1.0]}
    assert covered_credits({}, truth, multiple=False) == {}


def test_a_gain_is_worth_less_on_few_rows() -> None:
    assert least_gain(np.ones(3), np.zeros(3)) < least_gain(np.ones(30), np.zeros(30))
    assert least_gain(np.ones(0), np.ones(0)) < 0
    assert least_gain(np.ones(50), np.ones(50)) < 0


def test_class_balance_is_shrunk_to_equal_shares() -> None:
    truth = np.array([0] * 9 + [1])
    assert class_balance(labels_of(np.arange(10), truth), 2).tolist() == pytest.approx([14 / 20, 6 / 20])
    assert class_balance(Labels.none(4), 4).tolist() == [0.25] * 4


@pytest.mark.data
@pytest.mark.parametrize("name", ["youtube_spam", "sms_spam", "ag_news"])
def test_the_safe_default_is_never_below_majority_on_public_sets(data_folder: Path, name: str) -> None:
    from benchmarks.weak_data import SETS
    from benchmarks.weak_sets import scored

    data = SETS[name](data_folder)
    votes = WeakVotes(data.votes, data.k)
    gains = []
    for seed in range(5):
        gold = np.random.default_rng(seed).choice(len(data.truth), 50, replace=False)
        blind = labels_of(gold, data.truth, data.k)
        found = consolidate(votes, learn=Labels.none(data.k), blind=blind, policy=POLICY, cross_validate=True)
        rest = votes.covered
        rest[gold] = False
        rows = np.flatnonzero(rest)
        gains.append(scored(data, found.probabilities, rows) - scored(data, majority(data.votes, data.k), rows))
    assert np.mean(gains) >= -0.05
    assert name != "youtube_spam" or np.mean(gains) > 4


def test_snorkel_s_own_class_speaks_when_the_policy_names_it_and_says_what_the_label_model_says() -> None:
    random = np.random.default_rng(5)
    truth = random.integers(2, size=300)
    right = random.random((300, 4)) < 0.8
    votes = np.where(random.random((300, 4)) < 0.7, np.where(right, truth[:, None], 1 - truth[:, None]), -1)
    said = WeakVotes(votes.astype(np.int16), 2)
    nothing = Labels.none(2)
    named = consolidate(said, learn=nothing, blind=nothing, policy=ConsolidatePolicy(consolidator="snorkel"))
    ours = consolidate(said, learn=nothing, blind=nothing, policy=ConsolidatePolicy(consolidator="label-model"))
    assert named.chosen == "snorkel"
    assert np.nanmax(np.abs(named.probabilities - ours.probabilities)) < 1e-3
    assert "snorkel" not in {row.name for row in ours.table}
