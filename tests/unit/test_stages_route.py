"""Routing a project's open tasks: who gets what, shown where, whatever happens in between."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import PlatformNotFound, PlatformRejected, PlatformUnreachable
from adapter.stages.consolidate import SKILL_NOTE, consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.route import RouteReport, route
from adapter.stages.route_evidence import class_skills
from adapter.stages.route_gold import GOLD
from adapter.testing import MemoryPlatform
from adapter.vocabulary import ASSIGNEE_FIELD, GoldLabel, Routed

PEOPLE = ("ann", "bob", "cy")


def made(make_world: Callable[..., Any], **routing: Any) -> Any:
    """A pushed project with routing on."""
    settings = {key: routing.pop(key) for key in ("window", "consolidate", "blind", "mode") if key in routing}
    fields = {"enabled": True, "annotators": PEOPLE, "ahead": 4, "gold_rate": 0.0, **routing}
    world = make_world(tasks=60, functions=False, routing=fields, **settings)
    ingest(world.project)
    push(world.project)
    return world


def held(world: Any) -> dict[str, list[str]]:
    """Person to the tasks that they hold and have not answered."""
    found: dict[str, list[str]] = {name: [] for name in PEOPLE}
    for row in world.project.store.routed.of("spam"):
        if not row.done:
            found.setdefault(row.annotator, []).append(row.task_id)
    return found


def shown(world: Any) -> dict[str, set[str]]:
    """Person to the open tasks that Label Studio shows them."""
    project = world.project
    done = {p.task_id for p in project.store.ledger.placements("spam") if p.done}
    found: dict[str, set[str]] = {}
    for task in world.platform.tasks(project.platform_id):
        for name in str(task.data.get(ASSIGNEE_FIELD, "")).strip(";").split(";"):
            if name and task.key not in done:
                found.setdefault(name, set()).add(task.key)
    return found


def desk(world: Any, name: str) -> Any:
    view = world.platform.ensure_queue(
        world.project.platform_id, f"For {name}", ASSIGNEE_FIELD, f";{name};", "hitl_priority"
    )
    return world.platform.desk(world.project.platform_id, name, view=view)


def work(world: Any, name: str, count: int = 99, *, label: str | None = None) -> list[str]:
    """Let a person label up to `count` tasks of their own view."""
    seat, keys = desk(world, name), []
    while len(keys) < count and (assignment := seat.next_task()) is not None:
        key = assignment.data["hitl_id"]
        seat.submit(assignment.task_id, world.result(label or world.gold[key]), 1.0)
        keys.append(key)
    pull(world.project)
    return keys


def give_gold(world: Any, task_ids: list[str]) -> None:
    now = world.project.now()
    world.project.store.gold.put(
        "spam", [GoldLabel(task_id, "spam", (world.gold[task_id],), "given", "lead", now) for task_id in task_ids]
    )


class TestQueues:
    def test_each_person_gets_a_queue_of_their_own_in_order_of_priority(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        report = route(world.project)
        queues = held(world)
        assert {name: len(tasks) for name, tasks in queues.items()} == dict.fromkeys(PEOPLE, 4)
        priority = {p.task_id: p.priority for p in world.project.store.ledger.placements("spam")}
        assert {p for tasks in queues.values() for p in map(priority.__getitem__, tasks)} <= set(range(1, 14))
        assert shown(world) == {name: set(tasks) for name, tasks in queues.items()}
        assert work(world, "ann") == sorted(queues["ann"], key=priority.__getitem__)
        assert {row["name"]: row["queue"] for row in report.people} == dict.fromkeys(PEOPLE, 4)
        assert all(row["page"].startswith(f"/projects/{world.project.platform_id}/data?tab=") for row in report.people)

    def test_twice_is_once(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        route(world.project)
        before = (held(world), shown(world))
        for method in ("update_tasks", "ensure_queue", "set_overlap", "update_task_data"):
            world.platform.fail_next(method, AssertionError("nothing is to be done"))
        again = route(world.project)
        assert (again.given, again.taken_back, again.moved) == ((), 0, 0)
        assert (held(world), shown(world)) == before

    def test_what_is_answered_is_done_and_the_queue_is_filled_again(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        route(world.project)
        done = work(world, "ann", 3)
        report = route(world.project)
        rows = {(r.task_id, r.annotator): r.done for r in world.project.store.routed.of("spam")}
        assert all(rows[task_id, "ann"] for task_id in done)
        assert len(held(world)["ann"]) == 4
        assert not set(held(world)["ann"]) & set(done)
        assert Counter(name for row in report.given for name in row["annotators"]) == {"ann": 3}

    def test_a_dry_run_decides_the_same_and_changes_nothing(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        dry = route(world.project, dry_run=True)
        assert world.project.store.routed.of("spam") == []
        assert shown(world) == {}
        assert route(world.project).given == dry.given != ()

    def test_overlap_goes_to_different_people(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, ahead=20, blind={"share": 1.0, "double_share": 1.0})
        route(world.project)
        holders: dict[str, set[str]] = {}
        for name, tasks in held(world).items():
            for task_id in tasks:
                holders.setdefault(task_id, set()).add(name)
        assert {len(names) for names in holders.values()} == {2}
        first = work(world, "ann")
        route(world.project)
        assert not set(held(world)["ann"]) & set(first)

    def test_a_cap_ends_the_day_and_the_next_day_begins_anew(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, daily_cap=3, caps={"bob": 1, "cy": 0}, idle_h=None)
        route(world.project)
        assert {name: len(tasks) for name, tasks in held(world).items()} == {"ann": 3, "bob": 1, "cy": 0}
        work(world, "ann")
        route(world.project)
        assert held(world)["ann"] == []
        world.clock.forward(86_400)
        report = route(world.project)
        assert len(held(world)["ann"]) == 3
        (ann,) = [row for row in report.people if row["name"] == "ann"]
        assert (ann["today"], ann["cap"]) == (3, 3)

    def test_an_empty_queue_takes_over_what_stands_behind_the_head_of_the_longest(
        self, make_world: Callable[..., Any]
    ) -> None:
        world = made(make_world, ahead=10, window={"size": 12, "low_water": 1}, annotators=("ann",))
        route(world.project)
        before = held(world)["ann"]
        assert len(before) == 10
        world.project.settings.__dict__["routing"] = world.project.settings.routing.model_copy(
            update={"annotators": ("ann", "bob"), "ahead": 10}
        )
        work(world, "ann", 1)
        first = route(world.project)
        assert len(held(world)["bob"]) == 2, "the two that nobody held yet"
        assert first.moved == 0
        assert len(work(world, "bob")) == 2
        second = route(world.project)
        assert second.moved == len(held(world)["bob"]) > 0
        assert all("taken over from ann" in row["why"] for row in second.given)
        priority = {p.task_id: p.priority for p in world.project.store.ledger.placements("spam")}
        assert max(map(priority.__getitem__, held(world)["ann"])) < min(map(priority.__getitem__, held(world)["bob"]))
        assert shown(world) == {name: set(tasks) for name, tasks in held(world).items() if tasks}

    def test_who_is_removed_from_the_settings_frees_their_tasks(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        route(world.project)
        freed = set(held(world)["cy"])
        world.project.settings.__dict__["routing"] = world.project.settings.routing.model_copy(
            update={"annotators": ("ann", "bob"), "ahead": 20}
        )
        report = route(world.project)
        assert report.taken_back == 4
        assert held(world)["cy"] == []
        assert freed <= {*held(world)["ann"], *held(world)["bob"]}
        assert "cy" not in shown(world)

    def test_who_gives_no_sign_of_life_frees_their_tasks_until_they_are_back(
        self, make_world: Callable[..., Any]
    ) -> None:
        world = made(make_world, idle_h=24)
        route(world.project)
        world.clock.forward(23 * 3600)
        for name in ("ann", "bob"):
            work(world, name, 1)
        assert route(world.project).away == ()
        world.clock.forward(2 * 3600)
        report = route(world.project)
        assert report.away == ("cy",)
        assert held(world)["cy"] == []
        assert route(world.project).away == ("cy",)
        assert not shown(world)["cy"] & {*held(world)["ann"], *held(world)["bob"]}, "nobody holds what they may try"
        assert len(work(world, "cy", 1)) == 1
        assert route(world.project).away == ()
        assert len(held(world)["cy"]) == 4

    def test_without_named_people_everybody_takes_part_who_has_labelled(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, annotators=())
        assert route(world.project).people == ()
        world.label("zoe", 1)
        pull(world.project)
        assert [row["name"] for row in route(world.project).people] == ["zoe"]
        assert len(held(world)["zoe"]) == 4


class TestRules:
    def test_hard_tasks_go_to_skilled_people(self, make_world: Callable[..., Any]) -> None:
        rule = {"when": "hard", "at_least": 0.3, "to": "skilled", "accuracy": 0.9}
        world = made(
            make_world, rules=(rule,), ahead=3, window={"size": 12, "low_water": 1}, consolidate={"max_people": 3}
        )
        note = {
            "spam": {
                name: {"accuracy": a, "lower": a, "upper": a, "n": 40}
                for name, a in (("ann", 0.97), ("bob", 0.7), ("cy", 0.7))
            }
        }
        first = world.label("x", 1) + world.label("y", 0)
        pull(world.project)
        world.platform.set_overlap(world.project.store.ledger.placements("spam")[0].platform_id, 2)
        other = world.platform.desk(world.project.platform_id, "y")
        place = next(p for p in world.project.store.ledger.placements("spam") if p.task_id == first[0])
        other.submit(place.platform_id, world.result("ham" if world.gold[first[0]] == "spam" else "spam"), 1.0)
        pull(world.project)
        consolidate(world.project)
        push(world.project)  # people disagree: one more is asked
        world.project.store.projects.note("spam", SKILL_NOTE, note)
        report = route(world.project)
        (row,) = [row for row in report.given if row["task"] == first[0]]
        assert row["annotators"] == ["ann"]
        assert row["why"] == "hard tasks (from 0.3) to skilled people"

    def test_classes_are_judged_by_gold_and_by_the_others(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, annotators=(), blind={"share": 0.0})
        project = world.project
        ids = [p for p in project.store.ledger.placements("spam")][:6]
        for place in ids:
            for name in ("a", "b", "c"):
                wrong = name == "c" and world.gold[place.task_id] == "spam"
                label = "ham" if wrong else world.gold[place.task_id]
                world.platform.annotate(place.platform_id, name, world.result(label))
        pull(project)
        consolidate(project)
        spam = sum(world.gold[p.task_id] == "spam" for p in ids)
        found = class_skills(project)
        assert found["c"]["spam"].n == spam > 0
        assert found["c"]["ham"].accuracy > found["c"]["spam"].accuracy
        assert "spam" not in found["a"], "without c nobody else agrees with b on these"
        give_gold(world, [p.task_id for p in ids])
        assert class_skills(project)["a"]["spam"].n == spam


class TestRouter:
    def router(self, world: Any, body: str) -> None:
        (world.folder / "config" / "routers.py").write_text(
            "from adapter.routing import router\n\n\n@router\ndef route(task, people):\n" + body, encoding="utf-8"
        )

    def test_a_plain_function_decides(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, router="routers.py:route", ahead=20)
        self.router(world, '    return ["cy"] if "song" in task.data["text"] else None\n')
        route(world.project)
        texts = {t.id: t.data["text"] for t in world.project.store.tasks.between("spam", 0, 60)}
        owners = {task_id: name for name, tasks in held(world).items() for task_id in tasks}
        songs = {task_id for task_id in owners if "song" in texts[task_id]}
        assert songs
        assert {owners[task_id] for task_id in songs} == {"cy"}
        assert {owners[task_id] for task_id in owners.keys() - songs} >= {"ann", "bob"}

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ('    raise KeyError("x")\n', "KeyError"),
            ('    return ["zoe"]\n', "nobody is called 'zoe'"),
            ("    import time\n    time.sleep(3)\n", "did not answer"),
            ("    return (\n", "does not import"),
        ],
    )
    def test_what_goes_wrong_leaves_a_fault_and_the_rules_decide(
        self, make_world: Callable[..., Any], body: str, why: str
    ) -> None:
        world = made(make_world, router="routers.py:route", router_s=0.05)
        self.router(world, body)
        report = route(world.project)
        assert report.faults >= 1
        assert {len(tasks) for tasks in held(world).values()} == {4}
        faults = world.project.store.faults.recent("spam")
        assert all((fault.where, fault.source) == ("route", "router routers.py:route") for fault in faults)
        assert any(why in fault.message for fault in faults)

    def test_the_same_fault_is_kept_once(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, router="routers.py:absent")
        self.router(world, "    return None\n")
        for _ in range(3):
            work(world, "ann", 1)
            assert route(world.project).faults == 1
        assert len(world.project.store.faults.recent("spam")) == 1


class TestGold:
    def world(self, make_world: Callable[..., Any], **fields: Any) -> Any:
        world = made(make_world, gold_rate=0.25, ahead=4, annotators=("ann", "bob"), **fields)
        keys = world.label("old", 8)
        pull(world.project)
        give_gold(world, keys)
        return world

    def rounds(self, world: Any, count: int = 12) -> dict[str, list[str]]:
        done: dict[str, list[str]] = {"ann": [], "bob": []}
        for _ in range(count):
            push(world.project)
            route(world.project)
            for name in done:
                done[name] += work(world, name, 2)
        return done

    def test_gold_tasks_are_mixed_in_at_the_rate_once_a_person_and_nobody_sees_more_than_once(
        self, make_world: Callable[..., Any]
    ) -> None:
        world = self.world(make_world, window={"size": 20, "low_water": 20})
        done = self.rounds(world)
        gold = {row.task_id for row in world.project.store.gold.all("spam")}
        for name, keys in done.items():
            share = sum(key in gold for key in keys)
            assert len(keys) == len(set(keys)) == 24
            assert 3 <= share <= 8, (name, share)

    def test_a_gold_task_asks_one_more_person_and_closes_behind_them(self, make_world: Callable[..., Any]) -> None:
        world = self.world(make_world)
        self.rounds(world, 4)
        route(world.project)
        rows = [r for r in world.project.store.routed.of("spam") if r.why == GOLD]
        assert rows
        places = {p.task_id: p for p in world.project.store.ledger.placements("spam")}
        there = {task.key: task for task in world.platform.tasks(world.project.platform_id)}
        for task_id in {row.task_id for row in rows}:
            waiting = sum(row.task_id == task_id and not row.done for row in rows)
            votes = sum(not a.cancelled for a in there[task_id].annotations)
            assert there[task_id].overlap == places[task_id].overlap == votes + waiting

    def test_who_leaves_takes_the_gold_seat_along(self, make_world: Callable[..., Any]) -> None:
        world = self.world(make_world)
        for _ in range(8):
            route(world.project)
            if any(r.why == GOLD and not r.done for r in world.project.store.routed.of("spam")):
                break
            work(world, "ann", 1)
            push(world.project)
        (row,) = [r for r in world.project.store.routed.of("spam") if r.why == GOLD and not r.done][:1]
        keep = "bob" if row.annotator == "ann" else "ann"
        world.project.settings.__dict__["routing"] = world.project.settings.routing.model_copy(
            update={"annotators": (keep,), "gold_rate": 0.0}
        )
        route(world.project)
        place = next(p for p in world.project.store.ledger.placements("spam") if p.task_id == row.task_id)
        assert (place.overlap, place.done) == (1, True)

    def test_gold_tasks_that_are_not_placed_are_placed_without_a_prelabel(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, gold_rate=0.5, annotators=("ann",), window={"size": 6, "low_water": 1})
        placed = {p.task_id for p in world.project.store.ledger.placements("spam")}
        unplaced = [task_id for task_id in world.gold if task_id not in placed]
        give_gold(world, unplaced[:5])
        for _ in range(4):
            route(world.project)
            push(world.project)
            work(world, "ann", 2)
        route(world.project)
        mine = [r for r in world.project.store.routed.of("spam") if r.why == GOLD]
        assert mine
        places = {p.task_id: p for p in world.project.store.ledger.placements("spam")}
        assert all(places[r.task_id].blind for r in mine)
        assert {places[r.task_id].reason for r in mine} <= {p.reason for p in places.values()}

    def test_the_budget_bears_no_gold_beyond_it(self, make_world: Callable[..., Any]) -> None:
        world = self.world(make_world, window={"size": 20, "low_water": 20, "budget": 20})
        self.rounds(world, 8)
        assert world.project.store.annotations.totals("spam").votes <= 20


class TestTrouble:
    EFFECTS = ("update_tasks", "ensure_queue", "set_overlap", "users", "predictions")

    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("method", ["update_tasks", "ensure_queue"])
    def test_a_platform_that_fails_in_between_is_made_good_by_the_next_run(
        self, make_world: Callable[..., Any], method: str, after: bool
    ) -> None:
        world = made(make_world)
        world.platform.fail_next(method, PlatformUnreachable("down"), after_effect=after)
        with pytest.raises(PlatformUnreachable):
            route(world.project)
        world = world.again()
        route(world.project)
        assert shown(world) == {name: set(tasks) for name, tasks in held(world).items()}
        assert {len(tasks) for tasks in held(world).values()} == {4}

    def test_a_kill_at_any_write_leaves_what_one_run_gives(
        self, make_world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Kill at the n-th store write or platform call, for every n, then run again: the same state each time."""
        worlds = itertools.count()

        def scene(kill_at: int | None) -> tuple[Any, bool]:
            world = make_world(
                tasks=40,
                functions=False,
                blind={"share": 0.0},
                routing={"enabled": True, "annotators": ("ann", "bob"), "ahead": 4, "gold_rate": 0.4},
            )
            number = next(worlds)
            app = type(world.app)(
                world.app.settings.model_copy(update={"home": world.folder / f"home{number}"}),
                platform=MemoryPlatform(now=world.clock),
                now=world.clock,
            )
            world.app, world.platform = app, app.platform
            ingest(world.project)
            push(world.project)
            keys = world.label("old", 6)
            pull(world.project)
            give_gold(world, keys)
            for _ in range(3):
                route(world.project)
                work(world, "ann", 2)
                work(world, "bob", 1)
            project, store = world.project, world.project.store
            calls = itertools.count()
            died = False

            def dying(call: Any) -> Any:
                def wrapped(*args: Any, **kwargs: Any) -> Any:
                    if next(calls) == kill_at:
                        raise KeyboardInterrupt
                    return call(*args, **kwargs)

                return wrapped

            with monkeypatch.context() as patch:
                for owner, names in (
                    (store.routed, ("give", "withdraw", "finish")),
                    (store.projects, ("note",)),
                    (store.ledger, ("set_overlap", "set_done", "intend")),
                    (world.platform, ("update_tasks", "set_overlap", "ensure_queue", "delete_predictions")),
                ):
                    for name in names:
                        patch.setattr(owner, name, dying(getattr(owner, name)))
                try:
                    route(project)
                except KeyboardInterrupt:
                    died = True
            route(project)
            return (
                sorted((r.task_id, r.annotator, r.why, r.done) for r in store.routed.of("spam")),
                shown(world),
                sorted((t.key, t.overlap) for t in world.platform.tasks(project.platform_id)),
                {k: v for k, v in store.projects.notes("spam").items() if k.startswith("routing")},
            ), died

        expected, _ = scene(None)
        for kill_at in range(40):
            state, died = scene(kill_at)
            assert state == expected, kill_at
            if not died:
                break
        assert kill_at > 5

    def test_tasks_that_are_deleted_there_are_taken_back(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        route(world.project)
        lost = held(world)["ann"][0]
        place = next(p for p in world.project.store.ledger.placements("spam") if p.task_id == lost)
        world.platform.delete_tasks(world.project.platform_id, [place.platform_id])
        pull(world.project)
        route(world.project)
        assert all(lost not in tasks for tasks in held(world).values())
        assert len(held(world)["ann"]) == 4

    def test_a_project_that_is_not_there_is_said(self, make_world: Callable[..., Any]) -> None:
        world = make_world(routing={"enabled": True})
        ingest(world.project)
        with pytest.raises(PlatformNotFound, match="hitl push"):
            route(world.project)


class TestOff:
    def test_off_nothing_happens_and_it_says_so(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, enabled=False)
        report = route(world.project)
        assert isinstance(report, RouteReport)
        assert "routing.enabled" in report.note
        assert shown(world) == {}

    def test_switched_off_later_everything_is_given_back(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        route(world.project)
        world.project.settings.__dict__["routing"] = world.project.settings.routing.model_copy(
            update={"enabled": False}
        )
        assert route(world.project).taken_back == 12
        assert (held(world), shown(world)) == ({name: [] for name in PEOPLE}, {})
        assert route(world.project).taken_back == 0


class TestEnterprise:
    def test_assignments_follow_and_are_taken_back(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, way="enterprise")
        world.platform.enterprise = True
        for name in PEOPLE:
            world.platform.desk(world.project.platform_id, name)
        route(world.project)
        places = {p.task_id: p.platform_id for p in world.project.store.ledger.placements("spam")}

        def assigned(name: str) -> set[str]:
            there = {task.key: task.id for task in world.platform.tasks(world.project.platform_id)}
            return {key for key, number in there.items() if name in world.platform.assignees(number)}

        assert {name: assigned(name) for name in PEOPLE} == {name: set(tasks) for name, tasks in held(world).items()}
        mine = world.platform.desk(world.project.platform_id, "cy")
        assert mine.next_task().task_id in {places[task_id] for task_id in held(world)["cy"]}
        world.project.settings.__dict__["routing"] = world.project.settings.routing.model_copy(
            update={"annotators": ("ann", "bob")}
        )
        route(world.project)
        assert assigned("cy") == set()

    def test_community_refuses_with_advice(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, way="enterprise")
        for name in PEOPLE:
            world.platform.desk(world.project.platform_id, name)
        with pytest.raises(PlatformRejected, match="no assignment"):
            route(world.project)


def test_given_rows_are_kept_for_the_record(make_world: Callable[..., Any], tmp_path: Path) -> None:
    world = made(make_world)
    route(world.project)
    rows = world.project.store.routed.of("spam", "ann")
    assert len(rows) == 4
    assert all(isinstance(row, Routed) and row.why == "no rule fits: anyone" for row in rows)
