"""Thresholds on numbers, and values of categories, that tell a label: one-split rules (decision stumps, Iba and
Langley 1992)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.suggest.base import Candidate, Evidence, Ints, Judged

CUTS = 16
"""Split points that are tried for one number, at its quantiles."""
MOST_VALUES = 50
"""Different values beyond which a text is no category."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """One number or category of each row. field: the task field it comes from. numbers: float64 (n,), NaN where there
    is none; None for a category. words: (n,) of a category, empty where there is none. derived: what is computed from
    a text (`characters`, `words`, `capitals`, `digits`, `exclamations`), empty for the field's own value. whole: all
    numbers are whole."""

    field: str
    numbers: Doubles | None = None
    words: tuple[str, ...] = ()
    derived: str = ""
    whole: bool = False


def value_features(field: str, values: Sequence[object]) -> list[Feature]:
    """Return what a field holds as a feature: numbers (also written as text), else a category of at most 50 different
    texts; nothing for free text, lists and objects.

    values: (n,), None where the field is missing."""
    numbers = np.array([_number(value) for value in values], np.float64)
    filled = sum(value is not None and value != "" for value in values)
    usable = int(np.isfinite(numbers).sum())
    if usable and usable >= 0.99 * filled:
        finite = numbers[np.isfinite(numbers)]
        if len(np.unique(finite)) < 2:
            return []
        return [Feature(field, np.where(np.isfinite(numbers), numbers, np.nan), whole=bool((finite % 1 == 0).all()))]
    if any(value is not None and not isinstance(value, str | bool | int | float) for value in values):
        return []
    words = tuple("" if value is None else str(value).strip() for value in values)
    kinds = Counter(word for word in words if word)
    if not 2 <= len(kinds) <= MOST_VALUES or max(map(len, kinds)) > 100:
        return []
    return [Feature(field, words=words)]


def text_features(field: str, texts: Sequence[str]) -> list[Feature]:
    """Return numbers derived from the texts of a field."""
    made: dict[str, list[float]] = {"characters": [], "words": [], "capitals": [], "digits": [], "exclamations": []}
    for text in texts:
        letters = sum(sign.isalpha() for sign in text)
        made["characters"].append(len(text))
        made["words"].append(len(text.split()))
        made["capitals"].append(sum(sign.isupper() for sign in text) / max(1, letters))
        made["digits"].append(sum(sign.isdigit() for sign in text))
        made["exclamations"].append(text.count("!"))
    empty = np.array([not text for text in texts])
    found = []
    for name, numbers in made.items():
        column = np.where(empty, np.nan, np.array(numbers, np.float64))
        if np.isfinite(column).any() and np.nanmin(column) < np.nanmax(column):
            found.append(Feature(field, column, derived=name, whole=name != "capitals"))
    return found


def threshold_rules(features: Sequence[Feature], evidence: Evidence) -> list[Candidate]:
    """Return the best rule of each feature for each label and direction, if it is worth a suggestion.

    A cut is one of many: the level of its lower bound is divided by the number of cuts tried (Bonferroni), in both
    directions. What says how good it is remains the half of the labels that did not choose it.
    """
    candidates = []
    for feature in features:
        for label in range(len(evidence.labels)):
            found = (
                _cuts(feature, label, evidence) if feature.numbers is not None else _values(feature, label, evidence)
            )
            candidates += found
    return candidates


def _cuts(feature: Feature, label: int, evidence: Evidence) -> list[Candidate]:
    assert feature.numbers is not None
    known = feature.numbers[evidence.rows[~evidence.held]]
    known = np.unique(known[np.isfinite(known)])
    if len(known) < 2:
        return []
    between = (known[1:] + known[:-1]) / 2
    if len(between) > CUTS:
        between = np.unique(np.quantile(between, np.linspace(0.02, 0.98, CUTS), method="nearest"))
    points = _readable(between, feature.whole)
    looks = 2 * len(points)
    found = []
    for option in ("at_least", "at_most"):
        best: tuple[float, float, Ints, Judged] | None = None
        for cut in points:
            with np.errstate(invalid="ignore"):
                holds = feature.numbers >= cut if option == "at_least" else feature.numbers <= cut
            hits = np.flatnonzero(holds)
            judged = evidence.judge(label, hits, looks=looks)
            gain = judged.edge * judged.n
            if judged.worth and (best is None or gain > best[0]):
                best = (gain, cut, hits, judged)
        if best is not None:
            _, cut, hits, judged = best
            found.append(
                _candidate(feature, label, evidence, {option: int(cut) if feature.whole else cut}, hits, judged)
            )
    return found


def _values(feature: Feature, label: int, evidence: Evidence) -> list[Candidate]:
    rows_of: dict[str, list[int]] = {}
    for row, word in enumerate(feature.words):
        if word:
            rows_of.setdefault(word, []).append(row)
    looks = len(rows_of)
    good = []
    for word, rows in sorted(rows_of.items()):
        hits = np.array(rows, np.int64)
        judged = evidence.judge(label, hits, looks=looks)
        if judged.worth:
            good.append((word, hits, judged))
    if not good:
        return []
    if len(good) == 1:
        word, hits, judged = good[0]
        return [_candidate(feature, label, evidence, {"equals": word}, hits, judged)]
    hits = np.unique(np.concatenate([one[1] for one in good]))
    judged = evidence.judge(label, hits, looks=looks)
    return [_candidate(feature, label, evidence, {"one_of": [one[0] for one in good]}, hits, judged)]


def _candidate(
    feature: Feature, label: int, evidence: Evidence, condition: dict[str, object], hits: Ints, judged: Judged
) -> Candidate:
    option, value = next(iter(condition.items()))
    name = evidence.labels[label]
    if option == "one_of":
        how = [str(word) for word in value][:2] if isinstance(value, list) else []
    else:
        how = [{"at_least": "high", "at_most": "low"}.get(option, str(value))]
    words = (feature.field, *([feature.derived] if feature.derived else []), *how)
    if feature.derived:
        options = {"feature": feature.derived, **condition}
        return Candidate("thresholds", label, hits, judged, "python", (name, feature.field), options, words)
    return Candidate("thresholds", label, hits, judged, "column", (name, feature.field), dict(condition), words)


def _number(value: object) -> float:
    """A value as the declared `column` reads it; NaN for what is no number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _readable(cuts: Doubles, whole: bool) -> list[float]:
    """The cuts as a person would write them: whole numbers, or a thousandth of their range."""
    if whole:
        return sorted({float(side) for cut in cuts for side in (math.floor(cut), math.ceil(cut))})
    reach = float(cuts.max() - cuts.min()) or abs(float(cuts[0])) or 1.0
    places = max(0, math.ceil(-math.log10(reach / 1000)))
    return sorted({round(float(cut), places) for cut in cuts})
