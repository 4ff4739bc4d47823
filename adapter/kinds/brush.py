"""Brush strokes on a picture: `<BrushLabels>`, `<Brush>` and `<MagicWand>` of Label Studio, as run-length code.

value: `format` is `rle`, `rle` a list of bytes: 32 bits the number of values (four channels a pixel, row by row), 5
bits the word size less 1, four times 4 bits the sizes of run lengths, then runs. The painted pixels are those whose
fourth channel (alpha) is not 0.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.families.masks import MOST_PIXELS, Mask, Masks
from adapter.kinds.families.plane import side
from adapter.vocabulary import Control

MOST_BYTES = 1_000_000
"""Of one region's run-length code."""
_CHANNELS = 4
_HEADER = 8  # bytes that hold the header and the first run
_WORD = 8  # bits of a value: the only size that Label Studio writes


class Brush(Masks):
    """The kind of brush strokes."""

    name = "brush"
    tags = ("BrushLabels", "Brush", "MagicWand")
    types = ("brushlabels", "brush", "magicwand")
    label_key: ClassVar[Mapping[str, str | None]] = {"BrushLabels": "brushlabels"}

    def shape(self, control: Control, value: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Return format and rle. Code that promises more pixels than the picture has is refused before it is read."""
        code = value.get("rle")
        if value.get("format") != "rle" or not isinstance(code, list | tuple):
            raise LabelError(
                f"a mask of '{control.name}' has no run-length code",
                remedy="Its value holds format='rle' and rle=[bytes]; label_studio_sdk.converter.brush makes it.",
            )
        if not _HEADER <= len(code) <= MOST_BYTES or not all(type(byte) is int and 0 <= byte <= 255 for byte in code):
            raise LabelError(
                f"the run-length code of a mask of '{control.name}' is no list of {_HEADER} to {MOST_BYTES:,} bytes",
                remedy="Numbers are 0 to 255; paint large masks in several regions.",
            )
        width, height = (_side(control, envelope, key) for key in ("original_width", "original_height"))
        try:
            mask = _mask(bytes(code), width, height)
        except (ValueError, IndexError, OverflowError) as error:
            raise LabelError(
                f"the run-length code of a mask of '{control.name}' cannot be read: {str(error)[:80]}",
                remedy=f"It must hold {width} x {height} pixels of four channels.",
            ) from error
        if not mask.area:
            raise LabelError(f"a mask of '{control.name}' paints no pixel", remedy="Remove it, or paint the thing.")
        return {"format": "rle", "rle": list(code)}

    def mask(self, region: Region) -> Mask:
        """Return the painted pixels."""
        sides = region["envelope"]
        return _mask(bytes(region["value"]["rle"]), int(sides["original_width"]), int(sides["original_height"]))

    def painted(self, mask: Mask) -> dict[str, Any]:
        """Return the run-length code of a mask."""
        from label_studio_sdk.converter.brush import mask2rle

        return {"format": "rle", "rle": [int(byte) for byte in mask2rle(mask.whole().astype(np.uint8) * 255)]}


def _side(control: Control, envelope: Mapping[str, Any], key: str) -> int:
    found = side(envelope, key)
    if not found or found != int(found):
        raise LabelError(
            f"a mask of '{control.name}' does not say how large its picture is",
            remedy="Give original_width and original_height in pixels beside the value.",
        )
    return int(found)


@functools.lru_cache(maxsize=256)
def _mask(code: bytes, width: int, height: int) -> Mask:
    """Decode run-length code. Raises ValueError, IndexError or OverflowError on code that is none."""
    from label_studio_sdk.converter.brush import decode_rle

    if width * height > MOST_PIXELS:
        raise ValueError(f"more than {MOST_PIXELS:,} pixels")
    values = int.from_bytes(code[:4], "big")
    if values != _CHANNELS * width * height:
        raise ValueError(f"{values:,} values instead of {_CHANNELS * width * height:,}")
    if (code[4] >> 3) + 1 != _WORD:
        raise ValueError(f"values of {(code[4] >> 3) + 1} bits instead of {_WORD}")
    channels = decode_rle(code)
    return Mask.of(channels.reshape(height, width, _CHANNELS)[:, :, 3] > 0)


KIND = Brush()
