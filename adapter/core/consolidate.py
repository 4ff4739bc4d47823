"""Labeling functions' votes into weak labels, by several consolidators, and the choice between them on blind labels.

Votes are int16 (n, m), one column a function: a label index in 0..k-1, ABSTAIN, or FAULT (the function failed there,
which is no vote). A row without any vote is a row of NaN, never the prior: an uncovered task is reported as uncovered.
People's votes are not consolidated here: they need reliability models (`core.people`), functions' votes need this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from adapter.core.intervals import wilson
from adapter.core.snorkel_model import fit_label_model
from adapter.policies import ConsolidatePolicy
from adapter.ports import Floats

Votes = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ABSTAIN = -1
FAULT = -2
EPOCHS = 100
"""Snorkel's own default. Its tutorial's 500 overfit: 75.9 instead of 85.3 on YouTube, below plain majority (79.6)."""
SILENT = 0.1
"""Probability of a label that no function voted for on a covered row, in controls with several labels: a vote for one
label does not deny the others, but most labels do not hold."""
FUNCTION_PRECISION = 0.75
PRECISION_STRENGTH = 10.0
"""What is assumed of a function's precision, and the number of gold rows that this assumption is worth."""


class Consolidator(Protocol):
    """Makes one label of many votes."""

    @property
    def name(self) -> str:
        """What settings and tables call it."""
        ...

    def fit_predict(self, votes: Votes, k: int, *, seed: int) -> Floats:
        """Return probabilities (n, k), rows that nobody voted on NaN. Raises ValueError, saying why, when it cannot
        work on these votes; then it falls out of the table. The order of rows does not matter."""
        ...


@dataclass(frozen=True, slots=True)
class Majority:
    """Each label's share of the votes on a row. A tie stays a tie: equal probabilities, resolved by nobody."""

    name: str = "majority"

    def fit_predict(self, votes: Votes, k: int, *, seed: int = 0) -> Floats:
        """Return the shares (n, k). The seed has no effect: nothing is random here."""
        return majority(votes, k)


@dataclass(frozen=True, slots=True)
class LabelModel:
    """Snorkel's LabelModel (Ratner et al. 2019): learns each function's accuracy from how they agree.

    class_balance: (k,) shares of the labels in a *random* gold sample, None for equal ones. Give it with care: the true
    balance took the F1 on SMS spam from 87.5 to 43.2. epochs: see EPOCHS.
    """

    name: str = "label-model"
    class_balance: tuple[float, ...] | None = None
    epochs: int = EPOCHS

    def fit_predict(self, votes: Votes, k: int, *, seed: int = 0) -> Floats:
        """Return the posteriors (n, k). Raises ValueError with fewer than three functions that ever vote."""
        clean = checked(votes, k)
        covered: Bools = np.asarray((clean >= 0).any(axis=1))
        out = np.full((len(clean), k), np.nan, np.float32)
        if covered.any():
            out[covered] = fit_label_model(
                clean, covered, k, class_balance=self.class_balance, epochs=self.epochs, seed=seed
            )
        return out


@dataclass(frozen=True, slots=True)
class NoisyOr:
    """For controls with several labels: each vote is evidence for its label and says nothing against the others.

    P(label) = 1 - product over its voters of (1 - precision); a label without a voter on a covered row gets SILENT, and
    one that no function ever votes for gets one half: nothing is known of it. gold_rows, gold: (g,) and (g, k) labels
    of a random sample that may be learned from (never the blind sample, on which the result is scored); they move a
    function's precision away from FUNCTION_PRECISION. Source: Pearl 1988, section 4.3.2.
    """

    name: str = "noisy-or"
    gold_rows: Ints | None = None
    gold: Floats | None = None

    def fit_predict(self, votes: Votes, k: int, *, seed: int = 0) -> Floats:
        """Return one probability for each label of a row, (n, k); rows need not sum to 1. Nothing is random here."""
        clean = checked(votes, k)
        n, m = clean.shape
        doubt = np.zeros((n, k))
        spoken = np.zeros(k, bool)
        for column in range(m):
            rows = np.flatnonzero(clean[:, column] >= 0)
            said = clean[rows, column]
            doubt[rows, said] += math.log(1 - self._precision(clean[:, column]))
            spoken[np.unique(said)] = True
        out = np.where(doubt < 0, 1 - np.exp(doubt), np.where(spoken, SILENT, 0.5)).astype(np.float32)
        out[(clean < 0).all(axis=1)] = np.nan
        return out

    def _precision(self, said: Votes) -> float:
        """Share of a function's votes that hold on the gold rows, shrunk to FUNCTION_PRECISION."""
        right = FUNCTION_PRECISION * PRECISION_STRENGTH
        n = PRECISION_STRENGTH
        if self.gold_rows is not None and self.gold is not None:
            there = said[self.gold_rows]
            asked = np.flatnonzero(there >= 0)
            right += float((self.gold[asked, there[asked]] > 0.5).sum())
            n += len(asked)
        return min(right / n, 0.999)


CONSOLIDATORS: dict[str, Callable[[], Consolidator]] = {"majority": Majority, "label-model": LabelModel}
"""Of controls with one label."""


def consolidators(multiple: bool) -> dict[str, Callable[[], Consolidator]]:
    """Return name to maker of the consolidators that fit a control: `CONSOLIDATORS`, or those for several labels."""
    return {"noisy-or": NoisyOr} if multiple else dict(CONSOLIDATORS)


def checked(votes: Votes, k: int) -> Votes:
    """Return votes with faults as abstains. Raises ValueError for a wrong shape or a label outside 0..k-1."""
    array = np.asarray(votes)
    if array.ndim != 2:
        raise ValueError(f"votes need the shape (rows, functions), got {array.shape}")
    if array.size and (array.min() < FAULT or array.max() >= k):
        raise ValueError(f"votes lie between {array.min()} and {array.max()}; {FAULT} to {k - 1} are meant")
    clean: Votes = np.where(array < 0, ABSTAIN, array).astype(np.int16)
    return clean


def majority(votes: Votes, k: int) -> Floats:
    """Return each label's share of the votes, float32 (n, k); NaN rows where all abstain. See `Majority`."""
    clean = checked(votes, k)
    n, m = clean.shape
    counts = np.zeros((n, k), np.float32)
    for column in range(m):
        rows = np.flatnonzero(clean[:, column] >= 0)
        counts[rows, clean[rows, column]] += 1
    total = counts.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    return shares


def label_model(
    votes: Votes, k: int, *, seed: int, class_balance: Sequence[float] | None = None, epochs: int = EPOCHS
) -> Floats:
    """Return the posteriors of Snorkel's LabelModel, float32 (n, k). See `LabelModel`."""
    balance = None if class_balance is None else tuple(float(share) for share in class_balance)
    return LabelModel(class_balance=balance, epochs=epochs).fit_predict(votes, k, seed=seed)


@dataclass(frozen=True, slots=True)
class ConsolidatorScore:
    """One row of the table of consolidators; every field survives JSON.

    accuracy: on covered blind rows, with its Wilson interval; None without any. n: covered blind rows. covered: share
    of all rows that have a weak label. ties: share of covered rows on which the best two labels are equal.
    """

    name: str
    accuracy: float | None
    lower: float | None
    upper: float | None
    n: int
    covered: float
    ties: float


def score_table(
    fitted: Mapping[str, Floats], rows: Ints, gold: Floats, *, multiple: bool = False
) -> list[ConsolidatorScore]:
    """Score each consolidator on the blind sample.

    fitted: name to probabilities (n, k), NaN rows uncovered. rows: (b,) the blind rows with people's consensus. gold:
    (b, k) their labels, one-hot, or multi-hot if `multiple`. With one label, a tie among t labels counts 1/t if the
    right one is among them: what chance would make of it, and no order of rows or labels decides. With several, a row
    is right when exactly the right labels are above one half. Raises ValueError when rows and gold differ in length.
    """
    if len(rows) != len(gold):
        raise ValueError(f"{len(rows)} blind rows but {len(gold)} gold labels")
    table = []
    for name, probabilities in fitted.items():
        covered: Bools = np.asarray(np.isfinite(probabilities).all(axis=1))
        credit = _credit(probabilities[rows], gold, covered[rows], multiple=multiple)
        n, right = len(credit), float(credit.sum())
        lower, upper = wilson(min(right, n), n)
        tied = _tied(probabilities[covered]) if not multiple else np.zeros(0, bool)
        table.append(
            ConsolidatorScore(
                name,
                right / n if n else None,
                lower if n else None,
                upper if n else None,
                n,
                float(covered.mean()) if len(covered) else 0.0,
                float(tied.mean()) if len(tied) else 0.0,
            )
        )
    return table


def choose(scores: Sequence[ConsolidatorScore], policy: ConsolidatePolicy) -> str:
    """Return the name of the consolidator to use.

    A consolidator that the policy names is used if it is in the table. `best` takes the most accurate on the blind
    sample; majority where it is as good, and as long as there are fewer than `policy.min_gold` blind labels on
    covered rows (the safe default: without evidence nothing cleverer has been safe). So the choice is never below
    majority on that sample. Without majority in the table (controls with several labels) the first row takes its
    place; "" for an empty table.
    """
    if not scores:
        return ""
    named = {score.name: score for score in scores}
    if policy.consolidator in named:
        return policy.consolidator
    plain = named.get("majority", scores[0])
    if policy.consolidator != "best" or plain.accuracy is None:
        return plain.name
    able = [s for s in scores if s.accuracy is not None and s.n >= policy.min_gold]
    best = max(able, key=lambda s: (s.accuracy or 0.0, s.name == plain.name, s.name), default=plain)
    return best.name if (best.accuracy or 0.0) > plain.accuracy else plain.name


def _tied(probabilities: Floats) -> Bools:
    """Which rows (n, k) have no single best label."""
    if not len(probabilities):
        return np.zeros(0, bool)
    return np.asarray(_best(probabilities).sum(axis=1) > 1)


def _best(probabilities: Floats) -> Bools:
    """Which labels of each row (n, k) share the greatest probability, up to rounding."""
    top: Bools = probabilities >= probabilities.max(axis=1, keepdims=True) - 1e-6
    return top


def _credit(probabilities: Floats, gold: Floats, covered: Bools, *, multiple: bool) -> npt.NDArray[np.float64]:
    """Credit in 0..1 of each covered row."""
    said, truth = probabilities[covered], np.asarray(gold)[covered] > 0.5
    if not len(said):
        return np.zeros(0)
    if multiple:
        exact: npt.NDArray[np.float64] = np.asarray(((said > 0.5) == truth).all(axis=1), np.float64)
        return exact
    best = _best(said)
    credit: npt.NDArray[np.float64] = (best & truth).sum(axis=1) / best.sum(axis=1)
    return credit
