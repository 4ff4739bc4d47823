"""`backends.detection:Detection`: boxes on images, for `<RectangleLabels>`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from adapter.errors import BackendError, ModelError, nearest
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.detection_boxes import Picture, overlaps, picture, region, strongest, truth, upright
from backends.detection_models import Small, Transformer, pretrained, small_from, transformer_from
from backends.detection_suggest import lookalikes
from backends.detection_training import Found, Recipe, Sureness, draw_near, tensor, train
from backends.device import device_of, set_threads
from backends.files import damaged, read_model, write_model
from backends.images import MAX_PIXELS, ImageReader
from backends.options import need_fields, positive, refuse_unknown, whole
from backends.warm import Parts, parts_as_arrays, parts_from, switch

NAME = "Detection"
OPTIONS = (
    "model",
    "size",
    "epochs",
    "batch_size",
    "learning_rate",
    "flips",
    "zoom",
    "overlap",
    "device",
    "threads",
    "max_pixels",
    "media_root",
    "warm_start",
)
LEAST = 0.05
"""Score from which a box is told."""
SAME = 0.5
"""Overlap from which two boxes are of one thing, where further ones are suggested."""
MOST = 100
"""Boxes told of one image."""


class Detection:
    """An object detector: one of `transformers` that is fine-tuned, or a small one of our own.

    fields: task fields; the first one that holds an image counts. model: `small` (`backends.detection_small`), which
    learns from scratch; or a detector of `transformers` (YOLOS, RT-DETR, DETR), as a local folder or the name of a hub
    model that is already in the local hub cache. size: longest side of the image that the model sees, in pixels; 0
    stands for 192 with `small`, else 512. Things of under 6 pixels there are not found. epochs: at most; 0 for 30,
    and with `small` for as many as show it some 12,000 images in all, 40 to 240; it stops when images that were held
    out get no better. batch_size: images at a time.
    learning_rate: 0 for .004 with `small`, else .0001. flips: how images may be mirrored in training, `horizontal`,
    `both` or `none`. zoom: how much larger or smaller they may become, as a share. overlap: intersection over union up
    to which two boxes of one label may be two things. device: `auto`, `cpu` or `cuda` (there in mixed precision).
    threads: of torch for the whole process; 0 leaves them as they are. warm_start: begin retraining halfway between a
    fresh start and the model in use, and take half the epochs; off, since it is not measured that it costs no accuracy
    (`python -m benchmarks.warm_start --parts detection`). Images are read as `backends.images` says.

    Scores are probabilities of a right box (its label, overlap .5 or more), fitted on images that were held out, from
    20 images on.
    """

    answers: Literal["regions"] = "regions"

    def __init__(
        self,
        fields: Sequence[str],
        *,
        model: str = "small",
        size: int = 0,
        epochs: int = 0,
        batch_size: int = 8,
        learning_rate: float = 0.0,
        flips: str = "horizontal",
        zoom: float = 0.2,
        overlap: float = 0.5,
        device: str = "auto",
        threads: int = 1,
        max_pixels: int = MAX_PIXELS,
        media_root: str = "",
        warm_start: bool = False,
        **unknown: object,
    ) -> None:
        refuse_unknown(NAME, unknown, OPTIONS)
        self.fields = need_fields(NAME, fields)
        if not isinstance(model, str) or not model:
            raise BackendError(f"option 'model' is {model!r}", where=NAME, remedy="Give 'small', a name or a folder.")
        self.model = model
        small = model == "small"
        self.size = whole(NAME, "size", size, 0, 2048) or (192 if small else 512)
        whole(NAME, "size", self.size, 64, 2048)
        if flips not in ("horizontal", "both", "none"):
            raise BackendError(
                f"option 'flips' of {NAME} is {flips!r}",
                where="backend.options",
                remedy=nearest(str(flips), ("horizontal", "both", "none")),
            )
        self.recipe = Recipe(
            epochs=whole(NAME, "epochs", epochs, 0, 10_000) or (0 if small else 30),
            batch=whole(NAME, "batch_size", batch_size, 1, 1024),
            rate=positive(NAME, "learning_rate", learning_rate or (0.004 if small else 0.0001)),
            decay=0.02 if small else 0.0001,
            flips=flips,
            zoom=_share("zoom", zoom, 0.0, 0.5),
            averaged=small,
            clip=5.0 if small else 0.5,
        )
        self.overlap = _share("overlap", overlap, 0.1, 0.95)
        self.device = device_of(NAME, device)
        self.threads = whole(NAME, "threads", threads, 0, 1024)
        self._reader = ImageReader(str(media_root), whole(NAME, "max_pixels", max_pixels, 1, 200_000_000))
        self.warm_start_wanted = switch(NAME, warm_start)
        self.warm = False
        self._former: Detection | None = None
        self._parts: Parts = {}
        self._model: Small | Transformer | None = None
        self._labels: tuple[str, ...] = ()
        self._sure = Sureness()

    def warm_start(self, folder: Path) -> None:
        """Take the model saved there as the start of the next `fit`; see `adapter.ports.WarmStarting`."""
        if not self.warm_start_wanted:
            return
        former = Detection(self.fields, model=self.model, size=self.size, device=self.device)
        try:
            former.load(folder)
        except ModelError:
            return
        if former._parts and former.size == self.size:
            self._former = former

    def fit(
        self,
        examples: Sequence[JsonObject],
        regions: Sequence[Sequence[JsonObject]],
        *,
        labels: Sequence[str],
        weights: Floats,
        seed: int,
    ) -> None:
        """Train, from scratch unless `warm_start` was called; see `adapter.ports.RegionBackend`. Of turned boxes the
        upright ones around them are learned."""
        import torch

        mass = np.asarray(weights, np.float64)
        if len(regions) != len(examples) or mass.shape != (len(examples),) or not labels:
            raise BackendError(
                f"{len(examples)} examples, regions of {len(regions)}, weights {mass.shape} and {len(labels)} labels "
                "do not fit together",
                where="fit",
                remedy="Give the regions and the weight of each example, and the control's labels.",
            )
        if not np.isfinite(mass).all() or (mass < 0).any():
            raise BackendError("weights are negative or not finite", where="fit", remedy="Leave such examples out.")
        pictures, truths, kept = [], [], []
        for row in np.flatnonzero(mass > 0):
            seen = self._picture(examples[row])
            if seen is not None:
                pictures.append(seen)
                truths.append(truth(regions[row], list(labels), seen.inner))
                kept.append(row)
        if not pictures:
            raise BackendError(
                f"none of {len(examples)} examples has an image in {list(self.fields)} that can be read",
                where="fit",
                remedy="Check `fields`, the tasks' data and where their files lie.",
            )
        if not any(len(boxes) for boxes, _ in truths):
            raise BackendError(
                f"no box with one of the labels {list(labels)} is drawn on any of {len(pictures)} images",
                where="fit",
                remedy="Label images on which there is something to find first.",
            )
        set_threads(self.threads)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model: Small | Transformer
            if self.model == "small":
                model = Small(len(labels), self.device)
            else:
                model = pretrained(self.model, len(labels), self.device)
            former, self._former = self._former, None
            self.warm = (
                former is not None
                and former._model is not None
                and former._labels == tuple(labels)
                and draw_near(model.module, former._model.module)
            )
            known = former._parts if former is not None and self.warm else {}
            sure, parts = train(
                model, pictures, truths, mass[kept], self.recipe, seed, overlap=self.overlap, known=known
            )
        self._model, self._labels, self._sure, self._parts = model, tuple(labels), sure, parts

    def predict(self, examples: Sequence[JsonObject]) -> list[list[JsonObject] | None]:
        """Return the boxes of each example, strongest first; None for one that cannot be read."""
        out: list[list[JsonObject] | None] = [None] * len(examples)
        if self._model is None:
            raise _untrained()
        for rows, pictures in self._chunks(examples):
            for row, seen, found in zip(rows, pictures, self._found(pictures), strict=True):
                out[row] = self._regions(seen, found)
        return out

    def embed(self, examples: Sequence[JsonObject]) -> Floats | None:
        """Return vectors (n, d) of length 1 of whole images, by the model's deepest layer; None before `fit`."""
        if self._model is None:
            return None
        out: Floats | None = None
        for rows, pictures in self._chunks(examples):
            vectors = self._asked(self._model.vectors, pictures)
            if out is None:
                out = np.zeros((len(examples), len(vectors[0])), np.float32)
            for row, vector in zip(rows, vectors, strict=True):
                out[row] = vector / max(float(np.linalg.norm(vector)), 1e-12)
        return np.zeros((len(examples), 1), np.float32) if out is None else out

    def suggest(self, example: JsonObject, drawn: Sequence[JsonObject], labels: Sequence[str]) -> list[JsonObject]:
        """Return boxes of the label drawn last that the model sees, or that look like the one drawn last; without a
        drawn one all that the model sees. See `adapter.ports.Interactive`. Needs no `fit` to find what looks alike."""
        seen = self._picture(example)
        if seen is None:
            return []
        boxes = [upright(one.get("value"), seen.inner) for one in drawn]
        there = np.asarray([box for box in boxes if box is not None], np.float64).reshape(-1, 4)
        named = drawn[-1].get("labels") if drawn else None
        label = named[0] if isinstance(named, list) and named and named[0] in labels else None
        if drawn and (label is None or boxes[-1] is None):
            return []
        found: Floats = np.zeros((0, 4), np.float32)
        scores: Floats = np.zeros(0, np.float32)
        names: list[str] = []
        if self._model is not None:
            mine, sure, numbers = self._found([seen])[0]
            wanted = [
                row
                for row, number in enumerate(numbers)
                if self._labels[number] in labels and label in (None, self._labels[number])
            ]
            found, scores = mine[wanted], self._sure.of(sure[wanted])
            wanted_now = scores >= (0.2 if drawn else 0.5)
            names = [self._labels[numbers[row]] for row, good in zip(wanted, wanted_now, strict=True) if good]
            found, scores = found[wanted_now], scores[wanted_now]
        if label is not None:
            alike, likeness = lookalikes(seen.pixels, there[-1])
            # what only looks alike comes behind what the model sees
            found, scores = np.concatenate([found, alike]), np.concatenate([scores, 0.5 * likeness])
            names += [label] * len(alike)
        kept = strongest(found, scores, np.zeros(len(found), np.int64), SAME)
        free = overlaps(found[kept], there).max(axis=1, initial=0.0) < SAME
        made = (region(found[row], names[row], scores[row], seen.inner, seen.original) for row in kept[free][:MOST])
        return [one for one in made if one is not None]

    def save(self, folder: Path) -> None:
        """Write the whole model, the fine-tuned transformer too."""
        if self._model is None:
            raise _untrained()
        about, arrays = self._model.parts()
        meta = {
            **about,
            "labels": list(self._labels),
            "size": self.size,
            "small": self.model == "small",
            "sureness": [self._sure.slope, self._sure.shift],
        }
        write_model(folder, NAME, meta, {**arrays, **parts_as_arrays(self._parts)})

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError."""
        meta, arrays = read_model(folder, NAME)
        try:
            labels = tuple(map(str, meta["labels"]))
            size = whole(NAME, "size", meta["size"], 64, 2048)
            parts = parts_from(arrays, 2)
            sure = Sureness(*(float(part) for part in meta["sureness"]))
            if bool(meta["small"]) != (self.model == "small") or not labels:
                raise ValueError("it is another kind of detector than the option `model` says")
            model: Small | Transformer
            if self.model == "small":
                model = small_from(arrays, len(labels), self.device)
            else:
                model = transformer_from(meta, arrays, len(labels), self.device)
        except (KeyError, TypeError, ValueError, RuntimeError, BackendError) as error:
            raise damaged(folder, NAME, str(error)) from error
        self._model, self._labels, self._sure, self.size, self._parts = model, labels, sure, size, parts

    def _picture(self, example: JsonObject) -> Picture | None:
        for field in self.fields:
            seen = picture(example.get(field), self.size, self._reader)
            if seen is not None:
                return seen
        return None

    def _chunks(self, examples: Sequence[JsonObject]) -> Any:
        """Yield row numbers and pictures, a batch at a time; examples that cannot be read are left out."""
        rows: list[int] = []
        pictures: list[Picture] = []
        for row, example in enumerate(examples):
            seen = self._picture(example)
            if seen is not None:
                rows.append(row)
                pictures.append(seen)
            if len(rows) == self.recipe.batch or (rows and row + 1 == len(examples)):
                yield rows, pictures
                rows, pictures = [], []

    def _asked(self, ask: Any, pictures: Sequence[Picture]) -> list[Any]:
        """Return what a model says of each picture; those of one shape are asked together."""
        import torch

        shapes: dict[tuple[int, ...], list[int]] = {}
        for row, seen in enumerate(pictures):
            shapes.setdefault(seen.pixels.shape, []).append(row)
        out: list[Any] = [None] * len(pictures)
        set_threads(self.threads)
        with torch.inference_mode():
            for rows in shapes.values():
                for row, answer in zip(rows, ask(tensor([pictures[r] for r in rows], self.device)), strict=True):
                    out[row] = answer
        return out

    def _found(self, pictures: Sequence[Picture]) -> list[Found]:
        """Return what the model sees in each picture, strongest first, one box a thing."""
        assert self._model is not None
        out = []
        for boxes, scores, labels in self._asked(self._model.find, pictures):
            kept = strongest(boxes, scores, labels, self.overlap)[:MOST]
            out.append((boxes[kept], scores[kept], labels[kept]))
        return out

    def _regions(self, seen: Picture, found: Found) -> list[JsonObject]:
        boxes, scores, labels = found
        sure = self._sure.of(scores)
        made = (
            region(box, self._labels[label], score, seen.inner, seen.original)
            for box, score, label in zip(boxes, sure, labels, strict=True)
            if score >= LEAST
        )
        return [one for one in made if one is not None]


def _share(name: str, value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BackendError(
            f"option '{name}' of {NAME} is {value!r}",
            where="backend.options",
            remedy=f"Give a number from {low:g} to {high:g}.",
        )
    return float(value)


def _untrained() -> BackendError:
    return BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
