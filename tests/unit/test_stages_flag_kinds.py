"""Flags on single people's spans and numbers, by what the others said: raised, named, shown, settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapter.stages.asks import ask_again
from adapter.stages.consolidate import consolidate
from adapter.stages.flag import flag
from adapter.stages.flag_people import headline, link
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.vocabulary import FLAG_FIELD, Decision, FlagReason, Review

CONFIG = """<View>
  <Labels name="part" toName="text"><Label value="verb"/><Label value="noun"/></Labels>
  <Text name="text" value="$text"/>
  <Number name="words" toName="text"/>
</View>
"""
PEOPLE = ("ann", "bob", "cy")


def span(number: int, start: int, end: int, label: str) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": [label]}
    return {"id": f"s{number}", "from_name": "part", "to_name": "text", "type": "labels", "value": value}


def count(number: float) -> dict[str, Any]:
    return {"from_name": "words", "to_name": "text", "type": "number", "value": {"number": number}}


def usual(at: int) -> list[dict[str, Any]]:
    """What everybody says of the task that stands at this place."""
    return [span(1, 0, 4, "verb"), span(2, 6, 10, "noun"), count(10.0 + at)]


SLIPS: dict[int, list[dict[str, Any]]] = {
    0: [span(1, 0, 4, "verb"), count(10.0)],  # missed the noun
    1: [*usual(1)[:2], span(3, 12, 15, "noun"), count(11.0)],  # invented one
    2: [span(1, 0, 4, "noun"), span(2, 6, 10, "noun"), count(12.0)],  # wrong class
    3: [span(1, 0, 4, "verb"), span(2, 8, 14, "noun"), count(13.0)],  # moved
    4: [*usual(4)[:2], count(99.0)],  # far off
}
KINDS = {0: "missed", 1: "invented", 2: "wrong class", 3: "moved", 4: "far off"}


@pytest.fixture
def world(make_world: Callable[..., Any]) -> Any:
    """Twenty tasks labelled by three people; ann slips on five that are not blind, and on every blind one."""
    settings = {"blind": {"share": 0.2}, "window": {"size": 20, "low_water": 1}, "flag": {"min_labels": 20}}
    world = make_world(tasks=20, functions=False, label_config=CONFIG, consolidate={"max_people": 3}, **settings)
    project = world.project
    ingest(project)
    push(project)
    world.places = {p.task_id: p.platform_id for p in project.store.ledger.placements("spam")}
    seeing = sorted(task_id for task_id in world.places if not project.is_blind(task_id))
    world.blind = sorted(set(world.places) - set(seeing))
    assert len(seeing) > 8
    assert world.blind
    world.slipped = dict(enumerate(seeing[:5]))
    world.made = {}
    for at, task_id in enumerate(seeing + world.blind):
        for who in PEOPLE:
            slip = who == "ann" and (at in SLIPS or task_id in world.blind)
            result = SLIPS[at % 5] if slip else usual(at)
            world.clock.forward(1)
            world.made[task_id, who] = world.platform.annotate(world.places[task_id], who, result, lead_time=1.0)
    pull(project)
    consolidate(project)
    return world


def open_flags(world: Any) -> dict[str, Any]:
    return {item.task_id: item for item in world.project.store.flags.open("spam")}


def test_each_slip_is_flagged_by_person_region_and_kind_and_nothing_else_is(world: Any) -> None:
    report = flag(world.project)
    found = open_flags(world)
    assert set(found) == set(world.slipped.values()), "nothing blind, nothing that is right"
    assert report.raised == {"label issue": 5}
    for number, task_id in world.slipped.items():
        evidence = found[task_id].evidence
        assert (evidence["annotator"], evidence["kind"], evidence["people"], evidence["against"]) == (
            "ann",
            KINDS[number],
            3,
            2,
        )
        assert found[task_id].reason is FlagReason.LABEL_ISSUE
        assert found[task_id].score > 0.5
    of = {KINDS[number]: found[task_id].evidence for number, task_id in world.slipped.items()}
    assert of["invented"]["region"] == "s3"
    assert (of["invented"]["start"], of["invented"]["end"]) == (12, 15)
    assert of["wrong class"]["others"] == ["verb"]
    assert of["wrong class"]["where"].startswith("'noun' at 0-4")
    assert of["missed"]["region"] is None
    assert "noun" not in of["missed"]["where"], "a place that was missed must not give the answer away"
    assert of["far off"]["others"] == pytest.approx(14.0)


def test_a_flag_links_to_the_region_it_is_about(world: Any) -> None:
    flag(world.project)
    found = open_flags(world)
    invented, missed = found[world.slipped[1]], found[world.slipped[0]]
    mine = world.made[world.slipped[1], "ann"]
    assert link("http://ls/", 7, 8, invented) == f"http://ls/projects/7/data?task=8&annotation={mine}&region=s3"
    other = world.made[world.slipped[0], "bob"]
    assert link("http://ls", 7, 8, missed).endswith(f"annotation={other}&region=s2"), "where somebody marked it"
    assert link("http://ls", 7, 8, found[world.slipped[4]]).endswith(
        f"annotation={world.made[world.slipped[4], 'ann']}"
    )


def test_checking_again_changes_nothing_and_is_skipped_without_new_labels(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag(world.project)
    before = open_flags(world)
    assert flag(world.project, again=True).raised == {}
    assert open_flags(world) == before
    monkeypatch.setattr("adapter.stages.flag.find_doubts", lambda *_: pytest.fail("nothing changed"))
    flag(world.project)


def test_a_new_vote_brings_only_its_task_up_for_judgement(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapter.stages import flag as stage

    flag(world.project)
    before = open_flags(world)
    world.clock.forward(60)
    task_id = next(task for task in sorted(world.places) if task not in {*world.slipped.values(), *world.blind})
    world.platform.annotate(world.places[task_id], "ann", usual(0)[1:2], lead_time=1.0)
    pull(world.project)
    consolidate(world.project)
    judged: list[list[str]] = []
    find = stage.find_doubts
    monkeypatch.setattr(stage, "find_doubts", lambda *given: judged.append(given[3]) or find(*given))
    report = flag(world.project)
    assert judged == [[task_id]], "one control of one task has a new answer"
    assert report.raised == {"label issue": 1}
    assert set(open_flags(world)) == {*before, task_id}


def test_flags_settle_when_the_region_changes_is_deleted_or_a_reviewer_decides(world: Any) -> None:
    project = world.project
    flag(project)
    world.clock.forward(60)
    platform, made = world.platform, world.made
    moved, gone, decided, withdrawn = (world.slipped[number] for number in (3, 1, 2, 4))
    platform.annotate(world.places[moved], "ann", usual(3), lead_time=1.0)
    platform.annotate(world.places[gone], "ann", usual(1), lead_time=1.0)
    platform.delete_annotation(made[withdrawn, "ann"])
    at = world.clock()
    value = [{"id": "s1", "type": "labels", "labels": ["verb"], "value": {"start": 0, "end": 4}, "envelope": {}}]
    project.store.reviews.record(
        "spam", [Review(decided, "part", "rita", Decision.CORRECT, None, value, 999, "label issue", at)]
    )
    pull(project)
    consolidate(project)
    report = flag(project)
    assert report.resolved == {"region changed": 1, "region deleted": 1, "a reviewer decided": 1, "label withdrawn": 1}
    assert set(open_flags(world)) == {world.slipped[0]}


def test_a_flag_resolved_by_hand_rises_again_only_when_the_mark_changes(world: Any) -> None:
    project = world.project
    flag(project)
    task_id = world.slipped[2]
    project.store.flags.resolve([open_flags(world)[task_id].id], "it is right", project.now())
    flag(project, again=True)
    assert task_id not in open_flags(world)
    world.clock.forward(60)
    other = [span(1, 0, 5, "noun"), *usual(2)[1:]]
    world.platform.annotate(world.places[task_id], "ann", other, lead_time=1.0)
    pull(project)
    consolidate(project)
    flag(project)
    assert task_id in open_flags(world)


def test_label_studio_shows_which_region_is_doubted_and_no_further_person_is_asked(world: Any) -> None:
    project = world.project
    flag(project)
    asked, shown = ask_again(project)
    assert asked == 0, "two against one: a reviewer looks, not a fourth person"
    assert shown == 5
    texts = {t.key: t.data.get(FLAG_FIELD, "") for t in world.platform.tasks(project.platform_id)}
    assert "label issue: 'noun' at 12-15" in texts[world.slipped[1]]
    assert headline(open_flags(world)[world.slipped[1]]) in texts[world.slipped[1]]
    assert not any(texts[task_id] for task_id in world.blind)


def test_of_two_people_who_differ_neither_is_called_wrong(make_world: Callable[..., Any]) -> None:
    world = make_world(tasks=12, functions=False, label_config=CONFIG, blind={"share": 0.0}, flag={"min_labels": 10})
    project = world.project
    ingest(project)
    push(project)
    for at, place in enumerate(project.store.ledger.placements("spam")):
        for who in ("ann", "bob"):
            result = SLIPS[1] if at == 0 and who == "bob" else usual(1)
            world.platform.annotate(place.platform_id, who, result, lead_time=1.0)
    pull(project)
    consolidate(project)
    flag(project)
    [found] = project.store.flags.open("spam")
    assert found.reason is FlagReason.LOW_AGREEMENT
    assert found.score <= 0.5
    assert found.evidence["people"] == 2


def test_too_few_votes_are_not_judged_and_the_report_says_so(make_world: Callable[..., Any]) -> None:
    world = make_world(tasks=4, functions=False, label_config=CONFIG, blind={"share": 0.0})
    project = world.project
    ingest(project)
    push(project)
    for place in project.store.ledger.placements("spam"):
        for who in PEOPLE:
            world.platform.annotate(place.platform_id, who, usual(0), lead_time=1.0)
    pull(project)
    report = flag(project)
    assert report.raised == {}
    assert "12 votes on 'part'" in report.note
