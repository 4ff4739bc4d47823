"""Our endpoints as one ASGI application, and the server that runs it.

`/predict`, `/health` and `/webhook` are answered below the framework (`adapter.web.fast`); FastAPI serves the rest.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from adapter.errors import HitlError
from adapter.web.fast import FastPath
from adapter.web.host import Load, load_bundle
from adapter.web.routes import register
from adapter.web.service import Service
from adapter.web.wire import Receive, Scope, Send

if TYPE_CHECKING:
    from adapter.app import App

KEEP_ALIVE_S = 75
"""Seconds for which an idle connection stays: longer than Label Studio's pauses, so it seldom meets one just closed."""
GRACE_S = 10

log = structlog.get_logger("web")


def create_web(app: App, *, load: Load = load_bundle, poll_s: float = 1.0) -> FastAPI:
    """Return the application for one App. Opens the store; raises StoreError if that fails.

    load: how a model version is loaded. poll_s: seconds between two looks for a new current model. `web.state.service`
    is what works behind it; its threads start with the server, or with the first request.
    """
    service = Service(app, load=load, poll_s=poll_s)

    @asynccontextmanager
    async def lifespan(web: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            await run_in_threadpool(service.stop)

    # No pages of interactive documentation: they load scripts from the net.
    web = _Web(title="hitl", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    web.front = FastPath(web.framework, service)
    web.state.service = service
    register(web, service)
    return web


class _Web(FastAPI):
    """FastAPI behind the fast path: its own way to a handler costs a tenth of a prediction."""

    front: FastPath

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        await self.front(scope, receive, send)

    async def framework(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve what the fast path leaves."""
        await super().__call__(scope, receive, send)


def serve(app: App, host: str = "", port: int = 0) -> None:
    """Serve until SIGTERM or SIGINT, then answer what was asked, store what waits, and return.

    host, port: those of the settings when empty. Logs go where `adapter.logs` sends them. Raises HitlError when the
    address cannot be had.
    """
    import uvicorn

    place = app.settings.web
    host, port = host or place.host, port or place.port
    with _listening(host, port) as socket_, _signals() as asked:
        config = uvicorn.Config(
            create_web(app),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        if not asked.is_set():
            log.info("endpoints", address=f"http://{host}:{port}")
            uvicorn.Server(config).run(sockets=[socket_])
    log.info("the endpoints have ended")


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise HitlError(
                f"the address cannot be had ({error.strerror or error})",
                where=f"http://{host}:{port}",
                remedy="End the process that has it, or set `web.port` to another one.",
            ) from error
        yield listener


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Notice a signal that comes before the server listens to signals itself; and let one end the server, not the
    process: uvicorn raises it again when it is done, for whoever was there before; the caller has a store to close."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, lambda *_: asked.set()) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
