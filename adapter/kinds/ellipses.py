"""Ellipses on a picture: `<EllipseLabels>` and `<Ellipse>` of Label Studio.

x, y: the centre, radiusX, radiusY: half axes, all in percent; rotation: degrees clockwise about the centre.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from adapter.core.geometry import area_of, ellipse_outline, median_row, nearest_turn
from adapter.kinds.base import Region
from adapter.kinds.families.plane import Frame, Planar, alike, by_weight, frame_of, longest, percent, rotation, size
from adapter.vocabulary import Control

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Oval = tuple[float, float, float, float, float]
"""x, y, radiusX, radiusY in percent, rotation in degrees."""


class Ellipses(Planar):
    """The kind of ellipses."""

    name = "ellipses"
    tags = ("EllipseLabels", "Ellipse")
    types = ("ellipselabels", "ellipse")
    label_key: ClassVar[Mapping[str, str | None]] = {"EllipseLabels": "ellipselabels"}
    noun = "ellipse"

    def shape(self, control: Control, value: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Return x, y, radiusX, radiusY and, where given, rotation; the centre lies in the picture."""
        return {
            "x": percent(control, value, "x"),
            "y": percent(control, value, "y"),
            "radiusX": size(control, value, "radiusX", most=longest(envelope, "original_width")),
            "radiusY": size(control, value, "radiusY", most=longest(envelope, "original_height")),
            **rotation(control, value),
        }

    def area(self, region: Region, frame: Frame) -> BaseGeometry:
        """Return the ellipse in pixels."""
        return _area(_oval(region), frame)

    def bounds(self, region: Region) -> tuple[float, float, float, float]:
        """Return the upright box around it, in percent."""
        x, y, radius_x, radius_y, angle = _oval(region)
        width, height = frame_of(region)
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        across, down = radius_x / 100 * width, radius_y / 100 * height
        half_x = math.hypot(across * cos, down * sin) / width * 100
        half_y = math.hypot(across * sin, down * cos) / height * 100
        return x - half_x, y - half_y, x + half_x, y + half_y

    def fuse(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """Return the weighted median of centre, half axes and angle; each ellipse is first written with the angle
        nearest to the heaviest's, since a quarter turn with swapped axes is the same ellipse."""
        if alike(regions):
            return dict(regions[0]["value"])
        ordered = by_weight(regions, weights)
        frame = frame_of(*regions)
        reference = _oval(ordered[0][0])[4]
        rows = []
        for region, _ in ordered:
            x, y, radius_x, radius_y, given = _oval(region)
            across, down = radius_x / 100 * frame[0], radius_y / 100 * frame[1]
            angle = nearest_turn(given, reference, 90)
            if round((angle - given) / 90) % 2:
                across, down = down, across
            rows.append((x, y, across, down, angle))
        x, y, across, down, angle = median_row(rows, [weight for _, weight in ordered]).tolist()
        fused = {"radiusX": across / frame[0] * 100, "radiusY": down / frame[1] * 100, "rotation": angle % 360}
        swapped = {"radiusX": down / frame[0] * 100, "radiusY": across / frame[1] * 100, "rotation": (angle + 90) % 360}
        # Label Studio takes half axes up to 50 % in a prediction
        fits = max(fused["radiusX"], fused["radiusY"]) <= 50 or max(swapped["radiusX"], swapped["radiusY"]) > 50
        return {"x": x, "y": y, **(fused if fits else swapped)}


def _oval(region: Region) -> Oval:
    value = region["value"]
    return value["x"], value["y"], value["radiusX"], value["radiusY"], value.get("rotation") or 0


@functools.lru_cache(maxsize=8192)
def _area(oval: Oval, frame: Frame) -> BaseGeometry:
    x, y, radius_x, radius_y, angle = oval
    across, down = frame[0] / 100, frame[1] / 100
    return area_of(ellipse_outline(x * across, y * down, radius_x * across, radius_y * down, angle))


KIND = Ellipses()
