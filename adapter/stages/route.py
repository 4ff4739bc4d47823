"""Route: decide who labels which open task, and show it in Label Studio. Runs after push; idempotent and safe to kill.

What is decided is written first (`store.routed`), then shown; what was shown is noted last. A kill in between leaves a
difference between the two, which the next run shows again.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from adapter.core.routing import BY_ROUTER, Given, RoutingTask, Worker, assign, steal
from adapter.errors import FunctionsError
from adapter.routing import RouterRun, load_router
from adapter.stages.context import Project
from adapter.stages.reports import Report
from adapter.stages.route_evidence import routing_tasks, workers
from adapter.stages.route_gold import GOLD, GOLD_NOTE, GoldPlan, ask_gold, plan_gold
from adapter.stages.route_people import AWAY_NOTE, guests, present_people
from adapter.stages.route_show import SHOWN_NOTE, places_of, show
from adapter.stages.setup import require_bound, told_if_deleted
from adapter.stages.tiers import barred
from adapter.store import Placement
from adapter.vocabulary import Fault, JsonObject, Routed

OFF = "routing is off: everybody is served the one queue (`routing.enabled` in the project's settings)"
KNOWN_FAULTS = 500


@dataclass(frozen=True, slots=True)
class RouteReport(Report):
    """given: tasks given in this run, each with annotators and why. taken_back: tasks taken from people who left, or
    that nobody is needed for. moved: of the given, taken over from longer queues. gold: of the given, gold tasks.
    waiting: open seats that nobody got yet. people: queue length, tasks given today, cap, accuracy and page of each.
    away: people without a sign of life. faults: of the router, in this run. note: why nothing was done, if so."""

    way: str = ""
    given: tuple[JsonObject, ...] = ()
    taken_back: int = 0
    moved: int = 0
    gold: int = 0
    waiting: int = 0
    people: tuple[JsonObject, ...] = ()
    away: tuple[str, ...] = ()
    faults: int = 0
    note: str = ""
    seconds: float = 0.0


@dataclass
class _Scene:
    """What stands now: rows that stay, who said what, and which seats are open."""

    placements: dict[str, Placement]
    said: dict[str, dict[str, bool]]
    people: list[str]
    rows: list[Routed]
    stay: list[Routed]
    back: list[Routed]
    finished: list[Routed]
    base: dict[str, int]
    seats: dict[str, int] = field(default_factory=dict)
    taken: dict[str, set[str]] = field(default_factory=dict)


def route(project: Project, *, dry_run: bool = False, renew: bool = False) -> RouteReport:
    """Give open tasks to people by the project's routing policy.

    dry_run: decide, and change nothing. renew: put every person's view right, also those that stand already.
    """
    started = time.perf_counter()
    platform_id = require_bound(project)
    policy = project.settings.routing
    if not policy.enabled:
        back = 0 if dry_run else _stand_down(project, platform_id)
        return RouteReport(way=policy.way, taken_back=back, note=OFF, seconds=time.perf_counter() - started)
    now = project.now()
    rows = project.store.routed.of(project.name)
    scene, away = _scene(project, rows)
    finished = {(row.task_id, row.annotator) for row in scene.finished}
    rows = [replace(row, done=row.done or (row.task_id, row.annotator) in finished) for row in rows]
    day = now.date()
    gone = {(row.task_id, row.annotator) for row in scene.back}
    today = Counter(row.annotator for row in rows if row.at.date() == day and (row.task_id, row.annotator) not in gone)
    classes = any(rule.to == "good-at" for rule in policy.rules) or bool(policy.router)

    def crew(stay: Sequence[Routed], extra: Counter[str]) -> list[Worker]:
        queues = Counter(row.annotator for row in stay)
        return workers(project, scene.people, queues + extra, today + extra, classes=classes)

    people = crew(scene.stay, Counter())
    gold = plan_gold(project, people, rows, scene.placements, scene.said, scene.taken, scene.base, scene.seats)
    for task_id, name in gold.given:
        scene.taken.setdefault(task_id, set()).add(name)
    people = crew(scene.stay, Counter(name for _, name in gold.given))
    judged = bool(policy.router) or any(rule.when in ("hard", "class") or rule.to == "good-at" for rule in policy.rules)
    shown = [p for p in scene.placements.values() if not p.done]
    tasks = routing_tasks(project, shown, scene.seats, scene.taken, judged=judged)
    named, faults = _asked(project, people, [task for task in tasks.values() if task.seats > 0])
    given = assign([t for t in tasks.values() if t.seats > 0], people, policy, named=named, seed=policy.seed)
    extra = Counter(name for _, name in gold.given) + Counter(name for row in given for name in row.annotators)
    moves = steal(
        _queues(tasks, scene.stay, given),
        crew(scene.stay, extra),
        policy,
        bound={row.task_id for row in scene.stay if row.why == BY_ROUTER} | set(named),
        seed=policy.seed,
    )
    wanted = {(row.task_id, row.annotator): row for row in scene.stay}
    for task_id, name in gold.given:
        wanted[task_id, name] = Routed(task_id, name, GOLD, now)
    for one in (*given, *moves):
        wanted.pop((one.task_id, one.taken_from), None)
        for name in one.annotators:
            wanted[one.task_id, name] = Routed(one.task_id, name, one.why, now)
    before = {(row.task_id, row.annotator) for row in scene.stay}
    new = [row for pair, row in wanted.items() if pair not in before]
    taken_back = [(row.task_id, row.annotator) for row in scene.back] + sorted(before - wanted.keys())
    places = places_of(project, platform_id, scene.people)
    if not dry_run:
        _write(project, scene, gold, new, taken_back, away, faults)
        with told_if_deleted(project, platform_id):
            ask_gold(project, platform_id, scene.placements, scene.said, list(wanted.values()), gold)
            held = list(wanted.values())
            beside = guests(project, away, tasks, held)
            places = show(project, platform_id, scene.people, scene.placements, held, guests=beside, renew=renew)
    final = Counter(row.annotator for row in wanted.values())
    fresh = Counter(row.annotator for row in new)
    lost = Counter(name for _, name in before - wanted.keys())
    return RouteReport(
        way=policy.way,
        given=tuple(_told(new)),
        taken_back=len(taken_back),
        moved=sum(1 for one in moves for name in one.annotators if (one.task_id, name) in wanted),
        gold=len(gold.given),
        waiting=sum(task.seats for task in tasks.values()) - sum(len(one.annotators) for one in given),
        people=tuple(
            _person(worker, final[worker.name], today[worker.name] + fresh[worker.name] - lost[worker.name], places)
            for worker in people
        ),
        away=tuple(sorted(away)),
        faults=len(faults),
        seconds=time.perf_counter() - started,
    )


def _scene(project: Project, rows: Sequence[Routed]) -> tuple[_Scene, dict[str, str]]:
    """Return what stands, and who is away. A row stays while its person is there, has not answered, and is needed."""
    placements = {p.task_id: p for p in project.store.ledger.placements(project.name) if not p.gone}
    held = [row for row in rows if not row.done]
    watched = {row.task_id for row in held} | {p.task_id for p in placements.values() if not p.done}
    base: dict[str, int] = dict(project.store.projects.notes(project.name, GOLD_NOTE).get(GOLD_NOTE, {}))
    gold = {row.task_id for row in project.store.gold.all(project.name)} & placements.keys()
    said = project.store.annotations.said(project.name, watched | base.keys() | gold)
    finished = [row for row in held if row.annotator in said.get(row.task_id, {})]
    waiting = [row for row in held if row.annotator not in said.get(row.task_id, {})]
    people, away = present_people(project, waiting, project.now())
    outside = barred(project, placements.values(), {*people, *away, *(row.annotator for row in waiting)})
    scene = _Scene(placements, said, people, list(rows), [], [], finished, base)
    for task_id, place in placements.items():
        votes = sum(said.get(task_id, {}).values())
        asked = base.get(task_id, place.overlap)
        scene.seats[task_id] = 0 if place.done and task_id not in base else max(asked - votes, 0)
        scene.taken[task_id] = {*said.get(task_id, ()), *outside.get(task_id, ())}
    here = set(people)
    for row in waiting:
        extra = row.task_id in base and row.why == GOLD  # on top of what the task asks for by itself
        needed = row.task_id in placements and (extra or scene.seats[row.task_id] > 0)
        if row.annotator not in here or not needed or row.annotator in outside.get(row.task_id, ()):
            scene.back.append(row)
            continue
        scene.stay.append(row)
        scene.taken[row.task_id].add(row.annotator)
        if not extra:
            scene.seats[row.task_id] -= 1
    return scene, away


def _queues(
    tasks: dict[str, RoutingTask], stay: Sequence[Routed], given: Sequence[Given]
) -> dict[str, list[RoutingTask]]:
    """Return who holds which tasks that others may take over: all but gold tasks."""
    queues: dict[str, list[RoutingTask]] = defaultdict(list)
    fresh = {one.task_id: one.annotators for one in given}
    for row in stay:
        if row.why != GOLD and row.task_id in tasks:
            queues[row.annotator].append(_held(tasks[row.task_id], fresh))
        else:
            queues.setdefault(row.annotator, [])
    for one in given:
        for name in one.annotators:
            queues[name].append(_held(tasks[one.task_id], fresh))
    return queues


def _held(task: RoutingTask, fresh: dict[str, tuple[str, ...]]) -> RoutingTask:
    return replace(task, taken=task.taken | set(fresh.get(task.task_id, ())))


def _asked(
    project: Project, people: Sequence[Worker], tasks: Sequence[RoutingTask]
) -> tuple[dict[str, tuple[str, ...]], list[Fault]]:
    """Return what the project's router chose for each task, and the faults it left. It is not asked when nobody has
    room."""
    policy = project.settings.routing
    room = any(worker.queue < policy.ahead and worker.left_today >= 1 for worker in people)
    if not policy.router or not tasks or not room:
        return {}, []
    source, now = f"router {policy.router}", project.now()
    try:
        found = load_router(policy.router, base=project.config)
    except FunctionsError as error:
        return {}, [Fault(source, "", "route", None, str(error), now)]
    chosen: dict[str, tuple[str, ...]] = {}
    key = f"{project.name}\x1f{policy.router}\x1f{found.version}"
    with RouterRun(found, people, timeout_s=policy.router_s, key=key) as run:
        for task in sorted(tasks, key=lambda task: (task.priority, task.task_id)):
            names = run.ask(task)
            if names is not None:
                chosen[task.task_id] = names
    return chosen, [
        Fault(source, found.version, "route", task_id or None, message, now) for task_id, message in run.faults
    ]


def _write(
    project: Project,
    scene: _Scene,
    gold: GoldPlan,
    new: Sequence[Routed],
    taken_back: Sequence[tuple[str, str]],
    away: dict[str, str],
    faults: Sequence[Fault],
) -> None:
    """Write what was decided, before anything is shown."""
    store, name = project.store, project.name
    if faults:
        recent = {(f.source, f.task_id, f.message) for f in store.faults.recent(name, limit=KNOWN_FAULTS)}
        store.faults.add(name, [f for f in faults if (f.source, f.task_id, f.message) not in recent])
    notes = store.projects.notes(name)
    if notes.get(AWAY_NOTE, {}) != away:
        store.projects.note(name, AWAY_NOTE, away or None)
        detail = {"away": sorted(away), "before": sorted(notes.get(AWAY_NOTE, {}))}
        store.audit.append(name, "adapter", "annotators away", detail, project.now())
    if gold.base != notes.get(GOLD_NOTE, {}):
        store.projects.note(name, GOLD_NOTE, gold.base or None)
    store.ledger.intend(name, gold.intents)
    store.routed.finish(name, [(row.task_id, row.annotator) for row in scene.finished])
    store.routed.withdraw(name, taken_back)
    store.routed.give(name, new)


def _stand_down(project: Project, platform_id: int) -> int:
    """Take everything back after routing was switched off; return how many tasks people held."""
    held = [(row.task_id, row.annotator) for row in project.store.routed.of(project.name) if not row.done]
    notes = project.store.projects.notes(project.name)
    if not held and SHOWN_NOTE not in notes:
        return 0
    project.store.routed.withdraw(project.name, held)
    placements = {p.task_id: p for p in project.store.ledger.placements(project.name) if not p.gone}
    base: dict[str, int] = dict(notes.get(GOLD_NOTE, {}))
    with told_if_deleted(project, platform_id):
        said = project.store.annotations.said(project.name, base.keys())
        ask_gold(project, platform_id, placements, said, [], GoldPlan(base=base))
        show(project, platform_id, [], placements, [])
    for key in (GOLD_NOTE, AWAY_NOTE):
        project.store.projects.note(project.name, key, None)
    return len(held)


def _told(rows: Sequence[Routed]) -> list[JsonObject]:
    by_task: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        by_task[row.task_id, row.why].append(row.annotator)
    return [
        {"task": task_id, "annotators": sorted(names), "why": why} for (task_id, why), names in sorted(by_task.items())
    ]


def _person(worker: Worker, queue: int, today: int, places: dict[str, str]) -> JsonObject:
    return {
        "name": worker.name,
        "queue": queue,
        "today": today,
        "cap": worker.cap,
        "accuracy": None if worker.skill is None else round(worker.skill.accuracy, 4),
        "judged": 0 if worker.skill is None else worker.skill.n,
        "tiers": list(worker.tiers),
        "page": places.get(worker.name, ""),
    }
