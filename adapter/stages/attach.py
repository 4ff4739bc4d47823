"""Attach: adopt a Label Studio project that exists, without disturbing it (it is only read)."""

from __future__ import annotations

from itertools import islice

from adapter.errors import PlatformRejected
from adapter.stages.adopt import adopt_tasks
from adapter.stages.context import Project
from adapter.stages.pull import pull
from adapter.stages.reports import AttachReport
from adapter.stages.setup import require_same_labels

BATCH = 1000


def attach(project: Project, platform_id: int) -> AttachReport:
    """Bind to Label Studio project `platform_id`, take its tasks into the pool and its annotations into the store.

    Raises LabelConfigError when its labels are not ours, PlatformRejected when we are bound to another project.
    """
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
