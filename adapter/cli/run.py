"""`hitl up` and the single processes that it runs: web, scheduler and, when embedded, Label Studio."""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapter.cli.common import config_path, examples, opened, settings_of, state_of
from adapter.errors import PlatformError

if TYPE_CHECKING:
    from adapter.settings import Settings
    from adapter.supervise import Child

WEB_PATIENCE_S = 30.0
"""Seconds that the scheduler waits for our own endpoints."""


def up(
    context: typer.Context,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log to the data folder only.")] = False,
) -> None:
    """Run web, scheduler and, if embedded, Label Studio under one supervisor. Ctrl-C ends all of them.

    Settings come from config/adapter.yaml. In the environment, HITL_<SECTION>__<KEY> overrides a key, such as
    HITL_WEB__PORT; HITL_LABEL_STUDIO_TOKEN is the token; HITL_SECRETS_FILE names a file with such lines, and
    HITL_CONFIG another settings file.
    """
    from adapter.app import embedded_password
    from adapter.cli.show import hint, say
    from adapter.supervise import Supervisor

    settings = settings_of(context, level="info")
    with opened(context, level="info") as app:
        app.projects()  # what is wrong with a label config is told before anything starts
        assert app.store is not None  # migrated once, before two processes do it at once
        assert app.secrets is not None
    if settings.label_studio.embedded:
        embedded_password(settings)  # made now, so that it can be read while the server starts
    write = (lambda line: None) if quiet else say
    supervisor = Supervisor(children(context, settings), write=write, logs=settings.home / "logs")
    for line in _addresses(settings):
        hint(line)
    code = supervisor.run()
    if code:
        raise typer.Exit(code)


def children(context: typer.Context, settings: Settings) -> list[Child]:
    """Return the processes of `hitl up`. With an embedded server the others wait until it serves."""
    from adapter.supervise import Child

    path = str(Path(os.path.abspath(config_path(context))))
    start = [sys.executable, "-m", "adapter", "--config", path, *(["--verbose"] if state_of(context).verbose else [])]
    anywhere = settings.web.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    here = "127.0.0.1" if anywhere else settings.web.host
    # Label Studio asks our endpoints when the scheduler connects them. Labels do not wait for ever for endpoints.
    ours = Ready(f"http://{f'[{here}]' if ':' in here else here}:{settings.web.port}/health", patience_s=WEB_PATIENCE_S)
    if not settings.label_studio.embedded:
        return [Child("web", [*start, "web"]), Child("scheduler", [*start, "scheduler"], needs=ours)]
    ready = Ready(f"http://127.0.0.1:{settings.label_studio.port}/health")
    return [
        Child("label-studio", [*start, "label-studio"], log=False),  # the server writes that log itself
        Child("web", [*start, "web"], needs=ready),
        Child("scheduler", [*start, "scheduler"], needs=lambda: ready() and ours()),
    ]


class Ready:
    """Whether a server answers at an address; asks at most twice a second, and no more once it did. patience_s: seconds
    from the first question on after which it counts as ready all the same."""

    def __init__(self, url: str, *, patience_s: float = math.inf) -> None:
        self.url = url
        self._patience_s = patience_s
        self._first: float | None = None
        self._next = 0.0
        self._was = False

    def __call__(self) -> bool:
        """Ask, if it is time."""
        from adapter.findings import fetch

        if self._first is None:
            self._first = time.monotonic()
        if not self._was and time.monotonic() >= self._next:
            late = time.monotonic() - self._first > self._patience_s
            self._was = late or fetch("GET", self.url, {}, None).status == 200
            self._next = time.monotonic() + 0.5
        return self._was


def _addresses(settings: Settings) -> list[str]:
    conf, ours = settings.label_studio, settings.web
    url = f"http://127.0.0.1:{conf.port}" if conf.embedded else conf.url
    lines = [f"Label Studio: {url}", f"Our endpoints: {ours.public_url or f'http://{ours.host}:{ours.port}'}"]
    if conf.embedded:
        kept = "as set" if conf.password.get_secret_value() else f"in {settings.home / 'label-studio' / 'password'}"
        lines.append(f"Log in as {conf.user}, password {kept}")
    return [*lines, f"Logs: {settings.home / 'logs'}"]


def web(context: typer.Context) -> None:
    """Run our endpoints alone: ML backend and webhooks. `hitl up` does this for you."""
    from adapter.web.app import serve

    level = settings_of(context).log_level
    with opened(context, level=level) as app:
        serve(app)


def scheduler(context: typer.Context) -> None:
    """Run the loop alone: pull, top up, consolidate, flag, train. `hitl up` does this for you.

    Of several schedulers on one store one works; another takes over when it falls silent.
    """
    from adapter.schedule import run_scheduler

    level = settings_of(context).log_level
    with opened(context, level=level) as app:
        run_scheduler(app)


def label_studio(context: typer.Context) -> None:
    """Run the embedded Label Studio alone (needs the extra `server`). `hitl up` does this for you."""
    import signal
    import threading

    from adapter.app import embedded_password
    from adapter.cli.show import say
    from adapter.label_studio.embedded import EmbeddedServer

    settings = settings_of(context, level="info")
    conf = settings.label_studio
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server = EmbeddedServer(settings.home, conf.port, conf.user, embedded_password(settings))
    say(f"starting on {server.url}; its log is {server.log}")
    outcome: list[Exception | None] = []

    def wait() -> None:
        try:
            server.wait()
            outcome.append(None)
            say(f"Label Studio answers on {server.url}")
        except Exception as error:  # raised by the main thread
            outcome.append(error)

    server.start()
    threading.Thread(target=wait, daemon=True).start()  # so that a signal is heard while it starts
    try:
        while not ended.wait(0.2):
            if outcome and outcome[0] is not None:
                raise outcome[0]
            if outcome and server.pid is None:
                raise PlatformError("Label Studio ended by itself", where=server.url, remedy=f"See {server.log}.")
    finally:
        server.stop()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=examples("hitl up", "HITL_WEB__PORT=9191 hitl up --quiet"))(up)
    app.command(epilog=examples("hitl web", "hitl --config /etc/hitl/adapter.yaml web"))(web)
    app.command(epilog=examples("hitl scheduler", "HITL_LOG_FORMAT=json hitl scheduler"))(scheduler)
    app.command("label-studio", epilog=examples("hitl label-studio"), hidden=True)(label_studio)
