"""Where a span lies: on a line (a whole text, all paragraphs, one element of a page), from one place to another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapter.kinds.base import Region

Stretch = tuple[str, float, float]
"""The line that a span lies on ("" for the whole text), its start and its end on it."""

PARAGRAPH = 1e7
"""Length of a paragraph on the line of all paragraphs; more than any has."""
_NUMBER = re.compile(r"[0-9]{1,9}")


def stretches(region: Region) -> list[Stretch]:
    """Return where a span lies, best line first: on the whole text where that is known, and within its element."""
    value = region["value"]
    found: list[Stretch] = []
    if "globalOffsets" in value:
        found.append(("", float(value["globalOffsets"]["start"]), float(value["globalOffsets"]["end"])))
    if "startOffset" not in value:
        return [*found, ("", float(value["start"]), float(value["end"]))]
    start, end = value["start"], value["end"]
    if numbered(value):
        at, to = (float(value[key]) * PARAGRAPH + min(value[key + "Offset"], PARAGRAPH - 1) for key in ("start", "end"))
        return [*found, ("paragraphs", at, to)]
    if start == end:
        return [*found, (f"in {start}", float(value["startOffset"]), float(value["endOffset"]))]
    # a span from one element into another: only its like overlaps it
    return [*found, (f"from {start}:{value['startOffset']} to {end}", 0.0, float(value["endOffset"]))]


def numbered(value: Mapping[str, Any]) -> bool:
    """Whether a span starts and ends in numbered paragraphs."""
    return all(_NUMBER.fullmatch(value[key]) for key in ("start", "end"))
