"""Turns of the loop without its processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.train import train
from adapter.stages.vote import vote
from adapter.training import TrainJob, TrainResult, child
from adapter.training.result import load_result


def turn(world: Any, people: int = 10, **options: Any) -> None:
    """One turn of the loop with `people` annotations by each of two annotators."""
    push(world.project)
    world.label("ann", people, **options)
    world.label("bob", people, **options)
    pull(world.project)
    consolidate(world.project)


def trained_world(make_world: Callable[..., Any], **settings: Any) -> Any:
    """Return a world with one model, from 40 annotations."""
    world = make_world(tasks=150, **settings)
    ingest(world.project)
    vote(world.project)
    consolidate(world.project)
    turn(world)
    turn(world)
    assert train(world.project).promoted
    return world


def in_process(job: TrainJob, folder: Path, *about: Any, **more: Any) -> TrainResult:
    """Train here, for tests that are not about processes."""
    folder.mkdir(parents=True)
    job.save(folder)
    child.train(folder)
    return load_result(folder, 0.1)
