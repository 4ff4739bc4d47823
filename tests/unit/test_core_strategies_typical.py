"""TypiClust: large parts of the data that nobody has labelled come first, each with its most typical task."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from adapter.core.strategies import State, Vectors, choose
from adapter.core.strategies.typical import typicality

SIZES = (60, 40, 30, 20, 10)


def parts(seed: int = 0, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of five parts of the data, and which part each is of."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(len(SIZES)), SIZES)
    vectors = np.eye(8)[of] + rng.normal(0, noise, (len(of), 8))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), of


def state_of(n: int, **more: Any) -> State:
    return State(**{"size": 5, "batch": 5, "seed": 0, "chance": np.random.default_rng(9).random(n), **more})


@pytest.mark.parametrize("seed", range(5))
def test_every_part_gives_one_before_any_gives_two(seed: int) -> None:
    vectors, of = parts(seed)
    rows = choose("typiclust", Vectors.of(vectors), None, state_of(len(of), seed=seed)).rows[:5]
    assert sorted(of[rows].tolist()) == [0, 1, 2, 3, 4]
    assert of[rows].tolist() == [0, 1, 2, 3, 4]  # the largest first


def test_each_gives_its_most_typical() -> None:
    vectors, of = parts()
    rows = choose("typiclust", Vectors.of(vectors), None, state_of(len(of))).rows[:5]
    for part, row in zip(of[rows], rows, strict=True):
        members = np.flatnonzero(of == part)
        assert row == members[typicality(vectors[members]).argmax()]


def test_parts_with_labels_wait() -> None:
    vectors, of = parts()
    labelled = vectors[[0, 65]]  # one of the largest part, one of the second
    rest = np.setdiff1d(np.arange(len(of)), [0, 65])
    state = state_of(len(rest), size=3, batch=3, labelled=labelled)
    rows = rest[choose("typiclust", Vectors.of(vectors[rest]), None, state).rows[:3]]
    assert of[rows].tolist() == [2, 3, 4]


def test_a_long_order_goes_on_over_all_parts() -> None:
    vectors, of = parts()
    rows = choose("typiclust", Vectors.of(vectors), None, state_of(len(of), size=100), diversity=False).rows
    assert set(of[rows[5:50]].tolist()) == {0, 1, 2, 3, 4}
    assert sorted(rows.tolist()) == list(range(len(of)))


def test_typicality_is_one_over_the_mean_distance_to_the_nearest() -> None:
    vectors, _ = parts()
    group = vectors[:15]
    distance = np.sqrt(((group[:, None] - group[None]) ** 2).sum(axis=2))
    expected = 1 / np.sort(distance, axis=1)[:, 1:6].mean(axis=1)
    assert typicality(group, 5) == pytest.approx(expected, rel=1e-3)
    assert typicality(group[:1]).tolist() == [1.0]
    assert len(typicality(group[:2])) == 2


def test_of_plain_parts_it_picks_what_scikit_activeml_picks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skactiveml.pool import TypiClust

    vectors, of = parts(noise=0.05)
    theirs = TypiClust(random_state=1, k=20, cluster_algo_dict={"n_init": 5}).query(
        vectors, np.full(len(of), np.nan), batch_size=5
    )
    state = state_of(len(of))
    ours = choose("typiclust", Vectors.of(vectors), None, state, diversity=False).rows[:5]
    same = {int(row) for row in theirs} & set(ours.tolist())
    assert of[ours].tolist() == of[theirs].tolist() == [0, 1, 2, 3, 4]
    assert len(same) >= 4  # the fifth part has ten tasks, of which we take five neighbours and they nine
