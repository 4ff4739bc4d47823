"""Consensus where the answers are no fixed list: people say the same, nearly the same, or something else.

The answers that were given to one task are its candidates. A person is right with one probability, and wrong answers
spread evenly over ELSEWHERE others, given or not: the one-coin model (Dawid and Skene 1979 with tied confusion, in the
form of Zhang et al. 2014, section 2), which does not care that "candidate 1" is another answer in every task.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from adapter.core.crowd import CrowdConsensus, CrowdVotes, consolidate

ELSEWHERE = 9
"""How many wrong answers an open question has room for. Two people who agree by chance are rare then, and one vote is
exactly as sure as the person who gave it."""


def candidates(
    votes: Mapping[str, Mapping[str, Hashable]], gold: Mapping[str, Hashable], *, seed: int = 0
) -> tuple[CrowdConsensus, list[list[Hashable]]]:
    """Fit the model. votes: task id to annotator to a hashable answer; equal ones count as the same. gold: task id to
    the true answer. Returns the consensus over sorted task ids, and the answers that its columns stand for in each
    task: the first columns, in the order of `repr`; further columns are answers that nobody gave."""
    tasks = sorted(votes)
    people = sorted({who for by_person in votes.values() for who in by_person})
    whose = {who: at for at, who in enumerate(people)}
    answers: list[list[Hashable]] = []
    cast: list[tuple[int, int, int]] = []
    known: dict[int, int] = {}
    for row, task in enumerate(tasks):
        given = {*votes[task].values(), *([gold[task]] if task in gold else ())}
        answers.append(sorted(given, key=repr))
        place = {answer: at for at, answer in enumerate(answers[-1])}
        cast += [(row, whose[who], place[said]) for who, said in sorted(votes[task].items())]
        if task in gold:
            known[row] = place[gold[task]]
    task_of, annotator, label = np.array(cast, np.int64).reshape(-1, 3).T
    k = max([ELSEWHERE + 1, *map(len, answers)])
    found = consolidate(
        CrowdVotes(task=task_of, annotator=annotator, label=label, tasks=tasks, annotators=people, k=k),
        method="one-coin",
        gold=known,
        seed=seed,
    )
    return found, answers


def certainty(supports: Sequence[Sequence[float]]) -> float:
    """Return the probability that the first of several answers is right. supports: for each answer that somebody gave,
    the accuracies of the people behind it; the first may have nobody."""
    k = max(ELSEWHERE + 1, len(supports))
    scores = [
        sum(math.log(a * (k - 1) / (1 - a)) for a in (min(max(a, 1e-6), 1 - 1e-6) for a in people))
        for people in supports
    ]
    scores += [0.0] * (k - len(supports))
    top = max(scores)
    odds = [math.exp(score - top) for score in scores]
    return odds[0] / sum(odds)
