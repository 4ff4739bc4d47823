"""The order that a strategy gives: whole, repeatable, free of look-alikes in front, and kind to what is missing."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.strategies import (
    Scored,
    State,
    Strategy,
    Unable,
    Vectors,
    choose,
    describe,
    get,
    measure_of,
    names,
    needs_of,
    strategy,
)
from adapter.errors import FunctionsError, SettingsError

ALL = (
    "activelab",
    "alignment",
    "badge",
    "cluster-margin",
    "committee",
    "density",
    "egl",
    "entropy",
    "fisher",
    "least-confidence",
    "margin",
    "random",
    "rare",
    "typiclust",
)
MEASURES = ("cluster-margin", "entropy", "least-confidence", "margin")


def world(
    n: int, k: int, seed: int = 0, *, multiple: bool = False, blank: float = 0.0, alike: bool = False, **more: Any
) -> tuple[np.ndarray, np.ndarray, State]:
    """Vectors (n, 8), probabilities (n, k) and a state in which every strategy has what it asks for."""
    rng = np.random.default_rng(seed)

    def told() -> np.ndarray:
        p = rng.random((n, k)) if multiple else rng.dirichlet(np.full(k, 0.6), n)
        p[rng.random(n) < blank] = np.nan
        return p.astype(np.float32)

    vectors = np.ones((n, 8)) if alike else rng.normal(size=(n, 8))
    answers = {f"old{i}": {"ann": int(rng.integers(k)), "bob": int(rng.integers(k))} for i in range(12)}
    state = State(
        **{
            "size": 40,
            "batch": 10,
            "seed": 3,
            "chance": rng.random(n),
            "multiple": multiple,
            "committee": {"functions": told(), "model": told(), "llm": told()},
            "alignment": rng.random(n).astype(np.float32),
            "labelled": rng.normal(size=(5, 8)).astype(np.float32),
            "targets": np.eye(k, dtype=np.float32)[rng.integers(k, size=5)],
            "answers": answers,
            "judged": {task: rng.dirichlet(np.ones(k)) for task in answers},
            "again": tuple(answers)[:6],
            **more,
        }
    )
    return vectors.astype(np.float32), told(), state


def permuted(state: State, order: np.ndarray) -> State:
    def moved(part: Any) -> Any:
        return None if part is None else part[order]

    return dataclasses.replace(
        state,
        chance=state.chance[order],
        uncertainty=moved(state.uncertainty),
        covered=moved(state.covered),
        alignment=moved(state.alignment),
        committee={source: told[order] for source, told in state.committee.items()},
    )


def test_all_strategies_are_known_and_say_what_they_need() -> None:
    assert names() == list(ALL)
    for known in describe():
        assert known.reason
        assert known.source
        assert len(known.function.__doc__ or "") > 100
        assert needs_of(known)
    assert needs_of(get("random")) == "nothing"
    assert needs_of(get("badge")) == "embeddings, probabilities"
    assert measure_of("entropy") == "entropy"
    assert measure_of("badge") == measure_of("mine.py:mine") == "margin"


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=25, deadline=None)
@given(
    n=st.sampled_from([0, 1, 2, 3, 17, 60]),
    k=st.sampled_from([1, 2, 3, 7]),
    seed=st.integers(0, 5),
    multiple=st.booleans(),
    blank=st.sampled_from([0.0, 0.3, 1.0]),
    alike=st.booleans(),
    embedded=st.booleans(),
    half=st.booleans(),
    size=st.sampled_from([1, 7, 100]),
    batch=st.sampled_from([1, 5, 200]),
)
def test_every_candidate_comes_once_and_again_the_same(
    name: str,
    n: int,
    k: int,
    seed: int,
    multiple: bool,
    blank: float,
    alike: bool,
    embedded: bool,
    half: bool,
    size: int,
    batch: int,
) -> None:
    vectors, p, state = world(n, k, seed, multiple=multiple, blank=blank, alike=alike, size=size, batch=batch)
    if half:
        state = dataclasses.replace(state, covered=state.chance < 0.5)
    found = choose(name, Vectors.of(vectors) if embedded else None, p, state)
    assert sorted(found.rows.tolist()) == list(range(n))
    assert found.scores.shape == (n,)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert found.name in ALL
    assert bool(found.why) == (found.name != name)
    assert set(found.again) <= set(state.again)
    second = choose(name, Vectors.of(vectors) if embedded else None, p, state)
    assert second.rows.tolist() == found.rows.tolist()
    order = np.random.default_rng(seed).permutation(n)
    moved = choose(name, Vectors.of(vectors[order]) if embedded else None, p[order], permuted(state, order))
    assert order[moved.rows].tolist() == found.rows.tolist()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("multiple", [False, True])
def test_a_thousand_labels_are_no_trouble(name: str, multiple: bool) -> None:
    vectors, p, state = world(300, 1000, multiple=multiple)
    found = choose(name, Vectors.of(vectors), p, state)
    assert sorted(found.rows.tolist()) == list(range(300))


@pytest.mark.parametrize("name", ALL)
def test_look_alikes_never_share_the_front(name: str) -> None:
    rng = np.random.default_rng(1)
    _, p, state = world(400, 4)
    kinds = rng.normal(size=(100, 8))
    vectors = (kinds[np.arange(400) % 100] + rng.normal(0, 1e-3, (400, 8))).astype(np.float32)
    found = choose(name, Vectors.of(vectors), p, state)
    first = (found.rows[:40] % 100).tolist()
    if name == "random":  # an honest draw
        assert len(set(first)) < 40
    else:
        assert found.front == 40
        assert len(set(first)) == 40
    assert sorted(found.rows.tolist()) == list(range(400))


def test_without_diversity_margin_is_margins_own_order() -> None:
    vectors, p, state = world(200, 3, alike=True)
    two = np.sort(p, axis=1)[:, -2:]
    expected = np.lexsort((state.chance, np.round(1 - np.round(1 - (two[:, 1] - two[:, 0]), 6), 6)))
    for given_vectors, diversity in ((None, True), (Vectors.of(vectors), False)):
        found = choose("margin", given_vectors, p, state, diversity=diversity)
        assert found.rows.tolist() == expected.tolist()
        assert found.front == 0


def test_equal_scores_come_in_the_order_of_their_draws() -> None:
    _, _, state = world(50, 2)
    p = np.full((50, 2), 0.5, np.float32)
    p[::2] += np.array([1e-8, -1e-8], np.float32)
    assert choose("margin", None, p, state).rows.tolist() == np.argsort(state.chance).tolist()


def test_rows_that_nothing_judges_come_first_and_count_as_one() -> None:
    _, p, state = world(30, 3)
    p[[4, 9]] = np.nan
    found = choose("entropy", None, p, state)
    assert set(found.rows[:2].tolist()) == {4, 9}
    assert found.scores[[4, 9]].tolist() == [1.0, 1.0]


def test_uncovered_tasks_come_before_all_others() -> None:
    _, p, state = world(30, 3, covered=np.arange(30) >= 5)
    p[7] = 1 / 3
    assert set(choose("margin", None, p, state).rows[:5].tolist()) == {0, 1, 2, 3, 4}
    assert choose("random", None, p, state).rows.tolist() == np.argsort(state.chance).tolist()


def test_an_uncertainty_over_all_controls_decides_where_it_is_by_the_same_measure() -> None:
    _, p, state = world(20, 3)
    over_all = np.linspace(0, 1, 20).astype(np.float32)
    state = dataclasses.replace(state, uncertainty=over_all, measure="margin")
    backwards = list(range(19, -1, -1))
    assert choose("margin", None, p, state).rows.tolist() == backwards
    assert choose("entropy", None, p, state).rows.tolist() != backwards
    assert choose("entropy", None, p, dataclasses.replace(state, measure="entropy")).rows.tolist() == backwards
    assert choose("entropy", None, None, state).rows.tolist() == backwards


class TestStandIns:
    def test_with_nothing_known_typical_tasks_come_first(self) -> None:
        vectors, _, state = world(100, 3)
        for name in (*MEASURES, "badge", "egl", "density", "rare", "activelab"):
            found = choose(name, Vectors.of(vectors), None, dataclasses.replace(state, committee={}))
            assert found.name == "typiclust"
            assert found.why == f"'{name}' cannot decide here (nothing judges the tasks yet): 'typiclust' stands in"

    def test_with_nothing_at_all_chance_decides(self) -> None:
        _, _, state = world(100, 3)
        found = choose("badge", None, None, state)
        assert found.name == "random"
        assert found.rows.tolist() == np.argsort(state.chance).tolist()
        assert found.scores.tolist() == [0.0] * 100

    def test_without_embeddings_margin_takes_over(self) -> None:
        _, p, state = world(100, 3)
        for name in ("badge", "typiclust", "density", "cluster-margin"):
            found = choose(name, None, p, state)
            assert (found.name, found.front) == ("margin", 0)
            assert "there are no embeddings" in found.why
            assert found.rows.tolist() == choose("margin", None, p, state).rows.tolist()

    def test_an_embedding_that_is_not_there_after_all_is_found_out(self) -> None:
        _, p, state = world(100, 3)
        for name in ("badge", "cluster-margin"):
            found = choose(name, Vectors(100, lambda rows: None), p, state)
            assert found.name == "margin"
            assert "no embeddings" in found.why
        assert choose("margin", Vectors(100, lambda rows: None), p, state).why == ""

    def test_what_the_others_miss_is_said(self) -> None:
        vectors, p, state = world(50, 3)
        for name, change, said in (
            ("alignment", {"alignment": None}, "does not measure how well pairs fit"),
            ("committee", {"committee": {"model": p}}, "fewer than two sources"),
            ("rare", {"targets": None}, "no labels are named as rare"),
            ("activelab", {"multiple": True}, "needs one label out of several"),
        ):
            found = choose(name, Vectors.of(vectors), p, dataclasses.replace(state, **change))
            assert found.name == "margin"
            assert said in found.why


class TestOwn:
    def test_a_function_of_ones_own_gives_scores(self) -> None:
        @strategy("shortest", reason="it is short")
        def shortest(vectors: Any, probabilities: Any, state: State) -> Any:
            return np.linspace(0, 1, len(probabilities))

        _, p, state = world(10, 2)
        found = choose(shortest, None, p, state)
        assert found.rows.tolist() == list(range(9, -1, -1))
        assert (found.name, found.reason) == ("shortest", "it is short")
        assert "shortest" not in names()

    def test_or_positions_and_the_rest_follows_by_margin(self) -> None:
        @strategy("first", picks=True)
        def first(vectors: Any, probabilities: Any, state: State) -> Any:
            return [3, 1]

        _, p, state = world(10, 2)
        rows = choose(first, None, p, state).rows.tolist()
        by_margin = choose("margin", None, p, state).rows.tolist()
        assert rows == [3, 1] + [row for row in by_margin if row not in (3, 1)]

    def test_it_may_ask_for_tasks_again_but_only_for_those_that_it_may(self) -> None:
        @strategy("again")
        def again(vectors: Any, probabilities: Any, state: State) -> Any:
            return Scored(np.zeros(len(probabilities)), ("old2", "stranger", "old1", "old2"))

        _, p, state = world(10, 2)
        assert choose(again, None, p, state).again == ("old2", "old1")

    def test_it_may_give_up_and_another_stands_in(self) -> None:
        @strategy("shy")
        def shy(vectors: Any, probabilities: Any, state: State) -> Any:
            raise Unable("it is Monday")

        _, p, state = world(10, 2)
        found = choose(shy, None, p, state)
        assert (found.name, found.why) == ("margin", "'shy' cannot decide here (it is Monday): 'margin' stands in")

    def test_it_cannot_change_what_others_see(self) -> None:
        @strategy("spoiler")
        def spoiler(vectors: Any, probabilities: Any, state: State) -> Any:
            probabilities[:] = 0

        _, p, state = world(10, 2)
        before = p.copy()
        with pytest.raises(FunctionsError, match="read-only"):
            choose(spoiler, None, p, state)
        assert np.array_equal(before, p)

    @pytest.mark.parametrize(
        ("picks", "answer", "said"),
        [
            (False, [0.5], r"shape \(1,\), not \(10,\)"),
            (False, np.full(10, 7.0), "scores from 7 to 7"),
            (False, np.full(10, np.inf), "scores from inf to inf"),
            (False, np.full((10, 1), 0.5), r"shape \(10, 1\)"),
            (False, "high", "returned str, not scores"),
            (False, None, "returned NoneType, not scores"),
            (False, [[1], [1, 2]], "returned list, not scores"),
            (False, np.full(10, 1j), "not scores"),
            (True, [0, 0], "picked a candidate twice"),
            (True, [10], "picked position 10 of 10"),
            (True, [-1], "picked position -1 of 10"),
            (True, [0.5], "not positions"),
            (True, np.ones(10, bool), "not positions"),
            (True, None, "not positions"),
            (True, [[1], [1, 2]], "not positions"),
        ],
    )
    def test_nonsense_is_named(self, picks: bool, answer: Any, said: str) -> None:
        @strategy("odd", picks=picks)
        def odd(vectors: Any, probabilities: Any, state: State) -> Any:
            return answer

        _, p, state = world(10, 2)
        with pytest.raises(FunctionsError, match=said) as error:
            choose(odd, None, p, state)
        assert "'odd'" in str(error.value)
        assert "test_core_strategies_choosing.py" in error.value.where
        assert error.value.remedy

    @pytest.mark.parametrize("raised", [ZeroDivisionError("by zero"), SystemExit(3), MemoryError()])
    def test_what_it_raises_is_told_with_file_and_line(self, raised: BaseException) -> None:
        @strategy("broken")
        def broken(vectors: Any, probabilities: Any, state: State) -> Any:
            raise raised

        _, p, state = world(10, 2)
        with pytest.raises(FunctionsError, match=f"'broken' failed: {type(raised).__name__}") as error:
            choose(broken, None, p, state)
        line = broken.__code__.co_firstlineno + 2
        assert error.value.where.endswith(f"test_core_strategies_choosing.py:{line}")

    def test_a_declaration_that_cannot_work_is_refused(self) -> None:
        with pytest.raises(FunctionsError, match="three arguments"):
            strategy("short")(lambda vectors, probabilities: None)

        async def later(vectors: Any, probabilities: Any, state: Any) -> None: ...

        with pytest.raises(FunctionsError, match="not a plain function"):
            strategy("later")(later)
        with pytest.raises(FunctionsError, match="Wrap it in a `def`"):
            strategy("builtin")(max)
        with pytest.raises(FunctionsError, match="no name"):
            strategy(" ")

    def test_a_strategy_object_does_as_well(self) -> None:
        _, p, state = world(10, 2)
        made = Strategy("even", lambda vectors, probabilities, state: np.zeros(len(probabilities)))
        assert choose(made, None, p, state).rows.tolist() == np.argsort(state.chance).tolist()


def test_an_unknown_name_gets_the_nearest() -> None:
    _, p, state = world(3, 2)
    with pytest.raises(SettingsError, match="Did you mean 'margin'"):
        choose("margn", None, p, state)


@pytest.mark.parametrize("part", ["vectors", "probabilities", "covered", "uncertainty", "alignment", "committee"])
def test_arrays_of_another_length_are_refused(part: str) -> None:
    vectors, p, state = world(10, 2)
    if part == "vectors":
        vectors = vectors[:9]
    elif part == "probabilities":
        p = p[:9]
    elif part == "committee":
        state = dataclasses.replace(state, committee={"model": p[:9]})
    else:
        state = dataclasses.replace(state, **{part: np.ones(9)})
    with pytest.raises(ValueError, match=f"10 candidates but 9 entries of {part}"):
        choose("margin", Vectors.of(vectors), p, state)


@pytest.mark.parametrize("name", ALL)
def test_of_a_large_pool_few_embeddings_are_fetched(name: str) -> None:
    n = 30_000
    _, p, state = world(n, 3, size=300, batch=100)
    fetched: list[int] = []

    def fetch(rows: np.ndarray) -> np.ndarray:
        fetched.extend(rows.tolist())
        return np.random.default_rng(0).normal(size=(n, 8))[rows]

    found = choose(name, Vectors(n, fetch), p, state)
    assert sorted(found.rows.tolist()) == list(range(n))
    assert len(fetched) == len(set(fetched))
    assert len(fetched) <= 6_500


class TestVectors:
    def test_what_was_fetched_is_not_fetched_again(self) -> None:
        asked: list[list[int]] = []
        table = np.random.default_rng(0).normal(size=(20, 4))

        def fetch(rows: np.ndarray) -> np.ndarray:
            asked.append(rows.tolist())
            return table[rows]

        vectors = Vectors(20, fetch, keep=10)
        unit = table / np.linalg.norm(table, axis=1, keepdims=True)
        assert np.allclose(vectors[[3, 1, 3]], unit[[3, 1, 3]], atol=1e-6)
        assert np.allclose(vectors[np.arange(20) == 1], unit[[1]], atol=1e-6)
        assert np.allclose(vectors[1:5], unit[1:5], atol=1e-6)
        assert asked == [[3, 1], [2, 4]]
        assert np.allclose(vectors[10:18], unit[10:18], atol=1e-6)  # no room: the others are forgotten
        assert np.allclose(np.asarray(vectors), unit, atol=1e-6)
        assert [start for start, _ in vectors.blocks(8)] == [0, 8, 16]
        assert vectors[np.empty(0, np.int64)].shape == (0, 4)
        assert len(vectors) == 20

    def test_a_fetch_of_another_length_is_refused(self) -> None:
        with pytest.raises(ValueError, match="1 embeddings for 2 tasks"):
            Vectors(5, lambda rows: np.ones((1, 2)))[[0, 1]]
