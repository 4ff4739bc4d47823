"""How often two functions vote this and that together, counted exactly on all rows without a one-hot matrix of them."""

from __future__ import annotations

import numpy as np

from adapter.core.weak.base import Ints, Votes

CHUNK = 65_536
"""Rows at a time: 8 kB of bits for each label of each function, which stay in the processor's cache."""


def pair_counts(votes: Votes, k: int) -> Ints:
    """Return int64 (m * k, m * k): at [i * k + y, j * k + z] the rows on which function i votes y and j votes z.

    votes: (n, m), what is below 0 is no vote. On the diagonal stands how often a function votes a label. Each label of
    each function becomes a row of bits, one a task; two of them are compared 64 tasks at a time. Labels that a function
    never votes for in a chunk cost nothing there.
    """
    n, m = votes.shape
    counts = np.zeros((m * k, m * k), np.int64)
    for start in range(0, n, CHUNK):
        columns = np.ascontiguousarray(votes[start : start + CHUNK].T)
        words = -(-columns.shape[1] // 64)
        bits = np.zeros((m, k, words * 8), np.uint8)
        for label in range(k):
            packed = np.packbits(columns == label, axis=1)
            bits[:, label, : packed.shape[1]] = packed
        flat = bits.reshape(m * k, words * 8).view(np.uint64)
        said = np.flatnonzero(flat.any(axis=1))
        flat = flat[said]
        for at, row in enumerate(said):
            together = np.bitwise_count(flat[at:] & flat[at])
            counts[row, said[at:]] += together.sum(axis=1, dtype=np.int64)
    counts += np.triu(counts, 1).T
    return counts
