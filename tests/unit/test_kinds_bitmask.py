"""Bitmasks: PNG with and without transparency, hostile pictures."""

from __future__ import annotations

import base64
import io
import struct
import time
import zlib
from typing import Any

import numpy as np
import pytest

from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.bitmask import KIND
from adapter.kinds.families.masks import Mask
from adapter.vocabulary import Control

CONTROL = Control("mask", "bitmasks", "image", "Image", "image", ("road",), tag="BitmaskLabels")
PIXELS = np.pad(np.ones((4, 6), np.bool_), ((3, 5), (2, 1)))


def url(packed: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(packed).decode()


def picture(pixels: Any, mode: str) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels, mode).save(file, "PNG")
    return url(file.getvalue())


def mask(address: str) -> Region:
    region: Region = KIND.canonical(CONTROL, [{"labels": ["road"], "value": {"imageDataURL": address}}])[0]
    return region


def bomb(width: int, height: int) -> str:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000))
    return url(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def test_transparency_decides_where_there_is_any_else_black() -> None:
    colour = np.zeros((*PIXELS.shape, 4), np.uint8)
    colour[PIXELS] = (0, 0, 0, 255)  # black, but painted
    grey = PIXELS.astype(np.uint8) * 255
    for address in (picture(colour, "RGBA"), picture(grey, "L"), KIND.painted(Mask.of(PIXELS))["imageDataURL"]):
        assert (KIND.mask(mask(address)).whole() == PIXELS).all()


def test_majority_is_a_picture_again() -> None:
    drawn = [mask(picture(np.roll(PIXELS, shift, 1).astype(np.uint8) * 255, "L")) for shift in (0, 0, 1)]
    fused: Region = {**drawn[0], "value": KIND.fuse(drawn, [1, 1, 1])}
    assert KIND.overlap(fused, drawn[0]) == 1
    assert KIND.overlap(drawn[0], drawn[2]) == pytest.approx(20 / 28)


@pytest.mark.parametrize(
    "address",
    [
        bomb(60_000, 60_000),
        bomb(9_000, 9_000),
        bomb(100, 100)[:80],
        url(b"GIF89a"),
        "data:image/png;base64,&&&&",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "http://example.org/mask.png",
        picture(np.zeros((4, 4), np.uint8), "L"),
    ],
)
def test_hostile_pictures_are_refused_before_they_fill_the_memory(address: str) -> None:
    started = time.perf_counter()
    with pytest.raises(LabelError) as refused:
        mask(address)
    assert refused.value.remedy
    assert time.perf_counter() - started < 3
