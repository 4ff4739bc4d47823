"""Approximate neighbours: as good as exact ones where it counts, and never the whole matrix at once."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from adapter.core.approximate import BLOCK, Neighbours
from adapter.core.neighbours import near_pairs


class Pool:
    """Vectors in loose clusters, as embeddings are, that remember how many were asked for at once."""

    def __init__(self, n: int, d: int = 32, seed: int = 0, kind: Any = np.float32) -> None:
        random = np.random.default_rng(seed)
        centres = random.normal(size=(40, d))
        self.rows = (centres[random.integers(40, size=n)] + 0.7 * random.normal(size=(n, d))).astype(kind)
        self.most = 0

    def __call__(self, rows: Any) -> Any:
        self.most = max(self.most, len(rows))
        return self.rows[rows]

    def unit(self) -> Any:
        rows = self.rows.astype(np.float32)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(length > 0, length, 1)


def true_neighbours(unit: Any, query: Any, k: int) -> Any:
    similar = query @ unit.T
    return np.argsort(-similar, axis=1, kind="stable")[:, :k]


class TestSmallPools:
    def test_are_searched_exactly(self) -> None:
        pool = Pool(700)
        found = Neighbours.build(700, pool, seed=0)
        assert found.exact
        names, similar = found.search(pool.rows[:50], 8)
        unit = pool.unit()
        assert np.array_equal(names, true_neighbours(unit, unit[:50], 8))
        assert similar[:, 0] == pytest.approx(1, abs=1e-5)
        assert (np.diff(similar, axis=1) <= 1e-6).all()
        assert found.recall(pool) == 1.0

    def test_pairs_are_those_of_the_exact_search(self) -> None:
        pool = Pool(400, d=6)
        i, j, value = Neighbours.build(400, pool, seed=0).near_pairs(pool, threshold=0.9, k=400)
        a, b, c = near_pairs(pool.rows, threshold=0.9)
        assert len(a) > 10
        assert i.tolist() == a.tolist()
        assert j.tolist() == b.tolist()
        assert value == pytest.approx(c, abs=1e-5)

    def test_fewer_rows_than_wanted_leave_gaps(self) -> None:
        pool = Pool(3)
        names, similar = Neighbours.build(3, pool, seed=0).search(pool.rows[:1], 5)
        assert names[0, 3:].tolist() == [-1, -1]
        assert np.isneginf(similar[0, 3:]).all()

    def test_an_empty_pool_has_no_neighbours(self) -> None:
        found = Neighbours.build(0, lambda rows: np.zeros((len(rows), 4)), seed=0)
        names, _ = found.search(np.ones((2, 4)), 3)
        assert (names == -1).all()
        assert len(found.near_pairs(lambda rows: np.zeros((len(rows), 4)))[0]) == 0

    def test_density_by_definition(self) -> None:
        pool = Pool(300)
        found = Neighbours.build(300, pool, seed=0)
        unit = pool.unit()
        similar = unit @ unit.T
        np.fill_diagonal(similar, -np.inf)
        expected = np.clip(np.sort(similar, axis=1)[:, -20:], 0, 1).mean(axis=1)
        assert found.density(np.arange(300), pool) == pytest.approx(expected, abs=1e-5)


@pytest.fixture(scope="module")
def large() -> tuple[Pool, Neighbours]:
    pool = Pool(12_000, d=48, kind=np.float16)
    pool.rows[7] = 0
    pool.rows[8] = np.nan
    pool.rows[11_000:11_010] = pool.rows[10:20]
    return pool, Neighbours.build(12_000, pool, seed=0, exact=1_000)


class TestLargePools:
    def test_are_searched_by_cells_and_most_neighbours_are_found(self, large: tuple[Pool, Neighbours]) -> None:
        pool, found = large
        assert not found.exact
        assert found.recall(pool, queries=100) > 0.9
        assert found.recall(pool, queries=100, probes=1) < found.recall(pool, queries=100, probes=64)

    def test_recall_is_what_a_comparison_with_all_rows_gives(self, large: tuple[Pool, Neighbours]) -> None:
        pool, found = large
        rows = np.sort(np.random.default_rng(0).choice(np.delete(np.arange(12_000), [7, 8]), 50, replace=False))
        unit = np.nan_to_num(pool.unit())
        hits = 0
        names = found.search(pool.rows[rows], 11)[0]
        for row, mine in zip(rows, names, strict=True):
            similar = unit @ unit[row]
            similar[[row, 7, 8]] = -np.inf
            hits += len(set(np.argsort(-similar)[:10]) & set(mine[mine != row][:10]))
        assert found.recall(pool, queries=50) == pytest.approx(hits / 500, abs=0.01)

    def test_copies_are_found(self, large: tuple[Pool, Neighbours]) -> None:
        pool, found = large
        i, j, value = found.near_pairs(pool, threshold=0.98)
        pairs = set(zip(i.tolist(), j.tolist(), strict=True))
        assert {(row, row + 10_990) for row in range(10, 20)} <= pairs
        assert (i < j).all()
        assert value.min() >= 0.98
        assert len(pairs) == len(i)

    def test_rows_without_a_direction_are_near_nothing(self, large: tuple[Pool, Neighbours]) -> None:
        pool, found = large
        names, similar = found.search(pool.rows[[7, 8]], 3)
        assert (names == -1).all()
        assert np.isneginf(similar).all()
        everything = found.search(pool.rows[:200], 50, probes=200)[0]
        assert not np.isin(everything, [7, 8]).any()
        assert found.density(np.array([7, 8]), pool).tolist() == [0, 0]

    def test_density_is_near_the_exact_one(self, large: tuple[Pool, Neighbours]) -> None:
        pool, found = large
        rows = np.arange(100, 400)
        exact = Neighbours.build(12_000, pool, seed=0).density(rows, pool)
        near = found.density(rows, pool)
        assert np.corrcoef(exact, near)[0, 1] > 0.95

    def test_the_same_rows_and_seed_give_the_same_answers(self, large: tuple[Pool, Neighbours]) -> None:
        pool, found = large
        again = Neighbours.build(12_000, pool, seed=0, exact=1_000)
        assert np.array_equal(found.search(pool.rows[:100], 5)[0], again.search(pool.rows[:100], 5)[0])

    def test_rows_are_fetched_in_blocks(self) -> None:
        pool = Pool(2 * BLOCK + 5, d=8)
        Neighbours.build(2 * BLOCK + 5, pool, seed=0, exact=100)
        assert pool.most <= BLOCK

    def test_without_faiss_the_search_is_exact(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "faiss", None)
        pool = Pool(600)
        assert Neighbours.build(600, pool, seed=0, exact=100).exact

    def test_a_pool_of_zeros_is_no_error(self) -> None:
        found = Neighbours.build(600, lambda rows: np.zeros((len(rows), 8), np.float32), seed=0, exact=100)
        assert (found.search(np.ones((1, 8)), 3)[0] == -1).all()

    def test_the_threads_of_others_are_left_as_they_were(self) -> None:
        import faiss

        before = faiss.omp_get_max_threads()
        pool = Pool(2_000, d=8)
        Neighbours.build(2_000, pool, seed=0, exact=100).search(pool.rows[:3], 2)
        assert faiss.omp_get_max_threads() == before

    def test_a_fetch_that_loses_rows_is_refused(self) -> None:
        with pytest.raises(ValueError, match="vectors for"):
            Neighbours.build(50, lambda rows: np.ones((len(rows) - 1, 4)), seed=0)


def test_near_duplicates_among_very_many_labels_are_found_as_among_few(monkeypatch: pytest.MonkeyPatch) -> None:
    from adapter.core import approximate
    from adapter.core.flagging import near_duplicates

    random = np.random.default_rng(5)
    vectors = random.standard_normal((3000, 32)).astype(np.float32)
    copies = random.choice(3000, 80, replace=False)
    vectors[copies[:40]] = vectors[copies[40:]] + 0.001 * random.standard_normal((40, 32)).astype(np.float32)
    whole = near_duplicates(vectors)
    monkeypatch.setattr(approximate, "EXACT", 500)
    quick = near_duplicates(vectors)
    assert {doubt.index for doubt in whole} == set(copies.tolist())
    assert {doubt.index for doubt in quick} == set(copies.tolist())
    assert {d.index: d.evidence["neighbour"] for d in quick} == {d.index: d.evidence["neighbour"] for d in whole}
