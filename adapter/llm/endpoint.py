"""Where a language model answers, and the key that it asks for, which is shown nowhere."""

from __future__ import annotations

import ipaddress
from typing import NoReturn
from urllib.parse import urlsplit

from adapter.llm.faults import NotConfigured

_PATH = "/chat/completions"
_HIDDEN = "***"
_SHORTEST_HIDDEN = 4
_REMEDY = "Set `llm.url` to the address up to and with /v1, such as https://api.example.com/v1."


class Endpoint:
    """An address that speaks OpenAI's protocol. `repr` hides the key, and pickling is refused.

    url: up to and with `/v1`; https where no scheme is given. key: sent as a bearer token; empty for none. Raises
    NotConfigured for an address that cannot be used, or that would carry the key over the open net in the clear.
    """

    __slots__ = ("_key", "url")

    def __init__(self, url: str, key: str = "") -> None:
        self._key = _checked_key(key)
        self.url = _checked_url(url, bool(self._key))

    @property
    def chat(self) -> str:
        """The address that chats are sent to."""
        return self.url + _PATH

    def headers(self) -> dict[str, str]:
        """Return the headers of a request. They hold the key: for the transport alone."""
        plain = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        return {**plain, "Authorization": f"Bearer {self._key}"} if self._key else plain

    def scrubbed(self, text: str) -> str:
        """Return text that came from outside without the key: servers repeat it in their errors."""
        return text.replace(self._key, _HIDDEN) if len(self._key) >= _SHORTEST_HIDDEN else text

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r}, key={_HIDDEN if self._key else ''!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an endpoint holds a secret and is not pickled")


def _checked_key(key: object) -> str:
    if not isinstance(key, str) or not key.isascii() or not (key.strip().isprintable()) or " " in key.strip():
        raise NotConfigured(
            "the key of the language model holds characters that no key has",
            where="llm.api_key",
            remedy="Copy it again, on one line; it is read from HITL_LLM__API_KEY.",
        )
    return key.strip()


def _checked_url(url: object, secret: bool) -> str:
    if not isinstance(url, str) or not url.strip():
        raise NotConfigured("there is no language model to ask", where="llm.url", remedy=_REMEDY)
    text = url.strip() if "://" in url else f"https://{url.strip()}"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise NotConfigured("this is no address of a language model", where="llm.url", remedy=_REMEDY)
    if parts.username or parts.password:
        raise NotConfigured(
            "the address holds a user or a password", where="llm.url", remedy="Take it out; use `llm.api_key`."
        )
    if secret and parts.scheme == "http" and not _near(host):
        raise NotConfigured(
            f"the key would go to {host} in the clear", where="llm.url", remedy="Write https:// in the address."
        )
    return text.rstrip("/").removesuffix(_PATH)


def _near(host: str) -> bool:
    """Whether a host is this machine or in a private network."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".local", ".internal", ".lan"))
    return address.is_loopback or address.is_private or address.is_link_local
