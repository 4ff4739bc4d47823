"""Agreement between people: coefficients for every scale, with gaps, weighted units and bootstrap bounds over tasks.

A coefficient is a `Statistic`; `estimate` gives its value with bounds, `influence` the tasks that pull it down:

    given = judgements([["a", "a"], ["a", "b"], ["b", "b", "b"]])
    estimate(alpha(given), seed=0)

One category throughout is undefined, never perfect: NaN, and `why` says why.
"""

from __future__ import annotations

from adapter.core.agreement.alpha import Pairwise, alpha, alpha_of_pairs, cross_pairs
from adapter.core.agreement.coefficients import (
    ac1_interval,
    brennan_prediger,
    cohen,
    cohen_interval,
    cross_table,
    fleiss,
    gwet,
    percent,
)
from adapter.core.agreement.distances import distances, unlikeness
from adapter.core.agreement.gate import judge, more_needed
from adapter.core.agreement.judgements import Judgements, Units, from_counts, judgements
from adapter.core.agreement.ratios import MatchedScores, matched_scores, ratio
from adapter.core.agreement.statistic import Estimate, Statistic, estimate, estimates, influence

__all__ = [
    "Judgements",
    "Units",
    "judgements",
    "from_counts",
    "Statistic",
    "Estimate",
    "estimate",
    "estimates",
    "influence",
    "alpha",
    "Pairwise",
    "alpha_of_pairs",
    "cross_pairs",
    "percent",
    "fleiss",
    "brennan_prediger",
    "gwet",
    "ac1_interval",
    "cohen",
    "cohen_interval",
    "cross_table",
    "ratio",
    "MatchedScores",
    "matched_scores",
    "distances",
    "unlikeness",
    "judge",
    "more_needed",
    "raw_agreement",
    "krippendorff_nominal",
    "alpha_lower_bound",
]


def raw_agreement(units: Units) -> float:
    """Return the mean over units of the share of pairs that agree, 0 to 1; NaN without a unit of two labels."""
    return percent(judgements(units)).value


def krippendorff_nominal(units: Units) -> float:
    """Return Krippendorff's alpha with the nominal metric; NaN when it is undefined: no unit of two labels, or one
    label used throughout."""
    return alpha(judgements(units)).value


def alpha_lower_bound(units: Units, *, seed: int, level: float = 0.05, rounds: int = 1000) -> float:
    """Return the one-sided lower confidence bound of `krippendorff_nominal`, see `estimate`; NaN where undefined."""
    return estimate(alpha(judgements(units)), seed=seed, level=level, rounds=rounds).lower
