"""Majority vote."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapter.core.weak.base import ABSTAIN, Labels, Votes, WeakVotes
from adapter.core.weak.lookup import Doubles, table_sums
from adapter.ports import Floats


@dataclass(frozen=True, slots=True)
class Majority:
    """Each label's share of the votes on a row. A tie stays a tie: equal probabilities, resolved by nobody.

    Where functions said how sure they are, a vote weighs its confidence; one that said nothing (NaN) weighs 1, and a
    row of votes that are all worth 0 counts them plainly. It learns nothing: `fit` returns itself.
    """

    name: str = "majority"
    learns: bool = False

    def fit(self, votes: WeakVotes, labels: Labels, *, balance: Floats | None = None, seed: int = 0) -> Majority:
        """Return itself: labels, balance and seed have no effect.

        Raises ValueError where several labels may hold at once: shares of the votes would let them deny each other.
        """
        if votes.multiple:
            raise ValueError("majority vote makes labels exclude each other, but here several may hold at once")
        return self

    def predict(self, votes: WeakVotes) -> Floats:
        """Return the shares, float32 (n, k); NaN rows where nobody votes."""
        return majority(votes.votes, votes.k, confidence=votes.confidence)


def majority(votes: Votes, k: int, *, confidence: Floats | None = None) -> Floats:
    """Return each label's share of the votes, float32 (n, k); NaN rows where all abstain. See `Majority`."""
    n, m = votes.shape
    shares = np.empty((n, k), np.float32)
    one_each = np.zeros((m, k + 1, k))
    one_each[:, 1:] = np.eye(k)
    for rows, counts, covered in table_sums(votes, one_each):
        if confidence is not None:
            counts = _weighed(votes[rows], k, confidence[rows], counts)
        columns = np.ascontiguousarray(counts.T)  # few labels, many rows: much faster down the columns
        columns[:, ~covered] = np.nan
        columns /= columns.sum(axis=0)
        shares[rows] = columns.T
    return shares


def _weighed(votes: Votes, k: int, confidence: Floats, counts: Doubles) -> Doubles:
    """Return the sums (b, k) of the confidences of the votes for each label; `counts` where they are all 0.

    In float64, in which sums of a few float32 are exact: the same confidences in another order make the same tie.
    """
    row, column = np.nonzero(votes > ABSTAIN)
    sure = confidence[row, column]
    sure = np.where(np.isnan(sure), 1, np.clip(sure, 0, 1))
    sums = np.bincount(row * k + votes[row, column], weights=sure, minlength=len(votes) * k).reshape(-1, k)
    weighed: Doubles = np.where(sums.sum(axis=1, keepdims=True) > 0, sums, counts)
    return weighed
