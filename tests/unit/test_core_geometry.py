"""Plane geometry: outlines, overlap, medians, majorities, and time on hostile outlines."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapter.core import geometry

coordinate = st.floats(0, 100)
points = st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=12)
boxes = st.tuples(coordinate, coordinate, st.floats(1, 50), st.floats(1, 50))


def square(x: float, y: float, side: float) -> Any:
    return geometry.area_of([(x, y), (x + side, y), (x + side, y + side), (x, y + side)])


def test_a_quarter_turn_swings_the_box_to_the_left_of_its_corner() -> None:
    # clockwise on the page, where y points down: what lay to the right then lies below, what lay below to the left
    corners = geometry.rectangle_corners(50, 50, 20, 10, 90)
    assert corners == pytest.approx(np.array([[50, 50], [50, 70], [40, 70], [40, 50]]))


def test_corners_agree_with_label_studios_own_converter() -> None:
    from label_studio_sdk.converter.utils import convert_annotation_to_yolo_obb

    label = {"original_width": 640, "original_height": 480, "x": 30, "y": 20, "width": 25, "height": 10, "rotation": 33}
    theirs = convert_annotation_to_yolo_obb(label, normalize=False)
    ours = geometry.rectangle_corners(30 * 6.4, 20 * 4.8, 25 * 6.4, 10 * 4.8, 33)
    assert ours == pytest.approx(np.array(theirs))


def test_an_ellipse_has_its_own_area() -> None:
    area = geometry.area_of(geometry.ellipse_outline(0, 0, 30, 10, 25))
    assert area.area == pytest.approx(math.pi * 300, rel=1e-6)


def test_a_bow_tie_covers_both_its_loops() -> None:
    bow = geometry.area_of([(0, 0), (10, 10), (10, 0), (0, 10)])
    assert bow.area == pytest.approx(50)
    assert geometry.area_of([(0, 0), (5, 5), (10, 10)]).is_empty


@given(points, points)
@example([(46.0, 1.0), (45.0, 0.0), (0.0, 0.0), (1.0, 0.0)], [(46.0, 1.0), (45.0, 0.0), (0.0, 1.0), (46.0, 0.0)])
def test_overlap_is_symmetric_and_between_0_and_1(a: list[tuple[float, float]], b: list[tuple[float, float]]) -> None:
    one, other = geometry.area_of(a), geometry.area_of(b)
    there, back = geometry.iou(one, other), geometry.iou(other, one)
    assert 0 <= there <= 1
    assert there == pytest.approx(back, abs=1e-6)
    if one.area > 1e-3:
        assert geometry.iou(one, one) == pytest.approx(1, abs=1e-6)


@given(boxes, boxes)
def test_overlap_of_boxes_is_that_of_their_areas(a: Any, b: Any) -> None:
    quick = geometry.box_iou(a, b)
    slow = geometry.iou(*(geometry.area_of(geometry.rectangle_corners(*box, 0)) for box in (a, b)))
    assert quick == pytest.approx(slow, abs=1e-6)
    assert quick == geometry.box_iou(b, a)
    assert geometry.box_iou(a, a) == 1.0


@given(boxes, st.floats(-360, 360))
def test_a_full_turn_changes_nothing(box: Any, angle: float) -> None:
    once = geometry.area_of(geometry.rectangle_corners(*box, angle))
    again = geometry.area_of(geometry.rectangle_corners(*box, angle + 360))
    assert geometry.iou(once, again) == pytest.approx(1, abs=1e-6)


def test_hostile_outlines_take_little_time() -> None:
    rng = np.random.default_rng(0)
    teeth = np.arange(2_400)
    comb = np.stack([(teeth // 2) / 12, np.where(teeth // 2 % 2 == teeth % 2, 1.0, 100.0)], axis=1)
    comb = np.vstack([comb, [[100, 0], [0, 0]]])
    started = time.perf_counter()
    for outline, other in ((rng.random((10_000, 2)), rng.random((10_000, 2))), (comb, comb[:, ::-1])):
        geometry.iou(geometry.area_of(outline), geometry.area_of(other))
    assert time.perf_counter() - started < 20


def test_a_long_smooth_outline_keeps_its_area() -> None:
    angles = np.linspace(0, 2 * np.pi, 5_000, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) * 40
    assert geometry.area_of(circle).area == pytest.approx(math.pi * 1600, rel=1e-3)


def test_most_of_the_weight_covers_the_majority() -> None:
    areas = [square(0, 0, 10), square(0, 0, 10), square(5, 0, 10)]
    assert geometry.iou(geometry.majority(areas, [1, 1, 1]), areas[0]) == pytest.approx(1)
    assert geometry.iou(geometry.majority(areas, [1, 1, 3]), areas[2]) == pytest.approx(1)
    apart = [square(0, 0, 1), square(5, 5, 1), square(9, 9, 1)]
    assert geometry.majority(apart, [1, 1, 1]).is_empty


def test_the_outline_between_two_lies_between() -> None:
    small, large = np.array([(4, 4), (6, 4), (6, 6), (4, 6)]), np.array([(0, 0), (0, 10), (10, 10), (10, 0)])
    middle = geometry.area_of(geometry.between(small, large, 0.5))
    assert middle.area == pytest.approx(36, rel=0.02)
    assert geometry.iou(geometry.area_of(geometry.between(small, large, 0.0)), geometry.area_of(small)) > 0.999
    assert geometry.iou(geometry.area_of(geometry.between(small, large, 1.0)), geometry.area_of(large)) > 0.999


def test_a_box_that_slipped_pulls_little() -> None:
    edges = [(0, 0, 10, 10), (0, 0, 10, 10), (4, 4, 14, 14)]
    fused = geometry.fused_box(edges, [1, 1, 1])
    assert (fused < [0.2, 0.2, 10.2, 10.2]).all()
    assert geometry.fused_box(edges[1:], [1, 1]) == pytest.approx([2, 2, 12, 12])
    assert geometry.fused_box(edges[1:], [0, 0]) == pytest.approx([2, 2, 12, 12])


def test_the_nearest_turn_is_within_half_a_period() -> None:
    assert geometry.nearest_turn(350, 5, 360) == -10
    assert geometry.nearest_turn(100, 5, 90) == 10
