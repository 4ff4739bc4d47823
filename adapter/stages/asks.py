"""Asking again: one more person for tasks where people disagree or a label is doubted, and the view of suspected
errors."""

from __future__ import annotations

from adapter.stages.context import Project
from adapter.stages.flag import SECOND_LOOK
from adapter.stages.window import left_in_budget
from adapter.store import Placement
from adapter.vocabulary import FLAG_FIELD

SHOWN_NOTE = "flags_shown"
VIEW_NOTE = "flag_view"
VIEW_TITLE = "Suspected errors"


def ask_again(project: Project) -> tuple[int, int]:
    """Raise the overlap where one more person is wanted, and show open flags in Label Studio.

    Returns (tasks asked again, tasks whose flag was shown or taken down). The share of flagged tasks is bounded by the
    policy, so that second looks never crowd out new tasks, and a task never asks more people than `max_people`.
    """
    placements = {p.task_id: p for p in project.store.ledger.placements(project.name) if not p.gone}
    wanted = _undecided(project, placements) | _doubted(project, placements)
    asked = 0
    voting = project.store.annotations.voting(project.name)
    for task_id, overlap in sorted(wanted.items()):
        placement = placements[task_id]
        if overlap <= placement.overlap or not _affordable(project):
            continue
        project.platform.set_overlap(placement.platform_id, overlap)
        project.store.ledger.set_overlap(project.name, task_id, overlap)
        if len(voting.get(task_id, ())) < overlap:
            project.store.ledger.set_done(project.name, [task_id], False)
        asked += 1
    return asked, _show(project, placements)


def _undecided(project: Project, placements: dict[str, Placement]) -> dict[str, int]:
    """Tasks without a consensus although all who were asked have answered: one more person, up to `max_people`."""
    most = project.settings.consolidate.max_people
    wanted: dict[str, int] = {}
    for row in project.store.consensus.all(project.name):
        place = placements.get(row.task_id)
        if row.value is None and place is not None and place.done and len(row.support) < most:
            wanted[row.task_id] = max(wanted.get(row.task_id, 0), len(row.support) + 1)
    return wanted


def _doubted(project: Project, placements: dict[str, Placement]) -> dict[str, int]:
    """Tasks with an open label issue, most doubtful first, within the share of people's work that second looks may
    take."""
    most = project.settings.consolidate.max_people
    flags = [f for f in project.store.flags.open(project.name) if f.reason is SECOND_LOOK and f.task_id in placements]
    totals = project.store.annotations.totals(project.name)
    share = int(project.settings.rank.flagged_share * totals.votes)
    spent = sum(max(p.overlap - 1, 0) for p in placements.values() if not p.blind)
    wanted: dict[str, int] = {}
    for item in flags[: max(share - spent, 0)]:
        people = int(item.evidence.get("people", 1))
        if people < most:
            wanted[item.task_id] = people + 1
    return wanted


def _affordable(project: Project) -> bool:
    """Whether the budget bears one more annotation."""
    budget = project.settings.window.budget
    return budget is None or left_in_budget(project, budget) > 0


def _show(project: Project, placements: dict[str, Placement]) -> int:
    """Write open flags into the tasks' data, where the view "Suspected errors" and its order find them; clear
    settled ones."""
    limit = project.settings.flag.max_open
    texts: dict[str, str] = {}
    for item in project.store.flags.open(project.name):
        if item.task_id in placements and item.task_id not in texts and len(texts) < limit:
            # The score first, so that the view sorts by it. What the model would say is not shown: it would anchor.
            texts[item.task_id] = f"{item.score:.3f} {item.reason}"
    shown: dict[str, str] = dict(project.store.projects.notes(project.name).get(SHOWN_NOTE, {}))
    changes = {task_id: text for task_id, text in texts.items() if shown.get(task_id, "")[5:] != text[5:]}
    changes |= {task_id: "" for task_id in shown if task_id not in texts and task_id in placements}
    if not changes:
        return 0
    platform_id = project.platform_id
    if platform_id is not None and VIEW_NOTE not in project.store.projects.notes(project.name):
        view = project.platform.ensure_view(platform_id, VIEW_TITLE, FLAG_FIELD, "Why doubted")
        project.store.projects.note(project.name, VIEW_NOTE, view)
    for task_id, text in sorted(changes.items()):
        project.platform.update_task_data(placements[task_id].platform_id, {FLAG_FIELD: text})
        shown[task_id] = text
        if not text:
            del shown[task_id]
    project.store.projects.note(project.name, SHOWN_NOTE, shown)
    return len(changes)
