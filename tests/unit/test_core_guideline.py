"""Guideline problems: the expected figures are worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.guideline import NOTHING, Judged, class_problems, people_problems, sort_problems


def judged(counts: dict[tuple[str, str], int]) -> list[Judged]:
    rows = [pair for pair, count in counts.items() for _ in range(count)]
    return [Judged(f"t{n}", a, b) for n, (a, b) in enumerate(rows)]


def test_the_rate_and_chance_of_two_classes_are_those_of_their_own_table() -> None:
    (problem,) = class_problems(judged({("x", "x"): 6, ("x", "y"): 2, ("y", "x"): 2, ("y", "y"): 10}))
    assert problem.pair == ("x", "y")
    assert (problem.disagreements, problem.comparisons, problem.rate) == (4, 20, 0.2)
    assert problem.chance == pytest.approx(2 * 0.4 * 0.6)  # 16 of 40 answers are x
    assert problem.ratio == pytest.approx(0.2 / 0.48)
    assert problem.lower < 0.2 < problem.upper
    assert problem.ratio_lower is not None
    assert problem.ratio_upper is not None
    assert problem.ratio_lower < 0.2 / 0.48 < problem.ratio_upper
    assert len(problem.examples) == 3


def test_the_pair_that_is_confused_beyond_chance_comes_first_not_the_commonest() -> None:
    rows = {("cat", "cat"): 200, ("dog", "dog"): 200, ("cat", "dog"): 12}
    rows |= {("fox", "fox"): 10, ("wolf", "wolf"): 10, ("fox", "wolf"): 15}
    found = class_problems(judged(rows))
    assert [problem.pair for problem in found] == [("fox", "wolf"), ("cat", "dog")]


def test_few_disagreements_name_no_problem() -> None:
    assert class_problems(judged({("x", "x"): 50, ("x", "y"): 2})) == []
    assert class_problems([]) == []


def test_sets_are_told_apart_label_by_label_and_from_nothing() -> None:
    a, b = frozenset({"a"}), frozenset({"b"})
    rows = [Judged(f"m{n}", frozenset({"a", "c"}), frozenset({"b", "c"})) for n in range(4)]
    rows += [Judged(f"n{n}", a, frozenset()) for n in range(5)] + [Judged(f"s{n}", a, a) for n in range(6)]
    rows += [Judged(f"b{n}", b, b) for n in range(6)] + [Judged(f"e{n}", frozenset(), frozenset()) for n in range(9)]
    found = {problem.pair: problem for problem in class_problems(rows)}
    assert set(found) == {("a", "b"), (NOTHING, "a")}
    assert found["a", "b"].disagreements == 4
    assert found[NOTHING, "a"].disagreements == 5
    assert found[NOTHING, "a"].comparisons == 5 + 6 + 9


def test_repeated_disagreement_within_one_task_is_one_task_of_evidence() -> None:
    spread = judged({("x", "x"): 30, ("y", "y"): 30, ("x", "y"): 9})
    clumped = [Judged("one" if one.first != one.second else one.task_id, one.first, one.second) for one in spread]
    (wide,), (narrow,) = class_problems(clumped), class_problems(spread)
    assert wide.rate == narrow.rate
    assert wide.upper - wide.lower > narrow.upper - narrow.lower
    assert wide.examples == ("one",)


def test_the_people_who_differ_beyond_chance_come_first() -> None:
    shared = {
        ("ann", "bob"): [(f"t{n}", 1.0 if n < 3 else 0.0) for n in range(30)],
        ("ann", "cat"): [(f"t{n}", 1.0 if n < 15 else 0.0) for n in range(30)],
        ("bob", "cat"): [(f"t{n}", 1.0) for n in range(5)],
        ("bob", "dan"): [(f"t{n}", 0.0) for n in range(30)],
    }
    first, second = people_problems(shared, dict.fromkeys(shared, 0.5))
    assert (first.pair, first.disagreements, first.rate, first.ratio) == (("ann", "cat"), 15, 0.5, 1.0)
    assert second.pair == ("ann", "bob")
    assert second.rate == pytest.approx(0.1)
    assert first.examples == ("t0", "t1", "t10")


def test_people_who_always_say_one_thing_have_no_chance_to_compare_with() -> None:
    shared = {("ann", "bob"): [(f"t{n}", float(n < 2)) for n in range(12)]}
    (problem,) = people_problems(shared, {("ann", "bob"): 0.0})
    assert (problem.ratio, problem.ratio_lower) == (None, None)


def test_sorts_of_disagreement_are_shares_of_the_things_with_that_label() -> None:
    things = [(f"t{n}", "", "car") for n in range(12)] + [(f"t{n}", "missed", "car") for n in range(4)]
    things += [(f"t{n}", "boundary", "dog") for n in range(5)] + [("t9", "label", "car / dog")]
    first, second = sort_problems(things)
    assert (first.pair, first.rate, first.comparisons) == (("boundary", "dog"), 1.0, 5)
    assert (second.pair, second.rate, second.disagreements) == (("missed", "car"), 0.25, 4)
    assert first.chance is None


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("xyz")), max_size=60), st.integers(0, 5))
def test_figures_are_shares_inside_their_intervals(pairs: list[tuple[str, str]], seed: int) -> None:
    rows = [Judged(f"t{n}", a, b) for n, (a, b) in enumerate(pairs)]
    found = class_problems(rows, rounds=100, seed=seed)
    assert found == class_problems(rows, rounds=100, seed=seed)
    for problem in found:
        assert 0 <= problem.lower <= problem.upper <= 1
        assert 0 < problem.rate <= 1
        assert problem.chance is not None
        assert 0 < problem.chance <= 0.5
        assert problem.pair[0] < problem.pair[1]
    swapped = class_problems([Judged(one.task_id, one.second, one.first) for one in rows], rounds=100, seed=seed)
    assert [(p.pair, p.rate) for p in swapped] == [(p.pair, p.rate) for p in found]


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for seed in range(60):
        mixed = rng.random(150) < 0.3
        (problem,) = class_problems(
            [Judged(f"t{n}", "x", "y" if m else "x") if n % 2 else Judged(f"t{n}", "y", "x" if m else "y")
             for n, m in enumerate(mixed)],
            rounds=300, seed=seed,
        )  # fmt: skip
        hits += problem.lower <= 0.3 <= problem.upper
    assert hits >= 52  # of 60 at a level of 95 %
