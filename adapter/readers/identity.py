"""What a task is, apart from its place: a digest of its data."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Collection

from adapter.vocabulary import JsonObject


def canonical(data: JsonObject, ignore: Collection[str] = ()) -> str:
    """Return the data as canonical JSON: sorted keys, no white space, Unicode in NFC, without the fields in `ignore`.

    Raises ValueError (TypeError, RecursionError) for what JSON cannot hold.
    """
    kept = {key: value for key, value in data.items() if key not in ignore} if ignore else dict(data)
    text = json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def content_digest(data: JsonObject, ignore: Collection[str] = ()) -> str:
    """Return the hex sha256 of the canonical data; equal for exact duplicates. Raises ValueError as `canonical`."""
    return hashlib.sha256(canonical(data, ignore).encode("utf-8")).hexdigest()
