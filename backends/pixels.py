"""`backends.pixels:Pixels`: small grey images and a kernel model. For figures and shapes, not for photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.files import damaged, read_model, write_model
from backends.head import Head, checked, fit_head
from backends.images import MAX_PIXELS, ImageReader
from backends.options import need_fields, positive, refuse_unknown, whole

NAME = "Pixels"
OPTIONS = ("size", "c", "gamma", "landmarks", "max_pixels", "media_root")


class Pixels:
    """Images made grey and `size` x `size`; logistic regression on their likeness to training images.

    fields: task fields; the first one that holds an image counts (`backends.images` says what is one). c: inverse
    strength of regularisation. gamma: how fast likeness falls with distance. landmarks: most training images
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
        max_pixels: int = MAX_PIXELS,
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
        self._reader = ImageReader(str(media_root), self.max_pixels)
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
                grey = self._grey(example.get(field))
                if grey is not None:
                    grey = grey - grey.mean()
                    length = float(np.linalg.norm(grey))
                    out[row], readable[row] = (grey / length if length > 1e-6 else 0.0), True
                    break
        return out, readable

    def _grey(self, value: object) -> Floats | None:
        from PIL import Image

        raw = self._reader.bytes_of(value)
        image = self._reader.decode(raw, "L", self.size * 2) if raw is not None else None
        if image is None:
            return None
        way = Image.Resampling.BOX if image.width > self.size else Image.Resampling.BILINEAR
        return np.asarray(image.resize((self.size, self.size), way), np.float32).ravel() / np.float32(255.0)
