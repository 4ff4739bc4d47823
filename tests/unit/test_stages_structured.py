"""The loop on a project whose labels no backend learns: spans with questions about each, by people alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapter.kinds import kind_of
from adapter.stages.agreement import agreement
from adapter.stages.consolidate import consolidate
from adapter.stages.flag import flag
from adapter.stages.gates import gates
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.status import status
from adapter.stages.train import due, train

Make = Callable[..., Any]

CONFIG = """<View>
  <Text name="text" value="$text"/>
  <Labels name="things" toName="text"><Label value="verb"/><Label value="thing"/></Labels>
  <Choices name="tone" toName="text" perRegion="true"><Choice value="kind"/><Choice value="rude"/></Choices>
  <Rating name="stars" toName="text"/>
  <Chat name="chat" value="$text"/>
</View>
"""


def marks(text: str, *, label: str = "thing", length: int = 4, tone: str = "kind", stars: int = 3) -> list[Any]:
    place = {"start": 0, "end": length}
    return [
        {"id": "a", "from_name": "things", "to_name": "text", "type": "labels", "value": {**place, "labels": [label]}},
        {"id": "a", "from_name": "tone", "to_name": "text", "type": "choices", "value": {**place, "choices": [tone]}},
        {"from_name": "stars", "to_name": "text", "type": "rating", "value": {"rating": stars}},
    ]


def world_of(make_world: Make, **settings: Any) -> Any:
    world = make_world(tasks=24, functions=False, label_config=CONFIG, **settings)
    ingest(world.project)
    rank(world.project)
    push(world.project)
    return world


def work(world: Any, annotator: str, **said: Any) -> int:
    desk, made = world.desk(annotator), 0
    while (assignment := desk.next_task()) is not None:
        world.clock.forward(1)
        desk.submit(assignment.task_id, marks(assignment.data["text"], **said), 1.0)
        made += 1
    return made


@pytest.fixture
def world(make_world: Make) -> Any:
    return world_of(make_world, window={"size": 24, "low_water": 1, "overlap": 2}, blind={"share": 0.5})


def test_people_s_regions_and_what_hangs_on_them_become_one_consensus(world: Any) -> None:
    assert (work(world, "ann"), work(world, "bob")) == (24, 24)
    pull(world.project)
    report = consolidate(world.project)
    assert report.people == {"things": 24, "tone": 24, "stars": 24}
    row = next(iter(world.project.store.consensus.all("spam", "things")))
    (region,) = kind_of("spans").canonical(world.project.space.control("things"), row.value)
    assert (region["value"]["start"], region["value"]["end"], region["labels"]) == (0, 4, ["thing"])
    tones = next(iter(world.project.store.consensus.all("spam", "tone"))).value
    assert tones[0]["value"] in (("kind",), ["kind"])
    assert tones[0]["region"]["id"] == region["id"]


def test_people_who_differ_wait_for_another_person_with_a_reason(world: Any) -> None:
    work(world, "ann", stars=1)
    work(world, "bob", stars=5, label="verb")
    pull(world.project)
    report = consolidate(world.project)
    assert report.undecided["stars"] == 24
    assert report.undecided["things"] == 24
    undecided = world.project.store.consensus.all("spam", "things")[0]
    assert undecided.value is None
    assert undecided.proposal is not None
    assert undecided.why
    assert push(world.project).asked == 24
    assert work(world, "cid", stars=5, label="verb") == 24
    pull(world.project)
    assert consolidate(world.project).people["things"] == 24


def test_nothing_is_trained_on_spans_and_the_rating_is_learned_alone(world: Any) -> None:
    work(world, "ann")
    work(world, "bob")
    pull(world.project)
    consolidate(world.project)
    assert [control.name for control in world.project.learned] == ["stars"]
    assert due(world.project) is None
    assert "fewer than two labels" in train(world.project).sentence


def test_agreement_gates_and_status_speak_of_every_control(world: Any) -> None:
    work(world, "ann")
    work(world, "bob", length=5)
    pull(world.project)
    consolidate(world.project)
    found = {each.control: each for each in agreement(world.project).controls}
    assert found["things"].headline == "overlap_f1"
    assert {gate.control for gate in gates(world.project).gates} == {"things", "tone", "stars"}
    report = status(world.project)
    assert report.agreement["things"]["statistic"] == "overlap_f1"
    assert any("Chat" in text for text in report.unserved)
    assert report.queue


def test_flags_and_pushes_pass_over_controls_without_probabilities(world: Any) -> None:
    work(world, "ann")
    pull(world.project)
    consolidate(world.project)
    assert flag(world.project).open == 0
    assert push(world.project).prelabelled == 0
