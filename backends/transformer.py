"""`backends.transformer:Transformer`: a transformer of Hugging Face's, fine-tuned to a control's labels.

The start is the frozen model with a linear layer on its mean-pooled states; then all of it learns (linear probing, then
fine-tuning: Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution").
From 100 distinct texts on, a tenth of them is held out (duplicates together, classes in their shares): training stops
when their loss no longer falls, the best weights stay, and one temperature is chosen on them. If no epoch is better on
them than the frozen model with its best linear layer, that is the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError, ModelError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.device import device_of
from backends.files import damaged, read_model, write_model
from backends.head import Head, checked, fit_head
from backends.options import need_fields
from backends.text import text_of
from backends.transformer_encoder import FOLDER, Encoder, saved_encoder
from backends.transformer_options import TuningOptions
from backends.transformer_tops import FROZEN_C, START_C, Top
from backends.transformer_training import HOLD_FOLDS, MIN_EPOCHS, Tuned, fine_tune, freeze, held_rows
from backends.warm import HELD, LEARNED, Parts, held_on, parts_as_arrays, parts_from, parts_of, switch

NAME = "Transformer"
PREDICT_BATCH = 32
KEPT, EPOCHS = 0.5, 0.5
"""Of a warm start: how much of what the former model learned stays, and the share of a fresh start's epochs."""


@dataclass(frozen=True, eq=False)
class _Former:
    """A model to begin with. files: of its encoder. weights: by name. parts: what it learned from and held out."""

    files: Mapping[str, bytes]
    weights: Mapping[str, Any]
    parts: Parts


class Transformer:
    """A fine-tuned transformer: one label of several, or any number of them.

    fields: task fields, joined. options: see `backends.transformer_options.TuningOptions`. warm_start: begin retraining
    halfway between the pretrained weights and those of the model in use, and take half the epochs; off, since it is not
    measured that it costs no accuracy (`python -m benchmarks.warm_start --parts transformer`). Targets may be soft,
    weights are honoured. Vectors are mean-pooled states of length 1: the fine-tuned ones after `fit`, before it
    those of the model it starts from. progress: set it to be called with (steps done, steps) in training. tuned:
    what the last training did; warm: whether it began near a former model. On the CPU the same input, seed and
    number of threads give the same model; on CUDA nearly.
    """

    slow = True

    def __init__(self, fields: Sequence[str], *, warm_start: bool = False, **options: Any) -> None:
        self.fields = need_fields(NAME, fields)
        self.warm_start_wanted = switch(NAME, warm_start)
        self.warm = False
        self.options = TuningOptions.read(NAME, options)
        self.progress: Callable[[int, int], None] | None = None
        self.tuned: Tuned | None = None
        self._encoder: Encoder | None = None
        self._head: Head | None = None
        self._former: _Former | None = None
        self._parts: Parts = {}

    def warm_start(self, folder: Path) -> None:
        """Take the model saved there as the start of the next `fit`; see `adapter.ports.WarmStarting`."""
        if not self.warm_start_wanted:
            return
        try:
            meta, arrays = read_model(folder, NAME)
            parts = parts_from(arrays, 2)
            encoder = saved_encoder(folder / FOLDER, dict(meta["encoder"]), dict(meta["files"]), NAME)
        except (ModelError, KeyError, TypeError, ValueError):
            return
        if HELD in parts.values():  # else nothing would tell how it went
            self._former = _Former(encoder.files, encoder.model.state_dict(), parts)

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        """Train, from scratch unless `warm_start` was called; see `adapter.ports.Backend`."""
        texts = [text_of(example, self.fields) for example in examples]
        readable = np.asarray([text is not None for text in texts], bool)
        goal, mass, rows = checked(examples, targets, weights, readable, f"text in {list(self.fields)}")
        kept = [texts[row] or "" for row in rows]
        strata = goal.argmax(axis=1).tolist() if not multiple else [tuple(row) for row in (goal > 0.5).tolist()]
        encoder = self.options.encoder(NAME)
        former, self._former = self._former, None
        self.warm = former is not None and _drawn_near(encoder, former)
        before = former.parts if former is not None and self.warm else {}
        parts = held_on(kept, strata, before, 1 / HOLD_FOLDS) if before else held_rows(kept, strata, seed)
        recipe = self.options.recipe(seed, encoder.dimensions)
        if before:
            epochs = round(EPOCHS * recipe.epochs_for(int((~parts).sum())))
            recipe = replace(recipe, epochs=max(MIN_EPOCHS, epochs))
        freeze(encoder.model, self.options.freeze, NAME)
        ids = encoder.ids(kept)
        learn, out = np.flatnonzero(~parts).astype(np.int64), np.flatnonzero(parts).astype(np.int64)
        vectors = encoder.vectors([ids[row] for row in learn], PREDICT_BATCH).astype(np.float64)

        def layer(c: float) -> Head:
            return fit_head(vectors, goal[learn], mass[learn], multiple=multiple, c=c, keys=(), seed=seed)

        frozen = layer(FROZEN_C)
        start = layer(START_C) if len(out) else frozen  # with few examples nothing would tell how it went
        known, pull = goal[:, ~frozen.unseen], mass / mass[learn].mean()
        totals = pull[learn] @ known[learn]
        top = Top(frozen, start, totals, float(pull[learn].sum()), self.options.balanced, encoder.device)

        def loss(some: npt.NDArray[np.int64]) -> Any:
            return top.loss(encoder.pooled([ids[row] for row in some]), known[some], pull[some])

        def held() -> tuple[Floats, npt.NDArray[Any], npt.NDArray[Any]]:
            return encoder.vectors([ids[row] for row in out], PREDICT_BATCH), known[out], pull[out]

        self.tuned = fine_tune(
            encoder.model,
            top.layer,
            [len(ids[row]) for row in learn],
            lambda some: loss(learn[np.asarray(some)]),
            (lambda: top.held_loss(*held())) if len(out) else None,
            top.held_loss(*held(), frozen=True),
            recipe,
            self.progress,
        )
        self._head = top.head(*held(), frozen=not self.tuned.best)
        for weight in encoder.model.parameters():
            weight.requires_grad_(False)
        self._encoder = encoder
        self._parts = parts_of(kept, np.where(parts, HELD, LEARNED).tolist(), before)

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        """Return probabilities (n, k); NaN rows where no field is there."""
        if self._head is None or self._encoder is None:
            raise BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
        texts = [text_of(example, self.fields) for example in examples]
        rows = [row for row, text in enumerate(texts) if text is not None]
        out = np.full((len(examples), len(self._head.bias)), np.nan, np.float32)
        if rows:
            ids = self._encoder.ids([texts[row] or "" for row in rows])
            out[rows] = self._head.predict(self._encoder.vectors(ids, PREDICT_BATCH))
        return out

    def embed(self, examples: Sequence[JsonObject]) -> Floats:
        """Return vectors (n, d) of length 1; zero where no field is there. Needs no `fit`."""
        if self._encoder is None:
            self._encoder = self.options.encoder(NAME)
        texts = [text_of(example, self.fields) for example in examples]
        rows = [row for row, text in enumerate(texts) if text is not None]
        out = np.zeros((len(examples), self._encoder.dimensions), np.float32)
        if rows:
            out[rows] = self._encoder.vectors(self._encoder.ids([texts[row] or "" for row in rows]), PREDICT_BATCH)
        return out

    def save(self, folder: Path) -> None:
        """Write the head, and the fine-tuned transformer in the folder `encoder`, as `transformers` reads it."""
        if self._head is None or self._encoder is None:
            raise BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
        digests = self._encoder.save(folder / FOLDER)
        meta = {"head": self._head.meta(), "encoder": self._encoder.about(), "files": digests}
        write_model(folder, NAME, meta, {**self._head.arrays(), **parts_as_arrays(self._parts)})

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError."""
        meta, arrays = read_model(folder, NAME)
        try:
            head, about, digests = Head.from_parts(meta, arrays), dict(meta["encoder"]), dict(meta["files"])
            parts = parts_from(arrays, 2)
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(folder, NAME, str(error)) from error
        encoder = saved_encoder(folder / FOLDER, about, digests, NAME)
        if head.coef.shape[0] != encoder.dimensions:
            raise damaged(folder, NAME, f"a head for {head.coef.shape[0]} numbers on states of {encoder.dimensions}")
        self.options.use_threads()
        self._head, self._encoder, self._parts = head, encoder.to(device_of(NAME, self.options.device)), parts


def _drawn_near(encoder: Encoder, former: _Former) -> bool:
    """Draw a pretrained transformer near to what a former model became, if it is of the same kind; return whether."""
    import torch

    own = encoder.model.state_dict()
    if former.files != encoder.files or {n: w.shape for n, w in own.items()} != {
        n: w.shape for n, w in former.weights.items()
    }:
        return False
    with torch.no_grad():
        for name, weight in own.items():
            if weight.dtype.is_floating_point:
                weight.lerp_(former.weights[name].to(weight), KEPT)
    return True
