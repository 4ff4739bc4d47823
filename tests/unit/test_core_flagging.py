from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.flagging import label_issues, near_duplicates, outliers
from adapter.core.heldout import HeldOut
from adapter.core.neighbours import near_pairs, unit_rows


def heldout(probabilities: np.ndarray) -> HeldOut:
    return HeldOut(probabilities.astype(np.float32), np.arange(len(probabilities)) % 5, 0)


def single(n: int, k: int, flipped: list[int], classes: int | None = None) -> tuple[np.ndarray, HeldOut, np.ndarray]:
    """Labels with some flipped ones, a model that knows the truth, and the truth. classes: labels in use."""
    rng = np.random.default_rng(0)
    truth = rng.integers(classes or k, size=n)
    sure = 0.6 + 0.35 * rng.random(n)
    sure[flipped] = 0.97
    probabilities = np.repeat(((1 - sure) / (k - 1))[:, None], k, axis=1)
    probabilities[np.arange(n), truth] = sure
    labels = truth.copy()
    labels[flipped] = (labels[flipped] + 1) % (classes or k)
    return labels, heldout(probabilities), truth


def test_flipped_labels_are_found_with_their_evidence() -> None:
    labels, held, truth = single(200, 4, [3, 50, 120])
    doubts = label_issues(labels, held, False)
    assert {doubt.index for doubt in doubts} == {3, 50, 120}
    for doubt in doubts:
        assert 0.8 < doubt.score <= 1
        assert doubt.evidence["given"] == labels[doubt.index]
        assert doubt.evidence["suggested"] == truth[doubt.index]
        assert doubt.evidence["probability"] > 0.8 > 0.2 > doubt.evidence["given_probability"]
        assert doubt.evidence["fold"] == doubt.index % 5
        json.dumps(doubt.evidence)
    assert [doubt.score for doubt in doubts] == sorted((doubt.score for doubt in doubts), reverse=True)


def test_clean_labels_raise_no_doubt() -> None:
    labels, held, _ = single(200, 3, [])
    assert label_issues(labels, held, False) == []


def test_labels_that_nobody_gave_are_borne_and_never_suggested() -> None:
    labels, held, _ = single(100, 6, [7], classes=2)
    held.probabilities[20] = [0.02, 0.02, 0.9, 0.02, 0.02, 0.02]
    doubts = label_issues(labels, held, False)
    assert 7 in {doubt.index for doubt in doubts}
    assert all(doubt.evidence["suggested"] in (0, 1) for doubt in doubts)


def test_rows_that_the_model_could_not_read_are_not_judged() -> None:
    labels, held, _ = single(100, 2, [3, 9])
    held.probabilities[9] = np.nan
    held.probabilities[10] = np.nan
    assert {doubt.index for doubt in label_issues(labels, held, False)} == {3}


@pytest.mark.parametrize("n", [0, 1, 30])
def test_one_label_in_use_cannot_be_confused(n: int) -> None:
    assert label_issues(np.zeros(n, int), heldout(np.tile([0.2, 0.8], (n, 1)).reshape(n, 2)), False) == []


def test_class_with_a_single_row_is_borne() -> None:
    labels, held, _ = single(60, 3, [5], classes=2)
    labels[0] = 2
    assert 5 in {doubt.index for doubt in label_issues(labels, held, False)}


def several() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    truth = rng.random((150, 4)) < [0.5, 0.3, 0.4, 0.0]
    sure = 0.6 + 0.35 * rng.random(truth.shape)
    sure[[4, 90]] = 0.98
    return truth, np.where(truth, sure, 1 - sure)


def test_wrong_labels_among_several_are_found() -> None:
    truth, probabilities = several()
    given_labels = truth.copy()
    given_labels[4, 0] ^= True
    given_labels[90, 2] ^= True
    doubts = label_issues(given_labels.astype(np.float32), heldout(probabilities), True)
    assert {doubt.index for doubt in doubts} == {4, 90}
    for doubt in doubts:
        assert doubt.evidence["given"] == np.flatnonzero(given_labels[doubt.index]).tolist()
        assert doubt.evidence["suggested"] == np.flatnonzero(truth[doubt.index]).tolist()
        assert 0.5 < doubt.score <= 1
        json.dumps(doubt.evidence)


def test_several_labels_none_in_use() -> None:
    assert label_issues(np.zeros((30, 3)), heldout(np.full((30, 3), 0.1)), True) == []


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="held-out"):
        label_issues(np.zeros(3, int), heldout(np.ones((4, 2)) / 2), False)
    with pytest.raises(ValueError, match="multi-hot"):
        label_issues(np.zeros((4, 3)), heldout(np.ones((4, 2)) / 2), True)
    with pytest.raises(ValueError, match="indices"):
        label_issues(np.full(4, 2), heldout(np.ones((4, 2)) / 2), False)


def cloud(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (np.eye(d)[0] + rng.normal(0, 0.1, (n, d))).astype(np.float32)


@pytest.mark.parametrize("d", [3, 16])
def test_far_row_is_an_outlier(d: int) -> None:
    vectors = cloud(120, d)
    vectors[17] = -np.eye(d)[0]
    doubts = outliers(vectors)
    assert doubts[0].index == 17
    assert doubts[0].score > 0.99
    assert doubts[0].evidence["distance"] > 10
    assert len(doubts) < 20
    json.dumps(doubts[0].evidence)


def test_rows_without_direction_and_small_or_even_data_give_no_outliers() -> None:
    vectors = cloud(60, 8)
    vectors[3], vectors[4] = 0, np.nan
    assert not {3, 4} & {doubt.index for doubt in outliers(vectors)}
    assert outliers(cloud(12, 8)) == []
    assert outliers(np.tile(np.eye(8, dtype=np.float32)[0], (50, 1))) == []
    assert outliers(np.zeros((50, 8), np.float32)) == []


def test_near_duplicates_name_the_nearest() -> None:
    vectors = np.eye(6, dtype=np.float32)
    vectors = np.concatenate([vectors, vectors[:1] + 0.1 * vectors[1:2], 3 * vectors[:1], np.zeros((2, 6))])
    doubts = {doubt.index: doubt for doubt in near_duplicates(vectors, labels=[0] * 7 + [1] * 3)}
    assert set(doubts) == {0, 6, 7}
    assert doubts[0].evidence == {"neighbour": 7, "similarity": pytest.approx(1.0), "count": 2, "same_label": False}
    assert doubts[6].evidence["neighbour"] in (0, 7)
    assert all(0.95 <= doubt.score <= 1 for doubt in doubts.values())


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(2, 5), st.integers(0, 1000), st.floats(0.5, 0.99))
def test_near_pairs_are_exactly_those_above_the_threshold(n: int, d: int, seed: int, threshold: float) -> None:
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    first, second, similar = near_pairs(vectors, threshold=threshold)
    unit, _ = unit_rows(vectors)
    exact = unit @ unit.T
    expected = {(i, j) for i in range(n) for j in range(i + 1, n) if exact[i, j] >= threshold + 1e-5}
    allowed = {(i, j) for i in range(n) for j in range(i + 1, n) if exact[i, j] >= threshold - 1e-5}
    found = set(zip(first.tolist(), second.tolist(), strict=True))
    assert expected <= found <= allowed
    np.testing.assert_allclose(similar, exact[first, second], atol=1e-5)


def test_blocks_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = cloud(70, 4)
    whole = near_pairs(vectors)
    monkeypatch.setattr("adapter.core.neighbours._CELLS", 700)
    for one, other in zip(whole, near_pairs(vectors), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
