"""People's annotations as pulled, deleted ones kept with the moment when we saw that they are gone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from adapter.store.encoding import cleaned, from_json, to_json
from adapter.store.group import Group
from adapter.store.tables import people, strays
from adapter.vocabulary import Annotation, JsonObject

_BATCH = 2000


@dataclass(frozen=True, slots=True)
class RecordedChange:
    """What `record` did, in annotations. changed: also those that came back after they were deleted."""

    created: int = 0
    changed: int = 0
    deleted: int = 0
    same: int = 0

    def __add__(self, other: RecordedChange) -> RecordedChange:
        return RecordedChange(
            self.created + other.created,
            self.changed + other.changed,
            self.deleted + other.deleted,
            self.same + other.same,
        )


@dataclass(frozen=True, slots=True)
class AnnotationTotals:
    """Counts. votes: annotations that count; tasks and annotators: of those. cancelled: skips that were not deleted."""

    votes: int
    cancelled: int
    deleted: int
    tasks: int
    annotators: int


@dataclass(frozen=True, slots=True)
class Stray:
    """An annotation of a Label Studio task that is not in our pool, kept whole."""

    platform_task_id: int
    annotation_id: int
    raw: JsonObject
    why: str
    seen_at: datetime


class Annotations(Group):
    """Annotations by task."""

    def record(self, project: str, task_id: str, annotations: Sequence[Annotation]) -> RecordedChange:
        """Make this the full current set of a task's annotations; see `record_many`."""
        return self.record_many(project, {task_id: annotations})

    def record_many(self, project: str, by_task: Mapping[str, Sequence[Annotation]]) -> RecordedChange:
        """Make these the full current sets of these tasks' annotations, in one transaction.

        New and changed ones are written; those that are stored and absent here get `deleted_at`; those that return lose
        it. The same call twice changes nothing. Raises StoreError for a task that is not in the pool.
        """
        if not by_task:
            return RecordedChange()
        change = RecordedChange()
        task_ids = list(by_task)
        with self._db.write_project(project) as (conn, number):
            for start in range(0, len(task_ids), _BATCH):
                part = {task_id: by_task[task_id] for task_id in task_ids[start : start + _BATCH]}
                change += self._record(conn, number, part)
        return change

    def _record(self, conn: Connection, number: int, by_task: Mapping[str, Sequence[Annotation]]) -> RecordedChange:
        query = sa.select(people).where(people.c.project_id == number, self._db.among(people.c.task_id, by_task))
        stored = {(row["task_id"], row["id"]): dict(row) for row in conn.execute(query).mappings()}
        given = {
            (task_id, item.id): _values(number, task_id, item) for task_id, items in by_task.items() for item in items
        }
        created = [row for key, row in given.items() if key not in stored]
        changed = [row for key, row in given.items() if key in stored and stored[key] != row]
        absent = [row for key, row in stored.items() if key not in given and row["deleted_at"] is None]
        now = self._now()
        write = created + changed + [row | {"deleted_at": now} for row in absent]
        if write:
            conn.execute(self._upsert(people), write)
        return RecordedChange(len(created), len(changed), len(absent), len(given) - len(created) - len(changed))

    def of_task(self, project: str, task_id: str) -> list[Annotation]:
        """Return all annotations of a task, cancelled and deleted ones too, oldest first."""
        with self._db.read_project(project) as (conn, number):
            return self._read(conn, people.c.project_id == number, self._db.among(people.c.task_id, [task_id]))

    def voting(self, project: str) -> dict[str, list[Annotation]]:
        """Return the annotations that count, by task id; neither cancelled nor deleted; oldest first in each task."""
        with self._db.read_project(project) as (conn, number):
            rows = self._read(conn, *_voting(number))
        found: dict[str, list[Annotation]] = {}
        for row in rows:
            found.setdefault(row.task_id, []).append(row)
        return found

    def said(self, project: str, task_ids: Collection[str]) -> dict[str, dict[str, bool]]:
        """Return task id to annotator to whether they voted (False: skipped); annotations that are gone left out, and
        tasks of which nobody said anything."""
        query = sa.select(people.c.task_id, people.c.annotator, people.c.cancelled)
        found: dict[str, dict[str, bool]] = {}
        if not task_ids:
            return found
        with self._db.read_project(project) as (conn, number):
            where = (people.c.project_id == number, people.c.deleted_at.is_(None))
            for task_id, annotator, cancelled in conn.execute(
                query.where(*where, self._db.among(people.c.task_id, task_ids))
            ):
                by_person = found.setdefault(task_id, {})
                by_person[annotator] = by_person.get(annotator, False) or not cancelled
        return found

    def last_seen(self, project: str) -> dict[str, datetime]:
        """Return every annotator to the moment of their last annotation, skips too, by the platform's clock."""
        query = sa.select(people.c.annotator, sa.func.max(people.c.updated_at)).group_by(people.c.annotator)
        with self._db.read_project(project) as (conn, number):
            rows = conn.execute(query.where(people.c.project_id == number).order_by(people.c.annotator))
            return {annotator: at for annotator, at in rows}

    def _read(self, conn: Connection, *where: sa.ColumnElement[bool]) -> list[Annotation]:
        query = sa.select(*(people.c[name] for name in _FIELDS)).where(*where)
        rows = conn.execute(query.order_by(people.c.created_at, people.c.id)).mappings()
        return [Annotation(**{**row, "result": tuple(row["result"])}) for row in rows]

    def count(self, project: str, *, since: datetime | None = None) -> int:
        """Return how many annotations count; with `since` only those made after it, by the platform's clock."""
        with self._db.read_project(project) as (conn, number):
            where = _voting(number) if since is None else (*_voting(number), people.c.created_at > since)
            return int(conn.scalar(sa.select(sa.func.count()).select_from(people).where(*where)) or 0)

    def totals(self, project: str) -> AnnotationTotals:
        """Return the counts of everything that was recorded."""
        deleted = people.c.deleted_at.is_not(None)
        with self._db.read_project(project) as (conn, number):
            votes = conn.execute(
                sa.select(
                    sa.func.count(),
                    sa.func.count(sa.distinct(people.c.task_id)),
                    sa.func.count(sa.distinct(people.c.annotator)),
                ).where(*_voting(number))
            ).one()
            others = conn.execute(
                sa.select(
                    sa.func.coalesce(sa.func.sum(sa.case((deleted, 0), (people.c.cancelled, 1), else_=0)), 0),
                    sa.func.coalesce(sa.func.sum(sa.case((deleted, 1), else_=0)), 0),
                ).where(people.c.project_id == number)
            ).one()
        return AnnotationTotals(int(votes[0]), int(others[0]), int(others[1]), int(votes[1]), int(votes[2]))

    def digest(self, project: str) -> str:
        """Return a sha256 (hex) that changes if and only if what people say changes: who votes what on which task."""
        query = sa.select(*(people.c[name] for name in _SAID))
        with self._db.read_project(project) as (conn, number):
            rows = [tuple(row) for row in conn.execute(query.where(*_voting(number)))]
        lines = sorted(to_json([*row[:5], sorted(row[5].items())]) for row in rows)
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()

    def stray(self, project: str, platform_task_id: int, annotation_id: int, raw: JsonObject, why: str) -> None:
        """Keep an annotation whose task is not in our pool. The same one again replaces the first."""
        row = {
            "platform_task_id": platform_task_id,
            "annotation_id": annotation_id,
            "raw": raw,
            "why": why,
            "seen_at": self._now(),
        }
        with self._db.write_project(project) as (conn, number):
            conn.execute(self._upsert(strays), [row | {"project_id": number}])

    def strays(self, project: str) -> list[Stray]:
        """Return the strays by platform task and annotation."""
        query = sa.select(*(strays.c[name] for name in Stray.__slots__))
        with self._db.read_project(project) as (conn, number):
            rows = conn.execute(
                query.where(strays.c.project_id == number).order_by(strays.c.platform_task_id, strays.c.annotation_id)
            )
            return [Stray(*row) for row in rows]


_FIELDS = tuple(Annotation.__slots__)
_SAID = ("task_id", "id", "annotator", "ground_truth", "shown", "values")


def _voting(number: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (people.c.project_id == number, people.c.deleted_at.is_(None), ~people.c.cancelled)


def _values(number: int, task_id: str, item: Annotation) -> dict[str, Any]:
    """Return the row as it comes back from the database, so that equal rows compare equal."""
    row: dict[str, Any] = {name: getattr(item, name) for name in _FIELDS}
    for name in ("values", "result"):  # tuples become lists, as JSON will have it
        row[name] = from_json(to_json(row[name]))
    row["annotator"] = cleaned(item.annotator)
    row["shown"] = None if item.shown is None else cleaned(item.shown)
    if item.lead_time is not None and not math.isfinite(item.lead_time):
        row["lead_time"] = None
    return row | {"project_id": number, "task_id": task_id}
