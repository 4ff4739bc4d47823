"""Who may call: Basic auth for Label Studio's ML connector, a secret header for our webhook. Constant-time checks."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from enum import Enum

Headers = Iterable[tuple[bytes, bytes]]

SECRET_HEADER = b"x-hitl-secret"
CHALLENGE = (b"www-authenticate", b'Basic realm="hitl", charset="UTF-8"')


class Caller(Enum):
    """What a request's credentials say. NOBODY: it brought none; REFUSED: it brought wrong ones."""

    TRUSTED = "trusted"
    NOBODY = "nobody"
    REFUSED = "refused"


class Guard:
    """Holds the secrets; never shows them."""

    def __init__(self, user: str, password: str, webhook_secret: str) -> None:
        # Clients encode non-ASCII credentials as UTF-8 (RFC 7617) or as Latin-1 (python-requests, so Label Studio).
        pair = f"{user}:{password}"
        self._basic = [pair.encode("utf-8", "surrogatepass"), pair.encode("latin-1", "replace")]
        self._secret = webhook_secret.encode("utf-8", "surrogatepass")

    def __repr__(self) -> str:
        return "Guard(...)"

    def backend(self, headers: Headers) -> Caller:
        """Judge a backend call by its Basic auth."""
        given = _header(headers, b"authorization")
        if given is None:
            return Caller.NOBODY
        scheme, _, code = given.partition(b" ")
        if scheme.lower() != b"basic":
            return Caller.REFUSED
        try:
            pair = base64.b64decode(code.strip(), validate=True)
        except (binascii.Error, ValueError):
            return Caller.REFUSED
        # Both are always compared: the time taken must not say which of them was near.
        right = [hmac.compare_digest(pair, known) for known in self._basic]
        return Caller.TRUSTED if any(right) else Caller.REFUSED

    def webhook(self, headers: Headers) -> Caller:
        """Judge a webhook: the secret header, or else Basic auth (Label Studio's button "Start Training")."""
        given = _header(headers, SECRET_HEADER)
        if given is None:
            return self.backend(headers)
        return Caller.TRUSTED if hmac.compare_digest(given, self._secret) else Caller.REFUSED


def _header(headers: Headers, name: bytes) -> bytes | None:
    for key, value in headers:
        if key == name:
            return value
    return None
