"""What the store says when the disk is full, the address is wrong or the file is foreign; and what it never says."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from adapter.errors import DiskFull, StoreError
from adapter.store import NewRow, Store
from adapter.store.engine import Database


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'hitl.db'}") as opened:
        opened.migrate()
        opened.projects.ensure("p", "d")
        yield opened


def batch(start: int, count: int) -> list[NewRow]:
    return [NewRow(f"t{n}", {"text": "x" * 1000}, f"c{n}") for n in range(start, start + count)]


def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'small.db'}"
    with Store(url) as store:
        store.migrate()
        store.projects.ensure("p", "d")
        store.tasks.add("p", batch(0, 100), blind=lambda _: False)
    with Store(url) as full:
        event.listen(full._database.engine, "connect", _little_room)
        with pytest.raises(DiskFull, match=r"small\.db: no space is left .*Free space") as caught:
            full.tasks.add("p", batch(100, 5000), blind=lambda _: False)
        assert caught.value.exit_code == 1
        assert full.tasks.count("p") == 100
    with Store(url) as store:
        assert store.tasks.add("p", batch(100, 5000), blind=lambda _: False).new == 5000
        assert [task.seq for task in store.tasks.between("p", 0, 6000)] == list(range(5100))


def _little_room(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA max_page_count=100")


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("database or disk is full"),
        sqlite3.OperationalError("disk I/O error"),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        sa.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")),
        sa.exc.OperationalError("INSERT", {}, psycopg.errors.DiskFull("could not extend file")),
    ],
)
def test_every_way_of_saying_full_is_understood(error: Exception) -> None:
    with pytest.raises(DiskFull, match="Free space"), Database("sqlite:////data/x.db").told():
        raise error


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (sqlite3.OperationalError("database is locked"), "another process kept the store busy"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "may write there"),
        (sqlite3.DatabaseError("database disk image is malformed"), "backup"),
        (OverflowError("Python int too large to convert to SQLite INTEGER"), "hitl doctor"),
        (PermissionError(errno.EACCES, "Permission denied"), "may write there"),
    ],
)
def test_other_troubles_advise_too(error: Exception, advice: str) -> None:
    with pytest.raises(StoreError, match=advice) as caught, Database("sqlite:////data/x.db").told():
        raise error
    assert not isinstance(caught.value, DiskFull)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/hitl\.db.*folder exists"):
        Store(f"sqlite:///{tmp_path}/nowhere/hitl.db").migrate()


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear Sir or Madam, " * 100)
    with pytest.raises(StoreError, match=r"letter\.db.*backup"):
        Store(f"sqlite:///{path}").migrate()
    assert path.read_text().startswith("Dear Sir")


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://u:hunter2@h/d", "sqlite://", "sqlite:///:memory:", "http://x"]
)
def test_an_address_that_cannot_serve_is_refused_at_once(url: str) -> None:
    with pytest.raises(StoreError, match="Write `sqlite:") as caught:
        Store(url)
    assert "hunter2" not in str(caught.value)


def test_the_password_is_in_no_error_and_no_repr() -> None:
    url = "postgresql://ann:hunter2@127.0.0.1:1/db?password=hunter2&connect_timeout=2"
    store = Store(url)
    with pytest.raises(StoreError, match=r"postgresql://127\.0\.0\.1:1/db.*PostgreSQL runs") as caught:
        store.migrate()
    shown = [
        str(caught.value),
        repr(caught.value),
        repr(store),
        store.where,
        repr(store._database),
        repr(vars(caught.value)),
    ]
    shown += [str(caught.value.__cause__), repr(caught.value.__cause__)]
    assert "hunter2" not in " ".join(shown)


def test_a_password_in_a_driver_error_is_hidden() -> None:
    database = Database("postgresql://ann:hunter2@h/d")
    error = sa.exc.OperationalError("connect", {}, psycopg.OperationalError("invalid dsn: user=ann password=hunter2"))
    with pytest.raises(StoreError) as caught, database.told():
        raise error
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_values_stay_out_of_errors(store: Store) -> None:
    with pytest.raises(StoreError) as caught:
        store.annotations.stray("p", 2**80, 1, {"secret": "the person's words"}, "")
    assert "the person's words" not in str(caught.value) + str(caught.value.__cause__)


@pytest.mark.parametrize("spelling", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_spelling_of_postgresql_uses_the_driver_that_we_ship(spelling: str) -> None:
    assert Store(f"{spelling}://h/d")._database._url.drivername == "postgresql+psycopg"


def test_a_store_connects_to_nothing_until_it_is_used(tmp_path: Path) -> None:
    Store(f"sqlite:///{tmp_path / 'later.db'}").close()
    assert not (tmp_path / "later.db").exists()


def test_a_closed_store_opens_again(store: Store) -> None:
    store.close()
    store.close()
    assert store.projects.get("p") is not None


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_uses_connections_of_its_own(store: Store) -> None:
    assert store.projects.get("p") is not None
    child = os.fork()
    if child == 0:
        code = 1
        try:
            store.tasks.add("p", batch(0, 10), blind=lambda _: False)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.tasks.count("p") == 10


def test_sqlite_runs_as_intended(store: Store) -> None:
    with store._database.write(durable=True) as conn:
        got = {name: conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "foreign_keys")}
        assert got == {"journal_mode": "wal", "foreign_keys": 1}
        assert conn.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert conn.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000
    with store._database.write() as conn:
        assert conn.exec_driver_sql("PRAGMA synchronous").scalar() == 1
