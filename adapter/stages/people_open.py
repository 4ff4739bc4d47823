"""People's conduct on controls without one label of a list: regions, text, numbers, rankings, sets of labels. A person
is compared with each other person's own answer, never with a merged one, so nobody is compared with themselves."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapter.core import conduct
from adapter.core.blind import draw
from adapter.core.conduct.copying import LEAST_SHARED, TIMES
from adapter.core.conduct.signs import EXCESS
from adapter.kinds import kind_of
from adapter.stages.people_labelled import EXAMPLES, tendency
from adapter.stages.people_reports import NOTHING, ClassRate, ControlConduct, Rate, Suspicion, Window, rate_of_sum
from adapter.stages.people_votes import Truth, Vote
from adapter.vocabulary import Control, Value

MOST_PAIRS = 20_000
"""Pairs of answers that are compared; of more, tasks are drawn by a hash of their id."""
GUESSES = 100
"""Pairs of answers to different tasks by which a person's chance similarity is estimated."""
_UNSEEN = frozenset({"id", "envelope", "score", "meta"})

Votes = Mapping[str, Mapping[str, Vote]]


@dataclass(frozen=True)
class Compared:
    """All comparisons on a control. pairs: (task, two annotators, similarity). own: annotator to (vote, mean similarity
    to the others on that task), in the order of time. left_out: tasks beyond MOST_PAIRS."""

    control: Control
    votes: Votes
    pairs: list[tuple[str, str, str, float]]
    own: Mapping[str, list[tuple[Vote, float]]]
    left_out: int = 0
    keys: Mapping[tuple[str, str], str] = field(default_factory=dict)


def compared(control: Control, votes: Votes) -> Compared:
    """Compare the answers of all people who answered the same tasks."""
    kind = kind_of(control.kind)
    doubly = sorted((task for task, by in votes.items() if len(by) > 1), key=lambda task: draw(task, 0, "people"))
    pairs: list[tuple[str, str, str, float]] = []
    sums: dict[str, list[tuple[Vote, float]]] = defaultdict(list)
    keys: dict[tuple[str, str], str] = {}
    used = 0
    for task in doubly:
        by = votes[task]
        if len(pairs) + len(by) * (len(by) - 1) // 2 > MOST_PAIRS:
            break
        used += 1
        alike: dict[str, list[float]] = {who: [] for who in by}
        for one, other in itertools.combinations(sorted(by), 2):
            score = 1.0 - kind.distance(control, by[one].value, by[other].value)
            pairs.append((task, one, other, score))
            alike[one].append(score)
            alike[other].append(score)
        for who, scores in alike.items():
            sums[who].append((by[who], float(np.mean(scores))))
            keys[task, who] = _key(by[who].value)
    own = {who: sorted(rows, key=lambda row: (row[0].at, row[0].task_id)) for who, rows in sums.items()}
    return Compared(control, votes, pairs, own, len(doubly) - used, keys)


def open_conduct(
    made: Compared,
    who: str,
    consensus: Rate,
    gold: Mapping[str, Truth],
    expert: Mapping[str, Truth],
    *,
    least: int,
) -> ControlConduct:
    """Return a person's figures: similarities, 1 for the same answer."""
    control = made.control
    rows = made.own.get(who, [])
    scores = [score for _, score in rows]
    blind = [score for vote, score in rows if vote.blind]
    return ControlConduct(
        control=control.name,
        kind=control.kind,
        measure="similarity",
        consensus=consensus,
        overlap=rate_of_sum(sum(scores), len(scores), least),
        blind=rate_of_sum(sum(blind), len(blind), least),
        gold=_against(made, who, gold, least),
        expert=_against(made, who, expert, least),
        classes=tuple(_classes(made, who, least)),
        over_time=tuple(
            Window(
                rows[part.start][0].at.isoformat(),
                rows[part.stop - 1][0].at.isoformat(),
                rate_of_sum(sum(scores[part]), part.stop - part.start, least),
            )
            for part in conduct.windows(len(rows), least)
        ),
        trend=tendency(scores, least),
    )


def _against(made: Compared, who: str, truths: Mapping[str, Truth], least: int) -> Rate:
    kind = kind_of(made.control.kind)
    scores = [
        1.0 - kind.distance(made.control, by[who].value, truths[task].value)
        for task, by in made.votes.items()
        if who in by and task in truths and truths[task].by != who
    ]
    return rate_of_sum(sum(scores), len(scores), least) if scores else NOTHING


def _classes(made: Compared, who: str, least: int) -> list[ClassRate]:
    """Return similarity on what is about one label, where the person or the other used it; nothing for kinds whose
    values have no such parts."""
    kind, control = kind_of(made.control.kind), made.control
    mine = [(task, one, other) for task, one, other, _ in made.pairs if who in (one, other)]
    found = []
    for label in control.labels:
        by_task: dict[str, list[float]] = defaultdict(list)
        for task, one, other in mine:
            values = [made.votes[task][name].value for name in (one, other)]
            parts = [kind.of_label(control, value, label) for value in values]
            if any(part is value and value for part, value in zip(parts, values, strict=True)) and not _holds(
                values, label
            ):
                continue
            if any(parts):
                by_task[task].append(1.0 - kind.distance(control, *parts))
        if by_task:
            total = sum(float(np.mean(scores)) for scores in by_task.values())
            found.append(ClassRate(label, rate_of_sum(total, len(by_task), least)))
    return found


def _holds(values: Sequence[Value], label: str) -> bool:
    """Whether one of the answers has the label somewhere."""
    return any(
        isinstance(value, Sequence)
        and any(label == part or (isinstance(part, Mapping) and label in (part.get("labels") or ())) for part in value)
        for value in values
    )


def open_suspicions(made: Compared, names: Sequence[str], *, least: int, seed: int) -> list[Suspicion]:
    """Return all tests of all people and pairs with enough compared answers."""
    found: list[Suspicion] = []
    tops = {who: max(map(len, _by_answer(made, who).values())) / len(rows) for who, rows in made.own.items()}
    for who in names:
        if len(made.own.get(who, ())) >= least:
            found += _near_chance(made, who, seed)
            found += _same_answer(made, who, tops)
    return found + _copying(made, least)


def _near_chance(made: Compared, who: str, seed: int) -> list[Suspicion]:
    kind = kind_of(made.control.kind)
    rows = made.own[who]
    rest = [score for _, one, other, score in made.pairs if who not in (one, other)]
    if not rest:
        return []
    strangers = [vote for name, votes in sorted(made.own.items()) if name != who for vote, _ in votes]
    rng = np.random.default_rng(seed)
    guesses = []
    for _ in range(GUESSES):
        vote, stranger = rows[rng.integers(len(rows))][0], strangers[rng.integers(len(strangers))]
        if vote.task_id != stranger.task_id:
            guesses.append(1.0 - kind.distance(made.control, vote.value, stranger.value))
    own = np.array([score for _, score in rows])
    chance = conduct.near_chance_of_similarities(own, np.array(guesses), float(np.mean(rest)))
    worst = sorted(rows, key=lambda row: (row[1], row[0].task_id))[:EXAMPLES]
    return [
        Suspicion(
            "near chance",
            made.control.name,
            who,
            chance.p,
            chance.telling,
            {"ratio": chance.ratio, "upper": chance.upper, "n": chance.n},
            f"Likeness to the others' answers beyond that to answers to other tasks is {chance.ratio:.0%} of what "
            f"others reach (at most {chance.upper:.0%}, {chance.n} tasks); answers given without looking have 0 %.",
            tuple(vote.task_id for vote, _ in worst),
        )
    ]


def _same_answer(made: Compared, who: str, tops: Mapping[str, float]) -> list[Suspicion]:
    """Whether one and the same answer stands on far more of a person's tasks than others gave it there, and than other
    people's own commonest answer stands on theirs. tops: annotator to the share of their commonest answer."""
    from scipy.stats import binom

    tasks = _by_answer(made, who)
    key, mine = max(tasks.items(), key=lambda item: (len(item[1]), item[0]))
    n = len(made.own[who])
    shares = []
    for vote, _ in made.own[who]:
        others = [made.keys[vote.task_id, name] == key for name in made.votes[vote.task_id] if name != who]
        shares.append(sum(others) / len(others))
    usual = float(np.median([share for name, share in tops.items() if name != who]))
    # Half a person who gave it once keeps an answer that nobody else gave from being impossible.
    mean = min(max((sum(shares) + 0.5) / (n + 1), usual), 1.0)
    expected = n * mean
    tail = float(binom.sf(len(mine) - 1, n, mean)) * len(tasks) if len(mine) > expected else 1.0
    return [
        Suspicion(
            "same answer",
            made.control.name,
            who,
            min(tail, 1.0),
            len(mine) - expected >= EXCESS * n,
            {"count": len(mine), "n": n, "expected": expected},
            f"The very same answer stands on {len(mine)} of {n} tasks; by the others {expected:.0f} are usual.",
            tuple(sorted(mine)[:EXAMPLES]),
        )
    ]


def _by_answer(made: Compared, who: str) -> dict[str, list[str]]:
    """Return a person's answers to the tasks on which each stands."""
    tasks: dict[str, list[str]] = defaultdict(list)
    for vote, _ in made.own[who]:
        tasks[made.keys[vote.task_id, who]].append(vote.task_id)
    return tasks


def _copying(made: Compared, least: int) -> list[Suspicion]:
    """Whether two people give the very same answer where nobody else does, more often than any other two."""
    from scipy.stats import binom

    tasks: dict[tuple[str, str], int] = defaultdict(int)
    same: dict[tuple[str, str], list[str]] = defaultdict(list)
    for task, one, other, _ in made.pairs:
        rest = [made.keys[task, name] for name in made.votes[task] if name not in (one, other)]
        if rest:
            tasks[one, other] += 1
            key = made.keys[task, one]
            if key == made.keys[task, other] and key not in rest:
                same[one, other].append(task)
    found = []
    total, alike = sum(tasks.values()), sum(len(each) for each in same.values())
    for (one, other), n in sorted(tasks.items()):
        if n < least:
            continue
        mine = same[one, other]
        share = (alike - len(mine) + 0.5) / (total - n + 1)
        expected = n * share
        p = float(binom.sf(len(mine) - 1, n, share))
        sentence = (
            f"Two people gave the very same answer, and nobody else did, on {len(mine)} of {n} tasks; "
            f"{expected:.1f} would be usual for two people here."
        )
        figures = {"shared": len(mine), "expected": expected, "tasks": n}
        large = len(mine) >= LEAST_SHARED and len(mine) >= TIMES * expected
        for who, whom in ((one, other), (other, one)):
            found.append(
                Suspicion(
                    "copying",
                    made.control.name,
                    who,
                    p,
                    large,
                    figures,
                    sentence,
                    tuple(sorted(mine)[:EXAMPLES]),
                    whom,
                )
            )
    return found


def _key(value: Value) -> str:
    """Return a text that is equal for answers that look the same: ids and envelopes aside."""
    return json.dumps(_plain(value), sort_keys=True, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items() if key not in _UNSEEN}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    return value
