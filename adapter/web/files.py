"""Files of a project for browsers: an address opens one file, and only with our signature."""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import FileResponse

from adapter.errors import DataError
from adapter.web.wire import Answer, problem

if TYPE_CHECKING:
    from adapter.web.service import Service

# A page on another origin may read the file: the signature is the permission, no cookie is looked at, and Label
# Studio's page may stand under other names than the one we reach it by. A file is never run as a page of ours.
_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, max-age=3600",
}
_ACTIVE = frozenset({"text/html", "application/xhtml+xml", "text/xml", "application/xml", "text/javascript"})
_MISSING = problem(404, "there is no such file, or the address is not signed by us.")


def find_file(service: Service, project: str, path: str, request: Request) -> FileResponse | Answer:
    """Return the file at `/files/<project>/<path>?sig=`; one refusal, whichever of the three is wrong."""
    service.start()
    served = service.host.current(project)
    if served is None:
        service.host.wait_ready(2.0)
        served = service.host.current(project)
    signature = request.query_params.get("sig", "")
    if served is None or not signature or not served.project.media.verify(project, path, signature):
        return _MISSING
    try:
        file = served.project.media.path_of(path)
    except DataError:
        return _MISSING
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    if kind in _ACTIVE:
        kind = "text/plain"
    return FileResponse(file, media_type=kind, headers=_HEADERS)
