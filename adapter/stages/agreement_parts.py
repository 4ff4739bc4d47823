"""Figures of agreement on parts of a project: a class, two people, a subgroup, a stretch of time."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from adapter.core.agreement import (
    Estimate,
    Statistic,
    cohen,
    cohen_interval,
    cross_table,
    estimate,
    unlikeness,
)
from adapter.kinds import kind_of
from adapter.policies import AgreementPolicy
from adapter.stages.context import Project
from adapter.stages.judged import (
    Judged,
    between,
    coded,
    confusions,
    exact,
    headline_of,
    of_class,
    one_against_rest,
)
from adapter.vocabulary import Annotation, Control, JsonObject

CONFUSED = 10
WINDOWS = 6
GROUPS = 50
"""A subgroup attribute with more values than this is an id, not a group."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with its bounds. of: what it is about (nothing for a whole control; a class, two annotators, attribute
    and group, a week). value, lower, upper: None where undefined, then `why` says why. n: doubly labelled tasks. more:
    further figures of the same part."""

    of: tuple[str, ...]
    statistic: str
    value: float | None
    lower: float | None
    upper: float | None
    n: int
    why: str = ""
    more: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Confusion:
    """Two classes that people gave to the same thing. count: pairs of people. share: of all such pairs that differ.
    task: an example."""

    classes: tuple[str, str]
    count: int
    share: float
    task: str


def figure_of(
    statistic: Statistic,
    policy: AgreementPolicy,
    *,
    of: tuple[str, ...] = (),
    n: int | None = None,
    more: JsonObject | None = None,
) -> Figure:
    """Return a statistic with bounds by the policy. n: tasks that count for it, where they are fewer."""
    return as_figure(bounded(statistic, policy), of=of, n=n, more=more)


def bounded(statistic: Statistic, policy: AgreementPolicy) -> Estimate:
    """Return a statistic with its bounds, by the policy's level, rounds and seed."""
    return estimate(statistic, seed=policy.seed, level=policy.level, rounds=policy.rounds)


def as_figure(
    found: Estimate, *, of: tuple[str, ...] = (), n: int | None = None, more: JsonObject | None = None
) -> Figure:
    """Return an estimate as a figure about something."""
    bounds = (number(found.value), number(found.lower), number(found.upper))
    return Figure(of, found.name, *bounds, found.n if n is None else n, found.why, more or {})


def class_parts(control: Control, judged: Sequence[Judged]) -> Iterator[tuple[str, Statistic, int]]:
    """Yield each class that somebody gave, with its statistic and the number of tasks on which they did.

    Categories and sets: alpha of "this label or not". Regions: the headline of the regions with it. Nothing for scales
    on which labels stand in an order, and for controls without labels.
    """
    kind = kind_of(control.kind)
    measure = kind.measure(control)
    if measure.headline == "alpha":
        if measure.scale in ("nominal", "set"):
            given = coded(judged)
            for label in control.labels:
                statistic, tasks = one_against_rest(given, label)
                if tasks:
                    yield label, statistic, tasks
        return
    parted = any(
        value and kind.of_label(control, value, label) is not value
        for item in judged
        for value in item.votes.values()
        for label in control.labels
    )
    for label in control.labels if parted else ():
        part = of_class(control, judged, label)
        if part:
            yield label, headline_of(control, part), len(part)


def subgroups_of(project: Project, judged: Sequence[Judged]) -> tuple[dict[tuple[str, str], list[Judged]], list[str]]:
    """Return (attribute, group) to its tasks, by name, and one note for each attribute that is no grouping."""
    tasks = {task.id: task for task in project.store.tasks.get(project.name, [item.task_id for item in judged])}
    found: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for item in judged:
        task = tasks.get(item.task_id)
        for attribute, group in (task.subgroup if task else {}).items():
            found[attribute, str(group)].append(item)
    sizes = Counter(attribute for attribute, _ in found)
    notes = [
        f"the subgroup attribute '{attribute}' has {size} values and was left out"
        for attribute, size in sorted(sizes.items())
        if size > GROUPS
    ]
    return {key: found[key] for key in sorted(found) if sizes[key[0]] <= GROUPS}, notes


def pairs_of(judged: Sequence[Judged]) -> list[tuple[str, str]]:
    """Return the pairs of annotators who share tasks, most tasks first."""
    shared: Counter[tuple[str, str]] = Counter(pair for item in judged for pair in item.pairs)
    return [pair for pair, _ in sorted(shared.items(), key=lambda entry: (-entry[1], entry[0]))]


def confused_of(judged: Sequence[Judged]) -> tuple[Confusion, ...]:
    """Return the pairs of classes on which people differ most, each with an example task."""
    found = confusions(judged)
    total = sum(found.values())
    order = sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))[:CONFUSED]
    example: dict[tuple[str, str], str] = {}
    for item in judged:
        for pair in confusions([item]):
            example.setdefault(pair, item.task_id)
    return tuple(Confusion(pair, count, count / total, example[pair]) for pair, count in order)


def pair_figure(control: Control, judged: Sequence[Judged], pair: tuple[str, str], policy: AgreementPolicy) -> Figure:
    """Two annotators' headline on their shared tasks; for categories Cohen's kappa beside it, quadratic for ordered
    ones, with its asymptotic interval."""
    part = between(judged, *pair)
    more: dict[str, float | None] = {"percent": number(exact(part).value)}
    measure = kind_of(control.kind).measure(control)
    if measure.headline == "alpha" and measure.scale in ("nominal", "ordinal"):
        given = coded(part)
        index = {value: number for number, value in enumerate(given.values)}
        both = [tuple(index[unit.codes[who]] for who in pair) for item in part for unit in item.units]
        table = cross_table([a for a, _ in both], [b for _, b in both], len(index))
        unlike = unlikeness(len(index), "quadratic" if measure.scale == "ordinal" else "none")
        low, high = cohen_interval(table, unlike=unlike)
        kappa = cohen(table, unlike=unlike).value
        more |= {"cohen": number(kappa), "cohen_lower": number(low), "cohen_upper": number(high)}
    return figure_of(headline_of(control, part), policy, of=pair, more=more)


def windows_of(
    judged: Sequence[Judged], voting: Mapping[str, Sequence[Annotation]]
) -> Iterator[tuple[str, list[Judged]]]:
    """Yield (when, tasks): by the ISO week of the last annotation where there are at least three, else windows with the
    same number of tasks, in order of time."""
    dated = sorted(
        ((max(annotation.created_at for annotation in voting[item.task_id]), item) for item in judged),
        key=lambda entry: (entry[0], entry[1].task_id),
    )
    weeks = {week: [item for _, item in rows] for week, rows in itertools.groupby(dated, lambda entry: _week(entry[0]))}
    if len(weeks) > 2:
        yield from weeks.items()
        return
    windows = min(WINDOWS, len(dated) // 10)
    for number in range(windows if windows > 1 else 0):
        rows = dated[number * len(dated) // windows : (number + 1) * len(dated) // windows]
        first, last = (f"{when:%Y-%m-%d %H:%M}" for when in (rows[0][0], rows[-1][0]))
        yield f"{number + 1} of {windows}: {first} to {last}", [item for _, item in rows]


def _week(when: datetime) -> str:
    year, week, _ = when.isocalendar()
    return f"{year}-W{week:02d}"


def number(value: float) -> float | None:
    """Return a figure as JSON has it: None where it is undefined."""
    return value if math.isfinite(value) else None
