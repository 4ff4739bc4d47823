from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.kinds import kinds
from adapter.kinds.timeline import KIND, frames
from adapter.vocabulary import Control, Value

LABELS = ("run", "jump")
CONTROL = Control("moves", "timeline", "video", "Video", "video", LABELS, tag="TimelineLabels")
RANGES = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)), min_size=1, max_size=3)
MARKS = st.lists(st.tuples(RANGES, st.sampled_from(LABELS)), max_size=4)


def mark(label: str, *ranges: tuple[int, int]) -> dict[str, Any]:
    value = {"ranges": [{"start": start, "end": end} for start, end in ranges], "timelinelabels": [label]}
    return {"from_name": "moves", "to_name": "video", "type": "timelinelabels", "value": value}


def value(*marks: dict[str, Any]) -> Value:
    return KIND.read(CONTROL, marks)


VALUES = MARKS.map(lambda drawn: value(*(mark(label, *((s, s + n) for s, n in ranges)) for ranges, label in drawn)))


def test_it_is_found_as_a_kind() -> None:
    assert kinds()["timeline"] is KIND


def test_both_ends_are_included() -> None:
    [a], [b] = value(mark("run", (1, 10))), value(mark("run", (10, 19)))
    assert KIND.overlap(a, b) == pytest.approx(1 / 19)


def test_ranges_that_touch_or_overlap_are_one_run() -> None:
    [region] = value(mark("run", (5, 8), (1, 4), (7, 9), (20, 20)))
    assert frames(region) == [(0, 9), (19, 20)]
    assert region["value"]["ranges"][0] == {"start": 5, "end": 8}
    assert KIND.where(region) == "in frames 1-9, 20"


def test_several_ranges_are_compared_frame_by_frame() -> None:
    [a], [b] = value(mark("run", (1, 10), (21, 30))), value(mark("run", (6, 25)))
    assert KIND.overlap(a, b) == pytest.approx(10 / 30)


def test_the_consensus_holds_the_frames_that_half_the_weight_is_on() -> None:
    marks = [*value(mark("run", (1, 10))), *value(mark("run", (5, 14))), *value(mark("run", (8, 20)))]
    assert KIND.fuse(marks, [1, 1, 1]) == {"ranges": [{"start": 5, "end": 14}]}
    assert KIND.fuse(marks[::-1], [1, 1, 1]) == KIND.fuse(marks, [1, 1, 1])
    assert KIND.fuse(marks, [0, 0, 0]) == KIND.fuse(marks, [1, 1, 1])


def test_without_a_common_frame_the_heaviest_stands() -> None:
    marks = [*value(mark("run", (1, 2))), *value(mark("run", (5, 6))), *value(mark("run", (9, 9)))]
    assert KIND.fuse(marks, [1, 1.2, 1]) == {"ranges": [{"start": 5, "end": 6}]}


def test_units_are_runs_of_frames() -> None:
    units = KIND.units(CONTROL, {"ann": value(mark("run", (3, 6))), "bob": value(mark("run", (5, 6)))})
    assert [(dict(unit.codes), unit.weight) for unit in units] == [
        ({"ann": "", "bob": ""}, 2.0),
        ({"ann": "run", "bob": ""}, 2.0),
        ({"ann": "run", "bob": "run"}, 2.0),
    ]


@given(VALUES, VALUES)
def test_distance_is_symmetric(a: Value, b: Value) -> None:
    assert KIND.distance(CONTROL, a, b) == pytest.approx(KIND.distance(CONTROL, b, a))
    assert KIND.distance(CONTROL, a, a) == pytest.approx(0.0)


@given(VALUES)
def test_round_trip(a: Value) -> None:
    assert KIND.read(CONTROL, KIND.write(CONTROL, a)) == a


@settings(max_examples=10, deadline=None)
@given(VALUES)
def test_label_studio_takes_what_is_written_as_a_prediction(a: Value) -> None:
    from label_studio_sdk.label_interface import LabelInterface

    config = (
        "<View><Video name='video' value='$video'/><TimelineLabels name='moves' toName='video'>"
        "<Label value='run'/><Label value='jump'/></TimelineLabels></View>"
    )
    prediction = {"result": KIND.write(CONTROL, a), "score": 0.5, "model_version": "m"}
    assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []
