"""A marked span, spread to the same words elsewhere in the document, which a person would else mark again by hand."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from adapter.vocabulary import JsonObject

MOST = 200
"""Suggestions for one span: a single letter occurs thousands of times, and a page full of them helps nobody."""
LONGEST_TEXT = 1_000_000
LONGEST_WORDS = 1_000


def spread(text: str, drawn: Sequence[JsonObject]) -> list[JsonObject]:
    """Return spans for the other places of the newest drawn span's words, with its labels, in reading order.

    text: of the whole document. drawn: regions with offsets in characters, the newest last. A place counts when the
    letters are the same, capitals too (white space around them is no part of the words), and it starts and ends where
    words do if the span itself does; it overlaps nothing that is drawn. Spans that name paragraphs or elements of a
    page are not spread: their offsets count within one.
    """
    if not drawn or len(text) > LONGEST_TEXT:
        return []
    newest = drawn[-1]
    place = _extent(newest, len(text))
    if place is None or not newest.get("labels"):
        return []
    start, end = _trimmed(text, *place)
    if not 0 < end - start <= LONGEST_WORDS:
        return []
    taken = _merged(extent for region in drawn if (extent := _extent(region, len(text))) is not None)
    starts = [one[0] for one in taken]
    found: list[JsonObject] = []
    for here, there in _places(text, start, end):
        after = bisect_left(starts, there)  # the first that is drawn behind this place
        if after and taken[after - 1][1] > here:
            continue
        value = {"start": here, "end": there, "text": text[here:there]}
        found.append({"labels": list(newest["labels"]), "value": value, "score": 1.0})
        if len(found) == MOST:
            break
    return found


def _places(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where the words that stand at [start, end) stand, none over another."""
    words = text[start:end]
    opens, closes = _opens(text, start), _closes(text, end)
    at = text.find(words)
    while at >= 0:
        behind = at + len(words)
        fits = (not opens or _opens(text, at)) and (not closes or _closes(text, behind))
        if fits:
            yield at, behind
        at = text.find(words, behind if fits else at + 1)


def _opens(text: str, start: int) -> bool:
    """Whether a word starts there: a letter with none before it."""
    return _letter(text[start]) and (start == 0 or not _letter(text[start - 1]))


def _closes(text: str, end: int) -> bool:
    return _letter(text[end - 1]) and (end == len(text) or not _letter(text[end]))


def _letter(sign: str) -> bool:
    """Whether a sign is part of a word; accents and vowel signs of their own are."""
    return sign.isalnum() or sign == "_" or unicodedata.category(sign).startswith("M")


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    words = text[start:end]
    start += len(words) - len(words.lstrip())
    return start, start + len(words.strip())


def _merged(extents: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what the extents cover, in order and apart from each other."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(extents):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _extent(region: JsonObject, length: int) -> tuple[int, int] | None:
    """Return where a span lies; None where it has no plain offsets within the text."""
    value = region.get("value")
    if not isinstance(value, dict) or "startOffset" in value:
        return None
    start, end = value.get("start"), value.get("end")
    if isinstance(start, bool) or isinstance(end, bool) or not isinstance(start, int) or not isinstance(end, int):
        return None
    return (start, end) if 0 <= start < end <= length else None
