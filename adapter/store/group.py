"""What every table group shares."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from adapter.store.engine import Database

Clock = Callable[[], datetime]


class Group:
    """A group of tables behind named methods. Each public method is one transaction."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._db = database
        self._now = now

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return sqlite.insert(table) if self._db.is_sqlite else postgresql.insert(table)

    def _insert_new(self, table: sa.Table) -> sa.Insert:
        """INSERT that leaves rows that are already there alone."""
        return self._insert(table).on_conflict_do_nothing()

    def _upsert(self, table: sa.Table) -> sa.Insert:
        """INSERT that replaces the row with the same primary key."""
        insert = self._insert(table)
        keys = [column.name for column in table.primary_key]
        rest = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
        return insert.on_conflict_do_update(index_elements=keys, set_=rest)
