"""Consolidate: people's votes into people's consensus, functions' votes into weak labels, the better consolidator
chosen."""

from __future__ import annotations

import time

from adapter.stages.consensus import METHOD_NOTE, people_consensus
from adapter.stages.context import Project
from adapter.stages.evidence import SKILL_NOTE, WEAK_NOTE
from adapter.stages.gold import keep_ground_truth
from adapter.stages.reports import ConsolidateReport
from adapter.stages.weak import weak_labels
from adapter.vocabulary import JsonObject


def consolidate(project: Project) -> ConsolidateReport:
    """Consolidate people first, apart from the functions; then score the functions' consolidators on the blind
    sample."""
    started = time.perf_counter()
    keep_ground_truth(project)
    rows, skills, methods = people_consensus(project, project.store.annotations.voting(project.name))
    changed = project.store.consensus.replace(project.name, rows)
    project.store.projects.note(project.name, SKILL_NOTE, skills)
    project.store.projects.note(project.name, METHOD_NOTE, methods)
    weak: dict[str, JsonObject] = {control.name: weak_labels(project, control) for control in project.learned}
    project.store.projects.note(project.name, WEAK_NOTE, weak)
    decided = {
        control.name: sum(row.control == control.name and row.value is not None for row in rows)
        for control in project.space.controls
    }
    return ConsolidateReport(
        people=decided,
        undecided={name: sum(row.control == name for row in rows) - count for name, count in decided.items()},
        methods={name: str(entry["method"]) for name, entry in methods.items()},
        weak={name: list(entry.get("table", ())) for name, entry in weak.items()},
        chosen={name: str(entry["chosen"]) for name, entry in weak.items() if entry.get("chosen")},
        why={name: str(entry["why"]) for name, entry in weak.items() if entry.get("why")},
        warnings={name: list(entry["warnings"]) for name, entry in weak.items() if entry.get("warnings")},
        skills=skills,
        changed=changed,
        seconds=time.perf_counter() - started,
    )
