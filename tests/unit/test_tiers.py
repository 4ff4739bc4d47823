"""One Label Studio project for each tier: tasks land by rule, nothing is lost or doubled, whatever happens between."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests_support import SPAM_CONFIG
from web_support import HEADER, make_app, open_web

from adapter.errors import PlatformNotFound, PlatformUnreachable, SettingsError
from adapter.label_studio.tiers import TieredPlatform, TierGone, read_marks
from adapter.loop import LoopRunner
from adapter.policies import RoutingPolicy
from adapter.ports import NewPrediction, NewTask
from adapter.schedule import Scheduler
from adapter.settings import ScheduleSettings
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.route import route
from adapter.stages.setup import setup
from adapter.stages.vote import vote
from adapter.testing import MemoryPlatform
from adapter.vocabulary import ASSIGNEE_FIELD, GoldLabel

TIERS = {"senior": ("ann",), "music": ("bob",)}
PEOPLE = ("ann", "bob", "cy")
BY_KIND = (
    {"when": "subgroup", "field": "kind", "labels": ("long",), "to": "tier:senior"},
    {"when": "subgroup", "field": "kind", "labels": ("song",), "to": "tier:music"},
)
KINDS = ("long", "song", "plain")
SWAPPED = (
    {"when": "subgroup", "field": "kind", "labels": ("plain",), "to": "tier:senior"},
    {"when": "subgroup", "field": "kind", "labels": ("song",), "to": "tier:music"},
)


def made(make_world: Callable[..., Any], *, tasks: int = 60, functions: bool = False, **routing: Any) -> Any:
    """A project of which every third task belongs to each of senior, music and nobody; ingested, not pushed."""
    settings = {key: routing.pop(key) for key in ("window", "blind", "mode", "title") if key in routing}
    fields = {"enabled": True, "way": "projects", "tiers": TIERS, "rules": BY_KIND, "annotators": PEOPLE, "ahead": 4}
    world = make_world(
        tasks=tasks,
        functions=functions,
        routing={**fields, "gold_rate": 0.0, **routing},
        **{"window": {"size": 30, "low_water": 15}, **settings},
    )
    data = world.folder / "comments.jsonl"
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    data.write_text("".join(json.dumps({**r, "kind": KINDS[n % 3]}) + "\n" for n, r in enumerate(rows)), "utf-8")
    data_settings = world.project.settings.data.model_copy(update={"subgroups": ("kind",)})
    world.project.settings.__dict__["data"] = data_settings
    ingest(world.project)
    return world


def change(world: Any, **fields: Any) -> None:
    old = world.project.settings.routing.model_dump()
    world.project.settings.__dict__["routing"] = RoutingPolicy.model_validate({**old, **fields})


def expected_tier(key: str) -> str:
    return {"long": "senior", "song": "music", "plain": ""}[KINDS[int(key[1:]) % 3]]


def projects(world: Any) -> dict[str, int]:
    """Tier to Label Studio's project; the main one has no name."""
    return {"": world.project.platform_id, **world.project.tiers.look()}


def there(world: Any) -> dict[str, list[str]]:
    """Tier to the keys of the tasks that its project holds, asked of the platform itself."""
    return {tier: sorted(t.key for t in world.platform.tasks(number)) for tier, number in projects(world).items()}


def desk(world: Any, name: str, tier: str) -> Any:
    """The stream of a tier's project."""
    return world.platform.desk(projects(world)[tier], name)


def work(world: Any, name: str, tier: str, count: int) -> list[str]:
    seat = desk(world, name, tier)
    keys: list[str] = []
    while len(keys) < count and (assignment := seat.next_task()) is not None:
        key = assignment.data["hitl_id"]
        world.clock.forward(1)
        seat.submit(assignment.task_id, world.result(world.gold[key]), 1.0)
        keys.append(key)
    return keys


def votes(world: Any) -> Counter[tuple[str, str]]:
    voting = world.project.store.annotations.voting("spam")
    return Counter((task_id, one.annotator) for task_id, said in voting.items() for one in said)


class TestLanding:
    def test_each_task_lands_in_the_project_of_its_tier(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        assert push(world.project).pushed == 30
        found = there(world)
        assert set(found) == {"", "senior", "music"}
        assert all(found.values())
        assert sum(map(len, found.values())) == 30
        assert all(expected_tier(key) == tier for tier, keys in found.items() for key in keys)

    def test_tier_projects_are_like_the_main_one_and_made_once(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        push(world.project)
        ids = projects(world)
        main = world.platform.project(ids[""])
        for tier in TIERS:
            mine = world.platform.project(ids[tier])
            assert mine.title == f"spam · {tier}"
            assert (mine.label_config, mine.sampling, mine.maximum_annotations) == (
                main.label_config,
                main.sampling,
                main.maximum_annotations,
            )
            assert "$hitl_reason" in mine.label_config
        for method in ("create_project", "configure", "import_tasks"):
            world.platform.fail_next(method, AssertionError("it stands already"))
        push(world.project)
        assert projects(world.again()) == ids

    def test_settings_changed_in_the_main_project_reach_the_tiers(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        push(world.project)
        world.platform.configure(world.project.platform_id, maximum_annotations=2)
        push(world.project)
        assert {world.platform.project(number).maximum_annotations for number in projects(world).values()} == {2}

    def test_webhook_and_backend_stand_in_every_project(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        setup(world.project)
        push(world.project)
        for number in projects(world).values():
            assert [hook.url for hook in world.platform.webhooks(number)] == [world.project.public_url + "/webhook"]
            assert [one.title for one in world.platform.backends(number)] == ["hitl spam"]
        assert len(world.project.platform.backends(world.project.platform_id)) == 1
        world.platform._projects[projects(world)["music"]].backends.clear()
        assert world.project.platform.backends(world.project.platform_id) == [], "it does not stand everywhere"
        setup(world.project)
        assert len(world.project.platform.backends(world.project.platform_id)) == 1

    def test_long_titles_are_shortened_and_stay_apart(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, title="a very long title of a project that goes on and on")
        title = world.project.title_beside("senior")
        assert len(title) == 50
        assert title.endswith(" · senior")
        world.project.settings.__dict__["title"] += "!"
        assert world.project.title_beside("senior") != title

    def test_a_lost_store_finds_the_tier_projects_with_their_work(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        push(world.project)
        done = work(world, "ann", "senior", 3) + work(world, "cy", "", 2)
        before = there(world)
        app = type(world.app)(
            world.app.settings.model_copy(update={"home": world.folder / "new home"}),
            platform=world.platform,
            now=world.clock,
        )
        world.app = app
        ingest(world.project)
        push(world.project)
        pull(world.project)
        assert {task_id for task_id, _ in votes(world)} == set(done)
        assert all(set(before[tier]) <= set(keys) for tier, keys in there(world).items())
        assert max(Counter(key for keys in there(world).values() for key in keys).values()) == 1
        app.close()

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"tiers": {}, "rules": ()}, "needs `tiers`"),
            ({"tiers": {"review": ("ann",)}, "rules": ()}, "review project"),
            ({"tiers": {"x" * 31: ("ann",)}, "rules": ()}, "1 to 30"),
            ({"tiers": {"senior": ()}, "rules": ()}, "nobody is in tier 'senior'"),
        ],
    )
    def test_tiers_that_cannot_have_a_project_are_refused(self, fields: dict[str, Any], words: str) -> None:
        with pytest.raises(ValidationError, match=words):
            RoutingPolicy.model_validate({"way": "projects", **fields})

    def test_in_place_it_refuses_with_advice(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, mode="in-place")
        with pytest.raises(SettingsError, match=r"routing\.way: views"):
            push(world.project)


class TestWork:
    def test_two_tiers_end_to_end_nothing_is_lost_or_doubled(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, blind={"share": 0.3, "batch_share": 0.3}, functions=True)
        said: Counter[tuple[str, str]] = Counter()
        served: Counter[str] = Counter()
        for _ in range(12):
            vote(world.project)
            consolidate(world.project)
            push(world.project)
            route(world.project)
            for name, tier in (
                ("ann", "senior"),
                ("bob", "music"),
                ("cy", ""),
                *(("eve", tier) for tier in (*TIERS, "")),
            ):
                keys = work(world, name, tier, 5)
                assert all(expected_tier(key) == tier for key in keys)
                said.update((key, name) for key in keys)
                served.update(keys)
            first = pull(world.project)
            assert first.strays == 0
            again = pull(world.project)
            assert (again.created, again.changed, again.deleted, again.gone) == (0, 0, 0, 0)
        assert votes(world) == said
        assert set(served) == set(world.gold), "every task of the pool was labelled"
        place = {p.task_id: p for p in world.project.store.ledger.placements("spam")}
        assert {key: n for key, n in served.items() if n != place[key].overlap} == {}
        predicted = {row.task_id for row in world.project.platform.predictions(world.project.platform_id)}
        blind = {p.platform_id for p in place.values() if p.blind}
        assert predicted
        assert blind
        assert not blind & predicted, "blind tasks never get a pre-label, in whichever project"

    def test_changed_and_deleted_annotations_of_a_tier_are_seen(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        push(world.project)
        first, second = work(world, "ann", "senior", 2)
        work(world, "cy", "", 1)
        pull(world.project)
        tasks = {t.key: t for t in world.platform.tasks(projects(world)["senior"])}
        world.platform.change_annotation(tasks[first].annotations[0].id, world.result("ham"))
        world.platform.delete_annotation(tasks[second].annotations[0].id)
        report = pull(world.project)
        assert (report.changed, report.deleted, report.created) == (1, 1, 0)

    def test_a_task_deleted_in_a_tier_is_noticed_and_the_others_stay(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        push(world.project)
        lost = there(world)["senior"][0]
        (place,) = [p for p in world.project.store.ledger.placements("spam") if p.task_id == lost]
        world.platform.delete_tasks(projects(world)["senior"], [place.platform_id])
        assert pull(world.project).gone == 1
        assert pull(world.project).gone == 0

    def test_the_model_version_is_switched_in_each_project_that_has_predictions(
        self, make_world: Callable[..., Any]
    ) -> None:
        world = made(make_world, functions=True, blind={"share": 0.0})
        vote(world.project)
        consolidate(world.project)
        version = push(world.project).version
        assert version
        for number in projects(world).values():
            shown = world.platform.project(number).model_version
            assert shown == (version if world.platform.prediction_versions(number) else "")
        assert world.project.platform.project(world.project.platform_id).model_version == version
        assignment = desk(world, "ann", "senior").next_task()
        assert assignment.prelabel_version == version
        entries = [e for e in world.project.store.audit.all("spam") if e.what == "model version shown"]
        push(world.project)
        assert [e for e in world.project.store.audit.all("spam") if e.what == "model version shown"] == entries

    def test_a_mark_from_before_there_were_tiers_goes_on(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, way="views")
        push(world.project)
        world.label("cy", 3)
        pull(world.project)
        change(world, way="projects")
        push(world.project)
        report = pull(world.project)
        assert (report.created, report.deleted, report.strays) == (0, 0, 0)
        assert sum(votes(world).values()) == 3
        assert read_marks(world.project.store.projects.get("spam").mark, 1).keys() == set(projects(world).values())


class TestRouting:
    def held(self, world: Any) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {name: set() for name in PEOPLE}
        for row in world.project.store.routed.of("spam"):
            if not row.done:
                found[row.annotator].add(row.task_id)
        return found

    def test_tier_tasks_go_to_the_tiers_people_alone_and_each_has_a_page(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        push(world.project)
        report = route(world.project)
        held, ids = self.held(world), projects(world)
        assert {expected_tier(key) for key in held["cy"]} == {""}
        assert "senior" in {expected_tier(key) for key in held["ann"]}
        assert "music" not in {expected_tier(key) for key in held["ann"]}
        pages = {row["name"]: row["page"] for row in report.people}
        for name, tier in (("ann", "senior"), ("bob", "music"), ("cy", "")):
            assert pages[name].startswith(f"/projects/{ids[tier]}/data?tab=")
            view = int(pages[name].rpartition("tab=")[2])
            assignment = world.platform.desk(ids[tier], name, view=view).next_task()
            assert assignment.data["hitl_id"] in held[name]
            assert f";{name};" in assignment.data[ASSIGNEE_FIELD]

    def test_twice_is_once(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        push(world.project)
        pages = [row["page"] for row in route(world.project).people]
        for method in ("update_tasks", "ensure_queue", "set_overlap", "update_task_data"):
            world.platform.fail_next(method, AssertionError("nothing is to be done"))
        again = route(world.project)
        assert (again.given, again.taken_back, [row["page"] for row in again.people]) == ((), 0, pages)

    def test_when_all_of_a_tier_are_at_their_cap_its_tasks_wait_for_them(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, caps={"ann": 1, "bob": 0})
        push(world.project)
        route(world.project)
        held = self.held(world)
        assert len(held["ann"]) == 1
        assert {expected_tier(key) for key in held["cy"]} == {""}

    def test_who_leaves_a_tier_gives_its_tasks_back(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, ahead=30)
        push(world.project)
        route(world.project)
        change(world, tiers={"senior": ("cy",), "music": ("bob",)})
        route(world.project)
        held = self.held(world)
        assert "senior" not in {expected_tier(key) for key in held["ann"]}
        assert "senior" in {expected_tier(key) for key in held["cy"]}

    def test_people_are_measured_on_gold_tasks_of_their_own_projects(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, gold_rate=0.5)
        push(world.project)
        keys = work(world, "old", "senior", 4) + work(world, "old", "", 4)
        pull(world.project)
        now = world.project.now()
        world.project.store.gold.put(
            "spam", [GoldLabel(key, "spam", (world.gold[key],), "given", "lead", now) for key in keys]
        )
        given: dict[str, set[str]] = {name: set() for name in PEOPLE}
        for _ in range(5):
            push(world.project)
            for row in route(world.project).given:
                if row["why"].startswith("a gold task"):
                    for name in row["annotators"]:
                        given[name].add(row["task"])
            for name, tier in (("ann", "senior"), ("bob", "music"), ("cy", "")):
                work(world, name, tier, 2)
            pull(world.project)
        assert given["cy"]
        assert {expected_tier(key) for key in given["cy"] | given["bob"]} <= {"", "music"}


class TestMoving:
    def test_unanswered_tasks_follow_their_rule_and_heads_and_answers_stay(
        self, make_world: Callable[..., Any]
    ) -> None:
        world = made(make_world, keep=1)
        push(world.project)
        answered = work(world, "ann", "senior", 1)
        pull(world.project)
        before = there(world)
        change(world, rules=SWAPPED)
        report = push(world.project)
        assert report.moved > 0
        after = there(world)
        assert sorted(itertools.chain(*after.values())) == sorted(itertools.chain(*before.values()))
        assert answered[0] in after["senior"]
        right = {"long": "", "song": "music", "plain": "senior"}
        wrong = {k for tier, keys in after.items() for k in keys if right[KINDS[int(k[1:]) % 3]] != tier}
        assert len(wrong - set(answered)) <= 3 + 1 + 1, "the first of each stream, for everybody who works there"
        assert all(key in after[tier] for tier, keys in before.items() for key in wrong & set(keys)), "they stayed"
        assert push(world.project).moved == 0
        assert [e for e in world.project.store.audit.all("spam") if e.what == "tasks moved to their tier"]

    def test_a_moved_task_keeps_reason_overlap_and_gets_its_prelabel_anew(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, keep=1, functions=True, blind={"share": 0.4, "batch_share": 0.4, "double_share": 1.0})
        vote(world.project)
        consolidate(world.project)
        push(world.project)
        before = {p.task_id: p for p in world.project.store.ledger.placements("spam")}
        change(world, rules=SWAPPED)
        push(world.project)
        after = {p.task_id: p for p in world.project.store.ledger.placements("spam")}
        moved = [key for key in after if after[key].platform_id != before[key].platform_id]
        tasks = {t.id: t for t in world.project.platform.tasks(world.project.platform_id)}
        predicted = {row.task_id for row in world.project.platform.predictions(world.project.platform_id)}
        assert any(after[key].blind for key in moved)
        for key in moved:
            old, new = before[key], after[key]
            assert (old.reason, old.overlap, old.priority, old.blind) == (
                new.reason,
                new.overlap,
                new.priority,
                new.blind,
            )
            assert tasks[new.platform_id].overlap == old.overlap
            assert (new.platform_id in predicted) is not new.blind

    def test_an_answer_that_comes_in_between_keeps_its_task(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world, keep=1)
        push(world.project)
        pull(world.project)
        answered = work(world, "ann", "senior", 5)  # not pulled yet
        change(world, rules=SWAPPED)
        push(world.project)
        assert set(answered) <= set(there(world)["senior"])
        pull(world.project)
        assert votes(world) == Counter({(key, "ann"): 1 for key in answered})

    def test_switched_off_unanswered_tasks_come_home_and_answers_still_count(
        self, make_world: Callable[..., Any]
    ) -> None:
        world = made(make_world, keep=1)
        push(world.project)
        work(world, "ann", "senior", 2)
        change(world, way="views")
        push(world.project)
        found = there(world)
        assert len(found["senior"]) == 2 + 1, "the two that are answered, and the one on the page now"
        work(world, "ann", "senior", 1)
        work(world, "cy", "", 2)
        pull(world.project)
        assert sum(votes(world).values()) == 5
        route(world.project)

    def test_a_kill_at_any_call_leaves_every_task_once_and_loses_no_answer(
        self, make_world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Kill push or route right behind the n-th platform call or store write, for every n, in the run that makes the
        tiers and in the one that moves tasks between them; then run again."""
        numbers = itertools.count()
        effects = (
            "create_project",
            "configure",
            "import_tasks",
            "delete_tasks",
            "find_tasks",
            "changes",
            "task_ids",
            "import_predictions",
            "update_tasks",
            "ensure_queue",
        )

        def scene(kill_at: int | None) -> tuple[Any, bool]:
            world = made(make_world, tasks=18, window={"size": 12, "low_water": 9}, keep=1)
            app = type(world.app)(
                world.app.settings.model_copy(update={"home": world.folder / f"home{next(numbers)}"}),
                platform=MemoryPlatform(now=world.clock),
                now=world.clock,
            )
            world.app, world.platform = app, app.platform
            world.project.settings.__dict__["data"] = world.project.settings.data.model_copy(
                update={"subgroups": ("kind",)}
            )
            change(world, rules=BY_KIND)
            ingest(world.project)
            calls, died, dead = itertools.count(), False, False

            def dying(call: Any) -> Any:
                def wrapped(*args: Any, **kwargs: Any) -> Any:
                    nonlocal dead
                    if dead:
                        raise KeyboardInterrupt
                    number = next(calls)
                    answer = call(*args, **kwargs)
                    if number == kill_at:
                        dead = True
                        raise KeyboardInterrupt
                    return answer

                return wrapped

            said: list[tuple[str, str]] = []

            def act() -> None:
                nonlocal died, dead
                store = world.project.store
                with monkeypatch.context() as patch:
                    for owner, names in (
                        (world.platform, effects),
                        (store.ledger, ("intend", "landed", "mark_gone")),
                        (store.projects, ("note",)),
                    ):
                        for name in names:
                            patch.setattr(owner, name, dying(getattr(owner, name)))
                    try:
                        push(world.project)
                        route(world.project)
                    except KeyboardInterrupt:
                        died = True
                dead = False

            act()
            if kill_at is None or not died:
                said += [(key, "ann") for key in work(world, "ann", "senior", 1)]
                pull(world.project)
            change(world, rules=SWAPPED)
            act()
            # Somebody labels on, whatever stands there now.
            for name, tier in (("ann", "senior"), ("cy", "")):
                if tier in projects(world) and projects(world)[tier] is not None:
                    said += [(key, name) for key in work(world, name, tier, 1)]
            for _ in range(2):
                pull(world.project) if world.project.platform_id else None
                push(world.project)
                route(world.project)
            pull(world.project)
            keys = Counter(t.key for number in projects(world).values() for t in world.platform.tasks(number))
            places = {p.platform_id: p.task_id for p in world.project.store.ledger.placements("spam") if not p.gone}
            real = {t.id: t.key for t in world.project.platform.tasks(world.project.platform_id)}
            titles = Counter(state.title for state in world.platform._projects.values())
            assert max(keys.values()) == 1, (kill_at, keys)
            assert places == real, kill_at
            assert set(titles.values()) == {1}
            assert votes(world) == Counter(said), kill_at
            assert not world.project.store.ledger.pending("spam")
            app.close()
            return sorted(keys), died

        whole, _ = scene(None)
        assert len(whole) >= 12
        for kill_at in range(200):
            keys, died = scene(kill_at)
            assert len(keys) >= 12
            if not died:
                break
        assert kill_at > 40, "the walk went through every step of both runs"


class TestTrouble:
    def test_a_tier_project_that_is_deleted_is_said_then_made_anew_and_votes_stay(
        self, make_world: Callable[..., Any]
    ) -> None:
        world = made(make_world, window={"size": 30, "low_water": 30})
        push(world.project)
        done = work(world, "ann", "senior", 2)
        pull(world.project)
        world.platform.delete_project(projects(world)["senior"])
        with pytest.raises(TierGone, match="tier 'senior' is gone"):
            pull(world.project)
        push(world.project)
        pull(world.project)
        assert {task_id for task_id, _ in votes(world)} == set(done)
        assert there(world)["senior"], "its open tasks were pushed again"
        assert not set(done) & set(there(world)["senior"]), "not those that are labelled"
        (entry,) = [e for e in world.project.store.audit.all("spam") if e.what == "tier project deleted"]
        assert entry.detail["tier"] == "senior"

    def test_a_main_project_that_is_deleted_is_said_as_ever(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        push(world.project)
        world.platform.delete_project(world.project.platform_id)
        for stage in (push, pull, route):
            with pytest.raises(PlatformNotFound, match="attach spam --new"):
                stage(world.project)

    def test_another_process_that_made_the_tiers_is_noticed_before_tasks_count_as_deleted(
        self, make_world: Callable[..., Any]
    ) -> None:
        world = made(make_world, way="views")
        push(world.project)
        old = world.project
        pull(old)
        other = type(world.app)(world.app.settings, platform=world.platform, now=world.clock)
        old_routing = old.settings.routing
        other.project("spam").settings.__dict__["routing"] = RoutingPolicy.model_validate(
            {**old_routing.model_dump(), "way": "projects"}
        )
        push(other.project("spam"))
        old.settings.__dict__["routing"] = old_routing
        report = pull(old)
        assert (report.gone, report.strays) == (0, 0)
        other.close()

    @pytest.mark.parametrize("method", ["import_tasks", "import_predictions", "configure"])
    @pytest.mark.parametrize("after", [False, True])
    def test_an_answer_that_is_lost_is_made_good(
        self, make_world: Callable[..., Any], method: str, after: bool
    ) -> None:
        world = made(make_world, functions=True)
        vote(world.project)
        consolidate(world.project)
        world.platform.fail_next(method, PlatformUnreachable("down"), after_effect=after)
        with pytest.raises(PlatformUnreachable):
            push(world.project)
        world = world.again()
        push(world.project)
        keys = Counter(key for keys in there(world).values() for key in keys)
        assert (len(keys), set(keys.values())) == (30, {1})
        rows = Counter(row.task_id for row in world.project.platform.predictions(world.project.platform_id))
        assert set(rows.values()) == {1}


class TestWrapper:
    """What only a wrapper can do wrong."""

    def platform(self) -> tuple[MemoryPlatform, TieredPlatform, int, int, dict[str, str]]:
        memory = MemoryPlatform()
        main, tier = (memory.create_project(title, SPAM_CONFIG).id for title in ("main", "tier"))
        chosen: dict[str, str] = {}
        return memory, TieredPlatform(memory, main, {"t": tier}, lambda keys: chosen), main, tier, chosen

    def fill(self, platform: TieredPlatform, main: int, chosen: dict[str, str]) -> dict[str, int]:
        chosen |= {f"k{n}": "t" for n in range(0, 6, 2)}
        return platform.import_tasks(main, [NewTask(f"k{n}", {"text": f"text {n}"}) for n in range(6)])

    def result(self) -> tuple[dict[str, Any], ...]:
        return ({"from_name": "spam", "to_name": "text", "type": "choices", "value": {"choices": ["spam"]}},)

    def test_calls_on_the_main_project_mean_all_and_on_a_tier_that_one(self) -> None:
        memory, tiered, main, tier, chosen = self.platform()
        places = self.fill(tiered, main, chosen)
        assert list(places) == [f"k{n}" for n in range(6)]
        assert tiered.task_ids(main) == set(places.values())
        assert tiered.task_ids(tier) == memory.task_ids(tier) == {places[f"k{n}"] for n in (0, 2, 4)}
        assert [t.id for t in tiered.tasks(main)] == sorted(places.values())
        assert tiered.project(main).task_count == 6
        assert tiered.project(tier).task_count == 3
        assert tiered.find_tasks(main, ["k1", "k0", "nope"]) == {"k1": (places["k1"],), "k0": (places["k0"],)}

    def test_a_new_process_finds_out_where_tasks_are(self) -> None:
        memory, tiered, main, tier, chosen = self.platform()
        places = self.fill(tiered, main, chosen)
        fresh = TieredPlatform(memory, main, {"t": tier}, lambda keys: {})
        made = [NewPrediction(place, self.result(), 0.5, "v1") for place in places.values()]
        assert fresh.import_predictions(main, made) == 6
        assert memory.prediction_versions(tier) == {"v1": 3}
        assert fresh.prediction_versions(main) == {"v1": 6}
        assert [row.task_id for row in fresh.predictions(main, [places["k0"], places["k1"]])] == sorted(
            (places["k0"], places["k1"])
        )
        fresh.update_tasks(main, {place: {"hitl_for": ";x;"} for place in places.values()})
        assert all(t.data["hitl_for"] == ";x;" for t in fresh.tasks(main))
        fresh.delete_tasks(main, [places["k0"], places["k1"]])
        assert len(fresh.task_ids(main)) == 4

    def test_a_version_is_shown_where_it_has_predictions_and_a_late_project_is_seen_to_lag(self) -> None:
        memory, tiered, main, tier, chosen = self.platform()
        places = self.fill(tiered, main, chosen)
        tiered.import_predictions(main, [NewPrediction(places["k1"], self.result(), 0.5, "v1")])
        tiered.configure(main, model_version="v1")
        assert (memory.project(main).model_version, memory.project(tier).model_version) == ("v1", "")
        assert tiered.project(main).model_version == "v1"
        tiered.import_predictions(main, [NewPrediction(places["k0"], self.result(), 0.5, "v1")])
        assert tiered.project(main).model_version == "", "the tier has predictions that it does not show"
        tiered.configure(main, model_version="v1")
        assert memory.project(tier).model_version == "v1"
        tiered.import_predictions(main, [NewPrediction(places["k0"], self.result(), 0.5, "v2")])
        tiered.configure(main, model_version="v2")
        assert (memory.project(main).model_version, memory.project(tier).model_version) == ("", "v2")
        assert tiered.project(main).model_version == "v2"

    def test_each_project_has_its_own_mark(self) -> None:
        memory, tiered, main, tier, chosen = self.platform()
        places = self.fill(tiered, main, chosen)
        mark = tiered.changes(main, None).mark
        memory.annotate(places["k0"], "ann", list(self.result()))
        found = tiered.changes(main, mark)
        assert [t.id for t in found.tasks] == [places["k0"]]
        assert json.loads(found.mark).keys() == {str(main), str(tier)}
        assert tiered.changes(main, found.mark).tasks == ()
        assert len(tiered.changes(main, "7").tasks) >= 3, "a foreign mark is the main project's; the tier comes whole"

    @pytest.mark.parametrize("mark", ["", "[]", '{"x": 1}', '{"a": "b"}', "{", "null", "7", '{"1": 2}'])
    def test_broken_marks_are_the_main_projects(self, mark: str) -> None:
        assert read_marks(mark, 5) == {5: mark}


class TestFaces:
    def test_calls_about_a_tiers_project_are_ours(self, tmp_path: Path) -> None:
        app = make_app(tmp_path)
        app.store.projects.note("spam", "routing_tiers", {"project": 7, "tiers": {"senior": 71}})
        client, service = open_web(app, {})
        with client:
            assert service.host.wait_ready(5)
            assert service.host.directory.by_platform[71].name == "spam"
            assert service.host.directory.by_platform[7].name == "spam"
            assert service.host.directory.by_platform[8].name == "other"
            for project in ("71.1700000000", "7.1700000000"):
                reply = client.post(
                    "/predict",
                    json={"tasks": [{"id": 1, "data": {"text": "x"}}], "project": project},
                    auth=("label-studio", "the-password"),
                )
                assert reply.status_code == 200
            assert service.metrics is not None
            body = {"action": "ANNOTATION_CREATED", "project": {"id": 71}, "annotation": {"id": 1}, "task": {"id": 2}}
            assert client.post("/webhook", json=body, headers=HEADER).status_code == 200
        assert [fault.message for fault in app.store.faults.recent("spam")] == []
        app.close()

    def test_a_webhook_of_a_tiers_project_pulls_ours(self, make_world: Callable[..., Any]) -> None:
        world = made(make_world)
        push(world.project)
        pulled: list[str] = []
        stages = {"pull": lambda project: pulled.append(project.name), "setup": lambda project: None}
        runner = LoopRunner(world.project, stages)
        scheduler = Scheduler(world.project.store, [runner], ScheduleSettings(), now=world.clock)
        world.project.store.events.record(projects(world)["senior"], "ANNOTATION_CREATED", "digest", {})
        scheduler.wake()
        assert pulled == ["spam"]
        assert world.project.store.events.unhandled() == []
