"""The gate's evidence: how right a model is on each task of the blind sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from adapter.kinds import label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import Answers, Judge
from adapter.stages.found_regions import likeness
from adapter.stages.train_jobs import Gold
from adapter.vocabulary import Control, Task, Value

Scores = npt.NDArray[np.float64]


def judged(judge: Judge, gold: Mapping[str, Gold]) -> Answers:
    """Return what a model says of each control's blind tasks, in the order of `gold`."""
    labels: dict[str, Floats] = {}
    regions = {}
    for name, rows in gold.items():
        answers = judge.answers([task.data for task, _ in rows.blind])
        if name in answers.labels:
            labels[name] = answers.labels[name]
        if name in answers.regions:
            regions[name] = answers.regions[name]
    return Answers(labels, regions)


def scores(project: Project, answers: Answers, gold: Mapping[str, Gold]) -> Scores:
    """Return (n,) over the blind tasks of all controls: 1 for an answer that is exactly right, else 0; for regions how
    like people's it is, 0..1. A control of which the model says nothing counts 0."""
    found: list[Scores] = []
    for control in (*project.learned, *project.marked):
        if control.name not in gold:
            continue
        blind = gold[control.name].blind
        if control.name in answers.labels:
            found.append(correct(control, answers.labels[control.name], blind).astype(np.float64))
        elif control.name in answers.regions:
            pairs = zip(answers.regions[control.name], blind, strict=True)
            found.append(np.array([likeness(control, one, truth) for one, (_, truth) in pairs], np.float64))
        else:
            found.append(np.zeros(len(blind)))
    return np.concatenate(found)


def correct(control: Control, probabilities: Floats, blind: tuple[tuple[Task, Value], ...]) -> npt.NDArray[np.bool_]:
    """Return which blind tasks are labelled exactly right; one that cannot be predicted counts as wrong."""
    kind = label_kind_of(control)
    return np.array(
        [
            not np.isnan(row).any() and kind.decide(control, row)[0] == value
            for row, (_, value) in zip(probabilities, blind, strict=True)
        ],
        dtype=bool,
    )


def commonest(project: Project, gold: Mapping[str, Gold]) -> Scores:
    """Return the scores of the most common label (of those to train on), or of marking nothing where people mark
    regions: what any model must not lose to."""
    found: list[Scores] = []
    for control in (*project.learned, *project.marked):
        if control.name not in gold:
            continue
        rows = gold[control.name]
        if control in project.marked:
            found.append(np.array([likeness(control, (), truth) for _, truth in rows.blind], np.float64))
            continue
        counts = Counter(repr(value) for _, value, _ in rows.train)
        common = max(sorted(counts), key=lambda key: counts[key])
        found.append(np.array([float(repr(value) == common) for _, value in rows.blind], np.float64))
    return np.concatenate(found)
