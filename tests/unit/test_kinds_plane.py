"""What holds for every kind of mark on a picture or video: codec, Label Studio's own check, overlap, fusion, pages,
hostile values."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import LabelError
from adapter.kinds import kind_for_tag
from adapter.kinds.base import Given, Tag
from adapter.kinds.bitmask import KIND as BITMASKS
from adapter.kinds.brush import KIND as BRUSH
from adapter.kinds.families.masks import Mask
from adapter.vocabulary import Control

WIDTH, HEIGHT = 64, 48
FRAME = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
LABELS = ("cat", "dog")

percent = st.floats(0, 100, allow_subnormal=False)
turns = st.floats(0, 360, allow_subnormal=False)


@st.composite
def rectangles(draw: Any) -> dict[str, Any]:
    x, y = draw(st.floats(0, 90)), draw(st.floats(0, 90))
    sides = {"width": draw(st.floats(1, 100 - x)), "height": draw(st.floats(1, 100 - y))}
    turned = draw(st.booleans())
    return {"x": x, "y": y, **sides, "rotation": draw(turns) if turned else 0}


@st.composite
def masks(draw: Any) -> Any:
    pixels = np.zeros((HEIGHT, WIDTH), np.bool_)
    for _ in range(draw(st.integers(1, 3))):
        top, left = draw(st.integers(0, HEIGHT - 1)), draw(st.integers(0, WIDTH - 1))
        pixels[top : top + draw(st.integers(1, 30)), left : left + draw(st.integers(1, 30))] = True
    return Mask.of(pixels)


@st.composite
def tracks(draw: Any) -> dict[str, Any]:
    frames = sorted(draw(st.sets(st.integers(1, 90), min_size=1, max_size=5)))
    sequence = [
        {
            "frame": frame,
            "time": frame / 25,
            "enabled": draw(st.booleans()),
            "x": draw(st.floats(0, 90)),
            "y": draw(st.floats(0, 90)),
            "width": draw(st.floats(1, 60)),
            "height": draw(st.floats(1, 60)),
            "rotation": draw(st.sampled_from([0, 0, 30.5])),
        }
        for frame in frames
    ]
    return {"sequence": sequence, "framesCount": 100, "duration": 4.0}


ellipses = st.fixed_dictionaries(
    {"x": percent, "y": percent, "radiusX": st.floats(1, 50), "radiusY": st.floats(1, 50), "rotation": turns}
)
triangle = st.tuples(st.floats(0, 80), st.floats(0, 80), st.floats(2, 20), st.floats(2, 20)).map(
    lambda t: [[t[0], t[1]], [t[0] + t[2], t[1]], [t[0], t[1] + t[3]], [t[0] - t[2] / 9, t[1] + t[3] / 2]]
)
polygons = triangle.map(lambda t: {"points": [[abs(x), y] for x, y in t], "closed": True})
vertex = st.fixed_dictionaries({"x": percent, "y": percent})
vectors = st.lists(vertex, min_size=1, max_size=5).map(
    lambda many: {
        "vertices": [
            {"id": f"v{n}", **v, "prevPointId": f"v{n - 1}" if n else None, "isBezier": False}
            for n, v in enumerate(many)
        ],
        "closed": False,
    }
)

SHAPES: dict[str, Any] = {
    "Rectangle": rectangles(),
    "Ellipse": ellipses,
    "Polygon": polygons,
    "KeyPoint": st.fixed_dictionaries({"x": percent, "y": percent, "width": st.floats(0.1, 5)}),
    "Vector": vectors,
    "Brush": masks().map(BRUSH.painted),
    "Bitmask": masks().map(BITMASKS.painted),
    "VideoRectangle": tracks(),
}
TAGS = [tag for name in SHAPES for tag in ((name,) if name == "VideoRectangle" else (f"{name}Labels", name))]
ON_PICTURES = [tag for tag in TAGS if tag != "VideoRectangle"]


def kind_of(tag: str) -> Any:
    kind = kind_for_tag(tag)
    assert kind is not None
    return kind


def control_of(tag: str) -> Control:
    where = Tag("Video" if tag == "VideoRectangle" else "Image", {"name": "shown", "value": "$shown"})
    labels = tuple(Tag("Label", {"value": label}) for label in LABELS) if tag.endswith("Labels") else ()
    return kind_of(tag).control(Tag(tag, {"name": "mark", "toName": "shown"}, labels, {"shown": where}))


def config_of(tag: str) -> str:
    where = "Video" if tag == "VideoRectangle" else "Image"
    labels = "".join(f'<Label value="{label}"/>' for label in LABELS) if tag.endswith("Labels") else ""
    return f'<View><{where} name="shown" value="$shown"/><{tag} name="mark" toName="shown">{labels}</{tag}></View>'


def item(tag: str, shape: dict[str, Any], number: int = 0, **more: Any) -> dict[str, Any]:
    labels = {tag.lower(): [LABELS[number % 2]]} if tag.endswith("Labels") else {}
    return {
        "id": f"r{number}",
        "from_name": "mark",
        "to_name": "shown",
        "type": tag.lower(),
        "value": {**shape, **labels},
        **({} if tag == "VideoRectangle" else FRAME),
        **more,
    }


def shape_of(tag: str) -> Any:
    return SHAPES[tag.removesuffix("Labels")]


def read(tag: str, *shapes: dict[str, Any], **more: Any) -> Any:
    return kind_of(tag).read(control_of(tag), [item(tag, shape, n, **more) for n, shape in enumerate(shapes)])


@pytest.mark.parametrize("tag", TAGS)
class TestEveryTag:
    @settings(max_examples=25, deadline=None)
    @given(data=st.data())
    def test_results_survive_reading_json_and_writing(self, tag: str, data: Any) -> None:
        kind, control = kind_of(tag), control_of(tag)
        drawn = [item(tag, data.draw(shape_of(tag)), n, meta={"text": ["n"]}) for n in range(2)]
        value = kind.read(control, drawn)
        assert kind.canonical(control, json.loads(json.dumps(value))) == value
        written = kind.write(control, value)
        assert sorted(written, key=lambda one: one["id"]) == drawn
        assert kind.read(control, written) == value

    @settings(max_examples=10, deadline=None)
    @given(data=st.data())
    def test_label_studio_takes_what_is_written(self, tag: str, data: Any) -> None:
        from label_studio_sdk.label_interface import LabelInterface

        kind, control = kind_of(tag), control_of(tag)
        one, other = data.draw(shape_of(tag)), data.draw(shape_of(tag))
        first, second = (read(tag, shape)[0] for shape in (one, other))
        fused = {"labels": first["labels"], "value": kind.fuse([first, second], [2, 1]), "envelope": first["envelope"]}
        prediction = {"model_version": "v", "score": 0.5, "result": kind.write(control, [{**fused, "score": 0.7}])}
        assert LabelInterface(config_of(tag)).validate_prediction(prediction, return_errors=True) == []

    @settings(max_examples=25, deadline=None)
    @given(data=st.data())
    def test_overlap_is_symmetric_and_1_on_itself(self, tag: str, data: Any) -> None:
        kind = kind_of(tag)
        value = read(tag, data.draw(shape_of(tag)), data.draw(shape_of(tag)))
        a, b = value
        assert 0 <= kind.overlap(a, b) <= 1
        assert kind.overlap(a, b) == pytest.approx(kind.overlap(b, a), abs=1e-6)
        table = kind.overlaps(value, value)
        assert table[0, 1] == pytest.approx(kind.overlap(a, b), abs=1e-6)
        if tag != "VideoRectangle" or table[0, 0]:  # a track that is nowhere seen has no place
            assert np.diag(table) == pytest.approx([1, 1], abs=1e-6)

    @settings(max_examples=15, deadline=None)
    @given(data=st.data())
    def test_the_fusion_of_equal_marks_is_that_mark_whatever_the_order(self, tag: str, data: Any) -> None:
        kind = kind_of(tag)
        a, b, c = (read(tag, data.draw(shape_of(tag)))[0] for _ in range(3))
        assert kind.fuse([a, a, a], [0.5, 1, 2]) == a["value"]
        assert kind.fuse([a, b, c], [1, 2, 3]) == kind.fuse([c, a, b], [3, 1, 2])
        assert kind.canonical(control_of(tag), [{**a, "value": kind.fuse([a, b, c], [1, 1, 1])}])

    def test_words_name_the_place(self, tag: str) -> None:
        value = read(tag, EXAMPLES[tag.removesuffix("Labels")])
        assert " at x " in f" {kind_of(tag).describe(value[0])}"

    def test_three_equal_answers_are_the_consensus(self, tag: str) -> None:
        kind, control = kind_of(tag), control_of(tag)
        value = read(tag, EXAMPLES[tag.removesuffix("Labels")])
        merged = kind.consensus(control, {"t": {"a": value, "b": value, "c": value}}, Given()).merged["t"]
        assert [region["value"] for region in merged.value] == [region["value"] for region in value]
        assert merged.confidence > 0.95

    @pytest.mark.parametrize("wrong", [None, "x", float("nan"), float("inf"), -1e308, [], {}, True, 10**400])
    def test_nonsense_is_refused_with_advice(self, tag: str, wrong: Any) -> None:
        kind, control = kind_of(tag), control_of(tag)
        example = EXAMPLES[tag.removesuffix("Labels")]
        keys = {"Rectangle": "width", "Ellipse": "radiusX", "Polygon": "points", "KeyPoint": "x"}
        keys |= {"Vector": "vertices", "Brush": "rle", "Bitmask": "imageDataURL", "VideoRectangle": "sequence"}
        key = keys[tag.removesuffix("Labels")]
        with pytest.raises(LabelError) as refused:
            kind.read(control, [item(tag, {**example, key: wrong})])
        assert refused.value.remedy
        for value in (wrong, {**item(tag, example), "value": wrong}):
            if value not in ([], {}) and value is not None:
                with pytest.raises(LabelError):
                    kind.canonical(control, [value])


@pytest.mark.parametrize("tag", ON_PICTURES)
def test_marks_on_different_pages_or_turned_pictures_never_match(tag: str) -> None:
    kind = kind_of(tag)
    example = EXAMPLES[tag.removesuffix("Labels")]
    first, second = (read(tag, example, item_index=page) for page in (0, 1))
    assert kind.overlaps(first, second).tolist() == [[0.0]]
    turned = read(tag, example, image_rotation=90)
    assert kind.overlap(read(tag, example)[0], turned[0]) == 0.0


EXAMPLES: dict[str, dict[str, Any]] = {
    "Rectangle": {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0},
    "Ellipse": {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 30},
    "Polygon": {"points": [[10, 10], [60, 10], [60, 60]], "closed": True},
    "KeyPoint": {"x": 10, "y": 20, "width": 0.5},
    "Vector": {"vertices": [{"id": "a", "x": 1, "y": 2}, {"id": "b", "x": 50, "y": 60, "prevPointId": "a"}]},
    "Brush": BRUSH.painted(Mask.of(np.pad(np.ones((10, 12), np.bool_), ((5, 33), (7, 45))))),
    "Bitmask": BITMASKS.painted(Mask.of(np.pad(np.ones((10, 12), np.bool_), ((5, 33), (7, 45))))),
    "VideoRectangle": {
        "sequence": [{"frame": 3, "time": 0.12, "enabled": True, "x": 1, "y": 2, "width": 9, "height": 8}],
        "framesCount": 50,
        "duration": 2.0,
    },
}


def test_hostile_answers_are_refused_in_little_time() -> None:
    started = time.perf_counter()
    many = [[n % 100, n % 97] for n in range(100_000)]
    bomb = [255, 255, 255, 255, 56] + [255] * 60
    for tag, shape in (
        ("PolygonLabels", {"points": many}),
        ("VectorLabels", {"vertices": [{"x": x, "y": y} for x, y in many]}),
        ("VideoRectangle", {"sequence": [{"frame": n} for n in range(100_000)]}),
        ("BrushLabels", {"format": "rle", "rle": bomb}),
        ("BrushLabels", {"format": "rle", "rle": [0] * 2_000_000}),
        ("BitmaskLabels", {"imageDataURL": "data:image/png;base64," + "A" * 10_000_000}),
    ):
        with pytest.raises(LabelError):
            read(tag, shape)
    assert time.perf_counter() - started < 10
