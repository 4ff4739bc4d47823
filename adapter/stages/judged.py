"""What several people said of the same tasks, and the statistics that fit it: the kind decides which, core computes.

Everything a figure of agreement is made of is gathered once; parts (a class, two people, a subgroup, a week) are cut
out of it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adapter.core.agreement import (
    Judgements,
    Pairwise,
    Statistic,
    alpha,
    alpha_of_pairs,
    brennan_prediger,
    cross_pairs,
    fleiss,
    gwet,
    judgements,
    ratio,
    unlikeness,
)
from adapter.core.agreement.alpha import PAIRS
from adapter.core.agreement.distances import Metric
from adapter.kinds import kind_of
from adapter.kinds.base import Unit
from adapter.vocabulary import Control, Value

PART_PAIRS = 1000
"""Pairs of answers that estimate expected disagreement in a part, where only the kind's own distance is meaningful."""
_SAME = 1e-9
_METRICS: Mapping[str, Metric] = {
    "nominal": "nominal",
    "ordinal": "ordinal",
    "interval": "interval",
    "ratio": "ratio",
    "set": "masi",
    "own": "nominal",
}

Counts = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Judged:
    """One task that several people answered. votes: annotator to value. pairs: two annotators to the kind's pair
    counts. units: the kind's units."""

    task_id: str
    votes: Mapping[str, Value]
    pairs: Mapping[tuple[str, str], Counts]
    units: tuple[Unit, ...]


def gather(control: Control, votes: Mapping[str, Mapping[str, Value]]) -> list[Judged]:
    """Return the tasks that at least two people answered. votes: task id to annotator to canonical value. The order of
    people does not matter."""
    kind = kind_of(control.kind)
    found = []
    for task_id, said in votes.items():
        if len(said) < 2:
            continue
        by = {who: said[who] for who in sorted(said)}
        pairs = {(a, b): kind.pair_counts(control, by[a], by[b]) for a, b in itertools.combinations(by, 2)}
        found.append(Judged(task_id, by, pairs, tuple(kind.units(control, by))))
    return found


def between(judged: Sequence[Judged], one: str, other: str) -> list[Judged]:
    """Return the tasks that both annotators answered, with nothing of the others in them."""
    found = []
    for item in judged:
        if (one, other) in item.pairs:
            both = {who: item.votes[who] for who in (one, other)}
            units = tuple(
                Unit({who: code for who, code in unit.codes.items() if who in both}, unit.weight) for unit in item.units
            )
            found.append(Judged(item.task_id, both, {(one, other): item.pairs[one, other]}, units))
    return found


def of_class(control: Control, judged: Sequence[Judged], label: str) -> list[Judged]:
    """Return the tasks on which somebody used the label, cut down to what is about it."""
    kind = kind_of(control.kind)
    found = []
    for item in judged:
        parts = {who: kind.of_label(control, value, label) for who, value in item.votes.items()}
        if any(parts.values()):
            pairs = {
                (a, b): kind.pair_counts(control, parts[a], parts[b])
                for a, b in item.pairs
                if parts[a] or parts[b]  # two who saw none of it agree on nothing that is about it
            }
            found.append(Judged(item.task_id, parts, pairs, ()))
    return found


def says(code: Hashable, label: str) -> bool:
    """Whether a unit's code holds a label: is it, is a set with it, or is several labels joined."""
    if isinstance(code, frozenset | tuple):
        return label in code
    return code == label or (isinstance(code, str) and " + " in code and label in code.split(" + "))


def one_against_rest(given: Judgements, label: str) -> tuple[Statistic, int]:
    """Return alpha of "this label or not", and on how many tasks somebody gave it."""
    holds = np.array([says(value, label) for value in given.values], bool)
    with_it = holds[given.code]
    told = Judgements(given.unit, with_it.astype(np.int64), (False, True), given.task, given.weight)
    return alpha(told), len(np.unique(given.task[given.unit[with_it]]))


def coded(judged: Sequence[Judged], *, values: Sequence[Hashable] | None = None) -> Judgements:
    """Return the units of all tasks as arrays."""
    rows = [(place, unit) for place, item in enumerate(judged) for unit in item.units]
    return judgements(
        [list(unit.codes.values()) for _, unit in rows],
        values=values,
        tasks=[place for place, _ in rows],
        weights=[unit.weight for _, unit in rows],
    )


def headline_of(control: Control, judged: Sequence[Judged], *, pairs: int = PART_PAIRS, seed: int = 0) -> Statistic:
    """Return the statistic that the kind names first, over these tasks."""
    measure = kind_of(control.kind).measure(control)
    if measure.headline != "alpha":
        return counted(judged, measure.headline)
    if measure.scale == "own":
        return by_distance(control, judged, limit=pairs, seed=seed)
    return alpha(coded(judged), _METRICS[measure.scale], seed=seed)


def statistics_of(control: Control, judged: Sequence[Judged], *, seed: int = 0) -> dict[str, Statistic]:
    """Return every statistic that fits the control's scale, by name, the headline first."""
    measure = kind_of(control.kind).measure(control)
    found = {measure.headline: headline_of(control, judged, pairs=PAIRS, seed=seed)}

    def add(name: str, make: Callable[[], Statistic]) -> None:
        if name not in found:
            found[name] = make()

    if any(item.units for item in judged):
        given = coded(judged)
        if measure.scale == "own":
            add("alpha", lambda: by_distance(control, judged, limit=PAIRS, seed=seed))
            add("alpha_units", lambda: alpha(given, "nominal", name="alpha_units", seed=seed))
        else:
            add("alpha", lambda: alpha(given, _METRICS[measure.scale], seed=seed))
        if measure.headline == "alpha":
            for name, make in _beside(control, judged, measure.scale).items():
                add(name, make)
    add("percent", lambda: exact(judged))
    add("score", lambda: counted(judged, "score"))
    for name in _names(judged):
        add(name, lambda name=name: counted(judged, name))  # type: ignore[misc]
    return found


def _beside(control: Control, judged: Sequence[Judged], scale: str) -> dict[str, Callable[[], Statistic]]:
    """Return what is shown beside alpha, by scale."""
    given = coded(judged)
    every = _categories(control, given)
    whole = coded(judged, values=every) if every else given
    if scale == "nominal":
        return {
            "fleiss": lambda: fleiss(whole),
            "brennan_prediger": lambda: brennan_prediger(whole, name="brennan_prediger"),
            "ac1": lambda: gwet(whole),
        }
    if scale == "ordinal":
        unlike = unlikeness(len(whole.values), "quadratic")
        return {
            "alpha_nominal": lambda: alpha(given, "nominal", name="alpha_nominal"),
            "ac2": lambda: gwet(whole, unlike=unlike, name="ac2"),
        }
    if scale in ("interval", "ratio"):
        other: Metric = "interval" if scale == "ratio" else "ordinal"
        return {f"alpha_{other}": lambda: alpha(given, other, name=f"alpha_{other}")}
    if scale == "set":
        return {"alpha_jaccard": lambda: alpha(given, "jaccard", name="alpha_jaccard")}
    return {}


def _categories(control: Control, given: Judgements) -> list[Hashable]:
    """All categories that people could choose, where the codes are the control's labels; else none."""
    if set(given.values) <= set(control.labels):
        return list(control.labels)
    if all(isinstance(value, int | float) for value in given.values):
        written = {str(value).removesuffix(".0"): value for value in given.values}
        if set(written) <= set(control.labels):
            return [written.get(label, float(label)) for label in control.labels]
    return []


def _names(judged: Sequence[Judged]) -> list[str]:
    return list(dict.fromkeys(name for item in judged for counts in item.pairs.values() for name in counts))


def counted(judged: Sequence[Judged], name: str) -> Statistic:
    """Return a statistic of the kind's pair counts. `score` is the mean over tasks of each task's mean over pairs, as
    Label Studio Enterprise has it; all others are the sum of numerators over the sum of denominators."""
    sums = np.zeros((len(judged), 2))
    for place, item in enumerate(judged):
        for counts in item.pairs.values():
            if name in counts:
                sums[place] += counts[name]
    if name == "score":
        known = sums[:, 1] > 0
        sums[known] = sums[known] / sums[known, 1:]
    return ratio(sums[:, 0], sums[:, 1], name=name)


def exact(judged: Sequence[Judged]) -> Statistic:
    """Return raw agreement: the mean over tasks of the share of pairs whose answers are the same."""
    share = [sum(_score(counts) >= 1 - _SAME for counts in item.pairs.values()) / len(item.pairs) for item in judged]
    return ratio(np.array(share, np.float64), np.ones(len(judged)), name="percent")


def by_distance(control: Control, judged: Sequence[Judged], *, limit: int, seed: int) -> Statistic:
    """Return alpha by the kind's own distance; the expected one from at most `limit` pairs of answers to different
    tasks, drawn by seed."""
    kind = kind_of(control.kind)
    said = [(place, value) for place, item in enumerate(judged) for value in item.votes.values()]
    task = np.array([place for place, _ in said], np.int64)
    drawn = cross_pairs(task, seed=seed, limit=limit)
    apart = [kind.distance(control, said[a][1], said[b][1]) for a, b in drawn]
    within = [sum(1 - _score(counts) for counts in item.pairs.values()) for item in judged]
    return alpha_of_pairs(
        Pairwise(
            size=np.array([len(item.votes) for item in judged], np.float64),
            within=np.array(within, np.float64),
            first=task[drawn[:, 0]],
            second=task[drawn[:, 1]],
            apart=np.array(apart, np.float64),
        )
    )


def _score(counts: Counts) -> float:
    numerator, denominator = counts["score"]
    return numerator / denominator if denominator else 1.0


def worst_pair(item: Judged) -> tuple[str, str]:
    """Return the two annotators of a task who differ most; the first by name among equals."""
    return min(item.pairs, key=lambda pair: (_score(item.pairs[pair]), pair))


def worst_score(item: Judged) -> float:
    """Return the pairwise score of the two annotators of a task who differ most; 1 where nobody can be compared."""
    return min((_score(counts) for counts in item.pairs.values()), default=1.0)


def confusions(judged: Sequence[Judged], *, skip: Collection[Hashable] = ("",)) -> Counter[tuple[str, str]]:
    """Return how often two different codes met on one unit, pairs of people counted; for nominal and ordinal codes."""
    found: Counter[tuple[str, str]] = Counter()
    for item in judged:
        for unit in item.units:
            for a, b in itertools.combinations(unit.codes.values(), 2):
                if a != b and not isinstance(a, frozenset) and a not in skip and b not in skip:
                    one, other = sorted((str(a), str(b)))
                    found[one, other] += 1
    return found
