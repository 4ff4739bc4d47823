"""Several people's rankings of one task's items: who ranks as the others do, which bucket, which order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from adapter.core.people import PRIOR_ACCURACY, PRIOR_STRENGTH, Skill
from adapter.vocabulary import Value

Places: TypeAlias = dict[str, tuple[str, int]]
"""Item to its bucket and its place there, from 0."""


def places_of(value: Sequence[tuple[str, Sequence[str]]]) -> Places:
    """Return where each item stands."""
    return {item: (bucket, place) for bucket, items in value for place, item in enumerate(items)}


def odds(accuracy: float) -> float:
    """Return the log odds of an accuracy in 0..1, both ends left out."""
    return math.log(accuracy / (1.0 - accuracy))


def likeliest(votes: Mapping[str, float], k: int) -> tuple[str, float]:
    """Return the bucket with most evidence and its share of the odds; buckets that nobody named count as k says."""
    best = max(sorted(votes), key=lambda name: votes[name])
    top = votes[best]
    rest = sum(math.exp(votes[name] - top) for name in votes if name != best)
    unnamed = max(k - len(votes), 0) * math.exp(-top) / max(k - 1, 1)
    return best, 1.0 / (1.0 + rest + unnamed)


def ordered(
    items: Sequence[str], places: Mapping[str, Places], accuracy: Mapping[str, float]
) -> tuple[tuple[str, ...], list[float]]:
    """Return the items by strength, and the chance that each neighbouring pair stands in the right order."""
    from adapter.core.crowd.bradley_terry import strengths

    if len(items) < 2:
        return tuple(items), []
    number = {item: i for i, item in enumerate(items)}
    evidence = np.zeros((len(items), len(items)))
    winners, losers, weights = [], [], []
    for who, place in places.items():
        for one, other in itertools.permutations(items, 2):
            if one in place and other in place and place[one][0] == place[other][0] and place[one][1] < place[other][1]:
                winners.append(number[one])
                losers.append(number[other])
                weights.append(accuracy[who])
                evidence[number[one], number[other]] += odds(accuracy[who])
    theta, _ = strengths(np.array(winners, np.int64), np.array(losers, np.int64), len(items), np.array(weights))
    order = sorted(items, key=lambda item: (-round(float(theta[number[item]]), 9), item))
    certain = []
    for one, other in itertools.pairwise(order):
        log_odds = float(evidence[number[one], number[other]] - evidence[number[other], number[one]])
        certain.append(1.0 / (1.0 + math.exp(-log_odds)))
    return tuple(order), certain


def ranking_skills(votes: Mapping[str, Mapping[str, Value]], gold: Mapping[str, Value]) -> dict[str, Skill]:
    """Return each annotator's share of pairs of items in the order of the others (or of gold), shrunk to the prior."""
    from scipy.special import betaincinv

    right: dict[str, float] = {who: 0.0 for by_person in votes.values() for who in by_person}
    n: dict[str, int] = dict.fromkeys(right, 0)
    for task_id in sorted(votes):
        places = {who: places_of(value) for who, value in votes[task_id].items()}
        truth = places_of(gold[task_id]) if task_id in gold else None
        for who, place in places.items():
            judges = [truth] if truth is not None else [other for w, other in places.items() if w != who]
            shares = [share for share in (_agreement(place, judge) for judge in judges) if share is not None]
            if shares:
                right[who] += float(np.mean(shares))
                n[who] += 1
    found = {}
    for who in right:
        a = PRIOR_ACCURACY * PRIOR_STRENGTH + right[who]
        b = (1 - PRIOR_ACCURACY) * PRIOR_STRENGTH + n[who] - right[who]
        lower, upper = (float(betaincinv(a, b, q)) for q in (0.025, 0.975))
        found[who] = Skill(a / (a + b), lower, upper, n[who])
    return found


def _agreement(a: Places, b: Places) -> float | None:
    pairs = [
        (a[one][1] < a[other][1]) == (b[one][1] < b[other][1])
        for one, other in itertools.combinations(sorted({*a} & {*b}), 2)
        if a[one][0] == a[other][0] and b[one][0] == b[other][0]
    ]
    return float(np.mean(pairs)) if pairs else None
