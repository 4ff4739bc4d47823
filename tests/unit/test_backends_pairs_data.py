from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.pairs import Pairs
from benchmarks.alignment import digits, found, products, spread


@pytest.mark.data
def test_products_that_match_are_more_alike_than_others(data_folder: Path) -> None:
    figures = products(data_folder, 300, 0, "")
    assert figures["auc of the alignment"] > 0.8
    assert figures["auc of the alignment"] > figures["auc of the cosine"] + 0.05


@pytest.mark.slow
def test_wrong_captions_of_digits_are_in_the_first_fifth_of_the_queue() -> None:
    examples, wrong = digits(700, 0)
    scores = Pairs(("image", "caption"), size=16).alignment(examples)
    assert found(scores, wrong)["0.2"] >= 0.9


def test_what_is_found_is_a_share_of_the_wrong_ones() -> None:
    wrong = np.zeros(100, bool)
    wrong[:10] = True
    assert found(np.arange(100.0), wrong) == {"0.05": 0.5, "0.1": 1.0, "0.15": 1.0, "0.2": 1.0, "0.3": 1.0, "auc": 1.0}
    assert found(-np.arange(100.0), wrong)["0.3"] == 0.0


def test_an_interval_over_seeds_holds_its_mean() -> None:
    said = spread([0.9, 1.0, 0.95])
    assert said["mean"] == pytest.approx(0.95)
    # two degrees of freedom: 4.303 standard errors
    assert said["high"] - said["mean"] == pytest.approx(4.303 * 0.05 / np.sqrt(3), rel=1e-3)
    assert said["low"] == pytest.approx(2 * said["mean"] - said["high"])
