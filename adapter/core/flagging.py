"""Reasons to doubt labels and tasks: label issues, outliers, near duplicates. Each has a score and its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from adapter.core import approximate
from adapter.core.heldout import HeldOut
from adapter.core.neighbours import NEAR, near_pairs, unit_rows
from adapter.ports import Floats
from adapter.vocabulary import JsonObject

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

FEWEST = 20
"""Rows below which nothing can be called an outlier: ten neighbours of each would be half of all."""
NEIGHBOURS = 10
FARTHEST = 2.0
"""An outlier is at least this many times as far from its neighbours as the median row, however even the others lie."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason to doubt row `index`. score in 0..1, higher is more doubtful. evidence survives JSON; labels are
    indices, rows are positions in the arrays that were given."""

    index: int
    score: float
    evidence: JsonObject = field(default_factory=dict)


def label_issues(labels: npt.NDArray[np.generic], heldout: HeldOut, multiple: bool) -> list[Doubt]:
    """Return the labels that confident learning holds for wrong, most doubtful first.

    labels: (n,) label index of each row, or (n, k) multi-hot if `multiple`. Evidence: `given` and `suggested` (a label
    index, or a list of them), `probability` of the suggestion (if multiple: of the doubtful labels being the other
    way), `given_probability`, `fold`. Labels that nobody gave are never suggested: no threshold can be learned for
    them. Rows whose probabilities are NaN (the model could not read the task) are not judged. Fewer than two labels
    in use: nothing can be confused, no doubts. Raises ValueError when shapes do not fit. Source: Northcutt et al. 2021
    (cleanlab, `prune_by_noise_rate`, `normalized_margin`).
    """
    probabilities = np.asarray(heldout.probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or len(labels) != len(probabilities):
        raise ValueError(f"{len(labels)} labels do not fit held-out probabilities of shape {probabilities.shape}")
    usable = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    folds = np.asarray(heldout.folds)
    if multiple:
        given = np.asarray(labels) != 0 if labels.dtype == bool else np.asarray(labels, dtype=np.float64) > 0.5
        if given.shape != probabilities.shape:
            raise ValueError(f"multi-hot labels {given.shape} do not fit probabilities {probabilities.shape}")
        found = _several(given[usable], probabilities[usable])
    else:
        codes = np.asarray(labels).astype(np.int64)
        if codes.ndim != 1 or (len(codes) and not 0 <= codes.min() <= codes.max() < probabilities.shape[1]):
            raise ValueError(f"labels must be indices in 0..{probabilities.shape[1] - 1}, one a row")
        found = _single(codes[usable], probabilities[usable])
    doubts = [
        Doubt(int(usable[doubt.index]), doubt.score, {**doubt.evidence, "fold": int(folds[usable[doubt.index]])})
        for doubt in found
    ]
    return _ordered(doubts)


def _single(codes: Ints, probabilities: Doubles) -> list[Doubt]:
    """Label issues of a control with one label; rows in 0..n-1."""
    present = np.unique(codes)
    if len(present) < 2:
        return []
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    number = np.searchsorted(present, codes)
    known = np.clip(probabilities[:, present], 1e-12, None)
    known = known / known.sum(axis=1, keepdims=True)
    mask = np.asarray(find_label_issues(number, known, n_jobs=1, min_examples_per_class=0))
    quality = np.asarray(get_label_quality_scores(number, known, method="normalized_margin"))
    suggested = known.argmax(axis=1)
    return [
        Doubt(
            int(row),
            float(np.clip(1 - quality[row], 0, 1)),
            {
                "given": int(codes[row]),
                "suggested": int(present[suggested[row]]),
                "probability": float(known[row, suggested[row]]),
                "given_probability": float(known[row, number[row]]),
            },
        )
        for row in np.flatnonzero(mask & (suggested != number))
    ]


def _several(given: Bools, probabilities: Doubles) -> list[Doubt]:
    """Label issues of a control with several labels: each is judged on its own, a row by its most doubtful one."""
    mixed = np.flatnonzero(given.any(axis=0) & ~given.all(axis=0))
    if not len(mixed) or not len(given):
        return []
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class

    lists = [[int(label) for label in np.flatnonzero(row)] for row in given[:, mixed]]
    sure = np.clip(probabilities[:, mixed], 1e-12, 1 - 1e-12)
    wrong = np.zeros_like(given)
    wrong[:, mixed] = np.asarray(find_multilabel_issues_per_class(lists, sure, n_jobs=1, min_examples_per_class=0))
    other_way = np.where(given, 1 - probabilities, probabilities)
    wrong &= other_way > 0.5
    doubts = []
    for row in np.flatnonzero(wrong.any(axis=1)):
        score = float(np.clip(other_way[row, wrong[row]].max(), 0, 1))
        doubts.append(
            Doubt(
                int(row),
                score,
                {
                    "given": [int(label) for label in np.flatnonzero(given[row])],
                    "suggested": [int(label) for label in np.flatnonzero(given[row] ^ wrong[row])],
                    "probability": score,
                    "given_probability": 1 - score,
                },
            )
        )
    return doubts


def outliers(embeddings: Floats) -> list[Doubt]:
    """Return the rows (n, d) that lie far from all others, farthest first.

    Distance is the mean cosine distance to the ten nearest rows; an outlier's is beyond the third quartile by 1.7
    interquartile ranges (cleanlab's rule) and at least FARTHEST medians. score = 1 - exp(-distance / median). Evidence:
    `distance` in medians, `neighbour` (the nearest row), `similarity` to it. Rows without a direction (zeros, NaN)
    are not judged. Fewer than FEWEST rows: no outliers. Source: Kuan and Mueller 2022 (cleanlab, OutOfDistribution).
    """
    unit, usable = unit_rows(embeddings)
    rows = np.flatnonzero(usable)
    if len(rows) < FEWEST:
        return []
    from cleanlab.outlier import OutOfDistribution

    features = unit[rows].astype(np.float64)
    if features.shape[1] < 4:  # below four columns cleanlab would measure Euclidean distance
        features = np.pad(features, ((0, 0), (0, 4 - features.shape[1])))
    score = np.asarray(OutOfDistribution({"k": NEIGHBOURS}).fit_score(features=features, verbose=False))
    distance = -np.log(np.clip(score, 1e-300, 1))  # in medians
    low, high = np.quantile(distance, [0.25, 0.75])
    far = (distance > high + 1.7 * (high - low)) & (distance >= FARTHEST)
    doubts = []
    for i in np.flatnonzero(far):
        similar = unit[rows] @ unit[rows[i]]
        similar[i] = -np.inf
        nearest = int(similar.argmax())
        evidence = {
            "distance": float(distance[i]),
            "neighbour": int(rows[nearest]),
            "similarity": float(np.clip(similar[nearest], -1, 1)),
        }
        doubts.append(Doubt(int(rows[i]), float(np.clip(1 - score[i], 0, 1)), evidence))
    return _ordered(doubts)


def near_duplicates(
    embeddings: Floats, *, threshold: float = NEAR, labels: Sequence[object] | None = None
) -> list[Doubt]:
    """Return one Doubt for each row that has a near duplicate, naming the nearest one.

    embeddings: (n, d). Two rows are near duplicates from cosine similarity `threshold` on; beyond
    `approximate.EXACT` rows the search may miss a few. score
    is the similarity. Evidence: `neighbour` (row), `similarity`, `count` of near duplicates, and with labels (n,)
    `same_label` (with that neighbour): near duplicates with different labels mean that one of them is wrong, or the
    guideline unclear.
    """
    if len(embeddings) > approximate.EXACT:  # all pairs would take minutes, and time grows with their square

        def rows_of(rows: Ints) -> Floats:
            return embeddings[rows]

        found = approximate.Neighbours.build(len(embeddings), rows_of, seed=0, exact=approximate.EXACT)
        first, second, similar = found.near_pairs(rows_of, threshold=threshold)
    else:
        first, second, similar = near_pairs(embeddings, threshold=threshold)
    nearest: dict[int, tuple[float, int]] = {}
    count: dict[int, int] = {}
    for i, j, value in zip(first.tolist(), second.tolist(), similar.tolist(), strict=True):
        for row, other in ((i, j), (j, i)):
            count[row] = count.get(row, 0) + 1
            if row not in nearest or value > nearest[row][0]:
                nearest[row] = (value, other)
    doubts = []
    for row, (value, other) in nearest.items():
        evidence: dict[str, object] = {"neighbour": other, "similarity": float(value), "count": count[row]}
        if labels is not None:
            evidence["same_label"] = bool(labels[row] == labels[other])
        doubts.append(Doubt(row, float(np.clip(value, 0, 1)), evidence))
    return _ordered(doubts)


def _ordered(doubts: list[Doubt]) -> list[Doubt]:
    return sorted(doubts, key=lambda doubt: (-doubt.score, doubt.index))
