"""The sets on which strategies are compared: real ones from a data folder, scikit-learn's digits, generated intents.

Each is made of n examples with vectors (n, d) that a linear head is fitted on, so that a run costs no encoding.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.pool_prior import MOST, root_of
from adapter.ports import Backend, Floats
from adapter.simulate.learning import Ground
from adapter.vocabulary import JsonObject
from backends.head import Head, fit_head
from backends.pixels import Pixels
from benchmarks.active_learning_intents import INTENTS, intents
from benchmarks.datasets import AG_NEWS, ag_news, youtube_spam

TEST_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Setting:
    """How a set is run. c: inverse strength of the head's regularisation, as the backend that is stood for has it. f1:
    the label whose F1 is the score; empty for accuracy. budget, batch: labels in all, and between two models. far:
    labels up to which random goes on."""

    labels: tuple[str, ...]
    c: float
    batch: int
    budget: int
    far: int
    f1: str = ""


SETTINGS = {
    "ag_news": Setting(AG_NEWS, 3.0, 20, 600, 3_000),
    "sms_spam": Setting(("spam", "ham"), 10.0, 10, 300, 2_000, "spam"),
    "youtube_spam": Setting(("spam", "ham"), 10.0, 10, 300, 1_000, "spam"),
    "intents": Setting(INTENTS, 3.0, 100, 1_020, 2_020),
    "digits": Setting(tuple("0123456789"), 100.0, 10, 400, 1_200),
}


class Dense:
    """The head of the shipped text backends on vectors that are known already. An example is `{"row": i}`."""

    def __init__(self, vectors: Floats, keys: Sequence[str], c: float, root: Floats | None = None) -> None:
        self._vectors = vectors
        self._keys = keys
        self._c = c
        self._root = root
        self._head: Head | None = None

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        """Fit the head; see `backends.head`."""
        rows = _rows(examples)
        keys = [self._keys[row] for row in rows]
        goal, mass = np.asarray(targets, np.float64), np.asarray(weights, np.float64)
        features = self._vectors[rows].astype(np.float64)
        self._head = fit_head(features, goal, mass, multiple=multiple, c=self._c, keys=keys, seed=seed, root=self._root)

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        """Return probabilities (n, k)."""
        assert self._head is not None
        return self._head.predict(self._vectors[_rows(examples)])

    def embed(self, examples: Sequence[JsonObject]) -> Floats:
        """Return vectors (n, d)."""
        return self._vectors[_rows(examples)]

    def save(self, folder: Path) -> None:
        """Refuse: these models live for one round."""
        raise OSError(f"models of a benchmark are not kept ({folder})")

    def load(self, folder: Path) -> None:
        """Refuse: these models live for one round."""
        raise OSError(f"models of a benchmark are not kept ({folder})")


class KnownPixels(Pixels):
    """`backends.pixels:Pixels` on images that are read already. An example is `{"row": i}`."""

    known: Floats = np.empty((0, 0), np.float32)

    def _vectors(self, examples: Sequence[JsonObject]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        rows = _rows(examples)
        return self.known[rows], np.ones(len(rows), bool)


def _rows(examples: Sequence[JsonObject]) -> npt.NDArray[np.int64]:
    return np.asarray([int(example["row"]) for example in examples], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A set in memory. keys: (n,) content; equal ones are duplicates. gold: (n,) label number. vectors: (n, d), None
    where they are made from each seed's pool."""

    keys: tuple[str, ...]
    gold: npt.NDArray[np.int64]
    vectors: Floats | None


def ground_of(rows: Rows, setting: Setting, seed: int) -> Ground:
    """Return a split: TEST_SHARE of the contents for testing, the others, each once, in the pool."""
    from adapter.core.blind import draws

    chance = draws(rows.keys, seed, "test")
    first = dict.fromkeys(rows.keys)
    seen: dict[str, int] = {key: number for number, key in reversed(list(enumerate(rows.keys)))}
    assert len(seen) == len(first)
    targets = np.eye(len(setting.labels), dtype=np.float32)[rows.gold]
    pool = [row for row in sorted(seen.values()) if chance[row] >= TEST_SHARE]
    test = np.flatnonzero(chance < TEST_SHARE).tolist()
    return Ground(
        ids=tuple(f"t{row}" for row in pool),
        pool=[{"row": row} for row in pool],
        said=targets[pool],
        test=[{"row": row} for row in test],
        truth=targets[test],
        labels=setting.labels,
        seed=seed,
    )


def maker(name: str, rows: Rows, ground: Ground) -> Callable[[], Backend]:
    """Return what makes the set's models."""
    setting = SETTINGS[name]
    if name == "digits":
        assert rows.vectors is not None
        known = rows.vectors

        def pixels() -> Backend:
            made = KnownPixels(("row",), size=8, c=setting.c)
            made.known = known
            return made

        return pixels
    pool = [one["row"] for one in ground.pool]
    vectors = rows.vectors if rows.vectors is not None else latent(rows.keys, pool)
    # As the embedding backend learns it from the pool; the linear backend, for which `latent` stands, has no such prior
    drawn = np.random.default_rng(ground.seed).permutation(len(pool))[:MOST]
    root = root_of(vectors[np.asarray(pool)[drawn]]) if rows.vectors is not None else None

    def dense() -> Backend:
        return Dense(vectors, rows.keys, setting.c, root)

    return dense


def latent(texts: Sequence[str], pool: Sequence[int], dimensions: int = 200) -> Floats:
    """Return unit vectors (n, dimensions): TF-IDF of words and pairs of words on its main directions in the pool."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    terms = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    known = terms.fit_transform([texts[row] for row in pool])
    size = min(dimensions, min(known.shape) - 1)
    basis = TruncatedSVD(size, random_state=0).fit(known)
    found = np.asarray(basis.transform(terms.transform(texts)), np.float32)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.where(length > 1e-6, length, 1.0), np.float32)


def rows_of(name: str, data: Path | None, cache: Path | None) -> Rows:
    """Read a set. data: folder of the real sets. cache: folder where sentence vectors are remembered between runs."""
    if name == "digits":
        return _digits()
    setting = SETTINGS[name]
    pairs = list(intents()) if name == "intents" else list(_READERS[name](_need(data, name)))
    texts = tuple(text for text, _ in pairs)
    gold = np.asarray([setting.labels.index(label) for _, label in pairs], np.int64)
    return Rows(texts, gold, _encoded(texts, cache) if name in ("ag_news", "intents") else None)


def _need(data: Path | None, name: str) -> Path:
    if data is None or not (data / name).is_dir():
        raise FileNotFoundError(f"the set '{name}' is not in the data folder: name it, or set HITL_DATA to it")
    return data


def _digits() -> Rows:
    from sklearn.datasets import load_digits

    found = load_digits()
    grey = np.asarray(found.data, np.float32)
    grey = grey - grey.mean(axis=1, keepdims=True)
    grey /= np.linalg.norm(grey, axis=1, keepdims=True)
    return Rows(tuple(row.tobytes().hex() for row in grey), np.asarray(found.target, np.int64), grey)


def _encoded(texts: Sequence[str], cache: Path | None) -> Floats:
    """Return the vectors of the packaged sentence encoder."""
    from backends.embedding import Embedding

    encoder = Embedding(("text",), cache_folder=str(cache) if cache else "")
    return encoder.embed([{"text": text} for text in texts])


def sms_spam(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (text, label) of sms_spam: columns v1 (label) and v2 (text), in three files."""
    for part in ("train", "valid", "test"):
        with (folder / "sms_spam" / f"{part}.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield row["v2"], row["v1"]


_READERS: Mapping[str, Callable[[Path], Iterator[tuple[str, str]]]] = {
    "ag_news": ag_news,
    "sms_spam": sms_spam,
    "youtube_spam": youtube_spam,
}


def facts(name: str, rows: Rows) -> dict[str, Any]:
    """Return what the report says of a set."""
    return {
        "rows": len(rows.keys),
        "different": len(set(rows.keys)),
        "labels": len(SETTINGS[name].labels),
        "rarest_share": float(np.bincount(rows.gold, minlength=len(SETTINGS[name].labels)).min() / len(rows.gold)),
    }
