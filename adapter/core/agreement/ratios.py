"""Statistics that are sums over pairs of people: a numerator over a denominator, such as F1 of matched regions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adapter.core.agreement.statistic import Doubles, Statistic, linear

NOTHING = "nobody marked anything on a task that two people labelled"


def ratio(numerator: Doubles, denominator: Doubles, *, name: str) -> Statistic:
    """Return sum of numerators over sum of denominators, (t,) each a task's sums over its pairs of people; undefined
    where the denominators are 0 throughout (nobody marked anything)."""
    sums = np.column_stack([numerator, denominator])

    def parts(total: Doubles) -> tuple[Doubles, Doubles]:
        whole = total[:, 1]
        observed = np.divide(whole - total[:, 0], whole, out=np.zeros_like(whole), where=whole > 0)
        return observed, (whole > 0).astype(np.float64)

    return linear(name, sums, parts, int((np.asarray(denominator) > 0).sum()), nothing=NOTHING)


@dataclass(frozen=True, slots=True)
class MatchedScores:
    """Precision, recall, F1 of overlapping pairs, and the share whose overlap reaches the threshold."""

    precision: float
    recall: float
    f1: float
    share: float


def matched_scores(ious: Sequence[float], same_label: Sequence[bool], threshold: float = 0.5) -> MatchedScores:
    """Return Label Studio Enterprise's scores of pairs of regions that were matched by place.

    ious (m,): intersection over union of each pair. same_label (m,). A pair at or above the threshold is right with the
    same label and a false positive with another one; below it, one with the same label is a false negative, and one
    with another label counts nowhere. NaN where nothing counts. Source: its documentation, "Task agreement and how it
    is calculated".
    """
    overlap = np.asarray(ious, np.float64)
    same = np.asarray(same_label, bool)
    if overlap.shape != same.shape:
        raise ValueError(f"{len(overlap)} overlaps and {len(same)} labels: one of each is needed")
    near = overlap >= threshold
    right, false, missed = (int(x.sum()) for x in (near & same, near & ~same, ~near & same))
    precision, recall = _part(right, right + false), _part(right, right + missed)
    return MatchedScores(precision, recall, _part(2 * right, 2 * right + false + missed), _part(near.sum(), len(near)))


def _part(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
