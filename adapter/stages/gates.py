"""Gates on agreement: may the labels be trusted as they come in? Pass, fail, or not enough data, on the lower bound."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter import __version__
from adapter.core.agreement import Statistic, judge
from adapter.errors import SettingsError, nearest
from adapter.kinds import kind_of
from adapter.policies import AgreementPolicy
from adapter.stages.agreement import judged_of
from adapter.stages.agreement_parts import bounded, class_parts, confused_of, pairs_of, subgroups_of
from adapter.stages.context import Project
from adapter.stages.evidence import digest
from adapter.stages.judged import Judged, between, headline_of, of_class, worst_pair, worst_score
from adapter.stages.reports import Report
from adapter.vocabulary import Annotation, Control, JsonObject, Outcome, Verdict

GATES_NOTE = "gates"
NATURES: Mapping[str, float] = {"objective": 0.8, "subjective": 0.6}
"""Thresholds by the nature of a task: people should agree on what is so more than on what they feel."""
SHARED = 5
"""Tasks that two annotators must share before they are named as those who agree least."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate. part: `control`, `class` or `subgroup`. name: the class, or `attribute=group`; empty for the control.
    held: it failed and has not passed since, so acceptance stays paused if the policy says so."""

    control: str
    part: str
    name: str
    verdict: Verdict
    held: bool = False


@dataclass(frozen=True, slots=True)
class GatesReport(Report):
    """outcome: FAIL if any gate fails, else NOT_ENOUGH_DATA if a control's own gate says so, else PASS; classes and
    subgroups with too few tasks are shown and stop nothing. paused: controls that accept no single votes now, with the
    sentence that says why."""

    project: str
    outcome: Outcome
    gates: tuple[Gate, ...]
    paused: dict[str, str]


def gates(project: Project) -> GatesReport:
    """Judge every gate on the blind sample, keep the outcomes in a note, and log those that changed. Costs next to
    nothing while neither votes nor policies changed.

    Raises SettingsError for a threshold of a control that does not exist.
    """
    policy = project.settings.agreement
    unknown = sorted(set(policy.thresholds) - {control.name for control in project.space.controls})
    if unknown:
        raise SettingsError(
            f"there is no control '{unknown[0]}'",
            where="agreement.thresholds",
            remedy=nearest(unknown[0], [control.name for control in project.space.controls]),
        )
    project.store.projects.ensure(project.name, project.space.digest)
    note = project.store.projects.notes(project.name, GATES_NOTE).get(GATES_NOTE, {})
    before = {_key(entry["control"], entry["part"], entry["name"]): entry for entry in note.get("gates", ())}
    about = digest(
        __version__,
        project.store.annotations.digest(project.name),
        project.space.digest,
        policy.model_dump_json(),
        project.blind.model_dump_json(),
    )
    if note.get("about") == about:  # the scheduler asks often, and votes come seldom
        found = [_restored(entry) for entry in before.values()]
    else:
        voting = project.store.annotations.voting(project.name)
        found = [
            Gate(control.name, part, name, verdict, _held(verdict, before.get(_key(control.name, part, name))))
            for control in project.space.controls
            for part, name, verdict in _verdicts(project, control, voting)
        ]
        _log(project, found, before)
        kept = [_kept(gate) for gate in found]
        project.store.projects.note(project.name, GATES_NOTE, {"about": about, "gates": kept})
    outcome = overall(found)
    stopped = {control.name: paused(project, control.name) for control in project.space.controls}
    return GatesReport(project.name, outcome, tuple(found), {name: why for name, why in stopped.items() if why})


def paused(project: Project, control: str) -> str | None:
    """Return why single votes on a control are not accepted now, as one sentence; None if they are. Reads what `gates`
    last found."""
    if project.settings.agreement.on_fail != "pause":
        return None
    note = project.store.projects.notes(project.name, GATES_NOTE).get(GATES_NOTE, {})
    held = [entry for entry in note.get("gates", ()) if entry["control"] == control and entry["held"]]
    if not held:
        return None
    first = min(held, key=lambda entry: ("control", "class", "subgroup").index(entry["part"]))
    more = f" (and {len(held) - 1} more gates)" if len(held) > 1 else ""
    return (
        f"Labels of '{control}' on one person's word are not accepted until the gate on agreement passes{more}: "
        f"{first['sentence']}"
    )


def last_outcomes(project: Project) -> dict[str, str]:
    """Return control to the outcome of its own gate when `gates` last ran."""
    kept = project.store.projects.notes(project.name, GATES_NOTE).get(GATES_NOTE, {}).get("gates", ())
    return {entry["control"]: str(entry["outcome"]) for entry in kept if entry["part"] == "control"}


def overall(found: Sequence[Gate]) -> Outcome:
    """Return the outcome of all gates together, see `GatesReport`."""
    if any(gate.verdict.outcome is Outcome.FAIL for gate in found):
        return Outcome.FAIL
    own = [gate.verdict.outcome for gate in found if gate.part == "control"]
    return Outcome.NOT_ENOUGH_DATA if Outcome.NOT_ENOUGH_DATA in own or not own else Outcome.PASS


def threshold_of(policy: AgreementPolicy, control: str) -> float:
    """Return the agreement that is asked of a control: its own threshold, else the project's, else its nature's."""
    if control in policy.thresholds:
        return policy.thresholds[control]
    return NATURES[policy.nature] if policy.threshold is None else policy.threshold


def _verdicts(
    project: Project, control: Control, voting: Mapping[str, Sequence[Annotation]]
) -> Iterator[tuple[str, str, Verdict]]:
    """Yield (part, name, verdict) of the control, of each class that occurs and of each subgroup."""
    policy = project.settings.agreement
    judged = judged_of(project, control, voting)
    threshold = threshold_of(policy, control.name)

    def verdict(statistic: Statistic, n: int, part: str, name: str, tasks: Sequence[Judged]) -> Verdict:
        found = judge(bounded(statistic, policy), threshold=threshold, min_units=policy.min_units, n=n)
        where = {"control": f"'{control.name}'", "class": f"Class '{name}'", "subgroup": f"Subgroup {name}"}[part]
        advice = f" {_advice(control, tasks, name if part == 'class' else '')}" if found.outcome is Outcome.FAIL else ""
        return Verdict(found.outcome, found.figures, f"{where}: {found.sentence}{advice}")

    whole = headline_of(control, judged, seed=policy.seed)
    yield "control", "", verdict(whole, whole.n, "control", "", judged)
    if policy.by_class:
        for label, statistic, n in class_parts(control, judged):
            yield "class", label, verdict(statistic, n, "class", label, judged)
    if policy.by_subgroup:
        for (attribute, group), tasks in subgroups_of(project, judged)[0].items():
            part = headline_of(control, tasks, seed=policy.seed)
            yield "subgroup", f"{attribute}={group}", verdict(part, part.n, "subgroup", f"{attribute}={group}", tasks)


def _advice(control: Control, judged: Sequence[Judged], label: str) -> str:
    """Say what to do: what the guideline should settle, the two people to train, what to adjudicate."""
    kind = kind_of(control.kind)
    measure = kind.measure(control)
    met = confused_of(judged) if measure.scale in ("nominal", "ordinal") else ()
    met = tuple(one for one in met if not label or label in one.classes)
    if met:
        one, other = met[0].classes
        review = (
            f"Review the guideline on '{one}' against '{other}' ({met[0].share:.0%} of what people differ in, such as "
            f"task {met[0].task})"
        )
    else:
        parts = of_class(control, judged, label) if label and measure.headline != "alpha" else judged
        apart = min(parts, key=worst_score)
        first, second = (apart.votes[who] for who in worst_pair(apart))
        words = kind.disagreement(control, first, second)
        review = f"Review the guideline on '{label or control.name}' (such as task {apart.task_id}: {words})"
    two = _furthest(control, judged)
    train = f", train {two[0]} and {two[1]}, who agree least ({two[2]:.2f})" if two else ""
    return f"{review}{train}, and adjudicate the tasks that `hitl agreement` names."


def _furthest(control: Control, judged: Sequence[Judged]) -> tuple[str, str, float] | None:
    """The two annotators who agree least, of those who share at least `SHARED` tasks."""
    known = []
    for one, other in pairs_of(judged):
        both = between(judged, one, other)
        if len(both) < SHARED:
            break  # pairs come by shared tasks, most first
        value = headline_of(control, both).value
        if math.isfinite(value):
            known.append((value, one, other))
    if not known:
        return None
    value, one, other = min(known)
    return one, other, value


def _held(verdict: Verdict, before: Mapping[str, Any] | None) -> bool:
    """A failed gate holds until it passes: losing data is no way out."""
    if verdict.outcome is Outcome.NOT_ENOUGH_DATA:
        return bool(before and before["held"])
    return verdict.outcome is Outcome.FAIL


def _key(control: str, part: str, name: str) -> str:
    return "\x1f".join((control, part, name))


def _kept(gate: Gate) -> dict[str, Any]:
    return {
        "control": gate.control,
        "part": gate.part,
        "name": gate.name,
        "outcome": gate.verdict.outcome.value,
        "figures": dict(gate.verdict.figures),
        "sentence": gate.verdict.sentence,
        "held": gate.held,
    }


def _restored(entry: Mapping[str, Any]) -> Gate:
    verdict = Verdict(Outcome(entry["outcome"]), entry["figures"], entry["sentence"])
    return Gate(entry["control"], entry["part"], entry["name"], verdict, entry["held"])


def _log(project: Project, found: Sequence[Gate], before: Mapping[str, Any]) -> None:
    """Write one audit row if an outcome changed; a gate that was never judged had not enough data."""
    changed: list[JsonObject] = []
    for gate in found:
        was = before.get(_key(gate.control, gate.part, gate.name), {}).get("outcome", Outcome.NOT_ENOUGH_DATA.value)
        if was != gate.verdict.outcome.value:
            changed.append({**_kept(gate), "before": was})
    if changed:
        project.store.audit.append(project.name, "adapter", "agreement gates", {"changed": changed}, project.now())
