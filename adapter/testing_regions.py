"""What a region is, for the checks of backends: whether it is valid, and whether two answers hold the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adapter.vocabulary import JsonObject

CLOSE = 1e-4
"""Difference of scores, and of places in their own units, up to which two answers count as the same."""
SHOWN = 0.5
"""Score from which a region counts as found."""
Answers = list[list[JsonObject] | None]


def valid_span(fields: Sequence[str], example: JsonObject, value: JsonObject) -> None:
    """A span lies in the text of the first of `fields` that has one, and holds its words alone."""
    for name in ("start", "end"):
        assert type(value.get(name)) is int, f"{value}: {name} must be a whole number"
    start, end = int(value["start"]), int(value["end"])
    text = next((example[name] for name in fields if isinstance(example.get(name), str)), "")
    assert 0 <= start < end <= len(text), f"{value}: outside the text of {len(text)} characters"
    marked = text[start:end]
    assert marked == marked.strip(), f"{value}: a span begins or ends with white space"
    assert value.get("text", marked) == marked, f"{value}: `text` is not what stands there"


def valid_box(region: JsonObject, value: JsonObject) -> None:
    """A box has a size, lies on its image (units are percent), and says how large that is in pixels."""
    for name in ("x", "y", "width", "height", "rotation"):
        number = value.get(name, 0 if name == "rotation" else None)
        assert isinstance(number, int | float), f"{value}: {name} must be a number"
        assert np.isfinite(number), f"{value}: {name} is not finite"
    x, y, width, height = (float(value[name]) for name in ("x", "y", "width", "height"))
    assert width > 0, f"{value}: no width"
    assert height > 0, f"{value}: no height"
    inside = x >= -CLOSE and y >= -CLOSE and x + width <= 100 + CLOSE and y + height <= 100 + CLOSE
    assert inside, f"{value}: outside the image (units are percent)"
    envelope = region.get("envelope")
    assert isinstance(envelope, dict), "a box needs an `envelope`"
    for name in ("original_width", "original_height"):
        size = envelope.get(name)
        assert type(size) is int, f"{envelope}: {name} must be a whole number of pixels"
        assert size > 0, f"{envelope}: {name} must be a whole number of pixels"


def found_f1(kind: str, regions: Sequence[Sequence[JsonObject]], answers: Answers, iou: float) -> float:
    """Return the F1 of the answers' regions with a score from SHOWN on against those that are due, matched greedily by
    their overlap; one is found if it has the label and shares `iou` of the extent."""
    hits = found_count = due_count = 0
    for due, found in zip(regions, answers, strict=True):
        shown = [region for region in found or [] if region["score"] >= SHOWN]
        pairs = sorted(
            (
                (-overlap(kind, one, other), i, j)
                for i, one in enumerate(due)
                for j, other in enumerate(shown)
                if list(one["labels"]) == list(other["labels"])
            ),
        )
        left, right = set(range(len(due))), set(range(len(shown)))
        for minus, i, j in pairs:
            if -minus >= iou and i in left and j in right:
                left.discard(i)
                right.discard(j)
        hits += len(due) - len(left)
        due_count += len(due)
        found_count += len(shown)
    return 2 * hits / max(due_count + found_count, 1)


def overlap(kind: str, a: JsonObject, b: JsonObject) -> float:
    """Return intersection over union of two regions of one kind."""
    sides = [("start", None)] if kind == "spans" else [("x", "width"), ("y", "height")]
    common = size_a = size_b = 1.0
    for start, length in sides:
        (a0, a1), (b0, b1) = (_side(one["value"], start, length) for one in (a, b))
        common *= max(0.0, min(a1, b1) - max(a0, b0))
        size_a *= a1 - a0
        size_b *= b1 - b0
    return common / max(size_a + size_b - common, 1e-12)


def _side(value: Mapping[str, Any], start: str, length: str | None) -> tuple[float, float]:
    low = float(value[start])
    return low, (float(value["end"]) if length is None else low + float(value[length]))


def same(one: Answers, other: Answers) -> bool:
    """Return whether two answers hold the same regions; doubtful ones at the brink of being told may come or go."""
    for left, right in zip(one, other, strict=True):
        if (left is None) != (right is None):
            return False
        for here, there in ((left or [], right or []), (right or [], left or [])):
            sure = [region for region in here if region["score"] >= 0.05 + CLOSE]
            if not all(any(_alike(region, twin) for twin in there) for region in sure):
                return False
    return True


def _alike(a: JsonObject, b: JsonObject) -> bool:
    numbers = [name for name in a["value"] if isinstance(a["value"][name], int | float)]
    return (
        list(a["labels"]) == list(b["labels"])
        and abs(a["score"] - b["score"]) <= CLOSE
        and all(abs(a["value"][name] - b["value"].get(name, np.inf)) <= 100 * CLOSE for name in numbers)
    )
