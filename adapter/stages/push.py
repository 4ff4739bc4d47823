"""Push: top up the work window in Label Studio, with pre-labels, in priority order. Idempotent: intent, effect, landed.

A kill between the three leaves an intent, which the next push completes by looking up what really landed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from adapter.errors import PlatformRejected
from adapter.ports import Floats, NewPrediction, NewTask, PlatformProject
from adapter.stages.asks import ask_again
from adapter.stages.context import Project
from adapter.stages.evidence import Answers, Judge, current_judge, prelabel, weak_probabilities
from adapter.stages.progress import advice
from adapter.stages.rank import rank
from adapter.stages.reports import PushReport
from adapter.stages.route_gold import GOLD_NOTE
from adapter.stages.setup import setup, told_if_deleted
from adapter.stages.tiers import move, stand
from adapter.stages.window import left_in_budget, open_placements, reserve
from adapter.store import Intent, Placement
from adapter.vocabulary import PRIORITY_FIELD, REASON_FIELD, TASK_KEY_FIELD, Fault, Ranked, Task

BATCH = 1000


def push(project: Project, *, connect: bool = False) -> PushReport:
    """Complete interrupted pushes, top up the window, store missing pre-labels, switch the model version, ask again."""
    started = time.perf_counter()
    platform_id = project.platform_id
    if platform_id is None:
        platform_id = setup(project, connect=connect).platform_id
    with told_if_deleted(project, platform_id):
        stand(project, platform_id)
        there = project.platform.project(platform_id)
    moved = move(project, platform_id)
    reconciled = reconcile(project, platform_id) - moved
    note = ""
    pushed = 0
    if project.settings.mode == "window":
        pushed, note = _top_up(project, platform_id)
    else:
        _order_by_score(project, there)
    asked, flagged = ask_again(project)  # first: what is opened again gets its pre-label too
    prelabelled, version = prelabel_open(project, there)
    return PushReport(
        pushed=pushed,
        reconciled=reconciled,
        prelabelled=prelabelled,
        version=version,
        asked=asked,
        flagged=flagged,
        open=len(open_placements(project)),
        moved=moved,
        note=note,
        seconds=time.perf_counter() - started,
    )


def reconcile(project: Project, platform_id: int) -> int:
    """Complete a push that was interrupted: what landed is noted, surplus copies go, the rest is sent now."""
    pending = project.store.ledger.pending(project.name)
    if not pending:
        return 0
    found = project.platform.find_tasks(platform_id, [intent.task_id for intent in pending])
    surplus = [place for places in found.values() for place in places[1:]]
    if surplus:
        project.platform.delete_tasks(platform_id, surplus)
    project.store.ledger.landed(project.name, {key: places[0] for key, places in found.items()})
    _send(project, platform_id, [intent for intent in pending if intent.task_id not in found])
    return len(pending)


def _top_up(project: Project, platform_id: int) -> tuple[int, str]:
    """Push the next tasks of the ranking if the window has drained; return how many, and why none if none."""
    window = project.settings.window
    waiting = open_placements(project)
    if len(waiting) >= max(window.low_water, 1):
        return 0, f"{len(waiting)} tasks are open, the low-water mark is {window.low_water}"
    room = window.size - len(waiting)
    if window.budget is not None:
        room = min(room, left_in_budget(project, window.budget) - reserve(project, window.budget))
        if room <= 0:
            return 0, f"the budget of {window.budget} annotations is spent or given out"
    if project.settings.stop.act == "pause":
        stop = advice(project)
        if stop.stop:
            return 0, f"no new tasks (stop.act: pause): {stop.why}"
    rows, failed = _fresh(project, room)
    if not rows:
        return 0, "every task of the pool has been pushed, labelled, or is a copy of one that was"
    start = max((p.priority for p in project.store.ledger.placements(project.name)), default=0)
    intents = [
        Intent(row.task_id, start + n, row.reason, row.overlap, row.blind) for n, row in enumerate(rows, start=1)
    ]
    if window.budget is not None:
        intents = _within(intents, room)
    project.store.ledger.intend(project.name, intents)
    _send(project, platform_id, intents)
    return len(intents), failed


def _fresh(project: Project, room: int) -> tuple[list[Ranked], str]:
    """Return the next `room` rows of the ranking that were not pushed yet; rank anew when it runs dry. Where that
    fails, return the rows that are left, and why it failed; raise what it raised where none are."""
    placed = {p.task_id for p in project.store.ledger.placements(project.name) if not p.gone}

    def waiting() -> list[Ranked]:
        return [row for row in project.store.rankings.current(project.name) if row.task_id not in placed]

    rows = waiting()
    if len(rows) >= room:
        return rows[:room], ""
    try:
        rank(project)
    except Exception as error:  # of the author's strategy, functions or backend: people go on with the old order
        if not rows:
            raise
        return rows, f"the ranking failed, these are the last tasks of the one before: {error}"
    return waiting()[:room], ""


def _within(intents: list[Intent], left: int) -> list[Intent]:
    """Keep intents while their overlaps fit in what is left of the budget."""
    kept = []
    for intent in intents:
        if intent.overlap <= left:
            kept.append(intent)
            left -= intent.overlap
    return kept


def _send(project: Project, platform_id: int, intents: Sequence[Intent]) -> None:
    for start in range(0, len(intents), BATCH):
        batch = intents[start : start + BATCH]
        tasks = {task.id: task for task in project.store.tasks.get(project.name, [intent.task_id for intent in batch])}
        new = [
            NewTask(
                key=intent.task_id,
                data={
                    **project.media.present(tasks[intent.task_id].data),
                    TASK_KEY_FIELD: intent.task_id,
                    REASON_FIELD: intent.reason,
                    PRIORITY_FIELD: intent.priority,
                },
                overlap=intent.overlap,
            )
            for intent in batch
            if intent.task_id in tasks
        ]
        project.store.ledger.landed(project.name, project.platform.import_tasks(platform_id, new))


def prelabel_open(project: Project, there: PlatformProject) -> tuple[int, str | None]:
    """Store a pre-label for every open task that may have one, then switch the project to that version.

    Blind tasks never get one, nor do gold tasks while they measure somebody. All predictions of a version are in
    before the switch, so switching back is one call.
    """
    current = project.store.models.current(project.name)
    waiting = open_placements(project)
    tasks = {task.id: task for task in project.store.tasks.get(project.name, [p.task_id for p in waiting])}
    measured = project.store.projects.notes(project.name, GOLD_NOTE).get(GOLD_NOTE, {})
    visible = [p for p in waiting if not p.blind and p.task_id in tasks and p.task_id not in measured]
    weak = {} if current is not None else _weak(project)
    version = current.version if current is not None else next(reversed([v for v, _ in weak.values()]), None)
    if version is None:
        return 0, None
    stored = project.store.ledger.predicted(project.name, version)
    missing = [placement for placement in visible if placement.task_id not in stored]
    created = 0
    if missing:  # a model is loaded, and asked, about these alone: its answers may take long, or cost money
        asked = [tasks[placement.task_id] for placement in missing]
        judge = current_judge(project) if current is not None else None
        if judge is not None and judge.version != version:
            return 0, None  # another one was promoted this moment: the next push shows it
        answers = _answers(judge, weak, asked)
        created = _store_predictions(project, there.id, version, [(p, row) for row, p in enumerate(missing)], answers)
    if created and project.tiers.ids:  # a tier's first pre-labels are shown after a switch of their own
        there = project.platform.project(there.id)
    if project.settings.mode == "in-place":
        created += _blind_in_place(project, there.id, version, [p for p in waiting if p.blind])
    # It refuses a version that has no predictions (all open tasks blind, say); then the next push switches.
    if there.model_version != version and project.platform.prediction_versions(there.id).get(version):
        project.platform.configure(there.id, model_version=version)
        project.store.audit.append(
            project.name, "adapter", "model version shown", {"from": there.model_version, "to": version}, project.now()
        )
    return created, version


def _weak(project: Project) -> dict[str, tuple[str, Floats]]:
    """Return control to the version of its weak labels and these, over the pool: what is shown before any model."""
    found = {control.name: weak_probabilities(project, control) for control in project.learned}
    return {name: weak for name, weak in found.items() if weak is not None}


def _answers(judge: Judge | None, weak: Mapping[str, tuple[str, Floats]], tasks: Sequence[Task]) -> Answers:
    """Return what the model, else the weak labels, say of these tasks."""
    if judge is not None:
        return judge.answers([task.data for task in tasks])
    return Answers({name: column[[task.seq for task in tasks]] for name, (_, column) in weak.items()})


def _store_predictions(
    project: Project,
    platform_id: int,
    version: str,
    missing: Sequence[tuple[Placement, int]],
    answers: Answers,
) -> int:
    """Import predictions for these placements; those that landed before a kill are found and not sent again."""
    pending = set(project.store.ledger.pending_predictions(project.name, version))
    there = {p.platform_id for p, _ in missing if p.task_id in pending}
    landed_before = set()
    if there:
        landed_before = {
            row.task_id
            for row in project.platform.predictions(platform_id, sorted(there))
            if row.model_version == version
        }
    new: list[NewPrediction] = []
    owners: list[str] = []
    for placement, row in missing:
        owners.append(placement.task_id)
        if placement.platform_id in landed_before:
            continue
        made = prelabel(project.space, answers, row)
        if made is not None:
            new.append(NewPrediction(placement.platform_id, tuple(made[0]), made[1], version))
    project.store.ledger.intend_predictions(project.name, version, owners)
    created = project.platform.import_predictions(platform_id, new) if new else 0
    if created != len(new):
        message = f"Label Studio stored {created} of {len(new)} predictions of {version}"
        project.store.faults.add(project.name, [Fault("Label Studio", version, "push", None, message, project.now())])
        raise PlatformRejected(
            message,
            where=f"Label Studio project {platform_id}",
            remedy="Run `hitl doctor`: it compares both label configs. The next push looks up what is missing.",
        )
    project.store.ledger.landed_predictions(project.name, version, owners)
    return created


def _order_by_score(project: Project, there: PlatformProject) -> None:
    """In-place mode: let Label Studio serve the least certain first."""
    if there.sampling != "Uncertainty sampling":
        project.platform.configure(there.id, sampling="Uncertainty sampling")
        project.store.audit.append(
            project.name, "adapter", "sampling", {"from": there.sampling, "to": "Uncertainty sampling"}, project.now()
        )


def _blind_in_place(project: Project, platform_id: int, version: str, blind: Sequence[Placement]) -> int:
    """Give blind tasks of an in-place project an empty prediction, so that the order by score reaches them; nothing
    is shown.

    Their scores are spread evenly by a seeded draw, so that a blind task comes at any time.
    """
    stored = project.store.ledger.predicted(project.name, version)
    missing = [p for p in blind if p.task_id not in stored]
    if not missing:
        return 0
    pending = set(project.store.ledger.pending_predictions(project.name, version))
    asked = [p.platform_id for p in missing if p.task_id in pending]
    there = {row.task_id for row in project.platform.predictions(platform_id, asked)} if asked else set()
    draw = np.random.default_rng(project.settings.blind.seed).random(len(missing))
    new = [
        NewPrediction(p.platform_id, (), float(score), version)
        for p, score in zip(missing, draw, strict=True)
        if p.platform_id not in there
    ]
    names = [p.task_id for p in missing]
    project.store.ledger.intend_predictions(project.name, version, names)
    created = project.platform.import_predictions(platform_id, new)
    project.store.ledger.landed_predictions(project.name, version, names)
    return created
