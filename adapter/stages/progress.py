"""Progress: the curve of accuracy so far, what more labels are expected to bring, what the order has saved, and whether
to stop. Reads the store only; `stages.progress_shadow` measures, `stages.progress_seen` remembers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise

from adapter.core.learning_curve import LEAST_TASKS, Curve, Estimate, fit, luck, measure
from adapter.core.saving import Said, Saving, saving
from adapter.core.stopping import Standing, StopAdvice, advise, successive
from adapter.stages.context import Project
from adapter.stages.progress_curves import CurvePoint, Evidence, evidence_of
from adapter.stages.progress_lacks import OFF, blind_off, lacking, no_curve, no_model, unmeasured
from adapter.stages.progress_seen import remember
from adapter.stages.progress_shadow import measure_progress, why_none
from adapter.stages.progress_words import forecast
from adapter.stages.reports import Report
from adapter.stages.window import left_in_budget
from adapter.vocabulary import JsonObject

POINTS = 0.01
"""The gain in accuracy that status speaks of: one point."""
PAUSE_S = 900.0
"""A longer pause between two annotations is no work."""
RECENT = 300


@dataclass(frozen=True, slots=True)
class ControlProgress(Report):
    """One control. labels: people's, in training of the present model. accuracy: of it on the blind sample. active,
    random: the measured curves; stood_in: that of labels at random where there are none, by stand-ins. more: labels
    for one point more; hours: at the present rate; gain: accuracy expected of `stop.gain_labels` more; each {value,
    lower, upper} (None where infinite) or None where nothing can be said. saving: of the order, at the model of the
    last measurement. forecast, saved: in words."""

    control: str
    labels: int
    accuracy: JsonObject | None
    active: tuple[CurvePoint, ...]
    random: tuple[CurvePoint, ...]
    stood_in: tuple[CurvePoint, ...]
    more: JsonObject | None
    hours: JsonObject | None
    gain: JsonObject | None
    saving: JsonObject
    advice: JsonObject
    forecast: str
    saved: str


@dataclass(frozen=True, slots=True)
class ProgressReport(Report):
    """stop: whether stopping is advised (for all controls), why: in words. rate: training labels an hour while people
    work, None without annotations enough. notes: what limits the figures."""

    project: str
    model: str | None
    rate: float | None
    stop: bool
    why: str
    controls: tuple[ControlProgress, ...]
    notes: tuple[str, ...] = ()


def progress(project: Project) -> ProgressReport:
    """Collect the figures of all controls that a model learns."""
    current = project.store.models.current(project.name)
    pace = _pace(project)
    controls = [_control(project, evidence_of(project, control), pace) for control in project.learned]
    rates = [rate for rate in (pace(one.labels) for one in controls) if rate is not None]
    advised = [one.advice for one in controls]
    stop = bool(advised) and all(bool(one["stop"]) for one in advised)
    why = [f"{one.control}: {one.advice['why']}" if len(controls) > 1 else str(one.advice["why"]) for one in controls]
    return ProgressReport(
        project=project.name,
        model=current.version if current else None,
        rate=round(rates[0], 1) if rates else None,
        stop=stop,
        why="; ".join(why) or no_curve(project),
        controls=tuple(controls),
        notes=_notes(project),
    )


def advice(project: Project) -> StopAdvice:
    """Return whether stopping is advised: where it is for every control, since one person labels all of them at
    once. Cheaper than `progress`: curves are fitted only where the policy asks for a gain."""
    found = {
        control.name: advise(_standing(project, evidence, _curve(evidence)), project.settings.stop)
        for control in project.learned
        for evidence in [evidence_of(project, control)]
    }
    if not found:
        return StopAdvice(False, no_curve(project))
    why = "; ".join(one.why if len(found) == 1 else f"{name}: {one.why}" for name, one in found.items())
    figures = {name: one.figures for name, one in found.items()}
    return StopAdvice(all(one.stop for one in found.values()), why, figures)


def progress_line(project: Project) -> str:
    """Return one line for `hitl status`: what is still to come, and the saving so far; of the control for which most
    is still to come."""
    if not project.learned:
        return no_curve(project)
    if not project.store.models.all(project.name):
        return f"no model yet; {OFF}" if blind_off(project) else "no model yet: its first one starts the curve"
    if why := no_model(project):
        return f"no curve to look along: {why}"
    found = progress(project)

    def expected(one: ControlProgress) -> float:
        return float((one.gain or {}).get("value") or 0.0)

    control = max(found.controls, key=expected)
    head = f"{control.control}: " if len(found.controls) > 1 else ""
    parts = [control.forecast, control.saved]
    if found.stop:
        parts.insert(0, found.why)
    return head + "; ".join(parts)


def _control(project: Project, evidence: Evidence, pace: Callable[[int], float | None]) -> ControlProgress:
    curve = _curve(evidence)
    standing = _standing(project, evidence, curve)
    more = curve.more_for(evidence.labels, POINTS) if curve is not None else None
    rate = pace(evidence.labels)
    found = _saving(project, evidence)
    hours = None
    if more is not None and rate:
        hours = Estimate(more.value / rate, more.lower / rate, more.upper / rate)
    return ControlProgress(
        control=evidence.control.name,
        labels=evidence.labels,
        accuracy=standing.accuracy.json() if standing.accuracy else None,
        active=evidence.counts,
        random=evidence.random_counts,
        stood_in=evidence.stood_in,
        more=more.json(0) if more else None,
        hours=hours.json(2) if hours else None,
        gain=standing.gain.json() if standing.gain else None,
        saving=_plain(found),
        advice=asdict(advise(standing, project.settings.stop)),
        forecast=forecast(
            curve,
            labels=evidence.labels,
            left=project.store.tasks.count(project.name) - evidence.labels,
            blind=len(evidence.gold.blind),
            points=POINTS,
            rate=rate,
            lacking=lacking(project),
        ),
        saved=found.sentence(),
    )


def _curve(evidence: Evidence) -> Curve | None:
    """Fit the active order's curve; None where it is too short or the blind sample too small."""
    points = evidence.active
    if points is None or len(points.right) < LEAST_TASKS:
        return None
    found = measure(points.right, points.inside, points.outside)
    return fit(points.labels, found.accuracy, found.noise + luck(points.labels, found.accuracy), seed=0)


def _saving(project: Project, evidence: Evidence) -> Saving:
    blind = len(evidence.gold.blind)
    if evidence.active is None:
        return Saving(Said.UNKNOWN, blind=blind, why=unmeasured(project, evidence.control, blind))
    if evidence.rivals is None:
        return Saving(Said.UNKNOWN, evidence.labels, blind, why=why_none(project, evidence.control, evidence.gold))
    return saving(evidence.rivals)


def _plain(found: Saving) -> JsonObject:
    def estimate(figure: Estimate | None, digits: int) -> JsonObject | None:
        return None if figure is None else figure.json(digits)

    return {
        "said": str(found.said),
        "labels": found.labels,
        "blind": found.blind,
        "gain": estimate(found.gain, 4),
        "saving": estimate(found.saving, 4),
        "random_labels": estimate(found.random_labels, 0),
        "sentence": found.sentence(),
    }


def _standing(project: Project, evidence: Evidence, curve: Curve | None) -> Standing:
    policy = project.settings.stop
    budget = project.settings.window.budget
    train = [task.seq for task, _, _ in evidence.gold.train]
    accuracy = None
    current = project.store.models.current(project.name)
    if evidence.active is not None and current is not None:
        accuracy = next(
            (
                Estimate(point.accuracy, point.lower, point.upper)
                for point in reversed(evidence.counts)
                if point.labels == evidence.labels
            ),
            None,
        )
    return Standing(
        labels=evidence.labels,
        agreements=successive(evidence.seen, train, window=policy.window, step=policy.step),
        accuracy=accuracy,
        gain=curve.gain(evidence.labels, policy.gain_labels) if curve is not None and evidence.labels else None,
        budget_left=None if budget is None else left_in_budget(project, budget),
    )


def _pace(project: Project) -> Callable[[int], float | None]:
    """Return what tells training labels an hour while people work, from a control's labels: the newest annotations over
    the time they took, pauses left out, times the share of annotations that become a training label. None without
    enough."""
    voting = [one for many in project.store.annotations.voting(project.name).values() for one in many]
    times = sorted(one.created_at for one in voting)[-RECENT:]
    worked = [gap for gap in ((b - a).total_seconds() for a, b in pairwise(times)) if gap <= PAUSE_S]
    enough = len(voting) >= 10 and len(worked) >= 9 and sum(worked) > 0

    def rate(labels: int) -> float | None:
        if not labels or not enough:
            return None
        return min(labels / len(voting), 1.0) * len(worked) / sum(worked) * 3600.0

    return rate


def _notes(project: Project) -> tuple[str, ...]:
    """Say what limits the figures."""
    if not project.learned:
        return (no_curve(project),)
    found = ["labels are those in training; the blind sample, which any order needs for measuring, is not counted"]
    if project.marked:
        found.append(no_curve(project))
    current = project.store.models.current(project.name)
    if current is not None and current.metrics.get("used_weak"):
        found.append("the models also learned from weak labels: the saving is that of order and weak labels together")
    undecided = sum(
        row.value is None and project.is_blind(row.task_id) for row in project.store.consensus.all(project.name)
    )
    if undecided:
        found.append(f"{undecided} blind answers without a consensus are left out: they may be the hard ones")
    return tuple(found)


__all__ = [
    "ControlProgress",
    "CurvePoint",
    "ProgressReport",
    "advice",
    "measure_progress",
    "progress",
    "progress_line",
    "remember",
]
