"""Flags: reasons to doubt, and how each was resolved."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from adapter.store.encoding import from_json, to_json
from adapter.store.group import Group
from adapter.store.tables import flags
from adapter.vocabulary import Flag, FlagReason

WITHDRAWN = "no longer found"
"""Resolution of a flag that nobody looked at and that is not raised any more. Only such a flag may rise again."""

_FIELDS = tuple(Flag.__slots__)
Doubted = tuple[str, str, FlagReason, str]


class Flags(Group):
    """One row per task, control, reason and doubted label."""

    def raise_(self, project: str, flags_raised: Sequence[Flag]) -> int:
        """Store flags; return how many are new. One that is open gets the new score and evidence. One that was resolved
        stays resolved, unless it was only withdrawn (`WITHDRAWN`): then it opens again and counts as new."""
        given = {_doubt(flag): flag for flag in flags_raised}
        if not given:
            return 0
        with self._db.write_project(project) as (conn, number):
            task_ids = {flag.task_id for flag in flags_raised}
            stored = {
                _doubt(flag): flag
                for flag in self._read(conn, flags.c.project_id == number, self._db.among(flags.c.task_id, task_ids))
            }
            new = [_values(number, flag) for key, flag in given.items() if key not in stored]
            changes, again = [], 0
            for key, flag in given.items():
                old = stored.get(key)
                if old is None or (old.resolved_at is not None and old.resolution != WITHDRAWN):
                    continue
                again += old.resolved_at is not None
                evidence = from_json(to_json(flag.evidence))
                if old.resolved_at is not None or old.score != flag.score or old.evidence != evidence:
                    changes.append({"of_id": old.id, "new_score": flag.score, "new_evidence": evidence})
            if new:
                conn.execute(flags.insert(), new)
            if changes:
                conn.execute(
                    flags.update()
                    .where(flags.c.id == sa.bindparam("of_id"))
                    .values(
                        score=sa.bindparam("new_score"),
                        evidence=sa.bindparam("new_evidence"),
                        resolved_at=None,
                        resolution="",
                    ),
                    changes,
                )
        return len(new) + again

    def open(self, project: str, control: str | None = None) -> list[Flag]:
        """Return the open flags, of one control only if given, most doubtful first."""
        with self._db.read_project(project) as (conn, number):
            where = [flags.c.project_id == number, flags.c.resolved_at.is_(None)]
            if control is not None:
                where.append(flags.c.control == control)
            return self._read(conn, *where)

    def all(self, project: str) -> list[Flag]:
        """Return every flag ever raised, most doubtful first."""
        with self._db.read_project(project) as (conn, number):
            return self._read(conn, flags.c.project_id == number)

    def resolve(self, flag_ids: Collection[int], resolution: str, at: datetime) -> int:
        """Close open flags; return how many. resolution: how, in words."""
        if not flag_ids:
            return 0
        with self._db.write() as conn:
            where = (self._db.among(flags.c.id, flag_ids), flags.c.resolved_at.is_(None))
            return conn.execute(flags.update().where(*where).values(resolved_at=at, resolution=resolution)).rowcount

    def withdraw(
        self,
        project: str,
        keep: AbstractSet[Doubted],
        *,
        reasons: Collection[FlagReason] = tuple(FlagReason),
        control: str | None = None,
        at: datetime | None = None,
    ) -> int:
        """Close the open flags of these reasons (and this control) that are not in `keep`, because they are no longer
        raised; return how many. keep: (task id, control, reason, about)."""
        with self._db.write_project(project) as (conn, number):
            where = [flags.c.project_id == number, flags.c.resolved_at.is_(None)]
            where.append(self._db.among(flags.c.reason, [str(reason) for reason in reasons]))
            if control is not None:
                where.append(flags.c.control == control)
            gone = [flag.id for flag in self._read(conn, *where) if _doubt(flag) not in keep]
            if gone:
                change = flags.update().where(self._db.among(flags.c.id, gone))
                conn.execute(change.values(resolved_at=at or self._now(), resolution=WITHDRAWN))
        return len(gone)

    def _read(self, conn: sa.Connection, *where: sa.ColumnElement[bool]) -> list[Flag]:
        query = sa.select(*(flags.c[name] for name in _FIELDS)).where(*where).order_by(flags.c.score.desc(), flags.c.id)
        return [Flag(**{**row, "reason": FlagReason(row["reason"])}) for row in conn.execute(query).mappings()]


def _doubt(flag: Flag) -> Doubted:
    return (flag.task_id, flag.control, flag.reason, flag.about)


def _values(number: int, flag: Flag) -> dict[str, Any]:
    return {
        "project_id": number,
        "task_id": flag.task_id,
        "control": flag.control,
        "reason": str(flag.reason),
        "about": flag.about,
        "score": flag.score,
        "evidence": flag.evidence,
        "resolved_at": flag.resolved_at,
        "resolution": flag.resolution,
    }
