"""Several people's regions into one value: which things exist, what they are, where they lie.

Marks are clustered (`Regions.cluster`); existence is decided by each person's precision and recall
(`core.existence`), the label by the crowd model over clusters (`core.crowd`), the geometry by the kind's `fuse`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adapter.core.crowd import CrowdVotes, Skill, consolidate
from adapter.core.crowd.skill import beta_skills
from adapter.core.existence import drawn_table, existence
from adapter.kinds.base import Given, Merged, Region, Together
from adapter.ports import Floats
from adapter.vocabulary import Control, Value

if TYPE_CHECKING:
    from adapter.kinds.families.regions import Regions

Doubles = npt.NDArray[np.float64]
_GOLD = "\x00gold"  # no annotator is called so
_TIE = 1e-9
_OWN = frozenset({"meta", "origin", "parentID", "parent_id", "hidden", "locked", "selected", "readonly"})


@dataclass
class _Thing:
    """One cluster. marks: by annotator. known: 1 or 0 where gold says whether it is there, else -1. truth: gold's
    labels."""

    task: str
    marks: Mapping[str, Region]
    asked: frozenset[str]
    known: int = -1
    truth: tuple[str, ...] | None = None
    there: float = 1.0
    names: tuple[tuple[str, ...], ...] = ((),)
    chances: Doubles = field(default_factory=lambda: np.ones(1))

    def chance(self, labels: Sequence[str]) -> float:
        """Probability that these are its labels, given that it exists."""
        return float(self.chances[self.names.index(tuple(labels))])

    @property
    def labels(self) -> tuple[str, ...]:
        return self.names[int(self.chances.argmax())]

    @property
    def tied(self) -> str:
        """Why it cannot be decided, in words; empty if it can."""
        if abs(self.there - 0.5) < _TIE:
            return "as much speaks for it as against it"
        top = np.sort(self.chances)[::-1]
        if self.there > 0.5 and len(top) > 1 and top[0] - top[1] < _TIE:
            return "its label is tied"
        return ""

    @property
    def sure(self) -> float:
        """Probability that what is decided of it is right."""
        return self.there * float(self.chances.max()) if self.there > 0.5 else 1.0 - self.there


def consensus(kind: Regions, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
    """Consolidate a control's regions over all tasks; see `Kind.consensus`.

    A thing of less than half existence is left out. Each region carries its existence as `score`, and an id that
    follows from its content. certainty: of the least certain thing, left out or not, so that one drawn by one of two
    people gets a third one asked. Where all people drew nothing: the chance that one of them would have found a thing.
    """
    people = sorted({who for by_person in votes.values() for who in by_person})
    things = [thing for task in sorted(votes) for thing in _things(kind, control, task, votes[task], given)]
    recall = _decide_existence(things, people)
    method, confusion = _decide_labels(things, people, control, given)
    skill = _skills(things, people)
    by_task: dict[str, list[_Thing]] = {task: [] for task in votes}
    for thing in things:
        by_task[thing.task].append(thing)
    merged: dict[str, Merged] = {}
    for task in sorted(votes):
        if task in given.gold:
            merged[task] = Merged(given.gold[task], 1.0, 1.0)
        elif not votes[task]:
            merged[task] = Merged(None, 0.0, 0.0, why="nobody has answered")
        elif not by_task[task]:
            found = 1.0 - math.prod(1.0 - recall[who] for who in votes[task])
            merged[task] = Merged((), found, found)
        else:
            merged[task] = _merged(kind, control, by_task[task], skill)
    return Together(merged, skill, "existence" + (f" + {method}" if method else ""), confusion=confusion)


def _things(kind: Regions, control: Control, task: str, votes: Mapping[str, Value], given: Given) -> list[_Thing]:
    asked = frozenset(votes)
    if task not in given.gold:
        return [_Thing(task, marks, asked) for marks in kind.cluster(control, votes)]
    found = []
    for marks in kind.cluster(control, {**votes, _GOLD: given.gold[task]}):
        gold = marks.pop(_GOLD, None)
        truth = tuple(gold["labels"]) if gold else None
        found.append(_Thing(task, marks, asked, known=int(gold is not None), truth=truth))
    return found


def _decide_existence(things: Sequence[_Thing], people: Sequence[str]) -> dict[str, float]:
    """Set how probably each thing exists; return each person's recall."""
    drawn = drawn_table([(thing.asked, thing.marks) for thing in things], people)
    found = existence(drawn, known=np.array([thing.known for thing in things], np.int8))
    for thing, there in zip(things, found.posterior, strict=True):
        thing.there = float(there)
    return dict(zip(people, map(float, found.recall), strict=True))


def _decide_labels(
    things: Sequence[_Thing], people: Sequence[str], control: Control, given: Given
) -> tuple[str, dict[str, Floats]]:
    """Set how probable each label of each thing is; return the method and people's confusion, nothing for kinds without
    labels. A region with several labels counts as one with their combination."""
    said = {tuple(mark["labels"]) for thing in things for mark in thing.marks.values()}
    said |= {thing.truth for thing in things if thing.truth is not None}
    names = (*((label,) for label in control.labels), *sorted(said - {(label,) for label in control.labels}))
    if not said or len(names) < 2:
        for thing in things:
            thing.names = names or ((),)
            thing.chances = np.ones(1)
        return "", {}
    number = {labels: index for index, labels in enumerate(names)}
    column = {who: index for index, who in enumerate(people)}
    cast = np.array(
        [
            (row, column[who], number[tuple(mark["labels"])])
            for row, thing in enumerate(things)
            for who, mark in sorted(thing.marks.items())
        ],
        np.int64,
    ).reshape(-1, 3)
    rows = [str(row) for row in range(len(things))]
    crowd = CrowdVotes(cast[:, 0], cast[:, 1], cast[:, 2], rows, list(people), len(names))
    gold = {row: number[thing.truth] for row, thing in enumerate(things) if thing.truth is not None}
    found = consolidate(crowd, method=given.method, gold=gold, seed=given.seed)
    for thing, chances in zip(things, found.posterior, strict=True):
        thing.names, thing.chances = names, np.asarray(chances, np.float64)
    fixed = len(names) == len(control.labels)
    confusion = {who: np.asarray(table, np.float32) for who, table in found.confusion.items()} if fixed else {}
    return found.method, confusion


def _skills(things: Sequence[_Thing], people: Sequence[str]) -> dict[str, Skill]:
    """Return each person's accuracy: of the things that others saw too (or gold knows), the share that the person
    treated rightly, drawn with the right label or rightly not drawn. Posterior mean and 95 % interval under the prior
    of `core.crowd`, Beta(18, 2)."""
    column = {who: index for index, who in enumerate(people)}
    right, unsure, n = np.zeros(len(people)), np.zeros(len(people)), np.zeros(len(people))
    for thing in things:
        if len(thing.asked) < 2 and thing.known < 0:
            continue
        for who in thing.asked:
            mark = thing.marks.get(who)
            good = thing.there * thing.chance(mark["labels"]) if mark else 1.0 - thing.there
            right[column[who]] += good
            unsure[column[who]] += good * (1.0 - good)
            n[column[who]] += 1
    return beta_skills(people, right, unsure, n)


def _merged(kind: Regions, control: Control, things: Sequence[_Thing], skill: Mapping[str, Skill]) -> Merged:
    regions = [_region(kind, thing, skill) for thing in things if thing.there > 0.5 or thing.tied]
    value = kind.canonical(control, regions)
    confidence = math.prod(thing.sure for thing in things)
    certainty = min(thing.sure for thing in things)
    open_ = [(thing, thing.tied) for thing in things if thing.tied]
    if not open_:
        return Merged(value, confidence, certainty)
    thing, why = open_[0]
    mark = min(thing.marks.items())[1]
    return Merged(None, confidence, certainty, proposal=value, why=f"{kind.describe(mark)}: {why}")


def _region(kind: Regions, thing: _Thing, skill: Mapping[str, Skill]) -> dict[str, Any]:
    """Return the fused region of a thing, without an id: it will follow from the content."""
    people = sorted(thing.marks)
    marks = [thing.marks[who] for who in people]
    types = [mark["type"] for mark in marks]
    return {
        "type": max(sorted(set(types)), key=types.count),
        "labels": list(thing.labels),
        "value": kind.fuse(marks, [skill[who].accuracy for who in people]),
        "envelope": shared_envelope(marks),
        "score": round(thing.there, 6),
    }


def shared_envelope(marks: Sequence[Region]) -> dict[str, Any]:
    """Return the envelope keys that several people's marks of one thing have in common, less what is one person's own
    (meta, origin, whether it was hidden)."""
    return {
        key: what
        for key, what in marks[0]["envelope"].items()
        if key not in _OWN and all(mark["envelope"].get(key) == what for mark in marks[1:])
    }
