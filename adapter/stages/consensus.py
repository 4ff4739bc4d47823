"""People's consensus: every control's votes by its own kind, regions before what hangs on them, experts above all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TypeAlias

import numpy as np

from adapter.errors import SettingsError, nearest
from adapter.kinds import kind_of, label_kind
from adapter.kinds.base import Given, Region, RegionKind, Together
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import WITH_MODEL, kept_held_out, values_by_annotator
from adapter.stages.gates import paused
from adapter.stages.gold import gold_of_control
from adapter.stages.review import expert_votes, rejected
from adapter.vocabulary import Annotation, Consensus, Control, JsonObject, Value

Votes: TypeAlias = Mapping[str, Mapping[str, Value]]
METHOD_NOTE = "people_methods"
"""Note of a project: control to how people's votes are consolidated, and the table it was chosen from."""


def people_consensus(
    project: Project, voting: Mapping[str, Sequence[Annotation]]
) -> tuple[list[Consensus], dict[str, JsonObject], dict[str, JsonObject]]:
    """Return a consensus per control and task, the skills (control to annotator to figures), and how each control was
    consolidated (control to `method` and the `table` of methods that were compared).

    voting: task id to annotations that count. A tie, and a certainty under the threshold while more people may be
    asked, has no value: another person is needed, never a silent guess.
    """
    rows: list[Consensus] = []
    skills: dict[str, JsonObject] = {}
    methods: dict[str, JsonObject] = {}
    regions: dict[str, dict[str, list[Region]]] = {}
    refused = rejected(project)
    for control in in_order(project):
        votes = {task_id: values_by_annotator(annotations, control) for task_id, annotations in voting.items()}
        votes = {task_id: by_person for task_id, by_person in votes.items() if by_person}
        experts = {task_id: value for task_id, (value, _) in expert_votes(project, control).items()}
        gold = gold_of_control(project, control)
        before = project.store.projects.notes(project.name, METHOD_NOTE).get(METHOD_NOTE, {}).get(control.name, {})
        asked = sum(len(by_person) for by_person in votes.values())
        method = method_for(project, control, before, votes=asked, gold=len(gold))
        kind = kind_of(control.kind)
        given = _given(project, control, votes, {**gold, **experts}, regions, method)
        together = kind.consensus(control, votes, given)
        found = _settled(project, control, votes, together, experts, refused)
        rows += found
        if isinstance(kind, RegionKind):
            for row in found:
                there = row.value if row.value is not None else row.proposal
                regions.setdefault(control.name, {})[row.task_id] = list(there or ())
        skills[control.name] = {who: asdict(skill) for who, skill in sorted(together.skill.items())}
        methods[control.name] = _kept_choice(before, together, votes=asked, gold=len(gold))
    return rows, skills, methods


def in_order(project: Project) -> list[Control]:
    """Return the controls, those that make regions before those that hang on regions."""
    return sorted(project.space.controls, key=lambda c: not isinstance(kind_of(c.kind), RegionKind))


def _given(
    project: Project,
    control: Control,
    votes: Votes,
    gold: Mapping[str, Value],
    regions: Mapping[str, Mapping[str, Sequence[Region]]],
    method: str,
) -> Given:
    kind = kind_of(control.kind)
    parents: dict[str, list[Region]] = {}
    if not isinstance(kind, RegionKind):
        for name in control.options.get("regions", ()):
            for task_id, found in regions.get(name, {}).items():
                parents.setdefault(task_id, []).extend(found)
    data = {}
    if isinstance(kind, RegionKind):
        data = {task.id: task.data for task in project.store.tasks.get(project.name, sorted(votes))}
    return Given(
        gold=gold,
        data=data,
        model=_held_out(project, control) if method == WITH_MODEL else {},
        parents=parents,
        method=method,
        seed=project.settings.consolidate.seed,
    )


def method_for(project: Project, control: Control, before: JsonObject, *, votes: int, gold: int) -> str:
    """Return the method to ask the kind for: what the policy names, else what `auto` chose before while the votes are
    not a fifth more than they were then. Choosing fits every method several times; using the chosen one does not.
    before: what was noted of the last choice. votes, gold: how many there are now.

    Raises SettingsError for a name that is no method of the control's kind."""
    named = project.settings.consolidate.people_method
    kind = label_kind(control)
    if kind is None:
        return "auto"
    if named != "auto":
        methods = tuple(getattr(kind, "methods", ()))
        if named not in methods:
            raise SettingsError(
                f"'{named}' is no way to consolidate people's votes on '{control.name}'",
                where=f"project '{project.name}', consolidate.people_method",
                remedy=nearest(named, ("auto", *methods)),
            )
        return named
    if "votes" not in before:
        return "auto"
    return str(before["method"]) if votes < 1.2 * before["votes"] and gold < 1.2 * before["gold"] + 1 else "auto"


def _kept_choice(before: JsonObject, together: Together, *, votes: int, gold: int) -> JsonObject:
    """Return what is noted of a choice of method: a new one with the numbers that it was made from, else the old
    one."""
    if together.table:
        table = [dict(row) for row in together.table]
        return {"method": together.method, "table": table, "votes": votes, "gold": gold}
    return before if before.get("method") == together.method else {"method": together.method, "table": []}


def _held_out(project: Project, control: Control) -> dict[str, Floats]:
    """Return task id to probabilities of models that saw neither the task nor its copies; none for blind tasks, whose
    labels measure the model and must not lean on it."""
    kept = kept_held_out(project, control)
    if kept is None:
        return {}
    _, rows, held_out = kept
    return {task_id: held_out.probabilities[row] for task_id, row in rows.items() if not project.is_blind(task_id)}


def _settled(
    project: Project,
    control: Control,
    votes: Votes,
    together: Together,
    experts: Mapping[str, Value],
    refused: Collection[str],
) -> list[Consensus]:
    """Return the rows that stand: experts outrank, refused ones wait, uncertain ones ask for one more person."""
    policy = project.settings.consolidate
    stop = paused(project, control.name)
    rows = []
    for task_id in sorted({*votes, *experts}):
        by_person = votes.get(task_id, {})
        if task_id in experts:
            rows.append(_by_expert(project, control, task_id, experts[task_id], by_person))
            continue
        merged = together.merged[task_id]
        value, why, asked = merged.value, merged.why, len(by_person)
        if task_id in refused:
            value, why = None, "a reviewer rejected the labels: another person is needed"
        elif value is not None and stop is not None and asked == 1:
            value, why = None, stop
        elif value is not None and merged.certainty < policy.people_threshold and asked < policy.max_people:
            value = None
            why = (
                f"certainty {merged.certainty:.2f} is under {policy.people_threshold:.2f} after {asked} of "
                f"{policy.max_people} people"
            )
        rows.append(
            Consensus(
                task_id,
                control.name,
                value,
                float(merged.confidence),
                tuple(float(p) for p in merged.probabilities),
                by_person,
                together.method,
                (merged.value if merged.value is not None else merged.proposal) if value is None else None,
                why if value is None else "",
            )
        )
    return rows


def _by_expert(
    project: Project, control: Control, task_id: str, value: Value, by_person: Mapping[str, Value]
) -> Consensus:
    sure = project.settings.review.expert
    probabilities: tuple[float, ...] = ()
    kind = label_kind(control)
    if kind is not None:
        target = np.asarray(kind.target(control, value), np.float64)
        others = max(len(target) - 1, 1)
        spread = np.where(target > 0, sure, 1 - sure if control.multiple else (1 - sure) / others)
        probabilities = tuple(float(p) for p in spread)
    return Consensus(task_id, control.name, value, sure, probabilities, by_person, "expert")


__all__ = ["METHOD_NOTE", "in_order", "people_consensus"]
