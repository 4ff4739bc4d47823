"""Lines of points on a picture: `<VectorLabels>` and `<Vector>` of Label Studio.

vertices: points with x, y in percent, an id, and `prevPointId`, the point they are joined to (the one before, where it
is missing; none for the first), so a line may branch as skeletons do. closed: the last is joined to the first. Curved
stretches (`isBezier`, `controlPoint1`, `controlPoint2`) are kept, and compared by their straight chords.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.families.plane import Doubles, Frame, Placed, by_weight, frame_of, percent
from adapter.vocabulary import Control

MOST_VERTICES = 1_000
WIDTH = 0.01
"""How far from a line another may run and still be the same, as a share of the square root of the picture's area."""

_SAMPLES = 1_000  # points that stand for a line

Line = tuple[tuple[float, float], tuple[float, float]]


class Vectors(Placed):
    """The kind of lines and chains of points.

    A line covers no area: the share of the length of both that runs within WIDTH of the other takes the place of
    overlap (the buffer method of comparing lines, Goodchild and Hunter 1997, both ways).
    """

    name = "vectors"
    tags = ("VectorLabels", "Vector")
    types = ("vectorlabels", "vector")
    label_key: ClassVar[Mapping[str, str | None]] = {"VectorLabels": "vectorlabels"}
    noun = "line"

    def shape(self, control: Control, value: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Return the vertices, whatever else they hold with them."""
        given = value.get("vertices")
        if not isinstance(given, list | tuple) or not 1 <= len(given) <= MOST_VERTICES:
            raise LabelError(
                f"a line of '{control.name}' has no list of 1 to {MOST_VERTICES:,} vertices",
                remedy="Give vertices=[{'id', 'x', 'y', 'prevPointId'}, ...], x and y in percent.",
            )
        vertices = []
        for vertex in given:
            if not isinstance(vertex, Mapping):
                raise LabelError(f"a vertex of '{control.name}' is {str(vertex)[:40]}", remedy="Give {'x', 'y'}.")
            vertices.append({**vertex, "x": percent(control, vertex, "x"), "y": percent(control, vertex, "y")})
        return {"vertices": vertices}

    def overlap(self, a: Region, b: Region) -> float:
        """Return the share of the length of both lines that runs along the other, 0 to 1."""
        if not self.same_page(a, b):
            return 0.0
        frame = frame_of(a, b)
        one, other = _Trace.of(_lines(a), frame), _Trace.of(_lines(b), frame)
        reach = WIDTH * math.sqrt(frame[0] * frame[1])
        matched = one.along(other, reach) * one.length + other.along(one, reach) * other.length
        return min(1.0, matched / (one.length + other.length))

    def bounds(self, region: Region) -> tuple[float, float, float, float]:
        """Return the upright box around all that runs along the line, in percent."""
        points = np.array([(vertex["x"], vertex["y"]) for vertex in region["value"]["vertices"]])
        frame = frame_of(region)
        across, down = (100 * WIDTH * math.sqrt(frame[0] * frame[1]) / side for side in frame)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return float(left) - across, float(top) - down, float(right) + across, float(bottom) + down

    def fuse(self, regions: Sequence[Region], weights: Sequence[float]) -> dict[str, Any]:
        """Return the line that overlaps the others most, by weight: branches and curves of several lines have no
        mean."""
        ordered = by_weight(regions, weights)
        sums = [sum(weight * self.overlap(one, other) for other, weight in ordered) for one, _ in ordered]
        return dict(ordered[int(np.argmax(np.round(sums, 9)))][0]["value"])


def _lines(region: Region) -> tuple[Line, ...]:
    """Return the straight stretches of a line; one of no length for a single point."""
    vertices = region["value"]["vertices"]
    named = {str(vertex["id"]): vertex for vertex in vertices if vertex.get("id") is not None}
    ends = []
    for before, vertex in zip([None, *vertices], vertices, strict=False):
        joined = named.get(str(vertex.get("prevPointId")), before) if vertex.get("prevPointId") else before
        ends.append((joined if joined is not None else vertex, vertex))
    if region["value"].get("closed"):
        ends.append((vertices[-1], vertices[0]))
    return tuple(((a["x"], a["y"]), (b["x"], b["y"])) for a, b in ends)


@dataclass(frozen=True)
class _Trace:
    """A line as evenly spaced points in pixels, and its length; a single point counts as one of a pixel."""

    points: Doubles
    length: float

    @classmethod
    def of(cls, lines: Sequence[Line], frame: Frame) -> _Trace:
        ends = np.array(lines) * (np.array(frame) / 100)
        lengths = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
        total = float(lengths.sum())
        parts = []
        for (start, end), length in zip(ends, lengths, strict=True):
            count = max(1, math.ceil(_SAMPLES * length / total)) if total else 1
            # the middles of `count` equal pieces, so that each point stands for as much of the line
            steps = (np.arange(count)[:, None] + 0.5) / count
            parts.append(start + steps * (end - start))
        return cls(np.concatenate(parts), max(total, 1.0))

    def along(self, other: _Trace, reach: float) -> float:
        """Return the share of this line's points that lie within `reach` of the other."""
        from scipy.spatial import cKDTree

        distances = cKDTree(other.points).query(self.points, distance_upper_bound=reach)[0]
        return float(np.isfinite(distances).mean())


KIND = Vectors()
