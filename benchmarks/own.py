"""Our own web process for benchmarks: a fresh data folder, one project, one trained model, a free port.

The process is the one that users run (`hitl web`); only the model was put into the store by hand.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from adapter.app import App
from adapter.bundle import Bundle, build
from adapter.settings import BackendSettings, ProjectSettings, Settings, WebSettings
from adapter.simulate.relay import free_port
from adapter.vocabulary import ModelState, ModelVersion
from benchmarks.same_model import CONFIG, texts

ROOT = Path(__file__).resolve().parent.parent
NAME = "bench"
PLATFORM_ID = 1
USER, PASSWORD, SECRET = "bench-user", "bench-password", "bench-secret"


@dataclass(frozen=True)
class Own:
    """A running server of ours."""

    url: str
    home: Path
    pid: int

    @property
    def store_url(self) -> str:
        """The address of its store."""
        return f"sqlite:///{self.home / 'hitl.db'}"


def basic() -> dict[str, str]:
    """Return the header of Basic auth."""
    return {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}


def prepare(folder: Path, backend: str, *, training: int, seed: int) -> None:
    """Write settings, and a store with a current model of this backend."""
    config = folder / "config"
    (config / "projects").mkdir(parents=True)
    (config / "labels.xml").write_text(CONFIG, encoding="utf-8")
    (config / "adapter.yaml").write_text("home: ../home\n", encoding="utf-8")
    (config / "projects" / f"{NAME}.yaml").write_text(
        f"label_config: labels.xml\nbackend: {{path: '{backend}'}}\n", encoding="utf-8"
    )
    project = ProjectSettings(name=NAME, label_config=config / "labels.xml", backend=BackendSettings(path=backend))
    settings = Settings(home=folder / "home", config=config, web=WebSettings(), projects={NAME: project})
    app = App(settings)
    space = app.project(NAME).space
    control = space.controls[0]
    examples, labels = texts(training, seed)
    model = build(backend, (control.field,), {})
    targets = np.eye(len(control.labels), dtype=np.float32)[labels]
    weights = np.ones(training, np.float32)
    model.fit([{"text": text} for text in examples], targets, weights=weights, multiple=False, seed=seed)
    about = {"labels": list(control.labels), "multiple": False, "fields": [control.field]}
    Bundle({control.name: model}, {"backend": backend, "options": {}, "controls": {control.name: about}}).save(
        folder / "model"
    )
    uri, digest = app.artifacts.put_folder(folder / "model")
    app.store.projects.ensure(NAME, space.digest)
    app.store.projects.bind(NAME, PLATFORM_ID)
    version = ModelVersion(
        f"{NAME}-1-{digest[:8]}", 1, backend, ModelState.CURRENT, {}, "generated", uri, datetime.now(UTC)
    )
    app.store.models.add(NAME, version)
    app.close()


@contextmanager
def serving(
    folder: Path, backend: str = "backends.linear:Linear", *, training: int = 1_000, seed: int = 7
) -> Iterator[Own]:
    """Run our server in `folder` until the block ends."""
    prepare(folder, backend, training=training, seed=seed)
    port = free_port()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("HITL_")},
        "HITL_WEB__PORT": str(port),
        "HITL_WEB__BACKEND_USER": USER,
        "HITL_WEB__BACKEND_PASSWORD": PASSWORD,
        "HITL_WEB__WEBHOOK_SECRET": SECRET,
        "PYTHONPATH": str(ROOT),
    }
    with (folder / "web.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "adapter", "--config", str(folder / "config" / "adapter.yaml"), "web"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
        )
        try:
            own = Own(f"http://127.0.0.1:{port}", folder / "home", process.pid)
            _wait(own, process, folder / "web.log")
            yield own
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(own: Own, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers with its model."""
    request = urllib.request.Request(
        f"{own.url}/setup", b'{"project": "1.0"}', {**basic(), "Content-Type": "application/json"}
    )
    for _ in range(300):
        if process.poll() is not None:
            raise SystemExit(f"our server ended with code {process.returncode}:\n{log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:
                if f'"{NAME}-1-'.encode() in reply.read():
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    raise SystemExit(f"our server did not come up in time:\n{log.read_text()[-2000:]}")
