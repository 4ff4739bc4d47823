"""Gold tasks among each person's tasks: known truths, asked again of people who have never seen them.

A gold task that is done asks one person more for each who is to be measured; `GOLD_NOTE` keeps how many it asked for by
itself, so that the seat goes when the person has answered or left. Nothing on the page tells it from other tasks: no
answer, no pre-label (as on blind tasks), a place drawn within the person's queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapter.core.blind import draw
from adapter.core.routing import Worker, gold_due
from adapter.stages.context import Project
from adapter.stages.route_show import SHOWN_NOTE
from adapter.stages.window import left_in_budget
from adapter.store import Intent, Placement
from adapter.vocabulary import PRIORITY_FIELD, Routed

GOLD = "a gold task: its truth is known, so it measures"
GOLD_NOTE = "routing_gold"
"""Gold task id to the overlap that it had before people were measured on it."""


@dataclass
class GoldPlan:
    """given: (task id, annotator). base: as GOLD_NOTE, the new ones too. intents: gold tasks to place first."""

    given: list[tuple[str, str]] = field(default_factory=list)
    base: dict[str, int] = field(default_factory=dict)
    intents: list[Intent] = field(default_factory=list)


def plan_gold(
    project: Project,
    people: Sequence[Worker],
    rows: Sequence[Routed],
    placements: Mapping[str, Placement],
    said: Mapping[str, Mapping[str, bool]],
    taken: Mapping[str, set[str]],
    base: Mapping[str, int],
    seats: dict[str, int],
) -> GoldPlan:
    """Choose gold tasks for the people who lack some by `gold_rate`; takes from `seats` where a gold task is open.

    rows: everything that was ever given. Nobody gets a gold task twice, nor one that they have answered; none is given
    over the cap of a day or beyond the budget. Where a person has seen all that are placed, others are placed first.
    """
    policy = project.settings.routing
    plan = GoldPlan(base=dict(base))
    gold = sorted({row.task_id for row in project.store.gold.all(project.name)})
    if not gold or policy.gold_rate == 0:
        return plan
    budget = project.settings.window.budget
    left = left_in_budget(project, budget) if budget is not None else len(people) + len(gold)
    had = {(row.task_id, row.annotator) for row in rows}
    lacking = 0
    for worker in people:
        mine = [row for row in rows if row.annotator == worker.name]
        done, had_gold = sum(row.done for row in mine), sum(row.why == GOLD for row in mine)
        lacks = gold_due(done, had_gold, policy.gold_rate, name=worker.name, seed=policy.seed)
        room = int(min(lacks, worker.left_today, max(policy.ahead - worker.queue, 1)))
        order = sorted(gold, key=lambda task_id: draw(f"{task_id}\x1f{worker.name}", policy.seed, "gold task"))
        for task_id in order:
            place = placements.get(task_id)
            used = (task_id, worker.name) in had or worker.name in taken.get(task_id, ())
            if room < 1 or place is None or used or worker.name in said.get(task_id, {}):
                continue
            if seats.get(task_id, 0) > 0 and task_id not in plan.base:
                seats[task_id] -= 1  # asked for by itself, and open
            elif left > 0:
                plan.base.setdefault(task_id, place.overlap)
                left -= 1
            else:
                continue
            plan.given.append((task_id, worker.name))
            room -= 1
        lacking += room
    if lacking and left > 0 and project.settings.mode == "window":
        plan.intents = _intents(project, [t for t in gold if t not in placements], min(lacking, left), placements)
    return plan


def _intents(project: Project, gold: Sequence[str], count: int, placements: Mapping[str, Placement]) -> list[Intent]:
    """Return intents that the next push lands; as blind ones, so that they never get a pre-label."""
    policy = project.settings.routing
    pending = {intent.task_id for intent in project.store.ledger.pending(project.name)}
    count -= len(pending & set(gold))
    chosen = sorted((t for t in gold if t not in pending), key=lambda t: draw(t, policy.seed, "gold task"))
    last = max(placements.values(), key=lambda p: p.priority, default=None)
    start, reason = (0, "") if last is None else (last.priority, last.reason)
    return [Intent(t, start + n, reason, 1, True) for n, t in enumerate(chosen[: max(count, 0)], start=1)]


def ask_gold(
    project: Project,
    platform_id: int,
    placements: Mapping[str, Placement],
    said: Mapping[str, Mapping[str, bool]],
    wanted: Sequence[Routed],
    plan: GoldPlan,
) -> None:
    """Make gold tasks ask for as many people as are to be measured on them now; hide what would give them away.

    wanted: what people hold now. Derived from what is stored, so a run after a kill completes the one before.
    """
    holders: dict[str, list[str]] = {}
    for row in wanted:
        if row.why == GOLD and row.task_id in placements:
            holders.setdefault(row.task_id, []).append(row.annotator)
    _hide(project, platform_id, placements, holders, wanted)
    for task_id, base in sorted(plan.base.items()):
        place = placements.get(task_id)
        if place is None:
            continue
        votes, measured = sum(said.get(task_id, {}).values()), len(holders.get(task_id, ()))
        people = max(base, votes + measured if measured else votes, 1)
        if people == place.overlap and not measured:
            continue
        if people != place.overlap:
            project.platform.set_overlap(place.platform_id, people)
            project.store.ledger.set_overlap(project.name, task_id, people)
        if place.done is (votes < people):
            project.store.ledger.set_done(project.name, [task_id], votes >= people)
    kept = {task_id: base for task_id, base in plan.base.items() if task_id in holders}
    if kept != plan.base:
        project.store.projects.note(project.name, GOLD_NOTE, kept or None)


def _hide(
    project: Project,
    platform_id: int,
    placements: Mapping[str, Placement],
    holders: Mapping[str, Sequence[str]],
    wanted: Sequence[Routed],
) -> None:
    """Take pre-labels off gold tasks that are about to be shown, and draw their place in the queue."""
    shown = project.store.projects.notes(project.name, SHOWN_NOTE).get(SHOWN_NOTE, {})
    fresh = {
        task_id: names[-1]
        for task_id, names in holders.items()
        if set(names) - set(shown.get(str(placements[task_id].platform_id), ()))
    }
    if not fresh:
        return
    ids = sorted(placements[task_id].platform_id for task_id in fresh)
    stored = [row.id for row in project.platform.predictions(platform_id, ids)]
    if stored:
        project.platform.delete_predictions(stored)
    texts: dict[int, dict[str, str]] = {}
    for task_id, name in fresh.items():
        queue = sorted(
            placements[row.task_id].priority
            for row in wanted
            if row.annotator == name and row.why != GOLD and row.task_id in placements
        )
        if queue:
            spot = draw(f"{task_id}\x1f{name}", project.settings.routing.seed, "spot")
            # Behind the task at that spot: never the first, which may be open on the page already.
            texts[placements[task_id].platform_id] = {PRIORITY_FIELD: f"{queue[int(spot * len(queue))] + 0.5:g}"}
    project.platform.update_tasks(platform_id, texts)
