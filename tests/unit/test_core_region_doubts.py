"""Doubts about single regions against the consensus."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.core.region_doubts import USUAL, doubts, matched, usual_overlap


def test_nothing_is_doubted_where_all_agree() -> None:
    assert doubts(np.eye(3), [["a"]] * 3, [["a"]] * 3) == []
    assert doubts(np.zeros((0, 0)), [], []) == []


def test_each_kind_of_error_is_named_with_its_region() -> None:
    # 0: fine, 1: another class, 2: drawn badly, 3: on nothing; the last of the consensus was not drawn
    overlap = [[0.9, 0, 0, 0], [0, 0.9, 0, 0], [0, 0, 0.35, 0], [0, 0, 0, 0]]
    found = doubts(
        overlap, [["a"], ["b"], ["a"], ["a"]], [["a"]] * 4, there=[1, 0.9, 0.8, 0.6], real=[1, 1, 1, 0.3], usual=0.7
    )
    by_kind = {doubt.kind: doubt for doubt in found}
    assert {kind: (doubt.mine, doubt.theirs) for kind, doubt in by_kind.items()} == {
        "wrong class": (1, 1),
        "moved": (2, 2),
        "invented": (3, None),
        "missed": (None, 3),
    }
    assert by_kind["wrong class"].score == 0.9
    assert by_kind["moved"].score == pytest.approx(0.4)
    assert by_kind["invented"].score == 0.7
    assert by_kind["missed"].score == 0.6
    assert [doubt.score for doubt in found] == sorted((doubt.score for doubt in found), reverse=True)


def test_another_class_at_another_place_is_one_missed_and_one_invented() -> None:
    assert {doubt.kind for doubt in doubts([[0.3]], [["a"]], [["b"]])} == {"missed", "invented"}


def test_shapes_without_labels_have_no_class_to_be_wrong() -> None:
    assert doubts([[0.95]], [[]], [[]]) == []


def test_what_is_usual_is_learned_and_a_few_slips_do_not_move_it() -> None:
    rng = np.random.default_rng(0)
    rough = rng.normal(0.7, 0.05, 500).clip(0, 1)
    assert usual_overlap(rough) == pytest.approx(0.55, abs=0.02)
    assert usual_overlap([*rough, *[0.1] * 40]) == pytest.approx(0.55, abs=0.04)
    assert usual_overlap(rng.normal(0.9, 0.02, 500)) == USUAL
    assert usual_overlap([0.9] * 5) == USUAL
    assert matched([[0.9, 0.1], [0.0, 0.05]], [["a"], ["a"]], [["a"], ["a"]]) == [0.9]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="fit"):
        doubts([[1.0]], [["a"]], [["a"]], there=[1, 1])
