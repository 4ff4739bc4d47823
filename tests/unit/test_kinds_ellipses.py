"""Ellipses: turned ones on oblong pictures, bounds, fusion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.ellipses import KIND
from adapter.vocabulary import Control

CONTROL = Control("oval", "ellipses", "image", "Image", "image", ("cell",), tag="EllipseLabels")
OBLONG = {"original_width": 1000, "original_height": 500}


def oval(x: float, y: float, radius_x: float, radius_y: float, rotation: float = 0, **envelope: Any) -> Region:
    value = {"x": x, "y": y, "radiusX": radius_x, "radiusY": radius_y, "rotation": rotation}
    region: Region = KIND.canonical(CONTROL, [{"labels": ["cell"], "value": value, "envelope": envelope or OBLONG}])[0]
    return region


def test_a_circle_in_pixels_may_be_turned_at_will() -> None:
    assert KIND.overlap(oval(50, 50, 5, 10), oval(50, 50, 5, 10, 37)) > 0.99
    assert KIND.overlap(oval(50, 50, 10, 10), oval(50, 50, 10, 10, 90)) < 0.5


def test_overlap_of_one_inside_the_other_is_the_ratio_of_areas() -> None:
    assert KIND.overlap(oval(50, 50, 10, 10), oval(50, 50, 5, 5)) == pytest.approx(0.25, abs=1e-6)


def test_the_box_around_a_turned_ellipse_touches_it() -> None:
    region = oval(40, 50, 10, 8, 30)
    outline = np.array(KIND.area(region, (1000, 500)).exterior.coords) / [10, 5]
    left, top, right, bottom = KIND.bounds(region)
    assert [*outline.min(axis=0), *outline.max(axis=0)] == pytest.approx([left, top, right, bottom], abs=0.05)


def test_a_quarter_turn_with_swapped_axes_fuses_with_the_plain_one() -> None:
    plain, swapped = oval(50, 50, 10, 10, 0), oval(50, 50, 5, 20, 90)
    assert KIND.overlap(plain, swapped) == pytest.approx(1, abs=1e-6)
    fused: Region = {**plain, "value": KIND.fuse([plain, swapped], [1, 1])}
    assert KIND.overlap(fused, plain) == pytest.approx(1, abs=1e-6)


def test_a_centre_outside_is_refused() -> None:
    with pytest.raises(LabelError, match="'x'"):
        oval(110, 50, 5, 5)
