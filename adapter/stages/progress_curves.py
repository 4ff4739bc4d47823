"""The measured curves of one control: models in the active order and models of random labels, on the same blind
tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.intervals import wilson
from adapter.core.saving import Points
from adapter.core.stopping import Codes, Seen, same
from adapter.stages.context import Project
from adapter.stages.progress_seen import seen, truths
from adapter.stages.progress_shadow import kept_shadow
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
    """What is known of one control. n blind tasks; the newest model comes last in `active`."""

    control: Control
    gold: Gold
    seen: Sequence[Seen]
    labels: int
    active: Points | None = None
    random: Points | None = None
    counts: tuple[CurvePoint, ...] = ()
    random_counts: tuple[CurvePoint, ...] = ()


def evidence_of(project: Project, control: Control) -> Evidence:
    """Gather what is known of a control. Models are compared on the blind tasks that all of them have seen."""
    gold = gold_of(project, control)
    remembered = seen(project, control)
    current = project.store.models.current(project.name)
    labels = int((current.metrics.get("labels") or {}).get(control.name, 0)) if current else 0
    value_of = {task.seq: value for task, value in gold.blind}
    nothing = Evidence(control, gold, remembered, labels)
    if not remembered or not value_of or current is None:
        return nothing
    present = next((one for one in remembered if one.version == current.version), remembered[-1])
    blind = np.intersect1d(present.rows, np.fromiter(value_of, np.int64))
    if not len(blind):
        return nothing
    truth = truths(control, [value_of[int(row)] for row in blind])
    models = _spaced([one for one in remembered if len(np.intersect1d(one.rows, blind)) == len(blind)])
    train = {task.seq for task, _, _ in gold.train}
    others = np.array([row for row in present.rows if row not in train and row not in value_of], np.int64)
    shadow = kept_shadow(project, control)
    outside = others if shadow is None else np.intersect1d(others, shadow.rows)
    for one in models:
        outside = np.intersect1d(outside, one.rows)
    active = _active(models, blind, truth, present, outside)
    counts = tuple(
        _point(labels_, right)
        for labels_, right in zip(active.labels.astype(int).tolist(), active.right.T, strict=True)
    )
    random: Points | None = None
    random_counts: tuple[CurvePoint, ...] = ()
    if shadow is not None:
        shared = np.intersect1d(blind, shadow.rows)
        codes = [
            (int(s), c, shadow.trained[:, m]) for m, (s, c) in enumerate(zip(shadow.sizes, shadow.codes, strict=True))
        ]
        random = _random(shadow.rows, codes, shared, truth[np.isin(blind, shared)], present, outside)
        active = _active(models, shared, truth[np.isin(blind, shared)], present, outside)
        random_counts = tuple(_point(int(n), right) for n, right in zip(random.labels, random.right.T, strict=True))
    return Evidence(control, gold, remembered, labels, active, random, counts, random_counts)


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
        models=np.ones(len(models)),
        inside=against(blind, _at(present.rows, present.codes, blind)),
        outside=against(outside, _at(present.rows, present.codes, outside)),
    )


def _random(
    rows: Rows,
    models: Sequence[tuple[int, Codes, npt.NDArray[np.bool_]]],
    blind: Rows,
    truth: Codes,
    present: Seen,
    outside: Rows,
) -> Points:
    """Return the measured curve of random labels: at each size the mean of the models of about that size, each on the
    tasks that it was not trained on. models: size, decisions, and which rows it was trained on."""
    sizes = np.array([size for size, _, _ in models], np.float64)
    # Parts of one cut differ by a task or so where copies stay together.
    cut = np.concatenate([[0], np.cumsum(np.diff(sizes) > 0.2 * sizes[:-1])])
    inside_now = _at(present.rows, present.codes, blind)
    outside_now = _at(present.rows, present.codes, outside)
    columns: list[tuple[float, float, npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]] = []
    for number in np.unique(cut):
        group = [one for one, of in zip(models, cut, strict=True) if of == number]
        right, agree, times = (np.zeros(len(blind)) for _ in range(3))
        out = np.zeros(len(outside))
        for _, codes, trained in group:
            unseen = ~_at(rows, trained[:, None].astype(np.uint8), blind)[:, 0].astype(bool)
            said = _at(rows, codes, blind)
            right += unseen & same(said, truth)
            agree += unseen & same(said, inside_now)
            times += unseen
            out += same(_at(rows, codes, outside), outside_now)
        if (times == 0).any():
            continue
        size = float(np.mean([size for size, _, _ in group]))
        # Parts that overlap share their luck: so many separate ones stand behind the mean.
        apart = max(min(len(group), len(blind) / size), 1.0)
        columns.append((size, apart, right / times, agree / times, out / len(group)))
    empty = np.empty((0, 0))
    return Points(
        labels=np.array([one[0] for one in columns]),
        models=np.array([one[1] for one in columns]),
        right=np.stack([one[2] for one in columns], axis=1) if columns else empty.reshape(len(blind), 0),
        inside=np.stack([one[3] for one in columns], axis=1) if columns else empty.reshape(len(blind), 0),
        outside=np.stack([one[4] for one in columns], axis=1) if columns else empty.reshape(len(outside), 0),
    )


def _point(labels: int, right: npt.NDArray[np.float64]) -> CurvePoint:
    n = len(right)
    low, high = wilson(float(right.sum()), n)
    return CurvePoint(labels, round(float(right.mean()), 4) if n else 0.0, round(low, 4), round(high, 4), n)


__all__ = ["CurvePoint", "Evidence", "evidence_of"]
