"""Measures of uncertainty against the formulas of the papers, peers' libraries and the kinds' own."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adapter.core.strategies import State, Vectors, choose
from adapter.core.strategies.measures import FRONT_MOST, MEASURES, front, uncertainty
from adapter.kinds.families.labelled import _uncertainty


@pytest.fixture(scope="module")
def peers() -> Any:
    with warnings.catch_warnings():  # what peers say while they are imported is theirs
        warnings.simplefilter("ignore")
        import skactiveml.pool
        import small_text.query_strategies

        return skactiveml.pool, small_text.query_strategies


def state_of(n: int, **more: Any) -> State:
    return State(size=20, batch=10, seed=0, chance=np.random.default_rng(9).random(n), **more)


def test_by_hand() -> None:
    p = np.array([[0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3], [1, 0, 0], [np.nan, 0.5, 0.5]], np.float32)
    assert uncertainty(p, "margin") == pytest.approx([0.8, 1, 0, np.nan], abs=1e-6, nan_ok=True)
    assert uncertainty(p, "least-confidence") == pytest.approx([0.75, 1, 0, np.nan], abs=1e-6, nan_ok=True)
    entropy = -(0.5 * np.log(0.5) + 0.3 * np.log(0.3) + 0.2 * np.log(0.2)) / np.log(3)
    assert uncertainty(p, "entropy") == pytest.approx([entropy, 1, 0, np.nan], abs=1e-6, nan_ok=True)


def test_several_labels_are_as_unsure_as_the_least_sure_of_them() -> None:
    p = np.array([[0.9, 0.6], [0.5, 1.0], [0.0, 1.0], [np.nan, 0.5]], np.float32)
    found = uncertainty(p, "margin", multiple=True)
    assert found == pytest.approx([0.8, 1, 0, np.nan], abs=1e-6, nan_ok=True)


def test_an_unknown_measure_is_named() -> None:
    with pytest.raises(ValueError, match="Did you mean 'margin'"):
        uncertainty(np.ones((1, 2), np.float32), "margins")


@settings(max_examples=60, deadline=None)
@given(
    p=hnp.arrays(np.float32, st.tuples(st.integers(0, 20), st.integers(1, 6)), elements=st.floats(0, 1, width=32)),
    measure=st.sampled_from(MEASURES),
    multiple=st.booleans(),
)
def test_they_are_those_of_the_kinds(p: np.ndarray, measure: str, multiple: bool) -> None:
    if not multiple:
        p = p / np.maximum(p.sum(axis=1, keepdims=True), 1e-3)
    wide = np.asarray(p, np.float64)
    of_kind = (
        _uncertainty(np.stack([wide, 1 - wide], -1), measure).max(axis=1) if multiple else _uncertainty(wide, measure)
    )
    assert np.allclose(uncertainty(p, measure, multiple=multiple), of_kind, atol=1e-9)


@pytest.mark.parametrize(
    ("measure", "theirs", "small"),
    [
        ("margin", "margin_sampling", "BreakingTies"),
        ("entropy", "entropy", "PredictionEntropy"),
        ("least-confidence", "least_confident", "LeastConfidence"),
    ],
)
def test_orders_are_those_of_the_peers(peers: Any, measure: str, theirs: str, small: str) -> None:
    n = 500
    p = np.random.default_rng(4).dirichlet(np.full(5, 0.4), n)
    rows = choose(measure, None, p, state_of(n)).rows
    scores = peers[0]._uncertainty_sampling.uncertainty_scores(p, method=theirs)
    assert rows.tolist() == np.argsort(-scores, kind="stable").tolist()

    class Known:
        def predict_proba(self, _dataset: Any) -> np.ndarray:
            return p

    told = getattr(peers[1], small)()
    picked = told.query(Known(), p, np.arange(n), np.empty(0, int), np.empty(0, int), n=50)
    assert set(picked.tolist()) == set(rows[:50].tolist())


def test_cluster_margin_takes_one_from_each_cluster_of_the_ten_batches_in_front() -> None:
    rng = np.random.default_rng(0)
    n, groups = 2_000, 10
    vectors = np.eye(groups, dtype=np.float32)[np.arange(n) % groups] + rng.normal(0, 0.15, (n, groups))
    doubt = rng.random(n) * 0.5 + 0.5 * (np.arange(n) % groups == 3)  # one part of the data is the hardest
    p = np.stack([1 - doubt / 2, doubt / 2], axis=1).astype(np.float32)
    by_margin = choose("margin", Vectors.of(vectors), p, state_of(n), diversity=False).rows
    spread = choose("cluster-margin", Vectors.of(vectors), p, state_of(n)).rows
    assert set((by_margin[:10] % groups).tolist()) == {3}
    window = np.concatenate([by_margin[:100]])
    assert set(spread[:10].tolist()) <= set(window.tolist())
    assert spread[0] == by_margin[0]

    mixed = np.where(np.arange(n) % groups == 3, rng.random(n) * 0.9, rng.random(n))  # now every part has its share
    p = np.stack([1 - mixed / 2, mixed / 2], axis=1).astype(np.float32)
    first = choose("cluster-margin", Vectors.of(vectors), p, state_of(n)).rows[:10]
    plain = choose("margin", Vectors.of(vectors), p, state_of(n), diversity=False).rows[:10]
    assert len(set((first % groups).tolist())) > len(set((plain % groups).tolist()))


def test_the_front_is_all_of_a_small_pool_and_the_best_of_a_large_one() -> None:
    small = state_of(FRONT_MOST)
    assert front(np.zeros(FRONT_MOST), small).tolist() == np.argsort(small.chance).tolist()
    n = FRONT_MOST * 3
    scores = np.random.default_rng(2).random(n)
    best = front(scores, state_of(n))
    assert set(best.tolist()) == set(np.argsort(-scores)[:1000].tolist())
    mixed = front(scores, state_of(n), mixed=True)
    assert len(set(mixed.tolist())) == 1000
    assert set(np.argsort(-scores)[:500].tolist()) <= set(mixed.tolist())
    assert scores[mixed].mean() < scores[best].mean()


def test_a_million_rows_take_seconds_and_little_memory() -> None:
    n = 1_000_000
    rng = np.random.default_rng(0)
    p = rng.random((n, 4), np.float32)
    p /= p.sum(axis=1, keepdims=True)
    fetched: list[int] = []

    def fetch(rows: np.ndarray) -> np.ndarray:
        fetched.append(len(rows))
        return rng.normal(size=(len(rows), 16)).astype(np.float32)

    state = state_of(n)
    started = time.perf_counter()
    found = choose("cluster-margin", Vectors(n, fetch), p, state)
    assert time.perf_counter() - started < 20  # about one on an idle core
    assert len(found.rows) == n
    assert sum(fetched) <= 1_000
