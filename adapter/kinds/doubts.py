"""Reasons to doubt what one person said of a task, by the consensus of the others: leave one person out.

Nothing that judges a vote has seen it: for each person the others' votes are consolidated anew without any of that
person's, on the tasks that the person labelled and, where these are few, some more from which to learn how reliable the
others are. So the work grows with the votes, not with people times tasks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from statistics import median
from typing import Any

from adapter.core.flags.marks import LEAST, MarkDoubt, Other, judge
from adapter.core.flags.values import far_off, unlike
from adapter.core.region_doubts import matched, usual_overlap
from adapter.kinds import kind_of, label_kind
from adapter.kinds.base import Given, Kind, Region
from adapter.kinds.families.number_votes import tolerance
from adapter.kinds.families.regions import Regions
from adapter.kinds.spans import Spans
from adapter.vocabulary import Control, JsonObject, Value

ENOUGH = 50
"""Tasks from which to learn how reliable people are."""
FAR_OFF = "far off"
NEXT_STAR = 1.0
"""Stars apart that are a matter of taste."""
Votes = Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class Doubted:
    """One doubt about what a person said of a task.

    kind: `missed`, `invented`, `wrong class`, `moved`, or `far off` for numbers, ratings, texts and the like. score:
    0..1, higher is more doubtful. others: how many people labelled the task beside this one; against: how many of them
    say otherwise. region: the doubted mark, or the thing that was missed; None for values without parts. own: whether
    that region is the person's. holder: whose mark opens it in Label Studio, and mark: its id there. expected: what the
    others say, JSON. figures: further evidence, JSON.
    """

    task: str
    annotator: str
    kind: str
    score: float
    others: int
    against: int
    region: Region | None = None
    own: bool = True
    holder: str = ""
    mark: str = ""
    expected: Any = None
    figures: JsonObject = field(default_factory=dict)


def judges(control: Control) -> bool:
    """Whether people's values of this control are judged so: all but labels of a fixed list, which models judge; and
    ratings, which are labels and numbers."""
    return label_kind(control) is None or control.kind == "rating"


def doubts_of(control: Control, votes: Votes, given: Given, only: Collection[str] | None = None) -> list[Doubted]:
    """Return what there is to doubt, most doubtful first.

    votes: task id to annotator to canonical value, annotators in the order in which they came. given: as for a
    consensus; gold tasks tell how people are, and are not judged themselves. only: tasks to judge, default all; of the
    rest so many as are needed to know people and what is usual. Tasks of one person cannot be judged. Of
    two people who differ neither is known to be wrong: of such a task the most doubtful part of the first by name is
    returned, scored at most .5.
    """
    kind = kind_of(control.kind)
    several = {task: by_person for task, by_person in votes.items() if len(by_person) > 1}
    if control.kind == "rating":
        found = list(_numbers(control, several, list(_medians(several, given, only))))
    else:
        expected = list(others_say(kind, control, several, given, only))
        if isinstance(kind, Regions):
            found = list(_marks(kind, control, several, expected))
        elif control.kind == "number":
            found = list(_numbers(control, several, expected))
        else:
            found = list(_others(kind, control, several, expected))
    if only is not None:
        found = [one for one in found if one.task in only]
    return sorted(found, key=lambda one: (-one.score, one.task, one.annotator, one.kind, one.mark))


def others_say(
    kind: Kind, control: Control, votes: Votes, given: Given, only: Collection[str] | None = None
) -> Iterator[tuple[str, str, Value]]:
    """Yield (annotator, task, what the others say) for every vote; where the others cannot decide, their proposal."""
    # of regions people's labels are judged one by one below: comparing methods first would be a waste
    method = "one-coin" if isinstance(kind, Regions) and not isinstance(kind, Spans) else "auto"
    for who, mine, more in _shares(votes, given.seed, only):
        without = {task: {w: v for w, v in votes[task].items() if w != who} for task in (*mine, *more)}
        known = {task: value for task, value in given.gold.items() if task in without}
        merged = kind.consensus(control, without, replace(given, gold=known, method=method)).merged
        for task in sorted(mine):
            value = merged[task].value if merged[task].value is not None else merged[task].proposal
            if task not in known and value is not None:
                yield who, task, value


def _shares(votes: Votes, seed: int, only: Collection[str] | None) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each person who labelled a task of `only`, the tasks of theirs to judge (these, and more of theirs up to
    ENOUGH), and tasks of others to know these by."""
    order = sorted(votes, key=lambda task: hashlib.sha256(f"{seed}\x1f{task}".encode()).digest())
    for who in sorted({who for by_person in votes.values() for who in by_person}):
        theirs = [task for task in order if who in votes[task]]
        new = theirs if only is None else [task for task in theirs if task in only]
        if not new:
            continue
        wanted = frozenset(new)
        mine = [*new, *[task for task in theirs if task not in wanted][: max(ENOUGH - len(new), 0)]]
        more = [task for task in order if who not in votes[task]][: max(ENOUGH - len(mine), 0)]
        yield who, mine, more


def _medians(votes: Votes, given: Given, only: Collection[str] | None) -> Iterator[tuple[str, str, Value]]:
    """As `others_say`, the median of the others: a consensus of stars is the likeliest number, which a single odd vote
    can shift by several."""
    for who, mine, _ in _shares(votes, given.seed, only):
        for task in sorted(mine):
            if task not in given.gold:
                yield who, task, median(v for w, v in votes[task].items() if w != who)


def _marks(
    kind: Regions, control: Control, votes: Votes, expected: Sequence[tuple[str, str, Value]]
) -> Iterator[Doubted]:
    tables = [kind.overlaps(votes[task][who], theirs) for who, task, theirs in expected]
    reached = [
        value
        for table, (who, task, theirs) in zip(tables, expected, strict=True)
        for value in matched(table, _labels(votes[task][who]), _labels(theirs))
    ]
    usual = usual_overlap(reached)
    pairs: set[str] = set()
    for table, (who, task, theirs) in zip(tables, expected, strict=True):
        mine = votes[task][who]
        names = [name for name in votes[task] if name != who]
        if len(names) == 1 and task in pairs:
            continue
        others = [
            Other(kind.overlaps(mine, said), kind.overlaps(theirs, said), _labels(said))
            for said in (votes[task][name] for name in names)
        ]
        found = judge(
            table,
            _labels(mine),
            _labels(theirs),
            [region.get("score", 1.0) for region in theirs],
            others,
            usual=usual,
            labels=len(control.labels),
            least=LEAST if len(names) > 1 else -1.0,
        )
        if len(names) == 1:
            pairs.add(task)
            found = found[:1]
        for doubt in found:
            yield _of_mark(kind, task, who, names, votes[task], theirs, doubt)


def _of_mark(
    kind: Regions,
    task: str,
    who: str,
    names: Sequence[str],
    votes: Mapping[str, Value],
    theirs: Sequence[Region],
    doubt: MarkDoubt,
) -> Doubted:
    own = votes[who][doubt.mine] if doubt.mine is not None else None
    region = own if own is not None else theirs[doubt.theirs or 0]
    holder, mark = who, region["id"]
    if own is None and doubt.first is not None:
        holder = names[doubt.first[0]]
        mark = votes[holder][doubt.first[1]]["id"]
    expected: Any = None
    if doubt.kind == "wrong class" and doubt.theirs is not None:
        expected = list(theirs[doubt.theirs]["labels"])
    elif doubt.theirs is not None:
        expected = kind.describe(theirs[doubt.theirs])
    alone = len(names) == 1
    figures = {"overlap": round(doubt.overlap, 4)} if doubt.kind in ("moved", "wrong class") else {}
    return Doubted(
        task,
        who,
        doubt.kind,
        min(doubt.score, 0.5) if alone else doubt.score,
        len(names),
        doubt.against,
        region,
        own is not None,
        holder,
        mark,
        expected,
        figures,
    )


def _numbers(control: Control, votes: Votes, expected: Sequence[tuple[str, str, Value]]) -> Iterator[Doubted]:
    rows = _once(votes, expected)
    near = NEXT_STAR if control.kind == "rating" else _near(control, votes)
    said = [float(votes[task][who]) for who, task, _ in rows]
    rest = [[float(v) for w, v in votes[task].items() if w != who] for who, task, _ in rows]
    score = far_off(said, [float(theirs) for *_, theirs in rows], [max(x) - min(x) for x in rest], near)
    for (who, task, theirs), number, others, doubt in zip(rows, said, rest, score, strict=True):
        if doubt > 0:
            alone = len(others) == 1
            against = sum(abs(other - number) > near for other in others)
            figures = {"given": votes[task][who], "apart": round(abs(number - float(theirs)), 6)}
            yield Doubted(
                task,
                who,
                FAR_OFF,
                min(float(doubt), 0.5) if alone else float(doubt),
                len(others),
                against,
                expected=theirs,
                figures=figures,
            )


def _near(control: Control, votes: Votes) -> float:
    bounded = {"min", "max"} <= set(control.options)
    span = float(control.options["max"]) - float(control.options["min"]) if bounded else 0.0
    said = {task: {who: float(value) for who, value in by_person.items()} for task, by_person in votes.items()}
    return tolerance(said, step=float(control.options.get("step", 0.0)), span=max(span, 0.0))[0]


def _others(
    kind: Kind, control: Control, votes: Votes, expected: Sequence[tuple[str, str, Value]]
) -> Iterator[Doubted]:
    rows = _once(votes, expected)
    rest = [[v for w, v in votes[task].items() if w != who] for who, task, _ in rows]
    apart = [kind.distance(control, votes[task][who], theirs) for who, task, theirs in rows]
    within = [max((kind.distance(control, a, b) for a, b in combinations(x, 2)), default=0.0) for x in rest]
    for row, is_far in enumerate(unlike(apart, within)):
        if is_far:
            who, task, theirs = rows[row]
            mine = votes[task][who]
            against = sum(kind.distance(control, mine, other) > within[row] for other in rest[row])
            yield Doubted(
                task,
                who,
                FAR_OFF,
                min(apart[row], 0.5) if len(rest[row]) == 1 else apart[row],
                len(rest[row]),
                against,
                figures={"distance": round(apart[row], 4), "words": kind.disagreement(control, mine, theirs)},
            )


def _once(votes: Votes, expected: Sequence[tuple[str, str, Value]]) -> list[tuple[str, str, Value]]:
    """Return the votes to judge: of two people only the first, since each would be judged by the other."""
    seen: set[str] = set()
    rows = []
    for who, task, theirs in expected:
        if len(votes[task]) > 2 or task not in seen:
            rows.append((who, task, theirs))
        seen.add(task)
    return rows


def _labels(value: Sequence[Region]) -> list[list[str]]:
    return [region["labels"] for region in value]
