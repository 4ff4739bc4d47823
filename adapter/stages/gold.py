"""Gold: tasks whose true labels are known, from a file, a column, a reviewer, or Label Studio's ground truth mark.

Gold measures people; it never trains by itself, and its answers are never pushed. Where origins differ, what the lead
imported stands before a ground truth mark, and that before a reviewer's decision.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapter.errors import DataError, LabelError, nearest
from adapter.kinds import kind_of
from adapter.readers import Record, Reject, read_rows
from adapter.stages.context import Project
from adapter.stages.evidence import restored
from adapter.stages.reports import Report
from adapter.stages.review_decisions import standing
from adapter.vocabulary import Control, Decision, GoldLabel, Value

GIVEN, MARKED, ADJUDICATED = "given", "ground truth", "adjudicated"
_RANK = {GIVEN: 0, MARKED: 1, ADJUDICATED: 2}
_TOLD = 10
_BATCH = 5_000
_ID_COLUMNS = ("id", "task_id", "hitl_id")


@dataclass(frozen=True, slots=True)
class GoldReport(Report):
    """read: rows. changed: gold labels that are new or changed. unknown: rows whose task is not in the pool. wrong:
    cells that are no value of their control. problems: the first of both, each in words."""

    read: int
    changed: int
    unknown: int
    wrong: int
    problems: tuple[str, ...]


def gold_of_control(project: Project, control: Control) -> dict[str, Value]:
    """Return task id to the known, canonical value of a control. Values that the label config no longer knows are left
    out."""
    found: dict[str, Value] = {}
    for row in project.store.gold.all(project.name, control.name):
        try:
            found[row.task_id] = restored(control, row.value)
        except LabelError:
            continue
    return found


def import_gold(project: Project, path: Path, *, by: str, id_column: str = "") -> GoldReport:
    """Read gold labels from a CSV, JSONL or Parquet file: a column with the task's id, and one for each control, called
    like it. Empty cells say nothing. In CSV several labels stand as a JSON list, or with `;` between them.

    Bad rows are told and left out; the good ones are kept. Raises DataError when the file cannot be read, or has no
    column for ids or for any control.
    """
    controls = {control.name: control for control in project.space.controls}
    problems: list[str] = []
    read = unknown = wrong = changed = 0
    column = ""
    batch: list[Record] = []

    def settle() -> None:
        nonlocal unknown, wrong, changed
        made, lost, bad = _labels(project, controls, column, batch, by, problems, path)
        unknown, wrong = unknown + lost, wrong + bad
        changed += project.store.gold.put(project.name, made)
        batch.clear()

    for item in read_rows(path):
        read += 1
        if isinstance(item, Reject):
            wrong += 1
            _tell(problems, f"{path}:{item.line}: {item.reason}")
            continue
        if not column:
            column = _id_column(project, controls, item, id_column, path)
        batch.append(item)
        if len(batch) == _BATCH:
            settle()
    settle()
    detail = {"file": str(path), "changed": changed, "rows": read}
    project.store.audit.append(project.name, by, "gold imported", detail, project.now())
    return GoldReport(read, changed, unknown, wrong, tuple(problems))


def gold_from_column(project: Project, control: Control, column: str, *, by: str) -> GoldReport:
    """Take the gold labels of a control from a field of the tasks' own data. Raises DataError when no task has it.

    People and models must not see that field: keep it out of the label config and of the backend's fields.
    """
    if column in project.space.fields:
        raise DataError(
            f"the label config shows '{column}', so whoever labels sees the answer",
            where=f"project '{project.name}'",
            remedy="Keep gold in a column of its own, or in a file: `hitl gold add FILE`.",
        )
    total = project.store.tasks.count(project.name)
    problems: list[str] = []
    read = wrong = changed = 0
    seen: set[str] = set()
    for start in range(0, total, _BATCH):
        rows = []
        for task in project.store.tasks.between(project.name, start, min(start + _BATCH, total)):
            seen.update(task.data)
            if _empty(task.data.get(column)):
                continue
            read += 1
            try:
                value = parsed(control, task.data[column])
            except LabelError as error:
                wrong += 1
                _tell(problems, f"task {task.id}: {error}")
                continue
            rows.append(GoldLabel(task.id, control.name, value, GIVEN, by, project.now()))
        changed += project.store.gold.put(project.name, rows)
    if not read and total:
        raise DataError(
            f"no task has anything in '{column}'", where=f"project '{project.name}'", remedy=nearest(column, seen)
        )
    detail = {"column": column, "control": control.name, "changed": changed}
    project.store.audit.append(project.name, by, "gold imported", detail, project.now())
    return GoldReport(read, changed, 0, wrong, tuple(problems))


def drop_gold(project: Project, task_ids: Sequence[str], *, by: str, control: str | None = None) -> int:
    """Drop the gold labels of these tasks; return how many. Raises DataError, dropping none, when one has none."""
    there = {row.task_id for row in project.store.gold.all(project.name, control)}
    missing = [task_id for task_id in task_ids if task_id not in there]
    if missing:
        raise DataError(
            f"no gold label for {', '.join(missing[:5])}",
            where=f"project '{project.name}'",
            remedy=f"{nearest(missing[0], there) or 'There is no gold yet.'} Nothing was dropped.",
        )
    count = project.store.gold.drop(project.name, task_ids, control)
    detail = {"tasks": list(task_ids)[:1000], "control": control, "count": count}
    project.store.audit.append(project.name, by, "gold dropped", detail, project.now())
    return count


def keep_ground_truth(project: Project) -> int:
    """Make annotations that Label Studio marks as ground truth gold, and drop gold whose mark is gone; return how many
    gold labels changed. The last mark on a task counts."""
    marked = {
        (row.task_id, row.control): replace(row, origin=MARKED) for row in project.store.gold.marked(project.name)
    }
    return _keep(project, MARKED, marked)


def keep_adjudicated(project: Project) -> int:
    """Make reviewers' decisions that stand gold, if the policy says so, and drop gold whose decision no longer stands;
    return how many gold labels changed."""
    policy = project.settings.review
    decided = {
        key: GoldLabel(row.task_id, row.control, row.value, ADJUDICATED, row.reviewer, row.at)
        for key, row in standing(project).items()
        if row.decision is not Decision.REJECT and row.value is not None
    }
    return _keep(project, ADJUDICATED, decided if policy.adjudicated_gold else {})


def _keep(project: Project, origin: str, wanted: Mapping[tuple[str, str], GoldLabel]) -> int:
    """Make these the gold labels of an origin; stronger origins stay."""
    there = {(row.task_id, row.control): row for row in project.store.gold.all(project.name)}
    rows = [row for key, row in wanted.items() if key not in there or _RANK.get(there[key].origin, 0) >= _RANK[origin]]
    changed = project.store.gold.put(project.name, rows)
    for key, row in there.items():
        if row.origin == origin and key not in wanted:
            changed += project.store.gold.drop(project.name, [row.task_id], row.control)
    return changed


def parsed(control: Control, cell: Any) -> Value:
    """Return the canonical value that a cell of a table stands for. Raises LabelError."""
    kind = kind_of(control.kind)
    try:
        return kind.canonical(control, cell)
    except LabelError as first:
        for other in _readings(control, cell):
            try:
                return kind.canonical(control, other)
            except LabelError:
                continue
        raise first


def _readings(control: Control, cell: Any) -> Iterable[Any]:
    """Yield what else a cell of text may mean: JSON, a number, several labels with `;` between them."""
    if not isinstance(cell, str):
        return
    with contextlib.suppress(ValueError, RecursionError):
        yield json.loads(cell)
    text = cell.strip()
    yield text
    if control.labels and control.multiple:
        yield [part.strip() for part in text.split(";") if part.strip()]


def _labels(
    project: Project,
    controls: Mapping[str, Control],
    column: str,
    batch: Sequence[Record],
    by: str,
    problems: list[str],
    path: Path,
) -> tuple[list[GoldLabel], int, int]:
    """Return gold labels of a batch, and how many rows are unknown and how many cells wrong."""
    ids = [_identity(item, column) for item in batch]
    known = {task.id for task in project.store.tasks.get(project.name, [one for one in ids if one])}
    made, lost, bad = [], 0, 0
    for item, task_id in zip(batch, ids, strict=True):
        if task_id not in known:
            lost += 1
            _tell(problems, f"{path}:{item.line}: there is no task '{task_id[:60]}' in the pool")
            continue
        for name, control in controls.items():
            cell = item.data.get(name)
            if _empty(cell):
                continue
            try:
                made.append(GoldLabel(task_id, name, parsed(control, cell), GIVEN, by, project.now()))
            except LabelError as error:
                bad += 1
                _tell(problems, f"{path}:{item.line}: {error}")
    return made, lost, bad


def _identity(item: Record, column: str) -> str:
    value = item.data.get(column, item.outer.get(column))
    return "" if value is None else str(value)


def _id_column(project: Project, controls: Mapping[str, Control], item: Record, given: str, path: Path) -> str:
    columns = {**item.outer, **item.data}
    wanted = [given] if given else [project.settings.data.id_column, *_ID_COLUMNS]
    column = next((name for name in wanted if name and name in columns), "")
    if not column:
        raise DataError(
            f"there is no column '{given or 'id'}' with the tasks' ids",
            where=str(path),
            remedy=f"Name it with --id-column. Columns: {', '.join(map(str, columns))}.",
        )
    if not set(controls) & set(item.data):
        raise DataError(
            "there is no column that is called like a control of the label config",
            where=str(path),
            remedy=f"Call it like one of: {', '.join(controls)}.",
        )
    return column


def _empty(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _tell(problems: list[str], text: str) -> None:
    if len(problems) < _TOLD:
        problems.append(text)
