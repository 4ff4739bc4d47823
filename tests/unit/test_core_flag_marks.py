"""Doubts about single marks: the probability that this person errs, by the marks of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.flags.marks import LEAST, Other, judge

USUAL = 0.7


def others(mine: list[list[float]], theirs: list[list[float]], *labels: list[str]) -> list[Other]:
    """People with one mark each: rows are the judged marks, and the regions of the consensus."""
    return [
        Other(np.array(mine, float)[:, [n]].reshape(-1, 1), np.array(theirs, float)[:, [n]].reshape(-1, 1), [label])
        for n, label in enumerate(labels)
    ]


def found(*args: Any, **options: Any) -> list[tuple[str, int]]:
    return [(doubt.kind, doubt.against) for doubt in judge(*args, usual=USUAL, labels=3, **options)]


def test_a_mark_like_those_of_the_others_is_not_doubted() -> None:
    assert found([[0.9]], [["a"]], [["a"]], [0.99], others([[0.9, 0.9]], [[1, 1]], ["a"], ["a"])) == []


def test_a_thing_that_two_others_mark_was_missed_and_its_probability_is_bayes_rule() -> None:
    seen = [Other(np.zeros((0, 1)), np.ones((1, 1)), [["a"]])] * 2
    [doubt] = judge(np.zeros((0, 1)), [], [["a"]], [0.99], seen, usual=USUAL, labels=3)
    # P(missed | there) = 1 - .8; P(no mark | nothing) = 1 - .8 * .1 / .9
    there, none = 0.99 * 0.2, 0.01 * (1 - 0.8 * 0.1 / 0.9)
    assert doubt.score == pytest.approx(there / (there + none))
    assert (doubt.kind, doubt.mine, doubt.theirs, doubt.against, doubt.first) == ("missed", None, 0, 2, (0, 0))


def test_a_mark_of_nothing_is_invented_the_more_surely_the_more_others_left_it_out() -> None:
    nobody = Other(np.zeros((1, 0)), np.zeros((0, 0)), [])

    def score(people: int) -> float:
        [doubt] = judge(np.zeros((1, 0)), [["a"]], [], [], [nobody] * people, usual=USUAL, labels=3, least=-1)
        assert doubt.kind == "invented"
        return doubt.score

    miss = 0.2 / (1 - 0.8 * 0.1 / 0.9)
    assert score(2) == pytest.approx(1 / (1 + 9 * miss**2))
    assert score(1) < LEAST < score(2) < score(3) < 1


def test_a_mark_that_one_of_the_others_shares_is_not_called_invented() -> None:
    beside = [Other(np.array([[0.9]]), np.zeros((0, 1)), [["a"]]), Other(np.zeros((1, 0)), np.zeros((0, 0)), [])]
    assert judge(np.zeros((1, 0)), [["a"]], [], [], beside, usual=USUAL, labels=3) == []


def test_a_class_is_wrong_where_two_others_agree_on_another_but_not_where_they_split() -> None:
    both = others([[0.9, 0.9]], [[1, 1]], ["b"], ["b"])
    [doubt] = judge([[0.9]], [["a"]], [["b"]], [0.99], both, usual=USUAL, labels=3)
    # two votes against one of the one-coin model with three labels: odds .9 * 2 / .1
    assert (doubt.kind, doubt.against) == ("wrong class", 2)
    assert doubt.score == pytest.approx(18 / 19)
    split = others([[0.9, 0.9]], [[1, 1]], ["b"], ["a"])
    assert found([[0.9]], [["a"]], [["b"]], [0.99], split) == []


def test_a_mark_is_moved_where_the_others_share_an_extent_and_it_is_off() -> None:
    apart = others([[0.4, 0.4]], [[1, 1]], ["a"], ["a"])
    assert found([[0.4]], [["a"]], [["a"]], [0.99], apart) == [("moved", 2)]
    like_me = others([[1.0, 0.4]], [[0.4, 1]], ["a"], ["a"])
    assert found([[0.4]], [["a"]], [["a"]], [0.99], like_me) == []


@given(st.integers(0, 4), st.integers(0, 4), st.integers(1, 3), st.integers(0, 2**31), st.sampled_from([-1.0, LEAST]))
def test_scores_are_probabilities_in_order_and_each_mark_is_paired_once(
    n: int, m: int, people: int, seed: int, least: float
) -> None:
    rng = np.random.default_rng(seed)

    def names(count: int) -> list[list[str]]:
        return [[str(rng.choice(["a", "b"]))] for _ in range(count)]

    sizes = rng.integers(0, 4, people)
    beside = [Other(rng.random((n, k)), rng.random((m, k)), names(int(k))) for k in sizes]
    doubts = judge(rng.random((n, m)), names(n), names(m), rng.random(m), beside, usual=USUAL, labels=2, least=least)
    scores = [doubt.score for doubt in doubts]
    assert scores == sorted(scores, reverse=True)
    assert all(max(least, 0) <= score <= 1 for score in scores)
    alone = [doubt.mine for doubt in doubts if doubt.kind == "invented"]
    assert len(alone) == len(set(alone))
    assert all(0 <= doubt.against <= people for doubt in doubts)


def test_overlaps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"fit|reshape"):
        judge(np.zeros((1, 1)), [["a"]], [["a"]], [1.0, 1.0], [], usual=USUAL, labels=2)
