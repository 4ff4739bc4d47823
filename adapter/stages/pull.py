"""Pull: people's annotations from Label Studio into the store, by high-water mark. Polling is the truth."""

from __future__ import annotations

import time
from collections.abc import Sequence

from adapter.errors import LabelError
from adapter.kinds import kind_of
from adapter.kinds.dependence import visible
from adapter.ports import PlatformAnnotation, PlatformTask
from adapter.stages.adopt import adopt_tasks
from adapter.stages.context import Project
from adapter.stages.reports import PullReport
from adapter.stages.setup import require_bound, told_if_deleted
from adapter.vocabulary import Annotation, Fault, Value

FOREIGN = "foreign_tasks"
STRAYS_NOTE = (
    "annotations of tasks that our pool does not hold: {count}; they are kept aside and count nowhere. To adopt tasks "
    "that others made in Label Studio, set `mode: in-place` and run `hitl pull --whole`."
)


def pull(project: Project, *, whole: bool = False) -> PullReport:
    """Fetch what changed since the last pull and record it. whole: forget the mark and look at everything again.

    Created, changed, deleted, skipped and bulk annotations are all seen, because each changed task comes whole. The
    mark moves after the annotations are recorded, so a kill in between only repeats work.
    """
    started = time.perf_counter()
    platform_id = require_bound(project)
    row = project.store.projects.get(project.name)
    mark = None if whole or row is None else row.mark
    with told_if_deleted(project, platform_id):
        changes = project.platform.changes(platform_id, mark)
    adopted = _adopt_foreign(project, changes.tasks) if project.settings.mode == "in-place" else 0
    owners = owners_of(project, changes.tasks)
    strays, faults = 0, []
    by_task: dict[str, list[Annotation]] = {}
    for task in changes.tasks:
        owner = owners.get(task.id)
        if owner is None:
            for annotation in task.annotations:
                project.store.annotations.stray(
                    project.name,
                    task.id,
                    annotation.id,
                    {"result": list(annotation.result), "annotator": annotation.annotator},
                    "its task is not in our pool",
                )
                strays += 1
            continue
        read = [_read(project, owner, annotation) for annotation in task.annotations]
        by_task[owner] = [annotation for annotation, _ in read]
        faults += [fault for _, found in read for fault in found]
    if faults:
        project.store.faults.add(project.name, faults)
    change = project.store.annotations.record_many(project.name, by_task)
    settle(project, by_task)
    if changes.mark != mark:
        project.store.projects.set_mark(project.name, changes.mark)
    gone, lost_votes = _notice_deleted_tasks(project, platform_id)
    return PullReport(
        tasks=len(changes.tasks),
        created=change.created,
        changed=change.changed,
        deleted=change.deleted + lost_votes,
        strays=strays,
        gone=gone,
        adopted=adopted,
        seconds=time.perf_counter() - started,
        note=STRAYS_NOTE.format(count=strays) if strays else "",
    )


def owners_of(project: Project, tasks: Sequence[PlatformTask]) -> dict[int, str]:
    """Return platform id to our task id: by the ledger, else by the key in the data if the pool knows it."""
    owners = project.store.ledger.task_ids(project.name, [task.id for task in tasks])
    keyed = {task.id: task.key for task in tasks if task.id not in owners and task.key is not None}
    if keyed:
        known = {task.id for task in project.store.tasks.get(project.name, list(keyed.values()))}
        owners |= {place: key for place, key in keyed.items() if key in known}
    return owners


def _adopt_foreign(project: Project, tasks: Sequence[PlatformTask]) -> int:
    owners = owners_of(project, tasks)
    return adopt_tasks(project, [task for task in tasks if task.id not in owners])


def _read(project: Project, task_id: str, raw: PlatformAnnotation) -> tuple[Annotation, list[Fault]]:
    """Parse one annotation. A control that cannot be read abstains and leaves a fault; the raw result is kept whole."""
    values: dict[str, Value] = {}
    faults: list[Fault] = []
    for control in project.space.controls:
        try:
            value = kind_of(control.kind).read(control, raw.result)
        except LabelError as error:
            message = f"annotation {raw.id} by {raw.annotator}: {error}"
            faults.append(Fault(raw.annotator, "", "pull", task_id, message, project.now()))
            continue
        if value is not None:
            values[control.name] = value
    # What the page did not show was not answered: "nothing chosen" there is no vote.
    values = {
        name: value for name, value in values.items() if visible(project.space, project.space.control(name), values)
    }
    annotation = Annotation(
        id=raw.id,
        task_id=task_id,
        annotator=raw.annotator,
        values=values,
        result=raw.result,
        created_at=raw.created_at,
        updated_at=raw.updated_at,
        lead_time=raw.lead_time,
        cancelled=raw.cancelled,
        ground_truth=raw.ground_truth,
        shown=raw.prediction,
    )
    return annotation, faults


def settle(project: Project, by_task: dict[str, list[Annotation]]) -> None:
    """Note which placed tasks need nobody any more: enough votes, or skipped by somebody (people are not asked to
    skip twice before the window may be topped up)."""
    if not by_task:
        return
    overlap = {p.task_id: p.overlap for p in project.store.ledger.placements(project.name)}
    done: list[str] = []
    open_again: list[str] = []
    for task_id, said in by_task.items():
        votes = sum(annotation.votes for annotation in said)
        skipped = any(annotation.cancelled and annotation.deleted_at is None for annotation in said)
        (done if votes >= overlap.get(task_id, 1) or skipped else open_again).append(task_id)
    project.store.ledger.set_done(project.name, done, True)
    project.store.ledger.set_done(project.name, open_again, False)


def _notice_deleted_tasks(project: Project, platform_id: int) -> tuple[int, int]:
    """Mark tasks that vanished from Label Studio. Only looks at ids when the counts differ, so it costs one small
    call."""
    alive = {p.platform_id: p.task_id for p in project.store.ledger.placements(project.name) if not p.gone}
    foreign = int(project.store.projects.notes(project.name, FOREIGN).get(FOREIGN, 0))
    count = project.platform.project(platform_id).task_count
    if count == len(alive) + foreign:
        return 0, 0
    there = project.platform.task_ids(platform_id)
    # An import may be under way: tasks that are there and not in the ledger yet count as foreign until they land.
    project.store.projects.note(project.name, FOREIGN, len(there - set(alive)))
    missing = [place for place in alive if place not in there]
    if not missing:
        return 0, 0
    project.store.ledger.mark_gone(project.name, missing)
    change = project.store.annotations.record_many(project.name, {alive[place]: [] for place in missing})
    project.store.audit.append(
        project.name,
        "Label Studio",
        "tasks deleted",
        {"tasks": [alive[place] for place in missing][:1000], "count": len(missing)},
        project.now(),
    )
    return len(missing), change.deleted
