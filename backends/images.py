"""Reading the images of examples, for every backend here that looks at one. What an example holds is hostile: nothing
outside `media_root` is opened, nothing is fetched, and what cannot be decoded within limits is None, never an error.
"""

from __future__ import annotations

import base64
import io
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
MAX_BYTES = 32 * 1024 * 1024
MAX_PIXELS = 25_000_000
FILE_SCHEME = "hitl-file:"
ORIENTATION = 0x0112  # EXIF tag; 5 to 8 stand for a picture lying on its side


class ImageReader:
    """Images by what a task says of them: a `data:` URI, or a file under `media_root` as `hitl-file:<relative path>` or
    a plain path. Files elsewhere and web addresses are never opened. Thread-safe.

    media_root: "" for no files at all. max_pixels: larger images are not decoded.
    """

    def __init__(self, media_root: str = "", max_pixels: int = MAX_PIXELS) -> None:
        self.max_pixels = max_pixels
        self._root = Path(media_root).resolve() if media_root else None

    def bytes_of(self, value: object) -> bytes | None:
        """Return the undecoded content, at most MAX_BYTES; None if there is none that may be read."""
        if not isinstance(value, str) or len(value) > 3 * MAX_BYTES + 1000:
            return None
        if value[:5].lower() == "data:":
            head, comma, body = value.partition(",")
            if not comma:
                return None
            try:
                raw = urllib.parse.unquote_to_bytes(body) if "%" in body else body.encode()
                raw = base64.b64decode(raw) if head.lower().rstrip().endswith(";base64") else raw
            except ValueError:  # binascii.Error and UnicodeEncodeError are such
                return None
            return raw if len(raw) <= MAX_BYTES else None
        return self._file(value.removeprefix(FILE_SCHEME))

    def size(self, value: object) -> tuple[int, int] | None:
        """Return width and height in pixels as a browser shows it, from the header alone; None if it cannot be
        read."""
        from PIL import Image

        raw = self.bytes_of(value)
        if raw is None:
            return None
        try:
            with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
                if image.width * image.height > self.max_pixels:
                    return None
                turned = image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
                return (image.height, image.width) if turned else (image.width, image.height)
        except Exception:  # a hostile image may raise anything
            return None

    def rgb(self, value: object, *, largest: int | None = None) -> Image | None:
        """Return the image in colour, upright as a browser shows it, transparency on white; None if it cannot be read.

        largest: longest side in pixels that is wanted; larger images are scaled down to it, in proportion.
        """
        raw = self.bytes_of(value)
        image = self.decode(raw, "RGB", largest) if raw is not None else None
        if image is not None and largest is not None and max(image.size) > largest:
            factor = largest / max(image.size)
            width, height = (max(1, round(side * factor)) for side in image.size)
            image = image.resize((width, height), reducing_gap=3.0)
        return image

    def decode(self, raw: bytes, mode: str, near: int | None = None) -> Image | None:
        """Return the image of these bytes in PIL mode `L` or `RGB`, upright, transparency on white; None if it cannot
        be read. near: no side need be larger than about this, which spares work with large JPEG files."""
        from PIL import Image, ImageOps

        try:
            with Image.open(io.BytesIO(raw), formats=FORMATS) as opened:  # reads the header only
                if opened.width * opened.height > self.max_pixels:
                    return None
                if near is not None:
                    opened.draft(mode, (near, near))
                image: Image.Image = ImageOps.exif_transpose(opened)
                if image.mode.startswith(("I", "F")):  # 16 bits a pixel, which `convert` would cut at 255
                    deep = np.asarray(image, np.float64) / (257.0 if image.mode.startswith("I") else 1.0)
                    image = Image.fromarray(np.clip(deep, 0, 255).astype(np.uint8))
                if "A" in image.getbands() or "transparency" in image.info:
                    clear = image.convert("RGBA")
                    image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
                return image.convert(mode)
        except Exception:  # a hostile image may raise anything
            return None

    def _file(self, name: str) -> bytes | None:
        """Return a file's bytes if it lies under `media_root`, links followed, and is no larger than it may be."""
        if self._root is None or not name or "\x00" in name:
            return None
        try:
            path = (self._root / name).resolve()
            if not path.is_relative_to(self._root) or not path.is_file():
                return None
            with path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
            return raw if len(raw) <= MAX_BYTES else None
        except (OSError, RuntimeError, ValueError):
            return None
