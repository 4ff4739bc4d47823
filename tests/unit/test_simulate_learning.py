"""Learning curves: the same ground for every strategy, honest ends, and results that do not depend on processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter.core.strategies import State, strategy
from adapter.errors import BackendError, FunctionsError
from adapter.ports import Floats
from adapter.simulate.learning import Ground, Ints, Plan, Round, by_strategy, full_score, learn, start_order
from adapter.simulate.metrics import Metric
from adapter.vocabulary import JsonObject


class Centroids:
    """The nearest class mean in the plane: a model that a test can foresee."""

    trained = False

    def __init__(self, *, embeds: bool = True) -> None:
        self._embeds = embeds
        self._means: Any = None

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        points, said = self._points(examples), targets.argmax(axis=1)
        if len(set(said.tolist())) < 2:
            raise BackendError("one class only", remedy="Label more.")
        self._means = np.stack(
            [points[said == k].mean(axis=0) if (said == k).any() else np.full(2, 1e6) for k in range(targets.shape[1])]
        )

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        far = -((self._points(examples)[:, None] - self._means[None]) ** 2).sum(axis=2) / 8
        odds = np.exp(far - far.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)

    def embed(self, examples: Sequence[JsonObject]) -> Floats | None:
        if not self._embeds:
            return None
        points = self._points(examples)
        return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), np.float32)

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...

    def _points(self, examples: Sequence[JsonObject]) -> Any:
        return np.asarray([example["at"] for example in examples], np.float64).reshape(-1, 2)


def ground(seed: int = 0, n: int = 120, *, rare: float = 0.5) -> Ground:
    random = np.random.default_rng(seed)
    gold = (random.random(n + 60) < rare).astype(int)
    points = random.normal(size=(n + 60, 2)) + np.where(gold[:, None] == 1, 2.0, -2.0)
    examples: list[JsonObject] = [{"at": point.tolist()} for point in points]
    targets = np.eye(2, dtype=np.float32)[gold]
    return Ground(
        tuple(f"t{i}" for i in range(n)), examples[:n], targets[:n], examples[n:], targets[n:], ("no", "yes"), seed=seed
    )


PLAN = Plan(start=10, batch=5, budget=40)


def test_every_strategy_has_the_same_start_and_the_same_points_of_measurement() -> None:
    here = ground()
    runs = [
        learn(here, Centroids, by_strategy(name), PLAN, Metric()) for name in ("random", "margin", "cluster-margin")
    ]
    assert {run.labels for run in runs} == {(10, 15, 20, 25, 30, 35, 40)}
    assert len({run.labelled[:10] for run in runs}) == 1
    assert len({run.labelled for run in runs}) == 3
    assert len({run.scores[0] for run in runs}) == 1
    for run in runs:
        assert len(set(run.labelled)) == 40


def test_the_same_run_twice_is_the_same_and_another_seed_is_another() -> None:
    once, again, other = (learn(ground(seed), Centroids, by_strategy("margin"), PLAN, Metric()) for seed in (0, 0, 1))
    assert once == again
    assert once.labelled != other.labelled


def test_margin_asks_for_what_lies_between_the_classes() -> None:
    here = ground(rare=0.5)
    between = np.abs(np.asarray([example["at"] for example in here.pool]).sum(axis=1))

    def plain() -> Centroids:  # in a plane all vectors are near neighbours
        return Centroids(embeds=False)

    margin, random = (learn(here, plain, by_strategy(name), PLAN, Metric()) for name in ("margin", "random"))
    assert between[list(margin.labelled[10:])].mean() < 0.7 * between[list(random.labelled[10:])].mean()


def test_where_nothing_can_be_learned_the_start_goes_on_for_all_strategies_alike() -> None:
    here = ground(seed=3, n=200, rare=0.02)
    order = start_order(here, Centroids, PLAN)
    said = here.said[order].argmax(axis=1)
    assert set(said[:10].tolist()) == {0}
    alone = int(np.flatnonzero(said == 1)[0])
    wanted = 10 + 5 * -(-(alone + 1 - 10) // 5)  # the batch in which the rare class first comes
    plan = replace(PLAN, budget=wanted + 10)
    runs = [learn(here, Centroids, by_strategy(name), plan, Metric("f1", 1)) for name in ("random", "margin")]
    for run in runs:
        assert run.labelled[:wanted] == tuple(order[:wanted].tolist())
        assert run.scores[: run.labels.index(wanted)] == (0.0,) * run.labels.index(wanted)


def test_a_run_goes_on_past_its_budget_only_until_the_goal() -> None:
    here = ground()
    plan = replace(PLAN, far=100)
    full = full_score(here, Centroids, Metric())
    plain = learn(here, Centroids, by_strategy("random"), plan, Metric())
    assert plain.labels[-1] == 40
    hopeless = learn(here, Centroids, by_strategy("random"), plan, Metric(), goal=full + 1)
    assert hopeless.labels[-1] == 100
    assert hopeless.labelled[:40] == plain.labelled


def test_a_pool_that_ends_before_the_budget_ends_the_run() -> None:
    run = learn(ground(n=33), Centroids, by_strategy("margin"), replace(PLAN, budget=500), Metric())
    assert run.labels[-1] == 33
    assert sorted(run.labelled) == list(range(33))


def test_a_picker_that_gives_no_candidates_is_refused() -> None:
    def again(turn: Round) -> Ints:
        return turn.labelled[: turn.batch]

    with pytest.raises(ValueError, match="no candidates"):
        learn(ground(), Centroids, again, PLAN, Metric())


def test_stand_ins_are_told() -> None:
    notes: list[str] = []
    learn(ground(), lambda: Centroids(embeds=False), by_strategy("typiclust", notes), PLAN, Metric())
    assert len(notes) == 1
    assert "margin" in notes[0]


def test_a_strategy_of_ones_own_sees_what_the_loop_would_tell_it() -> None:
    seen: list[State] = []

    @strategy("first-come", reason="it came first")
    def first_come(vectors: Any, probabilities: Any, state: State) -> Any:
        seen.append(state)
        return np.linspace(1, 0, len(state.chance))

    learn(ground(), Centroids, by_strategy(first_come), PLAN, Metric())
    assert [len(state.targets) for state in seen if state.targets is not None] == [10, 15, 20, 25, 30, 35]
    assert seen[0].labels == ("no", "yes")
    assert seen[0].labelled is not None
    assert seen[0].labelled.shape == (10, 2)


def test_a_strategy_that_fails_is_told_by_name() -> None:
    @strategy("broken")
    def broken(vectors: Any, probabilities: Any, state: State) -> Any:
        raise RuntimeError("no idea")

    with pytest.raises(FunctionsError, match="broken"):
        learn(ground(), Centroids, by_strategy(broken), PLAN, Metric())


def test_a_cold_start_by_strategy_is_shared_too() -> None:
    plan = replace(PLAN, cold_start="typiclust")
    here = ground()
    order = start_order(here, Centroids, plan)
    assert sorted(order.tolist()) == list(range(120))
    assert order[:10].tolist() != start_order(here, Centroids, PLAN)[:10].tolist()
    runs = [learn(here, Centroids, by_strategy(name), plan, Metric()) for name in ("random", "margin")]
    assert runs[0].labelled[:10] == runs[1].labelled[:10] == tuple(order[:10].tolist())
