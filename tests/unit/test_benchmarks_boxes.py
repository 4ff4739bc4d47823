"""Five noisy copies of real boxes: the consensus beats every copy and a plain majority, and the errors are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.boxes import ERRORS, NOISE, measure


@pytest.mark.data
@pytest.mark.slow
def test_consensus_of_noisy_boxes_is_near_gold_and_errors_are_found(data_folder: Path) -> None:
    found = measure(data_folder, seed=1, most=60)
    assert found["images"] == 60
    assert found["lossless_round_trip"]
    scores = found["against_gold"]
    ours = scores["consensus"]
    assert ours["f1"] >= 0.98
    assert ours["mean_iou"] >= 0.94
    for other in ("naive majority of three", *(f"copy '{who}'" for who in NOISE)):
        assert ours["f1"] > scores[other]["f1"]
        assert ours["mean_iou_unmatched_0"] > scores[other]["mean_iou_unmatched_0"]
    assert max(found["skill"], key=found["skill"].get) == "careful"
    for error in ERRORS:
        assert found["errors_found"][error]["precision"] >= 0.88
        assert found["errors_found"][error]["recall"] >= 0.8
