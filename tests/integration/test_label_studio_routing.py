"""Routing through a real Label Studio: personal views, gold tasks, asking one more person and taking the seat back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapter.app import App
from adapter.errors import PlatformRejected
from adapter.label_studio.client import Client
from adapter.label_studio.desk import LabelStudioDesk
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.label_studio.users import annotator_email, make_annotator
from adapter.ports import NewTask
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.route import route
from adapter.stages.route_gold import GOLD
from adapter.vocabulary import GoldLabel

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ANN, BOB, CY = (annotator_email(name) for name in ("ann", "bob", "cy"))
Start = Callable[..., Any]


class Live:
    """A routed spam project in the real server."""

    def __init__(self, app: App, server: EmbeddedServer, gold: dict[str, str]) -> None:
        self.app, self.server, self.gold = app, server, gold
        self.desks: dict[str, LabelStudioDesk] = {}

    @property
    def project(self) -> Any:
        return self.app.project("spam")

    def held(self, name: str) -> set[str]:
        return {row.task_id for row in self.project.store.routed.of("spam", name) if not row.done}

    def desk(self, name: str) -> LabelStudioDesk:
        """The person's own view, as `route` made it."""
        if name not in self.desks:
            (person,) = [row for row in route(self.project, dry_run=True).people if row["name"] == name]
            view = int(person["page"].rpartition("tab=")[2])
            token = make_annotator(self.server, name)
            self.desks[name] = LabelStudioDesk(self.server.url, token, self.project.platform_id, view=view)
        return self.desks[name]

    def work(self, name: str, count: int = 99, wrong: bool = False) -> list[str]:
        keys: list[str] = []
        while len(keys) < count and (assignment := self.desk(name).next_task()) is not None:
            key = str(assignment.data["hitl_id"])
            label = self.gold[key] if not wrong else {"spam": "ham", "ham": "spam"}[self.gold[key]]
            result = [{"from_name": "spam", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]
            self.desk(name).submit(assignment.task_id, result, 1.0)
            keys.append(key)
        pull(self.project)
        consolidate(self.project)
        return keys


@pytest.fixture
def start(make_world: Start, label_studio: EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Return a maker of live projects: `start(**routing)`, ingested and pushed."""
    lives: list[Live] = []

    def make(**routing: Any) -> Live:
        others = {key: routing.pop(key) for key in ("window", "blind", "consolidate") if key in routing}
        world = make_world(
            tasks=40,
            functions=False,
            title=request.node.name[:45],
            routing={"enabled": True, "annotators": (ANN, BOB), "ahead": 4, "gold_rate": 0.0, **routing},
            **{"blind": {"share": 0.0}, "window": {"size": 16, "low_water": 1}, **others},
        )
        for name in (ANN, BOB, CY):
            make_annotator(label_studio, name)
        platform = LabelStudioPlatform(label_studio.url, label_studio.token)
        live = Live(App(world.app.settings, platform=platform, now=lambda: datetime.now(UTC)), label_studio, world.gold)
        lives.append(live)
        ingest(live.project)
        push(live.project)
        return live

    yield make
    for live in lives:
        for desk in live.desks.values():
            desk.close()
        live.app.close()


def test_people_are_served_their_own_queues_in_order_and_refilled(start: Start) -> None:
    live = start()
    report = route(live.project)
    assert {row["name"]: row["queue"] for row in report.people} == {ANN: 4, BOB: 4}
    priority = {p.task_id: p.priority for p in live.project.store.ledger.placements("spam")}
    for name in (ANN, BOB):
        mine = live.held(name)
        assert live.work(name) == sorted(mine, key=priority.__getitem__)
    again = route(live.project)
    assert sum(len(row["annotators"]) for row in again.given) == 8
    assert not live.held(ANN) & live.held(BOB)
    quiet = route(live.project)
    assert (quiet.given, quiet.taken_back) == ((), 0)


def test_a_gold_task_is_asked_again_without_its_prelabel_and_closes(start: Start) -> None:
    live = start(gold_rate=0.5, annotators=(ANN,))
    route(live.project)
    done = live.work(ANN, 4)
    now = live.project.now()
    live.project.store.gold.put(
        "spam", [GoldLabel(key, "spam", (live.gold[key],), "given", "lead", now) for key in done]
    )
    live.project.settings.__dict__["routing"] = live.project.settings.routing.model_copy(
        update={"annotators": (BOB,), "ahead": 3}
    )
    seen: list[str] = []
    for _ in range(4):
        route(live.project)
        places = {p.task_id: p.platform_id for p in live.project.store.ledger.placements("spam")}
        gold = [r.task_id for r in live.project.store.routed.of("spam", BOB) if r.why == GOLD and not r.done]
        stored = live.project.platform.predictions(live.project.platform_id, [places[key] for key in gold] or [0])
        assert stored == []
        seen += live.work(BOB, 2)
    measured = set(seen) & set(done)
    assert measured
    assert len(seen) == len(set(seen))
    route(live.project)
    there = {task.key: task for task in live.project.platform.tasks(live.project.platform_id)}
    assert all({a.annotator for a in there[key].annotations} == {ANN, BOB} for key in measured)
    assert all(there[key].overlap == 2 for key in measured)


def test_one_more_person_is_asked_by_name_and_the_seat_is_taken_back(start: Start) -> None:
    live = start(annotators=(ANN, BOB, CY), ahead=10, blind={"share": 1.0, "double_share": 1.0}, window={"size": 1})
    route(live.project)
    (key,) = {row.task_id for row in live.project.store.routed.of("spam")}
    two = [name for name in (ANN, BOB, CY) if key in live.held(name)]
    assert len(two) == 2
    live.work(two[0], 1)
    live.work(two[1], 1, wrong=True)
    push(live.project)
    route(live.project)
    (third,) = [name for name in (ANN, BOB, CY) if name not in two]
    assert key in live.held(third)
    assert live.desk(third).next_task() is not None
    task = next(t for t in live.project.platform.tasks(live.project.platform_id) if t.key == key)
    (wrong,) = [a.id for a in task.annotations if a.annotator == two[1]]
    right = [{"from_name": "spam", "to_name": "text", "type": "choices", "value": {"choices": [live.gold[key]]}}]
    Client(live.server.url, live.server.token).patch(f"/api/annotations/{wrong}/", {"result": right})
    pull(live.project)
    consolidate(live.project)
    push(live.project)
    route(live.project)
    assert live.held(third) == set()
    task = next(t for t in live.project.platform.tasks(live.project.platform_id) if t.key == key)
    assert task.overlap == 2


def test_community_has_no_assignment_and_says_what_to_do(start: Start) -> None:
    live = start(way="enterprise")
    with pytest.raises(PlatformRejected, match=r"Enterprise.*routing\.way"):
        route(live.project)


def test_hand_made_changes_of_a_view_are_put_right_on_request(start: Start, label_studio: EmbeddedServer) -> None:
    live = start()
    (person, _) = route(live.project).people
    view = int(person["page"].rpartition("tab=")[2])
    raw = Client(label_studio.url, label_studio.token)
    there = raw.get(f"/api/dm/views/{view}/")
    raw.patch(
        f"/api/dm/views/{view}/", {"project": there["project"], "data": {**there["data"], "ordering": ["-tasks:id"]}}
    )
    route(live.project)
    assert raw.get(f"/api/dm/views/{view}/")["data"]["ordering"] == ["-tasks:id"]
    route(live.project, renew=True)
    assert raw.get(f"/api/dm/views/{view}/")["data"]["ordering"] == ["tasks:data.hitl_priority"]


def test_a_thousand_tasks_get_their_names_in_seconds(label_studio: EmbeddedServer) -> None:
    platform = LabelStudioPlatform(label_studio.url, label_studio.token)
    config = (
        '<View><Text name="text" value="$text"/><Choices name="c" toName="text"><Choice value="a"/></Choices></View>'
    )
    project = platform.create_project("a thousand names", config).id
    ids = list(platform.import_tasks(project, [NewTask(f"k{n}", {"text": "t"}) for n in range(1000)]).values())
    started = time.perf_counter()
    platform.update_tasks(project, {number: {"hitl_for": f";p{n % 20}@x;"} for n, number in enumerate(ids)})
    assert time.perf_counter() - started < 30
    assert {task.data["hitl_for"] for task in platform.tasks(project)} == {f";p{n}@x;" for n in range(20)}
