from __future__ import annotations

import numpy as np
import pytest
from box_examples import box

from benchmarks.boxes import Image
from benchmarks.detection import average_precision, judge, regions


def test_average_precision_is_the_area_under_precision_and_recall() -> None:
    scores, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    # precision 1 up to recall 1/4, then 2/3 up to 2/4, and nothing for the two that are never found
    assert average_precision(scores, right, 4) == pytest.approx(1 / 4 + 2 / 3 / 4)
    assert average_precision(scores[:0], right[:0], 4) == 0.0
    assert average_precision(scores, np.ones(4, bool), 4) == 1.0


def test_a_judge_counts_hits_of_shown_boxes() -> None:
    image = Image("a", 200, 100, np.array([[20, 10, 60, 40], [100, 50, 150, 90]], float), np.array([0, 1]))
    due = regions(image)
    assert due[0]["labels"] == ["RBC"]
    assert due[0]["value"]["width"] == pytest.approx(20)
    found = [{**due[0], "score": 0.9}, {**due[1], "score": 0.3}, {**box(0, 0, 5, 5, "WBC"), "score": 0.6}]
    figures = judge([image, image], [found, None])
    assert figures["precision"] == 0.5
    assert figures["recall"] == 0.25
    assert figures["f1"] == pytest.approx(1 / 3)
    assert figures["by_label"]["RBC"]["ap50"] == 0.5
