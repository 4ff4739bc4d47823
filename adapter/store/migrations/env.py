"""Alembic's entry point: it runs on the connection that `adapter.store.migrate` gives, within its transaction."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from adapter.store import tables  # noqa: F401 - makes the tables known
from adapter.store.schema import VERSION_TABLE, Instant, Json, Words, metadata


def render(kind: str, item: Any, _autogenerate: Any) -> str | Literal[False]:
    """Write our own column types as plain ones, because a revision must not change when the code does."""
    if kind == "type" and isinstance(item, Json | Words):
        return "sa.Text()"
    if kind == "type" and isinstance(item, Instant):
        return "sa.DateTime(timezone=True)"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_item=render,
)
with context.begin_transaction():
    context.run_migrations()
