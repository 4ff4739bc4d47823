"""Optimal design: the tasks after whose labels a linear model would waver least over the whole pool."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adapter.core.strategies.base import Ints, State, Vectors, strategy
from adapter.ports import Floats

Array = npt.NDArray[np.float32]

CANDIDATES = 2_000
"""Tasks compared: the less sure half of them from the front of the order, the others by chance."""
POOL = 2_000
"""Tasks drawn by chance that stand for the pool."""
PICKS = 500
"""Most tasks picked in one go; those behind them come by their uncertainty."""
NEIGHBOURS = 10
"""Tasks of the pool by which the doubt at a labelled task is told."""
RIDGE = 1.0 / 3.0
"""Prior precision of the weights: the inverse of `c` that the embedding backend regularises with."""
POWER = 2.0
"""Doubt counts by this power: 1 is Fisher information; 2 keeps closer to the border between the labels."""


@strategy(
    "fisher",
    picks=True,
    vectors=True,
    reason="its label would make the model surer about much of the data",
    needs="labelled tasks",
    source="Ash et al. 2021, arXiv 2106.09675; Yu, Bi, Tresp 2006",
)
def fisher(vectors: Vectors, probabilities: Floats, state: State) -> Ints:
    """Pick, one by one, the task that most lowers the mean variance of a linear model's answers over the pool (BAIT,
    Ash et al. 2021, arXiv 2106.09675, by its forward steps; transductive design, Yu, Bi, Tresp 2006, section 3.2).

    A task of vector x (1 appended) with doubt u = (1 - sum p^2) k / (k - 1) adds u^2 x x' to the information M of what
    is labelled; picked is the greatest fall of trace(M^-1 F), F the mean of u^2 x x' over the pool. One matrix serves
    all labels, where BAIT has one for each pair of them, so cost does not grow with their number: of 2,000 candidates
    and d dimensions, d^3 once and 2,000 d a pick. The doubt at a labelled task is that of the tasks around it, since
    the model was trained on its label.

    It sees at once how unsure, how typical and how unlike the others of the batch a task is, so it is near the best
    both with few labels, where margin chases outliers, and with many, where typical tasks are used up. It needs vectors
    in which the labels can be told apart by planes; where they say nothing of the labels, take margin.
    """
    doubt = _doubt(probabilities, state.multiple)
    rows = _front(doubt, state)
    drawn = np.argsort(state.chance, kind="stable")[:POOL]
    mine, pool = _with_one(vectors[rows]), _with_one(vectors[drawn])
    weight, spread = doubt[rows] ** POWER, doubt[drawn] ** POWER
    size = mine.shape[1]
    information = np.diag(np.r_[np.full(size - 1, RIDGE), RIDGE / 100]).astype(np.float64)
    if state.labelled is not None and len(state.labelled):
        known = _with_one(np.asarray(state.labelled, np.float32))
        around = _around(known, pool, doubt[drawn]) ** POWER
        information += (known * around[:, None]).T.astype(np.float64) @ known
    target = np.asarray((pool * spread[:, None]).T @ pool / len(pool), np.float32)
    found = _greedy(mine, weight, np.linalg.inv(information).astype(np.float32), target, min(state.size, PICKS))
    return np.asarray(rows[found], np.int64)


def _doubt(probabilities: Floats, multiple: bool) -> Array:
    """(n,) in 0..1: 1 where all labels are as likely; with several labels, the mean over them; 1 where unknown."""
    p = np.asarray(probabilities, np.float32)
    k = p.shape[1]
    single = (1 - (p * p).sum(axis=1)) * (k / max(1, k - 1))
    found = (4 * p * (1 - p)).mean(axis=1) if multiple else single
    return np.asarray(np.clip(np.nan_to_num(found, nan=1.0), 1e-4, 1.0), np.float32)


def _front(doubt: Array, state: State) -> Ints:
    """The candidates to compare: the most doubtful, then others by chance."""
    if len(doubt) <= CANDIDATES:
        return state.drawn()  # so that the first of equals is drawn too, however the candidates are stored
    order = np.lexsort((state.chance, -np.round(doubt, 6)))
    first, rest = order[: CANDIDATES // 2], order[CANDIDATES // 2 :]
    others = rest[np.argsort(state.chance[rest], kind="stable")[: CANDIDATES - len(first)]]
    return np.asarray(np.concatenate([first, others]), np.int64)


def _with_one(rows: Floats) -> Array:
    return np.concatenate([rows, np.ones((len(rows), 1), np.float32)], axis=1)


def _around(known: Array, pool: Array, doubt: Array) -> Array:
    """(m,): the mean doubt of the NEIGHBOURS tasks of the pool that are nearest to each labelled one."""
    count = min(NEIGHBOURS, len(pool))
    near = np.argpartition(-(known @ pool.T), count - 1, axis=1)[:, :count]
    return np.asarray(doubt[near].mean(axis=1), np.float32)


def _greedy(mine: Array, weight: Array, inverse: Array, target: Array, count: int) -> Ints:
    """Positions of the picks. By Sherman and Morrison's formula each pick changes all products by a rank-one term."""
    left = mine @ inverse
    right = left @ target
    own = np.einsum("ij,ij->i", left, mine)
    fall = np.einsum("ij,ij->i", left, right)
    open_ = np.ones(len(mine), bool)
    picked: list[int] = []
    for _ in range(min(count, len(mine))):
        gain = np.where(open_, weight * fall / (1 + weight * own), -np.inf)
        best = int(gain.argmax())
        picked.append(best)
        open_[best] = False
        row, turned = left[best].copy(), right[best].copy()
        reach = mine @ row
        step = reach * (weight[best] / (1 + weight[best] * own[best]))
        fall += step * (step * float(row @ turned) - right @ row - left @ turned)
        own -= step * reach
        left -= np.outer(step, row)
        right -= np.outer(step, turned)
    return np.asarray(picked, np.int64)
