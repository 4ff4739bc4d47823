"""`backends.pixels:Pixels`: small grey images and logistic regression. For figures and shapes, not for photographs."""

from __future__ import annotations

import base64
import binascii
import io
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adapter.errors import BackendError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.files import damaged, read_model, write_model
from backends.head import Head, checked, fit_head
from backends.options import need_fields, positive, refuse_unknown, whole

NAME = "Pixels"
OPTIONS = ("size", "c", "max_pixels", "media_root")
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
MAX_BYTES = 32 * 1024 * 1024
FILE_SCHEME = "hitl-file:"


class Pixels:
    """Images made grey and `size` x `size`; a linear model on the pixels.

    fields: task fields; the first one that holds an image counts. An image is a `data:` URI, or a file under
    `media_root`: `hitl-file:<relative path>` or a plain path. Files elsewhere and web addresses are never opened. c:
    inverse strength of regularisation. max_pixels: larger images are not decoded. Probabilities are calibrated as
    `backends.head` says.
    """

    def __init__(
        self,
        fields: Sequence[str],
        *,
        size: int = 16,
        c: float = 0.3,
        max_pixels: int = 25_000_000,
        media_root: str = "",
        **unknown: object,
    ) -> None:
        refuse_unknown(NAME, unknown, OPTIONS)
        self.fields = need_fields(NAME, fields)
        self.size = whole(NAME, "size", size, 2, 128)
        self.c = positive(NAME, "c", c)
        self.max_pixels = whole(NAME, "max_pixels", max_pixels, 1, 200_000_000)
        self._root = Path(media_root).resolve() if media_root else None
        self._head: Head | None = None

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        """Train from scratch; see `adapter.ports.Backend`."""
        pixels = self._pixels(examples)
        readable = np.asarray(~np.isnan(pixels).any(axis=1))
        goal, mass, rows = checked(examples, targets, weights, readable, f"an image in {list(self.fields)}")
        kept = pixels[rows].astype(np.float64)
        keys = [row.tobytes().hex() for row in pixels[rows]]
        self._head = fit_head(self._scaled(kept), goal, mass, multiple=multiple, c=self.c, keys=keys, seed=seed)

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        """Return probabilities (n, k); NaN rows where there is no image that can be read."""
        if self._head is None:
            raise BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
        pixels = self._pixels(examples)
        rows = np.flatnonzero(~np.isnan(pixels).any(axis=1))
        out = np.full((len(examples), len(self._head.bias)), np.nan, np.float32)
        if len(rows):
            out[rows] = self._head.predict(self._scaled(pixels[rows].astype(np.float64)))
        return out

    def embed(self, examples: Sequence[JsonObject]) -> Floats:
        """Return vectors (n, size * size): pixels less their mean, length 1. Zero for what cannot be read, and for
        images of one even tone. Needs no `fit`."""
        pixels = np.nan_to_num(self._pixels(examples), nan=0.0)
        centred = pixels - pixels.mean(axis=1, keepdims=True)
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        out: Floats = np.where(length > 1e-6, centred / np.maximum(length, 1e-6), 0.0).astype(np.float32)
        return out

    def save(self, folder: Path) -> None:
        """Write the model into an empty folder."""
        if self._head is None:
            raise BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
        write_model(folder, NAME, {"size": self.size, "head": self._head.meta()}, self._head.arrays())

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError."""
        meta, arrays = read_model(folder, NAME)
        try:
            head, size = Head.from_parts(meta, arrays), whole(NAME, "size", meta["size"], 2, 128)
            if head.coef.shape[0] != size * size:
                raise ValueError(f"{size} x {size} pixels do not fit the coefficients")
        except (KeyError, TypeError, ValueError, BackendError) as error:
            raise damaged(folder, NAME, str(error)) from error
        self._head, self.size = head, size

    def _scaled(
        self, pixels: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Return pixels so that `c` means the same at every size."""
        return (pixels - 0.5) * (16.0 / self.size)

    def _pixels(self, examples: Sequence[JsonObject]) -> Floats:
        """Return grey values (n, size * size) in 0..1; NaN rows for what cannot be read."""
        out = np.full((len(examples), self.size * self.size), np.nan, np.float32)
        for row, example in enumerate(examples):
            for field in self.fields:
                raw = self._bytes(example.get(field))
                grey = self._grey(raw) if raw is not None else None
                if grey is not None:
                    out[row] = grey
                    break
        return out

    def _grey(self, raw: bytes) -> Floats | None:
        from PIL import Image

        try:
            with Image.open(io.BytesIO(raw), formats=FORMATS) as image:  # reads the header only
                if image.width * image.height > self.max_pixels:
                    return None
                image.draft("L", (self.size * 2, self.size * 2))
                if "A" in image.getbands() or "transparency" in image.info:
                    clear = image.convert("RGBA")
                    image_ = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("L")
                else:
                    image_ = image.convert("L")
                small = image_.resize(
                    (self.size, self.size),
                    Image.Resampling.BOX if image_.width > self.size else Image.Resampling.BILINEAR,
                )
                grey: Floats = np.asarray(small, np.float32).ravel() / 255.0
                return grey
        except Exception:  # a hostile image may raise anything; what cannot be read is a row of NaN
            return None

    def _bytes(self, value: object) -> bytes | None:
        if not isinstance(value, str) or len(value) > 2 * MAX_BYTES:
            return None
        if value.startswith("data:"):
            head, comma, body = value.partition(",")
            if not comma:
                return None
            try:
                if head.endswith(";base64"):
                    return base64.b64decode(body, validate=False)
                return urllib.parse.unquote_to_bytes(body)
            except (binascii.Error, ValueError):
                return None
        return self._file(value.removeprefix(FILE_SCHEME))

    def _file(self, name: str) -> bytes | None:
        """Return a file's bytes if it lies under `media_root`, links followed, and is no larger than it may be."""
        if self._root is None or not name or "\x00" in name:
            return None
        try:
            path = (self._root / name).resolve()
            if not path.is_relative_to(self._root) or not path.is_file() or path.stat().st_size > MAX_BYTES:
                return None
            return path.read_bytes()
        except (OSError, RuntimeError, ValueError):
            return None
