"""The types of columns, and short ways to write the columns that many tables have."""

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


def of_project(*, primary: bool = False) -> sa.Column[int]:
    """The project that a row belongs to."""
    return sa.Column("project_id", Number, sa.ForeignKey("hitl_projects.id"), primary_key=primary, nullable=False)


def of_task() -> sa.ForeignKeyConstraint:
    """The task that a row is about must be in the pool."""
    return sa.ForeignKeyConstraint(["project_id", "task_id"], ["hitl_tasks.project_id", "hitl_tasks.id"])


def text(name: str, **options: Any) -> sa.Column[str]:
    """Text as it is; not null unless said."""
    options.setdefault("nullable", False)
    return sa.Column(name, sa.Text, **options)


def json(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    """Any JSON value; not null unless said."""
    return sa.Column(name, Json, nullable=nullable)


def number(name: str, **options: Any) -> sa.Column[int]:
    """A whole number; not null unless said."""
    options.setdefault("nullable", False)
    return sa.Column(name, Number, **options)


def moment(name: str, **options: Any) -> sa.Column[datetime]:
    """An aware moment; not null unless said."""
    options.setdefault("nullable", False)
    return sa.Column(name, Instant, **options)


def words(name: str, **options: Any) -> sa.Column[str]:
    """Free text from anywhere, cleaned; not null unless said."""
    options.setdefault("nullable", False)
    return sa.Column(name, Words, **options)


def real(name: str, *, nullable: bool = False) -> sa.Column[float]:
    """A double; not null unless said."""
    return sa.Column(name, sa.Double, nullable=nullable)


def boolean(name: str) -> sa.Column[bool]:
    """True or false."""
    return sa.Column(name, sa.Boolean, nullable=False)
