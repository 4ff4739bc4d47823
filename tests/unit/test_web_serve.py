"""The server as a process: it answers, and SIGTERM ends it cleanly."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests_support import SPAM_CONFIG
from web_support import HEADER

from adapter.app import App
from adapter.errors import HitlError
from adapter.settings import ProjectSettings, Settings
from adapter.simulate.relay import free_port
from adapter.store import Store
from adapter.web.app import serve

PROGRAM = """
import sys
from pathlib import Path
from adapter.app import App
from adapter.logs import configure_logging
from adapter.settings import Settings
from adapter.web.app import serve

configure_logging("info")
app = App(Settings.model_validate_json(Path(sys.argv[1]).read_text()))
serve(app, "127.0.0.1", int(sys.argv[2]))
app.close()
print("closed")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_after_it_stored_what_waits(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "spam.xml").write_text(SPAM_CONFIG, encoding="utf-8")
    project = ProjectSettings(name="spam", label_config=tmp_path / "spam.xml")
    settings = Settings(home=tmp_path / "home", config=tmp_path, projects={"spam": project})
    app = App(settings)
    secret = app.secrets.webhook_secret  # made now and kept: the process finds the same
    app.close()
    (tmp_path / "settings.json").write_text(settings.model_dump_json(), encoding="utf-8")
    port = free_port()
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "settings.json"), str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                assert json.loads(urllib.request.urlopen(f"{url}/health", timeout=1).read()) == {"status": "UP"}
                break
            except urllib.error.URLError:
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.1)
        request = urllib.request.Request(
            f"{url}/webhook", b'{"action": "TASKS_CREATED", "tasks": [1]}', {next(iter(HEADER)): secret}
        )
        assert urllib.request.urlopen(request, timeout=5).status == 200
        process.send_signal(number)
        output, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert output.rstrip().endswith("closed")
    assert "the endpoints have ended" in output
    assert "Traceback" not in output
    assert secret not in output
    store = Store(f"sqlite:///{tmp_path / 'home' / 'hitl.db'}")
    assert [event.action for event in store.events.unhandled()] == ["TASKS_CREATED"]
    store.close()


def test_an_address_that_is_taken_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "spam.xml").write_text(SPAM_CONFIG, encoding="utf-8")
    app = App(Settings(home=tmp_path / "home", config=tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(HitlError, match=r"cannot be had .*set `web.port`"):
            serve(app, "127.0.0.1", taken.getsockname()[1])
    app.close()
