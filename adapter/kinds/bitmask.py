"""Bitmasks on a picture: `<BitmaskLabels>` and `<Bitmask>` of Label Studio, as PNG.

value: `imageDataURL` is `data:image/png;base64,...`, a picture of the size of the one that is labeled. Painted are the
pixels that are not transparent; in a PNG without transparency those that are not black.
"""

from __future__ import annotations

import base64
import binascii
import functools
import io
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.families.masks import MOST_PIXELS, Mask, Masks
from adapter.vocabulary import Control

MOST_CHARS = 4_000_000
"""Of one region's data URL."""
_START = "data:image/png;base64,"


class Bitmasks(Masks):
    """The kind of bitmasks."""

    name = "bitmasks"
    tags = ("BitmaskLabels", "Bitmask")
    types = ("bitmasklabels", "bitmask")
    label_key: ClassVar[Mapping[str, str | None]] = {"BitmaskLabels": "bitmasklabels"}

    def shape(self, control: Control, value: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Return imageDataURL. A picture that is too large is refused by its header, before it is unpacked. One without
        transparency is made anew with it: Label Studio's page paints every pixel that is not transparent."""
        url = value.get("imageDataURL")
        if not isinstance(url, str) or not url.startswith(_START) or len(url) > MOST_CHARS:
            raise LabelError(
                f"a mask of '{control.name}' holds no PNG",
                remedy=f"imageDataURL starts with '{_START}' and has at most {MOST_CHARS:,} characters.",
            )
        try:
            mask, clear = _mask(url)
        except ValueError as error:
            raise LabelError(
                f"the PNG of a mask of '{control.name}' cannot be read: {str(error)[:80]}",
                remedy="Open the annotation in Label Studio and submit it again.",
            ) from error
        if not mask.area:
            raise LabelError(f"a mask of '{control.name}' paints no pixel", remedy="Remove it, or paint the thing.")
        return {"imageDataURL": url} if clear else self.painted(mask)

    def mask(self, region: Region) -> Mask:
        """Return the painted pixels."""
        return _mask(region["value"]["imageDataURL"])[0]

    def painted(self, mask: Mask) -> dict[str, Any]:
        """Return the PNG of a mask: black where painted, transparent elsewhere."""
        from PIL import Image

        alpha = mask.whole().astype(np.uint8) * 255
        picture = np.stack([np.zeros_like(alpha), alpha], axis=-1)
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        return {"imageDataURL": _START + base64.b64encode(file.getvalue()).decode()}


@functools.lru_cache(maxsize=128)
def _mask(url: str) -> tuple[Mask, bool]:
    """Decode a data URL; return the mask, and whether transparency says what is painted. Raises ValueError."""
    from PIL import Image

    try:
        packed = base64.b64decode(url[len(_START) :], validate=True)
    except binascii.Error as error:
        raise ValueError("it is no base64") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(packed), formats=("PNG",))
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(f"more than {MOST_PIXELS:,} pixels")
        clear = picture.mode in ("LA", "RGBA", "PA") or "transparency" in picture.info
        layer = picture.convert("RGBA").getchannel("A") if clear else picture.convert("L")
    except (OSError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(str(error) or "it is no PNG") from error
    return Mask.of(np.asarray(layer) > 0), clear


KIND = Bitmasks()
