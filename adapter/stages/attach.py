"""Attach: adopt a Label Studio project that exists, without disturbing it (it is only read)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from adapter.errors import PlatformRejected
from adapter.ports import PlatformTask
from adapter.readers import content_digest
from adapter.stages.context import Project
from adapter.stages.reports import AttachReport
from adapter.stages.setup import require_same_labels
from adapter.store import Intent, NewRow
from adapter.vocabulary import FLAG_FIELD, PRIORITY_FIELD, REASON_FIELD, TASK_KEY_FIELD

OURS = frozenset({TASK_KEY_FIELD, REASON_FIELD, PRIORITY_FIELD, FLAG_FIELD})
BATCH = 1000


def attach(project: Project, platform_id: int) -> AttachReport:
    """Bind to Label Studio project `platform_id`, take its tasks into the pool and its annotations into the store.

    Raises LabelConfigError when its labels are not ours, PlatformRejected when we are bound to another project.
    """
    from adapter.stages.pull import pull

    there = project.platform.project(platform_id)
    require_same_labels(project.space, there)
    row = project.store.projects.ensure(project.name, project.space.digest)
    if row.platform_id not in (None, platform_id):
        raise PlatformRejected(
            f"project '{project.name}' is bound to Label Studio project {row.platform_id} already",
            remedy="Use another project name for this one, or detach with `hitl attach --new`.",
        )
    tasks = new = 0
    source = iter(project.platform.tasks(platform_id))
    while batch := list(islice(source, BATCH)):
        tasks += len(batch)
        new += adopt_tasks(project, batch)
    if row.platform_id is None:
        project.store.projects.bind(project.name, platform_id)
        project.store.audit.append(
            project.name, "adapter", "attached", {"platform_id": platform_id, "tasks": tasks}, project.now()
        )
    pull(project, whole=True)
    totals = project.store.annotations.totals(project.name)
    notes: tuple[str, ...] = ()
    if project.settings.mode == "window":
        notes = (
            "Tasks of the pool that are already there count as pushed; set `mode: in-place` to order them by score.",
        )
    return AttachReport(platform_id, there.title, tasks, new, totals.votes, notes)


def detach(project: Project) -> None:
    """Forget the binding: the next set-up makes a new project. Nothing in Label Studio or of people's work is
    deleted."""
    placements = [p.platform_id for p in project.store.ledger.placements(project.name) if not p.gone]
    project.store.ledger.mark_gone(project.name, placements)
    project.store.projects.bind(project.name, None)
    project.store.projects.set_mark(project.name, None)
    project.store.rankings.replace(project.name, [], "detached")  # it was made of tasks that were free then
    project.store.audit.append(project.name, "adapter", "detached", {"placements": len(placements)}, project.now())


def adopt_tasks(project: Project, tasks: Sequence[PlatformTask]) -> int:
    """Enter platform tasks into pool and ledger; return how many were new to the pool. A task that carries our key
    keeps it."""
    rows, places, skip = [], {}, project.settings.data.exclude
    for task in tasks:
        data = {key: value for key, value in task.data.items() if key not in OURS and key not in skip}
        column = project.settings.data.id_column
        key = task.key or (str(data[column]) if column and data.get(column) not in (None, "") else f"ls-{task.id}")
        subgroup = {name: str(data[name]) for name in project.settings.data.subgroups if name in data}
        rows.append(
            NewRow(
                id=key,
                data=data,
                content=content_digest(data, {column} if column else ()),
                subgroup=subgroup,
                line=task.id,
            )
        )
        places[key] = task
    if not rows:
        return 0
    added = project.store.tasks.add(project.name, rows, blind=project.is_blind)
    known = {task.id: task for task in project.store.tasks.get(project.name, list(places))}
    start = len(project.store.ledger.placements(project.name))
    intents = [
        Intent(key, start + number, "", places[key].overlap, known[key].blind)
        for number, key in enumerate(places, start=1)
        if key in known
    ]
    project.store.ledger.intend(project.name, intents)
    project.store.ledger.landed(project.name, {intent.task_id: places[intent.task_id].id for intent in intents})
    return added.new
