"""Simulated annotators are as skilled as they are said to be, and repeatable."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.errors import DataError
from adapter.simulate.people import Person, answer, pace, parse_people
from adapter.vocabulary import Control

SINGLE = Control("topic", "choices", "text", "Text", "text", ("a", "b", "c"))
SEVERAL = Control("topic", "choices", "text", "Text", "text", ("a", "b", "c"), multiple=True)


def share_right(person: Person, gold: tuple[str, ...], control: Control, n: int = 4000) -> float:
    return sum(answer(person, control, f"t{i}", gold, seed=3) == gold for i in range(n)) / n


@pytest.mark.parametrize("skill", [0.85, 0.95, 0.98])
def test_a_person_is_right_as_often_as_the_skill_says(skill: float) -> None:
    # 4,000 draws: three standard errors are at most .017
    assert share_right(Person("ann", skill), ("b",), SINGLE) == pytest.approx(skill, abs=0.017)


def test_errors_fall_on_all_other_labels() -> None:
    wrong = {answer(Person("ann", 0.0), SINGLE, f"t{i}", ("b",), seed=0) for i in range(50)}
    assert wrong == {("a",), ("c",)}


def test_a_confusion_row_replaces_the_skill() -> None:
    person = Person("ann", 1.0, confusion={"a": {"a": 0.25, "c": 0.75}})
    said = [answer(person, SINGLE, f"t{i}", ("a",), seed=1) for i in range(4000)]
    assert said.count(("c",)) / 4000 == pytest.approx(0.75, abs=0.021)
    assert answer(person, SINGLE, "t", ("b",), seed=1) == ("b",)


def test_what_is_said_depends_on_person_task_and_seed_alone() -> None:
    ann, bob = Person("ann", 0.5), Person("bob", 0.5)
    tasks = [f"t{i}" for i in range(200)]
    first = [answer(ann, SINGLE, task, ("a",), seed=1) for task in tasks]
    assert first == [answer(ann, SINGLE, task, ("a",), seed=1) for task in tasks]
    assert list(reversed(first)) == [answer(ann, SINGLE, task, ("a",), seed=1) for task in reversed(tasks)]
    assert first != [answer(bob, SINGLE, task, ("a",), seed=1) for task in tasks]
    assert first != [answer(ann, SINGLE, task, ("a",), seed=2) for task in tasks]


def test_several_labels_are_judged_one_by_one() -> None:
    assert answer(Person("ann", 1.0), SEVERAL, "t", ("a", "c"), seed=0) == ("a", "c")
    assert share_right(Person("ann", 0.9), ("a", "c"), SEVERAL) == pytest.approx(0.9**3, abs=0.03)


def test_a_person_skips_what_has_no_gold_and_as_often_as_told() -> None:
    assert answer(Person("ann"), SINGLE, "t", None, seed=0) is None
    skipper = Person("ann", skip=0.3)
    skipped = sum(answer(skipper, SINGLE, f"t{i}", ("a",), seed=0) is None for i in range(4000))
    assert skipped / 4000 == pytest.approx(0.3, abs=0.022)


def test_pace_has_the_median_that_was_asked_for() -> None:
    times = sorted(pace(Person("ann", seconds=2.0), f"t{i}", 0) for i in range(1001))
    assert times[500] == pytest.approx(2.0, rel=0.1)


def test_specs() -> None:
    assert [p.skill for p in parse_people("")] == [0.98, 0.95, 0.85]
    assert [p.skill for p in parse_people(".9,.8")] == [0.9, 0.8]
    assert [(p.skill, p.seconds) for p in parse_people(".9@3,.8")] == [(0.9, 3.0), (0.8, 1.0)]
    assert len(parse_people("4")) == 4


def test_stored_votes_are_replayed(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("task,annotator,label\nt1,ann,a\nt1,bob,b\nt2,ann,c\n", encoding="utf-8")
    first, second = parse_people(str(path))
    assert answer(first, SINGLE, "t1", ("b",), seed=0) == ("a",)
    assert answer(second, SINGLE, "t1", ("c",), seed=0) == ("b",)
    assert answer(first, SINGLE, "t2", ("b",), seed=0) == ("c",)
    assert answer(second, SINGLE, "t2", ("b",), seed=0) is None


@pytest.mark.parametrize(
    ("spec", "words"),
    [("fast,slow", "'fast' is no annotator"), ("1.5,2", "is no annotator"), ("0", "0 annotators"), ("no.csv", "read")],
)
def test_a_bad_spec_says_what_is_wrong(spec: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        parse_people(spec)


def test_an_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "people.yaml"
    path.write_text("- name: ann\n  skil: 0.9\n", encoding="utf-8")
    with pytest.raises(DataError, match="Did you mean 'skill'"):
        parse_people(str(path))
