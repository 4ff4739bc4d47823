"""Exact nearest neighbours by cosine, in blocks, so that the memory does not grow with the square of the rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NEAR = 0.95
"""Cosine similarity from which two tasks count as near neighbours: reworded copies, not merely the same subject."""

_CELLS = 16_000_000  # of one block of similarities: 64 MB


def unit_rows(vectors: Floats) -> tuple[Floats, Bools]:
    """Return the rows scaled to length 1, float32 (n, d), and which could be: rows of zeros, NaN or infinity become
    zeros.

    Raises ValueError unless vectors is two-dimensional.
    """
    array = np.asarray(vectors, dtype=np.float32)
    if array.ndim != 2:
        raise ValueError(f"embeddings need the shape (n, d), got {array.shape}")
    usable: Bools = np.asarray(np.isfinite(array).all(axis=1))
    clean = np.where(usable[:, None], array, np.float32(0))
    # The greatest entry first: squares of very small or large entries would leave float32's range.
    largest = np.abs(clean).max(axis=1, initial=0.0)
    usable &= largest > 0
    clean = clean / np.where(usable, largest, 1)[:, None]
    length = np.linalg.norm(clean, axis=1)
    return (clean / np.where(usable, length, 1)[:, None]).astype(np.float32), usable


def blocks(unit: Floats) -> Iterator[tuple[int, Floats]]:
    """Yield (first row, similarities (b, n)) until every row was compared with every row."""
    step = max(1, _CELLS // max(1, len(unit)))
    for start in range(0, len(unit), step):
        yield start, unit[start : start + step] @ unit.T


def near_pairs(vectors: Floats, *, threshold: float = NEAR) -> tuple[Ints, Ints, Floats]:
    """Return all pairs (i, j, similarity) with i < j and cosine similarity of at least `threshold`, ordered by (i, j).

    Rows without a direction (zeros, NaN) are near nothing.
    """
    unit, usable = unit_rows(vectors)
    firsts: list[Ints] = []
    seconds: list[Ints] = []
    values: list[Floats] = []
    for start, similar in blocks(unit):
        rows, columns = np.nonzero(similar >= threshold)
        keep = (columns > rows + start) & usable[rows + start] & usable[columns]
        rows, columns = rows[keep], columns[keep]
        firsts.append(rows + start)
        seconds.append(columns)
        values.append(np.clip(similar[rows, columns], -1, 1))
    if not firsts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    return np.concatenate(firsts), np.concatenate(seconds), np.concatenate(values)


def clusters(unit: Floats, count: int, random: np.random.Generator, *, rounds: int = 20, trials: int = 1) -> Ints:
    """Return the cluster of each row of unit vectors (n, d), in 0..count-1; some may stay empty.

    Spherical k-means (Dhillon and Modha 2001) from k-means++ seeds: deterministic for one generator state and one
    order of rows, and silent about rows that are all alike. trials: draws for each seed, of which the one that brings
    all rows nearest to a seed is kept (greedy k-means++, Arthur and Vassilvitskii 2007): fewer real clusters are split,
    for that many times the cost of seeding.
    """
    n = len(unit)
    if n <= count:
        return np.arange(n, dtype=np.int64)
    centres = np.empty((count, unit.shape[1]), np.float32)
    centres[0] = unit[int(random.integers(n))]
    gap = 1 - unit @ centres[0]
    for i in range(1, count):
        weight = np.maximum(gap, 0).astype(np.float64)
        total = weight.sum()
        if total <= 1e-9:
            centres[i] = unit[int(random.integers(n))]
            continue
        rows = random.choice(n, size=trials, p=weight / total)
        gaps = np.minimum(gap[:, None], 1 - unit @ unit[rows].T)
        best = int(np.maximum(gaps, 0).sum(axis=0).argmin())
        centres[i], gap = unit[rows[best]], gaps[:, best]
    labels = np.full(n, -1, np.int64)
    for _ in range(rounds):
        before, labels = labels, (unit @ centres.T).argmax(axis=1).astype(np.int64)
        if np.array_equal(before, labels):
            break
        sums = np.zeros_like(centres)
        np.add.at(sums, labels, unit)
        length = np.linalg.norm(sums, axis=1)
        moved = length > 1e-6
        centres[moved] = sums[moved] / length[moved, None]
    return labels
