"""Which method speaks: by gold where there is enough, else by how halves of the crowd predict each other.

No method wins everywhere, and on votes alone none can prove itself: where many people err the same way, a reliability
model follows them, and even explains held-out votes better (ZenCrowd: 79 instead of 83 %). So majority and one-coin,
which trust few parameters, are the reference, and a richer model must show on votes that it has not seen that it is
worth more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from adapter.vocabulary import JsonObject

from .blend import blend
from .fitted import Fitted
from .skill import Doubles
from .votes import Ballots, Bools, Ints

Fit = Callable[[Ballots], Fitted]

MIN_GOLD = 20
"""Gold tasks with votes from which they may decide."""
FOLDS = 5
SPLITS = 10
"""Random halvings of the crowd, each scored in both directions."""
ENOUGH = 200
"""Held-out votes, of one halving and both directions, below which the default is taken unseen."""
MOST_VOTES = 40_000
"""Votes of the sample of tasks on which methods are compared; all votes enter the fit that speaks."""
DEFAULT = "one-coin"
"""Where nothing can be compared: it stays near majority until people have overlapped often."""
MARGIN = 0.005
"""By how much a score must be higher to count as higher. Less than half a point is the luck of the halving, or people
who err alike."""


@dataclass(frozen=True)
class Score:
    """How well a method's labels from one half of the crowd speak of the other half's votes. agreement: share of those
    votes that equal the label (ties count their share). kappa: the same beyond chance (Cohen 1960)."""

    agreement: float
    kappa: float


def choose(
    ballots: Ballots, fits: Mapping[str, Fit], gold_only: Mapping[str, Fit], *, seed: int
) -> tuple[str, tuple[JsonObject, ...]]:
    """Return the name of the method that speaks and the table of those compared. Nothing depends on the order of tasks
    or people, since ballots have their own. fits: methods that can be compared on votes and on gold, among them
    `majority` and `one-coin`; gold_only: those that only gold may choose."""
    golden = np.flatnonzero((ballots.known >= 0) & (ballots.people_per_task > 0))
    scores = halves(ballots, fits, seed=seed)
    safe = safe_choice(scores)
    table: dict[str, dict[str, object]] = {name: {"name": name} for name in (*fits, "blend", *gold_only)}
    for name, score in scores.items():
        table[name] |= {"agreement": round(score.agreement, 4), "kappa": round(score.kappa, 4)}
    chosen = safe
    if len(golden) >= MIN_GOLD:
        hits = on_gold(ballots, {**fits, **gold_only}, golden, seed=seed)
        for name, hit in hits.items():
            table[name] |= {"gold_accuracy": round(float(hit.mean()), 4), "gold": len(golden)}
        chosen = gold_choice(hits, safe)
    for name, row in table.items():
        row["chosen"] = name == chosen
    return chosen, tuple(table.values())


def gold_choice(hits: Mapping[str, Doubles], safe: str) -> str:
    """Return the method with the best accuracy on gold, each one's gain over the safe one shrunk by its standard error:
    a gain that is no more than luck keeps the safe choice (the one-standard-error rule, Hastie et al. 2009, section
    7.10). hits: method to (g,) cross-validated hits, 0..1."""
    best, best_gain = safe, 0.0
    for name in sorted(hits):
        gain = hits[name] - hits[safe]
        # one imagined gold row that contradicts, so that a few equal gains are not taken for certain
        error = np.sqrt((gain.var() * len(gain) + 1) / (len(gain) + 1) / (len(gain) + 1))
        least = float(gain.sum() / (len(gain) + 1) - error)
        if least > best_gain + 1e-12:
            best, best_gain = name, least
    return best


def on_gold(ballots: Ballots, fits: Mapping[str, Fit], golden: Ints, *, seed: int) -> dict[str, Doubles]:
    """Return each method's hits (g,) on the gold tasks, each folded out of what the method was told."""
    fold = np.random.default_rng(seed).permutation(len(golden)) % FOLDS
    hits: dict[str, Doubles] = {}
    for out in range(FOLDS):
        asked = golden[fold == out]
        known = ballots.known.copy()
        known[asked] = -1
        blind = replace(ballots, known=known)
        found = fit_all(blind, fits)
        hits = {name: hits.get(name, np.zeros(len(golden))) for name in found if out == 0 or name in hits}
        for name in hits:
            hits[name][fold == out] = share_at_top(found[name].posterior[asked], ballots.known[asked])
    return hits


def fit_all(ballots: Ballots, fits: Mapping[str, Fit]) -> dict[str, Fitted]:
    """Return the fit of each method, and their blend. A method that raises ValueError cannot work on these votes and is
    left out."""
    fitted: dict[str, Fitted] = {}
    for name, fit in fits.items():
        with suppress(ValueError):
            fitted[name] = fit(ballots)
    fitted["blend"] = blend(fitted)
    return fitted


def safe_choice(scores: Mapping[str, Score]) -> str:
    """Return the method to trust without gold: the best that shows itself better than the reference by MARGIN.

    Without scores (too little overlap) it is DEFAULT. Else, if one-coin's kappa passes majority's, it is the reference:
    one number describes a person, errors fall about evenly, and so agreement rises with accuracy; a richer method takes
    over only if both its agreement and its kappa are higher. If not, one number does not describe a person: people lean
    to labels, plain agreement rewards leaning along, and a richer method takes over from majority by its kappa alone.
    """
    if not scores:
        return DEFAULT
    even = scores["one-coin"].kappa > scores["majority"].kappa + MARGIN
    reference = "one-coin" if even else "majority"
    least = scores[reference]
    better = [
        name
        for name, score in sorted(scores.items())
        if score.kappa > least.kappa + MARGIN and (not even or score.agreement > least.agreement + MARGIN)
    ]
    return max(better, key=lambda name: scores[name].kappa, default=reference)


def halves(ballots: Ballots, fits: Mapping[str, Fit], *, seed: int) -> dict[str, Score]:
    """Return each method's score: people are halved at random, each half's labels are held against the other half's
    votes on the tasks that both saw. Empty where fewer than ENOUGH votes can be held out. Split-half reliability
    (Brown 1910, Spearman 1910), with votes in place of the second half's score."""
    random = np.random.default_rng(seed)
    sample = _sample(ballots, random)
    if sample.m < 2:
        return {}
    load = np.bincount(sample.annotator, minlength=sample.m)
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(SPLITS):
        order = random.permutation(sample.m)
        first = np.zeros(sample.m, bool)
        first[order[np.cumsum(load[order]) <= load.sum() / 2]] = True
        sides = [_only(sample, first[sample.annotator]), _only(sample, ~first[sample.annotator])]
        both = (sides[0].people_per_task > 0) & (sides[1].people_per_task > 0)
        if sum(int(both[side.task].sum()) for side in sides) < ENOUGH:
            continue
        for ours, theirs in (sides, sides[::-1]):
            for name, fit in fit_all(ours, fits).items():
                found.setdefault(name, []).append(_score(fit.posterior, theirs, both))
    means = {name: np.mean(pairs, axis=0) for name, pairs in found.items()}
    return {name: Score(float(mean[0]), float(mean[1])) for name, mean in means.items()}


def share_at_top(posterior: Doubles, label: Ints) -> Doubles:
    """Return (n,) 1 where the label is the most probable, its share where several tie, else 0."""
    top = posterior >= posterior.max(axis=1, keepdims=True) - 1e-9
    return np.asarray(top[np.arange(len(label)), label] / top.sum(axis=1))


def _score(posterior: Doubles, other: Ballots, both: Bools) -> tuple[float, float]:
    """Return agreement and kappa of the posterior's top labels with the other half's votes."""
    on = both[other.task]
    top = posterior >= posterior.max(axis=1, keepdims=True) - 1e-9
    labels = (top / top.sum(axis=1, keepdims=True))[other.task[on]]
    said, weight = other.label[on], other.weight[on]
    total = weight.sum()
    agreement = float((labels[np.arange(len(said)), said] * weight).sum() / total)
    ours = (labels * weight[:, None]).sum(axis=0) / total
    theirs = np.bincount(said, weights=weight, minlength=other.k) / total
    chance = float(ours @ theirs)
    return agreement, (agreement - chance) / max(1 - chance, 1e-9)


def _sample(ballots: Ballots, random: np.random.Generator) -> Ballots:
    """Return a random sample of tasks with about MOST_VOTES votes, without their truths: halves shall judge alone."""
    blind = replace(ballots, known=np.full(ballots.t, -1, np.int64))
    if len(ballots.task) <= MOST_VOTES:
        return blind
    kept = random.random(ballots.t) < MOST_VOTES / len(ballots.task)
    row = np.cumsum(kept) - 1
    on = kept[ballots.task]
    return Ballots(
        row[ballots.task[on]], ballots.annotator[on], ballots.label[on], ballots.names, ballots.k, blind.known[kept]
    )


def _only(ballots: Ballots, on: Bools) -> Ballots:
    """Return the ballots with these votes alone, tasks and annotators numbered as before."""
    return replace(ballots, task=ballots.task[on], annotator=ballots.annotator[on], label=ballots.label[on])
