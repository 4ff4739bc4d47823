"""Adaptive overlap: one more person for tasks where people disagree or a label is doubted, until that is settled; and
the view of suspected errors."""

from __future__ import annotations

from collections.abc import Mapping

from adapter.stages.context import Project
from adapter.stages.flag import SECOND_LOOK
from adapter.stages.flag_people import PERSON, headline
from adapter.stages.rank import AGAIN_NOTE
from adapter.stages.review_decisions import rejected
from adapter.stages.review_project import load as load_table
from adapter.stages.route_gold import GOLD_NOTE
from adapter.stages.window import left_in_budget
from adapter.store import Placement
from adapter.vocabulary import FLAG_FIELD

SHOWN_NOTE = "flags_shown"
VIEW_NOTE = "flag_view"
ASKED_NOTE = "asked_again"
"""Task id to the overlap that it had before we asked more people. Written before the overlap is raised."""
VIEW_TITLE = "Suspected errors"


def ask_again(project: Project) -> tuple[int, int]:
    """Raise the overlap where one more person is wanted, take open seats back where nobody is wanted any more, and show
    open flags in Label Studio.

    Returns (tasks asked again, tasks whose flag was shown or taken down). One more person is asked while a consensus is
    under `people_threshold` (it then has no value), everybody who was asked has answered, `max_people` is not reached
    and the budget bears it. A seat that was opened so and is still empty closes as soon as the consensus stands. The
    share of flagged tasks is bounded by the policy, so that second looks never crowd out new tasks. Tasks that lie with
    a reviewer wait for the decision.
    """
    placements = {p.task_id: p for p in project.store.ledger.placements(project.name) if not p.gone}
    voting = project.store.annotations.voting(project.name)
    votes = {task_id: len(annotations) for task_id, annotations in voting.items()}
    in_doubt, flagged = _in_doubt(project), {**_flagged(project), **_preferred(project, votes)}
    _withdraw(project, placements, votes, {*in_doubt, *flagged})
    undecided, doubted = _undecided(project, placements, in_doubt), _doubted(project, placements, flagged)
    wanted = {t: max(undecided.get(t, 0), doubted.get(t, 0)) for t in undecided.keys() | doubted.keys()}
    elsewhere = {*load_table(project).held, *project.store.projects.notes(project.name, GOLD_NOTE).get(GOLD_NOTE, {})}
    budget = project.settings.window.budget
    left = None if budget is None else left_in_budget(project, budget)
    asked = 0
    for task_id, overlap in sorted(wanted.items()):
        placement = placements[task_id]
        more = overlap - placement.overlap
        if more <= 0 or task_id in elsewhere or (left is not None and left < more):
            continue
        _note_asked(project, task_id, placement.overlap)
        project.platform.set_overlap(placement.platform_id, overlap)
        project.store.ledger.set_overlap(project.name, task_id, overlap)
        if votes.get(task_id, 0) < overlap:
            project.store.ledger.set_done(project.name, [task_id], False)
        left = None if left is None else left - more
        asked += 1
    return asked, _show(project, placements)


def _in_doubt(project: Project) -> dict[str, int]:
    """Return the tasks of which some control has no consensus yet, with the people who answered."""
    found: dict[str, int] = {}
    for row in project.store.consensus.all(project.name):
        if row.value is None:
            found[row.task_id] = max(found.get(row.task_id, 0), len(row.support))
    return found


def _flagged(project: Project) -> dict[str, int]:
    """Return the tasks whose label is doubted, most doubtful first, with the people who had answered by then. Where two
    others contradict one person's part of it, no further person is needed: a reviewer looks."""
    found: dict[str, int] = {}
    for flag in project.store.flags.open(project.name):
        if flag.reason is SECOND_LOOK and PERSON not in flag.evidence:
            found.setdefault(flag.task_id, int(flag.evidence.get("people", 1)))
    return found


def _preferred(project: Project, votes: Mapping[str, int]) -> dict[str, int]:
    """Return the labelled tasks that the ranking's strategy would rather have labelled once more than a new one, with
    the people who have answered."""
    wanted = project.store.projects.notes(project.name, AGAIN_NOTE).get(AGAIN_NOTE) or ()
    return {task_id: votes.get(task_id, 1) for task_id in wanted}


def _undecided(project: Project, placements: Mapping[str, Placement], in_doubt: Mapping[str, int]) -> dict[str, int]:
    """Tasks without a consensus although all who were asked have answered: one more person, up to `max_people`; beyond
    it where a reviewer refused the labels."""
    most = project.settings.consolidate.max_people
    refused = rejected(project)
    return {
        task_id: people + 1
        for task_id, people in in_doubt.items()
        if task_id in placements and placements[task_id].done and (people < most or task_id in refused)
    }


def _doubted(project: Project, placements: Mapping[str, Placement], flagged: Mapping[str, int]) -> dict[str, int]:
    """Tasks with an open label issue, most doubtful first, then those that the strategy asks again, within the share
    of people's work that second looks may take."""
    most = project.settings.consolidate.max_people
    totals = project.store.annotations.totals(project.name)
    share = int(project.settings.rank.flagged_share * totals.votes)
    spent = sum(max(p.overlap - 1, 0) for p in placements.values() if not p.blind)
    there = [(task_id, people) for task_id, people in flagged.items() if task_id in placements]
    return {task_id: people + 1 for task_id, people in there[: max(share - spent, 0)] if people < most}


def _withdraw(
    project: Project, placements: Mapping[str, Placement], votes: Mapping[str, int], wanted: set[str]
) -> None:
    """Close seats that we opened and nobody took, where the doubt is gone: the overlap falls back to the number of
    answers, never below what the task asked for by itself."""
    asked: dict[str, int] = dict(project.store.projects.notes(project.name, ASKED_NOTE).get(ASKED_NOTE, {}))
    kept = dict(asked)
    for task_id, before in sorted(asked.items()):
        place = placements.get(task_id)
        if place is None or votes.get(task_id, 0) >= place.overlap > before:
            del kept[task_id]  # gone, or everybody who was asked has answered
        elif task_id not in wanted and place.overlap > before:
            overlap = max(before, votes.get(task_id, 0))
            project.platform.set_overlap(place.platform_id, overlap)
            project.store.ledger.set_overlap(project.name, task_id, overlap)
            if votes.get(task_id, 0) >= overlap:
                project.store.ledger.set_done(project.name, [task_id], True)
            del kept[task_id]
    if kept != asked:
        project.store.projects.note(project.name, ASKED_NOTE, kept or None)


def _note_asked(project: Project, task_id: str, overlap: int) -> None:
    """Keep what a task asked for before we asked more; the first time counts."""
    asked: dict[str, int] = dict(project.store.projects.notes(project.name, ASKED_NOTE).get(ASKED_NOTE, {}))
    if task_id not in asked:
        project.store.projects.note(project.name, ASKED_NOTE, {**asked, task_id: overlap})


def _show(project: Project, placements: dict[str, Placement]) -> int:
    """Write open flags into the tasks' data, where the view "Suspected errors" and its order find them; clear
    settled ones."""
    limit = project.settings.flag.max_open
    texts: dict[str, str] = {}
    for item in project.store.flags.open(project.name):
        if item.task_id in placements and item.task_id not in texts and len(texts) < limit:
            # The score first, so that the view sorts by it. What the model or others would say is not shown: it would
            # anchor.
            texts[item.task_id] = f"{item.score:.3f} {headline(item)}"
    shown: dict[str, str] = dict(project.store.projects.notes(project.name, SHOWN_NOTE).get(SHOWN_NOTE, {}))
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
