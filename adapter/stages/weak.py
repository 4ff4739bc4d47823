"""Weak labels: labeling functions' votes consolidated, by what the blind sample shows to be best.

Consolidators learn from people's labels outside the blind sample: weak labels train the model, and the model is
measured on the blind sample, so none of its labels may flow into them. (The shares of the classes alone come from it,
once there are `min_gold` labels: nothing else is a random sample.) They are scored on the blind sample.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from adapter.core.weak import Labels, WeakChoice, class_balance, consolidate, consolidators
from adapter.kinds import label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import WEAK, WEAK_NOTE, digest, people_labels, tipped_by_model
from adapter.stages.function_votes import function_votes
from adapter.vocabulary import Consensus, Control, JsonObject

GROWTH = 0.1
LEAST_GROWTH = 5
"""Share, and number, of people's labels by which they must have changed before consolidators that learn from them are
fitted again: every fit gives the weak labels another version, and pre-labels made of them are renewed."""


def weak_labels(project: Project, control: Control) -> JsonObject:
    """Consolidate the functions' votes on a control, unless nothing that matters has changed; return what is noted.

    version and chosen name the column of probabilities; why: the choice in words; table: all scores; warnings: about
    near-copies; made_of: digest of the functions; base: of all that does not depend on people's labels; of: the
    control's labels; labels: how many of people's were outside and inside the blind sample; functions, rows.
    """
    found = function_votes(project, control)
    if not found.names:
        return {"version": "", "chosen": "", "table": [], "functions": [], "made_of": ""}
    policy = project.settings.consolidate
    made_of = digest(tuple(zip(found.names, found.versions, strict=True)))
    base = digest(made_of, tuple(control.labels), len(found.votes), policy.model_dump_json())
    learn, blind = labels_of(project, control)
    sizes = [len(learn), len(blind)]
    noted = (project.store.projects.notes(project.name, WEAK_NOTE).get(WEAK_NOTE) or {}).get(control.name) or {}
    if noted.get("base") == base and not any(_grown(*pair) for pair in zip(noted["labels"], sizes, strict=True)):
        return dict(noted)
    balance = class_balance(blind, len(control.labels)) if len(blind) >= policy.min_gold else None
    unlearned_version = digest(base, None if balance is None else balance.tolist())
    choice = consolidate(
        found.weak(control),
        learn=learn,
        blind=blind,
        policy=policy,
        balance=balance,
        cached=_cached(project, control, unlearned_version, len(found.votes)),
    )
    for name, column in choice.unlearned.items():
        project.columns.write(project.name, WEAK, control.name, name, unlearned_version, 0, column)
    version = unlearned_version
    if choice.chosen not in choice.unlearned:
        version = digest(unlearned_version, _told(learn))
        project.columns.write(project.name, WEAK, control.name, choice.chosen, version, 0, choice.probabilities)
    _forget_others(project, control, {unlearned_version, version, str(noted.get("version", ""))})
    return {
        **_words(choice),
        "version": version,
        "functions": list(found.names),
        "rows": len(found.votes),
        "made_of": made_of,
        "base": base,
        "of": list(control.labels),
        "labels": sizes,
    }


def labels_of(project: Project, control: Control) -> tuple[Labels, Labels]:
    """Return people's labels as rows of the pool: those that may be learned from, and those of the blind sample.

    Copies of blind tasks are in neither, nor are labels that it took a model to reach: they would echo it.
    """
    index = project.store.tasks.index(project.name)
    group = np.where(index.duplicate_of >= 0, index.duplicate_of, np.arange(len(index.ids)))
    rows = [(index.seq_of[t], row) for t, row in sorted(people_labels(project, control).items()) if t in index.seq_of]
    hidden = {int(group[seq]) for seq, _ in rows if index.blind[seq]}
    inside = [(seq, row) for seq, row in rows if index.blind[seq]]
    outside = [
        (seq, row)
        for seq, row in rows
        if not index.blind[seq] and int(group[seq]) not in hidden and not tipped_by_model(row)
    ]
    return _labels(control, outside), _labels(control, inside)


def _labels(control: Control, rows: list[tuple[int, Consensus]]) -> Labels:
    if not rows:
        return Labels.none(len(control.labels))
    kind = label_kind_of(control)
    return Labels(
        np.array([seq for seq, _ in rows], np.int64),
        np.stack([kind.target(control, row.value) for _, row in rows]).astype(np.float32),
        np.array([row.confidence for _, row in rows], np.float32),
    )


def _grown(before: int, now: int) -> bool:
    return abs(now - before) >= max(LEAST_GROWTH, GROWTH * before)


def _told(labels: Labels) -> str:
    return digest(labels.rows.tolist(), labels.targets.tolist(), labels.weights.tolist())


def _cached(project: Project, control: Control, version: str, total: int) -> dict[str, Floats]:
    """What consolidators that look at no labels said before, where nothing they look at has changed."""
    found: dict[str, Floats] = {}
    for name, one in consolidators(control.multiple, project.settings.consolidate.consolidator).items():
        if not one.learns and not project.columns.missing(project.name, WEAK, control.name, name, version, total):
            found[name] = project.columns.read(project.name, WEAK, control.name, name, version, total, fill=np.nan)
    return found


def _forget_others(project: Project, control: Control, versions: set[str]) -> None:
    """Drop columns of earlier fits. The one before this stays: pre-labels made of it may still be on the page."""
    for _, source, version in project.store.columns.versions(project.name, WEAK, control.name):
        if version not in versions:
            project.columns.drop(project.name, WEAK, control.name, source, version)


def _words(choice: WeakChoice) -> dict[str, Any]:
    table = [{**asdict(row), "chosen": row.name == choice.chosen} for row in choice.table]
    return {"chosen": choice.chosen, "why": choice.why, "table": table, "warnings": list(choice.warnings)}


__all__ = ["labels_of", "weak_labels"]
