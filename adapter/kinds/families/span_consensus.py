"""Several people's spans into one value, by the model of `core.sequence`; and the units of their agreement."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from adapter.core.spans.candidates import Marks
from adapter.core.spans.sequence import SpanConsensus, consolidate_spans
from adapter.kinds.base import Given, Merged, Region, Together, Unit
from adapter.kinds.families import region_consensus
from adapter.kinds.families.span_places import Stretch, stretches
from adapter.vocabulary import Control, JsonObject, Value

if TYPE_CHECKING:
    from adapter.kinds.spans import Spans

METHOD = "span-dawid-skene"
"""Dawid and Skene's model over candidate spans, see `core.sequence`; the default."""
_PART = re.compile(r"\w+|[^\w\s]")
_TIE = 0.02
"""Two readings nearer to each other than this are tied: people are even, and only the prior tells them apart."""


def units(
    control: Control, drawn: Mapping[str, Iterable[tuple[Stretch, Region]]], *, from_zero: bool = True
) -> list[Unit]:
    """Return one unit for each stretch between two borders of any span, from the line's 0 on if `from_zero`: annotator
    to the labels that hold there ("" for none); weight is its length."""
    borders: dict[str, set[float]] = {}
    by_line: dict[str, dict[str, list[tuple[float, float, frozenset[str]]]]] = {}
    for who, spans in drawn.items():
        for (line, start, end), region in spans:
            borders.setdefault(line, {0.0} if from_zero else set()).update((start, end))
            by_line.setdefault(line, {}).setdefault(who, []).append((start, end, frozenset(region["labels"])))
    found: list[Unit] = []
    for line in sorted(borders):
        people = {who: sorted(by_line[line].get(who, []), key=lambda span: span[:2]) for who in sorted(drawn)}
        for start, end in pairwise(sorted(borders[line])):
            codes = {who: _code(control, spans, start, end) for who, spans in people.items()}
            found.append(Unit(codes, end - start))
    return found


def _code(control: Control, spans: Sequence[tuple[float, float, frozenset[str]]], start: float, end: float) -> str:
    here: set[str] = set()
    for at, to, labels in spans:
        if at >= end:
            break
        if to >= end and at <= start:
            here |= labels
    known = [label for label in control.labels if label in here]
    return " + ".join(known or sorted(here))


def consensus(kind: Spans, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
    """Consolidate spans; see `Kind.consensus`.

    method: `auto` is `span-dawid-skene`; another is a method for labels of `Regions.consensus`, which also serves tasks
    where somebody's spans overlap, have several labels or none, or lie on lines that others cannot be compared on.
    A span's score is the probability that exactly it is there.
    """
    if given.method not in ("auto", METHOD):
        return region_consensus.consensus(kind, control, votes, given)
    fit = {
        task
        for task, by_person in votes.items()
        if by_person and _fits([*by_person.values(), *([given.gold[task]] if task in given.gold else [])])
    }
    flat = {task: votes[task] for task in fit}
    rest = {task: by_person for task, by_person in votes.items() if task not in fit}
    if not fit:
        return region_consensus.consensus(kind, control, votes, Given(given.gold, given.data, seed=given.seed))
    ours = _sequence(kind, control, flat, given)
    if not rest:
        return ours
    theirs = region_consensus.consensus(kind, control, rest, Given(given.gold, given.data, seed=given.seed))
    skill = dict(theirs.skill)
    for who, mine in ours.skill.items():
        skill[who] = max(mine, skill.get(who, mine), key=lambda one: one.n)
    method = METHOD if not any(rest.values()) else f"{METHOD}, {theirs.method} for nested spans"
    return Together({**ours.merged, **theirs.merged}, skill, method, confusion=ours.confusion)


def _fits(values: Sequence[Value]) -> bool:
    """Whether the values of a task are for the sequence model: one label a span, no overlap within a person, and lines
    on which people can be compared."""
    lines: set[tuple[str, int]] = set()
    for value in values:
        spans = [stretches(region) for region in value]
        lines |= {(found[0][0], len(found)) for found in spans}
        if any(len(region["labels"]) != 1 or region["envelope"].get("item_index") is not None for region in value):
            return False
        if any("to_name" in region["envelope"] for region in value):
            return False
        ordered = sorted(found[0] for found in spans)
        if any(a[0] == b[0] and b[1] < a[2] for a, b in pairwise(ordered)):
            return False
        if any(start >= end for _, start, end in ordered):
            return False
    # some with offsets in the whole page and some without: not one line
    return len({line == "" for line, _ in lines}) < 2


class _Lines:
    """The spans of several tasks, laid out for the model: each task's lines, people and labels as numbers."""

    def __init__(self, votes: Mapping[str, Mapping[str, Value]], control: Control, given: Given) -> None:
        self.people = sorted({who for by_person in votes.values() for who in by_person})
        self.labels = control.labels or _seen([*votes.values(), {"": list(given.gold.values())}])
        self.drawn: dict[tuple[int, float, float], list[tuple[str, Region]]] = {}
        self.task_of: list[str] = []
        self._lines: dict[tuple[str, str], int] = {}
        self._surfaces: dict[str, int] = {}
        self._rows: list[tuple[float, ...]] = []
        self._known: dict[int, list[tuple[float, float, int]]] = {}
        number = {label: n for n, label in enumerate(self.labels)}
        person = {who: n for n, who in enumerate(self.people)}
        for task in sorted(votes):
            for who in sorted(votes[task]):
                for region in votes[task][who]:
                    line, start, end = self._place(task, region)
                    self.drawn.setdefault((line, start, end), []).append((who, region))
                    surface = self._surface(control, region, given.data.get(task, {}))
                    self._rows.append((line, person[who], start, end, number[region["labels"][0]], surface))
            for region in given.gold.get(task, ()):
                line, start, end = self._place(task, region)
                self._known.setdefault(line, []).append((start, end, number[region["labels"][0]]))
        for line, task in enumerate(self.task_of):
            if task in given.gold:
                self._known.setdefault(line, [])
        self._asked = [[person[who] for who in sorted(votes[task])] for task in self.task_of]

    def marks(self) -> Marks:
        """Return them as arrays."""
        table = np.array(self._rows, np.float64).reshape(-1, 6)
        line, who, label, surface = (table[:, column].astype(np.int64) for column in (0, 1, 4, 5))
        return Marks(line, who, table[:, 2], table[:, 3], label, surface, self._asked, self._known)

    def _place(self, task: str, region: Region) -> tuple[int, float, float]:
        name, start, end = stretches(region)[0]
        if (task, name) not in self._lines:
            self._lines[task, name] = len(self.task_of)
            self.task_of.append(task)
        return self._lines[task, name], start, end

    def _surface(self, control: Control, region: Region, data: JsonObject) -> int:
        words = surface_of(control, region, data)
        return self._surfaces.setdefault(words, len(self._surfaces)) if words else -1


def _seen(values: Iterable[Mapping[str, Iterable[Value]]]) -> tuple[str, ...]:
    """Return all labels in use, for controls whose labels come from task data."""
    return tuple(
        sorted({label for by in values for value in by.values() for region in value for label in region["labels"]})
    )


def _sequence(kind: Spans, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
    """Fit the model to all tasks, and write what it says."""
    lines = _Lines(votes, control, given)
    found = consolidate_spans(lines.marks(), lines.people, len(lines.labels))
    by_task: dict[str, list[int]] = {task: [] for task in votes}
    for candidate, line in enumerate(found.line):
        by_task[lines.task_of[int(line)]].append(candidate)
    recall = dict(zip(lines.people, found.recall, strict=True))
    merged: dict[str, Merged] = {}
    for task in sorted(votes):
        if task in given.gold:
            merged[task] = Merged(given.gold[task], 1.0, 1.0)
        elif not by_task[task]:
            sure = 1.0 - math.prod(1.0 - float(recall[who]) for who in votes[task])
            merged[task] = Merged((), sure, sure)
        else:
            merged[task] = _merged(kind, control, lines.labels, found, by_task[task], lines.drawn)
    confusion = {who: np.asarray(found.confusion[n], np.float32) for n, who in enumerate(lines.people)}
    return Together(merged, found.skill, METHOD, confusion=confusion if control.labels else {})


def _merged(
    kind: Spans,
    control: Control,
    labels: Sequence[str],
    found: SpanConsensus,
    mine: Sequence[int],
    drawn: Mapping[tuple[int, float, float], list[tuple[str, Region]]],
) -> Merged:
    """Return the value of one task: of each place where something is likelier than nothing, its likeliest extent."""
    free = sorted(mine, key=lambda c: (-found.there[c], found.line[c], found.start[c], found.end[c]))
    regions: list[dict[str, Any]] = []
    sure: list[float] = []
    why = ""
    while free:
        c = free[0]
        rivals = [
            r
            for r in free
            if found.line[r] == found.line[c] and found.start[r] < found.end[c] and found.start[c] < found.end[r]
        ]
        free = [other for other in free if other not in rivals]
        there = min(float(sum(found.there[r] for r in rivals)), 1.0)
        top = np.sort(found.chances[c])[::-1]
        marks = drawn[int(found.line[c]), float(found.start[c]), float(found.end[c])]
        region = _region(marks, labels[int(found.chances[c].argmax())], float(found.there[c]))
        tied = abs(there - 0.5) < _TIE or (there > 0.5 and len(top) > 1 and top[0] - top[1] < _TIE)
        if there > 0.5 or tied:
            regions.append(region)
            sure.append(float(found.there[c] * top[0]))
        else:
            sure.append(1.0 - there)
        if tied and not why:
            against = "as much speaks for it as against it" if abs(there - 0.5) < _TIE else "its label is tied"
            why = f"{kind.describe(kind.canonical(control, [region])[0])}: {against}"
    value = kind.canonical(control, regions)
    confidence, certainty = math.prod(sure), min(sure)
    if why:
        return Merged(None, confidence, certainty, proposal=value, why=why)
    return Merged(value, confidence, certainty)


def _region(marks: Sequence[tuple[str, Region]], label: str, score: float) -> dict[str, Any]:
    """Return a span from people's marks of exactly it, without an id: it will follow from the content."""
    regions = [region for _, region in sorted(marks, key=lambda mark: mark[0])]
    value = max((region["value"] for region in regions), key=lambda value: (len(value), str(sorted(value.items()))))
    return {
        "type": regions[0]["type"],
        "labels": [label],
        "value": dict(value),
        "envelope": region_consensus.shared_envelope(regions),
        "score": round(score, 6),
    }


def surface_of(control: Control, region: Region, data: JsonObject) -> str:
    """Return the words that a span marks, "" if they are not known."""
    value = region["value"]
    text = value.get("text")
    if not isinstance(text, str):
        whole = data.get(control.field)
        if not isinstance(whole, str) or not isinstance(value.get("start"), int) or "startOffset" in value:
            return ""
        text = whole[value["start"] : value["end"]]
    return " ".join(_PART.findall(text))
