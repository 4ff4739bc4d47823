"""Learning curves: the same pool, start, model and annotators for every strategy, so that only the choice differs.

One run is one strategy on one seed: label what the strategy asks for, train from scratch, measure on the test split,
and again. It is the loop's own `choose` on the loop's own backends, without platform, store and blind sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.bundle import ask
from adapter.core.blind import draws
from adapter.core.strategies import State, Strategy, Vectors, choose
from adapter.core.strategies.base import Function
from adapter.errors import BackendError
from adapter.ports import Backend, Floats, Preparing
from adapter.simulate.metrics import Metric
from adapter.vocabulary import JsonObject

Ints: TypeAlias = npt.NDArray[np.int64]
RANDOM = "random"


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What the strategies are compared on: one split, n tasks in the pool (no two with the same content), m in the
    test split, k labels.

    ids, pool: (n,). said: (n, k) what annotators answer if asked. test: (m,). truth: (m, k) gold. groups of duplicates
    never lie on both sides. multiple: whether several labels may hold. required: one label at least. control: name.
    seed: of the split, the draws and the models.
    """

    ids: tuple[str, ...]
    pool: Sequence[JsonObject]
    said: Floats
    test: Sequence[JsonObject]
    truth: Floats
    labels: tuple[str, ...]
    control: str = ""
    multiple: bool = False
    required: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """What a picker may know when it is asked for the next batch.

    candidates: (c,) rows of the pool without a label. labelled: (l,) rows with one, in the order of asking.
    probabilities: (c, k) by the model of now. vectors: of the candidates; None where the backend has none. backend:
    the fitted model. batch: rows wanted. number: of the round, from 0.
    """

    ground: Ground
    backend: Backend
    candidates: Ints
    labelled: Ints
    probabilities: Floats
    vectors: Vectors | None
    batch: int
    number: int


Picker: TypeAlias = Callable[[Round], Ints]
"""The next rows of the pool to label, best first."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run goes. start: labels before the first choice, picked by `cold_start`. batch: labels between two models.
    budget: labels in all. far: labels up to which a run goes on past the budget for as long as its score is below
    `goal` (for `random`, so that a saving can be told); no more than the budget if 0."""

    start: int = 20
    batch: int = 10
    budget: int = 300
    cold_start: str = RANDOM
    far: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One strategy on one seed. labels: how many there were at each measurement, ascending. scores: of the models made
    from them on the test split. stand_ins: what decided where the strategy could not, and why. labelled: rows in the
    order of asking."""

    labels: tuple[int, ...]
    scores: tuple[float, ...]
    stand_ins: tuple[str, ...] = ()
    labelled: tuple[int, ...] = ()


def by_strategy(strategy: str | Strategy | Function, stand_ins: list[str] | None = None) -> Picker:
    """Return the picker that asks the loop's own `choose`. stand_ins: gets a sentence where another strategy had to
    decide."""

    def pick(turn: Round) -> Ints:
        chosen = choose(strategy, turn.vectors, turn.probabilities, state_of(turn))
        if stand_ins is not None and chosen.why and chosen.why not in stand_ins:
            stand_ins.append(chosen.why)
        return np.asarray(turn.candidates[chosen.rows[: turn.batch]], np.int64)

    return pick


def state_of(turn: Round) -> State:
    """Return what the loop would tell a strategy: everything but functions, LLM and earlier annotators, which a
    learning curve does not have."""
    ground = turn.ground
    probabilities = turn.probabilities
    ids = [ground.ids[row] for row in turn.candidates]
    return State(
        size=turn.batch,
        batch=turn.batch,
        seed=ground.seed + 1000 * turn.number,
        chance=draws(ids, ground.seed, "rank"),
        multiple=ground.multiple,
        labels=ground.labels,
        committee={"model": probabilities},
        labelled=None if turn.vectors is None else _embedded(turn.backend, [ground.pool[row] for row in turn.labelled]),
        targets=ground.said[turn.labelled],
    )


def start_order(ground: Ground, new: Callable[[], Backend], plan: Plan) -> Ints:
    """Return rows of the pool in the order in which they are labelled before a model can judge: the same for all
    strategies. The first `plan.start` by the strategy `cold_start`, the others behind them at random."""
    count = len(ground.ids)
    chance = draws(ground.ids, ground.seed, "rank")
    order = np.argsort(chance, kind="stable").astype(np.int64)
    if plan.cold_start == RANDOM:
        return order
    backend = new()
    size, kind = plan.start, ground.multiple
    state = State(size=size, batch=size, seed=ground.seed, chance=chance, multiple=kind, labels=ground.labels)
    first = choose(plan.cold_start, vectors_of(ground, backend, np.arange(count)), None, state).rows[: plan.start]
    left = np.ones(count, bool)
    left[first] = False
    return np.concatenate([first, order[left[order]]])


def vectors_of(ground: Ground, backend: Backend, rows: Ints) -> Vectors | None:
    """Return the embeddings of rows of the pool, fetched when asked for; None where the backend has none (yet)."""
    if len(rows) and _embedded(backend, [ground.pool[int(rows[0])]]) is None:
        return None

    def fetch(some: Ints) -> Floats:
        found = _embedded(backend, [ground.pool[row] for row in rows[some]])
        if found is None:
            raise BackendError("the backend has embeddings for some tasks only", where="embed")
        return found

    return Vectors(len(rows), fetch)


def _embedded(backend: Backend, examples: Sequence[JsonObject]) -> Floats | None:
    try:
        found = backend.embed(examples)
    except BackendError:  # one that must be trained first
        return None
    return None if found is None else np.asarray(found, np.float32)


def learn(
    ground: Ground,
    new: Callable[[], Backend],
    picker: Picker,
    plan: Plan,
    metric: Metric,
    *,
    goal: float = 0.0,
) -> Run:
    """Run one strategy to the end of its budget (or of the pool); see `Plan` for `goal`.

    Where no model can be learned from the labels so far (one class only) the start goes on, for all strategies alike,
    and the score is that of answering the commonest label always. Raises ValueError if a picker gives rows that are no
    candidates.
    """
    count = len(ground.ids)
    order = start_order(ground, new, plan)
    open_rows = np.ones(count, bool)
    labelled = order[: plan.start]
    open_rows[labelled] = False
    labels: list[int] = []
    scores: list[float] = []
    for number in range(count + 1):
        backend = fitted(ground, new, labelled)
        score = measured(ground, backend, labelled, metric)
        labels.append(len(labelled))
        scores.append(score)
        room = plan.budget - len(labelled)
        if room <= 0 and score < goal:
            room = plan.far - len(labelled)
        candidates = order[open_rows[order]]
        take = min(plan.batch, room, len(candidates))
        if take <= 0:
            break
        if backend is None:
            picked = candidates[:take]
        else:
            candidates = np.sort(candidates)
            picked = picker(_turn(ground, backend, candidates, labelled, take, number))
            _check(picked, open_rows, take)
        open_rows[picked] = False
        labelled = np.concatenate([labelled, picked])
    return Run(tuple(labels), tuple(scores), labelled=tuple(int(row) for row in labelled))


def _turn(ground: Ground, backend: Backend, candidates: Ints, labelled: Ints, take: int, number: int) -> Round:
    examples = [ground.pool[row] for row in candidates]
    probabilities = ask(backend, examples, len(ground.labels), ground.control)
    vectors = vectors_of(ground, backend, candidates)
    return Round(ground, backend, candidates, labelled, probabilities, vectors, take, number)


def _check(picked: Ints, open_rows: npt.NDArray[np.bool_], take: int) -> None:
    if len(picked) != take or len(np.unique(picked)) != take or not open_rows[picked].all():
        raise ValueError(f"the strategy was asked for {take} tasks and gave {len(picked)}, some of them no candidates")


def fitted(ground: Ground, new: Callable[[], Backend], rows: Ints) -> Backend | None:
    """Return a model of these rows' labels; None where nothing can be learned from them."""
    backend = new()
    if isinstance(backend, Preparing):
        backend.prepare(ground.pool, seed=ground.seed)
    try:
        backend.fit(
            [ground.pool[row] for row in rows],
            ground.said[rows],
            weights=np.ones(len(rows), np.float32),
            multiple=ground.multiple,
            seed=ground.seed,
        )
    except BackendError:
        if _one_kind(ground.said[rows], ground.multiple):
            return None
        raise
    return backend


def _one_kind(targets: Floats, multiple: bool) -> bool:
    """Whether the labels hold no contrast to learn from: fewer than two tasks, or all of them the same."""
    return len(targets) < 2 or bool((targets == targets[0]).all()) or (multiple and len(targets) < 5)


def measured(ground: Ground, backend: Backend | None, rows: Ints, metric: Metric) -> float:
    """Return the model's score on the test split; without a model, the score of the commonest answer."""
    if backend is None:
        share = ground.said[rows].mean(axis=0) if len(rows) else np.zeros(len(ground.labels))
        answers = np.repeat(np.asarray(share, np.float32)[None], len(ground.truth), axis=0)
    else:
        answers = ask(backend, ground.test, len(ground.labels), ground.control)
    return metric.score(answers, ground.truth, multiple=ground.multiple, required=ground.required)


def full_score(ground: Ground, new: Callable[[], Backend], metric: Metric) -> float:
    """Return the score of the model that is trained on the labels of the whole pool."""
    rows = np.arange(len(ground.ids))
    return measured(ground, fitted(ground, new, rows), rows, metric)
