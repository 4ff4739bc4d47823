"""The audit log: decisions, chained by hashes so that a later change of any row shows.

The chain cannot show that rows were cut off at its end; compare the last digest with one noted elsewhere for that.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from adapter.store.encoding import cleaned, from_json, to_json
from adapter.store.group import Group
from adapter.store.tables import audit
from adapter.vocabulary import JsonObject


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A decision: who did what, and when. number: from 1, no gaps. digest: sha256 over the one before and this."""

    number: int
    who: str
    what: str
    detail: JsonObject
    at: datetime
    digest: str


class AuditLog(Group):
    """One chain per project."""

    def append(self, project: str, who: str, what: str, detail: JsonObject, at: datetime) -> str:
        """Add a row; return its digest (hex)."""
        with self._db.write_project(project, durable=True) as (conn, number):
            last = conn.execute(
                sa.select(audit.c.number, audit.c.digest)
                .where(audit.c.project_id == number)
                .order_by(audit.c.number.desc())
                .limit(1)
            ).one_or_none()
            place, before = (1, "") if last is None else (last.number + 1, last.digest)
            row = {
                "number": place,
                "who": cleaned(who),
                "what": cleaned(what),
                "detail": _canonical(from_json(to_json(detail))),
                "at": at.astimezone(UTC).isoformat(),
            }
            digest = _digest(before, row)
            conn.execute(audit.insert(), [row | {"project_id": number, "digest": digest}])
        return digest

    def all(self, project: str) -> list[AuditRow]:
        """Return the log, oldest first."""
        return [
            AuditRow(
                row["number"],
                row["who"],
                row["what"],
                from_json(row["detail"]),
                datetime.fromisoformat(row["at"]),
                row["digest"],
            )
            for row in self._rows(project)
        ]

    def verify(self, project: str) -> list[str]:
        """Return one sentence for each row that is not as it was written, that was slipped in, or before which some are
        missing; an empty list if the chain holds."""
        broken: list[str] = []
        before, expected = "", 1
        for row in self._rows(project):
            if row["number"] != expected:
                broken.append(f"Rows {expected} to {row['number'] - 1} are missing.")
            if _digest(before, row) != row["digest"]:
                broken.append(
                    f"Row {row['number']} ({row['what']}) does not follow from its predecessor, or was changed."
                )
            before, expected = row["digest"], row["number"] + 1
        return broken

    def _rows(self, project: str) -> list[dict[str, Any]]:
        with self._db.read_project(project) as (conn, number):
            rows = conn.execute(sa.select(audit).where(audit.c.project_id == number).order_by(audit.c.number))
            return [dict(row) for row in rows.mappings()]


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _digest(before: str, row: dict[str, Any]) -> str:
    said = _canonical([before, *(row[name] for name in ("number", "who", "what", "detail", "at"))])
    return hashlib.sha256(said.encode()).hexdigest()
