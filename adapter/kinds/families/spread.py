"""A marked span, spread to the same words elsewhere in the document, which a person would else mark again by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from adapter.vocabulary import JsonObject

MOST = 200
"""Suggestions for one span: a single letter occurs thousands of times, and a page full of them helps nobody."""
LONGEST_TEXT = 1_000_000


def spread(text: str, drawn: Sequence[JsonObject]) -> list[JsonObject]:
    """Return spans for the other places of the newest drawn span's words, with its labels.

    text: of the whole document. drawn: regions with offsets in characters, the newest last. A place counts when the
    letters are the same, capitals too, and it starts and ends where words do if the span itself does; it overlaps
    nothing that is drawn. Spans that name paragraphs or elements of a page are not spread: their offsets count within
    one.
    """
    if not drawn or len(text) > LONGEST_TEXT:
        return []
    newest = drawn[-1]
    place = _extent(newest, len(text))
    if place is None or not newest.get("labels"):
        return []
    start, end = place
    words = text[start:end]
    if not words.strip():
        return []
    taken = sorted(extent for region in drawn if (extent := _extent(region, len(text))) is not None)
    before = r"(?<!\w)" if words[0].isalnum() and not (start and _word(text[start - 1])) else ""
    after = r"(?!\w)" if words[-1].isalnum() and not (end < len(text) and _word(text[end])) else ""
    found: list[JsonObject] = []
    for match in re.finditer(before + re.escape(words) + after, text):
        here = match.span()
        if any(here[0] < other[1] and other[0] < here[1] for other in taken):
            continue
        found.append(
            {
                "labels": list(newest["labels"]),
                "value": {"start": here[0], "end": here[1], "text": match.group()},
                "score": 1.0,
            }
        )
        if len(found) == MOST:
            break
    return found


def _word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def _extent(region: JsonObject, length: int) -> tuple[int, int] | None:
    """Return where a span lies; None where it has no plain offsets within the text."""
    value = region.get("value")
    if not isinstance(value, dict) or "startOffset" in value:
        return None
    start, end = value.get("start"), value.get("end")
    if isinstance(start, bool) or isinstance(end, bool) or not isinstance(start, int) or not isinstance(end, int):
        return None
    return (start, end) if 0 <= start < end <= length else None
