"""Key points: likeness by distance in pixels, the dot's width, fusion."""

from __future__ import annotations

import math
from typing import Any

import pytest

from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.keypoints import KIND, TOLERANCE
from adapter.vocabulary import Control

CONTROL = Control("point", "keypoints", "image", "Image", "image", ("eye", "nose"), tag="KeyPointLabels")
SQUARE = {"original_width": 100, "original_height": 100}
OBLONG = {"original_width": 400, "original_height": 100}


def point(x: float, y: float, width: float | None = 0.5, label: str = "eye", **envelope: Any) -> Region:
    value = {"x": x, "y": y, **({} if width is None else {"width": width})}
    region: Region = KIND.canonical(CONTROL, [{"labels": [label], "value": value, "envelope": envelope or SQUARE}])[0]
    return region


def test_likeness_falls_with_distance_as_the_object_keypoint_similarity() -> None:
    apart = 100 * TOLERANCE
    assert KIND.overlap(point(50, 50), point(50, 50)) == 1
    assert KIND.overlap(point(50, 50), point(50 + apart, 50)) == pytest.approx(math.exp(-0.5))
    assert KIND.overlap(point(50, 50), point(50, 50 + 2 * apart)) == pytest.approx(math.exp(-2))


def test_distance_counts_in_pixels() -> None:
    across = KIND.overlap(point(50, 50, **OBLONG), point(51, 50, **OBLONG))
    down = KIND.overlap(point(50, 50, **OBLONG), point(50, 54, **OBLONG))
    assert across == pytest.approx(down)


def test_a_large_dot_reaches_further() -> None:
    assert KIND.overlap(point(50, 50, 20), point(55, 50, 20)) > 0.8 > 0.2 > KIND.overlap(point(50, 50), point(55, 50))


def test_people_who_mean_one_point_are_matched_and_their_median_stands() -> None:
    people = [point(50, 50), point(50.5, 50.4), point(58, 50)]
    assert [len(thing) for thing in KIND.cluster(CONTROL, {"a": [people[0]], "b": [people[1]], "c": [people[2]]})] == [
        2,
        1,
    ]
    assert KIND.fuse(people, [1, 1, 1]) == {"x": 50.5, "y": 50.0, "width": 0.5}
    assert KIND.fuse([people[0], point(52, 52, None)], [1, 1]) == {"x": 51.0, "y": 51.0}


def test_outside_is_refused() -> None:
    with pytest.raises(LabelError, match="'y'"):
        point(5, 101)
