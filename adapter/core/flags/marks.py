"""Reasons to doubt single marks of one person (spans, boxes, masks, ...), by the marks of the others.

`core.region_doubts` finds the pairs and says what differs; here each difference gets the probability that this person
errs, by a model of people with the priors of `core.existence`. Chosen by `benchmarks.flags`, precision / recall on five
noisy copies of the BCCD boxes: missed .92 / .96, invented .97 / .92, wrong class .97 / .90, moved .92 / .89. cleanlab's
ObjectLab (Tkachenko et al. 2023) on the same consensus, each at its best threshold: overlooked .98 / .27, swapped .88 /
.92, badly located .43 / .91; it knows no invented box. On spans with injected errors, any error of a mark: .92 / .72,
cleanlab's token classification (Wang and Mueller 2022) .34 / .76; on 47 real people (CoNLL crowd) .75 / .52 and .68 /
.57. Masks are judged by their overlap as well: cleanlab's segmentation doubts pixels, and names no mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.existence import PRECISION_PRIOR, RECALL_PRIOR
from adapter.core.matching import match
from adapter.core.region_doubts import SAME_THING, RegionDoubt, Wrong, doubts

Doubles = npt.NDArray[np.float64]
Labels = Sequence[Sequence[str]]

LEAST = 0.5
"""Probability of an error above which a mark is doubted."""
RIGHT = 0.9
"""What is assumed of people: so often the label, or the extent, of a mark is right."""
EXTENTS = 9
"""In how many ways an extent can be wrong."""
_RECALL = RECALL_PRIOR[0] / sum(RECALL_PRIOR)
_PRECISION = PRECISION_PRIOR[0] / sum(PRECISION_PRIOR)
_INVENTED = _RECALL * (1 - _PRECISION) / _PRECISION  # where there are as many places that are nothing as things


@dataclass(frozen=True, slots=True)
class Other:
    """Another person's marks of the task. mine: (n, o) their overlap with the judged marks; theirs: (m, o) with the
    regions of the others' consensus. labels: of each."""

    mine: Doubles
    theirs: Doubles
    labels: Labels


@dataclass(frozen=True, slots=True)
class MarkDoubt:
    """One doubt. score: probability that the person errs; for `moved` lower, the nearer the mark is to what is usual.
    mine, theirs: as in `RegionDoubt`. against: how many of the others say otherwise. first: number of the first of the
    others who marked the thing, and of that mark; None where nobody did."""

    kind: Wrong
    score: float
    mine: int | None
    theirs: int | None
    overlap: float
    against: int
    first: tuple[int, int] | None


def judge(
    overlap: npt.ArrayLike,
    mine: Labels,
    theirs: Labels,
    there: npt.ArrayLike,
    others: Sequence[Other],
    *,
    usual: float,
    labels: int,
    least: float = LEAST,
) -> list[MarkDoubt]:
    """Return what is doubtful in one person's marks of a task, most doubtful first.

    overlap: (n, m), of the person's marks with the consensus of the others, in whose making this person had no part.
    mine, theirs: labels. there: (m,) probability that each region of the consensus exists. others: those whom the
    consensus is of. usual: overlap from which two marks have the same extent. labels: how many there are to choose
    from. least: only doubts above it are returned.

    The person's own mark, or none, counts as that of anybody (recall .8, precision .9, RIGHT in label and extent).
    missed: Bayes' rule on `there`. invented: on how many of the others marked the place. wrong class: one-coin model of
    the labels that were given there (Dawid and Skene 1979 with tied confusion). moved: the same of extents, two being
    the same from `usual` on; weighed by how far the mark is off. Raises ValueError when shapes do not fit or on NaN.
    """
    exists = np.asarray(there, np.float64)
    by_mine = [_linked(other.mine, mine, other.labels) for other in others]
    by_theirs = [_linked(other.theirs, theirs, other.labels) for other in others]
    found = []
    for doubt in doubts(overlap, mine, theirs, there=exists, usual=usual):
        if doubt.theirs is None:
            score, against = _invented(doubt, by_mine)
            first = None
        else:
            first = next(((o, link[doubt.theirs]) for o, link in enumerate(by_theirs) if doubt.theirs in link), None)
            if doubt.kind == "missed":
                score = _missed(float(exists[doubt.theirs]))
                against = sum(doubt.theirs in link for link in by_theirs)
            elif doubt.kind == "wrong class":
                score, against = _wrong(doubt, mine, others, by_theirs, labels)
            else:
                score, against = _moved(doubt, others, by_mine, by_theirs, usual)
        if score > least:
            found.append(
                MarkDoubt(doubt.kind, float(score), doubt.mine, doubt.theirs, doubt.overlap, int(against), first)
            )
    return sorted(found, key=lambda d: (-d.score, d.kind, -1 if d.mine is None else d.mine, d.theirs or 0))


def _missed(there: float) -> float:
    overlooked = there * (1 - _RECALL)
    return overlooked / (overlooked + (1 - there) * (1 - _INVENTED))


def _invented(doubt: RegionDoubt, by_mine: Sequence[dict[int, int]]) -> tuple[float, int]:
    drew = sum(doubt.mine in link for link in by_mine)
    left = len(by_mine) - drew
    hit, miss = _RECALL / _INVENTED, (1 - _RECALL) / (1 - _INVENTED)
    odds = _PRECISION / (1 - _PRECISION) * hit**drew * miss**left
    return 1 / (1 + odds), left


def _wrong(
    doubt: RegionDoubt, mine: Labels, others: Sequence[Other], by_theirs: Sequence[dict[int, int]], labels: int
) -> tuple[float, int]:
    if doubt.mine is None or doubt.theirs is None:
        raise ValueError("only a pair can differ in label or extent")
    own = frozenset(mine[doubt.mine])
    said = [frozenset(o.labels[k[doubt.theirs]]) for o, k in zip(others, by_theirs, strict=True) if doubt.theirs in k]
    step = np.log(RIGHT * max(labels - 1, 1) / (1 - RIGHT))
    votes = {name: said.count(name) for name in {*said, own}}
    votes[own] += 1
    odds = {name: np.exp(step * (count - max(votes.values()))) for name, count in votes.items()}
    return 1 - odds[own] / sum(odds.values()), sum(not name & own for name in said)


def _moved(
    doubt: RegionDoubt,
    others: Sequence[Other],
    by_mine: Sequence[dict[int, int]],
    by_theirs: Sequence[dict[int, int]],
    usual: float,
) -> tuple[float, int]:
    if doubt.mine is None or doubt.theirs is None:
        raise ValueError("only a pair can differ in label or extent")
    like_mine = sum(
        doubt.mine in link and o.mine[doubt.mine, link[doubt.mine]] >= usual
        for o, link in zip(others, by_mine, strict=True)
    )
    like_theirs = sum(
        doubt.theirs in link and o.theirs[doubt.theirs, link[doubt.theirs]] >= usual
        for o, link in zip(others, by_theirs, strict=True)
    )
    odds = (RIGHT * EXTENTS / (1 - RIGHT)) ** (like_mine + 1 - like_theirs)
    return (1 - 0.5 * doubt.overlap / usual) / (1 + odds), like_theirs


def _linked(table: npt.ArrayLike, ours: Labels, theirs: Labels) -> dict[int, int]:
    """Match one to one by overlap; between two equally good ones the one with the same label."""
    overlap = np.asarray(table, np.float64).reshape(len(ours), len(theirs))
    unlike = np.array([[not set(a) & set(b) for b in theirs] for a in ours], np.float64).reshape(overlap.shape)
    return dict(match(np.where(overlap >= SAME_THING, overlap - 1e-3 * unlike, 0.0), SAME_THING - 1e-3))
