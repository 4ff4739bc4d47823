"""Calibrating a candidate: on the blind sample, measured by cross-fitting, in words for status."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adapter.core.calibration_blind import Labelled
from adapter.core.heldout import HeldOut
from adapter.stages.calibrate import calibrated, calibrated_control, decided, reading
from adapter.vocabulary import Control, Task

ONE = Control("topic", "choices", "text", "Text", "text", ("a", "b", "c"), tag="Choices", fields=("text",))
MANY = Control(
    "tags",
    "choices",
    "text",
    "Text",
    "text",
    ("x", "y"),
    multiple=True,
    required=False,
    tag="Choices",
    fields=("text",),
)


def overconfident(n: int, seed: int, by: float = 3.0) -> tuple[Any, list[tuple[str, ...]]]:
    """Probabilities (n, 3) whose log odds are too large, and labels drawn from the honest ones."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.2, (n, 3))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    said = np.exp(by * logits) / np.exp(by * logits).sum(axis=1, keepdims=True)
    return said.astype(np.float32), [(ONE.labels[random.choice(3, p=row)],) for row in honest]


def names(n: int, start: int = 0) -> list[str]:
    return [str(row) for row in range(start, start + n)]


def test_the_error_falls_on_the_blind_sample_and_the_sentence_says_what_confidence_means() -> None:
    p, truth = overconfident(250, 0)
    found = calibrated_control(ONE, None, p, truth, names(250), seed=0)
    assert found.calibrator.basis == "blind sample"
    assert found.calibrator.parameters["temperature"] == pytest.approx(3.0, rel=0.3)
    assert found.before.value > 0.15 > 0.08 > found.after.value
    assert found.before.lower > 0.1
    assert found.after.lower < 0.03
    assert found.after.n == 250
    sentence = found.sentence()
    assert sentence.startswith("confidence of .")
    assert "means right in ." in sentence
    assert "250 blind tasks" in sentence
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["sentence"] == sentence


def test_the_error_afterwards_comes_from_calibrators_that_did_not_see_the_task() -> None:
    p, truth = overconfident(60, 1)
    found = calibrated_control(ONE, None, p, truth, names(60), seed=0)
    seen = found.calibrator.apply(p, multiple=False)
    assert found.after.plain != pytest.approx(
        decided_error(seen, truth), abs=1e-6
    )  # in-sample is another, flattering figure


def decided_error(p: Any, truth: Any) -> float:
    from adapter.core.calibration_error import expected_calibration_error

    return expected_calibration_error(*decided(ONE, p, truth)).plain


def test_without_blind_labels_the_held_out_folds_calibrate_and_nothing_is_claimed() -> None:
    p, truth = overconfident(300, 2)
    targets = np.eye(3, dtype=np.float32)[[ONE.labels.index(value[0]) for value in truth]]
    held = Labelled(p, targets, np.ones(300, np.float32), names(300))
    found = calibrated_control(ONE, held, np.zeros((0, 3), np.float32), [], [], seed=0)
    assert found.calibrator.basis == "held-out folds"
    assert found.calibrator.method == "temperature"
    assert found.reading is None
    assert "no blind labels yet" in found.sentence()
    assert found.to_json()["after"]["value"] is None


def test_several_labels_are_measured_by_the_whole_answer() -> None:
    random = np.random.default_rng(0)
    p = random.random((80, 2)).astype(np.float32)
    truth = [tuple(np.array(MANY.labels)[random.random(2) < row]) for row in p]
    confidence, right = decided(MANY, p, truth)
    assert confidence == pytest.approx(np.maximum(p, 1 - p).prod(axis=1), abs=1e-6)
    assert right.tolist() == [
        tuple(np.array(MANY.labels)[row >= 0.5]) == value for row, value in zip(p, truth, strict=True)
    ]
    found = calibrated_control(MANY, None, p, truth, names(80), seed=0)
    assert found.after.n == 80


def test_tasks_that_cannot_be_predicted_are_no_evidence() -> None:
    p, truth = overconfident(60, 3)
    p[:10] = np.nan
    found = calibrated_control(ONE, None, p, truth, names(60), seed=0)
    assert found.calibrator.n == 50
    assert found.after.n == 50


def test_a_confidence_is_read_near_nine_tenths_or_on_the_whole() -> None:
    confidence = np.array([0.9] * 20 + [0.5] * 20)
    right = np.array([True] * 15 + [False] * 25)
    near = reading(confidence, right)
    assert near is not None
    assert near.said == pytest.approx(0.9)
    assert (near.right, near.n) == (0.75, 20)
    whole = reading(confidence[15:], right[15:])
    assert whole is not None
    assert whole.n == 25
    assert reading(np.empty(0), np.empty(0, bool)) is None


def task(name: str, blind: bool) -> Task:
    return SimpleNamespace(id=name, blind=blind, duplicate_of=None, data={"text": name})  # type: ignore[return-value]


def test_every_control_with_probabilities_is_calibrated() -> None:
    from adapter.stages.train_jobs import Gold

    p, truth = overconfident(120, 4)
    q, answers = overconfident(90, 5)
    gold = {
        "topic": Gold(
            tuple((task(f"t{row}", False), value, 1.0) for row, value in enumerate(truth)),
            tuple((task(f"b{row}", True), value) for row, value in enumerate(answers)),
        )
    }
    result = SimpleNamespace(gate_predictions={"topic": q}, heldout={"topic": HeldOut(p, np.zeros(120, np.int64), 0)})
    project = SimpleNamespace(learned=(ONE, MANY), settings=SimpleNamespace(train=SimpleNamespace(seed=0)))
    found = calibrated(project, result, gold)  # type: ignore[arg-type]
    assert list(found) == ["topic"]
    assert found["topic"].calibrator.n == 90
    assert found["topic"].after.value < found["topic"].before.value
