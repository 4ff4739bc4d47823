"""Several people's relations into one value: which things are related, which way, and what the relation is called.

A pair of consensus regions that anybody related is a cluster. Whether it is related at all is decided by each person's
precision and recall (`core.existence`), direction and labels by votes weighted with that precision (one-coin model).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from adapter.core.crowd.skill import Skill, beta_skills
from adapter.core.existence import drawn_table, existence
from adapter.kinds.base import Given, Merged, Region, Together
from adapter.kinds.families.region_refs import checked, pairs, stand_ins
from adapter.kinds.families.relation_values import Relation, made, upright, words
from adapter.vocabulary import Control, Value

_TIE = 1e-9
_SURE = 1e-6
_Option = TypeVar("_Option", bound=Hashable)
_DIRECTIONS = ("right", "left", "bi")
Way = tuple[str, tuple[str, ...]]
"""A direction, seen from the cluster's first region, and labels."""


@dataclass
class _Cluster:
    """Two consensus regions of a task that somebody related. said: annotator to that person's way. asked: everybody
    who saw the task. known: 1 or 0 where gold says whether they are related, else -1; truth: gold's way."""

    task: str
    ends: tuple[Region, Region]
    asked: frozenset[str]
    said: dict[str, Way] = field(default_factory=dict)
    known: int = -1
    truth: Way | None = None
    there: float = 1.0
    direction: tuple[str, float, bool] = ("right", 1.0, False)
    labels: tuple[tuple[str, ...], float, bool] = ((), 1.0, False)

    @property
    def sure(self) -> float:
        """Probability that what is decided of it is right."""
        return self.there * self.direction[1] * self.labels[1] if self.there > 0.5 else 1.0 - self.there

    @property
    def tied(self) -> str:
        """Why it cannot be decided, in words; empty if it can."""
        if abs(self.there - 0.5) < _TIE:
            return "as much speaks for it as against it"
        if self.there < 0.5:
            return ""
        return "its direction is tied" if self.direction[2] else "its label is tied" if self.labels[2] else ""

    def relation(self) -> Relation:
        """Return what stands."""
        return made(self.ends[0], self.ends[1], self.direction[0], list(self.labels[0]))


def consensus(
    control: Control,
    votes: Mapping[str, Mapping[str, Value]],
    given: Given,
    canonical: Callable[[Control, object], Value],
) -> Together:
    """Consolidate a control's relations over all tasks; see `Kind.consensus`.

    Ends are matched to `given.parents`; a relation with an end that did not survive is dropped. Where a task has no
    entry there, the regions that people related stand for themselves. certainty: of the least certain pair. Where all
    people drew nothing: the chance that one of them would have found a relation; 1 where no two regions are there.
    """
    people = sorted({who for by_person in votes.values() for who in by_person})
    clusters: dict[str, list[_Cluster]] = {}
    room: dict[str, bool] = {}
    for task in sorted(votes):
        regions = _regions(control, votes[task], given, task)
        clusters[task] = _clusters(control, task, regions, votes[task], given)
        room[task] = task not in given.parents or len(regions) > 1
    every = [cluster for task in sorted(clusters) for cluster in clusters[task]]
    drawn = drawn_table([(cluster.asked, cluster.said) for cluster in every], people)
    found = existence(drawn, known=np.array([cluster.known for cluster in every], np.int8))
    accuracy = {who: float(found.precision[column]) for column, who in enumerate(people)}
    recall = {who: float(found.recall[column]) for column, who in enumerate(people)}
    for cluster, there in zip(every, found.posterior, strict=True):
        cluster.there = float(there)
        _decide(control, cluster, accuracy)
    merged: dict[str, Merged] = {}
    for task in sorted(votes):
        if task in given.gold:
            merged[task] = Merged(given.gold[task], 1.0, 1.0)
        elif not votes[task]:
            merged[task] = Merged(None, 0.0, 0.0, why="nobody has answered")
        elif not clusters[task]:
            sure = 1.0 - math.prod(1.0 - recall[who] for who in votes[task]) if room[task] else 1.0
            merged[task] = Merged((), sure, sure)
        else:
            merged[task] = _merged(control, clusters[task], canonical)
    return Together(merged, _skills(every, people), "existence + one-coin")


def _regions(control: Control, votes: Mapping[str, Value], given: Given, task: str) -> list[Region]:
    if task in given.parents:
        return [checked(control, region, labelled=True) for region in given.parents[task]]
    return stand_ins(control, {who: _ends(value) for who, value in votes.items()})


def _ends(value: Value) -> list[Region]:
    """Return the regions that a value relates, each once."""
    return list({each[end]["id"]: each[end] for each in value for end in ("from", "to")}.values())


def _clusters(
    control: Control, task: str, regions: Sequence[Region], votes: Mapping[str, Value], given: Given
) -> list[_Cluster]:
    found: dict[tuple[int, int, int], _Cluster] = {}

    def ways(value: Value) -> dict[tuple[int, int, int], Way]:
        """Return for each cluster (two regions, the first before the second, and a number, since one person may relate
        them twice) what this value says."""
        ends = _ends(value)
        place = {ends[j]["id"]: i for i, j in pairs(control, regions, ends)}
        drawn: dict[tuple[int, int], list[Way]] = {}
        for each in map(upright, value):
            first, second = place.get(each["from"]["id"]), place.get(each["to"]["id"])
            if first is None or second is None:
                continue
            direction = "bi" if each["direction"] == "bi" else "right" if first <= second else "left"
            key = (min(first, second), max(first, second))
            drawn.setdefault(key, []).append((direction, tuple(each["labels"])))
        return {(*key, n): way for key, said in drawn.items() for n, way in enumerate(sorted(set(said)))}

    def cluster(key: tuple[int, int, int]) -> _Cluster:
        return found.setdefault(key, _Cluster(task, (regions[key[0]], regions[key[1]]), frozenset(votes)))

    for who in sorted(votes):
        for key, way in ways(votes[who]).items():
            cluster(key).said[who] = way
    if task in given.gold:
        for key, way in ways(given.gold[task]).items():
            cluster(key).truth = way
        for each in found.values():
            each.known = int(each.truth is not None)
    return [found[key] for key in sorted(found)]


def _decide(control: Control, cluster: _Cluster, accuracy: Mapping[str, float]) -> None:
    """Set direction and labels, each with its probability and whether it is tied. accuracy: how often a person is right
    about the whole of it; the parts, direction and each question of labels, share the errors."""
    if cluster.truth is not None:
        cluster.direction, cluster.labels = (cluster.truth[0], 1.0, False), (cluster.truth[1], 1.0, False)
        return
    parts = 1 + (len(control.labels) if control.multiple else min(len(control.labels), 1))
    weights = {who: min(max(accuracy[who] ** (1 / parts), _SURE), 1 - _SURE) for who in cluster.said}
    cluster.direction = _vote({who: way[0] for who, way in cluster.said.items()}, _DIRECTIONS, weights)
    if not control.multiple or not control.labels:
        options: list[tuple[str, ...]] = [(label,) for label in control.labels] + [()]
        options += sorted({way[1] for way in cluster.said.values()} - set(options))
        cluster.labels = _vote({who: way[1] for who, way in cluster.said.items()}, options, weights)
        return
    chosen, sure, tied = [], 1.0, False
    for label in control.labels:
        holds, chance, open_ = _vote(
            {who: label in way[1] for who, way in cluster.said.items()}, (False, True), weights
        )
        if holds or open_:
            chosen.append(label)
        sure, tied = sure * chance, tied or open_
    cluster.labels = (tuple(chosen), sure, tied)


def _vote(
    said: Mapping[str, _Option], options: Sequence[_Option], accuracy: Mapping[str, float]
) -> tuple[_Option, float, bool]:
    """Return the likeliest option, its probability, and whether another one is as likely: people of accuracy a say
    each wrong option with (1 - a) / (k - 1)."""
    if not said or len(options) < 2:
        return options[0], 1.0, False
    scores = dict.fromkeys(options, 0.0)
    for who in sorted(said):
        scores[said[who]] += math.log(accuracy[who] * (len(options) - 1) / (1.0 - accuracy[who]))
    ordered = sorted(options, key=lambda option: -scores[option])
    chances = [math.exp(scores[option] - scores[ordered[0]]) for option in ordered]
    return ordered[0], 1.0 / math.fsum(chances), scores[ordered[0]] - scores[ordered[1]] < _TIE


def _merged(control: Control, clusters: Sequence[_Cluster], canonical: Callable[[Control, object], Value]) -> Merged:
    value = canonical(control, [each.relation() for each in clusters if each.there > 0.5 or each.tied])
    confidence = math.prod(each.sure for each in clusters)
    certainty = min(each.sure for each in clusters)
    open_ = [each for each in clusters if each.tied]
    if not open_:
        return Merged(value, confidence, certainty)
    why = "; ".join(f"{words(control, each.relation())}: {each.tied}" for each in open_[:3])
    return Merged(None, confidence, certainty, proposal=value, why=why)


def _skills(clusters: Sequence[_Cluster], people: Sequence[str]) -> dict[str, Skill]:
    """Return each person's accuracy: of the pairs that others saw too (or gold knows), the share that the person
    treated rightly, related as it is or rightly not related."""
    column = {who: index for index, who in enumerate(people)}
    right, unsure, n = np.zeros(len(people)), np.zeros(len(people)), np.zeros(len(people))
    for cluster in clusters:
        if len(cluster.asked) < 2 and cluster.known < 0:
            continue
        for who in cluster.asked:
            way = cluster.said.get(who)
            if way is None:
                good = 1.0 - cluster.there
            else:
                agrees = way == (cluster.direction[0], cluster.labels[0])
                sure = cluster.direction[1] * cluster.labels[1]
                good = cluster.there * (sure if agrees else 1.0 - sure)
            right[column[who]] += good
            unsure[column[who]] += good * (1.0 - good)
            n[column[who]] += 1
    return beta_skills(people, right, unsure, n)
