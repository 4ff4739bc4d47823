"""The text of an example, for backends that read text."""

from __future__ import annotations

import json
from collections.abc import Sequence

from adapter.vocabulary import JsonObject

MAX_CHARS = 20_000
"""Characters read of one example: a hostile one cannot keep a request busy, and no model here gains from more."""


def text_of(example: JsonObject, fields: Sequence[str], max_chars: int = MAX_CHARS) -> str | None:
    """Return the example's fields joined by newlines; None if none of them is there. Numbers, lists and objects count
    as their JSON. Lone surrogates, which no file can hold, become question marks."""
    parts: list[str] = []
    for field in fields:
        value = example.get(field)
        if value is None:
            continue
        parts.append(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    if not parts:
        return None
    text = parts[0] if len(parts) == 1 else "\n".join(parts)
    text = text[:max_chars]
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode()
    return text
