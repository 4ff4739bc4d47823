"""Spans on text: `<Labels>` on Text, `<HyperTextLabels>`, `<ParagraphLabels>`.

Text: `start` and `end` are offsets in the text, end exclusive, in code points. HyperText: `start` and `end` are XPaths
of text nodes, `startOffset` and `endOffset` offsets in them, and `globalOffsets` (where Label Studio wrote them) the
same in the whole page's text. Paragraphs: `start` and `end` are numbers of paragraphs as strings, with offsets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from adapter.errors import LabelError
from adapter.kinds.base import Given, Region, Together, Unit
from adapter.kinds.families import region_items, span_consensus
from adapter.kinds.families.regions import Regions
from adapter.kinds.families.span_places import numbered, stretches
from adapter.vocabulary import Control, Value

Doubles = npt.NDArray[np.float64]
_WORD = re.compile(r"\S+")
_SHOWN = 40


class Spans(Regions):
    """The kind of spans on text."""

    name: ClassVar[str] = "spans"
    tags: ClassVar[tuple[str, ...]] = ("Labels", "HyperTextLabels", "ParagraphLabels")
    types: ClassVar[tuple[str, ...]] = ("labels", "hypertextlabels", "paragraphlabels")
    object_tags: ClassVar[tuple[str, ...]] = ("Text", "HyperText", "Paragraphs")
    label_key: ClassVar[Mapping[str, str | None]] = {
        "Labels": "labels",
        "HyperTextLabels": "hypertextlabels",
        "ParagraphLabels": "paragraphlabels",
    }
    iou: ClassVar[float] = 0.3  # "Smith" and "Dr. John Smith" are marks of one thing
    headline: ClassVar[str] = "overlap_f1"
    noun: ClassVar[str] = "span"

    def shape(self, control: Control, value: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Check a span; see `Regions.shape`."""
        shape: dict[str, Any] = {}
        if "globalOffsets" in value:
            offsets = value["globalOffsets"]
            if not isinstance(offsets, Mapping):
                raise LabelError(
                    f"the globalOffsets of a span of '{control.name}' are no object", remedy="Leave them out."
                )
            shape["globalOffsets"] = {**offsets, **_offsets(control, offsets, "start", "end")}
        if "startOffset" not in value and "endOffset" not in value:
            return {**shape, **_offsets(control, value, "start", "end")}
        shape |= {key: _element(control, value, key) for key in ("start", "end")}
        if shape["start"] == shape["end"]:
            return shape | _offsets(control, value, "startOffset", "endOffset")
        for key in ("startOffset", "endOffset"):
            shape[key] = region_items.whole(control, value, key)
        if numbered(shape) and int(shape["end"]) < int(shape["start"]):
            raise LabelError(
                f"a span of '{control.name}' ends in paragraph {shape['end']}, before its start in {shape['start']}",
                remedy="Draw it again in Label Studio.",
            )
        return shape

    def overlap(self, a: Region, b: Region) -> float:
        """Return the share of characters that two spans have in common; 0 for spans on different pages, or in
        different elements of a page without globalOffsets."""
        if not self.same_page(a, b):
            return 0.0
        for one in stretches(a):
            for other in stretches(b):
                if one[0] == other[0]:
                    return _share(one[1:], other[1:])
        return 0.0

    def overlaps(self, a: Sequence[Region], b: Sequence[Region]) -> Doubles:
        """Return (n, m), the overlap of each pair, at once where all lie on one line."""
        lines = {(stretches(region)[0][0], len(stretches(region)), _page(region)) for region in (*a, *b)}
        if len(lines) != 1 or not a or not b:
            return super().overlaps(a, b)
        (s, e), (t, f) = (np.array([stretches(region)[0][1:] for region in side]).T for side in (a, b))
        common = np.minimum(e[:, None], f) - np.maximum(s[:, None], t)
        union = np.maximum(e[:, None], f) - np.minimum(s[:, None], t)
        same = (s[:, None] == t) & (e[:, None] == f)
        return np.asarray(np.where(same, 1.0, np.clip(common, 0.0, None) / np.where(union > 0, union, 1.0)))

    def likeness(self, a: Region, b: Region) -> float:
        """Return the share of words in common where both spans carry their text, as Label Studio Enterprise counts;
        else of characters."""
        one, other = words(a), words(b)
        if not self.same_page(a, b) or self.same_place(a, b) or not one or not other:
            return super().likeness(a, b)
        both = min(_touched(one, other), _touched(other, one))
        return both / (len(one) + len(other) - both)

    def same_place(self, a: Region, b: Region) -> bool:
        """Return whether two spans start and end at the same places."""
        return self.same_page(a, b) and any(one == other for one in stretches(a) for other in stretches(b))

    def fuse(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """Return the extent that most weight is on, by a vote on the whole extent; of a tie, the one that overlaps the
        others most, then the first in order."""
        extents = sorted(range(len(regions)), key=lambda i: (self.order(regions[i]), str(regions[i]["value"])))
        table = self.overlaps(regions, regions)
        weight = np.asarray(weights, np.float64) if sum(weights) > 0 else np.ones(len(regions))

        def backing(i: int) -> tuple[float, float]:
            votes = sum(weight[j] for j in extents if self.same_place(regions[i], regions[j]))
            return round(float(votes), 9), round(float(table[i] @ weight), 9)

        return dict(regions[max(extents, key=backing)]["value"])

    def where(self, region: Region) -> str:
        """Say where a span is, with its text if it carries it."""
        value = region["value"]
        text = value.get("text")
        quoted = (
            f' "{text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."}"'
            if isinstance(text, str) and text
            else ""
        )
        offsets = value.get("globalOffsets", value)
        if isinstance(offsets["start"], int):
            return f"at {offsets['start']}-{offsets['end']}{quoted}"
        start, end = (f"{value[key]}:{value[key + 'Offset']}" for key in ("start", "end"))
        return f"from {start} to {end}{quoted}"

    def order(self, region: Region) -> tuple[Any, ...]:
        """Return line, start and end."""
        return stretches(region)[0]

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return one unit for each stretch between two borders of any span, weighted by its length: annotator to the
        labels there, "" for none. So alpha is that of characters (token alpha, with the text's end left open)."""
        return span_consensus.units(
            control, {who: [(stretches(r)[0], r) for r in value] for who, value in votes.items()}
        )

    def consensus(self, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
        """Consolidate by a sequence model of the people and the text (`core.sequence`); by things (`Regions.consensus`)
        for spans that overlap, or that have no common line."""
        return span_consensus.consensus(self, control, votes, given)


def words(region: Region) -> list[tuple[float, float]]:
    """Return the places (start, end) of the words of a span on its line; empty if it does not carry its text."""
    text = region["value"].get("text")
    if not isinstance(text, str):
        return []
    start = stretches(region)[0][1]
    return [(start + word.start(), start + word.end()) for word in _WORD.finditer(text)]


def _touched(words: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]) -> int:
    return sum(any(start < to and at < end for at, to in others) for start, end in words)


def _page(region: Region) -> str:
    return str([region["envelope"].get(key) for key in ("to_name", "item_index")])


def _share(a: tuple[float, float], b: tuple[float, float]) -> float:
    if a == b:
        return 1.0
    common = min(a[1], b[1]) - max(a[0], b[0])
    return max(common, 0.0) / (max(a[1], b[1]) - min(a[0], b[0])) if common > 0 else 0.0


def _offsets(control: Control, value: Mapping[str, Any], first: str, last: str) -> dict[str, int]:
    """Return two offsets, the first not behind the last. Raises LabelError."""
    start, end = region_items.whole(control, value, first), region_items.whole(control, value, last)
    if start > end:
        raise LabelError(
            f"a span of '{control.name}' starts at {start} and ends at {end}",
            remedy=f"{last} must not be before {first}.",
        )
    return {first: start, last: end}


def _element(control: Control, value: Mapping[str, Any], key: str) -> str:
    """Return the XPath or number of a paragraph under `key`, as text. Raises LabelError."""
    found = value.get(key)
    if isinstance(found, int) and not isinstance(found, bool) and found >= 0:
        return str(found)
    if not isinstance(found, str) or not found:
        raise LabelError(
            f"'{key}' of a span of '{control.name}' is no place in the page: {str(found)[:40]!r}",
            remedy="It is an XPath, or the number of a paragraph as text.",
        )
    return found


KIND = Spans()
