"""What routing decides on, read of the store: who the people are and how good, and what is known of waiting tasks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from adapter.core.crowd.skill import Skill, beta_skills
from adapter.core.routing import RoutingTask, Worker
from adapter.core.strategies import measure_of
from adapter.kinds import kind_of, label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import SKILL_NOTE, current_judge, pool_probabilities, restored, weak_probabilities
from adapter.store import Placement
from adapter.vocabulary import Control, Value


def skills_of(project: Project) -> dict[str, Skill]:
    """Return each annotator's accuracy: of several controls the least, since one person answers them all."""
    least: dict[str, Skill] = {}
    for by_person in project.store.projects.notes(project.name, SKILL_NOTE).get(SKILL_NOTE, {}).values():
        for who, row in by_person.items():
            skill = Skill(float(row["accuracy"]), float(row["lower"]), float(row["upper"]), int(row["n"]))
            if who not in least or skill.accuracy < least[who].accuracy:
                least[who] = skill
    return least


def class_skills(project: Project) -> dict[str, dict[str, Skill]]:
    """Return annotator to label to accuracy on tasks of that label.

    The truth of a task is its gold label, else what the other people who answered it agree on (a person never judges
    themselves); with neither it says nothing. Accuracies are shrunk like everywhere, see `core.crowd.skill`.
    """
    right: dict[str, Counter[str]] = defaultdict(Counter)
    judged: dict[str, Counter[str]] = defaultdict(Counter)
    gold = {(row.task_id, row.control): row.value for row in project.store.gold.all(project.name)}
    for control in project.learned:
        kind = kind_of(control.kind)
        for row in project.store.consensus.all(project.name, control.name):
            said = {who: kind.canonical(control, value) for who, value in row.support.items()}
            known = gold.get((row.task_id, control.name))
            for who, value in said.items():
                truth = _truth(control, known, [other for name, other in said.items() if name != who])
                for label in _labels(truth):
                    judged[label][who] += 1
                    right[label][who] += label in _labels(value)
    found: dict[str, dict[str, Skill]] = defaultdict(dict)
    for label, counts in judged.items():
        names = sorted(counts)
        scores = np.array([right[label][who] for who in names], np.float64)
        totals = np.array([counts[who] for who in names], np.float64)
        for who, skill in beta_skills(names, scores, np.zeros(len(names)), totals).items():
            found[who][label] = skill
    return dict(found)


def _truth(control: Control, gold: object, others: Sequence[Value]) -> Value | None:
    if gold is not None:
        return restored(control, gold)
    return others[0] if others and all(value == others[0] for value in others) else None


def _labels(value: Value | None) -> tuple[str, ...]:
    """The labels of a labelled kind's value."""
    if value is None:
        return ()
    return tuple(map(str, value)) if isinstance(value, tuple | list) else (str(value),)


def workers(
    project: Project, names: Collection[str], queues: Mapping[str, int], today: Mapping[str, int], *, classes: bool
) -> list[Worker]:
    """Return the people as routers see them. queues, today: open tasks and tasks given today, by name. classes:
    whether the accuracy on single labels is wanted."""
    policy = project.settings.routing
    skills = skills_of(project)
    by_class = class_skills(project) if classes else {}
    return [
        Worker(
            name=name,
            skill=skills.get(name),
            by_class=MappingProxyType(by_class.get(name, {})),
            queue=queues.get(name, 0),
            done_today=today.get(name, 0),
            cap=policy.caps.get(name, policy.daily_cap),
            tiers=tuple(tier for tier, members in policy.tiers.items() if name in members),
        )
        for name in sorted(names)
    ]


def routing_tasks(
    project: Project,
    placements: Sequence[Placement],
    seats: Mapping[str, int],
    taken: Mapping[str, Collection[str]],
    *,
    judged: bool,
) -> dict[str, RoutingTask]:
    """Return these placed tasks as routers see them, by id. judged: whether uncertainty and likeliest label are
    wanted."""
    tasks = {task.id: task for task in project.store.tasks.get(project.name, [p.task_id for p in placements])}
    uncertainty: dict[str, float] = {}
    label: dict[str, str] = {}
    if judged and tasks:
        ids = sorted(tasks)
        rows = [tasks[task_id].seq for task_id in ids]
        for control in project.learned:
            probabilities = _known(project, control)
            if probabilities is not None:
                _judge(project, control, ids, probabilities[rows], uncertainty, label)
    split: dict[str, float] = {}
    for row in project.store.consensus.all(project.name):
        if row.task_id in tasks and len(row.support) > 1:
            split[row.task_id] = max(split.get(row.task_id, 0.0), 1.0 - row.confidence)
    return {
        p.task_id: RoutingTask(
            task_id=p.task_id,
            data=MappingProxyType(dict(tasks[p.task_id].data)),
            reason=p.reason,
            priority=p.priority,
            uncertainty=uncertainty.get(p.task_id, 0.0),
            disagreement=split.get(p.task_id, 0.0),
            label=label.get(p.task_id, ""),
            subgroup=MappingProxyType(dict(tasks[p.task_id].subgroup)),
            seats=seats.get(p.task_id, 0),
            taken=frozenset(taken.get(p.task_id, ())),
        )
        for p in placements
        if p.task_id in tasks
    }


def _judge(
    project: Project,
    control: Control,
    ids: Sequence[str],
    rows: Floats,
    uncertainty: dict[str, float],
    label: dict[str, str],
) -> None:
    """Take in what probabilities (n, k) say of these tasks. The greatest uncertainty of all controls counts, and the
    label of the first control that can tell."""
    kind = label_kind_of(control)
    scores = kind.uncertainty(control, rows, measure_of(project.settings.rank.strategy))
    for task_id, score, row in zip(ids, scores, rows, strict=True):
        if np.isnan(row).any():
            continue  # nobody judges it: that is not the same as hard
        uncertainty[task_id] = max(uncertainty.get(task_id, 0.0), float(score))
        label.setdefault(task_id, control.labels[int(np.argmax(row))])


def _known(project: Project, control: Control) -> Floats | None:
    """Return (n, k) over the pool by the model, else by the weak labels; None without either. The model itself is
    loaded only if it has not seen some of the pool."""
    current = project.store.models.current(project.name)
    if current is None:
        weak = weak_probabilities(project, control)
        return None if weak is None else weak[1]
    total = project.store.tasks.count(project.name)
    asked = ("probabilities", control.name, "model", current.version)
    if project.columns.missing(project.name, *asked, total):
        judge = current_judge(project)
        return None if judge is None else pool_probabilities(project, judge, control)
    array: Floats = project.columns.read(project.name, *asked, total, fill=np.nan)
    return array
