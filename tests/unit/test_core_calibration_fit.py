"""What is fitted from labels: known temperatures are found again, noise is left alone, duplicates count once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapter.core.calibration import Calibrator, tempered
from adapter.core.calibration_blind import Labelled, calibrate, cross_fitted
from adapter.core.calibration_fit import curve, fit, fitted, row_losses, temperature


def world(n: int, true: float, seed: int = 0, k: int = 3, multiple: bool = False) -> tuple[Any, Any]:
    """Probabilities whose log odds are `true` times too large, and labels drawn from the honest ones."""
    random = np.random.default_rng(seed)
    if multiple:
        logits = random.normal(0, 2, (n, k))
        y = (random.random((n, k)) < 1 / (1 + np.exp(-logits))).astype(np.float32)
        return (1 / (1 + np.exp(-true * logits))).astype(np.float32), y
    logits = random.normal(0, 1.5, (n, k))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    said = np.exp(true * logits) / np.exp(true * logits).sum(axis=1, keepdims=True)
    labels = [random.choice(k, p=row) for row in honest]
    return said.astype(np.float32), np.eye(k, dtype=np.float32)[labels]


def fitted_to(p: Any, y: Any, multiple: bool = False, **options: Any) -> Calibrator:
    names = [str(row) for row in range(len(p))]
    return fit(p, y, np.ones(len(p)), multiple=multiple, groups=options.pop("groups", names), seed=0, **options)


@pytest.mark.parametrize("multiple", [False, True])
@pytest.mark.parametrize("true", [0.5, 2.0, 3.0])
def test_a_known_temperature_is_found_again(true: float, multiple: bool) -> None:
    p, y = world(4000, true, multiple=multiple)
    found = fitted_to(p, y, multiple)
    assert found.method == "temperature"
    assert found.parameters["temperature"] == pytest.approx(true, rel=0.1)
    assert found.n == 4000


def test_the_temperature_is_where_the_loss_is_least() -> None:
    p, y = world(200, 2.0)
    w = np.ones(200)
    best = temperature(p.astype(float), y.astype(float), w, False, 0.0)
    grid = np.exp(np.linspace(-1, 2, 601))
    losses = [row_losses(tempered(p.astype(float), t, False), y, False).sum() for t in grid]
    assert best == pytest.approx(grid[int(np.argmin(losses))], rel=0.01)


def test_few_labels_change_nothing() -> None:
    p, y = world(25, 3.0)
    assert fitted_to(p, y).method == "none"


def test_honest_probabilities_are_changed_little_if_at_all() -> None:
    for seed in range(6):
        p, y = world(300, 1.0, seed)
        found = fitted_to(p, y)
        assert found.parameters.get("temperature", 1.0) == pytest.approx(1.0, abs=0.25)
        assert found.method != "isotonic"


def bent_world(n: int, seed: int = 0) -> tuple[Any, Any]:
    """Confidence that no temperature mends: right in 62 % of cases below .8, in 97 % above."""
    random = np.random.default_rng(seed)
    sure = random.uniform(0.55, 0.98, n)
    right = random.random(n) < np.where(sure < 0.8, 0.62, 0.97)
    p = np.stack([sure, 1 - sure], axis=1).astype(np.float32)
    return p, np.eye(2, dtype=np.float32)[np.where(right, 0, 1)]


def test_isotonic_is_chosen_where_plenty_of_labels_show_that_no_temperature_does() -> None:
    found = fitted_to(*bent_world(3000))
    assert found.method == "isotonic"
    p = np.array([[0.6, 0.4], [0.75, 0.25], [0.95, 0.05]], np.float32)
    assert found.apply(p, multiple=False)[:, 0] == pytest.approx([0.62, 0.62, 0.97], abs=0.05)


def test_isotonic_is_not_tried_with_less() -> None:
    assert fitted_to(*bent_world(299)).method != "isotonic"


def test_the_isotonic_curve_rises_and_never_promises_certainty() -> None:
    p, y = bent_world(500)
    x, right = curve(p.astype(float), np.eye(2)[np.zeros(500, int)], np.ones(500), False)
    assert (np.diff(x) > 0).all()
    assert max(right) < 1
    x, right = curve(p.astype(float), y.astype(float), np.ones(500), False)
    assert (np.diff(x) > 0).all()
    assert (np.diff(right) >= 0).all()
    made = fitted("isotonic", p.astype(float), y.astype(float), np.ones(500), False, "blind sample")
    assert Calibrator.from_json(made.to_json()) == made


def test_unreadable_rows_and_rows_without_weight_are_as_if_they_were_not_there() -> None:
    p, y = world(300, 2.0)
    extra = np.full((40, 3), np.nan, np.float32)
    wrong, targets = np.tile(p[:1], (40, 1)), np.roll(y[:1], 1, axis=1).repeat(40, axis=0)
    weights = np.concatenate([np.ones(300), np.ones(40), np.zeros(40)])
    names = [str(row) for row in range(380)]
    args = np.concatenate([p, extra, wrong]), np.concatenate([y, y[:40], targets]), weights
    found = fit(*args, multiple=False, groups=names, seed=0)
    assert found == fitted_to(p, y)


def test_a_row_of_weight_two_counts_like_two_rows() -> None:
    p, y = world(100, 2.0)
    heavy = np.where(np.arange(100) < 50, 2.0, 1.0)
    twice = np.r_[np.arange(100), np.arange(50)]
    a = temperature(p.astype(float), y.astype(float), heavy / 2, False, 0.0)
    b = temperature(p[twice].astype(float), y[twice].astype(float), np.ones(150), False, 0.0)
    assert a == pytest.approx(b, rel=1e-3)


def test_the_order_of_rows_does_not_matter() -> None:
    p, y = world(200, 2.0)
    order = np.random.default_rng(1).permutation(200)
    a = fitted_to(p, y)
    b = fitted_to(p[order], y[order], groups=[str(row) for row in order])
    assert a.method == b.method
    assert a.parameters["temperature"] == pytest.approx(b.parameters["temperature"], rel=1e-3)


def test_shapes_that_do_not_fit_are_refused() -> None:
    p, y = world(40, 2.0)
    with pytest.raises(ValueError, match="do not fit"):
        fit(p, y[:30], np.ones(40), multiple=False, groups=["a"] * 40, seed=0)
    with pytest.raises(ValueError, match="do not fit"):
        fit(p, y, np.ones(40), multiple=False, groups=["a"] * 3, seed=0)


def test_all_tasks_copies_of_one_are_no_evidence() -> None:
    p, y = world(100, 3.0)
    assert fitted_to(p, y, groups=["a"] * 100).method == "none"


def labelled(p: Any, y: Any) -> Labelled:
    return Labelled(p, y, np.ones(len(p), np.float32), [str(row) for row in range(len(p))])


class TestHeldOutFoldsAndBlindSample:
    def test_without_blind_labels_the_held_out_folds_decide(self) -> None:
        held = labelled(*world(400, 2.0))
        found = calibrate(held, None, multiple=False, seed=0)
        assert found.basis == "held-out folds"
        assert found.parameters["temperature"] == pytest.approx(2.0, rel=0.3)

    def test_without_anything_nothing_is_done(self) -> None:
        assert calibrate(None, None, multiple=False, seed=0) == Calibrator()

    def test_a_tiny_blind_sample_leaves_the_held_out_temperature(self) -> None:
        held, blind = labelled(*world(400, 2.0)), labelled(*world(10, 2.0, 1))
        found = calibrate(held, blind, multiple=False, seed=0)
        assert found == calibrate(held, None, multiple=False, seed=0)

    def test_a_blind_sample_moves_it_towards_what_holds_there(self) -> None:
        held, blind = labelled(*world(400, 3.0)), labelled(*world(60, 1.0, 1))
        first = calibrate(held, None, multiple=False, seed=0).parameters["temperature"]
        alone = calibrate(None, blind, multiple=False, seed=0).parameters.get("temperature", 1.0)
        found = calibrate(held, blind, multiple=False, seed=0)
        assert found.basis == "blind sample"
        assert alone < found.parameters["temperature"] < first

    def test_no_blind_task_is_calibrated_by_what_saw_its_label(self) -> None:
        p, y = world(60, 2.0)
        before = cross_fitted(None, labelled(p, y), multiple=False, seed=0)
        for row in range(0, 60, 7):
            other = y.copy()
            other[row] = np.roll(other[row], 1)
            after = cross_fitted(None, labelled(p, other), multiple=False, seed=0)
            assert after[row].tolist() == before[row].tolist()
            assert after.tolist() != before.tolist()

    def test_cross_fitting_a_tiny_sample_uses_the_held_out_folds(self) -> None:
        held, blind = labelled(*world(400, 2.0)), labelled(*world(10, 2.0, 1))
        made = calibrate(held, None, multiple=False, seed=0)
        assert np.array_equal(
            cross_fitted(held, blind, multiple=False, seed=0), made.apply(blind.probabilities, multiple=False)
        )
