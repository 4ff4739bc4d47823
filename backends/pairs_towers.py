"""How the two parts of pairs are compared: by vectors of both, and by how much likelier they are than parts thrown
together. Two ways behind the same methods: an encoder that learns from the pairs, and a pretrained one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.device import set_threads
from backends.files import Arrays
from backends.images import ImageReader
from backends.pairs_pretrained import ClipSides, Sentences
from backends.pairs_sides import keys_of, read_side
from backends.pairs_small import REFERENCE, DualEncoder, Kind, folds_of, log_ratio

DETAIL = 0.3
"""Weight of single dimensions beside score and cosine: of .1 to 1 the best on product pairs with 100 and 250 labels."""
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Look:
    """n pairs as read: what stands for the left and the right parts, and (n,) whether both could be read."""

    left: Array
    right: Array
    readable: npt.NDArray[np.bool_]

    def only(self, rows: npt.NDArray[np.int64]) -> Look:
        """Return these rows."""
        return Look(self.left[rows], self.right[rows], self.readable[rows])


@dataclass(frozen=True)
class Compared:
    """u, v (n, d): vectors of both parts, of length 1. score (n,): log of how much likelier a pair is than two parts
    thrown together."""

    u: Floats
    v: Floats
    score: Floats

    def features(self) -> npt.NDArray[np.float64]:
        """Return (n, 4d + 2) for a linear model: score and cosine, and smaller, so that few labels do not bend them, u,
        v, u * v and |u - v|."""
        product = self.u * self.v
        cosine = product.sum(axis=1, keepdims=True)
        parts = [self.u, self.v, product * np.sqrt(self.u.shape[1]), np.abs(self.u - self.v)]
        blocks = np.concatenate([self.score[:, None], 2.0 * cosine, *(DETAIL * part for part in parts)], axis=1)
        return np.asarray(blocks, np.float64)

    def vectors(self) -> Floats:
        """Return (n, 2d), both side by side, of length 1."""
        return side_by_side(self.u, self.v)


class Towers(Protocol):
    """What `Pairs` asks of either way."""

    def look(self, examples: Sequence[JsonObject]) -> Look:
        """Read n pairs; rows that cannot be read are held, but mean nothing."""
        ...

    def prepare(self, look: Look, weights: Floats, seed: int, *, vectors: bool) -> None:
        """Learn from readable pairs what goes together. weights (n,): how far each counts. vectors: `compare` will be
        asked, not only `score`."""
        ...

    def score(self, look: Look) -> Floats:
        """Return (n,), see `Compared.score`. Needs `prepare`."""
        ...

    def vectors(self, look: Look) -> tuple[Floats, Floats]:
        """Return the vectors (n, d) of both parts, of length 1. May need `prepare`."""
        ...

    def compare(self, look: Look) -> Compared:
        """Compare n pairs. Needs `prepare`."""
        ...

    def parts(self) -> tuple[dict[str, Any], Arrays]:
        """Return what `from_parts` needs, as JSON and arrays."""
        ...

    def from_parts(self, meta: dict[str, Any], arrays: Arrays) -> None:
        """Become what was taken apart. Raises KeyError, TypeError, ValueError or RuntimeError if it does not fit."""
        ...


class Learned:
    """The encoder of `backends.pairs_small`, on parts as small images and hashed words."""

    def __init__(
        self,
        fields: tuple[str, str],
        kinds: tuple[Kind, Kind],
        reader: ImageReader,
        *,
        size: int,
        epochs: int,
        most: int,
        device: str,
        threads: int,
    ) -> None:
        self._fields, self._kinds, self._reader = fields, kinds, reader
        self._size, self._epochs, self._most, self._threads = size, epochs, most, threads
        self._encoder = DualEncoder(kinds, size, device=device)

    def look(self, examples: Sequence[JsonObject]) -> Look:
        """See `Towers`."""
        left, one = read_side(examples, self._fields[0], self._kinds[0], self._size, self._reader)
        right, other = read_side(examples, self._fields[1], self._kinds[1], self._size, self._reader)
        return Look(left, right, one & other)

    def prepare(self, look: Look, weights: Floats, seed: int, *, vectors: bool) -> None:
        """See `Towers`. Raises BackendError for fewer than two pairs."""
        set_threads(self._threads)
        refuse_few(int((weights > 0).sum()))
        if len(look.left) > self._most:
            rows = np.sort(np.random.default_rng(seed).permutation(len(look.left))[: self._most])
            look, weights = look.only(rows), weights[rows]
        folds = folds_of(keys_of(look.left, look.right, self._kinds))
        self._encoder.train(look.left, look.right, weights, folds, epochs=self._epochs, seed=seed, everything=vectors)

    def score(self, look: Look) -> Floats:
        """See `Towers`. No pair was seen by the model that judges it."""
        set_threads(self._threads)
        return self._encoder.scores(look.left, look.right, folds_of(keys_of(look.left, look.right, self._kinds)))

    def vectors(self, look: Look) -> tuple[Floats, Floats]:
        """See `Towers`."""
        set_threads(self._threads)
        return self._encoder.vectors(look.left, look.right)

    def compare(self, look: Look) -> Compared:
        """See `Towers`. The vectors are by a model of all pairs, the score is not."""
        return Compared(*self.vectors(look), self.score(look))

    def parts(self) -> tuple[dict[str, Any], Arrays]:
        """See `Towers`."""
        return {"size": self._size}, self._encoder.arrays()

    def from_parts(self, meta: dict[str, Any], arrays: Arrays) -> None:
        """See `Towers`."""
        if meta["size"] != self._size:
            raise ValueError(f"it was trained on images of size {meta['size']!r}, and the option says {self._size}")
        self._encoder.from_arrays(arrays)


class Pretrained:
    """A dual encoder that stays as it is; all that is learned are partners to compare scores with."""

    def __init__(self, fields: tuple[str, str], kinds: tuple[Kind, Kind], sides: ClipSides | Sentences) -> None:
        self._fields, self._kinds, self._sides = fields, kinds, sides
        self._partners: tuple[Floats, Floats] | None = None

    def look(self, examples: Sequence[JsonObject]) -> Look:
        """See `Towers`."""
        u, v = (self._sides.side(examples, field, kind) for field, kind in zip(self._fields, self._kinds, strict=True))
        return Look(u, v, np.asarray(u.any(axis=1) & v.any(axis=1)))

    def prepare(self, look: Look, weights: Floats, seed: int, *, vectors: bool) -> None:
        """See `Towers`."""
        rows = np.random.default_rng(seed).permutation(len(look.left))[:REFERENCE]
        self._partners = look.left[rows], look.right[rows]

    def score(self, look: Look) -> Floats:
        """See `Towers`."""
        assert self._partners is not None
        left, right = self._partners
        return log_ratio(look.left, look.right, left, right, self._sides.scale)

    def vectors(self, look: Look) -> tuple[Floats, Floats]:
        """See `Towers`."""
        return look.left, look.right

    def compare(self, look: Look) -> Compared:
        """See `Towers`."""
        return Compared(look.left, look.right, self.score(look))

    def parts(self) -> tuple[dict[str, Any], Arrays]:
        """See `Towers`."""
        assert self._partners is not None
        arrays: Arrays = {"partners.left": self._partners[0], "partners.right": self._partners[1]}
        return {"identity": self._sides.identity}, arrays

    def from_parts(self, meta: dict[str, Any], arrays: Arrays) -> None:
        """See `Towers`."""
        if meta["identity"] != self._sides.identity:
            raise ValueError("it was trained on another encoder than `model` names now")
        left, right = arrays["partners.left"], arrays["partners.right"]
        if left.ndim != 2 or left.shape != right.shape or not len(left):
            raise ValueError(f"partners of shapes {left.shape} and {right.shape}")
        self._partners = np.asarray(left, np.float32), np.asarray(right, np.float32)


def side_by_side(u: Floats, v: Floats) -> Floats:
    """Return (n, 2d) of length 1."""
    return np.asarray(np.concatenate([u, v], axis=1) / np.sqrt(2.0), np.float32)


def refuse_few(readable: int) -> None:
    """Raise BackendError for fewer than two pairs."""
    if readable < 2:
        raise BackendError(
            f"{readable} pairs that can be read are too few to learn what goes together",
            where="Pairs",
            remedy="Give all pairs of the pool at once, or name a pretrained `model`.",
        )
