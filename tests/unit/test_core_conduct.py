"""Conduct of annotators as arrays: nobody is judged by their own vote, each sign is found, and honest people are left
alone at the stated level."""

from __future__ import annotations

import re
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core import conduct
from adapter.core.conduct.copying import noncentral, pairs_of, tail
from adapter.core.crowd import CrowdVotes
from adapter.core.crowd.votes import ballots
from adapter.core.pseudonyms import pseudonym, pseudonyms
from benchmarks.conduct import LEVEL, anchored, crowd, hasty, products, signs, skill

KEY = b"k" * 32
SEEDS = 30


def votes_of(rows: list[tuple[int, int, int]], k: int) -> CrowdVotes:
    table = np.array(rows, np.int64)
    tasks, names = int(table[:, 0].max()) + 1, int(table[:, 1].max()) + 1
    return CrowdVotes(
        table[:, 0], table[:, 1], table[:, 2], [f"t{i:04d}" for i in range(tasks)], [f"p{i}" for i in range(names)], k
    )


def test_a_vote_does_not_speak_for_itself() -> None:
    votes, _ = crowd(1)
    cast, _ = ballots(votes, {})
    seen = conduct.others(cast)
    every = np.arange(len(cast.task))
    chances = seen.without(every)
    # Whatever the judged vote said: the distribution is that of the scores of all other votes on the task.
    for i in range(0, 60, 7):
        scores = np.log(seen.prior).copy()
        for j in np.flatnonzero(cast.task == cast.task[i]):
            if j != i:
                scores += np.log(seen.confusion[cast.annotator[j], :, cast.label[j]])
        expected = np.exp(scores - scores.max())
        assert chances[i] == pytest.approx(expected / expected.sum())


def test_a_single_answer_says_nothing_of_a_person() -> None:
    cast, _ = ballots(votes_of([(0, 0, 1), (1, 0, 0), (1, 1, 0)], 2), {})
    assert conduct.others(cast).heard(np.arange(3)).tolist() == [False, True, True]


def test_known_truths_judge_everybody_but_who_said_them() -> None:
    cast, _ = ballots(votes_of([(0, 0, 1), (0, 1, 0), (1, 0, 1), (1, 1, 1)], 2), {0: 1})
    seen = conduct.others(cast, np.array([0, -1]))
    chances = seen.without(np.arange(4))
    assert chances[1].tolist() == [0.0, 1.0]
    assert 0 < chances[0][1] < 1
    assert seen.knows(np.arange(4)).tolist() == [False, True, False, False]


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_with_known_truths_accuracy_is_the_beta_posterior(hits: list[bool]) -> None:
    found = conduct.accuracy(np.array(hits, np.float64), 3)
    assert found.accuracy == pytest.approx((18 + sum(hits)) / (20 + len(hits)), abs=2e-3)
    assert found.lower <= found.accuracy <= found.upper
    assert found.n == len(hits)


def test_accuracy_is_not_pulled_down_by_the_others_errors() -> None:
    """A perfect person beside others who are right four times in five: their doubt widens, it does not accuse."""
    right = np.repeat([0.8, 0.2], [320, 80])
    found = conduct.accuracy(right, 2)
    assert right.mean() == pytest.approx(0.68)
    assert found.accuracy > 0.9
    assert found.upper > 0.97


def test_few_items_stay_near_what_is_assumed_of_everybody() -> None:
    assert conduct.accuracy(np.zeros(2), 2).accuracy == pytest.approx(18 / 22, abs=2e-3)
    assert conduct.accuracy(np.empty(0), 2).n == 0


def test_accuracy_by_the_others_is_near_the_truth_unless_hard_tasks_mislead_all() -> None:
    for row in skill(6):
        if row["hard tasks"] == 0:
            assert row["inside the interval"] > 0.9, row
            assert abs(row["bias"]) < 0.03, row
        else:
            assert 0 < row["bias"] < 0.08, row


def test_leaning_on_pre_labels_is_found_and_looking_is_not_accused() -> None:
    assert anchored(60, 0.8) > 0.8
    assert anchored(100, 0.0) <= 0.05


def test_hasty_people_are_found_and_quick_ones_are_not_accused() -> None:
    found = hasty(100)
    assert found["found"] == 1.0
    assert found["honest accused, any in a crowd"] <= 0.02


def test_confusion_tells_the_label_that_a_person_mistakes() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 600)
    said = np.where((truth == 2) & (rng.random(600) < 0.5), 1, truth)
    chances = np.full((600, 3), 0.05)
    chances[np.arange(600), truth] = 0.9
    own = conduct.own_confusion(chances, said)
    assert own.share.sum(axis=1) == pytest.approx(np.ones(3))
    assert own.share[2, 1] == pytest.approx(0.5, abs=0.07)
    assert own.classes[2].upper < own.classes[0].lower
    assert own.count.sum() == pytest.approx(600)


def test_windows_have_equal_counts() -> None:
    parts = conduct.windows(65, 10)
    assert [part.stop - part.start for part in parts] == [11, 11, 10, 11, 11, 11]
    assert conduct.windows(19, 10) == []


def test_trend_sees_improvement_and_holds_its_level() -> None:
    rng = np.random.default_rng(5)
    better = rng.random(300) < np.linspace(0.5, 0.95, 300)
    found = conduct.trend(better.astype(float).tolist())
    assert found.change == pytest.approx(0.45, abs=0.15)
    assert found.p < 0.001
    false = sum(conduct.trend((rng.random(80) < 0.8).astype(float).tolist()).p < 0.05 for _ in range(400))
    assert false / 400 < 0.09
    assert conduct.trend([1.0] * 50).p == 1.0


@pytest.mark.parametrize(
    ("kind", "sign", "least"),
    [("one-label", "one label", 0.95), ("runner", "runs", 0.9), ("guesser", "near chance", 0.6)],
)
def test_answers_without_looking_are_found(kind: str, sign: str, least: float) -> None:
    found = sum("p0" in signs(crowd(seed, kind)[0], seed=seed)[0][sign] for seed in range(SEEDS // 2))
    assert found / (SEEDS // 2) >= least


@pytest.mark.parametrize(("k", "overlap"), [(2, 3), (3, 5)])
def test_a_copier_is_found_and_nobody_else(k: int, overlap: int) -> None:
    pairs = [signs(crowd(seed, "copier", k=k, overlap=overlap)[0])[0]["copying"] for seed in range(SEEDS // 2)]
    assert all("p0+p1" in found for found in pairs)
    assert sum(len(found) > 1 for found in pairs) <= 1


@pytest.mark.parametrize("k", [2, 4])
def test_an_honest_crowd_is_left_alone(k: int) -> None:
    """Family-wise at 1 %: of 30 crowds, more than two with one sort of sign are three chances in a thousand."""
    accused = {"one label": 0, "near chance": 0, "runs": 0, "copying": 0}
    for seed in range(SEEDS):
        for sign, names in signs(crowd(seed + 1000, k=k)[0], seed=seed)[0].items():
            accused[sign] += bool(names)
    assert max(accused.values()) <= 2, accused
    assert LEVEL == 0.01


def test_tasks_in_the_order_of_their_classes_accuse_nobody() -> None:
    truth = np.repeat([0, 1], 150)
    chances = np.where(truth[:, None] == np.arange(2), 0.95, 0.05)
    rng = np.random.default_rng(2)
    said = np.where(rng.random(300) < 0.1, 1 - truth, truth)
    assert conduct.repeats(chances, said, seed=0).p > 0.01
    lean = conduct.leaning(chances, said, np.array([[0.9, 0.1], [0.1, 0.9]]))
    assert not (lean.large and lean.p < 0.01)


def test_the_others_getting_better_is_no_trend_of_ones_own() -> None:
    rng = np.random.default_rng(9)
    truth = rng.integers(0, 2, 400)
    sure = np.linspace(0.6, 0.98, 400)
    heard = np.where(rng.random(400) < sure, truth, 1 - truth)
    chances = np.where(heard[:, None] == np.arange(2), sure[:, None], 1 - sure[:, None])
    said = np.where(rng.random(400) < 0.9, truth, 1 - truth)
    own = conduct.own_confusion(chances, said)
    assert conduct.trend(chances[np.arange(400), said].tolist()).p < 0.001
    assert conduct.trend(conduct.surprise(chances, said, own.share).tolist()).p > 0.05


def test_the_longest_run_is_named() -> None:
    said = np.array([0, 1, 1, 1, 0, 0, 1])
    found = conduct.repeats(np.full((7, 2), 0.5), said, seed=0)
    assert (found.same, found.n, found.longest) == (3, 6, slice(1, 4))


def test_where_all_tasks_have_one_label_nobody_can_guess_wrong() -> None:
    chances = np.tile([0.97, 0.03], (80, 1))
    found = conduct.near_chance(chances, np.zeros(80, np.int64), np.array([[0.95, 0.05], [0.05, 0.95]]))
    assert not found.telling


def test_graded_likeness_tells_guessing_from_work() -> None:
    rng = np.random.default_rng(4)
    guess = rng.uniform(0.0, 0.4, 100)
    assert conduct.near_chance_of_similarities(rng.uniform(0.0, 0.4, 60), guess, 0.8).p < 0.01
    assert conduct.near_chance_of_similarities(rng.uniform(0.6, 1.0, 60), guess, 0.8).p > 0.5
    assert not conduct.near_chance_of_similarities(np.ones(1), guess, 0.8).telling


@pytest.mark.parametrize(("one", "other", "n"), [(3, 4, 10), (0, 2, 5), (6, 6, 8), (10, 10, 10)])
def test_without_dependence_shared_errors_are_hypergeometric(one: int, other: int, n: int) -> None:
    found = noncentral(one, other, n, 1.0)
    expected = [comb(one, x) * comb(n - one, other - x) / comb(n, other) if other - x <= n - one else 0.0
                for x in range(min(one, other) + 1)]  # fmt: skip
    assert found == pytest.approx(np.array(expected))


def test_a_larger_odds_ratio_expects_more_shared_errors() -> None:
    means = [float(noncentral(5, 6, 20, odds) @ np.arange(6)) for odds in (1.0, 3.0, 10.0)]
    assert means == sorted(means)
    assert tail([], 2.0) == (0, 0.0, 1.0)


def test_every_two_votes_on_a_task_are_a_pair() -> None:
    task, who = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 1, 2, 1, 0, 2])
    first, second = pairs_of(task, who)
    assert sorted(zip(who[first].tolist(), who[second].tolist(), task[first].tolist(), strict=True)) == [
        (0, 1, 0), (0, 2, 0), (0, 2, 2), (1, 2, 0)]  # fmt: skip
    assert [len(part) for part in pairs_of(np.empty(0, np.int64), np.empty(0, np.int64))] == [0, 0]


def test_two_people_alone_share_no_errors_that_anybody_could_see() -> None:
    rows = [(task, who, task % 2) for task in range(40) for who in (0, 1)]
    cast, _ = ballots(votes_of(rows, 2), {})
    assert conduct.shared_errors(conduct.others(cast), least=10) == []


def test_outliers_of_speed_are_named_both_ways() -> None:
    rng = np.random.default_rng(1)
    seconds = np.exp(rng.normal(2.5, 0.4, 200))
    seconds[[7, 30]] = 0.2, 900.0
    found = conduct.speed(seconds, outlier=3.5, least=10)
    assert found.fast == (7,)
    assert found.slow == (30,)
    assert found.median == pytest.approx(np.exp(2.5), rel=0.1)


@pytest.mark.parametrize("seconds", [[np.nan] * 5, [], [-1.0, np.inf]])
def test_unknown_lead_times_say_nothing(seconds: list[float]) -> None:
    found = conduct.speed(np.array(seconds, np.float64), outlier=3.5, least=1)
    assert (found.median, found.n, found.fast, found.slow) == (None, 0, (), ())


def test_equal_lead_times_have_no_outliers_but_one_that_differs_has() -> None:
    assert conduct.speed(np.full(20, 3.0), outlier=3.5, least=10).slow == ()
    assert conduct.speed(np.array([3.0] * 30 + [300.0]), outlier=3.5, least=10).slow == (30,)
    assert conduct.speed(np.array([3.0] * 4 + [300.0]), outlier=3.5, least=10).slow == ()


def test_too_fast_is_a_floor_or_a_quarter_of_the_others() -> None:
    assert conduct.too_fast(0.6, None)
    assert conduct.too_fast(2.0, 12.0)
    assert not conduct.too_fast(4.0, 12.0)


def test_holm_corrects_for_the_number_of_tests() -> None:
    assert conduct.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert conduct.holm([]) == []
    assert conduct.holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_difference_of_shares_has_newcombes_interval() -> None:
    """Newcombe 1998, table II (a): 56/70 against 48/80, method 10: 0.0524 to 0.3339."""
    found = conduct.difference(56, 70, 48, 80)
    assert found is not None
    assert (found.lower, found.upper) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))
    assert found.p < 0.01
    assert conduct.difference(1, 1, 0, 0) is None
    even = conduct.difference(10, 10, 10, 10)
    assert even is not None
    assert even.p == 1.0


@given(st.text(), st.text())
def test_pseudonyms_are_stable_and_unlike_in_every_project(project: str, name: str) -> None:
    made = pseudonym(KEY, project, name)
    assert re.fullmatch(r"annotator-[0-9a-f]{8}", made)
    assert made == pseudonym(KEY, project, name)
    assert made != pseudonym(KEY, f"{project}x", name)
    assert made != pseudonym(b"l" * 32, project, name)


def test_two_people_never_share_a_pseudonym() -> None:
    seen: dict[str, str] = {}
    pair = None
    for i in range(200_000):
        made = pseudonym(KEY, "p", f"u{i}")
        if made in seen:
            pair = (seen[made], f"u{i}")
            break
        seen[made] = f"u{i}"
    assert pair is not None
    named = pseudonyms(KEY, "p", [*pair, "ann"])
    assert len(set(named.values())) == 3
    assert named["ann"] == pseudonym(KEY, "p", "ann")
    with pytest.raises(ValueError, match="16 bytes"):
        pseudonym(b"short", "p", "ann")


@pytest.mark.data
@pytest.mark.slow
def test_on_a_public_crowd_signs_fall_on_those_who_are_wrong(data_folder: Path) -> None:
    found = products(data_folder)
    assert found["people"] == 176
    assert found["signs"]["copying"]["count"] <= 2
    assert found["signs"]["runs"]["count"] <= 5
    for sign in ("one label", "near chance"):
        accurate = found["signs"][sign]["true accuracy"]
        assert 10 <= len(accurate) <= 60
        assert float(np.median(accurate)) < 0.5
        assert sum(value > 0.85 for value in accurate) <= 2
    assert found["from 50 votes"]["spearman"] > 0.7
    assert found["from 50 votes"]["mean absolute error"] < 0.05
    assert found["anew without each"]["largest"] < 0.02
