"""Who is in review, why, and in which order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapter.core.review_queue import EVERY, Candidate, Why, is_drawn, reasons, review_queue, taken
from adapter.policies import ReviewPolicy

POLICY = ReviewPolicy(enabled=True, random_share=0.0)
ALL = ReviewPolicy(enabled=True, random_share=1.0)


def why(candidate: Candidate, policy: ReviewPolicy = POLICY) -> list[Why]:
    return [reason for reason, _ in reasons(candidate, policy)]


def test_each_reason_is_told_in_words() -> None:
    candidate = Candidate("a", people=3, undecided="a tie", differ=1.0, flag=0.93, skill=0.6, rejected=True)
    found = dict(reasons(candidate, ALL))
    assert list(found) == list(Why)
    assert found[Why.UNDECIDED] == "there is no consensus of 3 people: a tie"
    assert found[Why.DIFFER] == "people differ (distance 1.00 of 1)"
    assert found[Why.FLAGGED] == "its label is doubted (score 0.93)"
    assert found[Why.LOW_SKILL] == "labelled only by people with an accuracy under 0.70"


def test_a_blind_task_is_never_there_because_a_model_or_a_skill_doubts_it() -> None:
    doubted = Candidate("a", blind=True, flag=0.99, skill=0.1)
    assert why(doubted) == []
    assert why(doubted, ALL) == [Why.RANDOM]
    assert why(Candidate("a", blind=True, differ=1.0)) == [Why.DIFFER]


def test_the_policy_turns_each_reason_off() -> None:
    candidate = Candidate("a", undecided="a tie", differ=1.0, flag=0.9, skill=0.1)
    off = ReviewPolicy(low_agreement=False, flagged=False, low_skill=0.0, random_share=0.0)
    assert why(candidate, off) == []
    assert why(Candidate("a", differ=0.49)) == []
    assert why(Candidate("a", differ=0.5)) == [Why.DIFFER]
    assert why(Candidate("a", skill=0.7)) == []
    assert why(Candidate("a"), ReviewPolicy(differ=0.0, random_share=0.0)) == []


def test_the_most_urgent_come_first_then_the_strongest() -> None:
    found = review_queue(
        [
            Candidate("skill", skill=0.5),
            Candidate("mild", differ=0.6),
            Candidate("flag", flag=0.9),
            Candidate("strong", differ=1.0),
            Candidate("tie", undecided="a tie"),
            Candidate("fine"),
        ],
        POLICY,
    )
    assert [item.task_id for item in found] == ["tie", "strong", "mild", "flag", "skill"]


def test_the_random_share_is_never_starved() -> None:
    hard = [Candidate(f"h{n}", differ=1.0) for n in range(20)]
    policy = ReviewPolicy(random_share=0.3)
    hard = [candidate for candidate in hard if not is_drawn(candidate.task_id, policy)]
    easy = [Candidate(f"e{n}") for n in range(30)]
    found = review_queue([*easy, *hard], policy)
    drawn = [n for n, item in enumerate(found) if item.task_id.startswith("e")]
    assert drawn[:2] == [EVERY - 1, 2 * EVERY - 1]
    assert len(drawn) == sum(is_drawn(candidate.task_id, policy) for candidate in easy)


def test_the_table_is_filled_up_to_its_size() -> None:
    queue = review_queue([Candidate(f"c{n}", differ=1 - n / 100) for n in range(10)], POLICY)
    assert [item.task_id for item in taken(queue, {"c0", "c5"}, 4)] == ["c1", "c2"]
    assert taken(queue, {"c0"}, 1) == []


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 3))
def test_a_larger_share_keeps_all_of_a_smaller_one(a: float, b: float, seed: int) -> None:
    small, large = (ReviewPolicy(random_share=share, seed=seed) for share in sorted((a, b)))
    ids = [f"t{n}" for n in range(50)]
    assert {i for i in ids if is_drawn(i, small)} <= {i for i in ids if is_drawn(i, large)}


@given(st.permutations([Candidate(f"c{n}", differ=(n % 4) / 4, flag=(n % 3) / 3) for n in range(12)]))
def test_the_order_of_candidates_does_not_matter(shuffled: list[Candidate]) -> None:
    assert review_queue(shuffled, ALL) == review_queue(sorted(shuffled, key=lambda one: one.task_id), ALL)
