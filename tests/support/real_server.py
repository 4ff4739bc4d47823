"""The real server: one for the whole session, whichever folder's tests ask first; ended by its id.

A conftest makes it available with `from real_server import label_studio`.
"""

from __future__ import annotations

import pytest

from adapter.label_studio.embedded import EmbeddedServer
from adapter.simulate.relay import free_port

_SERVER = pytest.StashKey[EmbeddedServer]()


@pytest.fixture(scope="session")
def label_studio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> EmbeddedServer:
    """A running Label Studio: `url`, `token` (the administrator's), `user`, `password`, `home`, `folder`, `log`.

    Kept with the session and not with this fixture, since several conftests may each have it.
    """
    pytest.importorskip("label_studio", reason="no server is installed: pip install 'hitl-labeling[server]'")
    stash = request.config.stash
    if _SERVER not in stash:
        home = tmp_path_factory.mktemp("label-studio")
        server = EmbeddedServer(home, free_port(), "admin@localhost.local", "admin-Secret-1")
        request.config.add_cleanup(server.stop)
        server.start()
        server.wait()
        stash[_SERVER] = server
    return stash[_SERVER]
