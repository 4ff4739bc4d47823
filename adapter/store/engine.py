"""Connections, transactions and errors: the only place that knows which database is behind the store."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError, SQLAlchemyError, StatementError

from adapter.errors import DiskFull, HitlError, StoreError
from adapter.store.encoding import storable
from adapter.store.tables import projects

BUSY_SECONDS = 30
_URL_REMEDY = "Write `sqlite:///path/to/file.db` or `postgresql://user:password@host:5432/database`."
_WRITES, _DURABLE = "hitl_writes", "hitl_durable"
_BIG = 2**63
_SPACE = {errno.ENOSPC, errno.EDQUOT}


class Database:
    """A lazily opened database. Thread-safe; a forked child opens connections of its own.

    Writers are serialised: on SQLite for the whole file (BEGIN IMMEDIATE waits up to 30 s for its turn), on PostgreSQL
    for each project (its row is locked first). So a writer never reads what another is about to change.
    """

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self.where = shown(self._url)
        given = (self._url.password, *(self._url.query.get(name) for name in ("password", "sslpassword", "passfile")))
        self._secrets = tuple({str(secret) for secret in given if secret})
        self._engine: Engine | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._ids: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Database({self.where!r})"

    @property
    def is_sqlite(self) -> bool:
        """Whether SQLite is behind it."""
        return self._url.get_backend_name() == "sqlite"

    @property
    def mark(self) -> str:
        """How the driver writes the place of a value in a statement."""
        return "?" if self.is_sqlite else "%s"

    @property
    def engine(self) -> Engine:
        """The engine, made at first use."""
        with self._lock:
            if self._engine is not None and self._pid != os.getpid():
                self._engine.dispose(close=False)  # the parent's connections are not ours to close
                self._engine = None
            if self._engine is None:
                self._pid = os.getpid()
                self._engine = self._open()
            return self._engine

    def close(self) -> None:
        """Close every connection. The next use opens new ones."""
        with self._lock:
            if self._engine is not None and self._pid == os.getpid():
                self._engine.dispose()
            self._engine = None

    def _open(self) -> Engine:
        if not self.is_sqlite:
            return sa.create_engine(
                self._url,
                pool_pre_ping=True,
                pool_size=5,
                max_overflow=20,
                hide_parameters=True,
                connect_args=_patience(self._url),
            )
        engine = sa.create_engine(
            self._url, pool_size=5, max_overflow=40, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS}
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        return engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads one state of the database."""
        with self.told(), self.engine.connect() as conn, conn.begin():
            yield conn

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Connection]:
        """A transaction that writes: all of it happens or nothing. durable: outlives a power cut, not only a kill."""
        with self.told(), self.engine.connect() as plain:
            conn = plain.execution_options(**{_WRITES: True, _DURABLE: durable})
            with conn.begin():
                yield conn

    @contextmanager
    def read_project(self, name: str) -> Iterator[tuple[Connection, int]]:
        """`read` with the project's number; -1, which has no rows anywhere, if there is no such project."""
        with self.read() as conn:
            yield conn, self._number(conn, name) or -1

    @contextmanager
    def write_project(self, name: str, *, durable: bool = False) -> Iterator[tuple[Connection, int]]:
        """`write` as the only writer of this project. Raises StoreError if there is no such project."""
        with self.write(durable=durable) as conn:
            number = self.lock_project(conn, name)
            if number is None:
                raise StoreError(
                    f"there is no project {name!r} in the store",
                    where=self.where,
                    remedy="Run `hitl ingest` or `hitl attach` for it first.",
                )
            yield conn, number

    def lock_project(self, conn: Connection, name: str) -> int | None:
        """Become the project's only writer until the transaction ends; return its number, None if it does not exist."""
        if self.is_sqlite:
            return self._number(conn, name)
        query = sa.select(projects.c.id).where(projects.c.name == name).with_for_update()
        return conn.scalar(query) if storable(name) else None

    def _number(self, conn: Connection, name: str) -> int | None:
        known = self._ids.get(name)
        if known is None and storable(name):
            known = conn.scalar(sa.select(projects.c.id).where(projects.c.name == name))
            # A project made in this very transaction may yet be rolled back: only reads remember.
            if known is not None and not conn.get_execution_options().get(_WRITES):
                self._ids[name] = known
        return known

    def among(self, column: sa.ColumnElement[Any], values: Collection[Any]) -> sa.ColumnElement[bool]:
        """`column IN values` as one parameter, so that there may be any number of values.

        Values that no database can hold (see `storable`) are in no row and are left out.
        """
        kept = _storable(values)
        if self.is_sqlite:
            return column.in_(sa.select(sa.func.json_each(json.dumps(kept)).table_valued("value").c.value))
        return column == sa.any_(sa.bindparam(None, kept, type_=ARRAY(column.type)))

    def listed(self, values: Collection[str]) -> sa.TableValuedAlias:
        """The values as a table with one column `value`. On its left side of an outer join SQLite always looks up each
        value in the index, where for `among` it may choose to read the whole table instead."""
        kept = _storable(values)
        if self.is_sqlite:
            return sa.func.json_each(json.dumps(kept)).table_valued("value")
        return sa.func.unnest(sa.bindparam(None, kept, type_=ARRAY(sa.Text))).table_valued("value").render_derived()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn what drivers raise into errors that advise."""
        try:
            yield
        except HitlError:
            raise
        except (SQLAlchemyError, sqlite3.Error, OSError, OverflowError) as error:
            told = self.explain(error)
            # A driver's own words may repeat the connection string; then they are not chained to ours.
            hidden = any(secret in repr(error) + str(error) for secret in self._secrets)
            raise told from (None if hidden or told.__cause__ is not None else error)

    def explain(self, error: BaseException) -> HitlError:
        """Return the error of ours that stands for a driver's."""
        original: BaseException = error
        if isinstance(error, StatementError) and error.orig is not None:
            original = error.orig
        if isinstance(original, HitlError):
            return original
        text = self._without_secrets(" ".join(str(original).split()))
        low = text.lower()
        state = getattr(original, "sqlstate", None)
        if isinstance(original, OSError) and original.errno in _SPACE:
            return self._full(text)
        if state == "53100" or "disk is full" in low or "disk i/o error" in low or "no space left" in low:
            return self._full(text)
        if "no such table" in low or state == "42P01":
            return self._error("the store has no tables yet", "Run `hitl doctor`, or call `Store.migrate()` first.")
        if "locked" in low or state in {"55P03", "40P01"}:
            return self._error(
                f"another process kept the store busy for {BUSY_SECONDS} s",
                "Look which one writes so long and run the command again; nothing was half-written.",
            )
        if "unable to open database file" in low or "readonly" in low or isinstance(original, OSError):
            return self._error(text, "Check that the folder exists and that this user may write there.")
        if "not a database" in low or "malformed" in low:
            return self._error(text, "Restore the file from a backup, or point `store.url` at another file.")
        if "foreign key" in low:
            return self._error("a row names a task or project that is not in the store", "Ingest the tasks first.")
        if not self.is_sqlite and isinstance(error, sa.exc.OperationalError):
            return self._error(text, "Check that PostgreSQL runs, and `store.url`: host, database, user and password.")
        return self._error(f"{type(original).__name__}: {text}", "Run `hitl doctor`; nothing was half-written.")

    def _error(self, what: str, remedy: str) -> StoreError:
        return StoreError(what, where=self.where, remedy=remedy)

    def _full(self, text: str) -> DiskFull:
        return DiskFull(
            f"no space is left ({text})",
            where=self.where,
            remedy="Free space on that disk and run the same command again; nothing was half-written.",
        )

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _storable(values: Collection[Any]) -> list[Any]:
    return [value for value in values if (storable(value) if isinstance(value, str) else -_BIG <= value < _BIG)]


def _patience(url: URL) -> dict[str, Any]:
    """Options of a PostgreSQL connection beside those that the URL gives."""
    given = url.query.get("options", "")
    ours = f"-c lock_timeout={BUSY_SECONDS}s -c timezone=UTC"
    options = f"{given if isinstance(given, str) else ' '.join(given)} {ours}".strip()
    return {"options": options} if "connect_timeout" in url.query else {"options": options, "connect_timeout": 10}


def parse_url(url: str) -> URL:
    """Return the URL with its driver named. Raises StoreError, which never repeats the URL: it may hold a password."""
    try:
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        raise StoreError("the store's URL cannot be read", where="store.url", remedy=_URL_REMEDY) from None
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise StoreError(f"'{backend}' is no database that we serve", where="store.url", remedy=_URL_REMEDY)
    if not parsed.database or parsed.database == ":memory:":
        raise StoreError(
            "SQLite needs a file, because threads and processes share the store", where="store.url", remedy=_URL_REMEDY
        )
    return parsed


def shown(url: URL) -> str:
    """Return the URL for people: no user's password, no options (they may hold secrets too)."""
    if url.get_backend_name() == "sqlite":
        return str(Path(url.database or ""))
    host = url.host or "local socket"
    return f"postgresql://{host}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin or commit by itself
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA cache_size=-65536")
    # Ingest touches the same index pages in every batch: rarer checkpoints write each of them once instead of often.
    cursor.execute("PRAGMA wal_autocheckpoint=20000")
    cursor.execute("PRAGMA journal_size_limit=67108864")
    cursor.execute("PRAGMA temp_store=MEMORY")
    cursor.close()


def _begin(conn: Connection) -> None:
    options = conn.get_execution_options()
    if options.get(_WRITES):
        # NORMAL survives a kill; FULL also syncs this commit, and with it all earlier ones, to the disk.
        conn.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options.get(_DURABLE) else 'NORMAL'}")
        conn.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        conn.exec_driver_sql("BEGIN")
