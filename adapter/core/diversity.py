"""Spread a ranking over the data: cluster-margin batches, near neighbours kept apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from adapter.core.neighbours import NEAR, clusters, unit_rows
from adapter.ports import Floats

Ints = npt.NDArray[np.int64]
Embed = Callable[[Ints], Floats | None]
Style = Literal["clusters", "in order"]

REACH = 10
"""A batch of B tasks is taken from the first REACH x B of the order (guide: top 10 B by margin)."""
LEAST_EMBEDDED = 50
"""Rows that are embedded together where the order is kept: a model takes many at once as fast as few."""
MOST_EMBEDDED = 5_000
"""Rows that one ranking looks at for diversity; beyond them the plain order goes on."""
MOST_DIVERSE = 1_000
"""Places at the front that are spread; nobody works through more before the next ranking."""


class _Window:
    """The front of the order, embedded block by block as it is needed."""

    def __init__(self, order: Ints, embed: Embed, block: int) -> None:
        self.order = order
        self.embed = embed
        self.block = block
        self.unit: Floats = np.zeros((0, 0), np.float32)
        self.usable: npt.NDArray[np.bool_] = np.zeros(0, bool)
        self.working = True

    def fill(self) -> bool:
        """Embed one block more; False when there is none, or no embedding."""
        start = len(self.usable)
        rows = self.order[start : min(start + self.block, MOST_EMBEDDED)]
        vectors = self.embed(rows) if self.working and len(rows) else None
        if vectors is None:
            self.working = False
            return False
        if len(vectors) != len(rows):
            raise ValueError(f"{len(vectors)} embeddings for {len(rows)} tasks")
        unit, usable = unit_rows(vectors)
        self.unit = np.concatenate([self.unit, unit]) if start else unit
        self.usable = np.concatenate([self.usable, usable])
        return True


def spread(order: Ints, want: int, batch: int, embed: Embed, style: Style, seed: int) -> tuple[Ints, int] | None:
    """Return positions into `order` (each once) and how many of the first were spread; None without embeddings.

    order: (n,) rows, best first, in an order that does not depend on how they were stored. embed: rows to vectors (b,
    d), called for blocks from the front. style `clusters`: each batch holds the best row of each of `batch` clusters
    of the first REACH x batch rows (cluster-margin, Citovsky et al. 2021). style `in order`: the given order
    throughout.

    In the part that was spread no two rows are near neighbours (cosine NEAR); rows that would be come after all others
    that are not, so that they meet only when nothing else is left. Rows without a direction are never near anything.
    """
    reach = batch if style == "in order" else REACH * batch
    window = _Window(order, embed, max(reach, LEAST_EMBEDDED))
    if not window.fill():
        return None
    random = np.random.default_rng(seed)
    chosen: list[int] = []
    waiting: list[int] = []
    rest = list(range(len(window.usable)))
    front = min(want, MOST_DIVERSE, len(order))
    while len(chosen) < front:
        while len(rest) < reach:
            known = len(window.usable)
            if not window.fill():
                break
            rest += range(known, len(window.usable))
        head = np.array(rest[:reach], dtype=np.int64)
        near = _near(window, head, np.array(chosen, dtype=np.int64))
        waiting += head[near].tolist()
        head = head[~near]
        rest = rest[reach:]
        if not len(head):
            if rest:
                continue
            break
        picked = _batch(window, head, batch, style, random)
        apart = _apart(window, picked)[: front - len(chosen)]
        chosen += apart
        taken = set(apart)
        rest = [row for row in head.tolist() if row not in taken] + rest
    # In its turn comes what was only not reached; then what has a near neighbour before it.
    tail = sorted(rest) + list(range(len(window.usable), len(order)))
    return np.array(chosen + tail + _late(window, sorted(waiting)), dtype=np.int64), len(chosen)


def _late(window: _Window, rows: list[int]) -> list[int]:
    """Order rows that have a near neighbour before them in rounds: within a round no two are near neighbours."""
    if len(rows) < 2:
        return rows
    similar = window.unit[rows] @ window.unit[rows].T >= NEAR
    turn = np.zeros(len(rows), np.int64)
    for i in range(1, len(rows)):
        used = np.unique(turn[:i][similar[i, :i]])
        free = np.flatnonzero(used != np.arange(len(used)))
        turn[i] = free[0] if len(free) else len(used)
    return [rows[i] for i in np.lexsort((np.arange(len(rows)), turn))]


def _near(window: _Window, rows: Ints, chosen: Ints) -> npt.NDArray[np.bool_]:
    """Which of `rows` have a near neighbour among `chosen`."""
    if not len(chosen):
        return np.zeros(len(rows), bool)
    return np.asarray((window.unit[rows] @ window.unit[chosen].T >= NEAR).any(axis=1))


def _apart(window: _Window, rows: list[int]) -> list[int]:
    """Walk through rows and keep those that are not near one kept before."""
    if not rows:
        return []
    similar = window.unit[rows] @ window.unit[rows].T >= NEAR
    blocked = np.zeros(len(rows), bool)
    kept = []
    for i, row in enumerate(rows):
        if not blocked[i]:
            kept.append(row)
            blocked |= similar[i]
    return kept


def _batch(window: _Window, head: Ints, batch: int, style: str, random: np.random.Generator) -> list[int]:
    """Candidates of one batch, best first; never empty."""
    if style == "in order":
        return [int(row) for row in head[:batch]]
    unit = window.unit[head]
    labels = clusters(unit, batch, random)
    return sorted(int(head[np.flatnonzero(labels == label)[0]]) for label in np.unique(labels))
