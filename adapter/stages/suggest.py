"""Suggest: candidates for new labeling functions, from people's labels outside the blind sample and from tasks that no
function covers; kept as a note of the project until one is accepted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from adapter.core.suggest import (
    TOGETHER,
    Candidate,
    Chosen,
    Group,
    choose,
    groups,
    term_rules,
    text_features,
    threshold_rules,
    value_features,
)
from adapter.core.suggest.code import name_of
from adapter.errors import DataError, nearest
from adapter.stages.context import Project
from adapter.stages.function_watch_reports import excerpt
from adapter.stages.reports import Report
from adapter.stages.suggest_likeness import likeness_rules
from adapter.stages.suggest_material import Material, material_of

KINDS = ("keywords", "ngrams", "thresholds", "neighbours")
GROUPS = "uncovered"
QUICK = ("keywords", "ngrams", "thresholds", GROUPS)
"""What is looked for unless more is asked: neighbour rules embed thousands of tasks first, which takes minutes."""
SUGGESTIONS_NOTE = "suggestions"
ROWS = 50_000
LIMIT = 20
LEAST_LABELS = 10
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A labeling function that could be added.

    name: short and stable; `hitl lf accept` takes it. kind: one of KINDS, or `uncovered`, a group of tasks that no
    function covers. label: what it votes; empty where the author has to say. call, args, options: the declared function
    (see `core.suggest.code.declaration`). votes, newly: tasks of the whole pool that it would vote on, and those of
    them that nothing covers, neither a function nor a suggestion above it; scaled up where the pool was sampled.
    gained: of `newly` the tasks that it is expected to label rightly. overlap: share of its tasks on which functions
    vote already. base: share of the label among the labels that found it. precision (shrunk), found, found_right:
    there. checked, held, lower, upper: labels that did not find it, those it is right on, and their Wilson 95 %
    interval. examples: texts, none of them blind.
    """

    name: str
    kind: str
    control: str
    label: str
    call: str
    args: list[Any]
    options: dict[str, Any]
    votes: int
    newly: int
    gained: float
    overlap: float
    base: float
    precision: float | None
    found: int
    found_right: int
    checked: int
    held: int
    lower: float
    upper: float
    examples: list[str]


@dataclass(frozen=True, slots=True)
class SuggestReport(Report):
    """rows: tasks looked at, of `pool`. labels: people's labels outside the blind sample, half of which found, half
    checked. notes: what was left out, and why."""

    suggestions: tuple[Suggestion, ...]
    rows: int
    pool: int
    seed: int
    labels: int
    notes: tuple[str, ...]
    seconds: float


def suggest(
    project: Project,
    *,
    kinds: Sequence[str] = QUICK,
    limit: int = LIMIT,
    rows: int = ROWS,
    seed: int = 0,
) -> SuggestReport:
    """Look for functions and keep what was found. rows: most tasks of the pool to look at, drawn with `seed`.

    Raises DataError for an unknown kind, FunctionsError when the functions there are do not load.
    """
    started = time.perf_counter()
    for kind in kinds:
        if kind not in (*KINDS, GROUPS):
            raise DataError(f"there is no kind of suggestion '{kind}'", remedy=nearest(kind, (*KINDS, GROUPS)))
    pool = project.store.tasks.count(project.name)
    drawn = np.random.default_rng(seed).choice(pool, min(rows, pool), replace=False) if pool else np.empty(0, np.int64)
    sample = project.store.tasks.at(project.name, sorted(int(seq) for seq in drawn))
    functions = project.functions()
    taken = {function.name for function in functions}
    notes: list[str] = []
    found: list[Suggestion] = []
    labelled = 0
    for control in project.learned:
        material = material_of(project, control, sample, seed)
        labelled += len(material.evidence.rows)
        if len(material.evidence.rows) < LEAST_LABELS:
            notes.append(
                f"{control.name}: {len(material.evidence.rows)} labels outside the blind sample; rules are looked for "
                f"from {LEAST_LABELS} on"
            )
        candidates = _candidates(project, material, kinds, notes, seed)
        scale = pool / max(1, material.evidence.size)
        for chosen in choose(candidates, material.evidence, limit):
            found.append(_suggestion(chosen, material, scale, taken))
            taken.add(found[-1].name)
        if GROUPS in kinds and material.text_field:
            for group in groups(material.texts(material.text_field), material.evidence, seed=seed):
                found.append(_of_group(group, material, scale, taken))
                taken.add(found[-1].name)
    if kinds == QUICK:
        notes.append("neighbour rules were left out, they embed tasks first: ask with --kind neighbours")
    if len(sample) < pool:
        notes.append(f"counts are estimated from {len(sample):,} of {pool:,} tasks, drawn with seed {seed}")
    project.store.projects.note(project.name, SUGGESTIONS_NOTE, [asdict(one) for one in found])
    seconds = time.perf_counter() - started
    return SuggestReport(tuple(found), len(sample), pool, seed, labelled, tuple(notes), seconds)


def kept(project: Project, name: str) -> Suggestion:
    """Return the suggestion of this name. Raises DataError with the nearest name, or how to get some."""
    rows = project.store.projects.notes(project.name, SUGGESTIONS_NOTE).get(SUGGESTIONS_NOTE) or []
    for row in rows:
        if row.get("name") == name:
            return Suggestion(**row)
    names = [str(row.get("name")) for row in rows]
    raise DataError(
        f"there is no suggestion '{name}'", remedy=nearest(name, names) or "Look for some with `hitl lf suggest`."
    )


def _candidates(
    project: Project, material: Material, kinds: Sequence[str], notes: list[str], seed: int
) -> list[Candidate]:
    evidence, field = material.evidence, material.text_field
    if len(evidence.rows) < LEAST_LABELS:
        return []
    found: list[Candidate] = []
    for kind in ("keywords", "ngrams"):
        if kind in kinds and field:
            found += term_rules(material.texts(field), evidence, kind=kind, field=field)
    if "thresholds" in kinds:
        hidden = {project.settings.data.id_column, *project.settings.data.subgroups}
        names = sorted({name for task in material.tasks for name in task.data} - hidden)
        features = text_features(field, material.texts(field)) if field else []
        for name in names:
            if name != field and not name.startswith("hitl_"):
                features += value_features(name, [task.data.get(name) for task in material.tasks])
        found += threshold_rules(features, evidence)
    if "neighbours" in kinds:
        found += likeness_rules(project, material.control, material.tasks, evidence, field, notes, seed)
    return found


def _suggestion(chosen: Chosen, material: Material, scale: float, taken: set[str]) -> Suggestion:
    candidate, judged = chosen.candidate, chosen.candidate.judged
    label = material.evidence.labels[candidate.label]
    inside = candidate.hits[candidate.hits < material.evidence.size]
    scale *= candidate.weight
    newly = round(chosen.newly * scale)
    return Suggestion(
        name=name_of(label, candidate.words, taken),
        kind=candidate.kind,
        control=material.control.name,
        label=label,
        call=candidate.call,
        args=list(candidate.args),
        options=dict(candidate.options),
        votes=round(len(inside) * scale),
        newly=newly,
        gained=round(newly * judged.precision, 1),
        overlap=round(chosen.overlap, 4),
        base=round(judged.base, 4),
        precision=round(judged.precision, 4),
        found=judged.n,
        found_right=judged.right,
        checked=judged.checked,
        held=judged.held,
        lower=round(judged.lower, 4),
        upper=round(judged.upper, 4),
        examples=_examples(inside, material),
    )


def _of_group(group: Group, material: Material, scale: float, taken: set[str]) -> Suggestion:
    label = material.evidence.labels[group.label] if group.label is not None else ""
    inside = group.reach[group.reach < material.evidence.size]
    covered = material.evidence.votes[inside] > 0
    base = float(material.evidence.base[group.label]) if group.label is not None else 0.0
    field = material.text_field
    return Suggestion(
        name=name_of(GROUPS, group.terms, taken),
        kind=GROUPS,
        control=material.control.name,
        label=label,
        call="keywords",
        args=[label, list(group.terms)],
        options={"at_least": TOGETHER} | ({} if field == "text" else {"field": field}),
        votes=round(len(inside) * scale),
        newly=round(int((~covered).sum()) * scale),
        gained=0.0,
        overlap=round(float(covered.mean()) if len(inside) else 0.0, 4),
        base=round(base, 4),
        precision=None,
        found=group.counted,
        found_right=group.agreeing,
        checked=0,
        held=0,
        lower=0.0,
        upper=1.0,
        examples=_examples(group.rows, material),
    )


def _examples(rows: np.ndarray[Any, np.dtype[np.int64]], material: Material) -> list[str]:
    """Texts of rows that nothing covers, else of any; never of blind tasks."""
    covered = material.evidence.votes > 0
    fresh = sorted((int(row) for row in rows), key=lambda row: bool(covered[row]))
    shown = [row for row in fresh if not material.tasks[row].blind][: 4 * EXAMPLES]
    texts = dict.fromkeys(excerpt(material.tasks[row].data, material.control) for row in shown)
    return list(texts)[:EXAMPLES]
