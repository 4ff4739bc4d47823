"""`hitl demo`: the whole loop on this machine with demo data, until Ctrl-C."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import yaml

from adapter.app import App, embedded_password
from adapter.demo.data import write_demo
from adapter.demo.people import DemoPeople, watch
from adapter.label_studio.embedded import EmbeddedServer
from adapter.settings_file import load_settings
from adapter.simulate.relay import free_port
from adapter.supervise import Child, Supervisor
from adapter.vocabulary import JsonObject

DEFAULT_HOME = Path(".hitl/demo")


def demo(
    *,
    annotators: int,
    home: Path | None,
    port: int,
    web_port: int,
    seed: int,
    say: Callable[[str], None],
    seconds: float = 1.0,
) -> int:
    """Run until Ctrl-C; return the exit code. say: gets each line for the terminal. seconds: median time of an
    annotation.

    A port that is taken is replaced by a free one. The processes' own logs go to the data folder.
    """
    folder = Path(os.path.abspath(home or DEFAULT_HOME))
    gold = write_demo(folder)
    path = demo_settings(folder, _free(port), _free(web_port))
    settings = load_settings(path, {})
    app = App(settings)
    app.projects()
    assert app.store is not None  # migrated once, before two processes want to
    password = embedded_password(settings)
    start = [sys.executable, "-m", "adapter", "--config", str(path)]
    conf = settings.label_studio
    server = EmbeddedServer(settings.home, conf.port, conf.user, password)
    ready = threading.Event()
    supervisor = Supervisor(
        [
            Child("label-studio", [*start, "label-studio"]),
            Child("web", [*start, "web"], needs=ready.is_set),
            Child("scheduler", [*start, "scheduler"], needs=ready.is_set),
        ],
        write=lambda line: say(line) if " | ended by itself" in line or " | cannot be started" in line else None,
        logs=settings.home / "logs",
    )
    stop = threading.Event()
    people = DemoPeople(app, server, gold, str(annotators), seconds=seconds, seed=seed) if annotators else None

    def guide() -> None:
        while not stop.is_set() and not _answers(server.url):
            stop.wait(0.5)
        if stop.is_set():
            return
        ready.set()
        for line in welcome(server.url, conf.user, password, settings.web.port, path, annotators):
            say(line)
        if people is not None:
            people.start()
        watch(app, lambda rows: say("\n".join(map(row_text, rows))), stop)

    say("Starting Label Studio; the first start takes about half a minute ...")
    guiding = threading.Thread(target=guide, name="guide")
    guiding.start()
    try:
        return supervisor.run()
    finally:
        stop.set()
        if people is not None:
            people.stop()
        guiding.join()
        app.close()
        say("Everything has ended. Run the same command again to go on where it stopped.")


def demo_settings(folder: Path, label_studio_port: int, web_port: int) -> Path:
    """Write the demo's adapter.yaml for these ports (anew each time, they may have changed) and return its path."""
    path = folder / "config" / "adapter.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        "home": "../home",
        "label_studio": {"embedded": True, "port": label_studio_port, "url": f"http://127.0.0.1:{label_studio_port}"},
        "web": {"port": web_port},
        "schedule": {"pull_s": 2, "top_up_s": 2, "consolidate_s": 3, "train_s": 2, "flag_s": 15},
    }
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path


def welcome(url: str, user: str, password: str, web_port: int, config: Path, annotators: int) -> list[str]:
    """Return what to tell when all is up."""
    lines = [
        "",
        f"  Label Studio   {url}",
        f"  log in as      {user}   password {password}",
        f"  our endpoints  http://127.0.0.1:{web_port}   (health, metrics)",
        f"  settings       {config}",
        f"  figures        hitl --config {config} status",
        "",
    ]
    if annotators:
        lines.append(f"{annotators} simulated annotators begin to work. Watch the model learn; Ctrl-C ends everything.")
    else:
        lines.append("Open a project there and label some tasks. Ctrl-C ends everything.")
    return lines


def row_text(row: JsonObject) -> str:
    """Return one line of progress for the terminal."""
    seen = f"right on {row['right']} of {row['of']} blind tasks" if row["of"] else "not measured yet"
    return (
        f"{row['project']:<13} {row['annotations']:>4} annotations  {row['open']:>3} open  "
        f"{row['models']} models  {row['model']}: {seen}  {row['flags']} flags"
    )


def _free(port: int) -> int:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_port()
    return port


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2, follow_redirects=True).status_code == 200
    except httpx.HTTPError:
        return False
