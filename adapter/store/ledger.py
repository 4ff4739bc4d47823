"""The ledger of pushes. First the intent, then the call, then what landed: a kill between leaves a pending intent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapter.errors import StoreError
from adapter.store.group import Group
from adapter.store.tables import placements, predictions


@dataclass(frozen=True, slots=True)
class Intent:
    """A task that shall be placed in Label Studio."""

    task_id: str
    priority: int
    reason: str
    overlap: int = 1
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """A task that is in Label Studio, or was (`gone`). done: nobody else is asked for it."""

    task_id: str
    platform_id: int
    priority: int
    reason: str
    overlap: int
    blind: bool
    placed_at: datetime
    gone: bool = False
    done: bool = False


class Ledger(Group):
    """What was pushed: tasks and predictions."""

    def intend(self, project: str, rows: Sequence[Intent]) -> None:
        """Note that these tasks are about to be pushed. Those that are pending or placed already stay as they are;
        those that are gone from Label Studio become pending again. When it returns, even a power cut loses nothing."""
        if not rows:
            return
        with self._db.write_project(project, durable=True) as (conn, number):
            insert = self._insert(placements)
            fresh = {
                column.name: insert.excluded[column.name]
                for column in placements.columns
                if column.name not in ("project_id", "task_id")
            }
            query = insert.on_conflict_do_update(
                index_elements=["project_id", "task_id"], set_=fresh, where=placements.c.gone
            )
            now = self._now()
            conn.execute(query, [_intended(number, row, now) for row in rows])

    def pending(self, project: str) -> list[Intent]:
        """Return intents that neither landed nor were forgotten, by priority."""
        query = sa.select(
            placements.c.task_id, placements.c.priority, placements.c.reason, placements.c.overlap, placements.c.blind
        ).order_by(placements.c.priority, placements.c.task_id)
        with self._db.read_project(project) as (conn, number):
            rows = conn.execute(query.where(placements.c.project_id == number, placements.c.platform_id.is_(None)))
            return [Intent(*row) for row in rows]

    def landed(self, project: str, platform_ids: Mapping[str, int]) -> None:
        """Note where intended tasks are now: our id to Label Studio's. Raises StoreError if one was never intended, or
        if two tasks would share a place; then none is noted."""
        if not platform_ids:
            return
        with self._db.write_project(project) as (conn, number):
            mine = placements.c.project_id == number
            among = self._db.among(placements.c.task_id, platform_ids)
            known = set(conn.scalars(sa.select(placements.c.task_id).where(mine, among)))
            unknown = [task_id for task_id in platform_ids if task_id not in known]
            if unknown:
                raise StoreError(
                    f"{len(unknown)} tasks landed that were never intended, such as {unknown[0][:80]!r}",
                    where=f"the ledger of {project!r}",
                    remedy="Run `hitl push` again: it looks up in Label Studio what is there.",
                )
            change = (
                placements.update()
                .where(mine, placements.c.task_id == sa.bindparam("of_task"))
                .values(platform_id=sa.bindparam("place"), placed_at=self._now(), gone=False)
            )
            conn.execute(change, [{"of_task": task, "place": place} for task, place in platform_ids.items()])

    def forget(self, project: str, task_ids: Collection[str]) -> None:
        """Drop pending intents that shall not be pushed. What has landed stays."""
        with self._db.write_project(project) as (conn, number):
            conn.execute(
                placements.delete().where(
                    placements.c.project_id == number,
                    placements.c.platform_id.is_(None),
                    self._db.among(placements.c.task_id, task_ids),
                )
            )

    def placements(self, project: str) -> list[Placement]:
        """Return all placements, those that are gone too, by priority."""
        query = sa.select(*(placements.c[name] for name in _PLACEMENT)).order_by(
            placements.c.priority, placements.c.platform_id
        )
        with self._db.read_project(project) as (conn, number):
            rows = conn.execute(query.where(placements.c.project_id == number, placements.c.platform_id.is_not(None)))
            return [Placement(*row) for row in rows]

    def task_ids(self, project: str, platform_ids: Sequence[int]) -> dict[int, str]:
        """Return Label Studio's id to ours; ids that are unknown or gone are left out."""
        query = sa.select(placements.c.platform_id, placements.c.task_id)
        with self._db.read_project(project) as (conn, number):
            rows = conn.execute(query.where(*self._there(number, platform_ids)))
            return {place: task_id for place, task_id in rows}

    def _there(self, number: int, platform_ids: Collection[int]) -> tuple[sa.ColumnElement[bool], ...]:
        return (
            placements.c.project_id == number,
            ~placements.c.gone,
            self._db.among(placements.c.platform_id, platform_ids),
        )

    def mark_gone(self, project: str, platform_ids: Collection[int]) -> None:
        """Note that these tasks are no longer in Label Studio, nor their predictions. They may be pushed again."""
        with self._db.write_project(project) as (conn, number):
            where = self._there(number, platform_ids)
            lost = sa.select(placements.c.task_id).where(*where)
            conn.execute(
                predictions.delete().where(predictions.c.project_id == number, predictions.c.task_id.in_(lost))
            )
            conn.execute(placements.update().where(*where).values(gone=True))

    def set_overlap(self, project: str, task_id: str, overlap: int) -> None:
        """Note how many people are asked for a task."""
        with self._db.write_project(project) as (conn, number):
            where = (placements.c.project_id == number, placements.c.task_id == task_id)
            conn.execute(placements.update().where(*where).values(overlap=overlap))

    def set_done(self, project: str, task_ids: Collection[str], done: bool) -> None:
        """Note whether these tasks need nobody any more."""
        if not task_ids:
            return
        with self._db.write_project(project) as (conn, number):
            among = self._db.among(placements.c.task_id, task_ids)
            conn.execute(placements.update().where(placements.c.project_id == number, among).values(done=done))

    def intend_predictions(self, project: str, version: str, task_ids: Collection[str]) -> None:
        """Note that pre-labels of this model version are about to be stored for these tasks."""
        if not task_ids:
            return
        with self._db.write_project(project, durable=True) as (conn, number):
            rows = [
                {"project_id": number, "version": version, "task_id": task_id, "landed": False}
                for task_id in dict.fromkeys(task_ids)
            ]
            conn.execute(self._insert_new(predictions), rows)

    def landed_predictions(self, project: str, version: str, task_ids: Collection[str]) -> None:
        """Note that they are stored."""
        if not task_ids:
            return
        with self._db.write_project(project) as (conn, number):
            rows = [
                {"project_id": number, "version": version, "task_id": task_id, "landed": True}
                for task_id in dict.fromkeys(task_ids)
            ]
            conn.execute(self._upsert(predictions), rows)

    def pending_predictions(self, project: str, version: str) -> list[str]:
        """Return the tasks whose pre-label was intended and has not landed, sorted."""
        return sorted(self._predictions(project, version, landed=False))

    def predicted(self, project: str, version: str) -> set[str]:
        """Return the tasks whose pre-label of this version is stored in Label Studio."""
        return self._predictions(project, version, landed=True)

    def _predictions(self, project: str, version: str, *, landed: bool) -> set[str]:
        query = sa.select(predictions.c.task_id).where(
            predictions.c.version == version, predictions.c.landed if landed else ~predictions.c.landed
        )
        with self._db.read_project(project) as (conn, number):
            return set(conn.scalars(query.where(predictions.c.project_id == number)))


_PLACEMENT = ("task_id", "platform_id", "priority", "reason", "overlap", "blind", "placed_at", "gone", "done")


def _intended(project: int, row: Intent, now: datetime) -> dict[str, Any]:
    return {
        "project_id": project,
        "task_id": row.task_id,
        "platform_id": None,
        "priority": row.priority,
        "reason": row.reason,
        "overlap": row.overlap,
        "blind": row.blind,
        "intended_at": now,
        "placed_at": None,
        "gone": False,
        "done": False,
    }
