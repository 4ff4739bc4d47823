"""Names that stand for annotators where their own must not be read: in exports, on pages of others."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable

_CONTEXT = b"hitl-pseudonym\0"
DIGITS = 8
MORE_DIGITS = 16


def pseudonym(key: bytes, project: str, name: str, *, digits: int = DIGITS) -> str:
    """Return `annotator-` and `digits` hex digits: the same for the same key, project and name, unlike in every other
    project, and without the key neither reversible nor recomputable from a list of names (HMAC-SHA-256). Raises
    ValueError for a key under 16 bytes."""
    if len(key) < 16:
        raise ValueError("the key of pseudonyms needs 16 bytes or more")
    parts = (part.encode("utf-8", "surrogatepass") for part in (project, name))
    message = _CONTEXT + b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return f"annotator-{hmac.new(key, message, hashlib.sha256).hexdigest()[:digits]}"


def pseudonyms(key: bytes, project: str, names: Iterable[str]) -> dict[str, str]:
    """Return name to pseudonym. Two names that meet by accident (one chance in 860,000 for a hundred people) get
    MORE_DIGITS each: a pseudonym never stands for two people."""
    made = {name: pseudonym(key, project, name) for name in sorted(set(names))}
    times = Counter(made.values())
    return {
        name: short if times[short] == 1 else pseudonym(key, project, name, digits=MORE_DIGITS)
        for name, short in made.items()
    }
