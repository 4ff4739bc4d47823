"""Rectangles: the edge of the picture, turned ones on oblong pictures, fusion."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import LabelError, UnsupportedControl
from adapter.kinds.base import Region, Tag
from adapter.kinds.rectangles import KIND
from adapter.vocabulary import Control

CONTROL = Control("box", "rectangles", "image", "Image", "image", ("car", "bus"), tag="RectangleLabels")
OBLONG = {"original_width": 1000, "original_height": 500}


def box(x: Any, y: Any, width: Any, height: Any, rotation: Any = 0, **envelope: Any) -> Region:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation}
    region: Region = KIND.canonical(CONTROL, [{"labels": ["car"], "value": value, "envelope": envelope}])[0]
    return region


def test_it_marks_pictures_only() -> None:
    tag = Tag("Rectangle", {"name": "box", "toName": "t"}, (), {"t": Tag("Text", {"name": "t", "value": "$t"})})
    with pytest.raises(UnsupportedControl, match="Image"):
        KIND.control(tag)


def test_what_rounding_left_outside_is_put_back_on_the_edge() -> None:
    assert box(-1e-9, 99, 10, 1.000001)["value"] == {"x": 0, "y": 99, "width": 10, "height": 1, "rotation": 0}
    untouched = {"x": 70.1, "y": 0.2, "width": 29.900000000000006, "height": 99.8, "rotation": 0}
    assert box(**untouched)["value"] == untouched


@pytest.mark.parametrize(
    "wrong",
    [(-1, 0, 5, 5), (0, 101, 5, 5), (60, 0, 50, 5), (0, 60, 5, 50), (0, 0, 0, 5), (0, 0, 5, -5), (100, 0, 0.005, 5)],
)
def test_what_lies_outside_or_marks_nothing_is_refused(wrong: tuple[float, ...]) -> None:
    with pytest.raises(LabelError) as refused:
        box(*wrong)
    assert refused.value.remedy


def test_overlap_by_hand() -> None:
    assert KIND.overlap(box(0, 0, 10, 10), box(5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert KIND.overlap(box(0, 0, 10, 10), box(10, 0, 10, 10)) == 0


def test_a_turned_box_on_an_oblong_picture_is_judged_in_pixels() -> None:
    # 100 by 100 pixels, and the same square written as a quarter turn about its top right corner
    upright = box(10, 20, 10, 20, **OBLONG)
    turned = box(20, 20, 10, 20, 90, **OBLONG)
    assert KIND.overlap(upright, turned) == pytest.approx(1)
    # in percent alone the turned one would be 20 wide and 10 high
    assert KIND.overlap(box(10, 20, 10, 20), box(20, 20, 10, 20, 90)) < 0.9


@given(st.floats(-360, 0), st.floats(20, 60), st.floats(5, 20))
def test_a_full_turn_changes_nothing(angle: float, x: float, side: float) -> None:
    a, b = box(x, 50, side, 10, angle, **OBLONG), box(x, 50, side, 10, angle + 360, **OBLONG)
    assert KIND.overlap(a, b) == pytest.approx(1, abs=1e-6)


def test_the_frame_of_one_person_is_enough_and_nonsense_in_it_does_no_harm() -> None:
    known, unknown = box(10, 20, 10, 20, **OBLONG), box(20, 20, 10, 20, 90)
    assert KIND.overlap(known, unknown) == pytest.approx(1)
    strange = box(20, 20, 10, 20, 90, original_width="wide", original_height=-3, image_rotation=None)
    assert KIND.overlap(strange, known) == pytest.approx(1)


def test_fusion_takes_the_middle_and_mistrusts_the_one_that_slipped() -> None:
    near = [box(10, 10, 20, 20), box(12, 10, 20, 20)]
    assert KIND.fuse(near, [1, 1]) == {"x": 11, "y": 10, "width": 20, "height": 20, "rotation": 0}
    with_slip = KIND.fuse([*near, box(18, 18, 20, 20)], [1, 1, 1])
    mean = (10 + 12 + 18) / 3
    assert with_slip["x"] < mean - 0.5
    assert KIND.fuse([*near], [3, 1])["x"] == pytest.approx(10.5)


def test_turned_boxes_written_in_different_ways_fuse_to_one() -> None:
    one = box(30, 20, 10, 8, 20, **OBLONG)
    corners = KIND.area(one, (1000, 500)).exterior.coords
    # the same box from its next corner on: a quarter further, sides swapped
    x, y = corners[1]
    again = box(x / 10, y / 5, 8 * 5 / 10, 10 * 10 / 5, 110, **OBLONG)
    assert KIND.overlap(one, again) == pytest.approx(1, abs=1e-6)
    fused: Region = {**one, "value": KIND.fuse([one, again], [1, 1])}
    assert KIND.overlap(fused, one) == pytest.approx(1, abs=1e-6)
    assert 0 <= fused["value"]["rotation"] <= 360


def test_many_boxes_are_compared_at_once_as_one_by_one() -> None:
    a = [box(n, n, 20, 10, item_index=n % 2) for n in range(0, 60, 5)]
    b = [box(n + 1, n, 20, 10, item_index=n % 2) for n in range(0, 60, 5)]
    table = KIND.overlaps(a, b)
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            assert table[i, j] == pytest.approx(KIND.overlap(one, other))
