"""The current ranking."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from adapter.store.group import Group
from adapter.store.tables import projects, rankings
from adapter.vocabulary import Ranked

_FIELDS = tuple(Ranked.__slots__)


class Rankings(Group):
    """One ranking per project; the last one replaces the one before."""

    def replace(self, project: str, rows: Sequence[Ranked], basis: str) -> None:
        """Make this the ranking. basis: digest or words of what it was computed from."""
        with self._db.write_project(project) as (conn, number):
            conn.execute(rankings.delete().where(rankings.c.project_id == number))
            if rows:
                values = [
                    {name: getattr(row, name) for name in _FIELDS} | {"project_id": number, "place": place}
                    for place, row in enumerate(rows)
                ]
                conn.execute(rankings.insert(), values)
            conn.execute(projects.update().where(projects.c.id == number).values(basis=basis))

    def current(self, project: str, limit: int | None = None) -> list[Ranked]:
        """Return the ranking by priority, its first `limit` rows if given."""
        query = sa.select(*(rankings.c[name] for name in _FIELDS)).order_by(rankings.c.priority, rankings.c.place)
        with self._db.read_project(project) as (conn, number):
            return [Ranked(*row) for row in conn.execute(query.where(rankings.c.project_id == number).limit(limit))]

    def basis(self, project: str) -> str | None:
        """Return what the ranking was computed from; None if there is none yet."""
        with self._db.read_project(project) as (conn, number):
            return conn.scalar(sa.select(projects.c.basis).where(projects.c.id == number))
