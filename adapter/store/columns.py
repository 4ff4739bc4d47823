"""Which artifacts hold which columns over the pool. The row that names an artifact is written last."""

from __future__ import annotations

import sqlalchemy as sa

from adapter.errors import StoreError
from adapter.store.group import Group
from adapter.store.tables import columns
from adapter.vocabulary import Part

_FIELDS = tuple(Part.__slots__)


class Columns(Group):
    """The parts of every column, each an artifact that covers the rows lo to hi - 1."""

    def add(self, project: str, part: Part) -> None:
        """Note a part. The same range again is left as it is: a version's column never changes."""
        if not 0 <= part.lo < part.hi:
            raise StoreError(
                f"a part of column {part.what}/{part.source} covers no rows: {part.lo} to {part.hi}",
                where=f"project {project!r}",
                remedy="Give 0 <= lo < hi.",
            )
        with self._db.write_project(project) as (conn, number):
            values = {name: getattr(part, name) for name in _FIELDS} | {"project_id": number}
            conn.execute(self._insert_new(columns), [values])

    def parts(self, project: str, what: str, control: str, source: str, version: str) -> list[Part]:
        """Return the parts of one column by lo, then hi."""
        query = sa.select(*(columns.c[name] for name in _FIELDS)).order_by(columns.c.lo, columns.c.hi)
        with self._db.read_project(project) as (conn, number):
            return [Part(*row) for row in conn.execute(query.where(*_column(number, what, control, source, version)))]

    def covered(self, project: str, what: str, control: str, source: str, version: str) -> list[tuple[int, int]]:
        """Return the covered ranges [lo, hi), merged, by lo."""
        merged: list[tuple[int, int]] = []
        for part in self.parts(project, what, control, source, version):
            if merged and part.lo <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], part.hi))
            else:
                merged.append((part.lo, part.hi))
        return merged

    def versions(self, project: str, what: str, control: str | None = None) -> list[tuple[str, str, str]]:
        """Return (control, source, version) of every column of this sort, sorted."""
        query = sa.select(columns.c.control, columns.c.source, columns.c.version).distinct()
        with self._db.read_project(project) as (conn, number):
            query = query.where(columns.c.project_id == number, columns.c.what == what)
            if control is not None:
                query = query.where(columns.c.control == control)
            return sorted((row[0], row[1], row[2]) for row in conn.execute(query))

    def drop(self, project: str, what: str, control: str, source: str, version: str) -> list[str]:
        """Forget a column; return the uris that no other column names any more, sorted: they may be deleted."""
        with self._db.write_project(project) as (conn, number):
            where = _column(number, what, control, source, version)
            uris = set(conn.scalars(sa.select(columns.c.uri).where(*where)))
            conn.execute(columns.delete().where(*where))
            used = set(conn.scalars(sa.select(columns.c.uri).where(self._db.among(columns.c.uri, uris))))
        return sorted(uris - used)


def _column(number: int, what: str, control: str, source: str, version: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        columns.c.project_id == number,
        columns.c.what == what,
        columns.c.control == control,
        columns.c.source == source,
        columns.c.version == version,
    )
