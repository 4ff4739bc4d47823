"""The calls that must be fast, below the framework: `/health`, `/predict`, `/webhook`. All others go on to the routes.

A webhook with the secret header, or with Basic auth, is trusted. Label Studio adds one of its own to `<url>/webhook`
when a backend is connected, without any credentials; and strangers may call. Such a call is a hint only: it may wake a
pull, at most once a second for each project and a few times a second in all; nothing of its body is kept or believed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog

from adapter.errors import DataError, HitlError
from adapter.label_studio.payloads import START_TRAINING, PredictRequest, WebhookCall, parse_predict, parse_webhook
from adapter.vocabulary import Fault
from adapter.web.auth import CHALLENGE, Caller
from adapter.web.host import NO_MODEL, Served
from adapter.web.jobs import request_training
from adapter.web.predictor import Result, empty
from adapter.web.recorder import Hint
from adapter.web.wire import (
    Answer,
    Application,
    BodyRefused,
    Message,
    Receive,
    Scope,
    Send,
    answer,
    problem,
    read_body,
    send_answer,
)

if TYPE_CHECKING:
    from adapter.web.service import Service

_Handler = Callable[[Scope, Receive], Awaitable[Answer]]

PREDICT_S = 95.0
"""Seconds after which a request gets empty results: Label Studio waits for 100."""
READY_S = 5.0
"""Seconds that the first requests wait for the models to be found."""
HINTS_PER_S = 5.0
MOST_HINTS_AT_ONCE = 20.0
LARGEST_HINT = 256 * 1024
"""Bytes of a webhook without credentials that are looked at; a larger one wakes a pull of every project."""
ENDPOINTS = frozenset(
    {"/setup", "/versions", "/validate", "/train", "/job_status", "/delete", "/duplicate_model", "/metrics"}
)
"""Names that requests are counted under, beside the fast ones: a path as it was sent is not to be trusted."""

_HEALTHY = answer(200, {"status": "UP"})
_RECEIVED = answer(200, {"status": "recorded"})
_HINTED = answer(200, {"status": "ok"})
_UNAUTHORIZED = problem(401, "Basic auth is needed: user and password of the ML backend, see `hitl doctor`.", CHALLENGE)
_REFUSED = problem(401, "the secret of this webhook is wrong. Run `hitl push` or `hitl doctor` to renew it.")
_BROKEN = problem(500, "the adapter failed on this request; its log says why.")

log = structlog.get_logger("web")


class FastPath:
    """ASGI middleware that answers the fast calls and measures all of them."""

    def __init__(self, rest: Application, service: Service) -> None:
        self._rest = rest
        self._service = service
        self._allowance = Allowance(HINTS_PER_S, MOST_HINTS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        started = time.perf_counter()
        path = scope["path"]
        if path == "/predict":
            reply = await self._guarded(self._predict, scope, receive)
        elif path in ("/health", "/"):
            reply = _HEALTHY if scope["method"] in ("GET", "HEAD") else _not_allowed("GET, HEAD")
        elif path == "/webhook":
            reply = await self._guarded(self._webhook, scope, receive)
        else:
            await self._slow(scope, receive, send, path, started)
            return
        try:
            await send_answer(send, reply)
        finally:
            self._service.metrics.request(path, reply.status, time.perf_counter() - started)

    async def _slow(self, scope: Scope, receive: Receive, send: Send, path: str, started: float) -> None:
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._rest(scope, receive, watched)
        finally:
            name = path if path in ENDPOINTS else "/files" if path.startswith("/files/") else "other"
            self._service.metrics.request(name, status, time.perf_counter() - started)

    async def _guarded(self, handler: _Handler, scope: Scope, receive: Receive) -> Answer:
        """Run a handler; whatever happens in it, the caller gets one sentence and the log the rest."""
        if scope["method"] != "POST":
            return _not_allowed("POST")
        self._service.start()
        try:
            return await handler(scope, receive)
        except BodyRefused as refused:
            return refused.answer
        except DataError as error:
            return problem(400, str(error))
        except HitlError as error:
            log.error(str(error), endpoint=scope["path"])
            return problem(503, str(error))
        except Exception as error:
            log.error("a request failed", endpoint=scope["path"], exc_info=error)
            return _BROKEN

    async def _predict(self, scope: Scope, receive: Receive) -> Answer:
        service = self._service
        if service.guard.backend(scope["headers"]) is not Caller.TRUSTED:
            return _UNAUTHORIZED
        request = parse_predict(await read_body(scope, receive, service.max_body))
        served = service.host.find(request.project) or await self._wait_for(request)
        if served is None:
            return _none(request, NO_MODEL)
        loop = asyncio.get_running_loop()
        results = service.predictor(served.name).submit(request, loop)
        if results is None:
            self._fault(served, "too many tasks wait; this request got empty results")
            return _none(request, served.version)
        alarm = loop.call_later(PREDICT_S, _expire, results)  # cheaper than a time-out around the wait
        try:
            done = await results
        except TimeoutError:
            self._fault(served, f"no answer within {PREDICT_S:.0f} s; this request got empty results")
            return _none(request, served.version)
        finally:
            alarm.cancel()
        filled = sum(bool(result["result"]) for result in done)
        service.metrics.predicted(served.name, filled, len(done) - filled)
        return answer(200, {"results": done})

    async def _wait_for(self, request: PredictRequest) -> Served | None:
        """Find a project that is not known yet: just bound, or asked for while the process still starts."""
        host = self._service.host
        loop = asyncio.get_running_loop()
        if not host.ready:
            await loop.run_in_executor(None, host.wait_ready, READY_S)
        served = await loop.run_in_executor(None, host.find_anew, request.project)
        if served is None:
            log.warning("predictions asked for an unknown project", platform_id=request.project.id)
            projects = list(host.directory.by_name.values())
            message = f"asked for Label Studio project {request.project.id}, which is none of ours"
            unknown = Fault("model", NO_MODEL, "predict", None, message)
            if len(projects) == 1:
                self._service.fault(projects[0].name, unknown)
            else:
                self._service.metrics.fault("", unknown)
        return served

    def _fault(self, served: Served, message: str) -> None:
        self._service.fault(served.name, Fault("model", served.version, "predict", None, message))

    async def _webhook(self, scope: Scope, receive: Receive) -> Answer:
        service = self._service
        caller = service.guard.webhook(scope["headers"])
        if caller is Caller.REFUSED:
            service.metrics.webhook("unread", "refused")
            return _REFUSED
        body = await read_body(scope, receive, service.max_body)
        if caller is Caller.NOBODY:
            return self._hint(body)
        try:
            call = parse_webhook(body)
        except DataError:
            service.metrics.webhook("unread", "broken")
            raise
        if call.action == START_TRAINING:
            return await self._train(call)
        taken = service.recorder.hint(Hint(call.project.id, call.action, _digest(call), call.summary()))
        service.metrics.webhook(call.action, "recorded" if taken else "dropped")
        return _RECEIVED

    def _hint(self, body: bytes) -> Answer:
        """A webhook without credentials: look which project it means, remember no more than that."""
        service = self._service
        if not self._allowance.take():
            service.metrics.webhook("unread", "dropped")
            return _HINTED
        platform_id = None
        if len(body) <= LARGEST_HINT:
            try:
                call = parse_webhook(body)
            except DataError:
                service.metrics.webhook("unread", "broken")
                raise
            if call.action == START_TRAINING:
                service.metrics.webhook(START_TRAINING, "refused")
                return _UNAUTHORIZED
            if call.project.named:
                platform_id = call.project.id
                if platform_id not in service.host.directory.by_platform:
                    service.metrics.webhook("unread", "dropped")
                    return _HINTED
        taken = service.recorder.hint(Hint(platform_id, "HINT", f"hint:{platform_id}:{int(time.time())}", {}))
        service.metrics.webhook("unread", "hint" if taken else "dropped")
        return _HINTED

    async def _train(self, call: WebhookCall) -> Answer:
        """The button "Start Training": nobody polls for it, so it is in the store before we answer."""
        service = self._service
        loop = asyncio.get_running_loop()
        service.metrics.webhook(call.action, "recorded")
        served = await loop.run_in_executor(None, service.host.find_anew, call.project)
        if served is None:
            return problem(404, "this Label Studio project is none of ours. Run `hitl attach` for it first.")
        job = await loop.run_in_executor(None, request_training, served.project)
        service.recorder.hint(Hint(served.platform_id, call.action, f"{call.action}:{job}", {"job": job}))
        log.info("a training was asked for", project=served.name)
        return answer(200, {"status": "queued", "job": job})


class Allowance:
    """So many per second, and so many at once at most (a token bucket)."""

    def __init__(self, per_s: float, most: float) -> None:
        self._per_s = per_s
        self._most = most
        self._left = most
        self._at = time.monotonic()

    def take(self) -> bool:
        """Take one if any is left."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


def _digest(call: WebhookCall) -> str:
    """What makes two calls the same. With the payload off all look alike: then only those of one moment are."""
    return f"{call.digest}@{time.time():.1f}" if call.bare else call.digest


def _expire(results: asyncio.Future[list[Result]]) -> None:
    if not results.done():
        results.set_exception(TimeoutError())


def _none(request: PredictRequest, version: str) -> Answer:
    return answer(200, {"results": [empty(version) for _ in request.tasks]})


def _not_allowed(allowed: str) -> Answer:
    return problem(405, f"this address takes {allowed} only.", (b"allow", allowed.encode()))
