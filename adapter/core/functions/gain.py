"""What each function adds: the consolidated accuracy with it, less the one without it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from adapter.core.functions.accuracy import credits
from adapter.core.intervals import Z95
from adapter.core.weak.base import Votes
from adapter.ports import Floats


@dataclass(frozen=True, slots=True)
class Gain:
    """Change of the majority's credit on n labelled tasks when a function takes part; negative: it does harm.

    gain: mean over all n tasks, None without any. lower, upper: paired 95 % interval. wins, losses: sums of what it
    adds and takes, in tasks.
    """

    n: int
    gain: float | None
    lower: float | None
    upper: float | None
    wins: float
    losses: float


def gains(votes: Votes, targets: Floats, *, multiple: bool = False) -> list[Gain]:
    """Return the gain of each of m functions over leaving it out of a majority vote.

    votes: (b, m) on the labelled tasks. targets: (b, k). Majority learns nothing, so scoring it on these labels is
    honest, and leaving a function out takes one subtraction. For credit see `accuracy.credits`.
    """
    b, m = votes.shape
    k = targets.shape[1]
    tally = np.zeros((b, k), np.float64)
    spoken = [np.flatnonzero(votes[:, column] >= 0) for column in range(m)]
    for column, rows in enumerate(spoken):
        tally[rows, votes[rows, column]] += 1
    found = []
    for column, rows in enumerate(spoken):
        with_it = credits(tally[rows], targets[rows], multiple=multiple)
        without = tally[rows].copy()
        without[np.arange(len(rows)), votes[rows, column]] -= 1
        change = with_it - credits(without, targets[rows], multiple=multiple)
        found.append(paired(float(change[change > 0].sum()), float(-change[change < 0].sum()), b))
    return found


def paired(wins: float, losses: float, n: int) -> Gain:
    """Return (wins - losses) / n with the adjusted Wald interval for paired proportions (Bonett and Price 2012), which
    holds its level on few tasks and is never empty when nothing changed. Fractional changes (ties) make it wider than
    it need be."""
    if not n:
        return Gain(0, None, None, None, 0.0, 0.0)
    up, down = (wins + 1) / (n + 2), (losses + 1) / (n + 2)
    half = Z95 * math.sqrt((up + down - (up - down) ** 2) / (n + 2))
    return Gain(n, (wins - losses) / n, max(-1.0, up - down - half), min(1.0, up - down + half), wins, losses)
