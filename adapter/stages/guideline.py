"""Where the guideline needs a look: the classes that people mix up, the people who read it differently, the sorts of
disagreement about regions, each with examples in words. Reads the store only.

All tasks that several people labelled count, not the blind sample alone: this is a search for problems, no figure of
agreement. Labels that were shown a pre-label agree too often, so the true rates are, if anything, higher.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from adapter.core.guideline import Judged, Problem, class_problems, people_problems, sort_problems
from adapter.core.matching import match
from adapter.kinds import kind_of, label_kind
from adapter.kinds.base import RegionKind
from adapter.stages.context import Project
from adapter.stages.evidence import values_by_annotator
from adapter.stages.reports import Report
from adapter.stages.review_words import excerpt
from adapter.vocabulary import Control, Task, Value

ROUNDS = 1000
_CHANCE_PAIRS = 200
_TOUCHES = 0.1
"""Overlap from which two marks are about one thing, however badly one of them is drawn."""
_SAME = 0.5
"""Overlap below which two marks of one thing are drawn differently."""
_NO_LABEL = "(no label)"

Votes = Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class GuidelineProblem:
    """A problem, for people. what: `classes`, `people` or `regions`. sentence: all of it. examples: in words. figures:
    see `core.guideline.Problem`."""

    control: str
    what: str
    sentence: str
    examples: tuple[str, ...]
    figures: Problem


@dataclass(frozen=True, slots=True)
class GuidelineReport(Report):
    """problems: by control in the config's order; of each, classes or regions first, then people, worst first. tasks:
    labelled by several people, per control. note: what to do, or why nothing can be said."""

    problems: tuple[GuidelineProblem, ...]
    tasks: dict[str, int]
    note: str


def guideline(project: Project, *, most: int = 5, rounds: int = ROUNDS) -> GuidelineReport:
    """Look for guideline problems. most: of each sort per control. rounds: bootstrap resamples."""
    voting = project.store.annotations.voting(project.name)
    found: list[GuidelineProblem] = []
    tasks: dict[str, int] = {}
    for control in project.space.controls:
        votes = {task_id: values_by_annotator(annotations, control) for task_id, annotations in voting.items()}
        several = {task_id: by_person for task_id, by_person in votes.items() if len(by_person) > 1}
        tasks[control.name] = len(several)
        if several:
            found += _of_control(project, control, several, most, rounds)
    note = "look at the examples, mend the guideline, and tell the people; then have these tasks labelled again"
    if not any(tasks.values()):
        note = "no task was labelled by several people yet; raise `blind.double_share` or `consolidate.max_people`"
    elif not found:
        note = "people differ too rarely to name a problem"
    return GuidelineReport(tuple(found), tasks, note)


def _of_control(project: Project, control: Control, votes: Votes, most: int, rounds: int) -> list[GuidelineProblem]:
    kind = kind_of(control.kind)
    seed = project.settings.agreement.seed
    if isinstance(kind, RegionKind):
        what = "regions"
        first = sort_problems(_things(kind, votes), rounds=rounds, seed=seed, most=most)
    else:
        what = "classes"
        first = class_problems(_judged(control, votes), rounds=rounds, seed=seed, most=most)
    shared = _distances(control, votes)
    least = project.settings.people.min_items
    chance = {
        pair: _by_chance(control, votes, pair, [task_id for task_id, _ in rows], seed)
        for pair, rows in shared.items()
        if len(rows) >= least
    }
    second = people_problems(shared, chance, least=least, rounds=rounds, seed=seed, most=most)
    wanted = sorted({task_id for problem in (*first, *second) for task_id in problem.examples})
    data = {task.id: task for task in project.store.tasks.get(project.name, wanted)}
    return [_told(control, what, problem, votes, data) for problem in first] + [
        _told(control, "people", problem, votes, data) for problem in second
    ]


def _judged(control: Control, votes: Votes) -> list[Judged]:
    """Return two people's classes at a time; none for kinds without classes, such as text."""
    kind = label_kind(control)
    found: list[Judged] = []
    for task_id, by_person in votes.items():
        codes: list[Mapping[str, Hashable]] = []
        if kind is not None:
            labels = np.array(control.labels, dtype=object)
            codes = [
                {who: frozenset(labels[kind.target(control, value) > 0]) for who, value in by_person.items()},
            ]
        else:
            codes = [unit.codes for unit in kind_of(control.kind).units(control, by_person)]
        for unit in codes:
            for a, b in combinations(sorted(unit), 2):
                if all(isinstance(unit[who], str | frozenset) for who in (a, b)):
                    found.append(Judged(task_id, unit[a], unit[b]))
    return found


def _things(kind: RegionKind, votes: Votes) -> list[tuple[str, str, str]]:
    """Return (task, sort, label) of each thing that one or both of two people marked; see `sort_problems`."""
    found = []
    for task_id, by_person in votes.items():
        for one, other in combinations(sorted(by_person), 2):
            a, b = by_person[one], by_person[other]
            table = np.array([[kind.overlap(x, y) for y in b] for x in a], np.float64).reshape(len(a), len(b))
            pairs = match(table, _TOUCHES)
            for i, j in pairs:
                left, right = _label(a[i]), _label(b[j])
                if left != right:
                    found.append((task_id, "label", " / ".join(sorted((left, right)))))
                else:
                    found.append((task_id, "boundary" if table[i, j] < _SAME else "", left))
            met = ({i for i, _ in pairs}, {j for _, j in pairs})
            for side, regions in zip(met, (a, b), strict=True):
                found += [(task_id, "missed", _label(x)) for n, x in enumerate(regions) if n not in side]
    return found


def _label(region: Mapping[str, Value]) -> str:
    return " + ".join(region["labels"]) or _NO_LABEL


def _distances(control: Control, votes: Votes) -> dict[tuple[str, str], list[tuple[str, float]]]:
    kind = kind_of(control.kind)
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for task_id, by_person in votes.items():
        for a, b in combinations(sorted(by_person), 2):
            distance = kind.distance(control, by_person[a], by_person[b])
            found.setdefault((a, b), []).append((task_id, distance))
    return found


def _by_chance(control: Control, votes: Votes, pair: tuple[str, str], tasks: Sequence[str], seed: int) -> float:
    """Return the mean distance between one's answer on a task and the other's on another, over some pairs of tasks."""
    kind = kind_of(control.kind)
    count = len(tasks)
    rng = np.random.default_rng(seed)
    rows = [(i, j) for i in range(count) for j in range(count) if i != j] if count <= 15 else []
    if not rows:
        left = rng.integers(count, size=_CHANCE_PAIRS)
        right = (left + rng.integers(1, count, size=_CHANCE_PAIRS)) % count
        rows = list(zip(left.tolist(), right.tolist(), strict=True))
    distances = [kind.distance(control, votes[tasks[i]][pair[0]], votes[tasks[j]][pair[1]]) for i, j in rows]
    return float(np.mean(distances)) if distances else 0.0


def _told(control: Control, what: str, problem: Problem, votes: Votes, data: Mapping[str, Task]) -> GuidelineProblem:
    first, second = problem.pair
    share = f"{problem.rate:.0%} ({problem.lower:.0%} to {problem.upper:.0%})"
    of = f"{problem.disagreements:.0f} of {problem.comparisons:.0f}"
    chance = "" if problem.chance is None else f"; by chance it would be {problem.chance:.0%}"
    if what == "classes":
        sentence = f"'{first}' and '{second}' are mixed up in {of} comparisons that are about them, {share}{chance}"
    elif what == "people":
        sentence = f"{first} and {second} differ on {of} tasks, mean distance {share}{chance}"
    else:
        names = {"missed": "missed by one", "boundary": "drawn differently", "label": "labelled differently"}
        sentence = f"{second} is {names[first]} in {of} cases, {share}"
    examples = tuple(
        _example(control, what, problem, task_id, votes[task_id], data.get(task_id)) for task_id in problem.examples
    )
    return GuidelineProblem(control.name, what, sentence, examples, problem)


def _example(
    control: Control, what: str, problem: Problem, task_id: str, by_person: Mapping[str, Value], task: Task | None
) -> str:
    """Tell one task: what it shows, and how two people differ on it."""
    kind = kind_of(control.kind)
    if what == "people":
        one, other = problem.pair
    else:
        differing = [
            (kind.distance(control, by_person[a], by_person[b]), a, b) for a, b in combinations(sorted(by_person), 2)
        ]
        _, one, other = max(differing, key=lambda row: row[0])
    shown = f" ({text})" if task is not None and (text := excerpt(control, task)) else ""
    words = kind.disagreement(control, by_person[one], by_person[other])
    return f"task {task_id}{shown}: {one} against {other}: {words}"
