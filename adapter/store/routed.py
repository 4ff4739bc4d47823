"""Who was given which task."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from adapter.store.encoding import require_key
from adapter.store.group import Group
from adapter.store.tables import routed
from adapter.vocabulary import Routed

_FIELDS = tuple(Routed.__slots__)
Pair = tuple[str, str]


class RoutedTable(Group):
    """One row per task and annotator."""

    def give(self, project: str, rows: Sequence[Routed]) -> int:
        """Note that these tasks are given to these annotators; return how many pairs are new. A pair that is there
        stays as it is, answered or not. Raises StoreError for a task that is not in the pool."""
        given = {(row.task_id, require_key(row.annotator, "the annotator")): row for row in rows}
        if not given:
            return 0
        with self._db.write_project(project) as (conn, number):
            among = self._db.among(routed.c.task_id, {task_id for task_id, _ in given})
            query = sa.select(routed.c.task_id, routed.c.annotator).where(routed.c.project_id == number, among)
            stored = {(row.task_id, row.annotator) for row in conn.execute(query)}
            new = [
                {name: getattr(row, name) for name in _FIELDS} | {"project_id": number}
                for key, row in given.items()
                if key not in stored
            ]
            if new:
                conn.execute(routed.insert(), new)
        return len(new)

    def of(self, project: str, annotator: str | None = None) -> list[Routed]:
        """Return what was given, to one annotator only if named, oldest first (then by task id and annotator)."""
        query = sa.select(*(routed.c[name] for name in _FIELDS))
        with self._db.read_project(project) as (conn, number):
            query = query.where(routed.c.project_id == number)
            if annotator is not None:
                query = query.where(self._db.among(routed.c.annotator, [annotator]))
            found = [Routed(**row) for row in conn.execute(query).mappings()]
        return sorted(found, key=lambda row: (row.at, row.task_id, row.annotator))

    def finish(self, project: str, pairs: Collection[Pair]) -> int:
        """Note that these (task id, annotator) were answered or skipped; return how many were open until now."""
        return self._each(project, pairs, routed.update().values(done=True))

    def withdraw(self, project: str, pairs: Collection[Pair]) -> int:
        """Take these open (task id, annotator) back; return how many. What is answered stays."""
        return self._each(project, pairs, routed.delete())

    def _each(self, project: str, pairs: Collection[Pair], change: sa.Update | sa.Delete) -> int:
        if not pairs:
            return 0
        wanted = set(pairs)
        with self._db.write_project(project) as (conn, number):
            where = [routed.c.project_id == number, ~routed.c.done]
            among = self._db.among(routed.c.task_id, {task_id for task_id, _ in wanted})
            query = sa.select(routed.c.task_id, routed.c.annotator).where(*where, among)
            found = [tuple(row) for row in conn.execute(query) if tuple(row) in wanted]
            if found:
                one = change.where(
                    *where,
                    routed.c.task_id == sa.bindparam("of_task"),
                    routed.c.annotator == sa.bindparam("of_annotator"),
                )
                conn.execute(one, [{"of_task": task, "of_annotator": who} for task, who in found])
        return len(found)
