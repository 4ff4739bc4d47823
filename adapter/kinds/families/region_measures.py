"""How two people's regions are compared: figures, units of agreement, words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from adapter.core.matching import match
from adapter.kinds.base import Measure, Region, Unit
from adapter.vocabulary import Control, Value

if TYPE_CHECKING:
    from adapter.kinds.families.regions import Regions

Doubles = npt.NDArray[np.float64]
_FIRST = 5
_SENTENCES = {
    "overlap_f1": "F1 of {noun}s that overlap and share a label, matched one to one",
    "exact_f1": "F1 of {noun}s that are the same in place and labels",
    "f1_at_50": "F1 of {noun}s with an intersection over union of .5 or more that share a label, matched one to one",
    "mean_iou": "mean intersection over union of {noun}s, matched one to one, unmatched 0",
}


def measure(kind: Regions) -> Measure:
    """Return how a kind of regions is compared: its headline, then alpha on the labels of matched marks."""
    return Measure(
        "nominal",
        kind.headline,
        f"{_SENTENCES[kind.headline].format(noun=kind.noun)}; beside it Krippendorff's alpha on the labels of matched "
        f"{kind.noun}s, where drawing nothing counts as a label.",
    )


def unlike(a: Sequence[Region], b: Sequence[Region]) -> Doubles:
    """Return (n, m): 0 where two regions share a label or both have none, else 1."""
    return 1.0 - agreeing(a, b)


def agreeing(a: Sequence[Region], b: Sequence[Region]) -> Doubles:
    """Return (n, m): 1 where two regions share a label or both have none, else 0."""
    sets_a, sets_b = [set(region["labels"]) for region in a], [set(region["labels"]) for region in b]
    same = [[float(one == other or bool(one & other)) for other in sets_b] for one in sets_a]
    return np.array(same, np.float64).reshape(len(a), len(b))


def score(kind: Regions, a: Value, b: Value) -> float:
    """Return the pairwise score: mean likeness over the marks of both, matched one to one where they agree in label; an
    unmatched mark counts 0. 1 for two empty values."""
    if not a or not b:
        return 1.0 if not a and not b else 0.0
    together = agreeing(a, b)
    alike = np.zeros_like(together)
    for i, j in zip(*np.nonzero(together * (kind.overlaps(a, b) > 0)), strict=True):
        one, other = set(a[i]["labels"]), set(b[j]["labels"])
        share = len(one & other) / len(one | other) if one | other else 1.0
        alike[i, j] = kind.likeness(a[i], b[j]) * share
    pairs = match(alike, 0.0)
    return float(sum(alike[i, j] for i, j in pairs)) / (len(a) + len(b) - len(pairs))


def pair_counts(kind: Regions, a: Value, b: Value) -> dict[str, tuple[float, float]]:
    """Return statistic to (numerator, denominator) for two people's marks on one task.

    exact_f1, overlap_f1 (any overlap), f1_at_50: twice the matched pairs that agree in label, over the marks of both
    (Hripcsak and Rothschild 2005: F1 needs no count of true negatives). mean_iou: overlap of matched pairs whatever
    their labels, over matched pairs and unmatched marks. Two empty values add nothing to these: nobody found anything,
    so nothing is known about finding. score: 1 - distance, over 1; two empty values agree perfectly.
    """
    marks = float(len(a) + len(b))
    table = kind.overlaps(a, b)
    same = agreeing(a, b)
    half = match(np.where(table >= 0.5, table, 0.0), 0.5)
    equal = [[one["labels"] == other["labels"] and kind.same_place(one, other) for other in b] for one in a]
    exact = np.array(equal, np.float64).reshape(len(a), len(b))
    return {
        "score": (score(kind, a, b), 1.0),
        "exact_f1": (2.0 * len(match(exact, 1.0)), marks),
        "overlap_f1": (2.0 * len(match(table * same, 0.0)), marks),
        "f1_at_50": (2.0 * len(match(np.where(table >= 0.5, table * same, 0.0), 0.5)), marks),
        "mean_iou": (float(sum(table[i, j] for i, j in half)), marks - len(half)),
    }


def precision_recall(matches: Sequence[tuple[float, bool]], threshold: float = 0.5) -> tuple[float, float, float]:
    """Return precision, recall and F1 at a threshold from pairs of marks: (overlap, whether the labels agree).

    As Label Studio Enterprise counts: a pair at the threshold or above is right if its labels agree, else wrong; a pair
    below it whose labels agree is missed; one below it with other labels is nothing. 0 where nothing can be divided.
    """
    right = sum(iou >= threshold and same for iou, same in matches)
    wrong = sum(iou >= threshold and not same for iou, same in matches)
    missed = sum(iou < threshold and same for iou, same in matches)
    precision = right / (right + wrong) if right + wrong else 0.0
    recall = right / (right + missed) if right + missed else 0.0
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0


def units(kind: Regions, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
    """Return one nominal unit for each cluster: annotator to code, "" where nothing was drawn."""
    return [
        Unit({who: code(control, thing[who]) if who in thing else "" for who in sorted(votes)})
        for thing in kind.cluster(control, votes)
    ]


def code(control: Control, region: Region) -> str:
    """Return the code of a region's labels: its label, several joined, or its type where it has none."""
    return " + ".join(region["labels"]) or region["type"]


def disagreement(kind: Regions, a: Value, b: Value) -> str:
    """Say in words how two values differ: other labels, other extents, marks of one only."""
    pairs = kind.matched(a, b)
    parts: list[str] = []
    for i, j, _ in pairs:
        if a[i]["labels"] != b[j]["labels"]:
            parts.append(f"{kind.describe(a[i])} against {kind.describe(b[j])}")
        elif not kind.same_place(a[i], b[j]):
            parts.append(f"{kind.describe(a[i])} against {kind.where(b[j])}")
    paired = {i for i, _, _ in pairs}, {j for _, j, _ in pairs}
    for who, value, seen in (("first", a, paired[0]), ("second", b, paired[1])):
        parts += [f"only the {who} marks {kind.describe(mark)}" for n, mark in enumerate(value) if n not in seen]
    if not parts:
        return "no difference"
    more = [f"and {len(parts) - _FIRST} more"] if len(parts) > _FIRST else []
    return "; ".join(parts[:_FIRST] + more)
