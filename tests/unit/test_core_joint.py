"""Functions and model in one consensus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.joint import PoolWeights, disagreement, fit_weights, pool

NOTHING = [np.nan, np.nan]


def rows(*values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


def test_the_pool_by_hand() -> None:
    # sqrt(.9 * .6) : sqrt(.1 * .4) = .7348 : .2
    found = pool(rows([0.9, 0.1]), rows([0.6, 0.4]), PoolWeights())
    assert found[0, 0] == pytest.approx(0.7348 / 0.9348, abs=1e-3)


def test_who_speaks_alone_is_heard_and_silence_stays_silence() -> None:
    functions, model = rows([0.9, 0.1], NOTHING, NOTHING), rows(NOTHING, [0.2, 0.8], NOTHING)
    found = pool(functions, model, PoolWeights(1.0, 0.2))
    assert np.allclose(found[:2], [[0.9, 0.1], [0.2, 0.8]])
    assert np.isnan(found[2]).all()


def test_sources_that_contradict_each_other_leave_it_open() -> None:
    found = pool(rows([0.95, 0.05]), rows([0.05, 0.95]), PoolWeights())
    assert found[0] == pytest.approx([0.5, 0.5])
    assert disagreement(rows([1.0, 0.0]), rows([0.0, 1.0]))[0] == pytest.approx(1.0)
    assert disagreement(rows([0.7, 0.3]), rows([0.7, 0.3]))[0] == pytest.approx(0.0)
    assert disagreement(rows([0.7, 0.3]), rows(NOTHING))[0] == 0


@given(
    st.lists(st.tuples(*[st.floats(0, 1, width=32) for _ in range(4)]), min_size=1, max_size=20),
    st.booleans(),
    st.floats(0, 1.5),
    st.floats(0, 1.5),
)
def test_pools_are_probabilities_and_do_not_depend_on_the_order_of_tasks(
    cells: list[tuple[float, float, float, float]], multiple: bool, a: float, b: float
) -> None:
    raw = np.array(cells, np.float32) + np.float32(1e-3)
    f, m = raw[:, :2], raw[:, 2:]
    if multiple:
        f, m = f.clip(0, 1), m.clip(0, 1)
    else:
        f, m = f / f.sum(axis=1, keepdims=True), m / m.sum(axis=1, keepdims=True)
    found = pool(f, m, PoolWeights(a, b), multiple=multiple)
    assert ((found >= 0) & (found <= 1)).all()
    if not multiple:
        assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(found[::-1], pool(f[::-1], m[::-1], PoolWeights(a, b), multiple=multiple))
    apart = disagreement(f, m, multiple=multiple)
    assert ((apart >= 0) & (apart <= 1)).all()
    assert np.allclose(apart, disagreement(m, f, multiple=multiple), atol=1e-6)


def test_weights_follow_the_evidence_and_stay_put_without_it() -> None:
    random = np.random.default_rng(3)
    truth = random.integers(2, size=400)
    targets = np.eye(2, dtype=np.float32)[truth]

    def source(accuracy: float) -> np.ndarray:
        said = np.where(random.random(400) < accuracy, truth, 1 - truth)
        return (np.eye(2)[said] * 0.7 + 0.15).astype(np.float32)

    good, noise = source(0.95), source(0.5)
    found = fit_weights(noise, good, targets, np.ones(400, np.float32))
    assert found.n == 400
    assert found.functions < 0.2 < 0.9 < found.model
    nobody = np.full((400, 2), np.nan, np.float32)
    assert fit_weights(nobody, good, targets, np.ones(400, np.float32)) == PoolWeights()
    few = fit_weights(noise[:3], good[:3], targets[:3], np.ones(3, np.float32))
    assert abs(few.model - 0.5) < 0.2


def test_sources_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        pool(rows([0.5, 0.5]), np.zeros((1, 3), np.float32), PoolWeights())
