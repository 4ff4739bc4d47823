"""What all consolidators of labeling functions' votes share: the votes, the labels they may learn from, the protocol.

A row without any vote is a row of NaN, never the prior: an uncovered task is reported as uncovered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats

Votes = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ABSTAIN = -1
FAULT = -2


@dataclass(frozen=True, slots=True, eq=False)
class WeakVotes:
    """Votes of m labeling functions on n tasks, for one control.

    votes: int16 (n, m): a label index in 0..k-1, ABSTAIN, or FAULT (the function failed there, which is no vote). k:
    labels. multiple: several labels may hold at once: a vote for one then says nothing against the others. names: (m,)
    of the functions. confidence: float32 (n, m) in 0..1, what a function said of its own vote; None where none ever
    did. Raises ValueError for a wrong shape or a label outside 0..k-1.
    """

    votes: Votes
    k: int
    multiple: bool = False
    names: tuple[str, ...] = ()
    confidence: Floats | None = None

    def __post_init__(self) -> None:
        if self.votes.ndim != 2:
            raise ValueError(f"votes need the shape (rows, functions), got {self.votes.shape}")
        if self.votes.size and (int(self.votes.min()) < FAULT or int(self.votes.max()) >= self.k):
            raise ValueError(f"votes must be label indices in 0..{self.k - 1}, -1 or -2")
        if self.names and len(self.names) != self.votes.shape[1]:
            raise ValueError(f"{self.votes.shape[1]} functions but {len(self.names)} names")
        if self.confidence is not None and self.confidence.shape != self.votes.shape:
            raise ValueError(f"votes have the shape {self.votes.shape}, confidence {self.confidence.shape}")

    @property
    def covered(self) -> Bools:
        """(n,) whether any function voted."""
        return np.asarray((self.votes >= 0).any(axis=1))

    def at(self, rows: Ints) -> WeakVotes:
        """Return the votes on these rows."""
        there = None if self.confidence is None else self.confidence[rows]
        return WeakVotes(self.votes[rows], self.k, self.multiple, self.names, there)


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Labels by people, as rows of the votes. rows: int64 (g,). targets: float32 (g, k), one-hot, soft, or multi-hot.
    weights: float32 (g,), how sure people are."""

    rows: Ints
    targets: Floats
    weights: Floats

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def none(cls, k: int) -> Labels:
        """Return no labels."""
        return cls(np.empty(0, np.int64), np.empty((0, k), np.float32), np.empty(0, np.float32))


class Fitted(Protocol):
    """A consolidator that has learned what it needs."""

    def predict(self, votes: WeakVotes) -> Floats:
        """Return probabilities float32 (n, k), rows that nobody voted on NaN. A row's answer depends on its own votes
        alone, so the order of rows never changes a label."""
        ...


class Consolidator(Protocol):
    """Makes one label of many votes. learns: whether labels by people change what it answers."""

    @property
    def name(self) -> str:
        """What settings and tables call it."""
        ...

    @property
    def learns(self) -> bool:
        """Whether it looks at labels."""
        ...

    def fit(self, votes: WeakVotes, labels: Labels, *, balance: Floats | None, seed: int) -> Fitted:
        """Learn from all votes, and from labels of some rows (rows of `votes`).

        balance: (k,) shares of the labels in a *random* sample, None if unknown. Raises ValueError, saying why, when it
        cannot work on these votes; then it falls out of the table. The order of rows does not matter."""
        ...
