"""Rectangles on a picture: `<RectangleLabels>` and `<Rectangle>` of Label Studio.

x, y: the top left corner, width, height: the sides, all in percent; rotation: degrees clockwise about that corner (so
Label Studio draws it, and so its own converter reads it).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from adapter.core.geometry import area_of, box_iou, box_ious, fused_box, median_row, nearest_turn, rectangle_corners
from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.families.plane import (
    NOISE,
    Doubles,
    Frame,
    Planar,
    alike,
    by_weight,
    frame_of,
    longest,
    percent,
    rotation,
    size,
    turned,
)
from adapter.vocabulary import Control

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Box = tuple[float, float, float, float, float]
"""x, y, width, height in percent, rotation in degrees."""


class Rectangles(Planar):
    """The kind of upright and turned rectangles."""

    name = "rectangles"
    tags = ("RectangleLabels", "Rectangle")
    types = ("rectanglelabels", "rectangle")
    label_key: ClassVar[Mapping[str, str | None]] = {"RectangleLabels": "rectanglelabels"}
    noun = "rectangle"

    def shape(self, control: Control, value: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Return x, y, width, height and, where given, rotation. An upright rectangle lies in the picture; a turned one
        has its corner there, or left of or above it by at most the picture's size."""
        angle = rotation(control, value)
        if angle.get("rotation", 0) % 360:
            return {
                "x": percent(control, value, "x", least=-100),
                "y": percent(control, value, "y", least=-100),
                "width": size(control, value, "width", most=longest(envelope, "original_width")),
                "height": size(control, value, "height", most=longest(envelope, "original_height")),
                **angle,
            }
        checked = {key: percent(control, value, key) for key in ("x", "y")}
        for key, start in (("width", "x"), ("height", "y")):
            length, room = size(control, value, key), 100 - checked[start]
            if length > room + NOISE:
                raise LabelError(
                    f"a rectangle of '{control.name}' ends at {start} = {checked[start] + length:g} %, outside it",
                    remedy="Coordinates are percent of the picture, 0 to 100; clip it to the picture.",
                )
            # a sum that rounds to just above 100 is no reason to change what was given
            checked[key] = length if length <= room + 1e-9 else room
            if checked[key] <= 0:
                raise LabelError(
                    f"a rectangle of '{control.name}' lies on the edge and marks nothing", remedy="Remove it."
                )
        return {**checked, **angle}

    def area(self, region: Region, frame: Frame) -> BaseGeometry:
        """Return the rectangle in pixels."""
        return _area(_box(region), frame)

    def bounds(self, region: Region) -> tuple[float, float, float, float]:
        """Return the upright box around it, in percent."""
        x, y, width, height, angle = _box(region)
        if not angle % 360:
            return x, y, x + width, y + height
        frame = frame_of(region)
        corners = _corners(_box(region), frame) / np.array(frame) * 100
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    def overlap(self, a: Region, b: Region) -> float:
        """Return the intersection over union, 0 to 1; of upright rectangles the percents alone tell it."""
        one, other = _box(a), _box(b)
        if one[4] % 360 or other[4] % 360:
            return super().overlap(a, b)
        return box_iou(one[:4], other[:4]) if self.same_page(a, b) else 0.0

    def overlaps(self, a: Sequence[Region], b: Sequence[Region]) -> Doubles:
        """Return (n, m), the overlap of each pair; upright ones all at once."""
        if any(_box(region)[4] % 360 for region in (*a, *b)):
            return super().overlaps(a, b)
        ours, theirs = (np.array([_box(region)[:4] for region in value]).reshape(-1, 4) for value in (a, b))
        table = box_ious(ours, theirs)
        places = [(r["envelope"].get("to_name"), r["envelope"].get("item_index"), turned(r)) for r in (*a, *b)]
        if len(set(map(str, places))) > 1:
            for i, j in zip(*np.nonzero(table), strict=True):
                table[i, j] *= self.same_page(a[i], b[j])
        return table

    def fuse(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """Return the weighted mean of the edges, marks that lie far from the middle counting less (`fused_box`); of
        turned rectangles the weighted median of centre, sides and angle."""
        if alike(regions):
            return dict(regions[0]["value"])
        ordered = by_weight(regions, weights)  # so that sums do not depend on the order given
        boxes = [_box(region) for region, _ in ordered]
        if any(box[4] % 360 for box in boxes):
            return self._fuse_turned(regions, weights)
        edges = [(x, y, x + width, y + height) for x, y, width, height, _ in boxes]
        left, top, right, bottom = fused_box(edges, [weight for _, weight in ordered]).tolist()
        return {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0}

    def _fuse_turned(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """A rectangle is the same when it is turned by a quarter and its sides are swapped: each is first written with
        the angle nearest to the heaviest's."""
        ordered = by_weight(regions, weights)
        frame = frame_of(*regions)
        reference = _box(ordered[0][0])[4]
        rows = []
        for region, _ in ordered:
            box = _box(region)
            across, down = box[2] / 100 * frame[0], box[3] / 100 * frame[1]
            angle = nearest_turn(box[4], reference, 90)
            if round((angle - box[4]) / 90) % 2:
                across, down = down, across
            centre = _corners(box, frame).mean(axis=0)
            rows.append((*centre.tolist(), across, down, angle))
        placed = _placed(median_row(rows, [weight for _, weight in ordered]).tolist(), frame)
        return placed if placed is not None else dict(ordered[0][0]["value"])


def _box(region: Region) -> Box:
    value = region["value"]
    return value["x"], value["y"], value["width"], value["height"], value.get("rotation") or 0


@functools.lru_cache(maxsize=8192)
def _area(box: Box, frame: Frame) -> BaseGeometry:
    return area_of(_corners(box, frame))


def _corners(box: Box, frame: Frame) -> Any:
    x, y, width, height, angle = box
    across, down = frame[0] / 100, frame[1] / 100
    return rectangle_corners(x * across, y * down, width * across, height * down, angle)


def _placed(row: Sequence[float], frame: Frame) -> dict[str, Any] | None:
    """Return Label Studio's value of a rectangle by centre, sides (pixels) and angle: of the four ways to write it the
    first whose corner and sides lie within the percents that Label Studio takes, cut to the picture where it is
    upright; None if there is no such way."""
    x, y, across, down, angle = row
    ways = []
    for quarter in range(4):
        degrees = (angle + 90 * quarter) % 360
        width, height = (down, across) if quarter % 2 else (across, down)
        turn = math.radians(degrees)
        left = x - (width * math.cos(turn) - height * math.sin(turn)) / 2
        top = y - (width * math.sin(turn) + height * math.cos(turn)) / 2
        value = {
            "x": left / frame[0] * 100,
            "y": top / frame[1] * 100,
            "width": width / frame[0] * 100,
            "height": height / frame[1] * 100,
            "rotation": degrees,
        }
        if not degrees:
            for start, length in (("x", "width"), ("y", "height")):
                end = min(value[start] + value[length], 100.0)
                value[start] = max(value[start], 0.0)
                value[length] = end - value[start]
        if min(value["x"], value["y"]) >= -100 and min(value["width"], value["height"]) > 0:
            ways.append(value)
    fitting = (way for way in ways if all(0 <= way[key] <= 100 for key in ("x", "y", "width", "height")))
    return next(fitting, next((way for way in ways if max(way["x"], way["y"]) <= 100), None))


KIND = Rectangles()
