"""Brush: Label Studio's run-length code, hostile code, overlap and majority of pixels."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.brush import KIND, MOST_BYTES
from adapter.kinds.families.masks import MOST_PIXELS, Mask, mask_majority
from adapter.vocabulary import Control

CONTROL = Control("paint", "brush", "image", "Image", "image", ("road",), tag="BrushLabels")
HEIGHT, WIDTH = 30, 40


def painted(rows: slice, columns: slice) -> Any:
    pixels = np.zeros((HEIGHT, WIDTH), np.bool_)
    pixels[rows, columns] = True
    return pixels


def stroke(pixels: Any, **envelope: Any) -> Region:
    sides = {"original_width": pixels.shape[1], "original_height": pixels.shape[0], **envelope}
    value = KIND.painted(Mask.of(pixels))
    region: Region = KIND.canonical(CONTROL, [{"labels": ["road"], "value": value, "envelope": sides}])[0]
    return region


def test_the_sdk_reads_what_is_written_and_the_other_way_round() -> None:
    from label_studio_sdk.converter.brush import decode_rle, mask2rle

    pixels = painted(slice(3, 9), slice(10, 35))
    region = stroke(pixels)
    assert (KIND.mask(region).whole() == pixels).all()
    theirs = decode_rle(region["value"]["rle"]).reshape(HEIGHT, WIDTH, 4)[:, :, 3] > 0
    assert (theirs == pixels).all()
    assert region["value"]["rle"] == mask2rle(pixels.astype(np.uint8) * 255)


def test_overlap_and_words_by_hand() -> None:
    a, b = stroke(painted(slice(0, 10), slice(0, 10))), stroke(painted(slice(0, 10), slice(5, 15)))
    assert KIND.overlap(a, b) == pytest.approx(1 / 3)
    assert KIND.where(a) == "at x 0.0 to 25.0 %, y 0.0 to 33.3 %, 8.3 % of the picture"
    assert KIND.overlap(a, stroke(np.ones((9, 9), np.bool_))) == 0


def test_most_of_the_weight_decides_each_pixel() -> None:
    a, b, c = (stroke(painted(slice(0, 10), slice(left, left + 10))) for left in (0, 5, 20))
    fused: Region = {**a, "value": KIND.fuse([a, b, c], [1, 1, 1])}
    assert (KIND.mask(fused).whole() == painted(slice(0, 10), slice(5, 10))).all()
    heavy: Region = {**a, "value": KIND.fuse([a, b, c], [1, 1, 3])}
    assert KIND.overlap(heavy, c) == 1


def test_of_two_people_the_border_runs_half_way() -> None:
    small, large = Mask.of(painted(slice(10, 20), slice(10, 20))), Mask.of(painted(slice(6, 24), slice(6, 24)))
    middle = mask_majority([small, large], [1, 1])
    assert small.area < middle.area < large.area
    assert middle.area == pytest.approx(14 * 14, rel=0.15)


def test_where_nothing_is_shared_the_heaviest_stands() -> None:
    drawn = [stroke(painted(slice(0, 3), slice(left, left + 3))) for left in (0, 10, 20)]
    assert KIND.fuse(drawn, [1, 2, 1]) in [region["value"] for region in drawn]


@pytest.mark.parametrize(
    ("code", "sides"),
    [
        ([0, 0, 18, 192], (40, 30)),  # no run at all
        ([0, 0, 18, 192, 57, 61, 255, 8, 1], (40, 30)),  # ends in the middle of a run
        ([0, 0, 18, 193, 57, 61, 255] + [8] * 90, (40, 30)),  # one value more than the picture has
        ([255] * 40, (40, 30)),
        ([0, 0, 18, 192, 255, 255, 255] + [255] * 90, (40, 30)),  # values of 32 bits
        ([0, 0, 18, 192, 57, 61, 255] + [0] * 2000, (40, 30)),  # paints nothing
        ([1, 2, 3, "4", 5, 6, 7, 8], (40, 30)),
        ([1, 2, 3, 400, 5, 6, 7, 8], (40, 30)),
        ([0] * (MOST_BYTES + 1), (40, 30)),
        ([47, 175, 8, 0] + [255] * 60, (20_000, 10_000)),
    ],
)
def test_code_that_is_none_is_refused_before_it_fills_the_memory(code: Any, sides: tuple[int, int]) -> None:
    envelope = {"original_width": sides[0], "original_height": sides[1]}
    started = time.perf_counter()
    with pytest.raises(LabelError) as refused:
        KIND.canonical(CONTROL, [{"value": {"format": "rle", "rle": code}, "envelope": envelope}])
    assert refused.value.remedy
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize("side", [None, 0, -4, 1.5, "40", float(MOST_PIXELS)])
def test_a_mask_must_say_how_large_its_picture_is(side: Any) -> None:
    good = stroke(painted(slice(0, 5), slice(0, 5)))
    with pytest.raises(LabelError) as refused:
        KIND.canonical(CONTROL, [{**good, "envelope": {"original_width": side, "original_height": 30}}])
    assert refused.value.remedy
