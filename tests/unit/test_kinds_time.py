from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import LabelError
from adapter.kinds.base import Given, Tag
from adapter.kinds.time import KIND, seconds
from adapter.vocabulary import Control, Value

LABELS = ("speech", "noise")
AUDIO = Control("who", "time", "sound", "Audio", "sound", LABELS, tag="Labels")
SERIES = Control("what", "time", "ts", "TimeSeries", "ts", LABELS, tag="TimeSeriesLabels")
CONTROLS = pytest.mark.parametrize("control", [AUDIO, SERIES], ids=lambda control: control.tag)


def item(control: Control, label: str, start: Any, end: Any, **more: Any) -> dict[str, Any]:
    key = control.tag.lower()
    value = {"start": start, "end": end, **more, key: [label]}
    return {"from_name": control.name, "to_name": control.to_name, "type": key, "value": value}


def value(control: Control, *marks: tuple[Any, Any, str]) -> Value:
    return KIND.read(control, [item(control, label, start, end) for start, end, label in marks])


TIMES = st.floats(0, 100, allow_nan=False).map(lambda time: round(time, 3))


@st.composite
def items(draw: st.DrawFn, control: Control) -> dict[str, Any]:
    start, end = sorted(draw(st.tuples(TIMES, TIMES)))
    more: dict[str, Any] = {}
    if control is AUDIO:
        more = {"channel": draw(st.integers(0, 1))}
    else:
        more = {"instant": draw(st.booleans())}
        end = start if more["instant"] else end
    found = item(control, draw(st.sampled_from(LABELS)), start, end, **more)
    return {**found, "id": draw(st.uuids()).hex[:8], "original_length": 100.0}


def values(control: Control) -> st.SearchStrategy[Value]:
    unique = st.lists(items(control), max_size=4, unique_by=lambda one: one["id"])
    return unique.map(lambda found: KIND.read(control, found))


class TestCodec:
    @CONTROLS
    @given(data=st.data())
    def test_items_survive_whole(self, control: Control, data: st.DataObject) -> None:
        drawn = data.draw(st.lists(items(control), max_size=4, unique_by=lambda one: one["id"]))
        written = KIND.write(control, KIND.read(control, drawn))
        assert sorted(written, key=lambda one: one["id"]) == sorted(drawn, key=lambda one: one["id"])
        value = KIND.read(control, drawn)
        assert KIND.canonical(control, json.loads(json.dumps(value))) == value

    @CONTROLS
    @settings(max_examples=10, deadline=None)
    @given(data=st.data())
    def test_label_studio_takes_what_is_written_as_a_prediction(self, control: Control, data: st.DataObject) -> None:
        from label_studio_sdk.label_interface import LabelInterface

        labels = "".join(f"<Label value='{label}'/>" for label in LABELS)
        config = (
            f"<View><{control.object_tag} name='{control.to_name}' value='$x'/>"
            f"<{control.tag} name='{control.name}' toName='{control.to_name}'>{labels}</{control.tag}></View>"
        )
        prediction = {"result": KIND.write(control, data.draw(values(control))), "score": 0.5, "model_version": "m"}
        assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []

    @pytest.mark.parametrize(
        ("control", "start", "end", "more"),
        [
            (AUDIO, 5, 3, {}),
            (AUDIO, -1, 3, {}),
            (AUDIO, math.nan, 3, {}),
            (AUDIO, 0, math.inf, {}),
            (AUDIO, None, 3, {}),
            (AUDIO, "0:05", 3, {}),
            (AUDIO, 0, 10**400, {}),
            (AUDIO, 0, 3, {"channel": -1}),
            (AUDIO, 0, 3, {"channel": [0]}),
            (AUDIO, 0, 3, {"channel": 0.5}),
            (SERIES, 0, 3, {"instant": True}),
            (SERIES, 0, 3, {"instant": "yes"}),
            (SERIES, "yesterday", "today", {}),
            (SERIES, "nan", 3, {}),
            (SERIES, "2024-02-01", "2024-01-01", {}),
        ],
    )
    def test_impossible_times_are_refused_with_advice(self, control: Control, start: Any, end: Any, more: Any) -> None:
        with pytest.raises(LabelError) as caught:
            KIND.read(control, [item(control, "noise", start, end, **more)])
        assert caught.value.remedy

    def test_the_config_names_the_audio(self) -> None:
        objects = {"sound": Tag("Audio", {"name": "sound", "value": "$url"})}
        tag = Tag("Labels", {"name": "who", "toName": "sound"}, (Tag("Label", {"value": "speech"}),), objects)
        assert (KIND.control(tag).kind, KIND.control(tag).field) == ("time", "url")


class TestComparison:
    def test_overlap_is_the_share_of_time(self) -> None:
        [a], [b] = value(AUDIO, (0, 4, "speech")), value(AUDIO, (2, 4, "noise"))
        assert KIND.overlap(a, b) == 0.5

    def test_channels_are_apart(self) -> None:
        left = KIND.read(AUDIO, [item(AUDIO, "speech", 0, 4, channel=0)])
        right = KIND.read(AUDIO, [item(AUDIO, "speech", 0, 4, channel=1)])
        assert KIND.overlap(left[0], right[0]) == 0.0
        assert KIND.distance(AUDIO, left, right) == 1.0

    def test_an_instant_meets_its_like(self) -> None:
        def instant(time: float) -> Value:
            return KIND.read(SERIES, [item(SERIES, "noise", time, time, instant=True)])

        assert KIND.distance(SERIES, instant(5), instant(5)) == 0.0
        assert KIND.distance(SERIES, instant(5), instant(6)) == 1.0
        assert KIND.where(instant(5)[0]) == "at 5"

    def test_dates_are_times(self) -> None:
        [a] = value(SERIES, ("2024-01-01", "2024-01-03", "noise"))
        [b] = value(SERIES, ("2024-01-02 00:00:00", "2024-01-03T00:00:00Z", "noise"))
        assert KIND.overlap(a, b) == 0.5
        assert seconds("1970-01-02") == 86_400.0
        assert seconds("12.5") == 12.5

    @CONTROLS
    @given(data=st.data())
    def test_distance_is_symmetric(self, control: Control, data: st.DataObject) -> None:
        a, b = data.draw(values(control)), data.draw(values(control))
        assert KIND.distance(control, a, b) == pytest.approx(KIND.distance(control, b, a))
        assert KIND.distance(control, a, a) == pytest.approx(0.0)
        assert 0 <= KIND.distance(control, a, b) <= 1 + 1e-9

    def test_units_of_audio_start_at_its_start_and_those_of_a_series_at_the_first_mark(self) -> None:
        audio = KIND.units(AUDIO, {"ann": value(AUDIO, (5, 7, "speech")), "bob": value(AUDIO, (5, 6, "speech"))})
        series = KIND.units(SERIES, {"ann": value(SERIES, (5, 7, "speech")), "bob": value(SERIES, (5, 6, "speech"))})
        assert [unit.weight for unit in audio] == [5.0, 1.0, 1.0]
        assert [(dict(unit.codes), unit.weight) for unit in series] == [
            ({"ann": "speech", "bob": "speech"}, 1.0),
            ({"ann": "speech", "bob": ""}, 1.0),
        ]


class TestFuse:
    def test_borders_are_weighted_medians(self) -> None:
        marks = [*value(AUDIO, (0, 10, "noise")), *value(AUDIO, (1, 11, "noise")), *value(AUDIO, (2, 30, "noise"))]
        assert KIND.fuse(marks, [1, 1, 1]) == {"start": 1, "end": 11}
        assert KIND.fuse(marks, [1, 1, 5]) == {"start": 2, "end": 30}

    def test_between_dates_lies_a_date(self) -> None:
        marks = [
            *value(SERIES, ("2024-01-01", "2024-01-05", "noise")),
            *value(SERIES, ("2024-01-03", "2024-01-05", "noise")),
        ]
        fused = KIND.fuse(marks, [1, 1])
        assert fused == {"start": "2024-01-02 00:00:00.000", "end": "2024-01-05", "instant": False}

    def test_the_order_of_marks_does_not_matter(self) -> None:
        marks = [*value(AUDIO, (0, 10, "noise")), *value(AUDIO, (3, 14, "noise"))]
        assert KIND.fuse(marks, [0.8, 0.9]) == KIND.fuse(marks[::-1], [0.9, 0.8])

    @CONTROLS
    @settings(max_examples=25, deadline=None)
    @given(data=st.data())
    def test_a_consensus_is_a_value_of_the_kind(self, control: Control, data: st.DataObject) -> None:
        votes = {"t": {who: data.draw(values(control)) for who in ("ann", "bob", "cem")}}
        merged = KIND.consensus(control, votes, Given()).merged["t"]
        value = merged.value if merged.value is not None else merged.proposal
        assert KIND.canonical(control, json.loads(json.dumps(value))) == value
