"""Plane geometry of marked places: outlines in pixels, how they overlap, and what several of them stand for.

A turned shape keeps its angles only where both axes have one unit: all here is in pixels, never in percent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from adapter.core.matching import weighted_median

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Doubles = npt.NDArray[np.float64]

_CIRCLE = 64  # corners of the polygon that stands for an ellipse
_GRID = 1e-9  # of the coordinates, in their own unit
_MOST_POINTS = 1_000  # of an outline: two combs of n teeth cross n * n times
_MOST_CROSSED = 128  # of one that crosses itself, perhaps n * n times


def rectangle_corners(x: float, y: float, width: float, height: float, degrees: float) -> Doubles:
    """Return the corners (4, 2) of a rectangle that was turned clockwise (y points down) about its corner (x, y)."""
    turn = math.radians(degrees)
    along = np.array([math.cos(turn), math.sin(turn)])
    down = np.array([-along[1], along[0]])
    start = np.array([x, y])
    return np.array([start, start + width * along, start + width * along + height * down, start + height * down])


def ellipse_outline(x: float, y: float, radius_x: float, radius_y: float, degrees: float) -> Doubles:
    """Return a polygon (64, 2) of the ellipse's own area about the centre (x, y), turned clockwise (y points down)."""
    step = 2 * math.pi / _CIRCLE
    angles = np.arange(_CIRCLE) * step
    grown = math.sqrt(step / math.sin(step))  # a polygon with corners on the ellipse would be 0.2 % too small
    points = np.stack([radius_x * grown * np.cos(angles), radius_y * grown * np.sin(angles)], axis=1)
    turn = math.radians(degrees)
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    placed: Doubles = points @ rotation + np.array([x, y])
    return placed


def area_of(points: npt.ArrayLike) -> BaseGeometry:
    """Return the area inside a closed outline (n, 2). One that crosses itself is repaired; one that encloses nothing
    gives an empty geometry. Bounded in time: outlines of more than 1,000 points (128 where they cross themselves)
    are simplified (Douglas and Peucker 1973), by at most 1/1000 of their extent, else sampled."""
    from shapely import make_valid
    from shapely.geometry import Polygon

    outline = _simplified(np.asarray(points, np.float64), _MOST_POINTS)
    if len(outline) < 3:
        return Polygon()
    shape = Polygon(outline)
    if shape.is_valid:
        return shape
    outline = _simplified(outline, _MOST_CROSSED)
    # the default method takes minutes on 500 hostile points, this one milliseconds
    repaired = make_valid(Polygon(outline), method="structure", keep_collapsed=False) if len(outline) > 2 else Polygon()
    return areal(repaired)


def _simplified(outline: Doubles, most: int) -> Doubles:
    """Return the outline with at most so many points; as a line, since simplifying areas mends them, which takes
    minutes."""
    from shapely.geometry import LineString

    if len(outline) <= most:
        return outline
    line = LineString(np.vstack([outline, outline[:1]]))
    extent = math.hypot(*np.ptp(outline, axis=0))
    for tolerance in 1e-5 * extent * 2.0 ** np.arange(8):
        simple: Doubles = np.asarray(line.simplify(tolerance, preserve_topology=False).coords)[:-1]
        if len(simple) <= most:
            return simple
    sample: Doubles = outline[np.linspace(0, len(outline) - 1, most).astype(int)]  # no hand drew it: this must do
    return sample


def areal(shape: BaseGeometry) -> BaseGeometry:
    """Return the part of a geometry that has area: repairs and intersections leave lines and points behind."""
    from shapely import union_all
    from shapely.geometry import MultiPolygon, Polygon

    if isinstance(shape, Polygon | MultiPolygon):
        return shape
    return union_all([part for part in getattr(shape, "geoms", ()) if isinstance(part, Polygon | MultiPolygon)])


def iou(a: BaseGeometry, b: BaseGeometry) -> float:
    """Return the intersection over union of two areas, 0 to 1; 0 where both are empty."""
    import shapely

    if a.is_empty or b.is_empty:
        return 0.0
    # On a fine grid: without one, slivers of outlines that nearly touch get another area when a and b change places.
    with np.errstate(all="ignore"):  # outlines that collapse on the grid make the library divide by zero on its way
        common = float(shapely.intersection(a, b, grid_size=_GRID).area)
    whole = float(a.area) + float(b.area) - common
    return min(1.0, max(0.0, common / whole)) if whole > 0 else 0.0


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection over union of two upright boxes (x, y, width, height); 0 where neither has area."""
    return float(box_ious(np.array([a]), np.array([b]))[0, 0])


def box_ious(a: Doubles, b: Doubles) -> Doubles:
    """Return (n, m), the intersection over union of upright boxes (n, 4) and (m, 4): x, y, width, height."""
    ours, theirs = a[:, None, :].astype(np.float64), b[None, :, :].astype(np.float64)
    near = np.maximum(ours[..., :2], theirs[..., :2])
    far = np.minimum(ours[..., :2] + ours[..., 2:], theirs[..., :2] + theirs[..., 2:])
    common = np.clip(far - near, 0, None).prod(axis=-1)
    union = ours[..., 2:].prod(axis=-1) + theirs[..., 2:].prod(axis=-1) - common
    table: Doubles = np.where(common > 0, common / np.where(union > 0, union, 1.0), 0.0)
    # of equal boxes the sums would miss it by a rounding
    table[(ours == theirs).all(axis=-1) & (common > 0)] = 1.0
    return np.minimum(table, 1.0)


def median_row(rows: npt.ArrayLike, weights: Sequence[float]) -> Doubles:
    """Return the weighted median (d,) of rows (n, d), each column by itself. The order of rows does not matter."""
    columns = np.asarray(rows, np.float64).T
    return np.array([weighted_median(column.tolist(), weights) for column in columns])


def fused_box(edges: npt.ArrayLike, weights: Sequence[float]) -> Doubles:
    """Return the box (4,) that several upright boxes (n, 4) of one thing stand for: left, top, right, bottom.

    Weighted boxes fusion (Solovyev, Wang, Gabruseva 2021, section 3): the weighted mean of each edge. Of three or more
    each weight is first multiplied by the fourth power of the box's intersection over union with the median box (one
    step of iterated reweighting, Holland and Welsch 1977), so that one that slipped pulls little: in five noisy copies
    of real boxes this came nearer to the truth than the mean, and than the median.
    """
    rows, shares = np.asarray(edges, np.float64), np.asarray(weights, np.float64)
    if not shares.sum() > 0:
        shares = np.ones(len(rows))
    if len(rows) > 2:
        middle = median_row(rows, shares.tolist())
        sized = np.concatenate([rows[:, :2], rows[:, 2:] - rows[:, :2]], axis=1)
        near = box_ious(np.concatenate([middle[:2], middle[2:] - middle[:2]])[None], sized)[0] ** 4
        shares = shares * near if (shares * near).sum() > 0 else shares
    fused: Doubles = np.average(rows, axis=0, weights=shares)
    return fused


def nearest_turn(degrees: float, to: float, period: float) -> float:
    """Return the angle equal to `degrees` up to multiples of `period` that is nearest to `to`."""
    return degrees - period * round((degrees - to) / period)


def majority(areas: Sequence[BaseGeometry], weights: Sequence[float]) -> BaseGeometry:
    """Return the area that more than half of the weight covers; empty where none is.

    The lines of all areas cut the plane into faces; each face is in or out as a whole (majority voting of pixels, with
    pixels as small as they need be).
    """
    from shapely import polygonize, union_all

    lines = union_all([area.boundary for area in areas])
    faces = [face for face in polygonize([lines]).geoms if face.area > 0]
    half = sum(weights) / 2
    kept = []
    for face in faces:
        inside = face.representative_point()
        covered = sum(weight for area, weight in zip(areas, weights, strict=True) if area.contains(inside))
        if covered > half * (1 + 1e-12):
            kept.append(face)
    return areal(union_all(kept))


def outline_of(shape: BaseGeometry) -> Doubles:
    """Return the outer line (n, 2) of an area's largest part, without its holes and without points that lie within
    1/2000 of its extent of the line; (0, 2) where it is empty."""
    parts = [part for part in getattr(shape, "geoms", [shape]) if not part.is_empty]
    if not parts:
        return np.zeros((0, 2))
    largest = max(parts, key=lambda part: part.area)
    left, top, right, bottom = largest.bounds
    simple = largest.simplify(math.hypot(right - left, bottom - top) / 2000)
    return np.asarray(simple.exterior.coords, np.float64)[:-1]


def between(a: npt.ArrayLike, b: npt.ArrayLike, share: float) -> Doubles:
    """Return the closed outline (n, 2) that lies between two, `share` of the way from a to b.

    Both are run through in the same sense at even pace, b from the point that lies nearest to a's first one; every
    corner of each is a corner of the result.
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if _turning(first) * _turning(second) < 0:
        second = second[::-1]
    # try each corner of b as the start that answers to a's first
    pace = np.arange(_CIRCLE) / _CIRCLE
    marks = _along(first - first.mean(axis=0), pace)
    candidates = range(0, len(second), max(1, len(second) // 256))
    start = min(
        candidates,
        key=lambda at: float(((_along(np.roll(second, -at, axis=0) - second.mean(axis=0), pace) - marks) ** 2).sum()),
    )
    second = np.roll(second, -start, axis=0)
    stops = np.union1d(_pace(first)[:-1], _pace(second)[:-1])
    stops = stops[np.concatenate([[True], np.diff(stops) > 1e-9])]
    mixed: Doubles = (1 - share) * _along(first, stops) + share * _along(second, stops)
    return mixed


def _turning(outline: Doubles) -> float:
    """Twice the signed area: its sign says which way round an outline runs."""
    x, y = outline.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


def _pace(outline: Doubles) -> Doubles:
    """Where each corner lies along a closed outline, (n + 1,), from 0 to 1."""
    closed = np.vstack([outline, outline[:1]])
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    paced: Doubles = way / way[-1]
    return paced


def _along(outline: Doubles, stops: Doubles) -> Doubles:
    """Return the points (n, 2) at these shares of the way along a closed outline."""
    closed, pace = np.vstack([outline, outline[:1]]), _pace(outline)
    return np.stack([np.interp(stops, pace, closed[:, axis]) for axis in (0, 1)], axis=1)
