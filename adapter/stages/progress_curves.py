"""What is measured of one control: models in the active order, models of random labels and the stand-ins for more of
them, on the same blind tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.intervals import wilson
from adapter.core.learning_curve import Points
from adapter.core.saving import Rivals
from adapter.core.stopping import Codes, Seen, same
from adapter.stages.context import Project
from adapter.stages.progress_seen import seen, truths
from adapter.stages.progress_shadow import Shadow, kept_shadow
from adapter.stages.progress_standins import rivals
from adapter.stages.reports import Report
from adapter.stages.train_jobs import Gold, gold_of
from adapter.vocabulary import Control

MOST_POINTS = 24

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CurvePoint(Report):
    """One measured accuracy on n blind tasks, with its 95 % Wilson interval. labels: in training."""

    labels: int
    accuracy: float
    lower: float
    upper: float
    n: int


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of one control. n blind tasks; the newest model comes last in `active`. counts: the curve of the
    active order; random_counts: of labels at random, from the blind sample; stood_in: of the stand-ins for more of
    them. rivals: the present model of the last measurement against its stand-ins."""

    control: Control
    gold: Gold
    seen: Sequence[Seen]
    labels: int
    active: Points | None = None
    rivals: Rivals | None = None
    counts: tuple[CurvePoint, ...] = ()
    random_counts: tuple[CurvePoint, ...] = ()
    stood_in: tuple[CurvePoint, ...] = ()


def evidence_of(project: Project, control: Control) -> Evidence:
    """Gather what is known of a control. Models are compared on the blind tasks that all of them have seen."""
    gold = gold_of(project, control)
    remembered = seen(project, control)
    current = project.store.models.current(project.name)
    labels = int((current.metrics.get("labels") or {}).get(control.name, 0)) if current else 0
    value_of = {task.seq: value for task, value in gold.blind}
    nothing = Evidence(control, gold, remembered, labels)
    if not remembered or not value_of:
        return nothing
    # Where the gate has refused every candidate, these are measured all the same.
    present = next((one for one in remembered if current and one.version == current.version), remembered[-1])
    blind = np.intersect1d(present.rows, np.fromiter(value_of, np.int64))
    if not len(blind):
        return nothing
    truth = truths(control, [value_of[int(row)] for row in blind])
    # The present model comes last: it stands for its number of labels, not a candidate that was refused.
    others = [one for one in remembered if one is not present]
    models = _spaced([one for one in [*others, present] if len(np.intersect1d(one.rows, blind)) == len(blind)])
    # Blind tasks without a label: other unlabelled tasks are no random ones, the order has taken the hard ones.
    outside = np.setdiff1d(present.blind, np.fromiter(value_of, np.int64))
    for one in models:
        outside = np.intersect1d(outside, one.rows)
    active = _active(models, blind, truth, present, outside)
    counts = tuple(
        _point(labels_, right)
        for labels_, right in zip(active.labels.astype(int).tolist(), active.right.T, strict=True)
    )
    found = Evidence(control, gold, remembered, labels, active, counts=counts)
    shadow = kept_shadow(project, control)
    return found if shadow is None else _with_shadow(found, shadow, value_of)


def _with_shadow(found: Evidence, shadow: Shadow, value_of: Mapping[int, object]) -> Evidence:
    """Return the evidence with what the shadow measured. All its rows are blind tasks, labelled by now or not."""
    blind = np.isin(shadow.rows, np.fromiter(value_of, np.int64))
    truth = truths(found.control, [value_of[int(row)] for row in shadow.rows[blind]])
    comparison = None
    stood_in: tuple[CurvePoint, ...] = ()
    if shadow.stand_ins is not None and blind.any():
        comparison = rivals(shadow.stand_ins, blind, truth, ~blind)
        accuracies = comparison.right[:, None] - comparison.better
        stood_in = tuple(_point(int(n), a) for n, a in zip(comparison.sizes, accuracies.T, strict=True))
    random = _random(shadow, blind, truth)
    return dataclasses.replace(found, rivals=comparison, random_counts=random, stood_in=stood_in)


def _spaced(models: Sequence[Seen]) -> list[Seen]:
    """Return the models in order of their labels, the newest of each number, at most MOST_POINTS of them, evenly on a
    log scale."""
    by_labels = {one.labels: one for one in models if one.labels > 0}
    ordered = [by_labels[labels] for labels in sorted(by_labels)]
    if len(ordered) <= MOST_POINTS:
        return ordered
    logs = np.log([one.labels for one in ordered])
    wanted = np.linspace(logs[0], logs[-1], MOST_POINTS)
    return [ordered[place] for place in sorted({int(np.abs(logs - one).argmin()) for one in wanted})]


def _at(rows: Rows, codes: Codes, wanted: Rows) -> Codes:
    """Return the decisions on the wanted rows; all of them are there."""
    order = np.argsort(rows, kind="stable")
    return codes[order[np.searchsorted(rows, wanted, sorter=order)]]


def _active(models: Sequence[Seen], blind: Rows, truth: Codes, present: Seen, outside: Rows) -> Points:
    """Return the measured curve of the active order; p models."""

    def against(rows: Rows, other: Codes) -> npt.NDArray[np.float64]:
        if not models:
            return np.empty((len(rows), 0))
        return np.stack([same(_at(one.rows, one.codes, rows), other) for one in models], axis=1).astype(np.float64)

    return Points(
        labels=np.array([one.labels for one in models], np.float64),
        right=against(blind, truth),
        inside=against(blind, _at(present.rows, present.codes, blind)),
        outside=against(outside, _at(present.rows, present.codes, outside)),
    )


def _random(shadow: Shadow, blind: npt.NDArray[np.bool_], truth: Codes) -> tuple[CurvePoint, ...]:
    """Return the measured curve of random labels: at each size the mean of the models of about that size, each on the
    tasks that it was not trained on."""
    # Parts of one cut differ by a task or so where copies stay together.
    cut = np.concatenate([[0], np.cumsum(np.diff(shadow.sizes) > 0.2 * shadow.sizes[:-1])])
    points = []
    for number in np.unique(cut):
        group = np.flatnonzero(cut == number)
        unseen = ~shadow.trained[blind][:, group]
        hits = np.stack([same(shadow.codes[m][blind], truth) for m in group], axis=1)
        times = unseen.sum(axis=1)
        if len(times) and times.all():
            points.append(_point(round(float(shadow.sizes[group].mean())), (unseen & hits).sum(axis=1) / times))
    return tuple(points)


def _point(labels: int, right: npt.NDArray[np.float64]) -> CurvePoint:
    n = len(right)
    low, high = wilson(float(right.sum()), n)
    return CurvePoint(labels, round(float(right.mean()), 4) if n else 0.0, round(low, 4), round(high, 4), n)


__all__ = ["CurvePoint", "Evidence", "evidence_of"]
