"""Boxes on images: between Label Studio's percent and the pixels of a model's input, and which of them are one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.images import ImageReader

STEP = 32
"""Sides of a model's input are multiples of it."""
SMALLEST = 1e-3
"""Percent; a side below it marks nothing."""
MOST = 1000
"""Boxes of one image that are looked at; a hostile one has more."""


@dataclass(frozen=True)
class Picture:
    """An image as a model sees it. pixels (h, w, 3) uint8: scaled so that its longest side is the model's, filled up
    with grey at the right and the bottom. inner: width and height of what is not filled up. original: width and height
    of the image as a browser shows it."""

    pixels: npt.NDArray[np.uint8]
    inner: tuple[float, float]
    original: tuple[int, int]


def picture(value: object, size: int, reader: ImageReader) -> Picture | None:
    """Return a task's image, upright, its longest side `size` pixels long; None if it cannot be read."""
    original = reader.size(value)
    image = reader.rgb(value, largest=2 * size) if original is not None else None
    if image is None or original is None or min(original) < 1:
        return None
    scale = size / max(original)
    width, height = (max(1, round(side * scale)) for side in original)
    pixels = np.full((-(-height // STEP) * STEP, -(-width // STEP) * STEP, 3), 127, np.uint8)
    pixels[:height, :width] = np.asarray(image.resize((width, height), reducing_gap=3.0), np.uint8)
    return Picture(pixels, (float(width), float(height)), original)


def truth(
    regions: Sequence[JsonObject], labels: Sequence[str], inner: tuple[float, float]
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return boxes (m, 4) left, top, right, bottom in pixels of the model's input, and labels (m,) by number. What is
    no box of a known label is left out; of a turned one the upright box around it counts."""
    boxes, numbers = [], []
    for region in list(regions)[:MOST]:
        named = region.get("labels")
        number = labels.index(named[0]) if isinstance(named, list) and named and named[0] in labels else None
        box = upright(region.get("value"), inner)
        if number is not None and box is not None:
            boxes.append(box)
            numbers.append(number)
    return np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(numbers, np.int64)


def upright(value: object, inner: tuple[float, float]) -> tuple[float, float, float, float] | None:
    """Return left, top, right, bottom in pixels of a frame of this size, clipped to it, of a rectangle in Label
    Studio's percent; None if it is none, or nothing of it lies in the frame."""
    if not isinstance(value, Mapping):
        return None
    numbers = [value.get(name, 0) for name in ("x", "y", "width", "height", "rotation")]
    if any(isinstance(n, bool) or not isinstance(n, int | float) or not math.isfinite(n) for n in numbers):
        return None
    x, y, width, height = (float(n) / 100 * side for n, side in zip(numbers, inner * 2, strict=False))
    turn = math.radians(float(numbers[4]) % 360)
    across = (width * math.cos(turn), width * math.sin(turn))
    down = (-height * math.sin(turn), height * math.cos(turn))
    corners = [(x + a * across[0] + b * down[0], y + a * across[1] + b * down[1]) for a in (0, 1) for b in (0, 1)]
    left, right = (min(max(pick(c[0] for c in corners), 0.0), inner[0]) for pick in (min, max))
    top, bottom = (min(max(pick(c[1] for c in corners), 0.0), inner[1]) for pick in (min, max))
    if right - left < SMALLEST / 100 * inner[0] or bottom - top < SMALLEST / 100 * inner[1]:
        return None
    return left, top, right, bottom


def region(
    box: npt.NDArray[Any], label: str, score: float, inner: tuple[float, float], original: tuple[int, int]
) -> JsonObject | None:
    """Return a box of a model's input as a region in percent, clipped to the image; None if nothing is left of it."""
    left, top, right, bottom = (
        min(max(float(edge) / side * 100, 0.0), 100.0) for edge, side in zip(box, inner * 2, strict=True)
    )
    if right - left < SMALLEST or bottom - top < SMALLEST:
        return None
    return {
        "labels": [label],
        "value": {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0},
        "score": min(max(float(score), 0.0), 1.0),
        "envelope": {"original_width": original[0], "original_height": original[1], "image_rotation": 0},
    }


def overlaps(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Floats:
    """Return (n, m), the intersection over union of boxes (n, 4) and (m, 4) left, top, right, bottom."""
    a, b = np.asarray(a, np.float64).reshape(-1, 4), np.asarray(b, np.float64).reshape(-1, 4)
    common = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(common, 0, None).prod(axis=2)
    sizes = [np.clip(one[:, 2:] - one[:, :2], 0, None).prod(axis=1) for one in (a, b)]
    return np.asarray(shared / np.maximum(sizes[0][:, None] + sizes[1] - shared, 1e-12), np.float32)


def strongest(boxes: Floats, scores: Floats, labels: npt.NDArray[np.int64], most: float) -> npt.NDArray[np.int64]:
    """Return rows, by score descending, of boxes that overlap no stronger one of their label by more than `most`, nor
    one of another label by more than the mean of `most` and 1 (non-maximum suppression)."""
    order = np.lexsort((np.arange(len(scores)), -np.asarray(scores)))
    table = overlaps(boxes, boxes)
    limit = np.where(labels[:, None] == labels[None, :], most, (most + 1.0) / 2.0)
    beaten, kept = np.zeros(len(scores), bool), []
    for row in order:
        if not beaten[row]:
            kept.append(row)
            beaten |= table[row] > limit[row]
    return np.asarray(kept, np.int64)


def hits(
    found: Floats, labels: npt.NDArray[np.int64], due: Floats, due_labels: npt.NDArray[np.int64], least: float = 0.5
) -> npt.NDArray[np.bool_]:
    """Return (n,) which found boxes, strongest first, are right: each takes the free due box of its label that it
    overlaps most, by `least` or more (as Pascal VOC counts, Everingham et al. 2010, section 4.2)."""
    table = overlaps(found, due) * (labels[:, None] == due_labels[None, :])
    right = np.zeros(len(found), bool)
    for row in range(len(found)):
        if table.shape[1]:
            best = int(table[row].argmax())
            if table[row, best] >= least:
                right[row] = True
                table[:, best] = 0.0
    return right
