"""The family of kinds whose values are labels of a fixed list: choices, taxonomies, ratings, pairwise choices.

Probabilities of shape (k,) stand for their values, one for each of `control.labels`, in that order. A kind of the
family says how its values and the numbers of their labels translate (`indices`, `of_indices`); the rest follows.

Every one of them, as every `Answer`, has `item(control, value)`, Label Studio's `value` object of one result item, and
`value_of(control, value)`, its inverse. Whoever hangs such a control on a region puts its own envelope around these.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from adapter.core.crowd import METHODS
from adapter.errors import nearest
from adapter.kinds.base import Given, Measure, Together, Unit
from adapter.kinds.families.answer import Answer, shown
from adapter.kinds.families.label_votes import consolidate_sets, consolidate_single
from adapter.ports import Floats
from adapter.vocabulary import Control, Value

STRATEGIES = ("margin", "entropy", "least-confidence")
"""The strategies of `uncertainty`, as in Settles (2009), section 3.1."""


class Labelled(Answer):
    """Base of the family. ordinal: whether the labels stand in an order that counts."""

    ordinal = False
    methods = METHODS  # that `consensus` knows

    @abstractmethod
    def indices(self, control: Control, value: Value) -> list[int]:
        """Return the numbers of a canonical value's labels, ascending."""

    @abstractmethod
    def of_indices(self, control: Control, chosen: Iterable[int]) -> Value:
        """Return the canonical value that has these labels."""

    def limit(self, control: Control) -> int:
        """Return how many labels may hold at once."""
        return len(control.labels) if control.multiple else 1

    def measure(self, control: Control) -> Measure:
        """Return nominal for one label, sets for several."""
        if control.multiple:
            return Measure(
                "set",
                "alpha",
                "Krippendorff's alpha with the MASI distance between sets of labels; beside it F1 of the labels, and "
                "the mean pairwise score.",
            )
        return Measure(
            "nominal", "alpha", "Krippendorff's alpha for categories; beside it raw agreement and Gwet's AC1."
        )

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return 0 or 1 for one label, the MASI distance between the sets for several."""
        return masi(set(a), set(b)) if control.multiple else float(a != b)

    def pair_counts(self, control: Control, a: Value, b: Value) -> Mapping[str, tuple[float, float]]:
        """Return `score`; where several labels may hold also `label_f1`, twice the labels that both gave over the
        labels that each gave: F1 over labels, the same whoever of the two is taken for the truth."""
        counts = dict(super().pair_counts(control, a, b))
        if control.multiple:
            left, right = set(a), set(b)
            counts["label_f1"] = (2.0 * len(left & right), float(len(left) + len(right)))
        return counts

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return one unit: the label that each person gave, or the frozenset of labels."""
        if not votes:
            return []
        if control.multiple:
            return [Unit({who: frozenset(value) for who, value in votes.items()})]
        return [Unit({who: control.labels[self.indices(control, value)[0]] for who, value in votes.items()})]

    def disagreement(self, control: Control, a: Value, b: Value) -> str:
        """Say in words how two values differ."""
        if a == b:
            return "no difference"
        if not control.multiple:
            return f"{self.words(a)} against {self.words(b)}"
        parts = [
            f"only the {who} says {self.words(only)}"
            for who, only in (("first", [x for x in a if x not in b]), ("second", [x for x in b if x not in a]))
            if only
        ]
        return "; ".join(parts)

    def words(self, value: Value) -> str:
        """Return a value, or some labels of one, as words of a sentence."""
        labels = [value] if isinstance(value, str | int) else list(value)
        return ", ".join(shown(label) for label in labels) or "none"

    def target(self, control: Control, value: Value) -> Floats:
        """Return (k,): 1 for each label of the value, 0 for the others."""
        target = np.zeros(len(control.labels), dtype=np.float32)
        target[self.indices(control, self.canonical(control, value))] = 1.0
        return target

    def decide(self, control: Control, probabilities: Floats) -> tuple[Value, float]:
        """Return the likeliest value and the probability that exactly this value is right.

        One label: the first with the greatest probability. Several: every label with at least .5, labels taken as
        independent, the likeliest where fewer are allowed; a required control gets its likeliest label where none
        reaches .5. Raises ValueError on NaN.
        """
        p = np.asarray(probabilities, dtype=np.float64)
        if not np.isfinite(p).all():
            raise ValueError("probabilities hold NaN: nothing can be decided; leave this row out")
        best = int(p.argmax())
        if not control.multiple:
            return self.of_indices(control, [best]), float(np.clip(p[best], 0.0, 1.0))
        chosen = p >= 0.5
        chosen[np.argsort(-p, kind="stable")[self.limit(control) :]] = False
        if control.required and not chosen.any():
            chosen[best] = True
        sure = float(np.clip(np.where(chosen, p, 1.0 - p), 0.0, 1.0).prod())
        return self.of_indices(control, np.flatnonzero(chosen).tolist()), sure

    def uncertainty(self, control: Control, probabilities: Floats, strategy: str) -> Floats:
        """Return (n,) in 0..1, 1 most uncertain; a row of NaN stays NaN. Strategies as in Settles (2009), section 3.1:
        `margin` between the two likeliest, `entropy`, `least-confidence`, each divided by its greatest possible value.
        Several labels: the greatest over the labels of the same figure for "holds or not". Raises ValueError."""
        p = np.asarray(probabilities, dtype=np.float64)
        scores = _uncertainty(np.stack([p, 1.0 - p], axis=-1), strategy).max(axis=1) if control.multiple else None
        return np.asarray(_uncertainty(p, strategy) if scores is None else scores, dtype=np.float32)

    def consensus(self, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
        """Consolidate people's values with the methods of `core.crowd`: one label as one question, several as one
        question of yes or no for each label. Known truths (`given.gold`) settle their tasks and say how good people
        are; a task with a single vote and no truth takes that person's skill as its confidence. What is tied stays
        without a value. Raises ValueError for an unknown method."""
        said = {
            task: {who: self.indices(control, v) for who, v in who_said.items()} for task, who_said in votes.items()
        }
        gold = {task: self.indices(control, value) for task, value in given.gold.items() if task in votes}

        def value_of(chosen: Sequence[int]) -> Value:
            return self.of_indices(control, chosen)

        if control.multiple:
            return consolidate_sets(
                control.labels,
                said,
                given,
                gold,
                value_of,
                limit=self.limit(control),
                required=control.name if control.required else "",
            )
        one = {task: {who: chosen[0] for who, chosen in who_said.items()} for task, who_said in said.items()}
        truth = {task: chosen[0] for task, chosen in gold.items()}
        return consolidate_single(control.labels, one, given, truth, value_of, ordinal=self.ordinal)


def masi(left: set[str] | frozenset[str], right: set[str] | frozenset[str]) -> float:
    """Return the MASI distance between two sets (Passonneau, LREC 2006): 1 - J * M with the Jaccard index J, and M = 1
    for equal sets, 2/3 if one holds the other, 1/3 if they overlap, 0 if they share nothing. Two empty sets are
    equal."""
    if left == right:
        return 0.0
    if not left & right:
        return 1.0
    monotony = 2 / 3 if left < right or right < left else 1 / 3
    return 1.0 - monotony * len(left & right) / len(left | right)


@functools.lru_cache(maxsize=64)
def numbers(labels: tuple[str, ...]) -> Mapping[str, int]:
    """Return label to its number, for controls with many labels."""
    return {label: number for number, label in enumerate(labels)}


def _uncertainty(p: npt.NDArray[np.float64], strategy: str) -> npt.NDArray[np.float64]:
    """Uncertainty along the last axis (k classes that exclude each other), normalised to 0..1."""
    k = p.shape[-1]
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown strategy '{strategy}'. {nearest(strategy, STRATEGIES)}")
    if k < 2:
        return np.where(np.isnan(p), np.nan, 0.0).reshape(p.shape[:-1])
    if strategy == "margin":
        two = np.partition(p, k - 2, axis=-1)[..., -2:]
        scores = 1.0 - np.abs(two[..., 1] - two[..., 0])
    elif strategy == "entropy":
        scores = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1) / math.log(k)
    else:
        scores = (1.0 - p.max(axis=-1)) * k / (k - 1)
    # partition sorts NaN last, so a row with one NaN must be marked by hand
    clipped: npt.NDArray[np.float64] = np.where(np.isnan(p).any(axis=-1), np.nan, np.clip(scores, 0.0, 1.0))
    return clipped
