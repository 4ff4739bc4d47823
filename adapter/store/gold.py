"""Gold labels: known truths, by which people are measured. One per task and control."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from adapter.errors import StoreError
from adapter.store.encoding import cleaned, from_json, to_json
from adapter.store.group import Group
from adapter.store.tables import gold, people
from adapter.vocabulary import GoldLabel

_FIELDS = tuple(GoldLabel.__slots__)
_SAME = ("value", "origin", "by")


class GoldTable(Group):
    """One row per task and control whose truth is known."""

    def put(self, project: str, rows: Sequence[GoldLabel]) -> int:
        """Store gold labels; one that is there already for the task and control is replaced. Return how many are new or
        changed; the moment alone is no change. Raises StoreError for a task that is not in the pool."""
        given = {(row.task_id, row.control): _values(row) for row in rows}
        if not given:
            return 0
        with self._db.write_project(project) as (conn, number):
            where = (gold.c.project_id == number, self._db.among(gold.c.task_id, {task_id for task_id, _ in given}))
            stored = {(row.task_id, row.control): row for row in self._read(conn, *where)}
            write = [
                row | {"project_id": number}
                for key, row in given.items()
                if key not in stored or any(getattr(stored[key], name) != row[name] for name in _SAME)
            ]
            if write:
                conn.execute(self._upsert(gold), write)
        return len(write)

    def all(self, project: str, control: str | None = None) -> list[GoldLabel]:
        """Return the gold labels, of one control only if given, by task id and control."""
        with self._db.read_project(project) as (conn, number):
            where = [gold.c.project_id == number]
            if control is not None:
                where.append(gold.c.control == control)
            found = self._read(conn, *where)
        return sorted(found, key=lambda row: (row.task_id, row.control))

    def drop(self, project: str, task_ids: Collection[str], control: str | None = None) -> int:
        """Remove the gold labels of these tasks, of one control only if given; return how many."""
        with self._db.write_project(project) as (conn, number):
            where = [gold.c.project_id == number, self._db.among(gold.c.task_id, task_ids)]
            if control is not None:
                where.append(gold.c.control == control)
            return conn.execute(gold.delete().where(*where)).rowcount

    def marked(self, project: str) -> list[GoldLabel]:
        """Return what annotations say that Label Studio marks as ground truth, oldest first; `origin` is empty.
        Only marked annotations are read, so it may be asked for often."""
        query = sa.select(people.c.task_id, people.c["values"], people.c.annotator, people.c.updated_at)
        with self._db.read_project(project) as (conn, number):
            query = query.where(
                people.c.project_id == number, people.c.ground_truth, people.c.deleted_at.is_(None), ~people.c.cancelled
            )
            rows = conn.execute(query.order_by(people.c.updated_at, people.c.id)).all()
        return [
            GoldLabel(task_id, control, value, "", annotator, at)
            for task_id, values, annotator, at in rows
            for control, value in values.items()
            if value is not None
        ]

    def _read(self, conn: sa.Connection, *where: sa.ColumnElement[bool]) -> list[GoldLabel]:
        query = sa.select(*(gold.c[name] for name in _FIELDS)).where(*where)
        return [GoldLabel(**row) for row in conn.execute(query).mappings()]


def _values(row: GoldLabel) -> dict[str, Any]:
    """Return the row as it comes back from the database, so that equal rows compare equal."""
    if row.value is None:
        raise StoreError(
            "a gold label without a value",
            where=f"task {row.task_id[:80]!r}, control {row.control!r}",
            remedy="Give the true value, or leave the row out.",
        )
    values: dict[str, Any] = {name: getattr(row, name) for name in _FIELDS}
    return values | {"value": from_json(to_json(row.value)), "by": cleaned(row.by)}
