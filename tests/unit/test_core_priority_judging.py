"""Tasks that judge labeling functions, among the others."""

from __future__ import annotations

import numpy as np

from adapter.core.priority import JUDGING, Candidates, compose, reason_text
from adapter.policies import BlindPolicy, RankPolicy

NO_BLIND = BlindPolicy(share=0.0, batch_share=0.0)


def candidates(n: int, judging: list[int] | None) -> Candidates:
    return Candidates(
        seq=np.arange(n),
        ids=[f"t{row}" for row in range(n)],
        blind=np.zeros(n, bool),
        uncertainty=np.linspace(1, 0, n),
        judging=None if judging is None else np.array(judging, np.int64),
    )


def test_they_take_their_share_evenly_and_in_their_order() -> None:
    picks = compose(
        candidates(200, list(range(150, 200))), size=100, blind=NO_BLIND, rank=RankPolicy(judging_share=0.2)
    )
    judges = [pick.seq for pick in picks if pick.reason == JUDGING]
    assert judges == list(range(150, 170))
    for start in range(0, 100, 20):
        assert sum(pick.reason == JUDGING for pick in picks[start : start + 20]) == 4
    others = [pick.seq for pick in picks if pick.reason != JUDGING]
    assert others == list(range(80))


def test_no_task_comes_twice_and_none_is_lost() -> None:
    picks = compose(candidates(50, [0, 1, 49, 48]), size=500, blind=NO_BLIND, rank=RankPolicy(judging_share=0.3))
    assert sorted(pick.seq for pick in picks) == list(range(50))


def test_the_reason_on_the_page_is_the_same_for_the_whole_batch_and_speaks_of_functions_only_when_some_are_judged() -> (
    None
):
    rank = RankPolicy(judging_share=0.2)
    with_some = compose(candidates(50, [40, 41]), size=20, blind=NO_BLIND, rank=rank)
    assert {reason_text(pick) for pick in with_some} == {
        "This batch holds tasks of which little is known yet, some that test the labeling functions, and some drawn at "
        "random"
    }
    for nothing in (None, []):
        plain = compose(candidates(50, nothing), size=20, blind=NO_BLIND, rank=rank)
        assert "functions" not in reason_text(plain[0])


def test_blind_tasks_judge_nothing_and_a_random_order_stays_random() -> None:
    blind = BlindPolicy(share=0.5, batch_share=0.5)
    some = candidates(40, list(range(40)))
    hidden = Candidates(some.seq, some.ids, np.arange(40) % 2 == 0, some.uncertainty, judging=some.judging)
    picks = compose(hidden, size=40, blind=blind, rank=RankPolicy(judging_share=0.5))
    assert all(pick.seq % 2 for pick in picks if pick.reason == JUDGING)
    drawn = compose(some, size=40, blind=NO_BLIND, rank=RankPolicy(strategy="random", judging_share=0.5))
    assert not any(pick.reason == JUDGING for pick in drawn)
