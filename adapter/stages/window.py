"""The work window: what is open in Label Studio, and what the budget still allows. Reads the store only."""

from __future__ import annotations

from adapter.stages.context import Project
from adapter.store import Placement


def open_placements(project: Project) -> list[Placement]:
    """Return the tasks that are in Label Studio and still need somebody, in priority order."""
    rows = [p for p in project.store.ledger.placements(project.name) if not p.done and not p.gone]
    return sorted(rows, key=lambda p: p.priority)


def left_in_budget(project: Project, budget: int) -> int:
    """Return how many more annotations may be asked for: those made count, and those that open tasks still wait for."""
    votes = project.store.annotations.voting(project.name)
    made = sum(len(annotations) for annotations in votes.values())
    waiting = sum(max(p.overlap - len(votes.get(p.task_id, ())), 0) for p in open_placements(project))
    waiting += sum(intent.overlap for intent in project.store.ledger.pending(project.name))
    return budget - made - waiting


def reserve(project: Project, budget: int) -> int:
    """Return what new tasks must leave for second looks until most of the budget is spent; then it is free for all."""
    share = project.settings.rank.flagged_share
    if project.store.annotations.totals(project.name).votes >= (1 - share) * budget:
        return 0
    placements = project.store.ledger.placements(project.name)
    spent = sum(max(p.overlap - 1, 0) for p in placements if not p.blind)
    return max(int(share * budget) - spent, 0)
