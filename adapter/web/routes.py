"""The other calls of Label Studio's ML connector, the figures, and the files. Thin: each parses, asks, and answers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from adapter.errors import DataError, HitlError
from adapter.label_studio.payloads import ProjectRef, project_ref, read_object
from adapter.web.auth import CHALLENGE, Caller
from adapter.web.files import find_file
from adapter.web.host import NO_MODEL, Served
from adapter.web.jobs import job_parts, job_status, request_training
from adapter.web.people import PeoplePages
from adapter.web.wire import Answer, BodyRefused, answer, problem, read_body

if TYPE_CHECKING:
    from adapter.web.service import Service

Payload = dict[str, Any]
Work = Callable[["Service", Payload], Answer]

_UNAUTHORIZED = problem(401, "Basic auth is needed: user and password of the ML backend, see `hitl doctor`.", CHALLENGE)
_UNKNOWN = problem(404, "this Label Studio project is none of ours. Run `hitl attach` for it first.")

log = structlog.get_logger("web")


def setup(service: Service, payload: Payload) -> Answer:
    """Label Studio connects, or is about to ask for predictions. It skips tasks that have a stored prediction of the
    version told here, so this is exactly the version of our predictions. It sends a token, which we do not want."""
    served = _find(service, payload)
    return answer(200, {"model_version": served.version if served else NO_MODEL})


def versions(service: Service, payload: Payload) -> Answer:
    """Label Studio names no project here (it drops the body of a GET): then the versions of all are listed."""
    ref = project_ref(payload.get("project"))
    directory = service.host.directory
    served = [_find(service, payload)] if ref.named else list(directory.by_name.values())
    names: list[str] = []
    for item in served:
        if item is not None:
            known = [model.version for model in service.app.store.models.all(item.name)]
            names += [item.version, *(version for version in reversed(known) if version != item.version)]
    return answer(200, {"versions": list(dict.fromkeys(names)) or [NO_MODEL]})


def validate(service: Service, payload: Payload) -> Answer:
    """Whether we can serve a label config."""
    from adapter.label_studio.label_config import parse_label_config, require_served

    config = next((payload[key] for key in ("config", "label_config", "schema") if payload.get(key)), None)
    if not isinstance(config, str):
        return problem(400, "no label config is there to look at. Send it as `config`.")
    try:
        space = parse_label_config(config)
        require_served(space)
    except HitlError as error:
        return answer(400, {"valid": False, "error": str(error), "detail": str(error)})
    controls = {control.name: list(control.labels) for control in space.controls}
    return answer(200, {"valid": True, "controls": controls})


def train(service: Service, payload: Payload) -> Answer:
    """Ask for a training; the scheduler does it."""
    served = _find(service, payload)
    if served is None:
        return _UNKNOWN
    job = request_training(served.project)
    log.info("a training was asked for", project=served.name)
    return answer(200, {"status": "queued", "job": job})


def status(service: Service, payload: Payload) -> Answer:
    """Where a training stands. Label Studio reads `job_status`: `queued` and `started` mean that it goes on; code 410
    that nobody knows it any more. Without a job: the last one that is known to be asked for or running, else none."""
    parts = job_parts(payload.get("job"))
    served = service.host.current(parts[0]) if parts else None
    if parts is None or served is None:
        return problem(410, "no such training is known here.")
    try:
        found = job_status(served.project, str(payload["job"]), parts[1])
    except HitlError as error:
        return problem(410, str(error))
    return answer(200, {"job_id": found.job, "job": found.job, "job_status": found.state, **found.detail})


def delete(service: Service, payload: Payload) -> Answer:
    """The backend was disconnected. Model versions are immutable and stay."""
    return answer(200, {"status": "ok", "deleted": 0})


def duplicate(service: Service, payload: Payload) -> Answer:
    """A project was copied. A copy is a project of its own, with settings of its own: there is nothing to copy here."""
    return answer(200, {"status": "ok", "duplicated": 0})


def _find(service: Service, payload: Payload) -> Served | None:
    ref: ProjectRef = project_ref(payload.get("project"))
    if not service.host.ready:
        service.host.wait_ready(2.0)
    return service.host.find_anew(ref)


_CALLS: tuple[tuple[str, str, Work], ...] = (
    ("POST", "/setup", setup),
    ("GET", "/versions", versions),
    ("POST", "/versions", versions),
    ("POST", "/validate", validate),
    ("POST", "/train", train),
    ("GET", "/job_status", status),
    ("POST", "/job_status", status),
    ("POST", "/delete", delete),
    ("POST", "/duplicate_model", duplicate),
)


async def _backend_call(service: Service, work: Work, request: Request) -> Response:
    """Judge, read, work in a thread, answer. No error leaves as more than a sentence."""
    if service.guard.backend(request.scope["headers"]) is not Caller.TRUSTED:
        return _response(_UNAUTHORIZED)
    service.start()
    try:
        payload: Payload = dict(request.query_params)
        payload.update(read_object(await read_body(request.scope, request.receive, service.max_body)))
        return _response(await run_in_threadpool(work, service, payload))
    except BodyRefused as refused:
        return _response(refused.answer)
    except DataError as error:
        return _response(problem(400, str(error)))
    except HitlError as error:
        log.error(str(error), endpoint=request.url.path)
        return _response(problem(503, str(error)))


def _response(reply: Answer) -> Response:
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, headers, media_type="application/json")


async def _failed(request: Request, error: Exception) -> Response:
    log.error("a request failed", endpoint=request.url.path, exc_info=error)
    return _response(problem(500, "the adapter failed on this request; its log says why."))


def register(web: FastAPI, service: Service) -> None:
    """Add the routes."""
    router = APIRouter()
    for method, path, work in _CALLS:
        handler = functools.partial(_backend_call, service, work)
        router.add_route(path, _named(handler, work.__name__), methods=[method])

    def metrics(request: Request) -> Response:
        # Open, as scrapers expect: counts and versions by project name, never a label, a task or a person.
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def files(request: Request) -> Response:
        found = find_file(service, request.path_params["project"], request.path_params["path"], request)
        return found if isinstance(found, FileResponse) else _response(found)

    router.add_route("/metrics", metrics, methods=["GET"])
    router.add_route("/files/{project}/{path:path}", files, methods=["GET", "HEAD"])
    pages = PeoplePages(service)
    router.add_route("/people/{project}", pages.lead, methods=["GET"])
    router.add_route("/people/{project}/me", pages.own, methods=["GET"])
    web.include_router(router)
    web.add_exception_handler(404, _no_such)
    web.add_exception_handler(405, _wrong_method)
    web.add_exception_handler(Exception, _failed)


def _named(handler: Callable[[Request], Any], name: str) -> Callable[[Request], Any]:
    async def call(request: Request) -> Response:
        response: Response = await handler(request)
        return response

    call.__name__ = name
    return call


async def _no_such(request: Request, error: Exception) -> Response:
    return _response(problem(404, "there is no such address here. The ML backend's address ends before `/predict`."))


async def _wrong_method(request: Request, error: Exception) -> Response:
    return _response(problem(405, "this address does not take that method."))
