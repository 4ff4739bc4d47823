"""What is reported of annotators as the store has it: skill without one's own vote, gold that is not one's own, pace,
anchoring, signs, pseudonyms; every kind of answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from adapter.core.crowd import CrowdVotes
from adapter.errors import DataError
from adapter.stages.consolidate import consolidate
from adapter.stages.gold import ADJUDICATED, GIVEN
from adapter.stages.ingest import ingest
from adapter.stages.people import names_for_others, people, with_pseudonyms
from adapter.vocabulary import Annotation, Decision, GoldLabel, Review
from benchmarks.conduct import crowd

Make = Callable[..., Any]

TEXT = '<Text name="text" value="$text"/>'
SPANS = f'<View><Labels name="ner" toName="text"><Label value="PER"/><Label value="ORG"/></Labels>{TEXT}</View>'
TOPICS = (
    f'<View>{TEXT}<Choices name="topics" toName="text" choice="multiple"><Choice value="a"/><Choice value="b"/>'
    '<Choice value="c"/></Choices></View>'
)
ANSWER = f'<View>{TEXT}<TextArea name="answer" toName="text"/></View>'
LABELS = ("spam", "ham")


def world_of(make: Make, tasks: int = 300, **settings: Any) -> Any:
    world = make(tasks, functions=False, **{"blind": {"share": 0.3, "batch_share": 0.3}, **settings})
    ingest(world.project)
    return world


def say(
    world: Any,
    control: str,
    votes: Mapping[str, Mapping[str, Any]],
    *,
    lead: Callable[[str, str], float | None] = lambda task_id, who: 5.0,
    shown: Callable[[str, str], str | None] = lambda task_id, who: None,
) -> None:
    """Record annotations as if they had been pulled, a minute apart, in the order of `votes`."""
    number, by_task = 0, {}
    start = world.clock()
    for task_id, by_person in votes.items():
        rows = []
        for who, value in by_person.items():
            number += 1
            at = start + timedelta(minutes=number)
            rows.append(
                Annotation(
                    number, task_id, who, {control: value}, (), at, at, lead(task_id, who), shown=shown(task_id, who)
                )
            )
        by_task[task_id] = rows
    world.project.store.annotations.record_many(world.project.name, by_task)


def as_votes(made: CrowdVotes) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for task, who, label in zip(made.task.tolist(), made.annotator.tolist(), made.label.tolist(), strict=True):
        found.setdefault(f"c{task}", {})[made.annotators[who]] = [LABELS[label]]
    return found


def person(report: Any, name: str) -> Any:
    return next(one for one in report.people if one.person == name)


def signs_of(report: Any) -> set[tuple[str, str]]:
    return {(one.person, sign.sign) for one in report.people for sign in one.signs}


def test_nobody_has_labelled_yet(make_world: Make) -> None:
    report = people(world_of(make_world, 20).project)
    assert report.people == ()
    assert report.as_json()["people"] == ()


def test_skill_is_judged_by_the_others_and_on_the_blind_sample(make_world: Make) -> None:
    world = world_of(make_world)
    made, truth = crowd(4, k=2)
    say(world, "spam", as_votes(made))
    consolidate(world.project)
    report = people(world.project)
    assert [one.person for one in report.people] == made.annotators
    off = []
    for place, name in enumerate(made.annotators):
        (control,) = person(report, name).controls
        mine = made.annotator == place
        true = float((truth[made.task[mine]] == made.label[mine]).mean())
        off.append(abs(control.overlap.value - true))
        assert control.measure == "accuracy"
        assert control.overlap.n == int(mine.sum()) > control.blind.n > 0
        assert control.overlap.lower <= control.overlap.value <= control.overlap.upper
        assert control.consensus.n == control.overlap.n
        assert sum(map(sum, control.confusion)) == pytest.approx(control.overlap.n, abs=0.1)
        assert [part.label for part in control.classes] == list(LABELS)
        assert control.gold.n == control.expert.n == 0
        assert len(control.over_time) == 6
    assert np.mean(off) < 0.06
    assert signs_of(report) == set()
    assert json.loads(json.dumps(report.as_json()))["project"] == "spam"
    assert people(world.project).as_json() == report.as_json()


def test_a_vote_that_stands_alone_judges_nobody(make_world: Make) -> None:
    world = world_of(make_world, 60)
    say(world, "spam", {f"c{n}": {"ann": ["spam"]} for n in range(30)})
    (control,) = person(people(world.project), "ann").controls
    assert control.overlap.n == control.blind.n == 0
    assert control.overlap.words == "-"


def test_few_items_are_too_few_to_say(make_world: Make) -> None:
    world = world_of(make_world, 60)
    say(world, "spam", {f"c{n}": {"ann": ["spam"], "bob": ["ham"]} for n in range(9)})
    report = people(world.project)
    (control,) = person(report, "ann").controls
    assert (control.overlap.n, control.overlap.enough) == (9, False)
    assert control.overlap.words == "too few to say (9)"
    assert not person(report, "ann").pace.enough
    assert signs_of(report) == set()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("one-label", {("p0", "one label")}), ("runner", {("p0", "runs")}),
     ("copier", {("p0", "copying"), ("p1", "copying")})],
)  # fmt: skip
def test_signs_fall_on_whom_they_should(make_world: Make, kind: str, expected: set[tuple[str, str]]) -> None:
    world = world_of(make_world)
    say(world, "spam", as_votes(crowd(3, kind, k=2)[0]))
    found = signs_of(people(world.project))
    assert expected <= found
    assert {who for who, _ in found} <= {who for who, _ in expected}
    alone = people(world.project, person="p0")
    assert any("one opinion counts twice" in note for note in alone.notes) == (kind == "copier")
    guilty = person(alone, "p0")
    for sign in guilty.signs:
        assert "sign, not a proof" in sign.sentence
        assert "p0" not in sign.sentence
        assert "p1" not in sign.sentence
        assert sign.p < 0.01
        assert sign.figures
        assert sign.tasks
        assert set(sign.tasks) <= {f"c{n}" for n in range(300)}
        assert sign.other == ("p1" if sign.sign == "copying" else "")


def test_gold_counts_unless_it_is_ones_own_word(make_world: Make) -> None:
    world = world_of(make_world, 120)
    store, name = world.project.store, world.project.name
    votes = {f"c{n}": {"ann": ["spam"], "bob": ["ham"]} for n in range(40)}
    say(world, "spam", votes)
    at = world.clock()
    store.gold.put(name, [GoldLabel(f"c{n}", "spam", ("spam",), GIVEN, "ann", at) for n in range(15)])
    store.gold.put(name, [GoldLabel(f"c{n}", "spam", ("ham",), ADJUDICATED, "bob", at) for n in range(20, 34)])
    store.reviews.record(
        name,
        [Review(f"c{n}", "spam", "bob", Decision.CORRECT, ("spam",), ("ham",), 900 + n, "", at) for n in range(20, 34)],
    )
    report = people(world.project)
    (ann,), (bob,) = person(report, "ann").controls, person(report, "bob").controls
    assert (ann.gold.n, bob.gold.n) == (15, 15)  # imported gold is nobody's own vote
    assert ann.gold.value > 0.9
    assert bob.gold.value < 0.6
    assert ann.expert.n == 14
    assert ann.expert.value < 0.6
    assert bob.expert.n == 0  # the reviewer himself
    assert ann.overlap.n == bob.overlap.n == 40


def test_pace_names_outliers_and_who_is_impossibly_fast(make_world: Make) -> None:
    world = world_of(make_world, 90)
    votes = {f"c{n}": {who: ["spam" if n % 2 else "ham"] for who in ("ann", "bob", "cyd")} for n in range(60)}
    rng = np.random.default_rng(0)
    times = {(task, who): float(np.exp(rng.normal(2.3, 0.3))) for task in votes for who in votes[task]}
    times |= {(task, "cyd"): 0.5 + 0.1 * float(rng.random()) for task in votes}
    times["c7", "ann"], times["c9", "ann"] = 0.2, 2000.0
    unknown = ("c3", "bob")
    say(world, "spam", votes, lead=lambda task, who: None if (task, who) == unknown else times[task, who])
    report = people(world.project)
    ann, bob, cyd = (person(report, who).pace for who in ("ann", "bob", "cyd"))
    assert (ann.fast, ann.slow) == (("c7",), ("c9",))
    assert ann.median == pytest.approx(np.exp(2.3), rel=0.2)
    assert bob.n == 59
    assert cyd.others == pytest.approx((ann.median + bob.median) / 2)
    assert ann.per_100 > ann.median  # texts are shorter than 100 characters
    assert signs_of(report) == {("cyd", "fast")}
    (sign,) = person(report, "cyd").signs
    assert sign.p is None


def test_improving_people_rise(make_world: Make) -> None:
    world = world_of(make_world, 600)
    rng = np.random.default_rng(8)
    votes: dict[str, dict[str, Any]] = {}
    for n in range(600):
        truth = n % 2
        right = {"ann": 0.5 + 0.48 * n / 600, "bob": 0.92, "cyd": 0.92, "dan": 0.85, "eve": 0.85}
        votes[f"c{n}"] = {who: [LABELS[truth if rng.random() < p else 1 - truth]] for who, p in right.items()}
    say(world, "spam", votes)
    report = people(world.project)
    trends = {one.person: one.controls[0].trend for one in report.people}
    assert trends["ann"].words == "rising"
    assert trends["ann"].change > 0.2
    assert min(trends[who].p for who in ("bob", "cyd", "dan", "eve")) > 1e-3
    assert trends["ann"].p < 1e-6
    first, *_, last = person(report, "ann").controls[0].over_time
    assert first.rate.upper < last.rate.lower
    assert first.since < first.until < last.since


def anchored_world(make: Make, follow: float, seed: int) -> Any:
    """ann follows a pre-label that is on the page with this probability beyond her own eyes; the model is right on 70 %
    of the tasks."""
    world = world_of(make, 500)
    project = world.project
    rng = np.random.default_rng(seed)
    index = project.store.tasks.index(project.name)
    truth = {task: int(rng.random() < 0.5) for task in index.seq_of}
    model = {task: truth[task] if rng.random() < 0.7 else 1 - truth[task] for task in truth}
    column = np.zeros((500, 2), np.float32)
    for task, seq in index.seq_of.items():
        column[seq] = (0.2, 0.8) if model[task] else (0.8, 0.2)
    project.columns.write(project.name, "probabilities", "spam", "model", "spam-1-abc", 0, column)
    votes = {}
    for task in sorted(truth):
        own = truth[task] if rng.random() < 0.9 else 1 - truth[task]
        leans = not project.is_blind(task) and rng.random() < follow
        votes[task] = {"ann": [LABELS[model[task] if leans else own]]}
    say(world, "spam", votes, shown=lambda task, who: None if project.is_blind(task) else "spam-1-abc")
    return world


def test_who_leans_on_the_pre_label_is_seen(make_world: Make) -> None:
    report = people(anchored_world(make_world, 0.7, 0).project)
    prelabels = person(report, "ann").controls[0].prelabels
    assert prelabels.shown.value > 0.85
    assert prelabels.unseen.value < 0.75
    assert 0 < prelabels.lower < prelabels.difference < prelabels.upper
    assert prelabels.shown.n + prelabels.unseen.n == 500
    assert signs_of(report) == {("ann", "anchoring")}


def test_who_looks_for_herself_is_not_accused(make_world: Make) -> None:
    report = people(anchored_world(make_world, 0.0, 1).project)
    prelabels = person(report, "ann").controls[0].prelabels
    assert prelabels.lower < 0 < prelabels.upper
    assert signs_of(report) == set()


def test_versions_that_are_not_stored_say_nothing(make_world: Make) -> None:
    world = world_of(make_world, 60)
    say(world, "spam", {f"c{n}": {"ann": ["spam"]} for n in range(40)}, shown=lambda task, who: "gone-1-abc")
    assert person(people(world.project), "ann").controls[0].prelabels is None


def span(start: int, end: int, label: str) -> dict[str, Any]:
    return {
        "id": f"r{start}",
        "type": "labels",
        "labels": [label],
        "value": {"start": start, "end": end},
        "envelope": {},
    }


def test_spans_are_compared_with_each_other_person_alone(make_world: Make) -> None:
    world = world_of(make_world, 120, label_config=SPANS)
    rng = np.random.default_rng(2)
    votes: dict[str, dict[str, Any]] = {}
    for n in range(60):
        start = int(rng.integers(0, 8))
        own = [span(start, start + 4, "PER"), span(start + 5, start + 8, "ORG")]
        junk = [span(0, 1, "ORG")]
        votes[f"c{n}"] = {"ann": own, "bob": own, "cyd": [own[0]], "dan": junk}
    say(world, "ner", votes)
    report = people(world.project)
    by = {one.person: one.controls[0] for one in report.people}
    assert by["ann"].measure == "similarity"
    assert by["ann"].overlap.n == 60
    assert by["ann"].overlap.value > by["cyd"].overlap.value > by["dan"].overlap.value
    classes = {part.label: part.rate.value for part in by["cyd"].classes}
    assert classes["PER"] > classes["ORG"]
    assert by["ann"].confusion == ()
    found = signs_of(report)
    # ann and bob are the only two who mark both: with each other they are alike, with nobody else.
    assert found == {("ann", "copying"), ("bob", "copying"), ("dan", "near chance"), ("dan", "same answer")}


@pytest.mark.parametrize(
    ("config", "control", "values"),
    [(TOPICS, "topics", (["a"], ["b", "c"], ["a", "c"])), (ANSWER, "answer", (["one"], ["two words"], ["three"]))],
)
def test_other_kinds_are_measured_by_likeness(make_world: Make, config: str, control: str, values: Any) -> None:
    world = world_of(make_world, 90, label_config=config)
    rng = np.random.default_rng(3)
    votes: dict[str, dict[str, Any]] = {}
    for n in range(60):
        truth = values[n % 3]
        votes[f"c{n}"] = {
            who: truth if rng.random() < p else values[int(rng.integers(3))]
            for who, p in (("ann", 0.95), ("bob", 0.95), ("cyd", 0.95), ("dan", 0.0))
        }
    say(world, control, votes)
    world.project.store.gold.put(
        "spam", [GoldLabel(f"c{n}", control, values[n % 3], GIVEN, "lead", world.clock()) for n in range(20)]
    )
    report = people(world.project)
    by = {one.person: one.controls[0] for one in report.people}
    assert by["ann"].overlap.value > by["dan"].overlap.value
    assert by["ann"].gold.n == 20
    assert by["ann"].gold.value > by["dan"].gold.value
    assert ("dan", "near chance") in signs_of(report)
    assert {who for who, _ in signs_of(report)} == {"dan"}


def test_copied_answers_of_open_kinds_are_found(make_world: Make) -> None:
    world = world_of(make_world, 120, label_config=ANSWER)
    rng = np.random.default_rng(6)
    votes: dict[str, dict[str, Any]] = {}
    for n in range(80):
        said = {who: [f"it is about thing {n} seen {rng.integers(6)} times"] for who in ("ann", "bob", "cyd", "dan")}
        said["dan"] = said["cyd"] if rng.random() < 0.8 else said["dan"]
        votes[f"c{n}"] = said
    say(world, "answer", votes)
    report = people(world.project)
    assert signs_of(report) == {("cyd", "copying"), ("dan", "copying")}


def test_one_person_and_nobody_by_a_wrong_name(make_world: Make) -> None:
    world = world_of(make_world, 30)
    say(world, "spam", {f"c{n}": {"ann": ["spam"], "bob": ["ham"]} for n in range(12)})
    assert [one.person for one in people(world.project, person="ann").people] == ["ann"]
    with pytest.raises(DataError, match="Did you mean 'ann'"):
        people(world.project, person="anne")


def test_pseudonyms_hide_every_name_and_stay_the_same(make_world: Make) -> None:
    world = world_of(make_world)
    say(world, "spam", as_votes(crowd(3, "copier", k=2)[0]))
    report = with_pseudonyms(world.project, people(world.project))
    text = json.dumps(report.as_json())
    assert '"p0"' not in text
    assert '"p1"' not in text
    assert text.count("annotator-") == len(report.people) + 2  # two ends of the pair
    again = with_pseudonyms(world.again().project, people(world.project))
    assert [one.person for one in again.people] == [one.person for one in report.people]
    assert with_pseudonyms(world.project, people(world.project, person="p0")).people[0].person in text
    assert names_for_others(world.project, ["p0"])["p0"].startswith("annotator-")


def test_the_policy_may_leave_names_in_exports(make_world: Make) -> None:
    world = make_world(10, functions=False, people={"pseudonyms": False})
    assert names_for_others(world.project, ["ann"]) == {"ann": "ann"}


def test_of_too_many_pairs_a_part_is_compared_and_said(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.stages.people_open.MOST_PAIRS", 30)
    world = world_of(make_world, 90, label_config=ANSWER)
    say(world, "answer", {f"c{n}": {"ann": ["x"], "bob": ["y"]} for n in range(50)})
    report = people(world.project)
    assert report.notes == ("answer: 20 tasks were left out; a random part is compared",)
    assert person(report, "ann").controls[0].overlap.n == 30
