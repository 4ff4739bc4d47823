"""Faults: what failed, beside the votes and never among them."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from adapter.store.group import Group
from adapter.store.tables import faults
from adapter.vocabulary import Fault


class Faults(Group):
    """Faults by project."""

    def add(self, project: str, faults_seen: Sequence[Fault]) -> None:
        """Store faults; one without a moment gets the present one."""
        if not faults_seen:
            return
        with self._db.write_project(project) as (conn, number):
            now = self._now()
            rows = [
                {
                    "project_id": number,
                    "source": fault.source,
                    "version": fault.version,
                    "place": fault.where,
                    "task_id": fault.task_id,
                    "message": fault.message,
                    "at": fault.at or now,
                }
                for fault in faults_seen
            ]
            conn.execute(faults.insert(), rows)

    def recent(self, project: str, limit: int = 50) -> list[Fault]:
        """Return the last faults, newest first."""
        query = sa.select(*(faults.c[name] for name in ("source", "version", "place", "task_id", "message", "at")))
        with self._db.read_project(project) as (conn, number):
            query = query.where(faults.c.project_id == number).order_by(faults.c.id.desc()).limit(limit)
            return [Fault(*row) for row in conn.execute(query)]

    def counts(self, project: str) -> dict[tuple[str, str], int]:
        """Return (source, where) to number of faults, sorted."""
        query = sa.select(faults.c.source, faults.c.place, sa.func.count()).group_by(faults.c.source, faults.c.place)
        with self._db.read_project(project) as (conn, number):
            rows = conn.execute(query.where(faults.c.project_id == number))
            return dict(sorted(((source, place), int(count)) for source, place, count in rows))
