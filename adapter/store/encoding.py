"""What goes into a text column: JSON that survives any payload, free text that every database accepts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from adapter.errors import StoreError

DEEPEST = 200
"""Nested levels of a JSON value."""
LONGEST_KEY = 500
"""Characters of an identifier; PostgreSQL's indexes hold no long ones."""

_decoder: Any = json.JSONDecoder()
_scan = _decoder.scan_once


def to_json(value: object) -> str:
    """Return JSON text. Not-a-number becomes null; tuples become lists; lone surrogates and huge integers survive.

    Raises StoreError for what JSON cannot hold.
    """
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    except TypeError:
        pass  # a lone surrogate, an integer beyond 64 bits or a key that is no string: the standard library knows them
    try:
        return json.dumps(_finite(value, DEEPEST), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(
            f"a value cannot be written as JSON ({error})",
            where="the store",
            remedy="Give plain values: text, numbers, true, false, null, lists and mappings with text keys.",
        ) from None


def from_json(text: str) -> Any:
    """Return what `to_json` wrote."""
    try:
        value, end = _scan(text, 0)  # past the wrapping of `json.loads`, which takes longer than a short text itself
    except StopIteration:
        return json.loads(text)  # white space in front, or nothing at all
    return value if end == len(text) else json.loads(text)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"a {type(value).__name__}")


def _finite(value: object, depth: int) -> object:
    """Return a value that the standard library writes as orjson would have."""
    if depth < 0:
        raise ValueError(f"nested deeper than {DEEPEST}")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item, depth - 1) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    return json.loads(orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY))


def storable(text: str) -> bool:
    """Whether both databases can hold this text as it is: no NUL (PostgreSQL) and no lone surrogate (both)."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def cleaned(text: str) -> str:
    """Return the text with what no database holds (NUL, lone surrogates) replaced by U+FFFD. Not for ids."""
    if storable(text):
        return text
    return "".join("\ufffd" if char == "\x00" or "\ud800" <= char <= "\udfff" else char for char in text)


def require_key(text: str, what: str) -> str:
    """Return `text` if it may serve as an identifier; raises StoreError otherwise. what: the noun for the message."""
    if not text or len(text) > LONGEST_KEY or not storable(text):
        raise StoreError(
            f"{what} {text[:80]!r} is empty, over {LONGEST_KEY} characters, or holds a character that databases lack",
            remedy="Use short, readable identifiers: no NUL and no broken Unicode.",
        )
    return text
