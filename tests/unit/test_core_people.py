from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.crowd.one_coin import one_coin
from adapter.core.crowd.votes import CrowdVotes, ballots
from adapter.core.people import PRIOR_ACCURACY, skills


def crowd(accuracy: dict[str, float], tasks: int, k: int, seed: int) -> tuple[dict[str, dict[str, int]], np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(k, size=tasks)
    votes: dict[str, dict[str, int]] = {}
    for task in range(tasks):
        votes[f"t{task}"] = {}
        for who, share in accuracy.items():
            wrong = (truth[task] + 1 + random.integers(k - 1)) % k
            votes[f"t{task}"][who] = int(truth[task] if random.random() < share else wrong)
    return votes, truth


def test_single_votes_say_nothing_so_the_prior_stays() -> None:
    found = skills({"a": {"ann": 0}, "b": {"bob": 1}}, 2)
    for who in ("ann", "bob"):
        assert found[who].accuracy == pytest.approx(PRIOR_ACCURACY)
        assert found[who].n == 0
        assert found[who].lower < PRIOR_ACCURACY < found[who].upper


def test_accuracy_by_known_truth_is_the_beta_mean_by_hand() -> None:
    votes = {str(i): {"ann": 0 if i < 30 else 1} for i in range(40)}
    found = skills(votes, 2, truth={str(i): 0 for i in range(40)})["ann"]
    assert found.accuracy == pytest.approx((18 + 30) / (20 + 40))
    assert found.n == 40
    assert found.lower < 0.8 < found.upper


def test_skills_are_recovered_from_overlap() -> None:
    accuracy = {"ann": 0.98, "bob": 0.95, "cid": 0.85, "dan": 0.6}
    votes, _ = crowd(accuracy, 400, 4, seed=3)
    found = skills(votes, 4)
    for who, share in accuracy.items():
        assert found[who].accuracy == pytest.approx(share, abs=0.05)
        assert found[who].n == 400
    assert found["ann"].accuracy > found["cid"].accuracy > found["dan"].accuracy


def test_few_overlapping_items_stay_near_the_prior() -> None:
    votes = {str(i): {"ann": 0, "bob": 1, "cid": 0} for i in range(3)}
    found = skills(votes, 2)
    assert 0.75 < found["bob"].accuracy < PRIOR_ACCURACY
    assert PRIOR_ACCURACY < found["ann"].accuracy < 0.93


def test_posterior_follows_the_better_person() -> None:
    # ann is right on 40 known tasks, bob on half of them; they disagree on task 0
    task = np.repeat(np.arange(41), 2)
    who = np.tile([0, 1], 41)
    label = np.concatenate([[0, 1], np.stack([np.zeros(40, int), np.arange(40) % 2], axis=1).ravel()])
    votes = CrowdVotes(task, who, label, [f"t{i:02d}" for i in range(41)], ["ann", "bob"], 2)
    cast, _ = ballots(votes, dict.fromkeys(range(1, 41), 0))
    fitted = one_coin(cast)
    assert fitted.posterior[0, 0] > 0.9
    assert fitted.posterior.sum(axis=1) == pytest.approx(np.ones(41))


def test_no_votes_no_skills() -> None:
    assert skills({}, 2) == {}
    assert skills({"a": {}}, 2) == {}


@pytest.mark.parametrize("votes", [{"a": {"ann": 2}}, {"a": {"ann": -1}}])
def test_labels_outside_the_space_are_refused(votes: dict[str, dict[str, int]]) -> None:
    with pytest.raises(ValueError, match="outside the labels"):
        skills(votes, 2)


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=2),
        st.dictionaries(st.sampled_from(["ann", "bob", "cid"]), st.integers(0, 2), max_size=3),
        max_size=12,
    )
)
def test_order_of_tasks_does_not_matter_and_values_stay_in_range(votes: dict[str, dict[str, int]]) -> None:
    found = skills(votes, 3)
    turned = {task: dict(reversed(list(by.items()))) for task, by in reversed(list(votes.items()))}
    assert skills(turned, 3) == found
    for skill in found.values():
        assert 0 < skill.lower <= skill.accuracy <= skill.upper < 1
