"""What a model of regions found, checked: which regions are shown, how sure that is, how doubtful a task is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from adapter.errors import LabelError
from adapter.kinds import kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.vocabulary import Control, JsonObject, Value

SHOWN = 0.5
"""Score from which a region is shown as a pre-label."""
NOTHING = 0.2
"""Doubt of a task in which a model sees nothing at all, not even doubtfully: it may have missed things."""
CHUNK = 500


def shown(control: Control, found: Sequence[JsonObject]) -> tuple[Value, float]:
    """Return the regions that a person is shown, as the kind writes them, and how sure the least certain part of that
    is: a region that is shown, or one that is not. A region that the control does not allow is left out."""
    kind = kind_of(control.kind)
    kept: list[JsonObject] = []
    sure = 1.0
    for region in found:
        score = score_of(region)
        if score < SHOWN:
            sure = min(sure, 1.0 - score)
            continue
        try:
            checked = kind.canonical(control, [{**region, "score": score}])
        except LabelError:
            continue
        kept += list(checked)
        sure = min(sure, score)
    return kind.canonical(control, kept), sure


def score_of(region: object) -> float:
    """Return the probability that a region is there: 0 where a backend gives none that is a number in 0..1."""
    score = region.get("score", 0.0) if isinstance(region, Mapping) else 0.0
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0.0 <= score <= 1.0:
        return 0.0
    return float(score)


def doubt(found: Sequence[JsonObject] | None) -> float:
    """Return how doubtful what a model found in a task is, 0..1: that of its most doubtful region, where a score of .5
    is 1; 1 for a task that it cannot read."""
    if found is None:
        return 1.0
    return max((1.0 - abs(2.0 * score_of(region) - 1.0) for region in found), default=NOTHING)


def pool_doubt(project: Project, judge: object, control: Control) -> Floats:
    """Return (n,) how doubtful each task of the pool is for the model; computed once a version."""
    from adapter.stages.evidence import Judge

    assert isinstance(judge, Judge)
    total = project.store.tasks.count(project.name)
    place = (project.name, "doubt", control.name, "model", judge.version)
    for lo, hi in project.columns.missing(*place, total):
        for start in range(lo, hi, CHUNK):
            stop = min(start + CHUNK, hi)
            tasks = project.store.tasks.between(project.name, start, stop)
            found = judge.bundle.regions([task.data for task in tasks])[control.name]
            project.columns.write(*place, start, np.array([doubt(one) for one in found], np.float32))
    array: Floats = project.columns.read(*place, total, fill=np.nan)
    return array


def likeness(control: Control, found: Sequence[JsonObject] | None, truth: Value) -> float:
    """Return how like the truth what a model would show is, 0..1: 1 minus the kind's distance; 0 for a task that it
    cannot read."""
    if found is None:
        return 0.0
    return float(np.clip(1.0 - kind_of(control.kind).distance(control, shown(control, found)[0], truth), 0.0, 1.0))
