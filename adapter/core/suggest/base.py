"""What all searches for labeling functions share: the evidence, a candidate, and how a candidate is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from adapter.core.intervals import wilson
from adapter.ports import Floats
from adapter.vocabulary import JsonObject

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SHRINK = 2.0
"""Labels' worth of the base rate that every precision is shrunk by."""
LEVEL = 0.1
"""Of the one-sided lower bound that a candidate must hold above the base rate, on the half that finds."""
LEAST_RIGHT = 2
LEAST_PRECISION = 0.6
"""Shrunk precision below which a rule is no suggestion: its votes would be wrong nearly as often as right."""
LEAST_EDGE = 0.15


@dataclass(frozen=True)
class Evidence:
    """What is known of the n rows in memory: the first `size` are a random sample of the pool, the others were added
    because people labelled them.

    labels: the k names. rows: int64 (g,), labelled rows, none of them blind. targets: bool (g, k), what holds there.
    held: bool (g,), the half that only checks. votes: int64 (n,), how many functions vote on each row already.
    """

    labels: tuple[str, ...]
    size: int
    rows: Ints
    targets: Bools
    held: Bools
    votes: Ints

    def __post_init__(self) -> None:
        g = len(self.rows)
        if self.targets.shape != (g, len(self.labels)) or self.held.shape != (g,):
            raise ValueError(f"{g} labelled rows, but targets {self.targets.shape} and held {self.held.shape}")
        if not 0 <= self.size <= len(self.votes):
            raise ValueError(f"a sample of {self.size} among {len(self.votes)} rows")

    @cached_property
    def base(self) -> npt.NDArray[np.float64]:
        """(k,) share of each label in the half that finds, shrunk by one label's worth of evenness."""
        found = self.targets[~self.held]
        even = 1 / max(1, len(self.labels))
        return np.asarray((found.sum(axis=0) + even) / (len(found) + 1), np.float64)

    @cached_property
    def place(self) -> Ints:
        """(n,) index of each row into `rows`, -1 where it is not labelled."""
        place = np.full(len(self.votes), -1, np.int64)
        place[self.rows] = np.arange(len(self.rows))
        return place

    def judge(self, label: int, hits: Ints, *, looks: int = 1, without: Ints | None = None) -> Judged:
        """Say how often `label` holds on the rows `hits`.

        looks: alternatives among which this one was picked: the level of the bound is divided by it (Bonferroni).
        without: rows that count on neither half, such as the exemplars of a neighbour rule."""
        at = self.place[hits if without is None else np.setdiff1d(hits, without)]
        at = at[at >= 0]
        right, held = self.targets[at, label], self.held[at]
        n, r = int((~held).sum()), int(right[~held].sum())
        base = float(self.base[label])
        shrunk_right, shrunk_n = r + SHRINK * base, n + SHRINK
        z = NormalDist().inv_cdf(1 - LEVEL / max(1, looks))
        bound = wilson(shrunk_right, shrunk_n, z)[0]
        checked, hold = int(held.sum()), int(right[held].sum())
        low, high = wilson(hold, checked)
        return Judged(base, n, r, shrunk_right / shrunk_n, bound, checked, hold, low, high)


@dataclass(frozen=True, slots=True)
class Judged:
    """How good a candidate is. base: share of its label. n, right, precision (shrunk towards the base), bound (lower,
    one-sided): on the half that found it. checked, held, lower, upper: labels, right ones and the Wilson 95 % interval
    on the half that did not."""

    base: float
    n: int
    right: int
    precision: float
    bound: float
    checked: int
    held: int
    lower: float
    upper: float

    @property
    def edge(self) -> float:
        """How far the bound stands above the base rate, as a share of what is possible: 0 no better than guessing, 1
        always right. So a rare label is not drowned by a common one."""
        return (self.bound - self.base) / max(1e-9, 1 - self.base)

    @property
    def lift(self) -> float:
        """Shrunk precision as a multiple of the base rate."""
        return self.precision / max(1e-9, self.base)

    @property
    def worth(self) -> bool:
        """Whether it is worth a suggestion."""
        return self.right >= LEAST_RIGHT and self.precision >= LEAST_PRECISION and self.edge >= LEAST_EDGE


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A rule that votes `label` on the rows `hits` (sorted int64).

    kind: `keywords`, `ngrams`, `thresholds` or `neighbours`. call, args, options: the declared function that it is, or
    for call `python` what `code` makes of it. words: what its name is made of. text: for a keyword or phrase, that;
    such candidates may be joined into one list. without: rows that do not count as evidence. looks: alternatives that
    it was picked among. weight: rows of the sample that each of its hits there stands for, where not all were looked
    at.
    """

    kind: str
    label: int
    hits: Ints
    judged: Judged
    call: str
    args: tuple[object, ...]
    options: JsonObject = field(default_factory=dict)
    words: tuple[str, ...] = ()
    text: str = ""
    without: Ints | None = None
    looks: int = 1
    weight: float = 1.0


def similarity(rows: Floats, exemplars: Floats) -> Floats:
    """Return cosine similarities (n, e) of unit vectors."""
    return np.asarray(rows @ exemplars.T, np.float32)
