"""One project for each tier through a real Label Studio: tasks land by rule, are labelled, pulled and moved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from adapter.app import App
from adapter.errors import PlatformUnreachable
from adapter.label_studio.client import Client
from adapter.label_studio.desk import LabelStudioDesk
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.label_studio.tiers import TierGone
from adapter.label_studio.users import annotator_email, make_annotator
from adapter.policies import RoutingPolicy
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.route import route
from adapter.stages.setup import WEBHOOK_HEADER, WEBHOOK_PATH
from adapter.stages.vote import vote

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ANN, BOB, CY = (annotator_email(name) for name in ("ann", "bob", "cy"))
STREAMS = ((ANN, "senior"), (BOB, "music"), (CY, ""))
KINDS = ("long", "song", "plain")
Start = Callable[..., Any]


def rules(**tier_of: str) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"when": "subgroup", "field": "kind", "labels": (kind,), "to": f"tier:{tier}"} for kind, tier in tier_of.items()
    )


def tier_of(key: str) -> str:
    return {"long": "senior", "song": "music", "plain": ""}[KINDS[int(key[1:]) % 3]]


class Live:
    """A spam project with two tiers in the real server."""

    def __init__(self, app: App, server: EmbeddedServer, gold: dict[str, str]) -> None:
        self.app, self.server, self.gold = app, server, gold
        self.plain = LabelStudioPlatform(server.url, server.token)
        self.desks: dict[tuple[str, str], LabelStudioDesk] = {}

    @property
    def project(self) -> Any:
        return self.app.project("spam")

    @property
    def projects(self) -> dict[str, int]:
        return {"": self.project.platform_id, **self.project.tiers.look()}

    def there(self) -> dict[str, set[str]]:
        """Tier to the keys in its project, asked of the server itself; no key may be there twice."""
        keys = {tier: [str(t.key) for t in self.plain.tasks(number)] for tier, number in self.projects.items()}
        assert max(Counter(key for some in keys.values() for key in some).values()) == 1
        return {tier: set(some) for tier, some in keys.items()}

    def desk(self, name: str, tier: str) -> LabelStudioDesk:
        """A person's seat at the tier project's own stream."""
        if (name, tier) not in self.desks:
            token = make_annotator(self.server, name)
            self.desks[name, tier] = LabelStudioDesk(self.server.url, token, self.projects[tier])
        return self.desks[name, tier]

    def work(self, name: str, tier: str, count: int) -> list[str]:
        keys: list[str] = []
        while len(keys) < count and (assignment := self.desk(name, tier).next_task()) is not None:
            key = str(assignment.data["hitl_id"])
            result = [
                {"from_name": "spam", "to_name": "text", "type": "choices", "value": {"choices": [self.gold[key]]}}
            ]
            assert not (self.project.is_blind(key) and assignment.prelabel), "blind tasks show no pre-label"
            self.desk(name, tier).submit(assignment.task_id, result, 1.0)
            keys.append(key)
        return keys

    def votes(self) -> Counter[tuple[str, str]]:
        voting = self.project.store.annotations.voting("spam")
        return Counter((task_id, one.annotator) for task_id, said in voting.items() for one in said)

    def change(self, **fields: Any) -> None:
        old = self.project.settings.routing.model_dump()
        self.project.settings.__dict__["routing"] = RoutingPolicy.model_validate({**old, **fields})


@pytest.fixture
def start(make_world: Start, label_studio: EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Return a maker of live projects, ingested, voted on and not pushed."""
    lives: list[Live] = []

    def make(**routing: Any) -> Live:
        fields = {
            "enabled": True,
            "way": "projects",
            "tiers": {"senior": (ANN,), "music": (BOB,)},
            "rules": rules(long="senior", song="music"),
            "annotators": (ANN, BOB, CY),
            "ahead": 4,
            "keep": 1,
            "gold_rate": 0.0,
        }
        world = make_world(
            tasks=36,
            routing={**fields, **routing},
            blind={"share": 0.3, "batch_share": 0.3, "double_share": 0.0},
            window={"size": 18, "low_water": 18},
            consolidate={"consolidator": "majority"},  # one version of the pre-labels, however many labels there are
        )
        world.app.settings.projects["spam"].__dict__["title"] = f"{request.node.name} tiers"[
            :50
        ]  # longer than Label Studio takes with a tier
        for name in (ANN, BOB, CY):
            make_annotator(label_studio, name)
        platform = LabelStudioPlatform(label_studio.url, label_studio.token)
        live = Live(App(world.app.settings, platform=platform, now=lambda: datetime.now(UTC)), label_studio, world.gold)
        lives.append(live)
        data = world.folder / "comments.jsonl"
        rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
        data.write_text("".join(json.dumps({**r, "kind": KINDS[n % 3]}) + "\n" for n, r in enumerate(rows)), "utf-8")
        settings = live.project.settings
        settings.__dict__["data"] = settings.data.model_copy(update={"subgroups": ("kind",)})
        ingest(live.project)
        vote(live.project)
        consolidate(live.project)
        return live

    yield make
    for live in lives:
        for desk in live.desks.values():
            desk.close()
        live.plain.close()
        live.app.close()


def test_two_tiers_end_to_end_nothing_is_lost_or_doubled(start: Start) -> None:
    live = start()
    said: Counter[tuple[str, str]] = Counter()
    for _ in range(6):
        version = push(live.project).version
        pages = {row["name"]: row["page"] for row in route(live.project).people}
        if not said:
            for name, tier in STREAMS:
                assert pages[name].startswith(f"/projects/{live.projects[tier]}/data?tab="), name
        assert all(tier_of(key) == tier for tier, keys in live.there().items() for key in keys)
        for name, tier in STREAMS:
            said.update((key, name) for key in live.work(name, tier, 4))
        assert pull(live.project).strays == 0
        again = pull(live.project)
        assert (again.created, again.changed, again.deleted, again.gone) == (0, 0, 0, 0)
        consolidate(live.project)
    assert live.votes() == said
    assert len({key for key, _ in said}) == 36, "every task of the pool was labelled, in its project"
    titles = {tier: live.plain.project(number).title for tier, number in live.projects.items()}
    assert [titles[tier].rpartition(" · ")[2] for tier in ("senior", "music")] == ["senior", "music"]
    assert max(map(len, titles.values())) <= 50
    for tier, number in live.projects.items():
        shown = live.plain.project(number)
        assert shown.model_version == version, tier
        assert "$hitl_reason" in shown.label_config
    place = {p.platform_id: p for p in live.project.store.ledger.placements("spam")}
    predicted = Counter(row.task_id for row in live.project.platform.predictions(live.project.platform_id))
    assert set(predicted.values()) == {1}
    assert not [place[number] for number in predicted if place[number].blind]
    assert any(p.blind for p in place.values())


def test_tasks_move_when_their_rule_changes_and_answered_ones_stay(start: Start) -> None:
    live = start()
    push(live.project)
    pull(live.project)
    before = live.there()
    answered = live.work(ANN, "senior", 2)  # not pulled before the move
    held = live.desk(CY, "").next_task()
    assert held is not None
    live.change(rules=rules(plain="senior", song="music"))
    report = push(live.project)
    assert report.moved > 0
    after = live.there()
    assert set().union(*after.values()) == set().union(*before.values())
    assert set(answered) <= after["senior"]
    assert str(held.data["hitl_id"]) in after[""], "it is open on a page"
    assert len([key for key in after["senior"] if KINDS[int(key[1:]) % 3] == "plain"]) == report.moved - len(
        after[""] - before[""]
    )
    pull(live.project)
    assert live.votes() == Counter({(key, ANN): 1 for key in answered})
    assert push(live.project).moved == 0
    route(live.project)


def test_a_move_that_was_cut_off_is_completed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    live = start()
    push(live.project)
    before = live.there()
    live.change(rules=rules(plain="senior", song="music"))
    for method in ("delete_tasks", "find_tasks", "import_tasks"):
        with monkeypatch.context() as patch:

            def down(*args: Any, **kwargs: Any) -> Any:
                raise PlatformUnreachable("the cable is cut")

            patch.setattr(LabelStudioPlatform, method, down)
            with pytest.raises(PlatformUnreachable):
                # What still stands at its old place is found there by one push, and moved by the next.
                _ = [push(live.project) for _ in range(2)]
        live.there()
    push(live.project)
    after = live.there()
    assert set().union(*after.values()) == set().union(*before.values())
    assert [key for key in after["senior"] if KINDS[int(key[1:]) % 3] == "plain"]
    places = {p.task_id: p.platform_id for p in live.project.store.ledger.placements("spam") if not p.gone}
    assert places == {t.key: t.id for t in live.project.platform.tasks(live.project.platform_id)}


def test_webhooks_stand_in_every_project_and_a_deleted_tier_is_made_anew(start: Start) -> None:
    live = start()
    push(live.project)
    url = live.project.public_url + WEBHOOK_PATH
    live.project.platform.ensure_webhook(live.project.platform_id, url, {WEBHOOK_HEADER: "x"})
    assert [[hook.url for hook in live.plain.webhooks(number)] for number in live.projects.values()] == [[url]] * 3
    done = live.work(ANN, "senior", 2)
    pull(live.project)
    gone = live.projects["senior"]
    client = Client(live.server.url, live.server.token)
    client.delete(f"/api/projects/{gone}/")
    client.close()
    with pytest.raises(TierGone, match="tier 'senior' is gone"):
        pull(live.project)
    push(live.project)
    pull(live.project)
    assert live.projects["senior"] != gone
    assert {key for key, _ in live.votes()} == set(done)
    assert live.there()["senior"]
    assert not live.there()["senior"] & set(done)
