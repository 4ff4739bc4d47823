"""The server that we start: quiet, ours alone, gone when it shall be gone."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from real_server import free_port

from adapter.errors import PlatformUnreachable
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.platform import LabelStudioPlatform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PARENT = """
import sys, time
from pathlib import Path
from adapter.label_studio.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), int(sys.argv[2]), "admin@localhost.local", "admin-Secret-1")
server.start()
print(server.pid, flush=True)
server.wait()
print("ready", flush=True)
time.sleep(600)
"""


def ended(pid: int, seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_it_is_reached_from_this_machine_only(label_studio: EmbeddedServer) -> None:
    assert label_studio.pid is not None
    listening = [c.laddr for c in psutil.Process(label_studio.pid).net_connections("tcp") if c.status == "LISTEN"]
    assert [(address.ip, address.port) for address in listening] == [("127.0.0.1", label_studio.port)]


def test_secrets_stay_out_of_sight(label_studio: EmbeddedServer) -> None:
    assert label_studio.pid is not None
    seen = " ".join(psutil.Process(label_studio.pid).cmdline()) + repr(label_studio)
    seen += label_studio.log.read_text(encoding="utf-8", errors="replace")
    assert label_studio.token not in seen
    assert label_studio.password not in seen
    assert stat.S_IMODE((label_studio.folder / "token").stat().st_mode) == 0o600


def test_it_is_told_to_keep_quiet(label_studio: EmbeddedServer) -> None:
    assert label_studio.pid is not None
    told = psutil.Process(label_studio.pid).environ()
    assert told["LABEL_STUDIO_SENTRY_DSN"] == told["LABEL_STUDIO_FRONTEND_SENTRY_DSN"] == ""
    assert told["LABEL_STUDIO_COLLECT_ANALYTICS"] == told["LABEL_STUDIO_LATEST_VERSION_CHECK"] == "false"
    page = httpx.get(f"{label_studio.url}/user/login/", trust_env=False).text
    assert "ingest.sentry.io" not in page


def test_strangers_cannot_sign_up(label_studio: EmbeddedServer) -> None:
    with httpx.Client(base_url=label_studio.url, trust_env=False) as http:
        http.get("/user/signup/")
        form = {
            "email": "stranger@x.org",
            "password": "a-Long-enough-1",
            "csrfmiddlewaretoken": http.cookies["csrftoken"],
        }
        assert http.post("/user/signup/", data=form).status_code == 403


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PlatformUnreachable, match=rf"port {port} cannot be used.*label_studio\.port"):
            EmbeddedServer(tmp_path, port, "admin@localhost.local", "admin-Secret-1").start()
    assert not (tmp_path / "label-studio").exists()


def test_a_second_server_on_the_same_folder_is_refused(label_studio: EmbeddedServer) -> None:
    second = EmbeddedServer(label_studio.home, free_port(), label_studio.user, label_studio.password)
    second.start()
    with pytest.raises(PlatformUnreachable, match="another Label Studio runs on this data folder"):
        second.wait()


def test_a_server_that_dies_early_is_quoted(tmp_path: Path) -> None:
    folder = tmp_path / "label-studio"
    folder.mkdir()
    (folder / "label_studio.sqlite3").write_bytes(b"this is no database " * 100)
    server = EmbeddedServer(tmp_path, free_port(), "admin@localhost.local", "admin-Secret-1")
    server.start()
    with pytest.raises(PlatformUnreachable, match="file is not a database"):
        server.wait()
    assert server.pid is None


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="ends its process group, which only POSIX has")
def test_it_ends_with_its_parent_and_starts_again_on_the_same_folder(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PARENT, str(tmp_path), str(free_port())]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline() == "ready\n"
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        assert ended(pid)
    (tmp_path / "label-studio" / "token").write_text("0" * 40, encoding="utf-8")  # lost, and made up anew
    with EmbeddedServer(tmp_path, free_port(), "admin@localhost.local", "admin-Secret-1") as server:
        assert server.token != "0" * 40
        assert (tmp_path / "label-studio" / "token").read_text(encoding="utf-8") == server.token
        assert LabelStudioPlatform(server.url, server.token).check()
        assert server.pid is not None
        family = [server.pid, *(child.pid for child in psutil.Process(server.pid).children(recursive=True))]
    assert all(ended(pid) for pid in family)
    server.stop()
