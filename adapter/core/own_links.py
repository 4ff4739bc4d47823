"""Links by which an annotator reads their own figures: signed, for one person of one project, for a limited time."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

_CONTEXT = b"hitl-own-page\0"
DAYS = 30
_LATEST = 253_402_300_799  # the last second of the year 9999


def own_link(public_url: str, key: bytes, project: str, person: str, now: datetime, *, days: int = DAYS) -> str:
    """Return the address of a person's own page, which opens it for `days`. Whoever has the address can read the page;
    a new secret (`secrets.json` in the data folder) ends all of them. Raises ValueError for fewer days than one."""
    if days < 1:
        raise ValueError("a link must last a day at least")
    until = int((now + timedelta(days=days)).timestamp())
    query = urlencode(
        {"who": person, "until": until, "sig": _sign(key, project, person, until)}, errors="surrogatepass"
    )
    return f"{public_url.rstrip('/')}/people/{quote(project, safe='')}/me?{query}"


def opens(key: bytes, project: str, person: str, until: str, sig: str, now: datetime) -> bool:
    """Whether a link is signed by us and has not run out. Takes the same time for every wrong signature."""
    if not (until.isascii() and until.isdigit() and len(until) <= 12) or int(until) > _LATEST:
        return False
    right = _sign(key, project, person, int(until)).encode()
    signed = hmac.compare_digest(right, sig.encode("utf-8", "surrogatepass"))
    return signed and now.timestamp() <= int(until)


def _sign(key: bytes, project: str, person: str, until: int) -> str:
    parts = [part.encode("utf-8", "surrogatepass") for part in (project, person, str(until))]
    message = _CONTEXT + b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hmac.new(key, message, hashlib.sha256).hexdigest()
