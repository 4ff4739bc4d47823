"""`backends.image:Image`: photographs and figures, by a frozen vision model or by a small net trained from scratch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError, ModelError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.device import device_of
from backends.files import damaged, read_model, write_model
from backends.head import Head, checked, fit_head
from backends.image_cnn import CELLS, Net
from backends.image_cnn_training import fit_cnn, fits
from backends.image_encoder import VisionEncoder, batches, vision_encoder
from backends.images import MAX_PIXELS, ImageReader
from backends.options import need_fields, one_of, positive, refuse_unknown, whole
from backends.vectors import Remembered, VectorFolder, key_of, vector_folder
from backends.warm import switch

if TYPE_CHECKING:
    from PIL import Image as PIL

NAME = "Image"
Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
OPTIONS = (
    "model", "size", "steps", "augment", "c", "batch_size", "max_pixels", "media_root", "cache", "cache_folder",
    "threads", "device", "warm_start",
)  # fmt: skip
CNN = "cnn"
SIZES = (16, 32, 64)
THUMB, TINT = 16, 4
"""Sides of the grey and of the colour thumbnail that describe an image where no model does."""
KEPT_UP_TO = 64
"""Images up to this side are kept decoded between the fits of a cross-validation."""
WRITE_FROM = 2_000
"""New vectors from which on they are written to the folder; fewer wait for the end."""

_vectors = Remembered()
_decoded = Remembered()


class Image:
    """A model of images. With `model: cnn` a small convolutional net is trained from scratch: a few seconds on one core
    for hundreds of small images (`backends.image_cnn`). Any other model is a pretrained vision model, frozen, with
    logistic regression on its vectors (`backends.image_encoder`): better for photographs.

    fields: task fields; the first one that holds an image counts (`backends.images` says what is one). model: `cnn`, a
    local folder, or the name of a hub model that is already in the local hub cache. size: of the net's images, a
    multiple of 16; 0 takes 16, 32 or 64 as the training images are large. steps: of training, of each
    net; 0 takes enough for accuracy, fewer are quicker. augment: train the net on images shifted,
    turned and scaled a little; false where position or angle mean something. c: inverse strength of regularisation,
    batch_size: images at a time, cache: remember vectors by content, cache_folder: also there, for other processes (all
    of a pretrained model). max_pixels: larger images are not decoded. threads: of torch for the whole process; 0 leaves
    them as they are. device: `auto` (CUDA where there is one), `cpu` or `cuda`. Probabilities are calibrated on
    held-out examples by one temperature.

    warm_start: retrain the net near the model in use, in half the steps (`backends.image_cnn_training`). Digits, 100
    labels growing to 800, 6 seeds (`python -m benchmarks.warm_start`): a fit takes 38 % less time, and accuracy differs
    from a fresh start's by +.2 points [-.4, +.8]. Folds of cross-validation take as long as ever.
    """

    def __init__(
        self,
        fields: Sequence[str],
        *,
        model: str = CNN,
        size: int = 0,
        steps: int = 0,
        augment: bool = True,
        c: float = 3.0,
        batch_size: int = 16,
        max_pixels: int = MAX_PIXELS,
        media_root: str = "",
        cache: bool = True,
        cache_folder: str = "",
        threads: int = 1,
        device: str = "auto",
        warm_start: bool = True,
        **unknown: object,
    ) -> None:
        refuse_unknown(NAME, unknown, OPTIONS)
        self.fields = need_fields(NAME, fields)
        if not isinstance(model, str) or not model:
            raise BackendError(f"option 'model' is {model!r}", where=NAME, remedy="Give `cnn`, a name or a folder.")
        if whole(NAME, "size", size, 0, 256) % CELLS:
            raise BackendError(
                f"option 'size' of {NAME} is {size}", where="backend.options", remedy=f"Give a multiple of {CELLS}."
            )
        self.model, self.size = model, size
        self.device = one_of(NAME, "device", device, ("auto", "cpu", "cuda"))
        self.steps = whole(NAME, "steps", steps, 0, 1_000_000)
        self.augment, self.cache = bool(augment), bool(cache)
        self.c = positive(NAME, "c", c)
        self.batch_size = whole(NAME, "batch_size", batch_size, 1, 4096)
        self.max_pixels = whole(NAME, "max_pixels", max_pixels, 1, 200_000_000)
        self.threads = whole(NAME, "threads", threads, 0, 1024)
        self._reader = ImageReader(str(media_root), self.max_pixels)
        self._folder: VectorFolder | None = vector_folder(str(cache_folder)) if cache and cache_folder else None
        self.warm_start_wanted = switch(NAME, warm_start)
        self.warm = False
        self._head: Head | None = None
        self._net: Net | None = None
        self._former: tuple[Net, Head] | None = None

    def warm_start(self, folder: Path) -> None:
        """Take the net saved there as the start of the next `fit`; see `adapter.ports.WarmStarting`."""
        if not self.warm_start_wanted or self.model != CNN:
            return
        former = Image(self.fields, device=self.device)
        try:
            former.load(folder)
        except ModelError:
            return
        if former._net is not None and former._net.parts:  # else nothing would tell how it went
            self._former = former._net, former._fitted()

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        """Train, the net from scratch unless `warm_start` was called; see `adapter.ports.Backend`. A pretrained model
        itself is not changed."""
        what = f"an image in {list(self.fields)}"
        if self.model != CNN:
            vectors, readable, keys = self._encoded(examples)
            goal, mass, rows = checked(examples, targets, weights, readable, what)
            kept = [keys[row] for row in rows]
            features = vectors[rows].astype(np.float64)
            self._head = fit_head(features, goal, mass, multiple=multiple, c=self.c, keys=kept, seed=seed)
            return
        colours, readable, sides = self._thumbnails(examples, self.size or max(SIZES))
        goal, mass, rows = checked(examples, targets, weights, readable, what)
        size = self.size or next((s for s in SIZES if s >= np.median(sides[rows])), SIZES[-1])
        if size != colours.shape[2]:
            colours = self._thumbnails(examples, size)[0]
        images = colours[rows]
        if float(np.abs(images - images.mean(axis=1, keepdims=True)).max()) < 0.02:
            images = images[:, :1]
        keys = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
        former, self._former = self._former, None
        self.warm = former is not None and fits(former, images, goal, multiple)
        self._net, self._head = fit_cnn(
            images,
            goal,
            mass,
            multiple=multiple,
            keys=keys,
            seed=seed,
            steps=self.steps,
            augment=self.augment,
            device=device_of(NAME, self.device),
            threads=self.threads,
            former=former if self.warm else None,
        )

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        """Return probabilities (n, k); NaN rows where there is no image that can be read."""
        head = self._fitted()
        features, readable = self._features(examples)
        rows = np.flatnonzero(readable)
        out = np.full((len(examples), len(head.bias)), np.nan, np.float32)
        if len(rows):
            out[rows] = head.predict(features[rows])
        return out

    def embed(self, examples: Sequence[JsonObject]) -> Floats:
        """Return vectors (n, d) of length 1; zero where there is no image that can be read. Needs no `fit`.

        Of a pretrained model: its vectors. Of the net: its features, less their mean, beside a thumbnail, one half of
        the likeness each, so that images of one class are not taken for near duplicates; unfitted, the thumbnail alone.
        """
        if self.model != CNN:
            return self._encoded(examples)[0]
        colours, readable, _ = self._thumbnails(examples, THUMB)
        plain = _described(colours)
        if self._net is not None and len(examples):
            features = _scaled(self._features(examples)[0] - self._net.centre)
            plain = _scaled(np.concatenate([features, plain], axis=1))
        plain[~readable] = 0.0
        return plain

    def save(self, folder: Path) -> None:
        """Write the model into an empty folder. A pretrained model stays where it is; its identity is written."""
        head = self._fitted()
        if self._net is None:
            meta = {"model": "pretrained", "identity": self._encoder().identity, "head": head.meta()}
            write_model(folder, NAME, meta, head.arrays())
        else:
            write_model(folder, NAME, {"model": CNN, "head": head.meta()}, {**self._net.arrays(), **head.arrays()})

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError, also when the pretrained model is another now."""
        meta, arrays = read_model(folder, NAME)
        net = None
        try:
            head, model = Head.from_parts(meta, arrays), str(meta["model"])
            if (model == CNN) != (self.model == CNN):
                raise ValueError(f"it was trained with another `model` than '{self.model}'")
            if model == CNN:
                net = Net.from_arrays(arrays, device_of(NAME, self.device))
                if head.coef.shape[0] != len(net.centre):
                    raise ValueError(f"{head.coef.shape[0]} coefficients do not fit the nets")
            elif (str(meta["identity"]), head.coef.shape[0]) != (self._encoder().identity, self._encoder().dimensions):
                raise ValueError(f"it was trained on another vision model than '{self.model}' is now")
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise damaged(folder, NAME, str(error)) from error
        self._head, self._net = head, net

    def _fitted(self) -> Head:
        if self._head is None:
            raise BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
        return self._head

    def _encoder(self) -> VisionEncoder:
        return vision_encoder(self.model, device_of(NAME, self.device))

    def _features(self, examples: Sequence[JsonObject]) -> tuple[Floats, Bools]:
        """Return what the head works on (n, d), and (n,) which examples could be read."""
        if self._net is None:
            vectors, readable, _ = self._encoded(examples)
            return vectors, readable
        channels, size = self._net.shape
        colours, readable, _ = self._thumbnails(examples, size)
        grey = colours.mean(axis=1, keepdims=True) if channels == 1 else colours
        return self._net.features(grey), readable

    def _thumbnails(self, examples: Sequence[JsonObject], size: int) -> tuple[Floats, Bools, Counts]:
        """Return squares (n, 3, size, size) in 0..1, (n,) which could be read, and (n,) their longer side in pixels."""
        out, sides = np.zeros((len(examples), 3, size, size), np.float32), np.zeros(len(examples), np.int64)
        for row, example in enumerate(examples):
            for field in self.fields:
                found = self._thumbnail(example.get(field), size)
                if found is not None:
                    out[row], sides[row] = found
                    break
        return out, sides > 0, sides

    def _thumbnail(self, value: object, size: int) -> tuple[Floats, int] | None:
        raw = self._reader.bytes_of(value)
        if raw is None:
            return None
        key = key_of(f"{size}:{self.max_pixels}", hashlib.sha256(raw).hexdigest())
        known = _decoded.get([key]).get(key) if self.cache else None
        if known is None:
            image = self._reader.decode(raw, "RGB", 2 * size)
            if image is None:
                return None
            square = _square(image, size).transpose(2, 0, 1).ravel()
            known = np.concatenate([square, np.asarray([max(image.size)], np.float32)])
            if self.cache and size <= KEPT_UP_TO:
                _decoded.put({key: known})
        return known[:-1].reshape(3, size, size), int(known[-1])

    def _encoded(self, examples: Sequence[JsonObject]) -> tuple[Floats, Bools, list[str]]:
        """Return vectors (n, d), (n,) which examples could be read, and the digest of each image's content."""
        encoder = self._encoder()
        keys = [""] * len(examples)
        out = np.zeros((len(examples), encoder.dimensions), np.float32)
        fresh: dict[bytes, Floats] = {}
        for part in batches(len(examples), self.batch_size):
            fresh.update(self._encode(encoder, examples, range(*part.indices(len(examples))), out, keys))
            if self._folder is not None and len(fresh) >= WRITE_FROM:
                self._folder.put(fresh)
                fresh = {}
        if self._folder is not None:
            self._folder.put(fresh)
        return out, np.asarray([bool(key) for key in keys], bool), keys

    def _encode(
        self, encoder: VisionEncoder, examples: Sequence[JsonObject], rows: range, out: Floats, keys: list[str]
    ) -> dict[bytes, Floats]:
        """Fill in vectors and digests of some rows, each image computed once; return the vectors that are new."""
        missing: dict[bytes, Floats] = {}
        places: dict[bytes, list[int]] = {}
        found: dict[bytes, Floats] = {}
        for row in rows:
            for field in self.fields:
                raw = self._reader.bytes_of(examples[row].get(field))
                if raw is None:
                    continue
                digest = hashlib.sha256(raw).hexdigest()
                key = key_of(f"{encoder.identity}:{self.max_pixels}", digest)
                if key not in found and key not in missing:
                    known = _vectors.get([key]) if self.cache else {}
                    known = known or (self._folder.get([key]) if self._folder is not None else {})
                    image = None if known else self._reader.decode(raw, "RGB")
                    if not known and image is None:
                        continue
                    found.update(known)
                    if image is not None:
                        missing[key] = encoder.preparation.apply(image)
                places.setdefault(key, []).append(row)
                keys[row] = digest
                break
        fresh: dict[bytes, Floats] = {}
        if missing:
            fresh = dict(zip(missing, encoder.encode(np.stack(list(missing.values())), self.threads), strict=True))
            found.update(fresh)
        if self.cache:
            _vectors.put(found)
        for key, where in places.items():
            out[where] = found[key]
        return fresh


def _square(image: PIL.Image, size: int) -> Floats:
    """Return the pixels (size, size, 3) in 0..1 of an image squeezed into a square."""
    from PIL.Image import Resampling

    way = Resampling.BOX if min(image.size) >= size else Resampling.BILINEAR
    return np.asarray(image.resize((size, size), way), np.float32) / np.float32(255.0)


def _described(colours: Floats) -> Floats:
    """Return vectors (n, THUMB ** 2 + 3 * TINT ** 2) of length 1 for squares (n, 3, THUMB, THUMB): greys less their
    mean, and how the colours of coarse cells differ from grey."""
    n, step = len(colours), THUMB // TINT
    grey = colours.mean(axis=1)
    tint = (colours - grey[:, None]).reshape(n, 3, TINT, step, TINT, step).mean(axis=(3, 5)) * step
    grey = grey - grey.mean(axis=(1, 2), keepdims=True)
    return _scaled(np.concatenate([grey.reshape(n, THUMB**2), tint.reshape(n, 3 * TINT**2)], axis=1))


def _scaled(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.where(lengths > 1e-6, rows / np.maximum(lengths, 1e-6), 0.0), np.float32)
