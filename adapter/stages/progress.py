"""Progress: the curve of accuracy so far, what more labels are expected to bring, what the order has saved, and whether
to stop. Reads the store only; `stages.progress_shadow` measures, `stages.progress_seen` remembers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise

from adapter.core.learning_curve import LEAST_TASKS, Curve, Estimate, fit, luck, measure
from adapter.core.saving import Said, Saving, Savings, savings
from adapter.core.stopping import Standing, StopAdvice, advise, successive
from adapter.stages.context import Project
from adapter.stages.progress_curves import CurvePoint, Evidence, evidence_of
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
    random: the measured curves. more: labels for one point more; hours: at the present rate; gain: accuracy expected of
    `stop.gain_labels` more; each {value, lower, upper} (None where infinite) or None where nothing can be said.
    saving: at the present model. measured: where the curve of random labels ends. sentences: all of it in words."""

    control: str
    labels: int
    accuracy: JsonObject | None
    active: tuple[CurvePoint, ...]
    random: tuple[CurvePoint, ...]
    more: JsonObject | None
    hours: JsonObject | None
    gain: JsonObject | None
    saving: JsonObject
    measured: JsonObject
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
    controls = [_control(project, evidence_of(project, control)) for control in project.learned]
    rates = [rate for rate in (_rate(project, one.labels) for one in controls) if rate is not None]
    advised = [one.advice for one in controls]
    stop = bool(advised) and all(bool(one["stop"]) for one in advised)
    why = [f"{one.control}: {one.advice['why']}" if len(controls) > 1 else str(one.advice["why"]) for one in controls]
    return ProgressReport(
        project=project.name,
        model=current.version if current else None,
        rate=round(rates[0], 1) if rates else None,
        stop=stop,
        why="; ".join(why) or "no control has labels that a backend learns",
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
        return StopAdvice(False, "no control has labels that a backend learns")
    why = "; ".join(one.why if len(found) == 1 else f"{name}: {one.why}" for name, one in found.items())
    figures = {name: one.figures for name, one in found.items()}
    return StopAdvice(all(one.stop for one in found.values()), why, figures)


def progress_line(project: Project) -> str:
    """Return one line for `hitl status`: what is still to come, and the saving so far; of the control for which most
    is still to come."""
    if project.store.models.current(project.name) is None:
        return "no model yet: its first one starts the curve"
    found = progress(project)
    if not found.controls:
        return found.why

    def expected(one: ControlProgress) -> float:
        return float((one.gain or {}).get("value") or 0.0)

    control = max(found.controls, key=expected)
    head = f"{control.control}: " if len(found.controls) > 1 else ""
    parts = [control.forecast, control.saved]
    if found.stop:
        parts.insert(0, found.why)
    return head + "; ".join(parts)


def _control(project: Project, evidence: Evidence) -> ControlProgress:
    curve = _curve(evidence)
    standing = _standing(project, evidence, curve)
    more = curve.more_for(evidence.labels, POINTS) if curve is not None else None
    rate = _rate(project, evidence.labels)
    saved = _savings(project, evidence)
    hours = None
    if more is not None and rate:
        hours = Estimate(more.value / rate, more.lower / rate, more.upper / rate)
    return ControlProgress(
        control=evidence.control.name,
        labels=evidence.labels,
        accuracy=standing.accuracy.json() if standing.accuracy else None,
        active=evidence.counts,
        random=evidence.random_counts,
        more=more.json(0) if more else None,
        hours=hours.json(2) if hours else None,
        gain=standing.gain.json() if standing.gain else None,
        saving=_plain(saved.now),
        measured=_plain(saved.measured),
        advice=asdict(advise(standing, project.settings.stop)),
        forecast=forecast(
            curve,
            labels=evidence.labels,
            left=project.store.tasks.count(project.name) - evidence.labels,
            blind=len(evidence.gold.blind),
            points=POINTS,
            rate=rate,
        ),
        saved=_headline(saved).sentence(),
    )


def _curve(evidence: Evidence) -> Curve | None:
    """Fit the active order's curve; None where it is too short or the blind sample too small."""
    points = evidence.active
    if points is None or len(points.right) < LEAST_TASKS:
        return None
    found = measure(points.right, points.inside, points.outside)
    return fit(points.labels, found.accuracy, found.noise + luck(points.labels, found.accuracy, nested=True), seed=0)


def _savings(project: Project, evidence: Evidence) -> Savings:
    if evidence.active is None:
        nothing = Saving(Said.UNKNOWN, why="no model has been measured on labelled blind tasks yet")
        return Savings(nothing, nothing)
    if evidence.random is None:
        nothing = Saving(Said.UNKNOWN, why=why_none(project, evidence.control))
        return Savings(nothing, nothing)
    pool = project.store.tasks.count(project.name)
    return savings(evidence.random, evidence.active, labels=evidence.labels, pool=pool)


def _headline(found: Savings) -> Saving:
    """The saving at the present model, unless only the measured one can be told."""
    shown = (Said.SHOWN, Said.LOSS)
    if found.now.said in shown:
        return found.now
    if found.measured.said in shown or (found.now.said is Said.UNKNOWN and found.measured.said is Said.NONE):
        return found.measured
    return found.now


def _plain(saving: Saving) -> JsonObject:
    def estimate(found: Estimate | None, digits: int) -> JsonObject | None:
        return None if found is None else found.json(digits)

    return {
        "said": str(saving.said),
        "saving": estimate(saving.saving, 4),
        "labels": estimate(saving.labels, 0),
        "random_labels": estimate(saving.random_labels, 0),
        "accuracy": estimate(saving.accuracy, 4),
        "measured_to": saving.measured_to,
        "extrapolated": saving.beyond,
        "sentence": saving.sentence(),
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


def _rate(project: Project, labels: int) -> float | None:
    """Return training labels of a control an hour while people work: the newest annotations over the time they took,
    pauses left out, times the share of annotations that become a training label. None without enough."""
    store, name = project.store, project.name
    votes = store.annotations.totals(name).votes
    if votes < 10 or not labels:
        return None
    share = min(labels / votes, 1.0)
    times = sorted(one.created_at for many in store.annotations.voting(name).values() for one in many)[-RECENT:]
    gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
    worked = [gap for gap in gaps if gap <= PAUSE_S]
    if len(worked) < 9 or sum(worked) <= 0:
        return None
    return share * len(worked) / sum(worked) * 3600.0


def _notes(project: Project) -> tuple[str, ...]:
    """Say what limits the figures."""
    found = ["labels are those in training; the blind sample, which any order needs for measuring, is not counted"]
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
