"""A marked span, spread to the same words elsewhere in the document, which a person would else mark again by hand."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge

from adapter.core.spans.words import Place, begins_sentence, borders
from adapter.vocabulary import JsonObject

MOST = 200
"""Suggestions for one span: a single letter occurs thousands of times, and a page full of them helps nobody."""
LONGEST_TEXT = 1_000_000
LONGEST_WORDS = 1_000
SCORE = 0.86
"""Probability that a person wants such a span: of those suggested to somebody who marks the true names of CoNLL 2003
news (the documents of Rodrigues et al. 2014) one by one in reading order, they want 86 % on the 199 documents of one
half; on the 200 of the other, which was only looked at, 89 %. Most of the others are part of a longer name."""


def spread(text: str, drawn: Sequence[JsonObject]) -> list[JsonObject]:
    """Return spans for the other places of the newest drawn span's words, with its labels, in reading order; earlier
    ones were spread when they were new, and what was removed since shall not come back.

    text: of the whole document. drawn: regions with offsets in characters, the newest last. White space around the
    marked words is no part of them. A place counts when

    - the letters are the same, capitals too: "US" is not "us". Words in small letters also count with a capital where a
      sentence begins: there it means nothing;
    - it starts and ends where words do (`adapter.core.spans.words`), if the span itself does;
    - it overlaps nothing that is drawn.

    Each has the score SCORE. Spans that name paragraphs or elements of a page are not spread: their offsets count
    within one.
    """
    if not drawn or len(text) > LONGEST_TEXT:
        return []
    place, labels = place_of(drawn[-1].get("value"), len(text)), labels_of(drawn[-1])
    if place is None or not labels:
        return []
    start, end = _trimmed(text, *place)
    if not 0 < end - start <= LONGEST_WORDS:
        return []
    taken = _merged(place for one in drawn if (place := place_of(one.get("value"), len(text))) is not None)
    starts = [one[0] for one in taken]
    found: list[JsonObject] = []
    for here, there in _places(text, start, end):
        after = bisect_left(starts, there)  # the first that is drawn behind this place
        if after and taken[after - 1][1] > here:
            continue
        value = {"start": here, "end": there, "text": text[here:there]}
        found.append({"labels": list(labels), "value": value, "score": SCORE})
        if len(found) == MOST:
            break
    return found


def place_of(value: object, length: int) -> Place | None:
    """Return a span's place in a text of this length; None for another kind of value (a page's, a paragraph's) or one
    that is not in the text."""
    if not isinstance(value, Mapping) or "startOffset" in value or "endOffset" in value:
        return None
    start, end = value.get("start"), value.get("end")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= length:
        return None
    return start, end


def labels_of(region: JsonObject) -> list[str]:
    """Return a region's labels; none where that is no list of them."""
    own = region.get("labels")
    return [label for label in own if isinstance(label, str)] if isinstance(own, list | tuple) else []


def _places(text: str, start: int, end: int) -> Iterator[Place]:
    """Yield where the words that stand at [start, end) stand, in order, none over another."""
    words = text[start:end]
    capital = words[0].title() + words[1:] if words == words.lower() else words
    forms = {words, capital} if len(capital) == len(words) else {words}
    opens, closes = borders(text, start), borders(text, end)
    free = 0
    for at in merge(*(_occurrences(text, form) for form in forms)):
        behind = at + len(words)
        if at < free or (opens and not borders(text, at)) or (closes and not borders(text, behind)):
            continue
        if not text.startswith(words, at) and not begins_sentence(text, at):
            continue
        yield at, behind
        free = behind


def _occurrences(text: str, form: str) -> Iterator[int]:
    at = text.find(form)
    while at >= 0:
        yield at
        at = text.find(form, at + 1)


def _trimmed(text: str, start: int, end: int) -> Place:
    words = text[start:end]
    start += len(words) - len(words.lstrip())
    return start, start + len(words.strip())


def _merged(extents: Iterable[Place]) -> list[Place]:
    """Return what the extents cover, in order and apart from each other."""
    merged: list[Place] = []
    for start, end in sorted(extents):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
