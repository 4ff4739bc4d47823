"""Agreement as the store has it: the blind sample, parts, what pulls it down; every scale through the kinds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapter.core.agreement import krippendorff_nominal
from adapter.core.blind import is_double
from adapter.stages.agreement import agreement, headline
from adapter.stages.ingest import ingest
from adapter.vocabulary import Annotation

Make = Callable[..., Any]
Votes = Mapping[str, Mapping[str, Any]]

ALL_BLIND = {"share": 1.0, "batch_share": 1.0, "double_share": 1.0}
TEXT = '<Text name="text" value="$text"/>'
RATING = f'<View>{TEXT}<Rating name="stars" toName="text" maxRating="5"/></View>'
TOPICS = (
    f'<View>{TEXT}<Choices name="topics" toName="text" choice="multiple"><Choice value="a"/><Choice value="b"/>'
    '<Choice value="c"/></Choices></View>'
)
NUMBER = f'<View>{TEXT}<Number name="price" toName="text"/></View>'
ANSWER = f'<View>{TEXT}<TextArea name="answer" toName="text"/></View>'
SPANS = f'<View><Labels name="ner" toName="text"><Label value="PER"/><Label value="ORG"/></Labels>{TEXT}</View>'


def say(world: Any, control: str, votes: Votes, *, days: Mapping[str, int] | None = None) -> None:
    """Record annotations as if they had been pulled. days: task to days after the start."""
    number = 0
    for task_id, by_person in votes.items():
        rows = []
        for who, value in by_person.items():
            number += 1
            at = world.clock() + timedelta(days=(days or {}).get(task_id, 0))
            rows.append(Annotation(hash_of(task_id, number), task_id, who, {control: value}, (), at, at))
        world.project.store.annotations.record(world.project.name, task_id, rows)


def hash_of(task_id: str, number: int) -> int:
    return number + 1000


def world_of(make: Make, **settings: Any) -> Any:
    world = make(functions=False, **{"blind": ALL_BLIND, **settings})
    ingest(world.project)
    return world


def spam_votes(tasks: int, *, wrong: int, who: tuple[str, ...] = ("ann", "bob")) -> dict[str, dict[str, Any]]:
    """Two people on each task; every `wrong`-th task sees them differ."""
    votes = {}
    for n in range(tasks):
        label = "spam" if n % 3 == 0 else "ham"
        other = {"spam": "ham", "ham": "spam"}[label] if n % wrong == 0 else label
        votes[f"c{n}"] = {name: [label] if place == 0 else [other] for place, name in enumerate(who)}
    return votes


def by_name(figures: Any) -> dict[str, Any]:
    return {figure.statistic: figure for figure in figures}


def test_an_empty_project_has_no_agreement_and_says_so(make_world: Make) -> None:
    world = world_of(make_world)
    (found,) = agreement(world.project).controls
    assert found.tasks == 0
    assert by_name(found.statistics)["alpha"].value is None
    assert "two people" in by_name(found.statistics)["alpha"].why
    assert found.worst == found.pairs == found.over_time == ()
    assert headline(world.project, world.project.space.controls[0]) == {
        "statistic": "alpha",
        "value": None,
        "lower": None,
        "upper": None,
        "n": 0,
        "raw": None,
    }


def test_the_headline_is_alpha_of_the_doubly_labelled_tasks(make_world: Make) -> None:
    world = world_of(make_world)
    votes = spam_votes(60, wrong=7)
    votes["c70"] = {"ann": ["spam"]}
    say(world, "spam", votes)
    found = headline(world.project, world.project.space.controls[0])
    alpha = krippendorff_nominal([[tuple(v) for v in by.values()] for by in votes.values() if len(by) > 1])
    assert found["value"] == pytest.approx(alpha)
    assert found["lower"] < alpha < found["upper"]
    assert found["n"] == 60
    assert found["raw"] == pytest.approx(1 - 9 / 60)
    (control,) = agreement(world.project).controls
    figures = by_name(control.statistics)
    assert next(iter(figures)) == "alpha"
    assert set(figures) == {"alpha", "fleiss", "brennan_prediger", "ac1", "percent", "score"}
    assert figures["alpha"].value == pytest.approx(alpha)
    assert figures["percent"].value == figures["score"].value == pytest.approx(1 - 9 / 60)
    assert control.people == ("ann", "bob")


def test_only_blind_tasks_count_unless_all_are_wanted(make_world: Make) -> None:
    world = world_of(make_world, blind={"share": 0.3, "batch_share": 0.3, "double_share": 1.0})
    say(world, "spam", spam_votes(90, wrong=5))
    honest, everything = agreement(world.project), agreement(world.project, everything=True)
    blind = sum(world.project.is_blind(f"c{n}") for n in range(90))
    assert honest.controls[0].tasks == blind
    assert everything.controls[0].tasks == 90
    assert "blind" in honest.basis
    assert "not a fair sample" in everything.basis


def test_people_who_were_asked_because_of_doubt_do_not_count(make_world: Make) -> None:
    world = world_of(make_world, blind={"share": 1.0, "batch_share": 1.0, "double_share": 0.5})
    votes = spam_votes(90, wrong=4)
    for n, by_person in enumerate(votes.values()):
        if n % 4 == 0:
            by_person["cyd"] = by_person["ann"]  # a third person, only where two differed
    say(world, "spam", votes)
    (control,) = agreement(world.project).controls
    doubles = [task for task in votes if is_double(task, world.project.blind)]
    assert control.tasks == len(doubles) < 60
    assert control.people == ("ann", "bob")
    same = sum(votes[task]["ann"] == votes[task]["bob"] for task in doubles)
    assert by_name(control.statistics)["percent"].value == pytest.approx(same / len(doubles))
    assert agreement(world.project, everything=True).controls[0].people == ("ann", "bob", "cyd")


def test_the_latest_answer_of_a_person_counts_once(make_world: Make) -> None:
    world = world_of(make_world)
    at = world.clock()
    rows = [
        Annotation(1, "c0", "ann", {"spam": ["ham"]}, (), at, at),
        Annotation(2, "c0", "ann", {"spam": ["spam"]}, (), at, at + timedelta(hours=1)),
        Annotation(3, "c0", "bob", {"spam": ["spam"]}, (), at, at),
        Annotation(4, "c0", "cyd", {"spam": ["ham"]}, (), at, at, cancelled=True),
    ]
    world.project.store.annotations.record("spam", "c0", rows)
    (control,) = agreement(world.project).controls
    assert control.people == ("ann", "bob")
    assert by_name(control.statistics)["percent"].value == 1.0


def test_classes_are_one_against_the_rest(make_world: Make) -> None:
    world = world_of(make_world)
    votes = spam_votes(60, wrong=7)
    say(world, "spam", votes)
    (control,) = agreement(world.project).controls
    assert [figure.of for figure in control.classes] == [("spam",), ("ham",)]
    # With two labels each class against the other is the whole.
    alpha = by_name(control.statistics)["alpha"].value
    assert all(figure.value == pytest.approx(alpha) for figure in control.classes)
    given = sum(any(v == ["spam"] for v in by.values()) for by in votes.values())
    assert control.classes[0].n == given


def test_pairs_of_people_show_who_agrees_with_whom(make_world: Make) -> None:
    world = world_of(make_world, window={"size": 20, "low_water": 10, "overlap": 3})
    votes = {
        f"c{n}": {
            "ann": ["spam" if n % 2 else "ham"],
            "bob": ["spam" if n % 2 else "ham"],
            "cyd": ["spam" if n % 5 < 2 else "ham"],
        }
        for n in range(40)
    }
    say(world, "spam", votes)
    (control,) = agreement(world.project).controls
    pairs = {figure.of: figure for figure in control.pairs}
    assert set(pairs) == {("ann", "bob"), ("ann", "cyd"), ("bob", "cyd")}
    assert pairs["ann", "bob"].value == 1.0
    assert pairs["ann", "bob"].lower < 1.0
    assert pairs["ann", "cyd"].value == pairs["bob", "cyd"].value < 0.5
    assert pairs["ann", "cyd"].more["cohen"] == pytest.approx(pairs["ann", "cyd"].value, abs=0.03)
    assert pairs["ann", "cyd"].more["cohen_lower"] < pairs["ann", "cyd"].more["cohen"]


def test_subgroups_and_attributes_that_are_ids(make_world: Make, tmp_path: Path) -> None:
    rows = [{"id": f"c{n}", "text": f"t{n}", "topic": "xy"[n % 2], "user": f"u{n}"} for n in range(80)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = {"path": str(tmp_path / "rows.jsonl"), "id_column": "id", "subgroups": ["topic", "user"]}
    world = world_of(make_world, data=data)
    votes = {
        f"c{n}": {
            "ann": ["spam" if n % 3 else "ham"],
            "bob": ["spam" if (n % 3 if n % 2 else n % 5) else "ham"],
        }
        for n in range(80)
    }
    say(world, "spam", votes)
    (control,) = agreement(world.project).controls
    groups = {figure.of: figure for figure in control.subgroups}
    assert set(groups) == {("topic", "x"), ("topic", "y")}
    assert groups["topic", "y"].value == 1.0
    assert groups["topic", "x"].value < 0.5
    assert groups["topic", "x"].n == 40
    assert any("'user'" in note for note in control.notes)


def test_over_time_by_week_or_by_windows(make_world: Make) -> None:
    world = world_of(make_world)
    votes = spam_votes(80, wrong=5)
    say(world, "spam", votes, days={f"c{n}": n // 20 * 7 for n in range(80)})
    (control,) = agreement(world.project).controls
    assert [(figure.of, figure.n) for figure in control.over_time] == [
        ((week,), 20) for week in ("2025-W10", "2025-W11", "2025-W12", "2025-W13")
    ]
    say(world, "spam", votes)
    (control,) = agreement(world.project).controls
    assert len(control.over_time) == 6
    assert sum(figure.n for figure in control.over_time) == 80
    assert all(" to " in figure.of[0] for figure in control.over_time)


def test_the_tasks_that_pull_it_down_say_how_people_differ(make_world: Make) -> None:
    world = world_of(make_world)
    say(world, "spam", spam_votes(60, wrong=20))
    (control,) = agreement(world.project).controls
    worst = {pulling.task_id: pulling for pulling in control.worst}
    assert set(worst) == {"c0", "c20", "c40"}
    assert all(pulling.gain > 0 and pulling.people == ("ann", "bob") for pulling in control.worst)
    assert worst["c0"].words == "'spam' against 'ham'"
    (confused,) = control.confused
    assert (confused.classes, confused.count, confused.share) == (("ham", "spam"), 3, 1.0)
    assert confused.task in worst


def test_the_order_of_annotations_does_not_matter(make_world: Make) -> None:
    world = world_of(make_world)
    votes = spam_votes(60, wrong=7, who=("zoe", "ann"))
    say(world, "spam", votes)
    first = agreement(world.project)
    say(world, "spam", {task: dict(reversed(by.items())) for task, by in reversed(votes.items())})
    second = agreement(world.project)
    assert first.controls[0].statistics == second.controls[0].statistics
    assert first.controls[0].pairs == second.controls[0].pairs
    assert first.controls[0].worst == second.controls[0].worst


def test_the_report_is_json(make_world: Make) -> None:
    world = world_of(make_world)
    say(world, "spam", spam_votes(60, wrong=7))
    told = json.loads(json.dumps(agreement(world.project).as_json(), allow_nan=False))
    assert told["controls"][0]["statistics"][0]["statistic"] == "alpha"


def test_ratings_are_ordinal(make_world: Make) -> None:
    world = world_of(make_world, label_config=RATING)
    near = {f"c{n}": {"ann": n % 5 + 1, "bob": min(5, n % 5 + 1 + (n % 2))} for n in range(60)}
    say(world, "stars", near)
    (control,) = agreement(world.project).controls
    figures = by_name(control.statistics)
    assert {"alpha", "alpha_nominal", "ac2", "percent", "score"} <= set(figures)
    assert figures["alpha"].value > 0.85 > figures["alpha_nominal"].value
    assert figures["ac2"].value > 0.85
    assert control.classes == ()
    assert control.pairs[0].more["cohen"] > 0.85


def test_sets_of_labels_take_masi_and_classes_membership(make_world: Make) -> None:
    world = world_of(make_world, label_config=TOPICS)
    votes = {
        f"c{n}": {
            "ann": ["a", "b"] if n % 2 else ["c"],
            "bob": ["a"] if n % 2 and n % 3 else ["a", "b"] if n % 2 else ["c"],
        }
        for n in range(60)
    }
    say(world, "topics", votes)
    (control,) = agreement(world.project).controls
    figures = by_name(control.statistics)
    assert {"alpha", "alpha_jaccard", "percent", "score"} <= set(figures)
    assert 0 < figures["percent"].value < figures["alpha_jaccard"].value < 1
    classes = {figure.of[0]: figure.value for figure in control.classes}
    assert classes["a"] == classes["c"] == 1.0
    assert classes["b"] < 1.0


def test_numbers_are_compared_by_difference(make_world: Make) -> None:
    world = world_of(make_world, label_config=NUMBER)
    say(world, "price", {f"c{n}": {"ann": float(n), "bob": n + 0.5} for n in range(60)})
    (control,) = agreement(world.project).controls
    assert by_name(control.statistics)[control.headline].value > 0.9


def test_answers_in_words_are_compared_by_their_own_distance(make_world: Make) -> None:
    world = world_of(make_world, label_config=ANSWER)
    votes = {
        f"c{n}": {"ann": [f"the answer {n * 7919} is long"], "bob": [f"the answer {n * 7919} is long{'!' * (n % 2)}"]}
        for n in range(40)
    }
    say(world, "answer", votes)
    (control,) = agreement(world.project).controls
    figures = by_name(control.statistics)
    assert figures[control.headline].value > 0.8
    assert figures["percent"].value == pytest.approx(0.5)
    assert 0.9 < figures["score"].value < 1
    assert control.worst
    assert control.worst[0].words


def span(start: int, end: int, label: str) -> dict[str, Any]:
    return {
        "id": f"{start}-{end}-{label}",
        "type": "labels",
        "labels": [label],
        "value": {"start": start, "end": end, "text": "x" * (end - start)},
        "envelope": {},
    }


def test_spans_show_f1_with_bounds_and_by_class(make_world: Make) -> None:
    world = world_of(make_world, label_config=SPANS)
    votes = {
        f"c{n}": {
            "ann": [span(0, 4, "PER"), span(6, 9, "ORG")],
            "bob": [span(0, 4, "PER")] if n % 4 == 0 else [span(0, 4, "PER"), span(6, 9, "ORG")],
        }
        for n in range(40)
    }
    say(world, "ner", votes)
    (control,) = agreement(world.project).controls
    figures = by_name(control.statistics)
    assert control.headline in figures
    first = control.statistics[0]
    assert first.statistic == control.headline
    # 10 tasks with one of two spans found by both: 2 * 70 matched over 150 drawn.
    assert first.value == pytest.approx(140 / 150)
    assert first.lower < first.value < first.upper
    classes = {figure.of[0]: figure for figure in control.classes}
    assert classes["PER"].value == 1.0
    assert classes["ORG"].value == pytest.approx(60 / 70)
    assert "alpha" in figures
    assert "c0" in {pulling.task_id for pulling in control.worst}
    assert found_words(control.worst)


def found_words(worst: Any) -> bool:
    return all("ORG" in pulling.words for pulling in worst)
