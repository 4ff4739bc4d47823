"""Leases: of many processes one works. Time is an argument; holders should have clocks that agree within the ttl."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from adapter.store.encoding import require_key
from adapter.store.group import Group
from adapter.store.tables import leases


class Leases(Group):
    """Named leases with a holder and an end."""

    def acquire(self, name: str, holder: str, ttl_s: float, now: datetime) -> bool:
        """Take the lease for `ttl_s` seconds if it is free, has ended (at or before `now`), or is ours; return whether
        we hold it. One statement, so of two processes exactly one gets it."""
        row = {
            "name": require_key(name, "the lease"),
            "holder": require_key(holder, "the holder"),
            "expires_at": now + timedelta(seconds=ttl_s),
        }
        insert = self._insert(leases)
        query = insert.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": insert.excluded.holder, "expires_at": insert.excluded.expires_at},
            where=sa.or_(leases.c.expires_at <= now, leases.c.holder == holder),
        )
        with self._db.write() as conn:
            return conn.scalar(query.values(row).returning(leases.c.name)) is not None

    def renew(self, name: str, holder: str, ttl_s: float, now: datetime) -> bool:
        """Prolong a lease that we hold and that has not ended; return False if it is lost."""
        with self._db.write() as conn:
            change = leases.update().where(leases.c.name == name, leases.c.holder == holder, leases.c.expires_at > now)
            return conn.execute(change.values(expires_at=now + timedelta(seconds=ttl_s))).rowcount == 1

    def release(self, name: str, holder: str) -> None:
        """Give the lease back if it is ours."""
        with self._db.write() as conn:
            conn.execute(leases.delete().where(leases.c.name == name, leases.c.holder == holder))

    def holder(self, name: str, now: datetime) -> str | None:
        """Return who holds the lease now, None if nobody."""
        with self._db.read() as conn:
            return conn.scalar(sa.select(leases.c.holder).where(leases.c.name == name, leases.c.expires_at > now))
