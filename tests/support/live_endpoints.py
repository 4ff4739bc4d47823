"""Our endpoints in this process, for a Label Studio that calls them over loopback; and an App for one live project."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from browser_support import until

from adapter.app import App
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.settings import ProjectSettings, Settings
from adapter.simulate.relay import free_port
from adapter.web.app import create_web


def live_app(
    folder: Path, server: EmbeddedServer, config: str, rows: Sequence[dict[str, Any]] | Path, **settings: Any
) -> App:
    """Return an App with the project `live` on this server. rows: of its pool, or a folder with files. The caller
    closes it."""
    place, port = folder / "config", free_port()
    place.mkdir()
    (place / "live.xml").write_text(config, encoding="utf-8")
    data: dict[str, Any] = {"path": str(rows)}
    if not isinstance(rows, Path):
        data = {"path": str(folder / "rows.jsonl"), "id_column": "id"}
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    project = {
        "name": "live",
        "title": f"{folder.name[:40]} {port}",
        "label_config": str(place / "live.xml"),
        "data": data,
        "labeling_functions": "none",
        "flag": {"enabled": False},
        **settings,
    }
    return App(
        Settings(
            home=folder / "home",
            config=place,
            projects={"live": ProjectSettings.model_validate(project)},
            web={"port": port},
        ),
        platform=LabelStudioPlatform(server.url, server.token),
    )


@contextmanager
def endpoints(app: App, *, watch: Callable[[bytes], None] | None = None) -> Iterator[Any]:
    """Serve an App's endpoints on its port until the block ends; yield its service. watch: gets the body of every
    `/predict`."""
    web = create_web(app, poll_s=0.1)
    serving = web if watch is None else _watched(web, watch)
    server = uvicorn.Server(
        uvicorn.Config(serving, port=app.settings.web.port, log_config=None, access_log=False, lifespan="on")
    )
    thread = threading.Thread(target=server.run, name="live endpoints")
    thread.start()
    try:
        until(lambda: server.started, 30, "the endpoints did not start")
        assert web.state.service.host.wait_ready(10)
        yield web.state.service
    finally:
        server.should_exit = True
        thread.join()


def _watched(web: Any, watch: Callable[[bytes], None]) -> Any:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        parts: list[bytes] = []

        async def read() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    watch(b"".join(parts))
            return message

        listened = scope["type"] == "http" and scope["path"] == "/predict"
        await web(scope, read if listened else receive, send)

    return serve


def keep_model(project: Any, folder: Path, backends: dict[str, Any]) -> str:
    """Make fitted backends (control to backend) the project's current model, without a training; return its version."""
    from adapter.bundle import Bundle
    from adapter.vocabulary import ModelState, ModelVersion

    controls = {
        control.name: {
            "labels": list(control.labels),
            "multiple": control.multiple,
            "fields": list(control.fields or (control.field,)),
            "backend": project.backend_of(control).path,
            "options": dict(project.backend_of(control).options),
        }
        for control in project.space.controls
        if control.name in backends
    }
    Bundle(backends, {"controls": controls}).save(folder)
    uri, digest = project.artifacts.put_folder(folder)
    version = f"{project.name}-1-{digest[:8]}"
    kept = ModelVersion(version, 1, "kept", ModelState.CURRENT, {}, digest, uri, project.now())
    project.store.models.add(project.name, kept)
    return version
