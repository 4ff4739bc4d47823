"""Tasks that show an author what a labeling function does: where it is wrong, in conflict, silent or failing.

Tasks of the blind sample are never among them: who mends functions on the tasks that they are measured on measures
nothing any more. Only faults show them, without people's labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.core.functions import conflicts, rights
from adapter.errors import FunctionsError, nearest
from adapter.labeling import LabelingFunction, control_of
from adapter.stages.context import Project
from adapter.stages.evidence import people_labels
from adapter.stages.function_evidence import Voted, faults_of, labelled, voted
from adapter.stages.reports import Report
from adapter.vocabulary import Control, JsonObject

Which: TypeAlias = Literal["wrong", "conflict", "abstain", "faults"]
WHICH: tuple[Which, ...] = ("wrong", "conflict", "abstain", "faults")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ExampleTask:
    """One task. text: the fields that the control's object shows. vote: the function's label, None if it abstains or
    failed. others: function to label, of those that vote. people: labels of people's consensus; None where there is
    none, or where the task is in the blind sample. message: the end of the traceback, for faults."""

    task_id: str
    text: str
    vote: str | None
    others: dict[str, str]
    people: tuple[str, ...] | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class ExamplesReport(Report):
    """Tasks of one kind. found: how many there are, of which `tasks` are the first. looked_at: tasks that they were
    looked for among. hidden: tasks of the blind sample that were left out, whatever they are. note: what to know."""

    function: str
    control: str
    version: str
    which: str
    found: int
    looked_at: int
    hidden: int
    tasks: tuple[ExampleTask, ...]
    note: str


def function_examples(project: Project, name: str, which: Which, *, limit: int = 10) -> ExamplesReport:
    """Return up to `limit` tasks on which a function is `wrong` (by people's consensus), in `conflict` with others,
    silent (`abstain`), or failing (`faults`).

    Order: for wrong, those that people are surest of; for conflict, most opponents; for abstain, tasks that people gave
    a label that it votes for elsewhere, then tasks that no function votes on; for faults, one of each message. Then by
    order of ingest. Raises FunctionsError for an unknown function, or one that has not voted in its present version.
    """
    function = named(project.functions(), name)
    control = control_of(function, project.space)
    stored = voted(project, control)
    if name in stored.waiting:
        raise FunctionsError(
            f"labeling function '{name}' has not voted in its present version yet", remedy="Run `hitl vote`."
        )
    column = stored.column(name)
    index = project.store.tasks.index(project.name)
    seen = np.zeros(len(index), np.bool_)
    for lo, hi in stored.seen[column]:
        seen[lo:hi] = True
    open_rows = seen if which == "faults" else seen & ~index.blind
    rows, targets, _ = labelled(project, control, index, blind=False)
    messages: dict[str, str] = {}
    if which == "wrong":
        spoken = rows[stored.votes[rows, column] >= 0]
        looked_at = len(spoken)
        found = _wrong(project, control, stored, column, rows, targets, index.ids)
    elif which == "conflict":
        looked_at = int((open_rows & (stored.votes[:, column] >= 0)).sum())
        found = _conflicts(control, stored, column, open_rows)
    elif which == "abstain":
        looked_at = int(open_rows.sum())
        found = _abstentions(stored, column, open_rows, rows, targets)
    else:
        looked_at = int(open_rows.sum())
        told = [fault for fault in faults_of(project).get((name, function.version), []) if fault.task_id is not None]
        messages = {fault.task_id: fault.message for fault in reversed(told) if fault.task_id is not None}
        found = _failed(stored, column, [messages.get(task_id, "") for task_id in index.ids])
    return ExamplesReport(
        function=name,
        control=control.name,
        version=function.version,
        which=which,
        found=len(found),
        looked_at=looked_at,
        hidden=0 if which == "faults" else int((seen & index.blind).sum()),
        tasks=_tasks(project, control, stored, column, found[:limit], (rows, targets), messages),
        note=_note(which, control, len(rows)),
    )


def named(functions: Sequence[LabelingFunction], name: str) -> LabelingFunction:
    """Return the function called `name`; raises FunctionsError with the nearest name."""
    for function in functions:
        if function.name == name:
            return function
    raise FunctionsError(
        f"there is no labeling function '{name}'",
        remedy=nearest(name, [function.name for function in functions]) or "List them with `hitl lf list`.",
    )


def task_text(control: Control, data: JsonObject) -> str:
    """Return what the control's object shows of a task as one line: its fields, or all data where it has none."""
    fields = [field for field in (control.fields or (control.field,)) if field in data] or list(data)
    if len(fields) == 1:
        return " ".join(str(data[fields[0]]).split())
    return "  ".join(f"{field}: {' '.join(str(data[field]).split())}" for field in fields)


def _wrong(
    project: Project,
    control: Control,
    stored: Voted,
    column: int,
    rows: Ints,
    targets: npt.NDArray[np.float32],
    ids: npt.NDArray[np.object_],
) -> Ints:
    said = stored.votes[rows][:, [column]]
    bad = rows[(said[:, 0] >= 0) & ~rights(said, targets)[:, 0]]
    sure = {task_id: row.confidence for task_id, row in people_labels(project, control).items()}
    return np.array(sorted(bad.tolist(), key=lambda seq: (-sure[str(ids[seq])], seq)), np.int64)


def _conflicts(control: Control, stored: Voted, column: int, open_rows: npt.NDArray[np.bool_]) -> Ints:
    if control.multiple:
        return np.empty(0, np.int64)
    any_against, count = conflicts(stored.votes, column)
    rows = np.flatnonzero(any_against & open_rows)
    return np.asarray(rows[np.argsort(-count[rows], kind="stable")], np.int64)


def _abstentions(
    stored: Voted,
    column: int,
    open_rows: npt.NDArray[np.bool_],
    rows: Ints,
    targets: npt.NDArray[np.float32],
) -> Ints:
    said = stored.votes[:, column]
    mine = np.unique(said[said >= 0]).astype(np.int64)
    rank = np.where((stored.votes >= 0).any(axis=1), 2, 1)
    missed = rows[(targets[:, mine] > 0.5).any(axis=1)] if len(mine) else rows[:0]
    rank[missed] = 0
    silent = np.flatnonzero((said == -1) & open_rows)
    return np.asarray(silent[np.argsort(rank[silent], kind="stable")], np.int64)


def _failed(stored: Voted, column: int, messages: Sequence[str]) -> Ints:
    rows = np.flatnonzero(stored.votes[:, column] == -2).tolist()
    first: dict[str, int] = {}
    for seq in rows:
        if messages[seq]:
            first.setdefault(messages[seq], seq)
    shown = set(first.values())
    return np.array(sorted(rows, key=lambda seq: (seq not in shown, not messages[seq], seq)), np.int64)


def _tasks(
    project: Project,
    control: Control,
    stored: Voted,
    column: int,
    found: Ints,
    outside: tuple[Ints, npt.NDArray[np.float32]],
    messages: dict[str, str],
) -> tuple[ExampleTask, ...]:
    truth = {
        seq: tuple(label for label, holds in zip(control.labels, target > 0.5, strict=True) if holds)
        for seq, target in zip(outside[0].tolist(), outside[1], strict=True)
    }
    shown = []
    for task in project.store.tasks.at(project.name, found.tolist()):
        votes = stored.votes[task.seq].tolist()
        shown.append(
            ExampleTask(
                task_id=task.id,
                text=task_text(control, task.data),
                vote=control.labels[votes[column]] if votes[column] >= 0 else None,
                others={
                    function.name: control.labels[vote]
                    for other, (function, vote) in enumerate(zip(stored.functions, votes, strict=True))
                    if other != column and vote >= 0
                },
                people=truth.get(task.seq),
                message=messages.get(task.id, ""),
            )
        )
    return tuple(shown)


def _note(which: Which, control: Control, labelled_outside: int) -> str:
    if which == "wrong" and not labelled_outside:
        return "people have labelled no task outside the blind sample yet"
    if which == "conflict" and control.multiple:
        return f"{control.name} takes several labels: a vote for one says nothing against the others"
    return ""
