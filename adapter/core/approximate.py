"""Nearest neighbours by cosine in pools too large to compare every row with every row.

Rows are sorted into cells round centres found by k-means, kept there with 8 bits a number, and a query looks into the
cells nearest to it (inverted file with scalar quantisation: Jegou et al. 2011, "Product Quantization", section IV;
Douze et al. 2024, "The Faiss library"). 1,000,000 rows of 384 numbers take 0.4 GB, up
to 0.8 GB while they are indexed. Small pools are searched exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.neighbours import NEAR, unit_rows
from adapter.ports import Floats

Ints = npt.NDArray[np.int64]
Fetch = Callable[[Ints], npt.NDArray[np.floating]]

EXACT = 20_000
"""Rows up to which search is exact."""
BLOCK = 20_000
MOST_CELLS = 1_024
SAMPLE = 40
"""Rows for each cell that its centre is learned from."""
ROUNDS = 8
PROBES = 16
"""Cells that a query looks into."""
NEIGHBOURS = 20
_CELLS = 16_000_000  # of one block of similarities: 64 MB


class Neighbours:
    """n rows, by cosine. `build` it, then ask. exact: whether nothing is missed. Safe to ask from several threads."""

    def __init__(self, index: Any, matrix: Floats | None, usable: npt.NDArray[np.bool_], threads: int) -> None:
        self._index = index
        self._matrix = matrix
        self._usable = usable
        self._number = threads

    @property
    def exact(self) -> bool:
        """Whether every neighbour is found."""
        return self._matrix is not None

    def __len__(self) -> int:
        return len(self._usable)

    @classmethod
    def build(cls, count: int, fetch: Fetch, *, seed: int, threads: int = 1, exact: int = EXACT) -> Neighbours:
        """Return neighbours among `count` rows.

        fetch: positions (b,) to vectors (b, d), float32 or float16; asked for a sample first and then for blocks of
        BLOCK rows in order, so never for all at once. Rows of zeros or NaN are near nothing. threads: of processor
        time. exact: rows up to which all are compared, also the answer where faiss is not installed. Same rows and
        seed, same answers. Raises ValueError when `fetch` gives another number of rows than asked for.
        """
        usable = np.zeros(count, bool)
        faiss = None if count <= exact else _faiss()
        if faiss is None:
            parts = []
            for start, unit, good in _blocks(count, fetch):
                usable[start : start + len(good)] = good
                parts.append(unit)
            matrix = np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
            return cls(None, matrix, usable, threads)
        random = np.random.default_rng(seed)
        cells = int(min(MOST_CELLS, max(16, 2 * np.sqrt(count))))
        rows = np.sort(random.choice(count, min(count, SAMPLE * cells), replace=False))
        sample, good = unit_rows(np.asarray(_fetched(fetch, rows), np.float32))
        sample = sample[good]
        if len(sample) < cells:  # nearly all without a direction: what is left is searched exactly
            return cls.build(count, fetch, seed=seed, threads=threads, exact=count)
        d = sample.shape[1]
        with _using(faiss, threads):
            centres = faiss.Kmeans(
                d, cells, niter=ROUNDS, seed=int(random.integers(2**31)), spherical=True, max_points_per_centroid=SAMPLE
            )
            centres.train(sample)
            quantizer = faiss.IndexFlatIP(d)
            quantizer.add(centres.centroids)
            index = faiss.IndexIVFScalarQuantizer(
                quantizer, d, cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
            )
            index.own_fields = True
            quantizer.this.disown()
            index.nprobe = PROBES
            index.train(sample)
            del sample
            for start, unit, good in _blocks(count, fetch):
                usable[start : start + len(good)] = good
                index.add_with_ids(unit[good], np.flatnonzero(good) + start)
        return cls(index, None, usable, threads)

    def search(self, queries: npt.NDArray[np.floating], k: int, *, probes: int = PROBES) -> tuple[Ints, Floats]:
        """Return the nearest k rows of each query (b, d), nearest first: positions and cosines, (b, k) each; -1 and
        -inf where there are fewer. probes: cells to look into; more find more and take longer. A query without a
        direction has no neighbours."""
        unit, good = unit_rows(np.asarray(queries, np.float32))
        found = np.full((len(unit), k), -1, np.int64)
        similar = np.full((len(unit), k), -np.inf, np.float32)
        rows = np.flatnonzero(good)
        if not len(rows) or not self._usable.any() or k < 1:
            return found, similar
        if self._index is None:
            found[rows], similar[rows] = self._exact(unit[rows], k)
        else:
            faiss = _faiss()
            with _using(faiss, self._number):
                options = faiss.SearchParametersIVF(nprobe=int(probes))
                similar[rows], found[rows] = self._index.search(unit[rows], k, params=options)
        similar[found < 0] = -np.inf
        return found, np.clip(similar, -np.inf, 1.0).astype(np.float32)

    def density(self, rows: Ints, fetch: Fetch, *, k: int = NEIGHBOURS, probes: int = 4) -> Floats:
        """Return (m,) in 0..1: the mean cosine of each of these rows to its k nearest others, 0 for rows without a
        direction; typical rows are dense (Settles and Craven 2008, information density). fetch: as `build` takes it."""
        out = np.zeros(len(rows), np.float32)
        for start in range(0, len(rows), BLOCK):
            here = np.asarray(rows[start : start + BLOCK], np.int64)
            found, similar = self.search(_fetched(fetch, here), k + 1, probes=probes)
            others = (found >= 0) & (found != here[:, None])
            # Where the row itself is not among what was found, the last one is one too many.
            others &= np.cumsum(others, axis=1) <= k
            total = np.where(others, np.clip(similar, 0.0, 1.0), 0.0).sum(axis=1)
            out[start : start + len(here)] = total / np.maximum(others.sum(axis=1), 1)
        return out

    def near_pairs(
        self, fetch: Fetch, *, threshold: float = NEAR, k: int = 10, probes: int = 2
    ) -> tuple[Ints, Ints, Floats]:
        """Return pairs (i, j, cosine) with i < j and a cosine of at least `threshold`, ordered by (i, j).

        Each row is compared with its k nearest: in a crowd of more than k copies not every pair is named, but every
        copy is in some pair. The cosine is exact to about .01 where the search is not exact.
        """
        pairs: list[npt.NDArray[Any]] = []
        for start in range(0, len(self), BLOCK):
            here = np.arange(start, min(start + BLOCK, len(self)))
            found, similar = self.search(_fetched(fetch, here), k + 1, probes=probes)
            row, column = np.nonzero((similar >= threshold) & (found != here[:, None]))
            i, j = here[row], found[row, column]
            pairs.append(np.stack([np.minimum(i, j), np.maximum(i, j), similar[row, column]], axis=1, dtype=np.float64))
        every = np.concatenate(pairs) if pairs else np.empty((0, 3))
        order = np.lexsort((-every[:, 2], every[:, 1], every[:, 0]))
        every = every[order]
        fresh = np.append(True, (np.diff(every[:, :2], axis=0) != 0).any(axis=1))[: len(every)]
        every = every[fresh]
        return every[:, 0].astype(np.int64), every[:, 1].astype(np.int64), every[:, 2].astype(np.float32)

    def recall(self, fetch: Fetch, *, queries: int = 200, k: int = 10, seed: int = 0, probes: int = PROBES) -> float:
        """Return the share of the true k nearest others that `search` finds, on randomly drawn rows: one pass over all
        rows."""
        usable = np.flatnonzero(self._usable)
        if len(usable) < 2:
            return 1.0
        rows = np.sort(np.random.default_rng(seed).choice(usable, min(queries, len(usable)), replace=False))
        asked = np.asarray(_fetched(fetch, rows), np.float32)
        unit = unit_rows(asked)[0]
        k = min(k, len(usable) - 1)
        best: Floats = np.full((len(rows), k), -np.inf, np.float32)
        names: Ints = np.full((len(rows), k), -1, np.int64)
        for start, block, good in _blocks(len(self), fetch):
            similar = unit @ block.T
            similar[:, ~good] = -np.inf
            similar[rows[:, None] == np.arange(start, start + len(block))] = -np.inf
            best, names = _best(best, names, similar, start)
        found = self.search(asked, k + 1, probes=probes)[0]
        hits = [len(set(mine[mine != row][:k]) & set(true)) for mine, true, row in zip(found, names, rows, strict=True)]
        return float(np.sum(hits) / names.size)

    def _exact(self, unit: Floats, k: int) -> tuple[Ints, Floats]:
        assert self._matrix is not None
        best: Floats = np.full((len(unit), k), -np.inf, np.float32)
        names: Ints = np.full((len(unit), k), -1, np.int64)
        step = max(1, _CELLS // max(1, len(unit)))
        for start in range(0, len(self._matrix), step):
            similar = unit @ self._matrix[start : start + step].T
            similar[:, ~self._usable[start : start + step]] = -np.inf
            best, names = _best(best, names, similar, start)
        names[np.isneginf(best)] = -1
        return names, best


def _best(best: Floats, names: Ints, similar: Floats, start: int) -> tuple[Floats, Ints]:
    """Return the best k of what was the best before and of a block of similarities that starts at row `start`."""
    k = best.shape[1]
    width = min(k, similar.shape[1])
    top = np.argpartition(-similar, width - 1, axis=1)[:, :width] if width < similar.shape[1] else None
    columns = np.broadcast_to(np.arange(similar.shape[1]), similar.shape) if top is None else top
    values = np.concatenate([best, np.take_along_axis(similar, columns, axis=1)], axis=1)
    every = np.concatenate([names, columns + start], axis=1)
    order = np.lexsort((every, -values), axis=1)[:, :k]
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(every, order, axis=1)


def _blocks(count: int, fetch: Fetch) -> Iterator[tuple[int, Floats, npt.NDArray[np.bool_]]]:
    for start in range(0, count, BLOCK):
        rows = np.arange(start, min(start + BLOCK, count))
        unit, good = unit_rows(np.asarray(_fetched(fetch, rows), np.float32))
        yield start, unit, good


def _fetched(fetch: Fetch, rows: Ints) -> npt.NDArray[np.floating]:
    found = fetch(rows)
    if len(found) != len(rows):
        raise ValueError(f"{len(found)} vectors for {len(rows)} rows")
    return found


def _faiss() -> Any:
    """Return the module, or None where it is not installed."""
    try:
        import faiss
    except ImportError:
        return None
    return faiss


@contextmanager
def _using(faiss: Any, threads: int) -> Iterator[None]:
    """Have faiss use so many threads. The setting is the calling thread's, but torch shares it where its OpenMP was
    loaded first, so it is put back."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(max(1, threads))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


__all__ = ["EXACT", "Neighbours"]
