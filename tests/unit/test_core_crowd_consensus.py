from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.crowd import METHODS, CrowdVotes, consolidate
from adapter.core.crowd.skill import PRIOR_ACCURACY

PEOPLE_ALONE = tuple(name for name in METHODS if name != "crowdlab")


def votes(rows: list[tuple[int, int, int]], t: int, m: int, k: int) -> CrowdVotes:
    table = np.array(rows, np.int64).reshape(-1, 3)
    names = [f"t{i:04d}" for i in range(t)], [f"a{i:02d}" for i in range(m)]
    return CrowdVotes(table[:, 0], table[:, 1], table[:, 2], *names, k)


def crowd(t: int, accuracy: list[float], k: int, seed: int, share: float = 1.0) -> tuple[CrowdVotes, np.ndarray]:
    """One-coin people of these accuracies who each see a share of the tasks."""
    random = np.random.default_rng(seed)
    truth = random.integers(k, size=t)
    rows = [
        (i, j, int(truth[i] if random.random() < right else (truth[i] + 1 + random.integers(k - 1)) % k))
        for i in range(t)
        for j, right in enumerate(accuracy)
        if random.random() < share
    ]
    return votes(rows, t, len(accuracy), k), truth


def shuffled(cast: CrowdVotes, seed: int) -> tuple[CrowdVotes, np.ndarray, np.ndarray]:
    """The same votes with rows, tasks and people in another order; where each task and person went."""
    random = np.random.default_rng(seed)
    rows = random.permutation(len(cast.task))
    tasks, people = random.permutation(len(cast.tasks)), random.permutation(len(cast.annotators))
    to_task, to_person = np.argsort(tasks), np.argsort(people)
    turned = CrowdVotes(
        to_task[cast.task[rows]],
        to_person[cast.annotator[rows]],
        cast.label[rows],
        [cast.tasks[i] for i in tasks],
        [cast.annotators[i] for i in people],
        cast.k,
    )
    return turned, to_task, to_person


@pytest.mark.parametrize("method", ["auto", *PEOPLE_ALONE])
@pytest.mark.parametrize("k", [2, 4])
def test_order_of_rows_tasks_and_people_changes_nothing(method: str, k: int) -> None:
    cast, truth = crowd(120, [0.95, 0.9, 0.8, 0.7, 0.5], k, seed=1, share=0.7)
    gold = {0: int(truth[0]), 7: int(truth[7])}
    one = consolidate(cast, method=method, gold=gold, ordinal=True)
    turned, to_task, _ = shuffled(cast, seed=2)
    two = consolidate(turned, method=method, gold={int(to_task[i]): label for i, label in gold.items()}, ordinal=True)
    assert np.array_equal(one.posterior, two.posterior[to_task])
    assert one.skill == two.skill
    assert one.method == two.method
    assert one.table == two.table
    for name, matrix in one.confusion.items():
        assert np.array_equal(matrix, two.confusion[name])


@pytest.mark.parametrize("method", ["auto", *PEOPLE_ALONE])
def test_gaps_unanimous_rows_single_votes_and_ties_are_borne(method: str) -> None:
    rows = [(0, 0, 1), (0, 1, 1), (0, 2, 1), (1, 0, 0), (2, 0, 0), (2, 1, 1), (4, 1, 0), (4, 2, 0)]
    found = consolidate(votes(rows, 5, 4, 2), method=method)
    assert np.isfinite(found.posterior).all()
    assert found.posterior.sum(axis=1) == pytest.approx(np.ones(5))
    assert found.posterior[0].argmax() == 1
    assert found.posterior[0, 1] > 0.9
    assert found.posterior[1].argmax() == 0
    assert found.posterior[3].max() < 0.75, "nobody spoke of it, so nothing is claimed"
    assert found.skill["a03"].n == 0
    assert found.skill["a03"].accuracy == pytest.approx(PRIOR_ACCURACY)


@pytest.mark.parametrize("method", ["majority", "one-coin", "dawid-skene", "mace", "blend"])
def test_a_tie_of_equals_stays_a_tie(method: str) -> None:
    found = consolidate(votes([(0, 0, 0), (0, 1, 1)], 1, 2, 2), method=method)
    assert found.posterior[0] == pytest.approx([0.5, 0.5], abs=1e-6)


@pytest.mark.parametrize("method", ["auto", *PEOPLE_ALONE])
def test_no_votes_at_all(method: str) -> None:
    found = consolidate(votes([], 2, 1, 3), method=method)
    assert found.posterior == pytest.approx(np.full((2, 3), 1 / 3))
    empty = consolidate(votes([], 0, 0, 3), method=method)
    assert empty.posterior.shape == (0, 3)
    assert empty.skill == {}


@pytest.mark.parametrize("method", ["auto", *PEOPLE_ALONE])
def test_gold_is_certain_and_teaches_skill(method: str) -> None:
    # ann is right on 40 known tasks, bob on half of them; they disagree on task 40
    rows = [(i, 0, 0) for i in range(40)] + [(i, 1, i % 2) for i in range(40)] + [(40, 0, 0), (40, 1, 1)]
    found = consolidate(votes(rows, 41, 2, 2), method=method, gold=dict.fromkeys(range(40), 0))
    assert found.posterior[:40, 0] == pytest.approx(np.ones(40))
    assert found.skill["a00"].accuracy > 0.9 > 0.75 > found.skill["a01"].accuracy
    assert found.skill["a01"].n == 41
    if method not in ("majority", "auto"):
        assert found.posterior[40, 0] > 0.5


def test_gold_against_all_votes_wins() -> None:
    found = consolidate(votes([(0, j, 0) for j in range(5)], 1, 5, 3), method="dawid-skene", gold={0: 2})
    assert found.posterior[0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("method", ["one-coin", "dawid-skene", "mace", "blend"])
def test_reliability_beats_majority_where_people_differ(method: str) -> None:
    cast, truth = crowd(600, [0.97, 0.95, 0.45, 0.45, 0.45, 0.45], 3, seed=4)
    right = [(consolidate(cast, method=name).posterior.argmax(axis=1) == truth).mean() for name in (method, "majority")]
    assert right[0] > right[1] + 0.1


@pytest.mark.parametrize("method", ["auto", "one-coin", "dawid-skene", "mace", "blend"])
@pytest.mark.parametrize("seed", range(4))
def test_sparse_overlap_never_does_much_worse_than_majority(method: str, seed: int) -> None:
    cast, truth = crowd(300, [0.85] * 60, 4, seed=seed, share=0.04)
    on = np.bincount(cast.task, minlength=300) > 0

    def share(posterior: np.ndarray) -> float:
        top = posterior[on] >= posterior[on].max(axis=1, keepdims=True) - 1e-9
        return float((top[np.arange(on.sum()), truth[on]] / top.sum(axis=1)).mean())

    majority = share(consolidate(cast, method="majority").posterior)
    assert share(consolidate(cast, method=method).posterior) > majority - 0.03


def test_skill_intervals_hold_the_true_accuracy() -> None:
    accuracy = [0.95, 0.9, 0.85, 0.75, 0.6]
    inside = total = 0
    for seed in range(12):
        cast, _ = crowd(150, accuracy, 3, seed=seed)
        found = consolidate(cast, method="one-coin").skill
        for j, right in enumerate(accuracy):
            skill = found[f"a{j:02d}"]
            assert skill.n == 150
            inside += skill.lower <= right <= skill.upper
            total += 1
    assert inside / total > 0.85


def test_confusion_rows_sum_to_one_and_show_who_leans() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(2, size=400)
    # the last person says 1 to half of all that is 0, and never 0 to what is 1
    rows = [(i, j, int(truth[i] if random.random() < 0.93 else 1 - truth[i])) for i in range(400) for j in range(4)]
    rows += [(i, 4, int(1 if truth[i] else random.random() < 0.5)) for i in range(400)]
    leaning = np.mean([label for i, j, label in rows if j == 4 and truth[i] == 0])
    found = consolidate(votes(rows, 400, 5, 2), method="dawid-skene").confusion
    for matrix in found.values():
        assert matrix.sum(axis=1) == pytest.approx(np.ones(2))
    assert found["a04"][0, 1] == pytest.approx(leaning, abs=0.03)
    assert found["a04"][1, 1] > 0.95


@pytest.mark.parametrize("method", ["auto", *PEOPLE_ALONE])
def test_a_rare_class_is_not_drowned_where_nobody_overlaps(method: str) -> None:
    found = consolidate(votes([(i, i % 3, int(i % 10 == 0)) for i in range(200)], 200, 3, 2), method=method)
    assert (found.posterior.argmax(axis=1) == (np.arange(200) % 10 == 0)).all()


def test_votes_of_one_person_on_one_task_share_one_voice() -> None:
    once = consolidate(votes([(0, 0, 0), (0, 1, 1), (0, 2, 1)], 1, 3, 2), method="majority")
    often = consolidate(votes([(0, 0, 0)] * 5 + [(0, 1, 1), (0, 2, 1)], 1, 3, 2), method="majority")
    assert often.posterior == pytest.approx(once.posterior)
    assert often.skill["a00"].n == 1


def test_a_task_seen_twice_by_one_person_is_no_overlap() -> None:
    found = consolidate(votes([(0, 0, 0), (0, 0, 0)], 1, 1, 2), method="one-coin")
    assert found.skill["a00"].n == 0


def test_ordinal_neighbours_count_for_more_than_strangers() -> None:
    random = np.random.default_rng(3)
    truth = random.integers(5, size=400)
    spread = [0.4, 0.5, 0.9, 1.3]
    rows = [
        (i, j, int(np.clip(np.rint(truth[i] + random.normal(0, s)), 0, 4)))
        for i in range(400)
        for j, s in enumerate(spread)
        if random.random() < 0.6
    ]
    cast = votes(rows, 400, 4, 5)
    on = np.bincount(cast.task, minlength=400) > 0
    error = {
        name: np.abs(consolidate(cast, method=name).posterior[on].argmax(axis=1) - truth[on]).mean()
        for name in ("ordinal", "majority", "dawid-skene")
    }
    assert error["ordinal"] < error["majority"]
    assert error["ordinal"] < error["dawid-skene"]


def test_crowdlab_hears_the_model_and_bears_gaps() -> None:
    cast, truth = crowd(300, [0.8, 0.8, 0.7], 3, seed=5)
    random = np.random.default_rng(6)
    model = np.full((300, 3), 0.04)
    shown = np.where(random.random(300) < 0.9, truth, (truth + 1) % 3)
    model[np.arange(300), shown] = 0.92
    model[:30] = np.nan
    # a person without votes, on whom cleanlab fails
    cast = CrowdVotes(cast.task, cast.annotator, cast.label, cast.tasks, [*cast.annotators, "idle"], 3)
    found = consolidate(cast, method="crowdlab", model=model.astype(np.float32))
    coin = consolidate(cast, method="one-coin")
    assert np.isfinite(found.posterior).all()
    assert found.posterior[:30] == pytest.approx(coin.posterior[:30])
    with_model = (found.posterior[30:].argmax(axis=1) == truth[30:]).mean()
    assert with_model > (coin.posterior[30:].argmax(axis=1) == truth[30:]).mean()
    turned, to_task, _ = shuffled(cast, seed=8)
    rows = np.empty_like(model)
    rows[to_task] = model
    again = consolidate(turned, method="crowdlab", model=rows.astype(np.float32))
    assert np.array_equal(again.posterior[to_task], found.posterior)


def test_crowdlab_without_a_model_or_overlap_says_what_to_do() -> None:
    cast = votes([(0, 0, 0), (1, 1, 1)], 2, 2, 2)
    with pytest.raises(ValueError, match="held-out probabilities"):
        consolidate(cast, method="crowdlab")
    with pytest.raises(ValueError, match="at least two people"):
        consolidate(cast, method="crowdlab", model=np.full((2, 2), 0.5, np.float32))
    with pytest.raises(ValueError, match=r"the votes need \(2, 2\)"):
        consolidate(cast, method="crowdlab", model=np.full((3, 2), 0.5, np.float32))


def test_unknown_method_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="Did you mean 'dawid-skene'"):
        consolidate(votes([], 0, 0, 2), method="dawid_skene")


@pytest.mark.parametrize(
    ("cast", "gold", "said"),
    [
        (votes([(0, 0, 2)], 1, 1, 2), {}, "vote lies outside the labels"),
        (votes([(1, 0, 0)], 1, 1, 2), {}, "vote's task lies outside"),
        (votes([(0, 1, 0)], 1, 1, 2), {}, "vote's annotator lies outside"),
        (votes([(0, 0, 0)], 1, 1, 2), {0: 5}, "truth lies outside the labels"),
        (votes([(0, 0, 0)], 1, 1, 2), {3: 0}, "known truth lies outside"),
        (votes([(0, 0, 0)], 1, 1, 1), {}, "at least two labels"),
        (CrowdVotes(np.zeros(2, int), np.zeros(1, int), np.zeros(1, int), ["t"], ["a"], 2), {}, "different lengths"),
        (CrowdVotes(np.zeros(1, int), np.zeros(1, int), np.zeros(1, int), ["t", "t"], ["a"], 2), {}, "occurs twice"),
    ],
)
def test_impossible_votes_are_refused(cast: CrowdVotes, gold: dict[int, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        consolidate(cast, gold=gold)


@settings(max_examples=60, deadline=None)
@given(
    k=st.integers(2, 4),
    rows=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(0, 3)), max_size=40),
    gold=st.dictionaries(st.integers(0, 6), st.integers(0, 3), max_size=4),
    method=st.sampled_from(["auto", *PEOPLE_ALONE]),
    seed=st.integers(0, 99),
)
def test_any_votes_give_finite_probabilities_in_any_order(
    k: int, rows: list[tuple[int, int, int]], gold: dict[int, int], method: str, seed: int
) -> None:
    cast = votes([(i, j, label % k) for i, j, label in rows], 7, 5, k)
    known = {i: label % k for i, label in gold.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = consolidate(cast, method=method, gold=known, ordinal=True)
    assert np.isfinite(found.posterior).all()
    assert found.posterior.sum(axis=1) == pytest.approx(np.ones(7))
    for i, label in known.items():
        assert found.posterior[i, label] == 1
    for skill in found.skill.values():
        assert 0 < skill.lower <= skill.accuracy <= skill.upper < 1
    for matrix in found.confusion.values():
        assert (matrix > 0).all()
        assert matrix.sum(axis=1) == pytest.approx(np.ones(k))
    turned, to_task, _ = shuffled(cast, seed)
    again = consolidate(turned, method=method, gold={int(to_task[i]): v for i, v in known.items()}, ordinal=True)
    assert np.array_equal(found.posterior, again.posterior[to_task])


@pytest.mark.slow
def test_a_million_votes_take_seconds() -> None:
    random = np.random.default_rng(0)
    t, v = 200_000, 1_000_000
    task = np.repeat(np.arange(t), 5)
    who, truth = random.integers(500, size=v), random.integers(4, size=t)
    label = np.where(random.random(v) < 0.8, truth[task], random.integers(4, size=v))
    cast = CrowdVotes(task, who, label, [str(i) for i in range(t)], [str(i) for i in range(500)], 4)
    start = time.perf_counter()
    found = consolidate(cast, method="dawid-skene")
    assert time.perf_counter() - start < 60
    assert (found.posterior.argmax(axis=1) == truth).mean() > 0.97
