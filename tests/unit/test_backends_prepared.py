"""Backends that learn from tasks without labels get them wherever a model is made: in use, held out, in simulations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.ports import Floats, Preparing
from adapter.simulate.learning import Ground, fitted
from adapter.training.validate import cross_validate
from adapter.vocabulary import JsonObject
from backends.embedding import Embedding

THINGS = ("loan", "card", "match", "goal", "engine", "server", "vote", "minister")
ENDS = ("is late", "was announced", "costs too much", "came back", "failed again", "is new", "was sold", "won")


class Sees:
    """Remembers what it was prepared with; gives the share of each label."""

    made: list[Sees] = []  # noqa: RUF012 - one list for all, that is its point

    def __init__(self, **options: object) -> None:
        self.pool: list[JsonObject] = []
        self.fitted_after: int | None = None
        self.made.append(self)

    def prepare(self, examples: Sequence[JsonObject], *, seed: int = 0) -> None:
        self.pool = list(examples)

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        self.fitted_after, self.share = len(self.pool), targets.mean(axis=0)

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        return np.repeat(np.asarray(self.share, np.float32)[None], len(examples), axis=0)

    def embed(self, examples: Sequence[JsonObject]) -> Floats | None:
        return None

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...


def tasks(count: int) -> list[JsonObject]:
    made: list[JsonObject] = [
        {"text": f"the {thing} {end} {place}"} for place in "abcd" for thing in THINGS for end in ENDS
    ]
    return made[:count]


def fit(backend: Embedding, examples: Sequence[JsonObject]) -> Any:
    said = np.asarray([any(word in one["text"] for word in THINGS[:4]) for one in examples], int)
    targets, weights = np.eye(2, dtype=np.float32)[said], np.ones(len(examples), np.float32)
    backend.fit(examples, targets, weights=weights, multiple=False, seed=0)
    return backend.predict(tasks(256))


def test_every_fold_is_prepared_as_the_final_model_is() -> None:
    Sees.made.clear()
    examples, targets = tasks(20), np.eye(2, dtype=np.float32)[[0, 1] * 10]
    groups = [str(row) for row in range(20)]
    many: tuple[Any, ...] = (Sees, ("text",), {}, examples, targets, np.ones(20, np.float32), groups, False, 4, 0)
    cross_validate(*many, pool=tasks(50))
    assert [one.fitted_after for one in Sees.made] == [50] * 4
    Sees.made.clear()
    cross_validate(*many)
    assert [one.fitted_after for one in Sees.made] == [0] * 4


def test_a_simulation_prepares_on_its_pool_and_never_on_its_test_part() -> None:
    Sees.made.clear()
    pool, test = tasks(30), [{"text": "unseen"}]
    said = np.eye(2, dtype=np.float32)[[0, 1] * 15]
    ids = tuple(str(row) for row in range(30))
    ground = Ground(ids=ids, pool=pool, said=said, test=test, truth=said[:1], labels=("a", "b"))
    fitted(ground, Sees, np.arange(6))
    assert Sees.made[0].pool == pool


def test_sentence_vectors_of_the_pool_change_the_head_and_a_loaded_model_needs_no_pool(tmp_path: Path) -> None:
    few = [tasks(256)[row] for row in (0, 9, 20, 35, 44, 63)]
    plain, prepared, alone = Embedding(("text",)), Embedding(("text",)), Embedding(("text",))
    assert isinstance(prepared, Preparing)
    prepared.prepare([*tasks(256), {"text": None}, {}], seed=1)
    alone.prepare(tasks(20))
    first, second = fit(plain, few), fit(prepared, few)
    assert np.abs(first - second).max() > 0.02
    assert np.array_equal(fit(alone, few), first)  # too few to say anything
    prepared.save(tmp_path)
    loaded = Embedding(("text",))
    loaded.load(tmp_path)
    assert np.array_equal(loaded.predict(tasks(256)), second)


def test_a_pool_that_grew_is_mostly_known_already() -> None:
    asked: list[list[str]] = []

    class Counting(Embedding):
        def _vectors(self, texts: Sequence[str]) -> Floats:
            asked.append(list(texts))
            return np.random.default_rng(len(texts)).normal(size=(len(texts), 384)).astype(np.float32)

    examples = [{"text": str(row)} for row in range(4_000)]
    Counting(("text",)).prepare(examples[:3_600], seed=3)
    Counting(("text",)).prepare(examples[::-1], seed=3)
    before, after = set(asked[0]), set(asked[1])
    assert len(before) == len(after) == 1_000
    assert len(before & after) > 850
