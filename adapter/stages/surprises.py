"""Drift as it shows in the labels that come: is the current model wrong more often than its confidence says?"""

from __future__ import annotations

from datetime import datetime

import numpy as np

from adapter.core.surprise import Surprise, surprise
from adapter.kinds import label_kind_of
from adapter.stages.context import Project
from adapter.stages.evidence import digest, people_labels
from adapter.vocabulary import Control

MOST = 500
"""Newest labels that are looked at."""

_seen: dict[str, tuple[str, str | None]] = {}


def drifted(project: Project, since: datetime) -> str | None:
    """Return in words that the current model is wrong more often than it says on what people have labelled since its
    training; None if it is not, or if that cannot be told. Looks only where labels have changed since the last look."""
    policy = project.settings.train
    current = project.store.models.current(project.name)
    if current is None or not policy.drift:
        return None
    key = _state(project, current.version, since)
    known = _seen.get(project.name)
    if known is not None and known[0] == key:
        return known[1]
    said: str | None = None
    for control in project.learned:
        found = surprise_of(project, control, current.version, since)
        if found is not None and found.n >= policy.drift_min and found.p <= policy.drift / len(project.learned):
            said = (
                f"the model is wrong on {found.wrong} of the {found.n} newest labels of '{control.name}', its "
                f"confidence allows {found.expected:.1f} (p = {found.p:.1g})"
            )
            break
    _seen[project.name] = (key, said)
    return said


def _state(project: Project, version: str, since: datetime) -> str:
    """Return a digest of all that the answer depends on. Labels come before their consensus, and a new model's
    probabilities after its training: a look that was too early must not be the last."""
    store, name = project.store, project.name
    total = store.tasks.count(name)
    labels = [
        (control.name, [(task_id, row.value) for task_id, row in people_labels(project, control).items()])
        for control in project.learned
    ]
    missing = [
        project.columns.missing(name, "probabilities", control.name, "model", version, total)
        for control in project.learned
    ]
    return digest(version, since.isoformat(), store.annotations.digest(name), labels, missing)


def surprise_of(project: Project, control: Control, version: str, since: datetime) -> Surprise | None:
    """Return how surprising the labels of a control since then are to a model version, by what it said of their tasks
    before; None where it said nothing of them."""
    index = project.store.tasks.index(project.name)
    place = (project.name, "probabilities", control.name, "model", version)
    if not project.columns.has(*place):
        return None
    made: dict[str, datetime] = {}
    for task_id, rows in project.store.annotations.voting(project.name).items():
        newest = max(row.created_at for row in rows)
        if newest > since and task_id in index.seq_of:
            made[task_id] = newest
    labels = people_labels(project, control)
    tasks = [t for t in sorted(made, key=lambda t: (made[t], t), reverse=True) if t in labels][:MOST]
    if not tasks:
        return None
    column = project.columns.read(*place, len(index.ids), fill=np.nan)
    if column.ndim != 2:
        return None
    kind = label_kind_of(control)
    confidence = np.full(len(tasks), np.nan, np.float32)
    right = np.zeros(len(tasks), bool)
    for row, task_id in enumerate(tasks):
        said = column[index.seq_of[task_id]]
        if np.isfinite(said).all():
            value, confidence[row] = kind.decide(control, said)
            right[row] = value == kind.canonical(control, labels[task_id].value)
    return surprise(confidence, right)
