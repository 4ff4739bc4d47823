"""People's consensus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from adapter.store.encoding import cleaned, from_json, to_json
from adapter.store.group import Group
from adapter.store.tables import consensus
from adapter.vocabulary import Consensus

_FIELDS = tuple(Consensus.__slots__)


class ConsensusTable(Group):
    """One row per task and control that people have voted on."""

    def replace(self, project: str, rows: Sequence[Consensus]) -> int:
        """Make these the project's consensus; return how many rows were made, changed or removed."""
        given = {(row.task_id, row.control): _values(row) for row in rows}
        with self._db.write_project(project) as (conn, number):
            mine = consensus.c.project_id == number
            query = sa.select(*(consensus.c[name] for name in _FIELDS)).where(mine)
            stored = {(row["task_id"], row["control"]): dict(row) for row in conn.execute(query).mappings()}
            write = [row | {"project_id": number} for key, row in given.items() if stored.get(key) != row]
            gone = [{"of_task": key[0], "of_control": key[1]} for key in stored if key not in given]
            if write:
                conn.execute(self._upsert(consensus), write)
            if gone:
                where = (
                    consensus.c.task_id == sa.bindparam("of_task"),
                    consensus.c.control == sa.bindparam("of_control"),
                )
                conn.execute(consensus.delete().where(mine, *where), gone)
        return len(write) + len(gone)

    def all(self, project: str, control: str | None = None) -> list[Consensus]:
        """Return the consensus, of one control only if given, by task id and control."""
        with self._db.read_project(project) as (conn, number):
            query = sa.select(*(consensus.c[name] for name in _FIELDS)).where(consensus.c.project_id == number)
            if control is not None:
                query = query.where(consensus.c.control == control)
            found = [
                Consensus(**{**row, "probabilities": tuple(row["probabilities"])})
                for row in conn.execute(query).mappings()
            ]
        return sorted(found, key=lambda row: (row.task_id, row.control))


def _values(row: Consensus) -> dict[str, Any]:
    """Return the row as it comes back from the database, so that equal rows compare equal."""
    values: dict[str, Any] = {name: getattr(row, name) for name in _FIELDS}
    for name in ("value", "probabilities", "support", "proposal"):
        values[name] = from_json(to_json(values[name]))
    values["method"], values["why"] = cleaned(row.method), cleaned(row.why)
    values["confidence"] = float(row.confidence)
    return values
