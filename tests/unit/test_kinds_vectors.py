"""Lines: likeness along their length, branches, limits."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from adapter.errors import LabelError
from adapter.kinds.base import Region
from adapter.kinds.vectors import KIND
from adapter.vocabulary import Control

CONTROL = Control("line", "vectors", "image", "Image", "image", ("road",), tag="VectorLabels")


def line(*points: tuple[float, float], joined: dict[int, int] | None = None, closed: bool = False) -> Region:
    before = {n: n - 1 for n in range(1, len(points))} | (joined or {})
    vertices: list[Any] = [
        {"id": f"v{n}", "x": x, "y": y, "prevPointId": f"v{before[n]}" if n else None}
        for n, (x, y) in enumerate(points)
    ]
    value = {"vertices": vertices, "closed": closed}
    region: Region = KIND.canonical(CONTROL, [{"labels": ["road"], "value": value}])[0]
    return region


def test_the_same_way_drawn_backwards_with_other_corners_is_the_same() -> None:
    assert KIND.overlap(line((0, 0), (80, 80)), line((80, 80), (40, 40), (20, 20), (0, 0))) == pytest.approx(1)


def test_the_share_of_length_that_runs_along_counts() -> None:
    assert KIND.overlap(line((0, 0), (80, 0)), line((0, 0), (40, 0))) == pytest.approx((40 + 40) / 120, abs=0.03)
    assert KIND.overlap(line((0, 0), (80, 0)), line((0, 30), (80, 30))) == 0


def test_branches_and_the_closing_stretch_are_part_of_it() -> None:
    chain = line((0, 0), (50, 0), (50, 50))
    star = line((0, 0), (50, 0), (50, 50), joined={2: 0})
    assert KIND.overlap(chain, star) < 0.6
    assert KIND.overlap(chain, line((0, 0), (50, 0), (50, 50), closed=True)) < 0.9


def test_fusion_is_the_line_that_the_others_agree_with_most() -> None:
    drawn = [line((0, 0), (80, 0)), line((0, 0.5), (80, 0.5)), line((0, 1.2), (80, 1.2)), line((0, 50), (80, 90))]
    assert KIND.fuse(drawn, [1, 1, 1, 1]) == drawn[1]["value"]


def test_hostile_lines_take_little_time() -> None:
    rng = np.random.default_rng(0)
    a, b = (line(*map(tuple, (rng.random((1_000, 2)) * 100).tolist())) for _ in range(2))
    started = time.perf_counter()
    assert 0 < KIND.overlap(a, b) < 1
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("points", [[], [(0, 0)] * 1_001, [(0, 101)]])
def test_too_few_too_many_and_outside_are_refused(points: Any) -> None:
    with pytest.raises(LabelError) as refused:
        line(*points)
    assert refused.value.remedy
