"""`backends.token_spans:TokenSpans`: spans of text, found by a transformer that is fine-tuned to tag words.

As in `backends.transformer`, training starts from the frozen model with the best linear layer on top; so a few dozen
texts teach it something, and the many words outside of any span, which that layer already gets right, do not drown the
few inside. From 40 distinct texts on, a tenth of them decides when to stop and how sure to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from adapter.core.spans.spread import labels_of, place_of, spread
from adapter.core.spans.words import Place, words_of
from adapter.errors import BackendError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.device import device_of
from backends.files import damaged, read_model, write_model
from backends.head import Head
from backends.options import need_fields
from backends.token_spans_find import find
from backends.token_spans_lesson import Lesson, Text
from backends.token_spans_tags import encode, flat
from backends.token_spans_windows import cut, windows
from backends.transformer_encoder import FOLDER, Encoder, by_length, saved_encoder
from backends.transformer_options import TuningOptions
from backends.transformer_training import Tuned, fine_tune, freeze, held_rows

NAME = "TokenSpans"
MAX_CHARS = 100_000
"""Characters of a text that are read; what comes behind has no spans."""
HOLD_FROM = 40
PREDICT_BATCH = 16
TEXTS_AT_A_TIME = 128
SHOWN = 0.5


class TokenSpans:
    """Spans of a text with their labels, for `<Labels>` on `<Text>`.

    fields: the first of them that holds a text is read; spans count its characters, as Label Studio does. options: see
    `backends.transformer_options.TuningOptions`; max_tokens is the length of a window of a long text. A label that has
    no example is never found. A word has one label: of spans that overlap in an example, the one with the higher score
    (of the consensus) is learned, else the longer, else the earlier. Spans of unknown labels or that cannot be placed
    in the text teach nothing, neither that something is there nor that nothing is. Vectors are the mean of a text's
    states. progress, tuned: as in `backends.transformer.Transformer`.
    """

    answers: Literal["regions"] = "regions"
    slow = True

    def __init__(self, fields: Sequence[str], **options: Any) -> None:
        self.fields = need_fields(NAME, fields)
        self.options = TuningOptions.read(NAME, options)
        self.progress: Callable[[int, int], None] | None = None
        self.tuned: Tuned | None = None
        self._encoder: Encoder | None = None
        self._head: Head | None = None
        self._labels: tuple[str, ...] = ()

    def fit(
        self,
        examples: Sequence[JsonObject],
        regions: Sequence[Sequence[JsonObject]],
        *,
        labels: Sequence[str],
        weights: Floats,
        seed: int,
    ) -> None:
        """Train from scratch; see `adapter.ports.RegionBackend`."""
        mass = np.asarray(weights, np.float64)
        if len(regions) != len(examples) or mass.shape != (len(examples),):
            raise BackendError(
                f"{len(examples)} examples, {len(regions)} lists of regions and weights {mass.shape} do not fit",
                where="fit",
                remedy="Give one list of regions and one weight for each example.",
            )
        if not np.isfinite(mass).all() or (mass < 0).any():
            raise BackendError(
                "weights are negative or not finite", where="fit", remedy="Leave such examples out, or give them 0."
            )
        encoder = self.options.encoder(NAME)
        cut(encoder)
        freeze(encoder.model, self.options.freeze, NAME)
        texts = self._texts(encoder, examples, regions, tuple(labels), mass)
        held = held_rows([one.text for one in texts], [bool(one.tags.any()) for one in texts], seed, HOLD_FROM)
        lesson = Lesson(encoder, texts, held, 1 + 2 * len(labels), self.options.balanced, seed)
        self.tuned = fine_tune(
            encoder.model,
            lesson.top,
            lesson.lengths,
            lesson.loss,
            lesson.held_loss if held.any() else None,
            lesson.frozen_loss(),
            self.options.recipe(seed, encoder.dimensions),
            self.progress,
        )
        self._head = lesson.head(frozen=not self.tuned.best)
        for weight in encoder.model.parameters():
            weight.requires_grad_(False)
        self._encoder, self._labels = encoder, tuple(labels)

    def predict(self, examples: Sequence[JsonObject]) -> list[list[JsonObject] | None]:
        """Return the spans of each example with a score from .05; None where no field holds a text."""
        if self._head is None or self._encoder is None:
            raise BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
        texts = [self._text(example) for example in examples]
        out: list[list[JsonObject] | None] = [None if text is None else [] for text in texts]
        rows = [row for row, text in enumerate(texts) if text]
        for start in range(0, len(rows), TEXTS_AT_A_TIME):
            some = rows[start : start + TEXTS_AT_A_TIME]
            read = [texts[row] or "" for row in some]
            words = [words_of(text) for text in read]
            for row, text, places, chances in zip(some, read, words, self._chances(read, words), strict=True):
                out[row] = [
                    self._region(text, first, last, self._labels[label], score)
                    for first, last, label, score in find(places, chances)
                ]
        return out

    def suggest(self, example: JsonObject, drawn: Sequence[JsonObject], labels: Sequence[str]) -> list[JsonObject]:
        """Return what a person may want beside the spans that are drawn: the newest one's words elsewhere (see
        `adapter.core.spans.spread`), and what the model, if it is trained, finds with a score from .5."""
        text = self._text(example)
        if not text:
            return []
        given = (place_of(region.get("value"), len(text)) for region in drawn)
        taken = [place for place in given if place is not None]
        own = self.predict([example])[0] if self._head is not None else None
        shown = (one for one in sorted(own or [], key=lambda one: -one["score"]) if one["score"] >= SHOWN)
        found = []
        for region in (*spread(text, drawn), *shown):
            start, end = region["value"]["start"], region["value"]["end"]
            free = not any(start < other_end and other < end for other, other_end in taken)
            if free and set(region["labels"]) <= set(labels):
                taken.append((start, end))
                found.append(region)
        return sorted(found, key=lambda one: (one["value"]["start"], one["value"]["end"]))

    def embed(self, examples: Sequence[JsonObject]) -> Floats:
        """Return vectors (n, d) of length 1; zero where no field holds a text. Needs no `fit`."""
        if self._encoder is None:
            encoder = self.options.encoder(NAME)
            cut(encoder)
            self._encoder = encoder
        texts = [self._text(example) for example in examples]
        out = np.zeros((len(examples), self._encoder.dimensions), np.float32)
        rows = [row for row, text in enumerate(texts) if text is not None]
        for start in range(0, len(rows), TEXTS_AT_A_TIME):
            some = rows[start : start + TEXTS_AT_A_TIME]
            parts = windows(self._encoder, [texts[row] or "" for row in some], [[] for _ in some])
            flat_parts = [(row, window) for row, own in zip(some, parts, strict=True) for window in own]
            vectors = self._encoder.vectors([window.ids for _, window in flat_parts], PREDICT_BATCH)
            for (row, window), vector in zip(flat_parts, vectors, strict=True):
                out[row] += window.weight * vector
        return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9), np.float32)

    def save(self, folder: Path) -> None:
        """Write the head, and the fine-tuned transformer in the folder `encoder`, as `transformers` reads it."""
        if self._head is None or self._encoder is None:
            raise BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
        digests = self._encoder.save(folder / FOLDER)
        meta = {"head": self._head.meta(), "encoder": self._encoder.about(), "files": digests, "labels": self._labels}
        write_model(folder, NAME, meta, self._head.arrays())

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError."""
        meta, arrays = read_model(folder, NAME)
        try:
            head, about, digests = Head.from_parts(meta, arrays), dict(meta["encoder"]), dict(meta["files"])
            labels = tuple(str(label) for label in meta["labels"])
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(folder, NAME, str(error)) from error
        encoder = saved_encoder(folder / FOLDER, about, digests, NAME)
        if head.coef.shape != (encoder.dimensions, 1 + 2 * len(labels)):
            raise damaged(folder, NAME, f"a head {head.coef.shape} on states of {encoder.dimensions}, {labels}")
        cut(encoder)
        self.options.use_threads()
        self._head, self._labels = head, labels
        self._encoder = encoder.to(device_of(NAME, self.options.device))

    def _text(self, example: JsonObject) -> str | None:
        """Return the text that spans are counted in; lone surrogates become question marks, one for one."""
        text = next((value for name in self.fields if isinstance(value := example.get(name), str)), None)
        return None if text is None else text[:MAX_CHARS].encode("utf-8", "replace").decode()

    def _region(self, text: str, start: int, end: int, label: str, score: float) -> JsonObject:
        value = {"start": start, "end": end, "text": text[start:end]}
        return {"labels": [label], "value": value, "score": round(score, 6)}

    def _texts(
        self,
        encoder: Encoder,
        examples: Sequence[JsonObject],
        regions: Sequence[Sequence[JsonObject]],
        labels: tuple[str, ...],
        mass: npt.NDArray[np.float64],
    ) -> list[Text]:
        """Return what is to be learned from, with tags. Raises BackendError if that is nothing."""
        read = [self._text(example) for example in examples]
        rows = [row for row, text in enumerate(read) if text and text.strip() and mass[row] > 0]
        kept = [read[row] or "" for row in rows]
        words = [words_of(text) for text in kept]
        out = []
        for row, text, places, own in zip(rows, kept, words, windows(encoder, kept, words), strict=True):
            tags = _tags(text, places, regions[row], labels)
            if tags is not None:
                out.append(Text(text, tags, own, float(mass[row])))
        if not any((one.tags > 0).any() for one in out):
            why = f"has text in {list(self.fields)}" if not rows else "with text has a span of a known label"
            raise BackendError(
                f"none of {len(examples)} examples {why}",
                where="fit",
                remedy="Mark spans in some tasks first." if rows else "Check `fields` and the tasks' data.",
            )
        return out

    def _chances(
        self, texts: Sequence[str], words: Sequence[Sequence[Place]]
    ) -> Iterator[npt.NDArray[np.floating[Any]]]:
        """Yield the probabilities (words, 1 + 2 k) of each text."""
        import torch

        assert self._encoder is not None
        assert self._head is not None
        parts = windows(self._encoder, texts, words)
        out = [np.zeros((len(places), len(self._head.bias)), np.float32) for places in words]
        for chances in out:
            chances[:, 0] = 1.0  # a word without a token is outside
        all_parts = [(row, window) for row, own in enumerate(parts) for window in own if len(window.at)]
        with torch.inference_mode():
            for batch in by_length([window.ids for _, window in all_parts], PREDICT_BATCH):
                states, _ = self._encoder.states([all_parts[number][1].ids for number in batch])
                states = torch.nn.functional.normalize(states.float(), dim=2).cpu().numpy()
                for number, state in zip(batch, states, strict=True):
                    row, window = all_parts[number]
                    out[row][window.words] = self._head.predict(state[window.at])
        yield from out


def _tags(
    text: str, words: Sequence[Place], regions: Sequence[JsonObject], labels: tuple[str, ...]
) -> npt.NDArray[np.int64] | None:
    """Return each word's tag, -1 where nothing is known; None if a region cannot be placed at all."""
    spans, blurred = [], []
    for region in regions:
        place = place_of(region.get("value"), len(text))
        label = next((label for label in labels_of(region) if label in labels), None)
        if place is None:
            return None
        if label is None:
            blurred.append(place)
            continue
        score = region.get("score")
        known = isinstance(score, int | float) and not isinstance(score, bool)
        spans.append(((*place, labels.index(label)), float(score) if known and score is not None else 1.0))
    tags = encode(words, flat(spans))
    for start, end in blurred:
        for number, place in enumerate(words):
            if place[0] < end and start < place[1] and tags[number] == 0:
                tags[number] = -1
    return tags
