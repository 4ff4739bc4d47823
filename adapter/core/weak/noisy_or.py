"""Noisy or: for controls with several labels, each vote is evidence for its label and says nothing of the others.

P(label) = 1 - product over its voters of (1 - precision) (Pearl 1988, section 4.3.2). A label that no function voted
for on a covered row gets SILENT, and one that no function ever votes for gets one half: nothing is known of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapter.core.weak.base import ABSTAIN, Bools, Labels, Votes, WeakVotes
from adapter.core.weak.lookup import Doubles, table_sums
from adapter.ports import Floats

SILENT = 0.1
"""Probability of a label that no function voted for on a covered row: a vote for one label does not deny the others,
but most labels do not hold."""
PRECISION = 0.75
STRENGTH = 10.0
"""What is assumed of a function's precision, and the number of labels that this assumption is worth (Beta prior)."""
HIGHEST = 0.999


@dataclass(frozen=True, slots=True, eq=False)
class FittedNoisyOr:
    """Evidence for each label alone. tables: float64 (m, k + 1, k), what a vote adds for its own label, 0 elsewhere.
    start: (k,), to which it is added. silent: (k,) probability of a label without a voter on a covered row. odds:
    whether the sums are log-odds of the label; else log-probabilities that it does not hold."""

    tables: Doubles
    start: Doubles
    silent: Doubles
    odds: bool = False

    def predict(self, votes: WeakVotes) -> Floats:
        """Return one probability for each label of a row, float32 (n, k), which need not sum to 1; NaN rows where
        nobody votes. Where functions said how sure they are, a vote counts by its confidence."""
        out = np.empty((len(votes.votes), votes.k), np.float32)
        for rows, sums, covered in table_sums(votes.votes, self.tables):
            there = votes.votes[rows]
            if votes.confidence is not None:
                sums = self._weighed(there, votes.confidence[rows])
            evidence = sums + self.start
            share = 1 / (1 + np.exp(-evidence)) if self.odds else 1 - np.exp(evidence)
            out[rows] = np.where(_spoken(there, votes.k), share, self.silent)
            out[rows][~covered] = np.nan
        return out

    def _weighed(self, votes: Votes, confidence: Floats) -> Doubles:
        """Return the sums (b, k) with each vote's evidence times its confidence."""
        sums: Doubles = np.zeros((len(votes), self.tables.shape[2]))
        row, column = np.nonzero(votes > ABSTAIN)
        sure = confidence[row, column]
        sure = np.where(np.isnan(sure), 1.0, np.clip(sure, 0, 1))
        label = votes[row, column]
        np.add.at(sums, (row, label), sure * self.tables[column, 1 + label, label])
        return sums


@dataclass(frozen=True, slots=True)
class NoisyOr:
    """See the module. Labels by people move each function's precision away from PRECISION."""

    name: str = "noisy-or"
    learns: bool = True

    def fit(self, votes: WeakVotes, labels: Labels, *, balance: Floats | None = None, seed: int = 0) -> FittedNoisyOr:
        """Learn precisions from labels (multi-hot targets); balance and seed have no effect."""
        m, k = votes.votes.shape[1], votes.k
        said = votes.votes[labels.rows]
        tables = np.zeros((m, k + 1, k))
        spoken = np.zeros(k, bool)
        for column in range(m):
            spoken[np.unique(votes.votes[:, column][votes.votes[:, column] > ABSTAIN])] = True
            asked = np.flatnonzero(said[:, column] > ABSTAIN)
            sure = labels.weights[asked].astype(np.float64)
            right = float((sure * labels.targets[asked, said[asked, column]]).sum())
            precision = min((right + PRECISION * STRENGTH) / (float(sure.sum()) + STRENGTH), HIGHEST)
            tables[column, 1:] = np.log(1 - precision) * np.eye(k)
        return FittedNoisyOr(tables, np.zeros(k), np.where(spoken, SILENT, 0.5))


def _spoken(votes: Votes, k: int) -> Bools:
    """Return (b, k) whether any function votes for each label of a row."""
    return np.stack([(votes == label).any(axis=1) for label in range(k)], axis=1)
