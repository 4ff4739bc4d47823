"""What several people's marks on a line of text can stand for: candidate spans, and sets of them that fit together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

EXACT, LONGER, SHORTER, CROSSING = range(4)
"""How a mark lies on a candidate that it overlaps: the same, around it, inside it, or across a border of it."""
MISSED = -1
_MOST_EXTENTS = 12
_MOST_SETS = 300


@dataclass(frozen=True)
class Marks:
    """Spans that people marked on lines of text. One entry a mark, all (v,): line, who and label are numbers from 0,
    start and end are places on the line, surface numbers the text that is marked (-1 unknown), the same for the same
    words. asked: of each line, who saw it. known: of lines whose truth is known (gold), the true (start, end, label).
    """

    line: Ints
    who: Ints
    start: Doubles
    end: Doubles
    label: Ints
    surface: Ints
    asked: Sequence[Sequence[int]]
    known: Mapping[int, Sequence[tuple[float, float, int]]]


@dataclass(frozen=True)
class Candidates:
    """All candidates. line, start, end, surface (c,): of each. known (c,): true label; -1 unknown; -2 known to be
    nothing; -3 known to be another reading of something. row_*: (r,) one row for each candidate and person asked: how
    that person's mark lies (`EXACT` ... or `MISSED`) and its label. A set of candidates that do not overlap is one
    reading of a stretch: set_stretch (s,); member_set, member (m,): which candidates a set holds; extra_set (x,): a
    mark that a set leaves unexplained."""

    line: Ints
    start: Doubles
    end: Doubles
    surface: Ints
    known: Ints
    row_candidate: Ints
    row_who: Ints
    row_how: Ints
    row_label: Ints
    set_stretch: Ints
    member_set: Ints
    member: Ints
    extra_set: Ints


_Mark = tuple[float, float, int, int, int]  # start, end, label, who (-1 gold), surface


def candidates(marks: Marks) -> Candidates:
    """Return the candidates: every extent that somebody marked, or gold has.

    Marks that overlap, directly or through others, form a stretch, and each set of its extents that do not overlap is a
    reading of it. Of a stretch with more than 12 extents the 12 most marked are taken.
    """
    build = _Build()
    by_line: dict[int, list[_Mark]] = {}
    for at in range(len(marks.line)):
        mark = (
            float(marks.start[at]),
            float(marks.end[at]),
            int(marks.label[at]),
            int(marks.who[at]),
            int(marks.surface[at]),
        )
        by_line.setdefault(int(marks.line[at]), []).append(mark)
    for line, spans in marks.known.items():
        by_line.setdefault(line, []).extend((start, end, label, -1, -1) for start, end, label in spans)
    for line in sorted(by_line):
        for stretch in _stretches(sorted(by_line[line])):
            build.add(line, stretch, sorted(marks.asked[line]), line in marks.known)
    return build.done()


def _stretches(marks: Sequence[_Mark]) -> list[list[_Mark]]:
    """Cut sorted marks where none overlaps the next."""
    found: list[list[_Mark]] = []
    reach = 0.0
    for mark in marks:
        if found and mark[0] < reach:
            found[-1].append(mark)
            reach = max(reach, mark[1])
        else:
            found.append([mark])
            reach = mark[1]
    return found


class _Build:
    def __init__(self) -> None:
        self.extents: list[tuple[int, float, float, int, int]] = []
        self.rows: list[tuple[int, int, int, int]] = []
        self.sets: list[int] = []
        self.members: list[tuple[int, int]] = []
        self.extras: list[int] = []
        self.stretches = 0

    def add(self, line: int, stretch: Sequence[_Mark], asked: Sequence[int], known: bool) -> None:
        said = [mark for mark in stretch if mark[3] >= 0]
        truth = {mark[:2]: mark[2] for mark in stretch if mark[3] < 0}
        surfaces = {mark[:2]: mark[4] for mark in said}
        count = Counter(mark[:2] for mark in stretch)
        extents = sorted(count, key=lambda extent: (extent not in truth, -count[extent], extent))[:_MOST_EXTENTS]
        best: dict[tuple[int, int], int] = {}
        first = len(self.extents)
        for number, extent in enumerate(extents):
            state = truth.get(extent, -3 if truth else -2) if known else -1
            self.extents.append((line, *extent, surfaces.get(extent, -1), state))
            for who in asked:
                mine = [(_share(extent, mark[:2]), -at) for at, mark in enumerate(said) if mark[3] == who]
                share, at = max(mine, default=(0.0, 0))
                if share <= 0:
                    self.rows.append((first + number, who, MISSED, 0))
                    continue
                best[number, who] = -at
                self.rows.append((first + number, who, _how(said[-at], extent), said[-at][2]))
        readings = [tuple(n for n, extent in enumerate(extents) if extent in truth)] if known else _readings(extents)
        for reading in readings:
            self.sets.append(self.stretches)
            number_of_set = len(self.sets) - 1
            self.members += [(number_of_set, first + n) for n in reading]
            used = {best[n, who] for n in reading for who in asked if (n, who) in best}
            self.extras += [number_of_set] * (len(said) - len(used))
        self.stretches += 1

    def done(self) -> Candidates:
        line, start, end, surface, known = (
            (np.array(x) for x in zip(*self.extents, strict=True)) if self.extents else (np.zeros(0) for _ in range(5))
        )
        rows = np.array(self.rows, np.int64).reshape(-1, 4)
        row_candidate, row_who, row_how, row_label = rows.T
        member_set, member = np.array(self.members, np.int64).reshape(-1, 2).T
        return Candidates(
            line.astype(np.int64),
            start.astype(np.float64),
            end.astype(np.float64),
            surface.astype(np.int64),
            known.astype(np.int64),
            row_candidate,
            row_who,
            row_how,
            row_label,
            np.array(self.sets, np.int64),
            member_set,
            member,
            np.array(self.extras, np.int64),
        )


def _readings(extents: Sequence[tuple[float, float]]) -> list[tuple[int, ...]]:
    """Return the sets of extents that do not overlap, the empty one first."""
    sets: list[tuple[int, ...]] = [()]
    for n, extent in enumerate(extents):
        if len(sets) > _MOST_SETS:
            break
        sets += [(*taken, n) for taken in sets if all(_share(extents[m], extent) <= 0 for m in taken)]
    return sets


def _share(a: tuple[float, float], b: tuple[float, float]) -> float:
    if a == b:
        return 1.0
    common = min(a[1], b[1]) - max(a[0], b[0])
    return common / (max(a[1], b[1]) - min(a[0], b[0])) if common > 0 else 0.0


def _how(mark: _Mark, extent: tuple[float, float]) -> int:
    if mark[:2] == extent:
        return EXACT
    if mark[0] <= extent[0] and mark[1] >= extent[1]:
        return LONGER
    return SHORTER if mark[0] >= extent[0] and mark[1] <= extent[1] else CROSSING
