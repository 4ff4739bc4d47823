"""Users of a Label Studio that we started: annotators with tokens of their own, made as its sign-up page makes them."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
import time
from typing import TYPE_CHECKING

import httpx

from adapter.errors import PlatformError, PlatformRefused, PlatformRejected, PlatformUnreachable

if TYPE_CHECKING:
    from adapter.label_studio.embedded import EmbeddedServer

TIMEOUT_S = 30.0
TRIES = 5
PAUSE_S = 1.0
_one_at_a_time = threading.Lock()
_CSRF_FIELD = re.compile(r'name="csrfmiddlewaretoken"\s+value="([^"]+)"')


def make_annotator(server: EmbeddedServer, name: str) -> str:
    """Make an annotator on our server, or find the one made before, and return that user's token (a secret).

    name: an e-mail address, or a word that becomes one (`annotator_email`). The password follows from the server's own
    (`annotator_password`), so nothing is kept. One user is made at a time, and a server that stumbles is asked again:
    on SQLite several sign-ups at once can end in its error page. Raises the last error when TRIES were in vain.
    """
    email = annotator_email(name)
    password = annotator_password(server, name)
    with _one_at_a_time:
        for left in range(TRIES - 1, -1, -1):
            try:
                return _made_or_found(server, email, password)
            except (PlatformUnreachable, PlatformRejected):
                if not left:
                    raise
                time.sleep(PAUSE_S)
    raise AssertionError("the last try returns or raises")


def _made_or_found(server: EmbeddedServer, email: str, password: str) -> str:
    try:
        return token_by_password(server.url, email, password)
    except PlatformRefused:
        _sign_up(server, email, password)
        return token_by_password(server.url, email, password)


def annotator_email(name: str) -> str:
    """Return the address under which Label Studio knows the annotator `name`; also the annotator's stable string."""
    if "@" in name:
        return name.lower()
    word = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.") or "annotator"
    return f"{word}@annotators.local"


def annotator_password(server: EmbeddedServer, name: str) -> str:
    """Return the password with which the annotator `name` logs in to our server's labeling page (a secret)."""
    return hmac.new(server.password.encode(), annotator_email(name).encode(), hashlib.sha256).hexdigest()[:32]


def token_by_password(url: str, email: str, password: str) -> str:
    """Log in as a person would; return the user's legacy token. Raises PlatformRefused for a wrong password."""
    with _browser(url) as http:
        answer = _post_form(http, "/user/login/", {"email": email, "password": password, "persist_session": "on"})
        if answer.status_code != 302:
            raise PlatformRefused(f"'{email}' cannot log in with this password", where=url)
        try:
            token = http.get("/api/current-user/token").json().get("token")
        except (httpx.TransportError, ValueError) as error:
            raise _unreachable(url, error) from error
    if not isinstance(token, str) or not token:
        raise PlatformRefused(
            "legacy tokens are switched off there",
            where=url,
            remedy="Switch them on under Organization > Access Token Settings, or use a personal access token.",
        )
    return token


def _sign_up(server: EmbeddedServer, email: str, password: str) -> None:
    with _browser(server.url) as http:
        try:
            invite = http.get("/api/invite", headers={"Authorization": f"Token {server.token}"}).json().get("token", "")
        except (httpx.TransportError, ValueError) as error:
            raise _unreachable(server.url, error) from error
        answer = _post_form(
            http, f"/user/signup/?token={invite}", {"email": email, "password": password, "allow_newsletters": "false"}
        )
        if answer.status_code != 302:
            raise PlatformRejected(
                f"the user '{email}' cannot be made (status {answer.status_code})",
                where=server.url,
                remedy="If that user exists with another password, choose another name.",
            )


def _browser(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)


def _post_form(http: httpx.Client, path: str, fields: dict[str, str]) -> httpx.Response:
    """Fetch the form for its CSRF token, then send it."""
    try:
        found = _CSRF_FIELD.search(http.get(path).text)
        if found is None:
            raise PlatformRejected("the page has no form that we know", where=f"{http.base_url}{path.split('?')[0]}")
        referer = {"Referer": str(http.base_url)}
        return http.post(path, data=fields | {"csrfmiddlewaretoken": found.group(1)}, headers=referer)
    except httpx.TransportError as error:
        raise _unreachable(str(http.base_url), error) from error


def _unreachable(url: str, error: Exception) -> PlatformError:
    return PlatformUnreachable(f"Label Studio does not answer as expected ({type(error).__name__})", where=url)
