"""Model versions: immutable but for their state and verdict."""

from __future__ import annotations

import sqlalchemy as sa

from adapter.errors import ModelError, nearest
from adapter.store.encoding import require_key
from adapter.store.group import Group
from adapter.store.tables import models
from adapter.vocabulary import JsonObject, ModelState, ModelVersion

_FIELDS = tuple(ModelVersion.__slots__)


class Models(Group):
    """The versions of each project's model. At most one is current; the database itself holds that."""

    def add(self, project: str, model: ModelVersion) -> None:
        """Store a version. Raises ModelError if it is there already."""
        require_key(model.version, "the model version")
        with self._db.write_project(project) as (conn, number):
            values = {name: getattr(model, name) for name in _FIELDS} | {
                "project_id": number,
                "state": str(model.state),
            }
            if model.version in self._states(conn, number):
                raise ModelError(
                    f"version {model.version!r} exists, and versions are immutable",
                    where=f"project {project!r}",
                    remedy="Train again: a new version gets the next number.",
                )
            if model.state is ModelState.CURRENT:
                self._retire(conn, number)
            conn.execute(models.insert(), [values])

    def next_number(self, project: str) -> int:
        """Return the number that the next version gets, from 1."""
        with self._db.read_project(project) as (conn, number):
            return (
                int(conn.scalar(sa.select(sa.func.max(models.c.number)).where(models.c.project_id == number)) or 0) + 1
            )

    def get(self, project: str, version: str) -> ModelVersion | None:
        """Return a version, None if it is unknown."""
        return next((model for model in self.all(project) if model.version == version), None)

    def all(self, project: str) -> list[ModelVersion]:
        """Return every version by number."""
        query = sa.select(*(models.c[name] for name in _FIELDS)).order_by(models.c.number, models.c.created_at)
        with self._db.read_project(project) as (conn, number):
            rows = conn.execute(query.where(models.c.project_id == number)).mappings()
            return [ModelVersion(**{**row, "state": ModelState(row["state"])}) for row in rows]

    def current(self, project: str) -> ModelVersion | None:
        """Return the current version, None if none was promoted yet."""
        return next((model for model in self.all(project) if model.state is ModelState.CURRENT), None)

    def promote(self, project: str, version: str) -> None:
        """Make a version current; the one before is retired in the same transaction. Raises ModelError if unknown."""
        with self._db.write_project(project) as (conn, number):
            self._require(conn, number, project, version)
            self._retire(conn, number)
            self._update(conn, number, version, state=str(ModelState.CURRENT))

    def set_state(self, project: str, version: str, state: ModelState, verdict: JsonObject | None = None) -> None:
        """Change a version's state, and its verdict if one is given. Raises ModelError if it is unknown."""
        with self._db.write_project(project) as (conn, number):
            self._require(conn, number, project, version)
            if state is ModelState.CURRENT:
                self._retire(conn, number)
            self._update(conn, number, version, state=str(state), **({} if verdict is None else {"verdict": verdict}))

    def _states(self, conn: sa.Connection, number: int) -> dict[str, str]:
        query = sa.select(models.c.version, models.c.state).where(models.c.project_id == number)
        return {version: state for version, state in conn.execute(query)}

    def _require(self, conn: sa.Connection, number: int, project: str, version: str) -> None:
        known = self._states(conn, number)
        if version not in known:
            raise ModelError(
                f"there is no model version {version!r}", where=f"project {project!r}", remedy=nearest(version, known)
            )

    def _retire(self, conn: sa.Connection, number: int) -> None:
        where = (models.c.project_id == number, models.c.state == str(ModelState.CURRENT))
        conn.execute(models.update().where(*where).values(state=str(ModelState.RETIRED)))

    def _update(self, conn: sa.Connection, number: int, version: str, **values: object) -> None:
        where = (models.c.project_id == number, models.c.version == version)
        conn.execute(models.update().where(*where).values(**values))
