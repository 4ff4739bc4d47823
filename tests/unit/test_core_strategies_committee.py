"""Committees: what sources disagree on, and what few of them judge."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from adapter.core.strategies import State, choose
from adapter.core.strategies.committee import disagreement

YES, NO, HALF = [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]
SILENT = [np.nan, np.nan]


def table(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def state_of(n: int, **more: Any) -> State:
    return State(**{"size": 5, "batch": 5, "seed": 0, "chance": np.random.default_rng(9).random(n), **more})


def test_by_hand() -> None:
    found = disagreement([table(YES, YES, YES, HALF, YES), table(YES, NO, HALF, HALF, SILENT)])
    halfway = (0.5 * np.log(1 / 0.75) + 0.5 * (0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25))) / np.log(2)
    assert found == pytest.approx([0, 1, halfway, 0, np.nan], abs=1e-6, nan_ok=True)


def test_several_labels_differ_as_much_as_the_worst_of_them() -> None:
    found = disagreement([table([1.0, 0.5]), table([0.0, 0.5])], multiple=True)
    assert found == pytest.approx([1.0])


def test_it_is_scikit_activemls_mean_divergence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skactiveml.pool._query_by_committee import average_kl_divergence

    told = np.random.default_rng(0).dirichlet(np.full(4, 0.5), (3, 200))
    expected = average_kl_divergence(told.copy())
    assert disagreement(list(told)) * np.log(3) == pytest.approx(expected, abs=1e-5)


def test_where_few_speak_margin_has_its_share_of_the_order() -> None:
    rng = np.random.default_rng(0)
    n = 200
    model = rng.dirichlet(np.ones(3), n).astype(np.float32)
    functions = rng.dirichlet(np.ones(3), n).astype(np.float32)
    functions[:100] = np.nan
    state = state_of(n, committee={"model": model, "functions": functions})
    found = choose("committee", None, model, state)
    assert found.name == "committee"
    silent = found.rows < 100
    assert 35 <= silent[:100].sum() <= 65
    margin = choose("margin", None, model, state).rows
    assert found.rows[silent].tolist() == margin[margin < 100].tolist()
    told = found.rows[~silent]
    apart = disagreement([model, functions])[told]
    assert (np.diff(apart) <= 1e-6).all()


def test_where_no_two_speak_margin_decides() -> None:
    model = np.random.default_rng(0).dirichlet(np.ones(3), 20).astype(np.float32)
    state = state_of(20, committee={"model": model, "functions": np.full((20, 3), np.nan, np.float32)})
    found = choose("committee", None, model, state)
    assert found.name == "margin"
    assert "on no task do two sources judge" in found.why
