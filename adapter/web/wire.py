"""Requests and responses below the framework: bodies with a limit, JSON answers, for the calls that must be fast."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

import orjson

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

BODY_S = 60.0
"""Seconds within which a request's body must have come."""

_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")


class Answer(NamedTuple):
    """A whole response."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()


class BodyRefused(Exception):
    """The body is too large (413), too slow (408), or its sender is gone (499, never seen by anybody)."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def answer(status: int, content: object, *headers: Header) -> Answer:
    """Return a JSON answer. Keys that are no text and floats that JSON lacks do not fail."""
    return Answer(status, orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS), headers)


def problem(status: int, sentence: str, *headers: Header) -> Answer:
    """Return an error as one sentence. `error` is what Label Studio shows; `detail` is what API clients look for."""
    return answer(status, {"error": sentence, "detail": sentence}, *headers)


async def send_answer(send: Send, reply: Answer) -> None:
    """Send a whole response."""
    headers = [_JSON, (b"content-length", b"%d" % len(reply.body)), *reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Return the body of at most `limit` bytes; raises BodyRefused. The announced length is refused before reading."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > limit:
            raise _too_large(limit)
    try:
        async with asyncio.timeout(BODY_S):
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                body: bytes = message.get("body", b"")
                if len(body) > limit:
                    raise _too_large(limit)
                return body
            return await _rest(message, receive, limit)
    except TimeoutError:
        raise BodyRefused(problem(408, f"the body did not come within {BODY_S:.0f} s.", _CLOSE)) from None


async def _rest(message: Message, receive: Receive, limit: int) -> bytes:
    parts = bytearray()
    while True:
        if message["type"] != "http.request":
            raise BodyRefused(problem(499, "the sender is gone."))
        parts += message.get("body", b"")
        if len(parts) > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return bytes(parts)
        message = await receive()


def _too_large(limit: int) -> BodyRefused:
    sentence = f"the body is larger than {limit:,} bytes. Send less at once, or raise `web.max_body_mb`."
    return BodyRefused(problem(413, sentence, _CLOSE))
