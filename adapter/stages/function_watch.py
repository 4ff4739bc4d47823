"""Watching an author's files: what a change of a labeling function does, on a sample of the pool, at once.

Nothing is written to the store. Only functions whose version changed run again; what the others say is read from the
store once, or computed once, and kept in memory with the sample's data.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from adapter.core.intervals import wilson
from adapter.engines.base import ABSTAIN, FAULT, Engine
from adapter.errors import FunctionsError
from adapter.labeling import LabelingFunction, control_of
from adapter.stages.context import Project
from adapter.stages.evidence import people_labels
from adapter.stages.function_votes import VOTES, votes_key
from adapter.stages.function_watch_reports import Figures, Flip, FunctionChange, WatchReport, excerpt
from adapter.vocabulary import Control, JsonObject, Task

Votes = npt.NDArray[np.int16]
Bools = npt.NDArray[np.bool_]
Gold = dict[str, dict[int, frozenset[int]]]

EXAMPLES = 3
MOST_BLIND = 5_000
MESSAGES = 3
ABSTAINS, FAILS = "abstain", "fault"


@dataclass(slots=True)
class _Column:
    """What one function says of the rows in memory."""

    function: LabelingFunction
    control: Control
    votes: Votes
    messages: tuple[str, ...] = ()
    seconds: float = 0.0
    figures: Figures | None = None


@dataclass
class FunctionWatch:
    """A watch over one project's labeling functions.

    engine: warm workers, closed by whoever made them. rows: of the sample, drawn at random with `seed`. Accuracy is
    counted on the labelled tasks of the blind sample (at most 5,000), whether or not they are in the sample.
    """

    project: Project
    engine: Engine
    rows: int = 10_000
    seed: int = 0
    data: list[JsonObject] = field(default_factory=list)
    blind: list[bool] = field(default_factory=list)
    row_of: dict[int, int] = field(default_factory=dict)
    size: int = 0
    pool: int = 0
    known: dict[str, int | None] = field(default_factory=dict)
    gold: Gold = field(default_factory=dict)
    columns: dict[str, _Column] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def start(self) -> WatchReport:
        """Draw the sample and say what every function does there. Call it first, once."""
        began = time.perf_counter()
        project = self.project
        self.pool = project.store.tasks.count(project.name)
        count = min(self.rows, self.pool)
        drawn = np.random.default_rng(self.seed).choice(self.pool, count, replace=False) if count else np.empty(0, int)
        self._add(project.store.tasks.at(project.name, sorted(int(seq) for seq in drawn)))
        self.size = len(self.data)
        self._read_labels()
        return self._changes(began, "there")

    def look(self) -> WatchReport:
        """Load the functions again, run those that changed, and say what is different."""
        return self._changes(time.perf_counter(), "")

    def labels(self) -> WatchReport | None:
        """Read people's labels again; say whose accuracy moved, None if nobody's."""
        began = time.perf_counter()
        if not self._read_labels():
            return None
        before = {name: column.figures for name, column in self.columns.items()}
        self._measure()
        moved = [
            FunctionChange(name, column.control.name, "judged", before[name], column.figures)
            for name, column in self.columns.items()
            if _judged(before[name]) != _judged(column.figures)
        ]
        return self._report(began, moved) if moved else None

    def _changes(self, began: float, first: str) -> WatchReport:
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what a module prints is none of our report
                functions = self.project.functions()
            before, self_refused = dict(self.columns), dict(self.refused)
            changed = self._take(functions)
        except FunctionsError as error:
            return self._report(began, (), " ".join(str(error).split()))
        self._measure()
        found = []
        for name in changed:
            column, old = self.columns[name], before.get(name)
            same = old is not None and old.control.name == column.control.name
            found.append(
                FunctionChange(
                    name,
                    column.control.name,
                    first or ("changed" if old else "new"),
                    old.figures if old else None,
                    column.figures,
                    self._flips(old.votes, column) if old is not None and same else (),
                    column.messages,
                    column.seconds,
                )
            )
        for name, why in self.refused.items():
            if self_refused.get(name) != why:
                found.append(FunctionChange(name, "", "refused", messages=(why,)))
        for name, old in before.items():
            if name not in self.columns and name not in self.refused:
                found.append(FunctionChange(name, old.control.name, "removed", old.figures))
        return self._report(began, found)

    def _report(self, began: float, changes: Sequence[FunctionChange], error: str = "") -> WatchReport:
        unchanged = len(self.columns) - sum(change.name in self.columns for change in changes)
        return WatchReport(self.size, self.pool, tuple(changes), unchanged, error, time.perf_counter() - began)

    def _take(self, functions: Sequence[LabelingFunction]) -> list[str]:
        """Bring the columns up to these functions; return the names of those that are new or changed."""
        columns: dict[str, _Column] = {}
        refused: dict[str, str] = {}
        todo: list[tuple[LabelingFunction, Control]] = []
        changed = []
        for function in functions:
            try:
                control = control_of(function, self.project.space)
            except FunctionsError as error:
                refused[function.name] = str(error)
                continue
            old = self.columns.get(function.name)
            if old is not None and old.function.version == function.version and old.control == control:
                columns[function.name] = replace(old, function=function)
                continue
            changed.append(function.name)
            stored = None if self.columns else self._stored(function, control)
            if stored is None:
                todo.append((function, control))
            else:
                columns[function.name] = _Column(function, control, stored)
        columns.update(self._run(todo, self.data))
        self.columns = {function.name: columns[function.name] for function in functions if function.name in columns}
        self.refused = refused
        return [name for name in changed if name in self.columns]

    def _stored(self, function: LabelingFunction, control: Control) -> Votes | None:
        """Its votes in the store, if it has voted on the whole pool in this version without a fault."""
        key = (self.project.name, VOTES, *votes_key(function, control))
        if self.project.columns.missing(*key, self.pool):
            return None
        whole = self.project.columns.read(*key, self.pool, fill=ABSTAIN)
        votes = whole[np.fromiter(self.row_of, np.int64, len(self.row_of))].astype(np.int16)
        return None if (votes == FAULT).any() else votes  # run again: the message is wanted

    def _run(self, todo: Sequence[tuple[LabelingFunction, Control]], rows: Sequence[JsonObject]) -> dict[str, _Column]:
        found = {}
        controls = {control.name: control for _, control in todo}
        for control in controls.values():
            group = [function for function, mine in todo if mine.name == control.name]
            applied = self.engine.start(group, control).apply(rows)
            for index, function in enumerate(group):
                told = [fault for fault in applied.faults if fault.source == function.name]
                messages = tuple(dict.fromkeys(fault.message for fault in told))[:MESSAGES]
                seconds = float(applied.seconds.get(function.name, 0.0))
                found[function.name] = _Column(
                    function, control, np.asarray(applied.votes[:, index], np.int16), messages, seconds
                )
        return found

    def _add(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self.row_of[task.seq] = len(self.data)
            self.data.append(task.data)
            self.blind.append(task.blind)

    def _read_labels(self) -> bool:
        """Read people's consensus on the blind tasks; whether it differs from what was known. Blind tasks that are new
        to us join the rows in memory."""
        project, gold = self.project, Gold()
        for control in project.learned:
            labels = people_labels(project, control)
            self._place([task_id for task_id in sorted(labels) if task_id not in self.known])
            code = {label: number for number, label in enumerate(control.labels)}
            gold[control.name] = {
                row: _codes(consensus.value, code)
                for task_id, consensus in labels.items()
                if (row := self.known[task_id]) is not None
            }
        changed, self.gold = gold != self.gold, gold
        return changed

    def _place(self, ids: Sequence[str]) -> None:
        """Find the rows of these labelled tasks: None for those outside the blind sample, and beyond the most held."""
        if not ids:
            return
        found = {task.id: task for task in self.project.store.tasks.get(self.project.name, ids)}
        held = sum(row is not None for row in self.known.values())
        late = []
        for task_id in ids:
            task = found.get(task_id)
            self.known[task_id] = None
            if task is not None and task.blind and held < MOST_BLIND:
                held += 1
                if task.seq not in self.row_of:
                    late.append(task)
                    self._add([task])
                self.known[task_id] = self.row_of[task.seq]
        if late and self.columns:
            more = self._run([(c.function, c.control) for c in self.columns.values()], [task.data for task in late])
            for name, column in self.columns.items():
                column.votes = np.concatenate([column.votes, more[name].votes])

    def _measure(self) -> None:
        for control in self.project.learned:
            mine = [column for column in self.columns.values() if column.control.name == control.name]
            if not mine:
                continue
            votes = np.stack([column.votes[: self.size] for column in mine], axis=1)
            against = np.zeros(votes.shape, bool) if control.multiple else _conflicts(votes)
            for index, column in enumerate(mine):
                column.figures = self._figures(column, against[:, index])

    def _figures(self, column: _Column, against: Bools) -> Figures:
        votes, labels = column.votes[: self.size], column.control.labels
        counts = np.bincount(votes[votes >= 0], minlength=len(labels))
        gold = self.gold.get(column.control.name, {})
        asked = [row for row in gold if column.votes[row] >= 0]
        right = sum(int(column.votes[row]) in gold[row] for row in asked)
        low, high = wilson(right, len(asked)) if asked else (None, None)
        total = max(1, self.size)
        return Figures(
            coverage=float((votes >= 0).sum()) / total,
            conflict=float(against.sum()) / total,
            labels={label: int(n) for label, n in zip(labels, counts, strict=True) if n},
            faults=int((votes == FAULT).sum()),
            judged=len(asked),
            right=right,
            lower=low,
            upper=high,
        )

    def _flips(self, before: Votes, column: _Column) -> tuple[Flip, ...]:
        """Which votes changed from what to what on the sample, most frequent first; examples are never blind tasks."""
        old, new = before[: self.size], column.votes[: self.size]
        rows = np.flatnonzero(old != new)
        kinds = Counter(zip(old[rows].tolist(), new[rows].tolist(), strict=True))
        flips = []
        for (was, now), count in sorted(kinds.items(), key=lambda item: (-item[1], item[0])):
            mine = [row for row in rows[(old[rows] == was) & (new[rows] == now)].tolist() if not self.blind[row]]
            texts = tuple(excerpt(self.data[row], column.control) for row in mine[:EXAMPLES])
            flips.append(Flip(_word(was, column.control), _word(now, column.control), count, texts))
        return tuple(flips)


def _judged(figures: Figures | None) -> tuple[int, int] | None:
    return None if figures is None else (figures.right, figures.judged)


def _word(vote: int, control: Control) -> str:
    return control.labels[vote] if vote >= 0 else FAILS if vote == FAULT else ABSTAINS


def _codes(value: object, code: dict[str, int]) -> frozenset[int]:
    given = value if isinstance(value, list | tuple) else (value,)
    return frozenset(code[label] for label in given if isinstance(label, str) and label in code)


def _conflicts(votes: Votes) -> Bools:
    """(n, m) whether a function votes and another votes otherwise."""
    spoken = votes >= 0
    lowest = np.where(spoken, votes, np.iinfo(np.int16).max).min(axis=1, initial=np.iinfo(np.int16).max)
    highest = votes.max(axis=1, initial=ABSTAIN)
    return np.asarray(spoken & ((votes != lowest[:, None]) | (votes != highest[:, None])), bool)
