"""A store on SQLite and on a real PostgreSQL, which the pgserver wheel starts once a session."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from adapter.store import Store

MakeStore = Callable[[], Store]
_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server of our own, reached by a socket, so that no port is taken; stopped at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))  # where the wheel keeps its lock
        import pgserver

        server = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
        try:
            yield server
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Any) -> str:
    """A migrated database that others are copied from."""
    _command(postgres_server.get_uri(), "CREATE DATABASE template_hitl")
    with Store(postgres_server.get_uri("template_hitl")) as store:
        store.migrate()
    return "template_hitl"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file that others are copied from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    with Store(f"sqlite:///{path}") as store:
        store.migrate()
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    server = request.getfixturevalue("postgres_server")
    name = f"empty_{next(_NUMBERS)}"
    _command(server.get_uri(), f"CREATE DATABASE {name}")
    return str(server.get_uri(name))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated database with nothing in it."""
    if request.param == "sqlite":
        path = tmp_path / "hitl.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    server = request.getfixturevalue("postgres_server")
    template = request.getfixturevalue("postgres_template")
    name = f"hitl_{next(_NUMBERS)}"
    _command(server.get_uri(), f"CREATE DATABASE {name} TEMPLATE {template}")
    return str(server.get_uri(name))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A migrated store with the project `p`."""
    with Store(store_url) as opened:
        opened.projects.ensure("p", "digest")
        yield opened


def _command(uri: str, command: str) -> None:
    engine = sa.create_engine(uri.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        conn.exec_driver_sql(command)
    engine.dispose()
