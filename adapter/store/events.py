"""Webhook events: recorded at once, handled later."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from adapter.store.group import Group
from adapter.store.tables import events
from adapter.vocabulary import JsonObject


@dataclass(frozen=True, slots=True)
class Event:
    """A webhook call. platform_id: the Label Studio project it names, None if it names none."""

    id: int
    platform_id: int | None
    action: str
    digest: str
    payload: JsonObject
    received_at: datetime
    handled: bool = False


class Events(Group):
    """A queue in the order of arrival."""

    def record(self, project_platform_id: int | None, action: str, digest: str, payload: JsonObject) -> bool:
        """Keep an event; return False if one with this digest is known already (the same call twice)."""
        row = {
            "platform_id": project_platform_id,
            "action": action,
            "digest": digest,
            "payload": payload,
            "received_at": self._now(),
            "handled": False,
        }
        with self._db.write() as conn:
            return conn.scalar(self._insert_new(events).values(row).returning(events.c.id)) is not None

    def record_many(self, calls: Sequence[tuple[int | None, str, str, JsonObject]]) -> None:
        """Do as `record` for several calls (project, action, digest, payload) in one transaction, in their order."""
        if not calls:
            return
        now = self._now()
        names = ("platform_id", "action", "digest", "payload")
        rows = [{**dict(zip(names, call, strict=True)), "received_at": now, "handled": False} for call in calls]
        with self._db.write() as conn:
            conn.execute(self._insert_new(events), rows)

    def unhandled(self, limit: int = 1000) -> list[Event]:
        """Return the oldest events that wait, at most `limit`."""
        query = sa.select(*(events.c[name] for name in Event.__slots__)).where(~events.c.handled)
        with self._db.read() as conn:
            return [Event(*row) for row in conn.execute(query.order_by(events.c.id).limit(limit))]

    def handled(self, ids: Collection[int]) -> None:
        """Note that these events are done."""
        if ids:
            with self._db.write() as conn:
                conn.execute(events.update().where(self._db.among(events.c.id, ids)).values(handled=True))

    def count(self) -> int:
        """Return how many events were ever recorded."""
        with self._db.read() as conn:
            return int(conn.scalar(sa.select(sa.func.count()).select_from(events)) or 0)
