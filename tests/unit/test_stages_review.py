"""Review against the in-memory platform: the queue, the reviewers' gestures, what follows of them, and kills."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapter.errors import PlatformUnreachable
from adapter.kinds import kind_of
from adapter.label_studio.label_config import parse_label_config
from adapter.stages.consolidate import consolidate
from adapter.stages.gold import gold_of_control
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.review import ReviewReport, expert_votes, rejected, review, standing
from adapter.stages.review_decisions import unchanged
from adapter.stages.review_project import NOTE, PROPOSED
from adapter.vocabulary import REASON_FIELD, SAID_FIELD, TASK_KEY_FIELD, Decision, Flag, FlagReason

Make = Callable[..., Any]
QUIET = {"enabled": True, "random_share": 0.0, "low_skill": 0.0, "flagged": False}


def split(make: Make, tasks: int = 12, *, wrong: tuple[str, ...] = ("c1",), **policy: Any) -> Any:
    """A project whose tasks two people have labelled; `bob` is wrong on some, and nobody else is asked."""
    world = make(
        tasks=tasks,
        functions=False,
        review={**QUIET, **policy},
        consolidate={"max_people": 2},
        blind={"share": 0.0},
        flag={"enabled": False},
    )
    ingest(world.project)
    push(world.project)
    for task in list(world.platform.tasks(world.project.platform_id)):
        world.platform.set_overlap(task.id, 2)
        world.project.store.ledger.set_overlap("spam", task.key, 2)
    world.label("ann", tasks)
    world.label("bob", tasks, wrong=lambda key: key in wrong)
    settle(world)
    return world


def settle(world: Any) -> ReviewReport:
    pull(world.project)
    consolidate(world.project)
    report = review(world.project)
    consolidate(world.project)
    return report


def desk(world: Any, reviewer: str = "eve") -> Any:
    return world.platform.desk(review_id(world), reviewer)


def review_id(world: Any) -> int:
    found = world.platform.find_project("spam · review")
    assert found is not None
    return int(found.id)


def table(world: Any) -> dict[str, Any]:
    return {task.key: task for task in world.platform.tasks(review_id(world))}


def label_of(world: Any, task_id: str) -> Any:
    (row,) = [row for row in world.project.store.consensus.all("spam") if row.task_id == task_id]
    return row


def test_a_task_on_which_people_differ_lies_on_the_reviewers_table_with_what_was_said(make_world: Make) -> None:
    world = split(make_world)
    assert list(table(world)) == ["c1"]
    data = table(world)["c1"].data
    assert data["text"] == world.project.store.tasks.get("spam", ["c1"])[0].data["text"]
    assert "there is no consensus of 2 people" in data[REASON_FIELD]
    assert "skip to reject" in data[REASON_FIELD]
    assert data[SAID_FIELD] in (
        "person A says 'spam'; person B says 'ham'",
        "person A says 'ham'; person B says 'spam'",
    )
    shown = world.platform.project(review_id(world))
    assert f'value="${SAID_FIELD}"' in shown.label_config
    assert f'value="${REASON_FIELD}"' in shown.label_config


def test_the_proposed_label_is_selected_on_the_page(make_world: Make) -> None:
    world = split(make_world, low_agreement=False, random_share=1.0, wrong=())
    assignment = desk(world).next_task()
    assert assignment.prelabel_version == PROPOSED
    assert assignment.prelabel[0]["value"]["choices"] == [world.gold[assignment.data[TASK_KEY_FIELD]]]


def test_again_changes_nothing(make_world: Make) -> None:
    world = split(make_world)
    before = table(world)
    again = review(world.project)
    assert (again.pushed, again.withdrawn, again.open, again.moved) == (0, 0, 1, False)
    assert {key: task.id for key, task in table(world).items()} == {key: task.id for key, task in before.items()}
    assert len(world.platform.predictions(review_id(world))) <= 1


def test_a_correction_outranks_everybody_and_keeps_their_annotations(make_world: Make) -> None:
    world = split(make_world)
    assert label_of(world, "c1").value is None
    before = world.project.store.annotations.of_task("spam", "c1")
    seat = desk(world)
    seat.submit(seat.next_task().task_id, world.result("ham"), 4.0)
    report = settle(world)
    assert report.decided == {"correct": 1}
    row = label_of(world, "c1")
    assert (row.value, row.method, row.confidence) == (["ham"], "expert", 0.99)
    assert set(row.support) == {"ann", "bob"}
    assert world.project.store.annotations.of_task("spam", "c1") == before
    (decision,) = world.project.store.reviews.all("spam")
    assert (decision.reviewer, decision.value, decision.lead_time) == ("eve", ["ham"], 4.0)
    assert "no consensus" in decision.why
    assert expert_votes(world.project, world.project.space.control("spam")) == {"c1": (("ham",), "eve")}
    assert any(entry.who == "eve" and "review" in entry.what for entry in world.project.store.audit.all("spam"))
    assert settle(world).open == 0


def test_unchanged_accepts_and_changed_corrects(make_world: Make) -> None:
    world = split(make_world, wrong=(), random_share=1.0)
    seat = desk(world)
    first = seat.next_task()
    seat.submit(first.task_id, first.prelabel, 1.0)
    second = seat.next_task()
    other = {"spam": "ham", "ham": "spam"}[second.prelabel[0]["value"]["choices"][0]]
    seat.submit(second.task_id, world.result(other), 1.0)
    assert settle(world).decided == {"accept": 1, "correct": 1}
    decisions = {row.task_id: row.decision for row in world.project.store.reviews.all("spam")}
    assert decisions == {
        first.data[TASK_KEY_FIELD]: Decision.ACCEPT,
        second.data[TASK_KEY_FIELD]: Decision.CORRECT,
    }
    assert label_of(world, second.data[TASK_KEY_FIELD]).value == [other]


def test_a_rejection_asks_again_until_somebody_answers_then_it_is_reviewed_anew(make_world: Make) -> None:
    world = split(make_world, wrong=(), random_share=1.0)
    seat = desk(world)
    task = seat.next_task()
    key = task.data[TASK_KEY_FIELD]
    world.clock.forward(5)
    seat.skip(task.task_id, 1.0)
    assert settle(world).decided == {"reject": 1}
    assert rejected(world.project) == {key}
    row = label_of(world, key)
    assert row.value is None
    assert "rejected" in row.why
    assert all(entry["task_id"] != key for entry in entries(world))
    world.clock.forward(5)
    place = next(p for p in world.project.store.ledger.placements("spam") if p.task_id == key)
    world.platform.annotate(place.platform_id, "cat", world.result(world.gold[key]))
    settle(world)
    assert rejected(world.project) == set()
    assert label_of(world, key).value == [world.gold[key]]
    anew = table(world)[f"{key} · round 2"]
    assert "rejected its labels" in anew.data[REASON_FIELD]
    seat.submit(anew.id, world.result(world.gold[key]), 1.0)
    settle(world)
    assert standing(world.project)[key, "spam"].decision is Decision.ACCEPT
    assert label_of(world, key).method == "expert"


def entries(world: Any) -> list[dict[str, Any]]:
    return list(world.project.store.projects.notes("spam")[NOTE]["entries"])


def test_a_changed_or_deleted_decision_changes_or_loses_its_effect(make_world: Make) -> None:
    world = split(make_world)
    seat = desk(world)
    made = seat.submit(seat.next_task().task_id, world.result("ham"), 1.0)
    settle(world)
    world.platform.change_annotation(made, world.result("spam"))
    settle(world)
    assert label_of(world, "c1").value == ["spam"]
    control = world.project.space.control("spam")
    assert gold_of_control(world.project, control) == {"c1": ("spam",)}
    world.platform.delete_annotation(made)
    report = settle(world)
    assert (report.undone, report.open) == (1, 1)
    assert label_of(world, "c1").value is None
    assert gold_of_control(world.project, control) == {}
    assert seat.next_task().data[TASK_KEY_FIELD] == "c1"


def test_a_review_task_deleted_in_label_studio_undoes_its_decision(make_world: Make) -> None:
    world = split(make_world)
    seat = desk(world)
    seat.submit(seat.next_task().task_id, world.result("ham"), 1.0)
    settle(world)
    world.platform.delete_tasks(review_id(world), [table(world)["c1"].id])
    assert settle(world).undone == 1
    assert label_of(world, "c1").value is None
    settle(world)
    assert [entry["task_id"] for entry in entries(world)] == ["c1"]


def test_only_reviewers_decide(make_world: Make) -> None:
    world = split(make_world, reviewers=("eve",))
    seat = desk(world, "mallory")
    seat.submit(seat.next_task().task_id, world.result("ham"), 1.0)
    report = settle(world)
    assert report.open == 1
    assert label_of(world, "c1").value is None
    assert desk(world, "eve").next_task().data[TASK_KEY_FIELD] == "c1"
    seat = desk(world, "eve")
    seat.submit(seat.next_task().task_id, world.result("spam"), 1.0)
    settle(world)
    assert label_of(world, "c1").value == ["spam"]


def test_a_task_that_is_settled_otherwise_leaves_the_table(make_world: Make) -> None:
    world = split(make_world)
    place = next(p for p in world.project.store.ledger.placements("spam") if p.task_id == "c1")
    mine = [a for a in world.project.store.annotations.of_task("spam", "c1") if a.annotator == "bob"]
    world.platform.change_annotation(mine[0].id, world.result(world.gold["c1"]))
    assert place.platform_id
    report = settle(world)
    assert (report.withdrawn, report.open) == (1, 0)
    assert table(world) == {}


def test_what_a_reviewer_said_meanwhile_is_not_lost_when_the_task_leaves(make_world: Make) -> None:
    world = split(make_world)
    mine = [a for a in world.project.store.annotations.of_task("spam", "c1") if a.annotator == "bob"]
    world.platform.change_annotation(mine[0].id, world.result(world.gold["c1"]))
    seat = desk(world)
    seat.submit(seat.next_task().task_id, world.result("spam"), 1.0)
    assert settle(world).decided
    assert label_of(world, "c1").value == ["spam"]
    assert set(table(world)) == {"c1"}


def test_the_table_is_bounded(make_world: Make) -> None:
    world = split(make_world, wrong=tuple(f"c{n}" for n in range(12)), size=3)
    report = review(world.project)
    assert (report.open, report.waiting, len(table(world))) == (3, 9, 3)
    seat = desk(world)
    seat.submit(seat.next_task().task_id, world.result("ham"), 1.0)
    report = settle(world)
    assert (report.pushed, report.open, report.waiting) == (1, 3, 8)


def test_a_new_vote_changes_what_the_reviewer_sees(make_world: Make) -> None:
    world = split(make_world)
    place = next(p for p in world.project.store.ledger.placements("spam") if p.task_id == "c1")
    world.platform.annotate(place.platform_id, "cat", world.result("ham"))
    settle(world)
    task = table(world)["c1"]
    assert "person C says" in task.data[SAID_FIELD]
    (prediction,) = world.platform.predictions(review_id(world), [task.id])
    assert prediction.result[0]["value"]["choices"] == ["ham"]


@pytest.mark.parametrize("method", ["create_project", "import_tasks", "import_predictions", "configure"])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_anywhere_leaves_one_of_each(make_world: Make, method: str, after: bool) -> None:
    world = split(make_world, low_agreement=False, wrong=())
    world.project.store.projects.note("spam", NOTE, None)
    world.platform.delete_project(review_id(world))
    policy = world.project.settings.review.model_copy(update={"random_share": 1.0})
    settings = world.app.settings.projects["spam"].model_copy(update={"review": policy})
    world.app.settings.projects["spam"] = settings
    world = world.again()
    world.platform.fail_next(method, PlatformUnreachable("gone"), after)
    with pytest.raises(PlatformUnreachable):
        review(world.project)
    world = world.again()
    review(world.project)
    assert sorted(task.key for task in world.platform.tasks(review_id(world))) == sorted(world.gold)
    predictions = world.platform.predictions(review_id(world))
    assert len({row.task_id for row in predictions}) == len(predictions) == 12
    assert world.platform.project(review_id(world)).model_version == PROPOSED


def test_a_review_project_that_was_deleted_is_made_anew_and_decisions_stand(make_world: Make) -> None:
    world = split(make_world, wrong=("c1", "c2"))
    seat = desk(world)
    task = seat.next_task()
    seat.submit(task.task_id, world.result("ham"), 1.0)
    settle(world)
    world.platform.delete_project(review_id(world))
    report = settle(world)
    assert (report.pushed, report.undone, report.open) == (1, 0, 1)
    assert label_of(world, task.data[TASK_KEY_FIELD]).value == ["ham"]
    settle(world)
    assert len(standing(world.project)) == 1


def test_nothing_is_asked_of_label_studio_when_review_is_off(make_world: Make) -> None:
    world = split(make_world, enabled=False)
    assert world.platform.find_project("spam · review") is None
    assert "review.enabled" in review(world.project).note


def test_decided_labels_answer_open_doubts(make_world: Make) -> None:
    world = split(make_world, wrong=(), low_agreement=False, flagged=True)
    flag = Flag("c3", "spam", FlagReason.LABEL_ISSUE, 0.9, {"people": 2}, "about")
    world.project.store.flags.raise_("spam", [flag])
    review(world.project)
    assert list(table(world)) == ["c3"]
    assert "doubted" in table(world)["c3"].data[REASON_FIELD]
    seat = desk(world)
    task = seat.next_task()
    seat.submit(task.task_id, task.prelabel, 1.0)
    settle(world)
    (settled,) = world.project.store.flags.all("spam")
    assert settled.resolution in ("accepted in review", "label changed")


def test_an_annotation_that_cannot_be_read_is_a_fault_and_no_decision(make_world: Make) -> None:
    world = split(make_world)
    broken = [{"from_name": "spam", "to_name": "text", "type": "choices", "value": {"choices": ["eggs"]}}]
    world.platform.annotate(table(world)["c1"].id, "eve", broken)
    report = settle(world)
    assert (report.decided, report.open) == ({}, 1)
    assert any("eggs" in fault.message for fault in world.project.store.faults.recent("spam", 5))


NER_CONFIG = """<View><Labels name="ner" toName="text"><Label value="PER"/><Label value="ORG"/></Labels>
<Text name="text" value="$text"/>
<Choices name="spam" toName="text"><Choice value="spam"/><Choice value="ham"/></Choices></View>"""


def span(start: int, end: int, label: str, number: str = "r1") -> dict[str, Any]:
    value = {"start": start, "end": end, "text": "x", "labels": [label]}
    return {"id": number, "from_name": "ner", "to_name": "text", "type": "labels", "value": value}


def test_spans_are_reviewed_beside_choices_each_control_decided_by_itself(make_world: Make) -> None:
    world = make_world(
        tasks=4,
        functions=False,
        label_config=NER_CONFIG,
        review={**QUIET, "random_share": 1.0, "differ": 0.2},
        consolidate={"max_people": 2},
        blind={"share": 0.0},
        flag={"enabled": False},
    )
    ingest(world.project)
    push(world.project)
    for task in list(world.platform.tasks(world.project.platform_id)):
        label = "ORG" if task.key == "c1" else "PER"
        for who, end, said in (("ann", 4, "PER"), ("bob", 4, label)):
            world.platform.annotate(task.id, who, [*world.result("ham"), span(0, end, said)])
    settle(world)
    task = table(world)["c1"]
    assert "people differ" in task.data[REASON_FIELD] or "no consensus" in task.data[REASON_FIELD]
    assert "ner: " in task.data[SAID_FIELD]
    assert "1 x 'PER'" in task.data[SAID_FIELD]
    assert "1 x 'ORG'" in task.data[SAID_FIELD]
    assert " against person " in task.data[SAID_FIELD]
    seat = desk(world)
    served = {}
    while (found := seat.next_task()) is not None:
        served[found.data[TASK_KEY_FIELD]] = found
        if found.data[TASK_KEY_FIELD] == "c1":
            seat.submit(found.task_id, [*world.result("ham"), span(0, 5, "ORG", "mine")], 1.0)
        else:  # the page writes new ids
            echo = [{**item, "id": f"new{n}"} for n, item in enumerate(found.prelabel)]
            seat.submit(found.task_id, echo, 1.0)
    settle(world)
    decided = standing(world.project)
    assert decided["c0", "ner"].decision is Decision.ACCEPT
    assert decided["c0", "spam"].decision is Decision.ACCEPT
    assert decided["c1", "spam"].decision is Decision.ACCEPT
    assert decided["c1", "ner"].decision is Decision.CORRECT
    (row,) = [row for row in world.project.store.consensus.all("spam", "ner") if row.task_id == "c1"]
    assert [(region["labels"], region["value"]["end"]) for region in row.value] == [(["ORG"], 5)]
    assert row.method == "expert"


def test_a_span_that_is_one_character_longer_is_a_correction() -> None:
    (control, _) = parse_label_config(NER_CONFIG).controls
    kind = kind_of(control.kind)
    before, echo, longer = (
        kind.read(control, [span(0, end, "PER", number)]) for end, number in ((10, "a"), (10, "b"), (11, "a"))
    )
    other = kind.read(control, [span(0, 10, "ORG")])
    assert unchanged(control, before, echo)
    assert not unchanged(control, before, longer)
    assert not unchanged(control, before, other)
    assert not unchanged(control, before, ())
    assert unchanged(control, (), ())


def test_a_reviewer_who_clears_an_answer_rejects_it(make_world: Make) -> None:
    world = split(make_world, wrong=(), random_share=1.0)
    seat = desk(world)
    task = seat.next_task()
    seat.submit(task.task_id, [], 1.0)
    assert settle(world).decided == {"reject": 1}
    assert label_of(world, task.data[TASK_KEY_FIELD]).value is None


def test_low_skill_counts_only_where_everybody_s_skill_is_measured(make_world: Make) -> None:
    world = split(make_world, wrong=(), low_skill=0.8, low_agreement=False)
    notes = {"spam": {"ann": {"accuracy": 0.7, "n": 50}, "bob": {"accuracy": 0.75, "n": 50}}}
    world.project.store.projects.note("spam", "skills", notes)
    assert review(world.project).open == 12
    notes["spam"]["bob"] = {"accuracy": 0.75, "n": 2}
    world.project.store.projects.note("spam", "skills", notes)
    assert review(world.project).open == 0
    notes["spam"]["bob"] = {"accuracy": 0.95, "n": 50}
    world.project.store.projects.note("spam", "skills", notes)
    assert review(world.project).open == 0


def test_while_one_more_person_is_asked_nobody_reviews(make_world: Make) -> None:
    world = make_world(tasks=6, functions=False, review=QUIET, blind={"share": 0.0}, flag={"enabled": False})
    ingest(world.project)
    push(world.project)
    for task in list(world.platform.tasks(world.project.platform_id)):
        world.platform.annotate(task.id, "ann", world.result("ham"))
        world.platform.annotate(task.id, "bob", world.result("spam"))
    report = settle(world)
    assert report.open == 0
    for task in list(world.platform.tasks(world.project.platform_id)):
        world.platform.annotate(task.id, "cat", world.result("ham"))
    assert settle(world).open == 6


def test_a_lost_store_finds_the_review_project_and_its_decisions_again(make_world: Make) -> None:
    world = split(make_world, wrong=("c1", "c2"))
    seat = desk(world)
    task = seat.next_task()
    seat.submit(task.task_id, world.result("ham"), 1.0)
    world.project.store.projects.note("spam", NOTE, None)
    settle(world)
    assert label_of(world, task.data[TASK_KEY_FIELD]).value == ["ham"]
    assert len(list(world.platform.tasks(review_id(world)))) == 2
    assert len(entries(world)) == 1
