"""Adopting tasks that stand in Label Studio already: into the pool and the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from adapter.ports import PlatformTask
from adapter.readers import content_digest
from adapter.stages.context import Project
from adapter.store import Intent, NewRow
from adapter.vocabulary import OUR_FIELDS


def adopt_tasks(project: Project, tasks: Sequence[PlatformTask]) -> int:
    """Enter platform tasks into pool and ledger; return how many were new to the pool. A task that carries our key
    keeps it."""
    rows, places, skip = [], {}, project.settings.data.exclude
    for task in tasks:
        data = {key: value for key, value in task.data.items() if key not in OUR_FIELDS and key not in skip}
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
