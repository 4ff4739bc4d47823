"""Rules by likeness: a task near an exemplar in embedding space gets its label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from adapter.core.suggest.base import Candidate, Evidence, Ints, similarity
from adapter.ports import Floats

THRESHOLDS = (0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)
"""Cosines that are tried."""
MOST_EXEMPLARS = 500
TOGETHER = 3
"""Exemplars of one rule."""
LEAST_ALIKE = 3
"""Rows of the sample that a rule must catch: one that knows its exemplar alone is a memory, not a rule."""
_BLOCK = 100


def neighbour_rules(
    unit: Floats,
    at: Ints,
    examples: Sequence[object],
    evidence: Evidence,
    *,
    embedder: str,
    field: str = "text",
    usable: Sequence[bool] | None = None,
    seed: int = 0,
) -> list[Candidate]:
    """Return, for each label, candidates around exemplars: labelled tasks of the half that finds.

    unit: float32 (e, d), unit vectors of the rows `at` (sorted int64, of the evidence); rows without a direction are
    zeros and near nothing. examples: (n,), what is written into the rule for a row, such as its text. embedder: what
    makes the vectors, as `nearest` takes it. usable: (n,) whether a row may be an exemplar. At most 500 exemplars a
    label are tried, drawn with `seed`. A rule's threshold is the best of nine: the level of its bound is divided by
    nine. The exemplars themselves count neither as evidence nor against it.

    Rules of one label and threshold that reach different rows are joined, up to three exemplars. Raises ValueError when
    vectors and rows differ in number.
    """
    if len(unit) != len(at):
        raise ValueError(f"{len(unit)} vectors for {len(at)} rows")
    where = np.full(len(evidence.votes), -1, np.int64)
    where[at] = np.arange(len(at))
    found = evidence.rows[~evidence.held]
    weight = evidence.size / max(1, int((at < evidence.size).sum()))
    candidates: list[Candidate] = []
    random = np.random.default_rng(seed)
    for label in range(len(evidence.labels)):
        own = found[evidence.targets[~evidence.held, label]]
        own = own[(where[own] >= 0)]
        own = np.array([row for row in own if usable is None or usable[row]], np.int64)
        own = own[np.abs(unit[where[own]]).sum(axis=1) > 0] if len(own) else own
        if len(own) > MOST_EXEMPLARS:
            own = np.sort(random.choice(own, MOST_EXEMPLARS, replace=False))
        scored = []
        for lo in range(0, len(own), _BLOCK):
            block = own[lo : lo + _BLOCK]
            alike = similarity(unit, unit[where[block]])
            for column, row in enumerate(block.tolist()):
                best = _best(alike[:, column], at, row, label, evidence)
                if best is not None:
                    scored.append(best)
        scored.sort(key=lambda one: (-one[0], one[3]))
        candidates += _joined(scored, label, examples, evidence, embedder, field, weight)
    return candidates


def _best(alike: Floats, at: Ints, row: int, label: int, evidence: Evidence) -> tuple[float, float, Ints, int] | None:
    """The threshold of an exemplar with the most to gain: (gain, threshold, hits, exemplar's row)."""
    best: tuple[float, float, Ints, int] | None = None
    own = np.array([row])
    for threshold in THRESHOLDS:
        hits = at[alike >= threshold]
        if (hits < evidence.size).sum() < LEAST_ALIKE:
            continue
        judged = evidence.judge(label, hits, looks=len(THRESHOLDS), without=own)
        gain = judged.edge * len(hits)
        if judged.worth and (best is None or gain > best[0]):
            best = (gain, threshold, hits, row)
    return best


def _joined(
    scored: Sequence[tuple[float, float, Ints, int]],
    label: int,
    examples: Sequence[object],
    evidence: Evidence,
    embedder: str,
    field: str,
    weight: float,
    most: int = 20,
) -> list[Candidate]:
    candidates: list[Candidate] = []
    taken: set[int] = set()
    for _, threshold, hits, row in scored:
        if row in taken or len(candidates) >= most:
            continue
        taken.add(row)
        rows, union = [row], hits
        for _, other, more, beside in scored:
            if len(rows) >= TOGETHER:
                break
            new = np.setdiff1d(more, union)
            if other == threshold and beside not in taken and len(new) >= max(2, len(more) // 4):
                rows.append(beside)
                taken.add(beside)
                union = np.union1d(union, more)
        without = np.array(sorted(rows), np.int64)
        judged = evidence.judge(label, union, looks=len(THRESHOLDS), without=without)
        if judged.worth:
            options: dict[str, object] = {"exemplars": [examples[one] for one in rows], "at_least": threshold}
            if field != "text":
                options["field"] = field
            options["embedder"] = embedder
            words = ("like", *str(examples[row]).split()[:3])
            name = evidence.labels[label]
            made = Candidate("neighbours", label, union, judged, "nearest", (name,), options, words)
            candidates.append(replace(made, without=without, looks=len(THRESHOLDS), weight=weight))
    return candidates
