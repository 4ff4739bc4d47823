"""People's conduct on a control whose answers are one label of a fixed list: everything is judged by the truth's
distribution that all the others give (`core.conduct_others`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from adapter.core import conduct
from adapter.core.crowd.skill import Doubles
from adapter.core.crowd.votes import CrowdVotes, ballots
from adapter.kinds import label_kind, label_kind_of
from adapter.stages.people_reports import (
    NOTHING,
    ClassRate,
    ControlConduct,
    Rate,
    Suspicion,
    Tendency,
    Window,
    rate_of,
)
from adapter.stages.people_votes import Truth, Vote
from adapter.vocabulary import Control, Value

Ints = npt.NDArray[np.int64]
Votes = Mapping[str, Mapping[str, Vote]]
EXAMPLES = 10


def single(control: Control) -> bool:
    """Whether an answer is one label of at least two."""
    return label_kind(control) is not None and not control.multiple and len(control.labels) > 1


def label_reader(control: Control) -> Callable[[Value], int | None]:
    """Return a function from a value to the index of the one label that it is; None for no label, or several."""
    kind = label_kind_of(control)
    known: dict[Value, int | None] = {}

    def read(value: Value) -> int | None:
        if value not in known:
            target = np.asarray(kind.target(control, value))
            known[value] = int(target.argmax()) if target.sum() == 1 and target.max() == 1 else None
        return known[value]

    return read


@dataclass(frozen=True)
class Bench:
    """All votes on a control as arrays, with what the others say of each. votes: (v,) in the order of `seen.ballots`.
    chances: (v, k) the truth without that vote. heard: (v,) whether anybody else said anything."""

    control: Control
    votes: list[Vote]
    seen: conduct.Others
    chances: Doubles
    heard: npt.NDArray[np.bool_]

    @cached_property
    def _by_person(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for i in sorted(range(len(self.votes)), key=lambda i: (self.votes[i].at, self.votes[i].task_id)):
            found[self.votes[i].who].append(i)
        return found

    def all_of(self, who: str) -> Ints:
        """Return the positions of a person's votes, in the order of time."""
        return np.array(self._by_person.get(who, []), np.int64)

    def of(self, who: str) -> Ints:
        """Return the positions of those that can be judged."""
        rows = self.all_of(who)
        return rows[self.heard[rows]]

    def right(self, rows: Ints) -> Doubles:
        """Return the probability that each of these votes is right."""
        return np.asarray(self.chances[rows, self.seen.ballots.label[rows]])


def bench(control: Control, votes: Votes, truths: Mapping[str, Truth]) -> Bench:
    """Fit the crowd once. truths: gold and experts' decisions; nobody is judged by their own."""
    rows = []
    label_of = label_reader(control)
    for task_id in sorted(votes):
        for who in sorted(votes[task_id]):
            label = label_of(votes[task_id][who].value)
            if label is not None:
                rows.append((votes[task_id][who], label))
    tasks = sorted({vote.task_id for vote, _ in rows})
    names = sorted({vote.who for vote, _ in rows})
    task_at, name_at = ({name: i for i, name in enumerate(each)} for each in (tasks, names))
    table = np.array([(task_at[v.task_id], name_at[v.who], label) for v, label in rows], np.int64).reshape(-1, 3)
    known, by = {}, np.full(len(tasks), -1, np.int64)
    for task_id, truth in truths.items():
        label = label_of(truth.value) if task_id in task_at else None
        if label is not None:
            known[task_at[task_id]] = label
            by[task_at[task_id]] = name_at.get(truth.by, -1)
    crowd = CrowdVotes(table[:, 0], table[:, 1], table[:, 2], tasks, names, len(control.labels))
    seen = conduct.others(ballots(crowd, known)[0], by)
    every = np.arange(len(rows))
    return Bench(control, [vote for vote, _ in rows], seen, seen.without(every), seen.heard(every))


def labelled(
    made: Bench,
    who: str,
    consensus: Rate,
    gold: Mapping[str, Truth],
    expert: Mapping[str, Truth],
    *,
    least: int,
) -> ControlConduct:
    """Return a person's figures on the control."""
    control, k = made.control, len(made.control.labels)
    rows = made.of(who)
    right = made.right(rows)
    blind = np.array([made.votes[i].blind for i in rows], bool)
    said = made.seen.ballots.label[rows]
    own = conduct.own_confusion(made.chances[rows], said) if len(rows) else None
    classes: tuple[ClassRate, ...] = ()
    if own is not None:
        classes = tuple(
            ClassRate(label, rate_of(skill, least)) for label, skill in zip(control.labels, own.classes, strict=True)
        )
    return ControlConduct(
        control=control.name,
        kind=control.kind,
        measure="accuracy",
        consensus=consensus,
        overlap=rate_of(conduct.accuracy(right, k), least),
        blind=rate_of(conduct.accuracy(right[blind], k), least),
        gold=_against(made, who, gold, least),
        expert=_against(made, who, expert, least),
        classes=classes,
        labels=control.labels,
        confusion=tuple(tuple(round(float(x), 2) for x in row) for row in own.count) if own is not None else (),
        over_time=tuple(
            Window(
                made.votes[rows[part.start]].at.isoformat(),
                made.votes[rows[part.stop - 1]].at.isoformat(),
                rate_of(conduct.accuracy(right[part], k), least),
            )
            for part in conduct.windows(len(rows), least)
        ),
        trend=tendency(conduct.surprise(made.chances[rows], said, own.share).tolist(), least) if own else None,
    )


def tendency(scores: Sequence[float], least: int) -> Tendency | None:
    """Return the trend of scores in the order of time; None where there are too few."""
    if len(scores) < 2 * least:
        return None
    found = conduct.trend(scores)
    words = "none seen"
    if found.p < conduct.TREND_LEVEL:
        words = "rising" if found.change > 0 else "falling"
    return Tendency(found.change, found.p, found.n, words)


def _against(made: Bench, who: str, truths: Mapping[str, Truth], least: int) -> Rate:
    """Judge a person's votes by known truths that are not their own."""
    hits = []
    label_of = label_reader(made.control)
    for row in made.all_of(who):
        said, truth = int(made.seen.ballots.label[row]), truths.get(made.votes[row].task_id)
        label = label_of(truth.value) if truth is not None and truth.by != who else None
        if label is not None:
            hits.append(float(label == said))
    return rate_of(conduct.accuracy(np.array(hits), len(made.control.labels)), least) if hits else NOTHING


def suspicions(made: Bench, names: Sequence[str], *, least: int, seed: int) -> list[Suspicion]:
    """Return all tests of all people and pairs with enough judged answers."""
    found: list[Suspicion] = []
    for who in names:
        rows = made.of(who)
        if len(rows) >= least:
            found += _of_person(made, who, rows, seed)
    people = made.seen.ballots.names
    tasks = sorted({vote.task_id for vote in made.votes})
    for pair in conduct.shared_errors(made.seen, least=least):
        shared = tuple(tasks[task] for task in pair.tasks[:EXAMPLES])
        sentence = (
            f"Two people gave the same label on {pair.shared} of {pair.n} tasks where the others think otherwise; "
            f"{pair.expected:.1f} are expected of people who err as often as these two."
        )
        figures = {"shared": pair.shared, "expected": pair.expected, "tasks": pair.n}
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            found.append(
                Suspicion(
                    "copying",
                    made.control.name,
                    people[one],
                    pair.p,
                    pair.large,
                    figures,
                    sentence,
                    shared,
                    people[other],
                )
            )
    return found


def _of_person(made: Bench, who: str, rows: Ints, seed: int) -> list[Suspicion]:
    chances, said = made.chances[rows], made.seen.ballots.label[rows]
    name = made.control.name
    lean = conduct.leaning(chances, said, made.seen.typical)
    label = made.control.labels[lean.label]
    right = made.right(rows)
    doubted = [int(i) for i in np.argsort(right, kind="stable") if right[i] < 0.5]
    worst = tuple(made.votes[rows[i]].task_id for i in doubted)
    leant = tuple(made.votes[rows[i]].task_id for i in doubted if said[i] == lean.label)
    found = [
        Suspicion(
            "one label",
            name,
            who,
            lean.p,
            lean.large,
            {"label": label, "count": lean.count, "n": lean.n, "expected": lean.expected},
            f"Said {label!r} {lean.count} times in {lean.n}; by what the others say of the same tasks "
            f"{lean.expected:.0f} are expected.",
            leant[:EXAMPLES],
        )
    ]
    chance = conduct.near_chance(chances, said, made.seen.typical)
    found.append(
        Suspicion(
            "near chance",
            name,
            who,
            chance.p,
            chance.telling,
            {"ratio": chance.ratio, "upper": chance.upper, "n": chance.n},
            f"Agreement with the others beyond chance is {chance.ratio:.0%} of what others reach on the same "
            f"{chance.n} tasks (at most {chance.upper:.0%}); guessing gives 0 %.",
            worst[:EXAMPLES],
        )
    )
    run = conduct.repeats(chances, said, seed=seed)
    found.append(
        Suspicion(
            "runs",
            name,
            who,
            run.p,
            run.large,
            {"same": run.same, "n": run.n, "expected": run.expected},
            f"{run.same} of {run.n} answers repeat the one before; {run.expected:.0f} would if the order of the tasks "
            "alone decided.",
            tuple(made.votes[i].task_id for i in rows[run.longest][:EXAMPLES]),
        )
    )
    return found
