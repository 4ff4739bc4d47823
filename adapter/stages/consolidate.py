"""Consolidate: people's votes into people's consensus, functions' votes into weak labels, the better consolidator
chosen."""

from __future__ import annotations

import time
from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from adapter.core.consolidate import choose, consolidators, score_table
from adapter.errors import FunctionsError
from adapter.kinds import label_kind_of
from adapter.labeling import control_of
from adapter.stages.consensus import METHOD_NOTE, people_consensus
from adapter.stages.context import Project
from adapter.stages.evidence import SKILL_NOTE, WEAK, WEAK_NOTE, digest, people_labels
from adapter.stages.gold import keep_ground_truth
from adapter.stages.reports import ConsolidateReport
from adapter.stages.vote import VOTES
from adapter.vocabulary import Control, JsonObject


def consolidate(project: Project) -> ConsolidateReport:
    """Consolidate people first, apart from the functions; then score the functions' consolidators on the blind
    sample."""
    started = time.perf_counter()
    keep_ground_truth(project)
    rows, skills, methods = people_consensus(project, project.store.annotations.voting(project.name))
    changed = project.store.consensus.replace(project.name, rows)
    project.store.projects.note(project.name, SKILL_NOTE, skills)
    project.store.projects.note(project.name, METHOD_NOTE, methods)
    weak: dict[str, JsonObject] = {control.name: _weak(project, control) for control in project.learned}
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
        skills=skills,
        changed=changed,
        seconds=time.perf_counter() - started,
    )


def _weak(project: Project, control: Control) -> JsonObject:
    """Fit what is not fitted yet, score all on the blind sample, choose. Returns {version, chosen, table,
    functions}."""
    names, versions, votes = function_votes(project, control)
    if not names:
        return {"version": "", "chosen": "", "table": [], "functions": []}
    policy = project.settings.consolidate
    total = votes.shape[0]
    labels = people_labels(project, control)
    index = project.store.tasks.index(project.name)
    blind = [(index.seq_of[t], row) for t, row in labels.items() if index.blind[index.seq_of[t]]]
    gold_rows = np.array([seq for seq, _ in blind], dtype=np.int64)
    kind = label_kind_of(control)
    gold = np.array([kind.target(control, row.value) for _, row in blind], dtype=np.float32).reshape(
        -1, len(control.labels)
    )
    fitted = {}
    reasons: dict[str, str] = {}
    version = digest(tuple(zip(names, versions, strict=True)), total, policy.seed)
    for name, make in consolidators(control.multiple).items():
        if project.columns.missing(project.name, WEAK, control.name, name, version, total):
            try:
                answer = make().fit_predict(votes, len(control.labels), seed=policy.seed)
            except ValueError as error:  # a consolidator says that it cannot work on these votes
                reasons[name] = str(error)
                continue
            project.columns.write(project.name, WEAK, control.name, name, version, 0, answer)
        fitted[name] = project.columns.read(project.name, WEAK, control.name, name, version, total, fill=np.nan)
    scores = score_table(fitted, gold_rows, gold, multiple=control.multiple)
    chosen = choose(scores, policy)
    table: list[JsonObject] = [{**asdict(score), "chosen": score.name == chosen} for score in scores]
    table += [{"name": name, "reason": reason, "chosen": False} for name, reason in reasons.items()]
    return {"version": version, "chosen": chosen, "table": table, "functions": names, "rows": total}


def function_votes(project: Project, control: Control) -> tuple[list[str], list[str], npt.NDArray[np.int16]]:
    """Return names, versions and votes (n, m) of the functions that vote on this control and have been run."""
    total = project.store.tasks.count(project.name)
    names, versions, columns = [], [], []
    for function in project.functions():
        try:
            if control_of(function, project.space).name != control.name:
                continue
        except FunctionsError:
            continue  # `vote` reports it with advice
        if project.columns.has(project.name, VOTES, control.name, function.name, function.version):
            names.append(function.name)
            versions.append(function.version)
            columns.append(
                project.columns.read(
                    project.name, VOTES, control.name, function.name, function.version, total, fill=-1
                ).astype(np.int16)
            )
    votes = np.stack(columns, axis=1) if columns else np.empty((total, 0), np.int16)
    return names, versions, votes
