"""What a calibrator does to probabilities, and what it must never do."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.calibration import Calibrator
from adapter.errors import ModelError

TEMPERATURE = Calibrator("temperature", {"temperature": 2.0}, "blind sample", 80)
ISOTONIC = Calibrator("isotonic", {"confidence": [0.3, 0.6, 0.9], "right": [0.35, 0.4, 0.97]}, "held-out folds", 400)
EVERY = [Calibrator(), TEMPERATURE, Calibrator("temperature", {"temperature": 0.07}), ISOTONIC]


@st.composite
def rows(draw: st.DrawFn, multiple: bool = False) -> np.ndarray:
    n, k = draw(st.integers(1, 6)), draw(st.integers(2, 6))
    cells = st.floats(0, 1, width=32) if multiple else st.floats(0.0, 1e3, width=32)
    p = np.array(draw(st.lists(st.lists(cells, min_size=k, max_size=k), min_size=n, max_size=n)), np.float64)
    if not multiple:
        p[p.sum(axis=1) == 0] = 1.0
        p /= p.sum(axis=1, keepdims=True)
    return p.astype(np.float32)


class TestTemperature:
    def test_two_halves_the_log_odds(self) -> None:
        p = np.array([[0.8, 0.2]], np.float32)
        found = TEMPERATURE.apply(p, multiple=False)
        assert found[0] == pytest.approx([2 / 3, 1 / 3], abs=1e-6)  # odds 4 become odds 2

    def test_several_labels_are_scaled_each_for_itself(self) -> None:
        found = TEMPERATURE.apply(np.array([[0.8, 0.1, 0.5]], np.float32), multiple=True)
        assert found[0] == pytest.approx([2 / 3, 1 / 4, 1 / 2], abs=1e-6)  # odds 1/9 become odds 1/3

    def test_certainty_is_softened_too(self) -> None:
        found = TEMPERATURE.apply(np.array([[1.0, 0.0]], np.float32), multiple=False)
        assert 0.99 < found[0, 0] < 1.0


class TestIsotonic:
    def test_the_confidence_is_that_of_the_curve_and_the_rest_keeps_its_shape(self) -> None:
        found = ISOTONIC.apply(np.array([[0.9, 0.06, 0.04]], np.float32), multiple=False)
        assert found[0] == pytest.approx([0.97, 0.018, 0.012], abs=2e-4)

    def test_the_rest_is_flattened_where_it_would_overtake(self) -> None:
        found = ISOTONIC.apply(np.array([[0.55, 0.45, 0.0]], np.float32), multiple=False)[0]
        assert found[0] == pytest.approx(0.35 + 0.05 * 25 / 30, abs=1e-3)
        assert found[0] >= found[1] >= found[2] > 0
        assert found.sum() == pytest.approx(1, abs=1e-6)

    def test_with_two_labels_the_confidence_stays_above_one_half(self) -> None:
        found = ISOTONIC.apply(np.array([[0.45, 0.55]], np.float32), multiple=False)
        assert found.argmax() == 1
        assert found[0, 1] >= 0.5

    def test_several_labels_are_bent_by_the_confidence_of_each_cell(self) -> None:
        found = ISOTONIC.apply(np.array([[0.9, 0.1, 0.5]], np.float32), multiple=True)[0]
        assert found == pytest.approx([0.97, 0.03, 0.5], abs=2e-4)

    def test_the_order_of_tasks_survives_where_the_curve_is_flat(self) -> None:
        flat = Calibrator("isotonic", {"confidence": [0.5], "right": [0.8]})
        p = np.array([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3]], np.float32)
        found = flat.apply(p, multiple=False)[:, 0]
        assert np.argsort(found).tolist() == [0, 2, 1]


class TestWhatNeverChanges:
    @pytest.mark.parametrize("calibrator", EVERY)
    @given(p=rows())
    @settings(max_examples=40, deadline=None)
    def test_the_single_label_decided_and_that_rows_sum_to_one(self, calibrator: Calibrator, p: np.ndarray) -> None:
        found = calibrator.apply(p, multiple=False)
        assert found.dtype == np.float32
        assert (found.argmax(axis=1) == p.argmax(axis=1)).all()
        assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert (found >= 0).all()
        assert (found <= 1 + 1e-6).all()

    @pytest.mark.parametrize("calibrator", EVERY)
    @given(p=rows(multiple=True))
    @settings(max_examples=40, deadline=None)
    def test_the_side_of_one_half_on_which_each_of_several_labels_is(self, calibrator: Calibrator, p: Any) -> None:
        found = calibrator.apply(p, multiple=True)
        assert ((found >= 0.5) == (p >= 0.5)).all()
        assert ((found >= 0) & (found <= 1)).all()

    def test_near_ties_and_cells_a_rounding_error_below_one_half(self) -> None:
        half = np.nextafter(np.float32(0.5), np.float32(0))
        cool = Calibrator("temperature", {"temperature": 19.0})
        assert cool.apply(np.array([[half]], np.float32), multiple=True)[0, 0] < 0.5
        p = np.array([[0.3, np.nextafter(np.float32(0.3), np.float32(1)), 0.4 - 1e-7, 0.0]], np.float32)
        p[0, 2] = 0.1
        assert cool.apply(p, multiple=False).argmax() == 1

    @pytest.mark.parametrize("calibrator", EVERY)
    def test_rows_that_could_not_be_read(self, calibrator: Calibrator) -> None:
        p = np.array([[np.nan, np.nan], [0.7, 0.3]], np.float32)
        found = calibrator.apply(p, multiple=False)
        assert np.isnan(found[0]).all()
        assert np.isfinite(found[1]).all()

    @pytest.mark.parametrize("calibrator", EVERY)
    @pytest.mark.parametrize("shape", [(0, 3), (2, 0), (2, 1)])
    def test_the_shape_of_odd_tables(self, calibrator: Calibrator, shape: tuple[int, int]) -> None:
        assert calibrator.apply(np.ones(shape, np.float32), multiple=False).shape == shape

    def test_what_was_given(self) -> None:
        p = np.array([[0.8, 0.2]], np.float32)
        for calibrator in EVERY:
            calibrator.apply(p, multiple=False)
        assert p.tolist() == np.array([[0.8, 0.2]], np.float32).tolist()

    def test_a_vector_is_refused(self) -> None:
        with pytest.raises(ValueError, match="shape"):
            TEMPERATURE.apply(np.ones(3, np.float32), multiple=False)


class TestOnDisk:
    @pytest.mark.parametrize("calibrator", EVERY)
    def test_survives_json(self, calibrator: Calibrator) -> None:
        assert Calibrator.from_json(json.loads(json.dumps(calibrator.to_json()))) == calibrator

    @pytest.mark.parametrize(
        "change",
        [
            {"method": "pickle"},
            {"method": ["temperature"]},
            {"basis": "hope"},
            {"n": -1},
            {"n": True},
            {"n": 2.0},
            {"extra": 1},
            {"parameters": None},
            {"parameters": {}},
            {"parameters": {"temperature": 0.0}},
            {"parameters": {"temperature": -2.0}},
            {"parameters": {"temperature": "2"}},
            {"parameters": {"temperature": float("nan")}},
            {"parameters": {"temperature": float("inf")}},
            {"parameters": {"temperature": 10**400}},
            {"parameters": {"temperature": True}},
            {"parameters": {"temperature": 2.0, "more": 1}},
            {"method": "none", "parameters": {"temperature": 2.0}},
            {"method": "isotonic", "parameters": {"confidence": [], "right": []}},
            {"method": "isotonic", "parameters": {"confidence": [0.1, 0.2], "right": [0.1]}},
            {"method": "isotonic", "parameters": {"confidence": [0.2, 0.1], "right": [0.1, 0.2]}},
            {"method": "isotonic", "parameters": {"confidence": [0.1, 0.2], "right": [0.3, 0.2]}},
            {"method": "isotonic", "parameters": {"confidence": [0.1, 0.2], "right": [0.3, 1.2]}},
            {"method": "isotonic", "parameters": {"confidence": [0.1, None], "right": [0.3, 0.4]}},
            {"method": "isotonic", "parameters": {"confidence": "ab", "right": "cd"}},
            {"method": "isotonic", "parameters": {"confidence": [0.5] * 5000, "right": [0.5] * 5000}},
        ],
    )
    def test_a_file_that_we_would_not_write_is_refused_with_advice(self, change: dict[str, Any]) -> None:
        with pytest.raises(ModelError, match=r"calibration.*Train again"):
            Calibrator.from_json({**TEMPERATURE.to_json(), **change})

    @pytest.mark.parametrize("document", [None, [], "x", 3, {}, {"method": "none"}])
    def test_something_else_altogether_is_refused(self, document: Any) -> None:
        with pytest.raises(ModelError):
            Calibrator.from_json(document)
