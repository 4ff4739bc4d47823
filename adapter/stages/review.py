"""Review: experts look again at labels that need it, in a Label Studio project of their own beside the project.

There a reviewer submits the proposed labels unchanged (accept), changes them (correct), or skips (reject). People's
annotations stay as they are; a decision that stands outranks them in the consensus (`expert_votes`), and one that is
changed or deleted in Label Studio changes or loses its effect.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from adapter.core.review_queue import Queued, review_queue, taken
from adapter.ports import PlatformTask
from adapter.stages import review_project
from adapter.stages.context import Project
from adapter.stages.gold import keep_adjudicated, keep_ground_truth
from adapter.stages.reports import Report
from adapter.stages.review_candidates import basis, candidates, shown
from adapter.stages.review_decisions import decisions_of, expert_votes, rejected, standing
from adapter.stages.review_project import Entry, Table
from adapter.vocabulary import Consensus, Decision, Fault, FlagReason, Review

__all__ = ["ReviewReport", "expert_votes", "rejected", "review", "standing"]

_SETTLED_FLAGS = (FlagReason.LABEL_ISSUE, FlagReason.LOW_AGREEMENT)


@dataclass(frozen=True, slots=True)
class ReviewReport(Report):
    """platform_id: the review project in Label Studio, None without one. pushed: tasks laid on the reviewers' table.
    withdrawn: tasks taken off it because they were settled otherwise. decided: new or changed decisions by what they
    are. undone: decisions that reviewers deleted. open: tasks that wait for a reviewer. waiting: tasks that belong in
    review beyond the table's size. gold: gold labels that changed. note: why nothing was done, if so."""

    platform_id: int | None
    pushed: int
    withdrawn: int
    decided: dict[str, int]
    undone: int
    open: int
    waiting: int
    gold: int
    note: str
    seconds: float

    @property
    def moved(self) -> bool:
        """Whether the consensus may have changed."""
        return bool(self.decided or self.undone or self.gold)


def review(project: Project) -> ReviewReport:
    """Fetch reviewers' decisions, settle what follows of them, and fill their table. Safe to repeat and to kill.

    Raises what the platform raises, and LabelConfigError when somebody changed the review project's labels.
    """
    started = time.perf_counter()
    gold = keep_ground_truth(project)
    policy = project.settings.review
    note = ""
    if not policy.enabled:
        note = "review is off in the project's settings (`review.enabled`)"
    elif project.platform_id is None:
        note = "the project is not in Label Studio yet"
    if note:
        return ReviewReport(None, 0, 0, {}, 0, 0, 0, gold, note, time.perf_counter() - started)
    table, platform_id = review_project.ensure(project, review_project.load(project))
    review_project.reconcile(project, table, platform_id)
    decided, undone = _take(project, table, platform_id)
    _settle_flags(project)
    rows = project.store.consensus.all(project.name)
    found = _queue(project, table, rows)
    if found is not None and _leave(table, found[1]):
        # Deleting a task deletes what a reviewer said of it: look once more, right before.
        late, lost = _take(project, table, platform_id)
        if late or lost:
            decided, undone = decided + late, undone + lost
            _settle_flags(project)
            found = _queue(project, table, rows)
    gold += keep_adjudicated(project)
    pushed, withdrawn = (0, 0) if found is None else _lay(project, table, platform_id, rows, *found)
    return ReviewReport(
        platform_id=platform_id,
        pushed=pushed,
        withdrawn=withdrawn,
        decided=dict(sorted(decided.items())),
        undone=undone,
        open=len(table.entries),
        waiting=table.waiting,
        gold=gold,
        note="",
        seconds=time.perf_counter() - started,
    )


def _take(project: Project, table: Table, platform_id: int) -> tuple[Counter[str], int]:
    """Record what reviewers did since the last time; return decisions by what they are, and how many were undone."""
    changes = project.platform.changes(platform_id, table.mark)
    by_place: dict[int, list[Review]] = {}
    faults: list[Fault] = []
    allowed = set(project.settings.review.reviewers)
    before = project.store.reviews.at_places(project.name, [task.id for task in changes.tasks])
    in_pool = _known(project, changes.tasks)
    at_place = {entry.place: entry for entry in table.entries.values()}
    for task in changes.tasks:
        entry = at_place.get(task.id)
        known = before.get(task.id, [])
        owner = entry.task_id if entry else known[-1].task_id if known else task.key
        if owner is None or (entry is None and not known and owner not in in_pool):
            continue  # somebody's own task: it is none of ours
        proposed = entry.proposed if entry else {row.control: row.proposed for row in known if row.proposed is not None}
        why = entry.why if entry else known[-1].why if known else "found in Label Studio"
        rows: list[Review] = []
        for annotation in task.annotations:
            made, bad = decisions_of(project, owner, annotation, proposed, why)
            rows += made
            faults += bad
        by_place[task.id] = rows
        settled = any(not allowed or row.reviewer in allowed for row in rows)
        if entry is not None and settled:
            del table.entries[entry.key]
        elif entry is not None and task.annotations and task.overlap <= len(task.annotations):
            entry.touched = True  # by somebody who may not decide: the page must go on serving it
            project.platform.set_overlap(task.id, len(task.annotations) + 1)
        elif entry is None and not settled and task.key is not None:
            table.entries[task.key] = Entry(task.key, owner, why, "", task.id, dict(proposed))
    gone = _deleted(project, table, platform_id)
    recorded = project.store.reviews.record_places(project.name, {**by_place, **{place: [] for place in gone}})
    if faults:
        project.store.faults.add(project.name, faults)
    for row in recorded.changed:
        detail = {"task": row.task_id, "control": row.control, "value": row.value, "proposed": row.proposed}
        project.store.audit.append(project.name, row.reviewer, f"review: {row.decision}", detail, project.now())
    table.mark = changes.mark
    review_project.save(project, table)
    return Counter(str(row.decision) for row in recorded.changed), recorded.withdrawn


def _known(project: Project, tasks: Sequence[PlatformTask]) -> set[str]:
    keys = [task.key for task in tasks if task.key is not None]
    return {task.id for task in project.store.tasks.get(project.name, keys)}


def _deleted(project: Project, table: Table, platform_id: int) -> list[int]:
    """Return the places whose task was deleted in Label Studio, off the table too. Looks only when the count moved."""
    count = project.platform.project(platform_id).task_count
    if count == table.count:
        return []
    there = project.platform.task_ids(platform_id)
    for key in [entry.key for entry in table.entries.values() if entry.place is not None and entry.place not in there]:
        del table.entries[key]
    table.count = count
    stood = {row.annotation for row in project.store.reviews.all(project.name)}
    places = project.store.reviews.at_places(project.name)
    return [place for place, rows in places.items() if place not in there and any(r.annotation in stood for r in rows)]


def _settle_flags(project: Project) -> None:
    """A reviewer's word answers open doubts about the label."""
    decisions = standing(project)
    answers: dict[str, list[int]] = {}
    for flag in project.store.flags.open(project.name):
        row = decisions.get((flag.task_id, flag.control))
        if row is not None and row.decision is not Decision.REJECT and flag.reason in _SETTLED_FLAGS:
            how = "accepted in review" if row.decision is Decision.ACCEPT else "corrected in review"
            answers.setdefault(how, []).append(flag.id)
    for how, ids in answers.items():
        project.store.flags.resolve(ids, how, project.now())


def _queue(project: Project, table: Table, rows: Sequence[Consensus]) -> tuple[str, list[Queued]] | None:
    """Return (basis, who belongs in review); None if nothing changed since the table was laid."""
    now = basis(project, rows)
    if now == table.basis and all(entry.shown for entry in table.entries.values()):
        return None
    return now, review_queue(candidates(project, rows), project.settings.review)


def _leave(table: Table, queue: Sequence[Queued]) -> list[str]:
    """Return the keys of tasks on the table that no longer belong there."""
    wanted = {item.task_id for item in queue}
    return [entry.key for entry in table.entries.values() if entry.task_id not in wanted]


def _lay(
    project: Project, table: Table, platform_id: int, rows: Sequence[Consensus], now: str, queue: Sequence[Queued]
) -> tuple[int, int]:
    """Fill the table; return tasks laid on it and taken off it."""
    reasons = {item.task_id: item.why for item in queue}
    withdrawn = review_project.withdraw(project, table, platform_id, _leave(table, queue))
    new = taken(queue, table.held, project.settings.review.size)
    looks = shown(project, rows, [*table.held, *(item.task_id for item in new)])
    rounds = Counter(made[0].task_id for made in project.store.reviews.at_places(project.name).values())
    entries = [
        review_project.entry_of(
            review_project.next_key(project, item.task_id, rounds[item.task_id]),
            item.task_id,
            item.why,
            looks[item.task_id],
        )
        for item in new
    ]
    review_project.refresh(project, table, looks, reasons)
    review_project.add(project, table, platform_id, entries)
    review_project.propose(project, table, platform_id)
    table.basis, table.waiting = now, len(queue) - len(table.held.keys() & reasons.keys())
    review_project.save(project, table)
    return len(entries), withdrawn
