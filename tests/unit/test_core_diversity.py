"""Spreading an order over the data: clusters give in turn, look-alikes step back, nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.diversity import LEAST_EMBEDDED, MOST_EMBEDDED, REACH, Style, spread
from adapter.core.neighbours import NEAR, clusters, unit_rows


def pool(n: int, kinds: int, seed: int = 0, noise: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(kinds, 12))[np.arange(n) % kinds] + rng.normal(0, noise, (n, 12))).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 80),
    kinds=st.integers(1, 20),
    want=st.integers(1, 60),
    batch=st.integers(1, 20),
    style=st.sampled_from(["clusters", "in order"]),
    noise=st.sampled_from([0.0, 0.05, 0.4]),
    seed=st.integers(0, 3),
)
def test_every_row_comes_once_and_no_two_in_front_look_alike(
    n: int, kinds: int, want: int, batch: int, style: Style, noise: float, seed: int
) -> None:
    table = pool(n, kinds, seed, noise)
    order = np.random.default_rng(seed).permutation(n)
    found = spread(order, want, batch, lambda rows: table[rows], style, seed)
    assert found is not None
    rows, front = found
    assert sorted(rows.tolist()) == list(range(n))
    unit, _ = unit_rows(table[order[rows[:front]]])
    similar = unit @ unit.T
    np.fill_diagonal(similar, 0)
    assert not (similar >= NEAR).any()
    assert front <= want
    again = spread(order, want, batch, lambda rows: table[rows], style, seed)
    assert again is not None
    assert again[0].tolist() == rows.tolist()


def test_in_order_only_look_alikes_step_back() -> None:
    table = np.repeat(np.eye(6, dtype=np.float32), 2, axis=0)  # 0 and 1 alike, 2 and 3, ...
    found = spread(np.arange(12), 6, 3, lambda rows: table[rows], "in order", 0)
    assert found is not None
    assert found[0][:6].tolist() == [0, 2, 4, 6, 8, 10]
    assert found[1] == 6
    assert sorted(found[0][6:].tolist()) == [1, 3, 5, 7, 9, 11]


def test_in_order_fetches_little() -> None:
    table = pool(1_000, 1_000)
    fetched: list[int] = []

    def embed(rows: np.ndarray) -> np.ndarray:
        fetched.extend(rows.tolist())
        return table[rows]

    spread(np.arange(1_000), 40, 20, embed, "in order", 0)
    assert len(fetched) == LEAST_EMBEDDED
    fetched.clear()
    spread(np.arange(1_000), 40, 20, embed, "clusters", 0)
    assert REACH * 20 <= len(fetched) <= 2 * REACH * 20


def test_a_pool_of_copies_ends_the_search_at_a_bound() -> None:
    fetched = 0

    def embed(rows: np.ndarray) -> np.ndarray:
        nonlocal fetched
        fetched += len(rows)
        return np.ones((len(rows), 4), np.float32)

    found = spread(np.arange(20_000), 100, 10, embed, "in order", 0)
    assert found is not None
    assert (found[1], fetched) == (1, MOST_EMBEDDED)
    assert sorted(found[0].tolist()) == list(range(20_000))


def test_without_embeddings_there_is_no_spread() -> None:
    assert spread(np.arange(5), 5, 2, lambda rows: None, "in order", 0) is None


@pytest.mark.parametrize("seed", range(4))
def test_more_draws_for_each_seed_split_fewer_real_clusters(seed: int) -> None:
    unit, _ = unit_rows(pool(300, 8, seed, 0.1))

    def whole(trials: int) -> int:
        return sum(
            len(set(found[np.arange(300) % 8 == kind].tolist())) == 1
            for draw in range(6)
            for found in [clusters(unit, 8, np.random.default_rng(draw), trials=trials)]
            for kind in range(8)
        )

    assert whole(4) >= whole(1)
    assert whole(4) >= 44
