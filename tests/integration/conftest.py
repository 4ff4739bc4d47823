"""The real server: one for the whole session, started by the first test that asks for it, ended by its id."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from adapter.label_studio.embedded import EmbeddedServer


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A running Label Studio: `url`, `token` (the administrator's), `user`, `password`, `home`."""
    pytest.importorskip("label_studio", reason="the server is not installed: pip install 'hitl-labeling[server]'")
    with EmbeddedServer(
        tmp_path_factory.mktemp("label-studio"), free_port(), "admin@localhost.local", "admin-Secret-1"
    ) as server:
        yield server
