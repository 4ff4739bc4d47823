"""Polygons on a picture: `<PolygonLabels>` and `<Polygon>` of Label Studio.

points: corners in percent, in the order they were drawn; closed: Label Studio's mark that the last meets the first.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from adapter.core.geometry import area_of, between, majority, outline_of
from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.families.plane import Frame, Planar, alike, by_weight, frame_of, percent
from adapter.vocabulary import Control

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

MOST_POINTS = 10_000
Points = tuple[tuple[float, float], ...]


class Polygons(Planar):
    """The kind of polygons."""

    name = "polygons"
    tags = ("PolygonLabels", "Polygon")
    types = ("polygonlabels", "polygon")
    label_key: ClassVar[Mapping[str, str | None]] = {"PolygonLabels": "polygonlabels"}
    noun = "polygon"

    def shape(self, control: Control, value: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Return the points. A polygon that crosses itself is taken as it is; its area is that of its loops."""
        given = value.get("points")
        if not isinstance(given, list | tuple) or not 3 <= len(given) <= MOST_POINTS:
            count = f"{len(given):,} points" if isinstance(given, list | tuple) else "no list of points"
            raise LabelError(
                f"a polygon of '{control.name}' has {count}",
                remedy=f"It takes 3 to {MOST_POINTS:,} points, each [x, y] in percent; simplify the outline.",
            )
        points = []
        for point in given:
            if not isinstance(point, list | tuple) or len(point) != 2:
                raise LabelError(
                    f"a point of a polygon of '{control.name}' is {str(point)[:40]}", remedy="Give [x, y] in percent."
                )
            named = {"x": point[0], "y": point[1]}
            points.append([percent(control, named, "x"), percent(control, named, "y")])
        if _area(_points(points), (100.0, 100.0)).area <= 0:
            raise LabelError(
                f"a polygon of '{control.name}' lies on a line and marks nothing",
                remedy="Remove it, or draw it around the thing.",
            )
        return {"points": points}

    def area(self, region: Region, frame: Frame) -> BaseGeometry:
        """Return its area in pixels."""
        return _area(_points(region["value"]["points"]), frame)

    def bounds(self, region: Region) -> tuple[float, float, float, float]:
        """Return the upright box around it, in percent."""
        points = np.asarray(region["value"]["points"], np.float64)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    def fuse(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """Return the outline of the area that more than half of the weight covers, of several parts the largest, holes
        filled (Label Studio's polygons have neither). Where no area decides, as between two people, the outline half
        way between the two heaviest ones."""
        if alike(regions):
            return dict(regions[0]["value"])
        ordered = by_weight(regions, weights)
        frame = frame_of(*regions)
        heavy = [weight for _, weight in ordered] if any(weights) else [1.0] * len(ordered)
        scale = np.array(frame) / 100
        if len(ordered) == 2 and heavy[0] <= 2 * heavy[1]:
            first, second = (np.asarray(region["value"]["points"], np.float64) * scale for region, _ in ordered)
            outline = between(first, second, heavy[1] / (heavy[0] + heavy[1]))
        else:
            outline = outline_of(majority([self.area(region, frame) for region, _ in ordered], heavy))
        if len(outline) < 3:
            return dict(ordered[0][0]["value"])
        points = np.clip(outline / scale, 0, 100)
        return {"points": points.tolist(), "closed": True}


def _points(points: Sequence[Sequence[float]]) -> Points:
    return tuple((x, y) for x, y in points)


@functools.lru_cache(maxsize=2048)
def _area(points: Points, frame: Frame) -> BaseGeometry:
    return area_of(np.asarray(points, np.float64) * (np.array(frame) / 100))


KIND = Polygons()
