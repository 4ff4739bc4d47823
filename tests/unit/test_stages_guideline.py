"""Guideline problems of a project: classes, sorts of disagreement about regions, people; told with examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapter.kinds import kind_of
from adapter.label_studio.label_config import parse_label_config
from adapter.stages.guideline import guideline
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.review_words import in_words, letters

Make = Callable[..., Any]
NER = """<View><Labels name="ner" toName="text"><Label value="PER"/><Label value="ORG"/></Labels>
<Text name="text" value="$text"/></View>"""


def span(start: int, end: int, label: str) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": [label]}
    return {"from_name": "ner", "to_name": "text", "type": "labels", "value": value}


def labelled(make: Make, said: Callable[[int], dict[str, list[dict[str, Any]]]], **options: Any) -> Any:
    """A project in which people said of the n-th task what `said(n)` tells."""
    world = make(tasks=20, functions=False, blind={"share": 0.0}, window={"size": 40, "low_water": 5}, **options)
    ingest(world.project)
    push(world.project)
    for task in list(world.platform.tasks(world.project.platform_id)):
        for who, result in said(int(task.key[1:])).items():
            world.platform.annotate(task.id, who, result)
    pull(world.project)
    return world


def test_spans_that_are_missed_moved_or_called_otherwise_are_told_apart(make_world: Make) -> None:
    def said(n: int) -> dict[str, list[dict[str, Any]]]:
        mine = [span(0, 10, "PER")]
        other = [span(0, 10, "ORG")] if n < 5 else [span(0, 3, "PER")] if n < 9 else [] if n < 15 else mine
        return {"ann": mine, "bob": other}

    world = labelled(make_world, said, label_config=NER)
    report = guideline(world.project, rounds=200)
    found = {problem.figures.pair: problem for problem in report.problems if problem.what == "regions"}
    assert {pair: problem.figures.disagreements for pair, problem in found.items()} == {
        ("label", "ORG / PER"): 5,
        ("boundary", "PER"): 4,
        ("missed", "PER"): 6,
    }
    assert "PER is missed by one in 6 of 15 cases, 40%" in found["missed", "PER"].sentence
    assert found["missed", "PER"].examples[0].startswith("task c10 (")
    (people,) = [problem for problem in report.problems if problem.what == "people"]
    assert people.figures.pair == ("ann", "bob")
    assert people.figures.disagreements == 15
    assert report.tasks == {"ner": 20}


def test_classes_are_told_with_the_people_and_the_text(make_world: Make) -> None:
    def said(n: int) -> dict[str, list[dict[str, Any]]]:
        def result(label: str) -> list[dict[str, Any]]:
            return [{"from_name": "spam", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]

        return {"ann": result("ham" if n % 2 else "spam"), "bob": result("ham" if n % 2 or n < 8 else "spam")}

    world = labelled(make_world, said)
    report = guideline(world.project, most=1, rounds=200)
    classes, people = report.problems
    assert classes.sentence.startswith("'ham' and 'spam' are mixed up in 4 of 20 comparisons that are about them, 20%")
    assert classes.examples[0].startswith("task c0 (")
    assert "ann against bob: 'spam' against 'ham'" in classes.examples[0]
    assert people.sentence.startswith("ann and bob differ on 4 of 20 tasks, mean distance 20%")
    assert guideline(world.project, most=1, rounds=200) == report


def test_without_overlap_it_says_how_to_get_some(make_world: Make) -> None:
    world = labelled(make_world, lambda n: {"ann": world_result("ham")})
    report = guideline(world.project)
    assert report.problems == ()
    assert "double_share" in report.note


def world_result(label: str) -> list[dict[str, Any]]:
    return [{"from_name": "spam", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]


def test_a_letter_tells_nothing_about_who_it_is() -> None:
    people = [f"p{n}" for n in range(30)]
    names = letters("t1", people)
    assert sorted(names) == sorted(people)
    assert len(set(names.values())) == 30
    assert letters("t1", people[::-1]) == names
    assert len({letters(f"t{n}", ["ann", "bob"])["ann"] for n in range(20)}) == 2


@pytest.mark.parametrize(
    ("config", "value", "words"),
    [
        ('<Rating name="c" toName="t"/>', 4, "4"),
        ('<TextArea name="c" toName="t"/>', ("a cat", "a dog"), "'a cat', 'a dog'"),
        ('<Labels name="c" toName="t"><Label value="PER"/></Labels>', (), "nothing to mark"),
        (
            '<Choices name="c" toName="t" choice="multiple"><Choice value="a"/><Choice value="b"/></Choices>',
            ("a", "b"),
            "'a', 'b'",
        ),
    ],
)
def test_values_are_told_in_words(config: str, value: Any, words: str) -> None:
    (control,) = parse_label_config(f'<View><Text name="t" value="$text"/>{config}</View>').controls
    assert in_words(control, kind_of(control.kind).canonical(control, value)) == words
    assert in_words(control, None) == "no answer"
