"""Projects: what the store knows of each, and small notes that stages keep."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapter.store.encoding import require_key
from adapter.store.group import Group
from adapter.store.tables import notes, projects


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project. platform_id: its Label Studio project. mark: high-water mark of the last pull."""

    name: str
    platform_id: int | None
    label_config_digest: str
    mark: str | None
    created_at: datetime


class Projects(Group):
    """The projects and their notes."""

    def ensure(self, name: str, label_config_digest: str) -> ProjectRow:
        """Return the project, made if it is new. A new digest of the label config replaces the old one."""
        require_key(name, "the project name")
        for _ in range(2):  # on PostgreSQL another process may make it between look and insert: then look again
            with self._db.write() as conn:
                number = self._db.lock_project(conn, name)
                if number is None:
                    row = {"name": name, "label_config_digest": label_config_digest, "created_at": self._now()}
                    conn.execute(self._insert_new(projects), [row])
                    continue
                conn.execute(
                    projects.update()
                    .where(projects.c.id == number, projects.c.label_config_digest != label_config_digest)
                    .values(label_config_digest=label_config_digest)
                )
                return _row(conn.execute(sa.select(projects).where(projects.c.id == number)).one())
        raise AssertionError("unreachable: the project was inserted")

    def get(self, name: str) -> ProjectRow | None:
        """Return the project, None if the store has none of that name."""
        with self._db.read_project(name) as (conn, project):
            row = conn.execute(sa.select(projects).where(projects.c.id == project)).one_or_none()
        return None if row is None else _row(row)

    def all(self) -> list[ProjectRow]:
        """Return every project, oldest first."""
        with self._db.read() as conn:
            return [_row(row) for row in conn.execute(sa.select(projects).order_by(projects.c.id))]

    def bind(self, name: str, platform_id: int | None) -> None:
        """Name the Label Studio project that this one lives in; None: none any more."""
        self._set(name, platform_id=platform_id)

    def set_mark(self, name: str, mark: str | None) -> None:
        """Keep the high-water mark of the last pull."""
        self._set(name, mark=mark)

    def _set(self, name: str, **values: Any) -> None:
        with self._db.write_project(name) as (conn, project):
            conn.execute(projects.update().where(projects.c.id == project).values(**values))

    def note(self, name: str, key: str, value: Any | None) -> None:
        """Keep a small JSON value under a key; None removes it."""
        require_key(key, "the note")
        with self._db.write_project(name) as (conn, project):
            if value is None:
                conn.execute(notes.delete().where(notes.c.project_id == project, notes.c.key == key))
            else:
                conn.execute(self._upsert(notes), [{"project_id": project, "key": key, "value": value}])

    def notes(self, name: str, *keys: str) -> dict[str, Any]:
        """Return the notes of these keys as far as they are there; all notes without a key. Some are large: who wants
        one names it."""
        with self._db.read_project(name) as (conn, project):
            query = sa.select(notes.c.key, notes.c.value).where(notes.c.project_id == project)
            rows = conn.execute(query.where(notes.c.key.in_(keys)) if keys else query)
            return dict(sorted((key, value) for key, value in rows))


def _row(row: sa.Row[Any]) -> ProjectRow:
    return ProjectRow(row.name, row.platform_id, row.label_config_digest, row.mark, row.created_at)
