"""What a reviewer reads of functions and model, against the in-memory platform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.review import review
from adapter.stages.review_machines import machines_said
from adapter.stages.train import train
from adapter.stages.vote import vote
from adapter.vocabulary import SAID_FIELD

Make = Callable[..., Any]
REVIEW = {"enabled": True, "random_share": 1.0, "low_skill": 0.0, "flagged": False}


def labelled(make_world: Make) -> Any:
    """A world with functions, a model and people's labels, all of which go to review."""
    world = make_world(tasks=120, review=REVIEW)
    ingest(world.project)
    vote(world.project)
    consolidate(world.project)
    for _ in range(2):
        rank(world.project)
        push(world.project)
        world.label("ann", 20)
        pull(world.project)
        consolidate(world.project)
    assert train(world.project).promoted
    rank(world.project)
    return world


def test_a_reviewer_reads_what_functions_and_model_say_but_not_of_blind_tasks(make_world: Make) -> None:
    world = labelled(make_world)
    review(world.project)
    platform_id = world.platform.find_project("spam · review").id
    tasks = list(world.platform.tasks(platform_id))
    blind = [task for task in tasks if world.project.is_blind(task.key)]
    others = [task for task in tasks if not world.project.is_blind(task.key)]
    assert blind
    assert others
    assert all("functions:" not in task.data[SAID_FIELD] and "model:" not in task.data[SAID_FIELD] for task in blind)
    assert all("model: '" in task.data[SAID_FIELD] for task in others)
    begging = next(task for task in others if "subscribe" in task.data["text"])
    assert "functions: begs says 'spam'" in begging.data[SAID_FIELD]
    assert begging.data[SAID_FIELD].startswith("person A says")


def test_nothing_is_said_before_anybody_spoke_or_of_strangers(make_world: Make) -> None:
    world = make_world(tasks=30)
    ingest(world.project)
    assert machines_said(world.project, ["c0", "c1", "nobody"]) == {}
    vote(world.project)
    said = machines_said(world.project, [f"c{n}" for n in range(30)])
    assert said
    assert all(text.startswith("functions: ") for text in said.values())
