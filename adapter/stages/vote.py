"""Vote: everything that machines say of the pool. Only changed columns and new rows are computed.

The pool streams through by partition: tasks are read, voted on and stored a few ten thousand at a time, so a kill costs
one partition and a million tasks are never held.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from adapter.engines import FAULT, FAULTS_TOLD, Applied, EngineRun, counted, is_count, make_engine
from adapter.labeling import LabelingFunction, control_of
from adapter.stages.context import Project
from adapter.stages.function_votes import CONFIDENCE, VOTES, votes_key
from adapter.stages.reports import VoteReport
from adapter.vocabulary import Control, Fault, JsonObject

__all__ = ["CONFIDENCE", "SECONDS", "VOTES", "vote"]

SECONDS = "function_seconds"
"""Note of a project: control to function to {version, seconds, rows}: what its present version has cost so far."""
EXAMPLES = 3
Progress = Callable[[int, int | None], None]
Row = tuple[str, JsonObject]
"""A task's id and data."""


@dataclass(frozen=True, slots=True)
class _Span:
    """Rows lo to hi - 1, and the functions that have not voted there."""

    lo: int
    hi: int
    functions: tuple[LabelingFunction, ...]


@dataclass(slots=True)
class _Done:
    """What this run did, by function. failed: tasks. told: faults kept of single tasks."""

    computed: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    stopped: set[str] = field(default_factory=set)
    examples: dict[str, list[JsonObject]] = field(default_factory=lambda: defaultdict(list))
    absent: dict[str, str] | None = None


def vote(project: Project, *, progress: Progress | None = None) -> VoteReport:
    """Run labeling functions on the rows that they have not seen in their present version.

    Raises FunctionsError when the module does not import, EngineError when the cluster that it shall run on is not
    there; a function that fails on a task leaves a fault there.
    """
    started = time.perf_counter()
    functions = project.functions()
    controls = {function.name: control_of(function, project.space) for function in functions}
    spans = _spans(project, functions, controls)
    done = _Done()
    if spans:
        engine = make_engine(project.engine, project.places)
        try:
            runs: dict[tuple[str, ...], EngineRun] = {}
            rows, seen = sum(span.hi - span.lo for span in spans), 0
            for span, lo, tasks in _partitions(project, spans):
                names = tuple(function.name for function in span.functions)
                if names not in runs:  # a function that hangs is given up for all rows of its run
                    runs[names] = engine.start(span.functions, project.space)
                result = runs[names].apply([data for _, data in tasks])
                _note_absent(done, span.functions, tasks)
                _store_faults(project, done, span.functions, result, tasks)
                _store_votes(project, span.functions, controls, result, lo)
                done.computed.update(dict.fromkeys(names, len(tasks)))
                seen += len(tasks)
                if progress:
                    progress(seen, rows)
            _store_counts(project, done, functions)
        finally:
            engine.close()
    _drop_unused(project, functions, controls)
    current = project.store.models.current(project.name)
    return VoteReport(
        functions=len(functions),
        computed=dict(done.computed),
        faults=dict(done.failed + done.whole),
        model=current.version if current else None,
        seconds=time.perf_counter() - started,
        examples={name: found[:EXAMPLES] for name, found in done.examples.items()},
    )


def _spans(project: Project, functions: Sequence[LabelingFunction], controls: dict[str, Control]) -> list[_Span]:
    """Cut the pool where what is missing changes: each row is read once for all functions that lack it."""
    total = project.store.tasks.count(project.name)
    missing = {}
    for function in functions:
        key = votes_key(function, controls[function.name])
        missing[function.name] = project.columns.missing(project.name, VOTES, *key, total)
    cuts = sorted({end for ranges in missing.values() for pair in ranges for end in pair})
    spans = []
    for lo, hi in pairwise(cuts):
        lacking = [f for f in functions if any(first <= lo and hi <= end for first, end in missing[f.name])]
        if lacking:
            spans.append(_Span(lo, hi, tuple(lacking)))
    return spans


def _partitions(project: Project, spans: Sequence[_Span]) -> Iterator[tuple[_Span, int, list[Row]]]:
    """Yield span, first row and tasks, partition by partition; the next one is read while one is voted on."""
    size = project.engine.partition_rows
    cut = [(span, lo, min(lo + size, span.hi)) for span in spans for lo in range(span.lo, span.hi, size)]
    with ThreadPoolExecutor(1, thread_name_prefix="hitl-read") as reader:
        ahead = reader.submit(project.store.tasks.data_between, project.name, *cut[0][1:])
        for (span, lo, _), then in zip(cut, [*cut[1:], None], strict=True):
            tasks = ahead.result()
            if then is not None:
                ahead = reader.submit(project.store.tasks.data_between, project.name, *then[1:])
            yield span, lo, tasks


def _store_votes(
    project: Project,
    functions: Sequence[LabelingFunction],
    controls: dict[str, Control],
    result: Applied,
    lo: int,
) -> None:
    """Store a partition's columns, confidence first: where votes stand, all else does. Keep what it cost."""
    note: dict[str, Any] = project.store.projects.notes(project.name, SECONDS).get(SECONDS, {})
    for at, function in enumerate(functions):
        if function.name in result.postponed:
            continue
        column = votes_key(function, controls[function.name])
        if function.name in result.confidence:
            sure = np.asarray(result.confidence[function.name], np.float32)
            project.columns.write(project.name, CONFIDENCE, *column, lo, sure)
        project.columns.write(project.name, VOTES, *column, lo, result.votes[:, at])
        spent = note.setdefault(column[0], {}).get(function.name, {})
        if spent.get("version") != function.version:
            spent = {"version": function.version, "seconds": 0.0, "rows": 0}
        spent["seconds"] = round(spent["seconds"] + result.seconds.get(function.name, 0.0), 6)
        spent["rows"] += len(result.votes)
        note[column[0]][function.name] = spent
    project.store.projects.note(project.name, SECONDS, note)


def _note_absent(done: _Done, functions: Sequence[LabelingFunction], tasks: Sequence[Row]) -> None:
    """Remember the declared functions whose field no task has had so far: they abstain, and it is surely a mistake."""
    if done.absent == {} or not any(function.declared is not None for function in functions):
        return
    from adapter.labeling.vectorized import absent_fields

    found = absent_fields(functions, [data for _, data in tasks])
    now = {functions[index].name: why for index, why in found.items()}
    done.absent = now if done.absent is None else {name: why for name, why in done.absent.items() if name in now}


def _store_faults(
    project: Project, done: _Done, functions: Sequence[LabelingFunction], result: Applied, tasks: Sequence[Row]
) -> None:
    """Store a partition's faults, of each function the first hundred of this run."""
    for at, function in enumerate(functions):
        if function.name not in result.postponed:
            done.failed[function.name] += int((result.votes[:, at] == FAULT).sum())
    done.stopped |= result.stopped
    kept = []
    for fault in result.faults:
        if is_count(fault):
            continue
        if fault.row is None:
            done.whole[fault.source] += 1
        elif done.told[fault.source] >= FAULTS_TOLD:
            continue
        else:
            done.told[fault.source] += 1
        task = None if fault.row is None else tasks[fault.row][0]
        kept.append(Fault(fault.source, fault.version, "vote", task, fault.message, project.now()))
        done.examples[fault.source].append({"task": task, "message": fault.message})
    if kept:
        project.store.faults.add(project.name, kept)


def _store_counts(project: Project, done: _Done, functions: Sequence[LabelingFunction]) -> None:
    """Store how many tasks failed besides those told, and which functions look at a field that no task has."""
    kept = []
    for function in functions:
        said = [(done.absent or {}).get(function.name, "")]
        done.whole[function.name] += bool(said[0])
        more = done.failed[function.name] - done.told[function.name]
        if function.name in done.stopped:
            said.append(counted(more, project.engine.strikes))
        elif more:
            said.append(counted(more))
        for message in filter(None, said):
            kept.append(Fault(function.name, function.version, "vote", None, message, project.now()))
            done.examples[function.name].append({"task": None, "message": message})
    if kept:
        project.store.faults.add(project.name, kept)


def _drop_unused(project: Project, functions: Sequence[LabelingFunction], controls: dict[str, Control]) -> None:
    """Forget the columns of versions that are no longer in use, now that the present ones are whole."""
    used = {votes_key(function, controls[function.name]) for function in functions}
    for what in (VOTES, CONFIDENCE):
        for column in project.store.columns.versions(project.name, what):
            if column not in used:
                project.columns.drop(project.name, what, *column)
