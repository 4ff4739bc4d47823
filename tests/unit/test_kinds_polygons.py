"""Polygons: loops, lines, limits, fusion of two and of three."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.polygons import KIND, MOST_POINTS
from adapter.vocabulary import Control

CONTROL = Control("area", "polygons", "image", "Image", "image", ("lake",), tag="PolygonLabels")


def area(*points: Any) -> Region:
    value = {"points": [list(point) for point in points], "closed": True}
    region: Region = KIND.canonical(CONTROL, [{"labels": ["lake"], "value": value}])[0]
    return region


def square(x: float, y: float, side: float) -> Region:
    return area((x, y), (x + side, y), (x + side, y + side), (x, y + side))


def test_where_it_starts_and_which_way_round_it_runs_does_not_matter() -> None:
    corners = [(10, 10), (40, 12), (38, 50), (9, 44)]
    other = [corners[2], corners[1], corners[0], corners[3]]
    assert KIND.overlap(area(*corners), area(*other)) == pytest.approx(1)


def test_one_that_crosses_itself_is_no_error() -> None:
    bow = area((0, 0), (50, 50), (50, 0), (0, 50))
    assert KIND.overlap(bow, square(0, 0, 50)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "points", [[(0, 0), (50, 50)], [(0, 0), (50, 50), (100, 100)], [(0, 0), (50, 0), (120, 50)], [(1, 2), (3,), (4, 5)]]
)
def test_lines_and_points_outside_are_refused(points: Any) -> None:
    with pytest.raises(LabelError) as refused:
        area(*points)
    assert refused.value.remedy


def test_the_limit_of_points_is_named() -> None:
    with pytest.raises(LabelError, match=f"{MOST_POINTS + 1:,} points"):
        area(*[(n % 100, n % 97) for n in range(MOST_POINTS + 1)])


def test_of_two_people_the_outline_half_way_between() -> None:
    fused: Region = {**square(0, 0, 1), "value": KIND.fuse([square(20, 20, 20), square(20, 20, 30)], [1, 1])}
    assert KIND.overlap(fused, square(20, 20, 25)) > 0.98


def test_of_three_the_area_of_most() -> None:
    drawn = [square(10, 10, 40), square(12, 10, 40), square(60, 60, 30)]
    fused: Region = {**drawn[0], "value": KIND.fuse(drawn, [1, 1, 1])}
    assert KIND.overlap(fused, area((12, 10), (50, 10), (50, 50), (12, 50))) > 0.99
    heavy: Region = {**drawn[0], "value": KIND.fuse(drawn, [1, 1, 5])}
    assert KIND.overlap(heavy, drawn[2]) > 0.99


def test_where_nothing_is_shared_the_heaviest_stands() -> None:
    drawn = [square(0, 0, 10), square(30, 30, 10), square(60, 60, 10)]
    assert KIND.fuse(drawn, [1, 1.2, 1]) == drawn[1]["value"]
