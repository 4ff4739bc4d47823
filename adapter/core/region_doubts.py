"""Reasons to doubt single regions that a person marked, against the consensus of the same task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from adapter.core.matching import match

Doubles = npt.NDArray[np.float64]
Wrong = Literal["missed", "invented", "wrong class", "moved"]

SAME_THING = 0.2
"""Overlap from which a mark and a region of the consensus with a common label can mean the same thing, however badly it
was drawn."""
SAME_PLACE = 0.5
"""Overlap from which they can without a common label: something else is marked there otherwise."""
USUAL = 0.7
"""Overlap with the consensus that people who take care reach; see `usual_overlap` for those who mark less exactly."""
_FEWEST = 20  # overlaps from which what is usual can be told


@dataclass(frozen=True, slots=True)
class RegionDoubt:
    """One doubt. kind: what seems wrong. score: 0..1, higher is more doubtful. mine: index of the person's region, None
    where one is missed. theirs: index of the region of the consensus, None where one is invented. overlap: of the two,
    0 where there is only one."""

    kind: Wrong
    score: float
    mine: int | None
    theirs: int | None
    overlap: float = 0.0


def doubts(
    overlap: npt.ArrayLike,
    mine: Sequence[Sequence[str]],
    theirs: Sequence[Sequence[str]],
    *,
    there: npt.ArrayLike | None = None,
    real: npt.ArrayLike | None = None,
    usual: float = USUAL,
) -> list[RegionDoubt]:
    """Return what is doubtful in one person's regions of a task, most doubtful first.

    overlap: (n, m), of each of the person's regions with each of the consensus. mine, theirs: their labels, empty for
    shapes without labels. there: (m,) probability that each region of the consensus exists, default 1. real: (n,)
    probability that each of the person's regions exists, default 0, counted for those that the consensus leaves out.
    usual: overlap below which a mark counts as moved.

    Marks are matched one to one by overlap. `missed`: a thing that the person did not mark, scored by its existence.
    `invented`: a mark without a thing, scored by 1 - real. `wrong class`: a pair without a common label, scored by the
    existence of the thing. `moved`: a pair that overlaps less than is usual, scored by that existence times how far it
    is below, 0 at `usual` to 1 at no overlap. A pair may be both. Raises ValueError when shapes do not fit or on NaN.
    """
    table = np.asarray(overlap, np.float64).reshape(len(mine), len(theirs))
    exists = np.ones(len(theirs)) if there is None else np.asarray(there, np.float64)
    known = np.zeros(len(mine)) if real is None else np.asarray(real, np.float64)
    if exists.shape != (len(theirs),) or known.shape != (len(mine),):
        raise ValueError(f"{exists.shape} and {known.shape} do not fit {table.shape} overlaps")
    pairs = _pairs(table, mine, theirs)
    found = [
        RegionDoubt("missed", float(exists[j]), None, j) for j in range(len(theirs)) if j not in {j for _, j in pairs}
    ]
    found += [
        RegionDoubt("invented", float(1 - known[i]), i, None)
        for i in range(len(mine))
        if i not in {i for i, _ in pairs}
    ]
    for i, j in pairs:
        reached = float(table[i, j])
        if _unlike(mine[i], theirs[j]):
            found.append(RegionDoubt("wrong class", float(exists[j]), i, j, reached))
        if reached < usual:
            found.append(RegionDoubt("moved", float(exists[j] * (1 - reached / usual)), i, j, reached))
    return sorted(found, key=lambda doubt: (-doubt.score, doubt.kind, doubt.mine or 0, doubt.theirs or 0))


def usual_overlap(overlaps: npt.ArrayLike) -> float:
    """Return the overlap below which a mark is unusually far off, from the overlaps of many matched marks with the
    consensus: the median less three robust standard deviations (1.4826 times the median absolute deviation; Leys et
    al. 2013), at least .3; never more than USUAL, which is what it is with fewer than 20."""
    reached = np.asarray(overlaps, np.float64)
    if reached.size < _FEWEST:
        return USUAL
    middle = float(np.median(reached))
    spread = 1.4826 * float(np.median(np.abs(reached - middle)))
    return float(np.clip(middle - 3 * spread, 0.3, USUAL))


def matched(overlap: npt.ArrayLike, mine: Sequence[Sequence[str]], theirs: Sequence[Sequence[str]]) -> list[float]:
    """Return the overlaps of one person's marks with the things they stand for: what `usual_overlap` learns from."""
    table = np.asarray(overlap, np.float64).reshape(len(mine), len(theirs))
    return [float(table[i, j]) for i, j in _pairs(table, mine, theirs)]


def _pairs(table: Doubles, mine: Sequence[Sequence[str]], theirs: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    """Match by overlap; between two equally good ones the one with the same label."""
    unlike = np.array([[_unlike(a, b) for b in theirs] for a in mine], np.bool_).reshape(table.shape)
    alike = np.where(table >= np.where(unlike, SAME_PLACE, SAME_THING), table - 1e-3 * unlike, 0.0)
    return match(alike, SAME_THING - 1e-3)


def _unlike(a: Sequence[str], b: Sequence[str]) -> bool:
    return bool(a or b) and not set(a) & set(b)
