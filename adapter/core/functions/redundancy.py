"""How alike functions vote, and the nearest twin of each. Near-copies are found by `core.weak.near_copies`, which looks
at the same share and asks more of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.weak.base import Votes
from adapter.core.weak.moments import pair_counts


@dataclass(frozen=True, slots=True)
class Twin:
    """The function most like this one. other: its column, None if no other ever votes the same. similarity in 0..1."""

    other: int | None
    similarity: float


def similarities(votes: Votes, k: int) -> npt.NDArray[np.float64]:
    """Return (m, m) how alike two functions vote, for votes (n, m) on k labels: rows on which both say the same / rows
    on which either votes. That is their agreement where both vote, times the overlap (Jaccard) of their coverage: 1 for
    copies, 0 for functions that never say the same. The diagonal is 1, also of functions that never vote."""
    m = votes.shape[1]
    if not m:
        return np.zeros((0, 0))
    counts = pair_counts(votes, k).reshape(m, k, m, k)
    same = np.einsum("iyjy->ij", counts)
    both = counts.sum(axis=(1, 3))
    spoken = np.diagonal(both)
    either = spoken[:, None] + spoken[None, :] - both
    out: npt.NDArray[np.float64] = np.divide(same, either, out=np.zeros((m, m)), where=either > 0)
    np.fill_diagonal(out, 1.0)
    return out


def twins(alike: npt.NDArray[np.float64]) -> list[Twin]:
    """Return the nearest twin of each function, from what `similarities` returns; the first of equals."""
    found = []
    for column in range(len(alike)):
        others = alike[column].copy()
        others[column] = 0.0
        best = int(np.argmax(others))
        found.append(Twin(best, float(others[best])) if others[best] > 0 else Twin(None, 0.0))
    return found
