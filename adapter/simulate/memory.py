"""The same stages against the in-memory platform, in one process, on a simulated clock: fast and repeatable."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from adapter.app import App
from adapter.kinds import kind_of
from adapter.settings import Settings
from adapter.simulate.account import Served
from adapter.simulate.crowd import Crowd, replay_in_turns, view_of
from adapter.simulate.gold import GoldSet
from adapter.simulate.people import Person, answer, pace
from adapter.stages.consolidate import consolidate
from adapter.stages.context import Project
from adapter.stages.flag import flag
from adapter.stages.gates import gates
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.review import review
from adapter.stages.route import route
from adapter.stages.train import due, train
from adapter.stages.vote import vote
from adapter.testing import MemoryPlatform
from adapter.vocabulary import PRIORITY_FIELD, TASK_KEY_FIELD, Control

IDLE_S = 1.0


class SimulatedClock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.time = datetime(2025, 1, 6, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the simulated time; a microsecond passes, so that no two moments are equal."""
        self.time += timedelta(microseconds=1)
        return self.time

    def to(self, seconds: float) -> None:
        """Move to `seconds` after the start, never back."""
        self.time = max(self.time, datetime(2025, 1, 6, 9, 0, tzinfo=UTC) + timedelta(seconds=seconds))


def run_in_memory(
    settings: Settings,
    name: str,
    people: list[Person],
    gold: GoldSet,
    *,
    budget: int,
    batch: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[App, list[Served]]:
    """Let annotators work until the budget is spent or nothing is left; return the app with its store, and who was
    served."""
    clock = SimulatedClock()
    platform = MemoryPlatform(now=clock)
    app = App(settings, platform=platform, now=clock)
    project = app.project(name)
    ingest(project)
    _judge(project)
    platform_id = project.platform_id
    assert platform_id is not None
    control = project.space.control(gold.control)
    if project.settings.routing.enabled:
        return app, _by_queues(project, platform, people, control, budget, batch, seed, progress)
    desks = {person.name: platform.desk(platform_id, person.name) for person in people}
    turns = [(pace(person, "start", seed), number) for number, person in enumerate(people)]
    heapq.heapify(turns)
    served: list[Served] = []
    made = idle = since = 0
    while made < budget and idle <= 3 * len(people):
        at, number = heapq.heappop(turns)
        clock.to(at)
        person = people[number]
        assignment = desks[person.name].next_task()
        if assignment is None:
            idle += 1
            _judge(project)
            heapq.heappush(turns, (at + IDLE_S, number))
            continue
        idle = 0
        key = str(assignment.data[TASK_KEY_FIELD])
        value = answer(person, control, key, gold.gold.get(key), seed)
        seconds = pace(person, key, seed)
        clock.to(at + seconds)
        if value is None:
            annotation = desks[person.name].skip(assignment.task_id, seconds)
        else:
            result = kind_of(control.kind).write(control, value)
            annotation = desks[person.name].submit(assignment.task_id, result, seconds)
            made += 1
            since += 1
        priority = int(assignment.data.get(PRIORITY_FIELD, 0))
        served.append(Served(person.name, assignment.task_id, priority, at, annotation, value is None))
        heapq.heappush(turns, (at + seconds, number))
        if since >= batch:
            since = 0
            _judge(project)
        if progress:
            progress(made, budget)
    _judge(project)
    return app, served


def _by_queues(
    project: Project,
    platform: MemoryPlatform,
    people: list[Person],
    control: Control,
    budget: int,
    batch: int,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> list[Served]:
    """Let each annotator work on their own queue, see `crowd`."""
    platform_id = project.platform_id
    assert platform_id is not None
    clock = SimulatedClock()
    crowd = Crowd(
        {person.name: person for person in people},
        lambda name: platform.desk(platform_id, name, view=view_of(project, name)),
        control,
        budget=budget,
        seed=seed,
        now=lambda: clock().timestamp(),
        wait=lambda seconds: None,
    )
    tell = (lambda made: progress(made, budget)) if progress else (lambda made: None)
    replay_in_turns(project, crowd, lambda: _judge(project), batch=batch, progress=tell)
    return crowd.served


def _judge(project: Project) -> None:
    """One turn of the loop: what the scheduler's jobs do, in their natural order."""
    if project.platform_id is not None:
        pull(project)
    vote(project)
    consolidate(project)
    gates(project)
    if due(project):
        train(project)
    if project.platform_id is not None:
        flag(project)
    rank(project)
    push(project)
    if project.settings.routing.enabled:
        route(project)
    if project.settings.review.enabled:
        review(project)
