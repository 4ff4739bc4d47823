"""Bring the database to this version's schema. Safe when several processes start at once; all of it or nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from adapter.errors import SchemaMismatch
from adapter.store.engine import Database
from adapter.store.schema import VERSION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 7_295_114_301  # an arbitrary number that all our processes share
_FOLDER = Path(__file__).parent / "migrations"


def migrate(database: Database) -> None:
    """Upgrade to the newest revision. Raises SchemaMismatch if the database is newer than this program."""
    from alembic import command

    with database.read() as conn:
        if _is_current(conn, database):
            return
    with database.write(durable=True) as conn:  # on SQLite this already waits until we are alone
        if not database.is_sqlite:
            conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if not _is_current(conn, database):
            config = _config()
            config.attributes["connection"] = conn
            command.upgrade(config, "head")


def _is_current(conn: Connection, database: Database) -> bool:
    from alembic.migration import MigrationContext

    there = MigrationContext.configure(conn, opts={"version_table": VERSION_TABLE}).get_current_heads()
    known, heads = _revisions()
    unknown = [revision for revision in there if revision not in known]
    if unknown:
        raise SchemaMismatch(
            f"the store has the schema {unknown[0]!r}, which is newer than this version of the adapter",
            where=database.where,
            remedy="Use the newer version of the adapter, or point `store.url` at another database.",
        )
    return set(there) == heads


@cache
def _revisions() -> tuple[frozenset[str], frozenset[str]]:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config())
    return frozenset(script.revision for script in scripts.walk_revisions()), frozenset(scripts.get_heads())


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
