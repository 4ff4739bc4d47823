"""Runs: when each stage last ran, how long, and what it reported."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from adapter.store.encoding import require_key
from adapter.store.group import Group
from adapter.store.tables import runs
from adapter.vocabulary import JsonObject

KEPT = 1000
"""Runs kept for each stage of a project; older ones are removed."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a stage. error: what went wrong, None if it went well."""

    stage: str
    started_at: datetime
    seconds: float
    report: JsonObject
    error: str | None = None


class Runs(Group):
    """The last runs of every stage."""

    def record(
        self,
        project: str,
        stage: str,
        started_at: datetime,
        seconds: float,
        report: JsonObject,
        error: str | None = None,
    ) -> None:
        """Store a run."""
        require_key(stage, "the stage")
        with self._db.write_project(project) as (conn, number):
            row = {"project_id": number, "stage": stage, "started_at": started_at, "seconds": seconds}
            conn.execute(runs.insert(), [row | {"report": report, "error": error}])
            mine = (runs.c.project_id == number, runs.c.stage == stage)
            oldest = (
                sa.select(runs.c.id).where(*mine).order_by(runs.c.id.desc()).offset(KEPT).limit(1).scalar_subquery()
            )
            conn.execute(runs.delete().where(*mine, runs.c.id <= oldest))

    def last(self, project: str, stage: str) -> Run | None:
        """Return the last run of a stage, None if it never ran."""
        return next(iter(self._read(project, 1, runs.c.stage == stage)), None)

    def recent(self, project: str, limit: int = 50) -> list[Run]:
        """Return the last runs of all stages, newest first."""
        return self._read(project, limit)

    def _read(self, project: str, limit: int, *where: sa.ColumnElement[bool]) -> list[Run]:
        query = sa.select(*(runs.c[name] for name in Run.__slots__)).order_by(runs.c.id.desc()).limit(limit)
        with self._db.read_project(project) as (conn, number):
            return [Run(*row) for row in conn.execute(query.where(runs.c.project_id == number, *where))]
