"""`backends.pixels:Pixels`: small grey images and a kernel model. For figures and shapes, not for photographs."""

from __future__ import annotations

import base64
import binascii
import io
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.files import damaged, read_model, write_model
from backends.head import Head, checked, fit_head
from backends.options import need_fields, positive, refuse_unknown, whole

NAME = "Pixels"
OPTIONS = ("size", "c", "gamma", "landmarks", "max_pixels", "media_root")
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
MAX_BYTES = 32 * 1024 * 1024
FILE_SCHEME = "hitl-file:"


class Pixels:
    """Images made grey and `size` x `size`; logistic regression on their likeness to training images.

    fields: task fields; the first one that holds an image counts. An image is a `data:` URI, or a file under
    `media_root`: `hitl-file:<relative path>` or a plain path. Files elsewhere and web addresses are never opened. c:
    inverse strength of regularisation. gamma: how fast likeness falls with distance. landmarks: most training images
    that others are compared with (Nystroem approximation of an RBF kernel, Williams and Seeger 2001). max_pixels:
    larger images are not decoded. Probabilities are calibrated as `backends.head` says.
    """

    def __init__(
        self,
        fields: Sequence[str],
        *,
        size: int = 16,
        c: float = 100.0,
        gamma: float = 2.0,
        landmarks: int = 500,
        max_pixels: int = 25_000_000,
        media_root: str = "",
        **unknown: object,
    ) -> None:
        refuse_unknown(NAME, unknown, OPTIONS)
        self.fields = need_fields(NAME, fields)
        self.size = whole(NAME, "size", size, 2, 128)
        self.c = positive(NAME, "c", c)
        self.gamma = positive(NAME, "gamma", gamma)
        self.landmarks = whole(NAME, "landmarks", landmarks, 2, 10_000)
        self.max_pixels = whole(NAME, "max_pixels", max_pixels, 1, 200_000_000)
        self._root = Path(media_root).resolve() if media_root else None
        self._head: Head | None = None
        self._marks: Floats = np.empty((0, 0), np.float32)
        self._basis: Floats = np.empty((0, 0), np.float32)

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        """Train from scratch; see `adapter.ports.Backend`."""
        vectors, readable = self._vectors(examples)
        goal, mass, rows = checked(examples, targets, weights, readable, f"an image in {list(self.fields)}")
        kept = vectors[rows]
        marks = np.unique(kept, axis=0)
        if len(marks) > self.landmarks:
            marks = marks[np.sort(np.random.default_rng(seed).choice(len(marks), self.landmarks, replace=False))]
        values, directions = np.linalg.eigh(self._kernel(marks, marks))
        sound = values > 1e-6
        basis = np.asarray(directions[:, sound] / np.sqrt(values[sound]), np.float32)
        features = self._kernel(kept, marks) @ basis
        keys = [row.tobytes().hex() for row in kept]
        self._head = fit_head(features, goal, mass, multiple=multiple, c=self.c, keys=keys, seed=seed)
        self._marks, self._basis = marks, basis

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        """Return probabilities (n, k); NaN rows where there is no image that can be read."""
        head = self._fitted()
        vectors, readable = self._vectors(examples)
        rows = np.flatnonzero(readable)
        out = np.full((len(examples), len(head.bias)), np.nan, np.float32)
        if len(rows):
            out[rows] = head.predict(self._kernel(vectors[rows], self._marks) @ self._basis)
        return out

    def embed(self, examples: Sequence[JsonObject]) -> Floats:
        """Return vectors (n, size * size): pixels less their mean, length 1. Zero for what cannot be read, and for
        images of one even tone. Needs no `fit`."""
        return self._vectors(examples)[0]

    def save(self, folder: Path) -> None:
        """Write the model into an empty folder. The landmarks in it are thumbnails of training images."""
        head = self._fitted()
        meta = {"size": self.size, "gamma": self.gamma, "head": head.meta()}
        write_model(folder, NAME, meta, {"marks": self._marks, "basis": self._basis, **head.arrays()})

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError."""
        meta, arrays = read_model(folder, NAME)
        try:
            head, size = Head.from_parts(meta, arrays), whole(NAME, "size", meta["size"], 2, 128)
            gamma = positive(NAME, "gamma", meta["gamma"])
            marks, basis = arrays["marks"], arrays["basis"]
            if marks.shape[1:] != (size * size,) or basis.shape != (len(marks), head.coef.shape[0]):
                raise ValueError(f"landmarks {marks.shape} and basis {basis.shape} do not fit")
        except (KeyError, TypeError, ValueError, BackendError) as error:
            raise damaged(folder, NAME, str(error)) from error
        self._head, self.size, self.gamma, self._marks, self._basis = head, size, gamma, marks, basis

    def _fitted(self) -> Head:
        if self._head is None:
            raise BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
        return self._head

    def _kernel(self, rows: Floats, marks: Floats) -> Floats:
        """Return likeness (n, m) in 0..1: exp(-gamma * squared distance) of vectors of length 1."""
        squares = (rows * rows).sum(axis=1)[:, None] + (marks * marks).sum(axis=1) - 2.0 * rows @ marks.T
        return np.asarray(np.exp(-self.gamma * np.maximum(squares, 0.0)), np.float32)

    def _vectors(self, examples: Sequence[JsonObject]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Return vectors as `embed` says, and (n,) which examples could be read."""
        out = np.zeros((len(examples), self.size * self.size), np.float32)
        readable = np.zeros(len(examples), bool)
        for row, example in enumerate(examples):
            for field in self.fields:
                raw = self._bytes(example.get(field))
                grey = self._grey(raw) if raw is not None else None
                if grey is not None:
                    grey = grey - grey.mean()
                    length = float(np.linalg.norm(grey))
                    out[row], readable[row] = (grey / length if length > 1e-6 else 0.0), True
                    break
        return out, readable

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
