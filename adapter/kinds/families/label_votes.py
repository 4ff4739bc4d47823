"""Votes for labels of a fixed list as arrays, and what the crowd methods make of them as values.

Two shapes: one label a task, and any set of labels a task, which is one question of yes or no for each label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from adapter.core.crowd import CrowdConsensus, CrowdVotes, consolidate
from adapter.core.people import Skill
from adapter.kinds.base import Given, Merged, Together
from adapter.vocabulary import Value

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TIE = 1e-6
"""Posteriors nearer to each other than this are tied: their order is an accident of floating point."""
MOST_QUESTIONS = 4_000_000
"""Votes on questions of yes or no up to which every label is a question for every task. Beyond, as with large
taxonomies, a label is a question only where somebody gave it, and the one-coin model answers: among such questions no
true "no" from everybody is left, on which confusions could be fitted."""

USE_MODEL = ("crowdlab",)
"""The methods in whose posterior a model's probabilities speak beside people."""

_NOBODY = "nobody has answered yet"


def consolidate_single(
    labels: Sequence[str],
    votes: Mapping[str, Mapping[str, int]],
    given: Given,
    gold: Mapping[str, int],
    value_of: Callable[[Sequence[int]], Value],
    *,
    ordinal: bool = False,
) -> Together:
    """Consolidate votes for exactly one label.

    votes: task id to annotator to the number of a label. gold: task id to the number of the true one. value_of: makes
    the kind's value of label numbers. ordinal: the labels stand in an order that counts.
    """
    k, tasks = len(labels), sorted(votes)
    found = consolidate(
        _one_question(votes, tasks, max(k, 2)),  # a list of one label gets a second one that nobody ever gives
        method=given.method,
        gold={row: gold[task] for row, task in enumerate(tasks) if task in gold},
        model=_model(given, tasks, k) if k > 1 else None,
        ordinal=ordinal,
        seed=given.seed,
    )
    posterior = found.posterior if k > 1 else np.ones((len(tasks), 1))
    merged = {}
    for task, p in zip(tasks, posterior, strict=True):
        if task in gold:
            merged[task] = _known(value_of([gold[task]]), np.eye(k)[gold[task]])
        else:
            alone = found.method not in USE_MODEL or task not in given.model
            merged[task] = _one(labels, votes[task], p, found.skill, value_of, alone=alone)
    return Together(merged, found.skill, found.method, found.table, _confusion(found))


def _one(
    labels: Sequence[str],
    votes: Mapping[str, int],
    p: Doubles,
    skill: Mapping[str, Skill],
    value_of: Callable[[Sequence[int]], Value],
    *,
    alone: bool,
) -> Merged:
    """Make a value of one task's votes and its posterior. alone: nothing but the votes speaks of this task."""
    if not votes:
        return Merged(None, 0.0, 0.0, _floats(p), None, _NOBODY)
    said: int | None = None
    if len(votes) == 1 and alone and len(p) > 1:
        (who, said), *_ = votes.items()
        p = _by_skill(p, said, skill[who].accuracy)
    top = float(p.max())
    tied = [number for number in range(len(p)) if p[number] > top - TIE]
    if len(tied) > 1:
        return Merged(None, top, top, _floats(p), value_of(tied[:1]), _counted(labels, votes))
    if said is not None and tied != [said]:
        why = f"only one person has answered ('{labels[said]}'), who is wrong more often than right"
        return Merged(None, float(p[said]), float(p[said]), _floats(p), value_of([said]), why)
    return Merged(value_of(tied), top, top, _floats(p))


def _by_skill(p: Doubles, said: int, accuracy: float) -> Doubles:
    """Return the posterior after one vote: the label said has the person's accuracy, the others keep their odds."""
    others = np.delete(p, said)
    rest = others / others.sum() if others.sum() > 0 else np.full(len(others), 1 / len(others))
    return np.insert(rest * (1 - accuracy), said, accuracy)


def _counted(labels: Sequence[str], votes: Mapping[str, int]) -> str:
    counts = np.bincount(list(votes.values()), minlength=len(labels))
    return ", ".join(f"{counts[n]} say{'s' if counts[n] == 1 else ''} '{labels[n]}'" for n in np.flatnonzero(counts))


def consolidate_sets(
    labels: Sequence[str],
    votes: Mapping[str, Mapping[str, Sequence[int]]],
    given: Given,
    gold: Mapping[str, Sequence[int]],
    value_of: Callable[[Sequence[int]], Value],
    *,
    limit: int,
    required: str = "",
) -> Together:
    """Consolidate votes for any set of labels: whether a label holds is one question for each task and label.

    votes, gold: as in `consolidate_single`, with the numbers of all labels given. Labels that nobody gave to any task
    hold nowhere. limit: how many labels may hold at once. required: the control's name, where at least one must hold.
    """
    k, tasks = len(labels), sorted(votes)
    used = {number for by_person in votes.values() for chosen in by_person.values() for number in chosen}
    asked = sorted(used.union(*gold.values()) if gold else used) or [0]
    found, posterior = _questions(votes, tasks, asked, given, gold)
    merged = {}
    for row, task in enumerate(tasks):
        p = np.zeros(k)
        p[asked] = posterior[row]
        if task in gold:
            merged[task] = _known(value_of(gold[task]), np.isin(np.arange(k), gold[task]).astype(np.float64))
            continue
        if len(votes[task]) == 1 and (found.method not in USE_MODEL or task not in given.model):
            ((who, said),) = votes[task].items()
            accuracy = found.skill[who].accuracy
            p[asked] = np.where(np.isin(asked, said), accuracy, 1 - accuracy)
        merged[task] = _set(labels, votes[task], p, value_of, limit=limit, required=required)
    return Together(merged, found.skill, found.method, found.table, _confusion(found))


def _questions(
    votes: Mapping[str, Mapping[str, Sequence[int]]],
    tasks: Sequence[str],
    asked: Sequence[int],
    given: Given,
    gold: Mapping[str, Sequence[int]],
) -> tuple[CrowdConsensus, Doubles]:
    """Ask the crowd whether each asked label holds for each task; return its consensus and the posterior (t, asked)."""
    column = {number: at for at, number in enumerate(asked)}
    people = sorted({who for by_person in votes.values() for who in by_person})
    whose = {who: at for at, who in enumerate(people)}
    cast = [(row, whose[who], votes[task][who]) for row, task in enumerate(tasks) for who in sorted(votes[task])]
    row = np.array([r for r, _, _ in cast], np.int64)
    said = _marked([chosen for _, _, chosen in cast], column)
    known = _marked([gold.get(task, ()) for task in tasks], column)
    question: Bools = np.ones((len(tasks), len(asked)), bool)
    method = given.method
    if said.size > MOST_QUESTIONS:
        method = "majority" if method == "majority" else "one-coin"
        question = known.copy()
        np.logical_or.at(question, row, said)
    number = np.cumsum(question).reshape(question.shape) - 1
    vote, label = np.nonzero(question[row])
    t, c = np.nonzero(question)
    truth = {int(number[r, i]): int(known[r, i]) for r, i in zip(t, c, strict=True) if tasks[r] in gold}
    model = _model(given, tasks, None, asked)
    found = consolidate(
        CrowdVotes(
            task=number[row[vote], label],
            annotator=np.array([p for _, p, _ in cast], np.int64)[vote],
            label=said[vote, label].astype(np.int64),
            tasks=[f"{tasks[r]}\x1f{asked[i]:07d}" for r, i in zip(t, c, strict=True)],
            annotators=people,
            k=2,
        ),
        method=method,
        gold=truth,
        model=None if model is None else np.stack([1 - model[t, c], model[t, c]], axis=1),
        seed=given.seed,
    )
    posterior = np.zeros(question.shape)
    posterior[t, c] = found.posterior[:, 1]
    return found, posterior


def _set(
    labels: Sequence[str],
    votes: Mapping[str, Sequence[int]],
    p: Doubles,
    value_of: Callable[[Sequence[int]], Value],
    *,
    limit: int,
    required: str,
) -> Merged:
    """Make a value of one task's votes and the probability (k,) of each label to hold."""
    if not votes:
        return Merged(None, 0.0, 0.0, _floats(p), None, _NOBODY)
    chosen = p >= 0.5 - TIE
    open_ = np.flatnonzero(np.abs(p - 0.5) <= TIE).tolist()
    why = "; ".join(_how_many(labels[number], number, votes) for number in open_)
    if chosen.sum() > limit:
        order = np.argsort(-p, kind="stable")
        if p[order[limit - 1]] - p[order[limit]] < TIE:
            why = f"{int(chosen.sum())} labels have a majority and only {limit} may hold"
        chosen[order[limit:]] = False
    if required and not chosen.any():
        why = f"no label has a majority, and '{required}' is required"
        chosen[int(p.argmax())] = True
    right = np.where(chosen, p, 1 - p)
    value = value_of(np.flatnonzero(chosen).tolist())
    confidence, certainty = float(right.prod()), float(np.maximum(p, 1 - p).min())
    if why:
        return Merged(None, confidence, certainty, _floats(p), value, why)
    return Merged(value, confidence, certainty, _floats(p))


def _how_many(label: str, number: int, votes: Mapping[str, Sequence[int]]) -> str:
    said = sum(number in chosen for chosen in votes.values())
    return f"{said} of {len(votes)} say{'s' if said == 1 else ''} '{label}'"


def _known(value: Value, p: Doubles) -> Merged:
    return Merged(value, 1.0, 1.0, _floats(p))


def _one_question(votes: Mapping[str, Mapping[str, int]], tasks: Sequence[str], k: int) -> CrowdVotes:
    people = sorted({who for by_person in votes.values() for who in by_person})
    whose = {who: at for at, who in enumerate(people)}
    cast = [(row, whose[who], said) for row, task in enumerate(tasks) for who, said in sorted(votes[task].items())]
    task, annotator, label = np.array(cast, np.int64).reshape(-1, 3).T
    return CrowdVotes(task=task, annotator=annotator, label=label, tasks=list(tasks), annotators=people, k=k)


def _model(
    given: Given, tasks: Sequence[str], k: int | None, columns: Sequence[int] | None = None
) -> npt.NDArray[np.float32] | None:
    """Return the model's probabilities for the tasks, (t, k) or only some columns; NaN where it has none."""
    if not given.model or not any(task in given.model for task in tasks):
        return None
    width = len(columns) if columns is not None else k
    table = np.full((len(tasks), width or 0), np.nan, np.float32)
    for row, task in enumerate(tasks):
        if task in given.model:
            p = np.asarray(given.model[task], np.float32)
            table[row] = p if columns is None else p[list(columns)]
    return table


def _marked(chosen: Sequence[Iterable[int]], column: Mapping[int, int]) -> Bools:
    """Return (n, columns): whether each of n sets holds the label of each column."""
    table = np.zeros((len(chosen), len(column)), bool)
    for row, numbers in enumerate(chosen):
        table[row, [column[number] for number in numbers]] = True
    return table


def _confusion(found: CrowdConsensus) -> Mapping[str, npt.NDArray[np.float32]]:
    return {who: np.asarray(table, np.float32) for who, table in found.confusion.items()}


def _floats(p: Doubles) -> tuple[float, ...]:
    return tuple(float(x) for x in np.clip(p, 0.0, 1.0))
