"""The prior that the pool gives a linear head: which directions count, and that data can overrule it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.pool_prior import LEAST, UNIT, root_of
from backends.head import ERRORS_FROM, Head, _HeldOut, _worth, fit_head

SCALES = np.geomspace(1.0, 0.03, 24)


def drawn(count: int, seed: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(count, len(SCALES))) * SCALES


def head(rows: npt.NDArray[Any], gold: npt.NDArray[Any], root: Any, c: float = 3.0) -> Head:
    targets = np.eye(2)[gold.astype(int)]
    keys = [str(row) for row in range(len(rows))]
    return fit_head(rows, targets, np.ones(len(rows)), multiple=False, c=c, keys=keys, seed=0, root=root)


def right(found: Head, rows: npt.NDArray[Any], gold: npt.NDArray[Any]) -> float:
    return float((found.predict(rows).argmax(axis=1) == gold).mean())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), moved=st.floats(-3, 3), size=st.floats(0.1, 10))
def test_it_turns_with_the_data_and_bears_another_origin_and_unit(seed: int, moved: float, size: float) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(LEAST, 5)) * random.uniform(0.1, 2.0, 5)
    turn = np.linalg.qr(random.normal(size=(5, 5)))[0]
    root = root_of(rows)
    assert root is not None
    assert np.allclose(root, root.T, atol=1e-4)
    assert np.linalg.eigvalsh(root).min() >= np.sqrt(UNIT) - 1e-4
    other = root_of((rows * size + moved) @ turn)
    assert other is not None
    assert np.allclose(other, turn.T @ root @ turn, atol=2e-3)


def test_features_vary_as_much_in_all_as_before() -> None:
    rows = drawn(5_000, 1)
    root = root_of(rows)
    assert root is not None
    assert (rows @ root).var(axis=0).sum() == pytest.approx(rows.var(axis=0).sum(), rel=0.01)
    assert (rows @ root).var(axis=0)[0] > rows.var(axis=0)[0]


def test_a_small_or_even_pool_says_nothing() -> None:
    assert root_of(drawn(LEAST - 1, 2)) is None
    assert root_of(np.ones((LEAST, 4))) is None
    assert root_of(np.zeros((0, 4))) is None


def test_where_labels_follow_the_data_a_few_of_them_teach_more() -> None:
    test = drawn(4_000, 3)
    gold = test[:, 0] + test[:, 1] > 0
    root = root_of(drawn(1_000, 4))
    gains = []
    for seed in range(20):
        rows = drawn(20, 100 + seed)
        said = rows[:, 0] + rows[:, 1] > 0
        gains.append(right(head(rows, said, root), test, gold) - right(head(rows, said, None), test, gold))
    assert np.mean(gains) > 2 * np.std(gains) / np.sqrt(20) > 0


def test_where_labels_are_many_and_follow_what_hardly_varies_the_plain_head_is_taken() -> None:
    rows = drawn(1_500, 5)
    root = root_of(drawn(1_000, 6))
    said = rows[:, -1] > 0
    plain, chosen = head(rows, said, None), head(rows, said, root)
    assert chosen.temperature == plain.temperature
    assert np.array_equal(chosen.coef, plain.coef)


def test_the_prior_is_folded_into_coefficients_that_are_saved_as_ever() -> None:
    rows = drawn(30, 7)
    said = rows[:, 0] > 0
    root = root_of(drawn(1_000, 8))
    assert root is not None
    found, turned = head(rows, said, root), head(rows @ root, said, None)
    assert np.allclose(found.predict(rows), turned.predict((rows @ root).astype(np.float32)), atol=1e-5)
    again = Head.from_parts({"head": found.meta()}, found.arrays())
    assert np.array_equal(again.predict(rows), found.predict(rows))


def held(loss: float, wrong: Sequence[float]) -> _HeldOut:
    return _HeldOut(1.0, loss, np.asarray(wrong, np.float64))


def test_with_few_held_out_examples_the_loss_decides_whether_to_lean() -> None:
    same = [0.0, 1.0] * 30
    assert _worth(held(9.0, same), held(10.0, same))
    assert not _worth(held(10.0, same), held(9.0, same))


def test_with_many_fewer_errors_must_show_too() -> None:
    """Hard examples lose less under the prior even where the head is right no more often."""
    n = ERRORS_FROM
    some = np.zeros(n)
    some[:60] = 1.0
    better, hardly, worse = some.copy(), some.copy(), some.copy()
    better[:9] = 0.0
    hardly[:30], hardly[60:88] = 0.0, 1.0
    worse[60:70] = 1.0
    assert _worth(held(9.0, better.tolist()), held(10.0, some.tolist()))
    assert not _worth(held(9.0, hardly.tolist()), held(10.0, some.tolist()))
    assert not _worth(held(9.0, worse.tolist()), held(10.0, some.tolist()))
    assert not _worth(held(9.0, some.tolist()), held(10.0, some.tolist()))
