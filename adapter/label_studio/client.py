"""Transport to Label Studio: tokens of both kinds, careful retries, one place that turns failures into PlatformErrors.

Only the configured address is ever asked; redirects are not followed, so the token goes nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from adapter.errors import PlatformError, PlatformNotFound, PlatformRefused, PlatformRejected, PlatformUnreachable

PAUSES_S = (0.2, 0.6, 1.5)
"""Pauses before the second, third and fourth attempt of a request that may be repeated."""
PASSING = frozenset({429, 502, 503, 504})
"""Status codes that pass by themselves."""
LIFETIME_S = 300.0
"""Life of an access token that does not tell its own."""
LONGEST_DETAIL = 500


class Client:
    """One Label Studio, asked with one token. Thread-safe; the connection is made at first use.

    token: a legacy token, or a personal access token (a refresh JWT, exchanged for access tokens that live minutes).
    transport, sleep and clock are for tests. Raises PlatformError's children only, never a transport error.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PlatformUnreachable("this is no http address", where=self.url, remedy="Mend `label_studio.url`.")
        self._tokens = _Tokens(token.strip(), clock)
        self._sleep = sleep
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, 10.0)),
            transport=transport,
            follow_redirects=False,
            trust_env=not local,  # a proxy is for the net, not for this machine
        )
        self._close = weakref.finalize(self, self._http.close)  # nobody need remember to close

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON answer; repeated when the connection breaks."""
        return self.json(self.request("GET", path, params=params))

    def post(self, path: str, body: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON answer. Sent once: repeated only if it surely did not arrive."""
        return self.json(self.request("POST", path, params=params, body=body))

    def patch(self, path: str, body: Any) -> Any:
        """Return the JSON answer; repeated when the connection breaks, since setting twice is setting once."""
        return self.json(self.request("PATCH", path, body=body))

    def delete(self, path: str) -> bool:
        """Delete; return False if it was gone already."""
        try:
            self.request("DELETE", path)
        except PlatformNotFound:
            return False
        return True

    def request(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: Any = None
    ) -> httpx.Response:
        """Send one request, with retries and a fresh token where needed; return a successful response."""
        repeatable = method != "POST"
        pauses = iter(PAUSES_S)
        renewed = False
        while True:
            kind, secret = self._tokens.header(self._refresh)
            try:
                answer = self._http.request(
                    method, path, params=params, json=body, headers={"Authorization": f"{kind} {secret}"}
                )
            except httpx.TransportError as error:
                never_sent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                pause = next(pauses, None) if repeatable or never_sent else None
                if pause is None:
                    raise self._broken(method, path, error) from error
                self._sleep(pause)
                continue
            except (httpx.InvalidURL, httpx.DecodingError) as error:
                raise self._broken(method, path, error) from error
            if answer.status_code == 401 and kind == "Bearer" and not renewed:
                renewed = True
                self._tokens.drop(secret)
                continue
            if answer.status_code in PASSING and (repeatable or answer.status_code == 429):
                pause = next(pauses, None)
                if pause is not None:
                    self._sleep(max(pause, _retry_after(answer)))
                    continue
            if answer.is_success:
                return answer
            raise self._refused(method, path, answer)

    def json(self, answer: httpx.Response) -> Any:
        """Return a response's JSON; None when it is empty. Raises PlatformUnreachable when it is something else."""
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise PlatformUnreachable(
                "the answer is not JSON",
                where=self._where(answer.request.method, answer.request.url.path),
                remedy="Another program may answer at this address; check `label_studio.url`.",
            ) from error

    def _refresh(self, refresh_token: str) -> str:
        """Exchange a personal access token for an access token."""
        path = "/api/token/refresh/"
        pauses = iter(PAUSES_S)
        while True:
            try:
                answer = self._http.post(path, json={"refresh": refresh_token})
            except httpx.TransportError as error:
                pause = next(pauses, None)
                if pause is None:
                    raise self._broken("POST", path, error) from error
                self._sleep(pause)
                continue
            if answer.status_code in PASSING and (pause := next(pauses, None)) is not None:
                self._sleep(pause)
                continue
            break
        if answer.status_code in (400, 401, 403):
            raise PlatformRefused(
                "the personal access token is not valid any more",
                where=self.url,
                remedy="Make a new one on Label Studio's page 'Account & Settings' and set HITL_LABEL_STUDIO_TOKEN.",
            )
        if not answer.is_success:
            raise self._refused("POST", path, answer)
        body = self.json(answer)
        access = body.get("access") if isinstance(body, dict) else None
        if not isinstance(access, str) or not access:
            raise PlatformUnreachable("the token exchange gave no access token", where=self._where("POST", path))
        return access

    def _where(self, method: str, path: str) -> str:
        return f"{method} {self.url}{path if path.startswith('/') else '/' + path}"

    def _broken(self, method: str, path: str, error: Exception) -> PlatformError:
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            what, remedy = (
                "Label Studio did not answer in time",
                "It may be overloaded; raise `label_studio.timeout_s`.",
            )
        elif isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            what, remedy = "Label Studio cannot be reached", "Start it, or mend `label_studio.url`."
        else:
            what, remedy = f"the connection broke ({type(error).__name__})", "Start Label Studio again if it is down."
        return PlatformUnreachable(what, where=self._where(method, path), remedy=remedy)

    def _refused(self, method: str, path: str, answer: httpx.Response) -> PlatformError:
        """Turn an unsuccessful response into the error that says what to do."""
        where = self._where(method, path)
        status = answer.status_code
        if answer.is_redirect:
            target = urlsplit(answer.headers.get("location", ""))
            return PlatformUnreachable(
                f"it redirects to {target.scheme or 'another path'}://{target.hostname or ''}, which is not followed",
                where=where,
                remedy="Set `label_studio.url` to the final address.",
            )
        detail = self._tokens.hide(_detail(answer))
        if status == 401:
            return PlatformRefused(
                f"the token is refused: {detail}",
                where=where,
                remedy="Set HITL_LABEL_STUDIO_TOKEN to a valid token; legacy tokens must be switched on there.",
            )
        if status == 403:
            return PlatformRefused(
                f"the token's user may not do this: {detail}",
                where=where,
                remedy="Give that user the right, or use an administrator's token.",
            )
        if status == 404:
            return PlatformNotFound(f"not found: {detail}", where=where)
        if status >= 500 or status == 429:
            return PlatformUnreachable(
                f"it answers {status}: {detail}", where=where, remedy="Look into Label Studio's own log."
            )
        return PlatformRejected(f"rejected with {status}: {detail}", where=where)


class _Tokens:
    """The token to send now. Guards the exchange of a personal access token, so threads that meet share one."""

    def __init__(self, token: str, clock: Callable[[], float]) -> None:
        self._token = token
        self._clock = clock
        self._lock = threading.Lock()
        self._access = ""
        self._until = 0.0
        self._personal = _claims(token).get("token_type") == "refresh"
        self._jwt = bool(_claims(token))

    def __repr__(self) -> str:
        return "_Tokens(***)"

    def header(self, refresh: Callable[[str], str]) -> tuple[str, str]:
        """Return scheme and secret, renewed ahead of expiry."""
        if not self._personal:
            return ("Bearer" if self._jwt else "Token"), self._token
        with self._lock:
            if not self._access or self._clock() >= self._until:
                asked = self._clock()
                self._access = refresh(self._token)
                self._until = asked + 0.8 * _lifetime(self._access)
            return "Bearer", self._access

    def drop(self, access: str) -> None:
        """Forget an access token that was refused, unless another thread has replaced it already."""
        with self._lock:
            if self._access == access:
                self._access = ""

    def hide(self, text: str) -> str:
        """Return `text` without the secrets."""
        for secret in (self._token, self._access):
            if len(secret) >= 6:
                text = text.replace(secret, "***")
        return text


def server_time(answer: httpx.Response) -> float | None:
    """Return the server's clock (seconds since 1970) from its Date header; whole seconds, None if it sends none."""
    try:
        return parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None


def _claims(token: str) -> dict[str, Any]:
    """Return a JWT's claims, unverified (the server verifies); empty for anything else."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _lifetime(access: str) -> float:
    """Return how long an access token lives, from its own claims; both are the server's clock, so skew cancels."""
    claims = _claims(access)
    begin, end = claims.get("iat"), claims.get("exp")
    if isinstance(begin, int | float) and isinstance(end, int | float) and end > begin:
        return float(end - begin)
    return LIFETIME_S


def _retry_after(answer: httpx.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), 10.0) if text.isdigit() else 0.0


def _detail(answer: httpx.Response) -> str:
    """Return what the server says about a failure, short."""
    try:
        body = answer.json()
    except ValueError:
        return f"{answer.reason_phrase or 'no reason'} (not JSON)"
    if isinstance(body, dict):
        said = [str(body[key]) for key in ("detail", "validation_errors", "error") if body.get(key)]
        text = "; ".join(said) or json.dumps(body)
    else:
        text = json.dumps(body)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_DETAIL else text[:LONGEST_DETAIL] + " ..."
