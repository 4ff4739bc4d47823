"""Adaptive overlap: one more person while a consensus is in doubt, and not one longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapter.errors import PlatformUnreachable
from adapter.stages.asks import ASKED_NOTE, ask_again
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.review_project import Entry, Table, save
from adapter.stages.route_gold import GOLD_NOTE
from adapter.vocabulary import Decision, Flag, FlagReason, Review

OTHER = {"spam": "ham", "ham": "spam"}


def made(make_world: Callable[..., Any], **settings: Any) -> Any:
    """A pushed project whose tasks ask one person each."""
    settings = {"blind": {"share": 0.0}, "window": {"size": 12, "low_water": 1}, **settings}
    world = make_world(tasks=40, functions=False, **settings)
    ingest(world.project)
    push(world.project)
    return world


def places(world: Any) -> dict[str, Any]:
    return {p.task_id: p for p in world.project.store.ledger.placements("spam")}


def there(world: Any, task_id: str) -> Any:
    return next(task for task in world.platform.tasks(world.project.platform_id) if task.key == task_id)


def say(world: Any, task_id: str, name: str, right: bool = True) -> int:
    """Let a person answer one task, right or wrong; returns the annotation."""
    gold = world.gold[task_id]
    world.clock.forward(1)
    made = world.platform.annotate(
        places(world)[task_id].platform_id, name, world.result(gold if right else OTHER[gold]), lead_time=1.0
    )
    pull(world.project)
    consolidate(world.project)
    return int(made)


def split(world: Any, task_id: str) -> int:
    """Make two people disagree on a task that asks two; returns the second person's annotation."""
    say(world, task_id, "ann")
    world.platform.set_overlap(places(world)[task_id].platform_id, 2)
    world.project.store.ledger.set_overlap("spam", task_id, 2)
    return say(world, task_id, "bob", right=False)


def value(world: Any, task_id: str) -> Any:
    return next(row.value for row in world.project.store.consensus.all("spam") if row.task_id == task_id)


class TestAsking:
    def test_one_more_person_is_asked_while_people_disagree_and_then_no_more(
        self, make_world: Callable[..., Any]
    ) -> None:
        world = made(make_world)
        task_id = next(iter(places(world)))
        split(world, task_id)
        assert value(world, task_id) is None
        assert ask_again(world.project)[0] == 1
        assert (places(world)[task_id].overlap, there(world, task_id).overlap) == (3, 3)
        assert not places(world)[task_id].done
        assert ask_again(world.project)[0] == 0, "the one who was asked has not answered"
        say(world, task_id, "cy")
        assert value(world, task_id) is not None
        assert ask_again(world.project)[0] == 0
        assert there(world, task_id).overlap == 3

    def test_a_single_answer_under_the_threshold_asks_a_second_person_and_a_third_up_to_the_most(
        self, make_world: Callable[..., Any]
    ) -> None:
        world = made(make_world, consolidate={"people_threshold": 0.95, "max_people": 2})
        task_id = next(iter(places(world)))
        say(world, task_id, "ann")
        assert ask_again(world.project)[0] == 1
        assert there(world, task_id).overlap == 2
        say(world, task_id, "bob", right=False)
        assert value(world, task_id) is None
        assert ask_again(world.project)[0] == 0
        assert there(world, task_id).overlap == 2

    def test_the_budget_is_never_overdrawn(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, consolidate={"people_threshold": 0.95}, window={"size": 12, "budget": 14})
        for task_id in list(places(world)):
            say(world, task_id, "ann")
        assert ask_again(world.project)[0] == 2
        assert sum(p.overlap for p in places(world).values()) == 14

    def test_tasks_that_lie_with_a_reviewer_or_measure_people_are_left_alone(
        self, make_world: Callable[..., Any]
    ) -> None:
        world = made(make_world)
        first, second, third = list(places(world))[:3]
        for task_id in (first, second, third):
            split(world, task_id)
        save(world.project, Table(entries={first: Entry(first, first, "people differ")}))
        world.project.store.projects.note("spam", GOLD_NOTE, {second: 2})
        assert ask_again(world.project)[0] == 1
        assert [places(world)[task_id].overlap for task_id in (first, second, third)] == [2, 2, 3]

    def test_labels_that_a_reviewer_refused_ask_one_more_person_than_the_most(
        self, make_world: Callable[..., Any]
    ) -> None:
        world = made(make_world, consolidate={"max_people": 2}, review={"enabled": True})
        task_id = next(iter(places(world)))
        split(world, task_id)
        assert ask_again(world.project)[0] == 0
        now = world.project.now()
        world.project.store.reviews.record(
            "spam", [Review(task_id, "spam", "lead", Decision.REJECT, ("spam",), None, 99, "people differ", now)]
        )
        consolidate(world.project)
        assert ask_again(world.project)[0] == 1
        assert there(world, task_id).overlap == 3


class TestStopping:
    def test_an_open_seat_closes_when_the_consensus_stands(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        task_id = next(iter(places(world)))
        wrong = split(world, task_id)
        ask_again(world.project)
        world.clock.forward(1)
        world.platform.change_annotation(wrong, world.result(world.gold[task_id]))
        pull(world.project)
        consolidate(world.project)
        assert value(world, task_id) is not None
        ask_again(world.project)
        assert (places(world)[task_id].overlap, there(world, task_id).overlap) == (2, 2)
        assert places(world)[task_id].done
        served = set()
        desk = world.desk("cy")
        while (assignment := desk.next_task()) is not None:
            served.add(assignment.data["hitl_id"])
            desk.submit(assignment.task_id, world.result("spam"), 1.0)
        assert task_id not in served
        assert ASKED_NOTE not in world.project.store.projects.notes("spam")

    def test_an_open_seat_closes_when_the_flag_is_settled(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, rank={"flagged_share": 1.0})
        task_id = next(iter(places(world)))
        say(world, task_id, "ann")
        doubt = Flag(task_id, "spam", FlagReason.LABEL_ISSUE, 0.9, {"people": 1}, "this label")
        world.project.store.flags.raise_("spam", [doubt])
        assert ask_again(world.project)[0] == 1
        assert there(world, task_id).overlap == 2
        (flag,) = world.project.store.flags.open("spam")
        world.project.store.flags.resolve([flag.id], "label is right", world.project.now())
        ask_again(world.project)
        assert (there(world, task_id).overlap, places(world)[task_id].done) == (1, True)

    def test_a_seat_that_is_taken_stays_counted(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        task_id = next(iter(places(world)))
        split(world, task_id)
        ask_again(world.project)
        say(world, task_id, "cy")
        ask_again(world.project)
        assert there(world, task_id).overlap == 3
        assert ASKED_NOTE not in world.project.store.projects.notes("spam")

    def test_what_a_task_asks_for_by_itself_is_never_lowered(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, blind={"share": 1.0, "double_share": 1.0})
        task_id = next(iter(places(world)))
        say(world, task_id, "ann")
        assert value(world, task_id) is not None
        ask_again(world.project)
        assert (there(world, task_id).overlap, places(world)[task_id].done) == (2, False)

    def test_a_deleted_answer_leaves_the_overlap_as_it_was(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        task_id = next(iter(places(world)))
        split(world, task_id)
        ask_again(world.project)
        for annotation in there(world, task_id).annotations:
            world.platform.delete_annotation(annotation.id)
        pull(world.project)
        consolidate(world.project)
        ask_again(world.project)
        assert (there(world, task_id).overlap, places(world)[task_id].done) == (2, False)

    @pytest.mark.parametrize("after", [False, True])
    def test_a_call_that_fails_is_made_good(self, make_world: Callable[..., Any], after: bool) -> None:
        world = made(make_world)
        task_id = next(iter(places(world)))
        wrong = split(world, task_id)
        world.platform.fail_next("set_overlap", PlatformUnreachable("down"), after_effect=after)
        with pytest.raises(PlatformUnreachable):
            ask_again(world.project)
        world = world.again()
        ask_again(world.project)
        assert (places(world)[task_id].overlap, there(world, task_id).overlap) == (3, 3)
        world.clock.forward(1)
        world.platform.change_annotation(wrong, world.result(world.gold[task_id]))
        pull(world.project)
        consolidate(world.project)
        world.platform.fail_next("set_overlap", PlatformUnreachable("down"), after_effect=after)
        with pytest.raises(PlatformUnreachable):
            ask_again(world.project)
        world = world.again()
        ask_again(world.project)
        assert (places(world)[task_id].overlap, there(world, task_id).overlap) == (2, 2)


def test_certain_tasks_cost_one_vote_and_only_doubtful_ones_more(make_world: Callable[..., Any]) -> None:
    """Three careful people and an easy set: far fewer votes than three each, and every label right."""
    world = made(make_world, window={"size": 40, "low_water": 1}, consolidate={"people_threshold": 0.75})
    careless = set(list(places(world))[::8])
    for task_id in list(places(world)):
        say(world, task_id, "ann", right=task_id not in careless)
    for task_id in careless:  # a second look finds them doubtful
        doubt = Flag(task_id, "spam", FlagReason.LABEL_ISSUE, 0.9, {"people": 1}, "this label")
        world.project.store.flags.raise_("spam", [doubt])
    world.project.settings.__dict__["rank"] = world.project.settings.rank.model_copy(update={"flagged_share": 1.0})
    for name in ("bob", "cy"):
        ask_again(world.project)
        for place in places(world).values():
            if not place.done:
                say(world, place.task_id, name)
    votes = world.project.store.annotations.totals("spam").votes
    assert votes <= 0.75 * 3 * 40
    assert all(value(world, task_id) == [world.gold[task_id]] for task_id in careless)
