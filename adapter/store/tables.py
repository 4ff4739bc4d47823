"""The tables. Every name starts with `hitl_`, so that the store may share a database with others.

The migrations in `migrations/versions` make exactly these; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from adapter.store.encoding import cleaned, from_json, to_json


class Instant(TypeDecorator[datetime]):
    """A moment. Aware in, aware UTC out; stored in UTC on every database."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return a type with a time zone where there is one."""
        return dialect.type_descriptor(sa.DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC. A naive moment is a programming error."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("a moment without a time zone; pass aware datetimes")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """JSON as text; None stays SQL's NULL."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Write."""
        return None if value is None else to_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read."""
        return None if value is None else from_json(value)


class Words(TypeDecorator[str]):
    """Free text from anywhere; characters that no database holds are replaced."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Clean."""
        return None if value is None else cleaned(value)


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts up only in INTEGER columns
VERSION_TABLE = "hitl_schema"


def _project(*, primary: bool = False) -> sa.Column[int]:
    return sa.Column("project_id", Number, sa.ForeignKey("hitl_projects.id"), primary_key=primary, nullable=False)


def _of_task() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["project_id", "task_id"], ["hitl_tasks.project_id", "hitl_tasks.id"])


def _text(name: str, **options: Any) -> sa.Column[str]:
    options.setdefault("nullable", False)
    return sa.Column(name, sa.Text, **options)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, Json, nullable=False)


def _number(name: str, **options: Any) -> sa.Column[int]:
    options.setdefault("nullable", False)
    return sa.Column(name, Number, **options)


def _moment(name: str, **options: Any) -> sa.Column[datetime]:
    options.setdefault("nullable", False)
    return sa.Column(name, Instant, **options)


def _bool(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


projects = sa.Table(
    "hitl_projects",
    metadata,
    _number("id", primary_key=True),
    _text("name", unique=True),
    _number("platform_id", nullable=True),
    _text("label_config_digest"),
    _text("mark", nullable=True),
    _moment("created_at"),
    _text("basis", nullable=True),
)

notes = sa.Table("hitl_notes", metadata, _project(primary=True), _text("key", primary_key=True), _json("value"))

tasks = sa.Table(
    "hitl_tasks",
    metadata,
    _project(primary=True),
    _number("seq", primary_key=True, autoincrement=False),
    _text("id"),
    _json("data"),
    _text("content"),
    _number("duplicate_of", nullable=True),
    _bool("blind"),
    _json("subgroup"),
    _number("line"),
    sa.UniqueConstraint("project_id", "id"),
    # Only first ones are looked up by content, so only they are indexed.
    sa.Index(
        "ix_hitl_tasks_content",
        "project_id",
        "content",
        unique=True,
        sqlite_where=sa.text("duplicate_of IS NULL"),
        postgresql_where=sa.text("duplicate_of IS NULL"),
    ),
    sqlite_with_rowid=False,
)

placements = sa.Table(
    "hitl_placements",
    metadata,
    _project(primary=True),
    _text("task_id", primary_key=True),
    _number("platform_id", nullable=True),
    _number("priority"),
    sa.Column("reason", Words, nullable=False),
    _number("overlap"),
    _bool("blind"),
    _moment("intended_at"),
    _moment("placed_at", nullable=True),
    _bool("gone"),
    _bool("done"),
    _of_task(),
    sa.Index(
        "ix_hitl_placements_platform_id",
        "project_id",
        "platform_id",
        unique=True,
        sqlite_where=sa.text("gone = 0"),
        postgresql_where=sa.text("NOT gone"),
    ),
)

predictions = sa.Table(
    "hitl_predictions",
    metadata,
    _project(primary=True),
    _text("version", primary_key=True),
    _text("task_id", primary_key=True),
    _bool("landed"),
    _of_task(),
)

people = sa.Table(
    "hitl_annotations",
    metadata,
    _project(primary=True),
    _text("task_id", primary_key=True),
    _number("id", primary_key=True, autoincrement=False),
    sa.Column("annotator", Words, nullable=False),
    _json("values"),
    _json("result"),
    _moment("created_at"),
    _moment("updated_at"),
    sa.Column("lead_time", sa.Double, nullable=True),
    _bool("cancelled"),
    _bool("ground_truth"),
    sa.Column("shown", Words, nullable=True),
    _moment("deleted_at", nullable=True),
    _of_task(),
)

strays = sa.Table(
    "hitl_strays",
    metadata,
    _project(primary=True),
    _number("platform_task_id", primary_key=True, autoincrement=False),
    _number("annotation_id", primary_key=True, autoincrement=False),
    _json("raw"),
    sa.Column("why", Words, nullable=False),
    _moment("seen_at"),
)

consensus = sa.Table(
    "hitl_consensus",
    metadata,
    _project(primary=True),
    _text("task_id", primary_key=True),
    _text("control", primary_key=True),
    sa.Column("value", Json, nullable=True),
    sa.Column("confidence", sa.Double, nullable=False),
    _json("probabilities"),
    _json("support"),
    _of_task(),
)

flags = sa.Table(
    "hitl_flags",
    metadata,
    _number("id", primary_key=True),
    _project(),
    _text("task_id"),
    _text("control"),
    _text("reason"),
    _text("about"),
    sa.Column("score", sa.Double, nullable=False),
    _json("evidence"),
    _moment("resolved_at", nullable=True),
    sa.Column("resolution", Words, nullable=False),
    sa.UniqueConstraint("project_id", "task_id", "control", "reason", "about", name="uq_hitl_flags_doubt"),
    _of_task(),
)

rankings = sa.Table(
    "hitl_rankings",
    metadata,
    _project(primary=True),
    _number("place", primary_key=True, autoincrement=False),
    _text("task_id"),
    _number("seq"),
    _number("priority"),
    sa.Column("reason", Words, nullable=False),
    sa.Column("score", sa.Double, nullable=False),
    _bool("blind"),
    _number("overlap"),
)

models = sa.Table(
    "hitl_models",
    metadata,
    _project(primary=True),
    _text("version", primary_key=True),
    _number("number"),
    _text("backend"),
    _text("state"),
    _json("metrics"),
    _text("data_digest"),
    _text("uri"),
    _moment("created_at"),
    _text("parent", nullable=True),
    _json("verdict"),
    sa.Index(
        "ix_hitl_models_current",
        "project_id",
        unique=True,
        sqlite_where=sa.text("state = 'current'"),
        postgresql_where=sa.text("state = 'current'"),
    ),
)

columns = sa.Table(
    "hitl_columns",
    metadata,
    _project(primary=True),
    _text("what", primary_key=True),
    _text("control", primary_key=True),
    _text("source", primary_key=True),
    _text("version", primary_key=True),
    _number("lo", primary_key=True, autoincrement=False),
    _number("hi", primary_key=True, autoincrement=False),
    _text("uri"),
    _text("digest"),
    sa.Index("ix_hitl_columns_uri", "uri"),
)

events = sa.Table(
    "hitl_events",
    metadata,
    _number("id", primary_key=True),
    _number("platform_id", nullable=True),
    sa.Column("action", Words, nullable=False),
    _text("digest", unique=True),
    _json("payload"),
    _moment("received_at"),
    _bool("handled"),
    sa.Index(
        "ix_hitl_events_waiting",
        "id",
        sqlite_where=sa.text("handled = 0"),
        postgresql_where=sa.text("NOT handled"),
    ),
)

leases = sa.Table(
    "hitl_leases",
    metadata,
    _text("name", primary_key=True),
    _text("holder"),
    _moment("expires_at"),
)

faults = sa.Table(
    "hitl_faults",
    metadata,
    _number("id", primary_key=True),
    _project(),
    sa.Column("source", Words, nullable=False),
    sa.Column("version", Words, nullable=False),
    sa.Column("place", Words, nullable=False),
    sa.Column("task_id", Words, nullable=True),
    sa.Column("message", Words, nullable=False),
    _moment("at"),
    sa.Index("ix_hitl_faults_project_id", "project_id", "id"),
)

audit = sa.Table(
    "hitl_audit",
    metadata,
    _project(primary=True),
    _number("number", primary_key=True, autoincrement=False),
    sa.Column("who", Words, nullable=False),
    sa.Column("what", Words, nullable=False),
    _text("detail"),
    _text("at"),
    _text("digest"),
)

runs = sa.Table(
    "hitl_runs",
    metadata,
    _number("id", primary_key=True),
    _project(),
    _text("stage"),
    _moment("started_at"),
    sa.Column("seconds", sa.Double, nullable=False),
    _json("report"),
    sa.Column("error", Words, nullable=True),
    sa.Index("ix_hitl_runs_stage", "project_id", "stage", "id"),
)
