"""ActiveLab: label a task again, or label a new one, on one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.core.strategies.base import Scored, State, Unable, Vectors, strategy
from adapter.ports import Floats

Doubles = npt.NDArray[np.float64]

MOST_ANSWERED = 2_000
"""Labelled tasks that one ranking looks at: those that may be asked again first, then others, drawn at random."""
_TEMPERATURES = (0.1, 0.2, 0.5, 0.8, 1, 2, 3, 5, 8)
_STEPS = 4
_LEAST = 1e-30
_CELLS = 4_000_000


@strategy(
    "activelab",
    needs="answers of people with held-out probabilities, to ask again",
    reason="least is known of its label, whether nobody has answered yet or people and model differ",
    source="Goh and Mueller 2023, arXiv 2301.11856",
)
def activelab(vectors: Vectors | None, probabilities: Floats, state: State) -> Scored:
    """ActiveLab (Goh and Mueller 2023, arXiv 2301.11856): how little is known of each task's label, for new tasks from
    the model alone, for labelled ones from model and people together (CROWDLAB weights); what is worth more than the
    last new task of the batch comes back as `again`.

    New tasks stand in the order of least confidence. It pays with noisy annotators: 3,500 annotations where others need
    6,000 on CIFAR-10H. With careful ones it asks too much again, and it knows nothing of batches. Cost: one pass over
    the probabilities, and about a second for the 2,000 labelled tasks that it looks at most. Tasks with several labels,
    or with one label to give, have no such score."""
    found = scores(state, probabilities)
    return Scored(found.new, tuple(_worth(found, state)))


def asks_again(state: State, probabilities: Floats) -> list[str]:
    """Return ids out of `state.again` that are worth more than the last new task of the next batch, best first. Empty
    where ActiveLab has no scores."""
    try:
        return _worth(scores(state, probabilities), state)
    except Unable:
        return []


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """How much each task's next label tells, 0..1, on one scale. new: (n,) of the candidates, NaN where nothing judges.
    again: of the tasks that may be asked again and could be judged. temperature: by which the model's probabilities
    were divided in the logarithm."""

    new: Doubles
    again: dict[str, float]
    temperature: float


def scores(state: State, probabilities: Floats) -> Scores:
    """Return ActiveLab's scores turned around (cleanlab's lowest is our greatest).

    Annotators' and the model's weights are cleanlab's (`get_label_quality_multiannotator`), from tasks of
    `state.answers` with `state.judged`; while no two people agree on any task, everybody weighs the same. Labels
    outside 0..k-1 and probabilities that are not finite are left out. Raises Unable where several labels may hold,
    or k is 1.
    """
    k = probabilities.shape[1]
    if state.multiple or k < 2:
        raise Unable("ActiveLab needs one label out of several")
    ids, table, own = _answers(state, k)
    temperature, model, person = 1.0, 1.0, 1.0
    again: dict[str, float] = {}
    if ids:
        several = (~np.isnan(table)).sum(axis=1) > 1
        if several.any() and _agree(table, k):
            temperature = best_temperature(table, own)
            quality, model, people = _weighed(table, tempered(own, temperature))
        else:
            quality, people = _alone(table, own), np.ones(table.shape[1])
        person = float(people.mean())
        heard = np.where(np.isnan(table), 0.0, people).sum(axis=1) + model
        known = (quality * heard + person / k) / (heard + person)
        asked = set(state.again)
        again = {task_id: float(1.0 - sure) for task_id, sure in zip(ids, known, strict=True) if task_id in asked}
    new = np.empty(len(probabilities))
    step = max(1, _CELLS // k)
    for start in range(0, len(new), step):
        p = np.asarray(probabilities[start : start + step], np.float64)
        blank = ~np.isfinite(p).all(axis=1)
        p[blank] = 1.0 / k
        sure = tempered(p, temperature).max(axis=1)
        new[start : start + step] = np.where(blank, np.nan, 1.0 - (sure * model + person / k) / (model + person))
    return Scores(np.clip(new, 0.0, 1.0), again, temperature)


def _worth(found: Scores, state: State) -> list[str]:
    """Who would be in the next batch if all stood in one order; of equals the new one first."""
    batch = max(1, state.batch)
    told = np.nan_to_num(found.new, nan=1.0)
    best = np.sort(told)[::-1][:batch] if len(told) <= batch else -np.sort(np.partition(-told, batch - 1)[:batch])
    ranked = sorted(found.again, key=lambda task_id: (-found.again[task_id], task_id))
    places = [task_id for task_id in ranked[:batch]]
    chosen: list[str] = []
    fresh = 0
    while len(chosen) + fresh < batch and len(chosen) < len(places):
        if fresh < len(best) and best[fresh] >= found.again[places[len(chosen)]]:
            fresh += 1
        else:
            chosen.append(places[len(chosen)])
    return chosen


def _answers(state: State, k: int) -> tuple[list[str], Doubles, Doubles]:
    """Ids, people's labels (m, annotators; NaN for none; nobody without a label) and probabilities (m, k)."""
    good: dict[str, tuple[dict[str, int], Doubles]] = {}
    for task_id, given in state.answers.items():
        told = state.judged.get(task_id)
        labels = {person: int(label) for person, label in given.items() if 0 <= label < k}
        if told is None or not labels or np.shape(told) != (k,) or not np.isfinite(told).all() or np.sum(told) <= 0:
            continue
        good[task_id] = (labels, np.clip(np.asarray(told, np.float64), 1e-9, None))
    first = [task_id for task_id in dict.fromkeys(state.again) if task_id in good]
    others = sorted(set(good) - set(first))
    random = state.random()
    if len(first) > MOST_ANSWERED:
        first = [first[i] for i in np.sort(random.permutation(len(first))[:MOST_ANSWERED])]
    room = MOST_ANSWERED - len(first)
    if len(others) > room:
        others = [others[i] for i in np.sort(random.permutation(len(others))[:room])]
    ids = first + others
    people = {person: at for at, person in enumerate(sorted({one for task_id in ids for one in good[task_id][0]}))}
    table = np.full((len(ids), len(people)), np.nan)
    for row, task_id in enumerate(ids):
        for person, label in good[task_id][0].items():
            table[row, people[person]] = label
    own = np.stack([good[task_id][1] for task_id in ids]) if ids else np.empty((0, k))
    return ids, table, own / own.sum(axis=1, keepdims=True)


def _counts(table: Doubles, k: int) -> Doubles:
    """(m, k): how many people gave each label."""
    rows, columns = np.nonzero(~np.isnan(table))
    cells = rows * k + table[rows, columns].astype(np.int64)
    return np.bincount(cells, minlength=len(table) * k).reshape(len(table), k).astype(np.float64)


def _agree(table: Doubles, k: int) -> bool:
    return bool((_counts(table, k) > 1).any())


def _weighed(table: Doubles, own: Doubles) -> tuple[Doubles, float, Doubles]:
    """Quality of each consensus (m,), weight of the model, weights of the annotators, as cleanlab has them."""
    from cleanlab.multiannotator import get_label_quality_multiannotator

    found = get_label_quality_multiannotator(
        table, own, return_detailed_quality=False, return_annotator_stats=False, return_weights=True, verbose=False
    )
    quality = found["label_quality"]["consensus_quality_score"].to_numpy(np.float64)
    return quality, float(found["model_weight"]), np.asarray(found["annotator_weight"], np.float64)


def _alone(table: Doubles, own: Doubles) -> Doubles:
    """The model's probability of the label most people gave; of equals the one that it holds for likelier."""
    counts = _counts(table, own.shape[1])
    label = np.where(counts == counts.max(axis=1, keepdims=True), own, -1.0).argmax(axis=1)
    return np.asarray(own[np.arange(len(own)), label])


def tempered(p: Doubles, temperature: float) -> Doubles:
    """Return probabilities (n, k) to the power of 1 / temperature, rows summing to 1."""
    logs = np.log(np.clip(p, _LEAST, None)) / temperature
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def best_temperature(table: Doubles, own: Doubles) -> float:
    """Return the temperature that brings probabilities (m, k) nearest to people's labels (cross entropy), on cleanlab's
    grid: the best of nine, then of the steps to its neighbours.

    cleanlab 2.9's own search, part of its `get_active_learning_scores`, counts labels that come as floats in the order
    of their occurrence, so it fits the wrong ones; hence this one."""
    shares = _counts(table, own.shape[1])
    shares /= shares.sum(axis=1, keepdims=True)

    def loss(temperature: float) -> float:
        return float(-(shares * np.log(np.clip(tempered(own, temperature), _LEAST, None))).sum(axis=1).mean())

    best = int(np.argmin([loss(one) for one in _TEMPERATURES]))
    fine: list[float] = []
    if best + 1 < len(_TEMPERATURES):
        fine += np.linspace(_TEMPERATURES[best], _TEMPERATURES[best + 1], _STEPS + 1).tolist()
    if best:
        fine += np.linspace(_TEMPERATURES[best - 1], _TEMPERATURES[best], _STEPS, endpoint=False).tolist()
    return fine[int(np.argmin([loss(one) for one in fine]))]
