"""The same text elsewhere: a span that a person marked, spread over the rest of the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backends.token_spans_words import Place

MOST = 200
"""Most spans that are proposed for one marked text."""
SPREAD = 0.8
"""Score of a spread span: most repeats of a marked text mean the same; nobody has measured it on this text."""
Drawn = tuple[int, int, str]
"""start, end (exclusive) in characters, and the label."""


def place_of(value: object, length: int) -> Place | None:
    """Return a span's place in a text of this length; None for another kind of value (a page's, a paragraph's) or one
    that is not in the text."""
    if not isinstance(value, Mapping) or "startOffset" in value or "endOffset" in value:
        return None
    start, end = value.get("start"), value.get("end")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= length:
        return None
    return start, end


def label_of(region: Mapping[str, Any], labels: Sequence[str]) -> str | None:
    """Return the first of a region's labels that the control has; None without one."""
    own = region.get("labels")
    if not isinstance(own, list | tuple):
        return None
    return next((label for label in own if isinstance(label, str) and label in labels), None)


def spread(text: str, words: Sequence[Place], drawn: Sequence[Drawn]) -> list[Drawn]:
    """Return where the texts of drawn spans stand once more, by place; the newest, which come last, first have their
    say.

    Case: as it was marked, or, if that has no capitals, with the first letter as a capital (the beginning of a
    sentence). "US" is thus not "us". Words: where a marked span began or ended at the border of a word, so does the
    other. Nothing overlaps a drawn span or another one found.
    """
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    taken = [(start, end) for start, end, _ in drawn]
    found: list[Drawn] = []
    seen: set[str] = set()
    for start, end, label in reversed(drawn):
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        marked = text[start:end]
        if not marked or marked in seen:
            continue
        seen.add(marked)
        forms = {marked} | ({marked[:1].upper() + marked[1:]} if marked == marked.lower() else set())
        places = sorted(
            place
            for form in forms
            if len(form) == len(marked)
            for place in _places(text, form)
            if (start not in starts or place[0] in starts) and (end not in ends or place[1] in ends)
        )
        for place in [place for place in places if not _meets(place, taken)][:MOST]:
            if not _meets(place, taken):
                taken.append(place)
                found.append((*place, label))
    return sorted(found)


def _places(text: str, form: str) -> list[Place]:
    out, at = [], text.find(form)
    while at >= 0:
        out.append((at, at + len(form)))
        at = text.find(form, at + 1)
    return out


def _meets(place: Place, others: Sequence[Place]) -> bool:
    return any(place[0] < end and start < place[1] for start, end in others)
