"""How good each annotator is, judged where several people (or a known truth) speak of one task.

The models live in `adapter.core.crowd`; here is the short way to skills alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from adapter.core.crowd.one_coin import one_coin
from adapter.core.crowd.skill import PRIOR_ACCURACY, PRIOR_STRENGTH, Skill
from adapter.core.crowd.votes import CrowdVotes, ballots

__all__ = ["PRIOR_ACCURACY", "PRIOR_STRENGTH", "Skill", "skills"]


def skills(
    votes: Mapping[str, Mapping[str, int]],
    k: int,
    *,
    truth: Mapping[str, int] | None = None,
    rounds: int = 50,
) -> dict[str, Skill]:
    """Return the skill of each annotator by the one-coin model.

    votes: task id to annotator to label index in 0..k-1. truth: task id to label index, where it is known (gold). For a
    control with several labels pass one entry for each (task, label) with k = 2: whether the annotator gave the label.
    Tasks with one vote and no truth say nothing of skill; an annotator with only such tasks gets the prior, n = 0.
    Raises ValueError for k < 2 or a label outside 0..k-1. The order of tasks and annotators does not matter.
    """
    tasks = [task for task, by_person in votes.items() if by_person]
    names = sorted({who for by_person in votes.values() for who in by_person})
    number = {who: i for i, who in enumerate(names)}
    cast = [(row, number[who], label) for row, task in enumerate(tasks) for who, label in votes[task].items()]
    table = np.array(cast, np.int64).reshape(-1, 3)
    known = {row: truth[task] for row, task in enumerate(tasks) if task in truth} if truth is not None else {}
    checked, _ = ballots(CrowdVotes(table[:, 0], table[:, 1], table[:, 2], tasks, names, k), known)
    return checked.skills(one_coin(checked, rounds=rounds).posterior)
