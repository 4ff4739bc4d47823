"""Labeling pages with a pre-label for each family of kinds, at places that a test can look for on the screen."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from kinds_support import TEXT

from adapter.kinds import kind_of
from adapter.label_studio.label_config import parse_label_config
from adapter.vocabulary import JsonObject, LabelSpace, Value

WIDE, HIGH = 640, 480
LONDON = TEXT.index("London")


@dataclass(frozen=True)
class Page:
    """A label config, and the answer that its pre-label gives."""

    config: str
    answers: Mapping[str, Any]

    @property
    def space(self) -> LabelSpace:
        """The config, parsed."""
        return parse_label_config(self.config)

    def values(self) -> dict[str, Value]:
        """Return the canonical value of each control."""
        return {each.name: kind_of(each.kind).canonical(each, self.answers[each.name]) for each in self.space.controls}

    def result(self) -> tuple[JsonObject, ...]:
        """Return the result of the pre-label."""
        values = self.values()
        return tuple(item for each in self.space.controls for item in kind_of(each.kind).write(each, values[each.name]))


def labels(tag: str, name: str, to: str, more: str = "") -> str:
    """Return a control with the labels `one` (magenta) and `two` (green)."""
    return (
        f'<{tag} name="{name}" toName="{to}" {more}><Label value="one" background="#e000e0"/>'
        f'<Label value="two" background="#00a000"/></{tag}>'
    )


def region(number: str, value: Mapping[str, Any], label: str = "one", **envelope: Any) -> dict[str, Any]:
    """Return a region; without a label where `label` is empty."""
    return {"id": number, "labels": [label] if label else [], "value": dict(value), "envelope": envelope}


def shape(number: str, value: Mapping[str, Any], label: str = "one") -> dict[str, Any]:
    """Return a region of a picture."""
    return region(number, value, label, original_width=WIDE, original_height=HIGH, image_rotation=0)


def _bar(x: int, y: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    mask = np.zeros((HIGH, WIDE), np.uint8)
    mask[y : y + height, x : x + width] = 255
    return mask


def _rle(mask: npt.NDArray[np.uint8]) -> dict[str, Any]:
    from label_studio_sdk.converter.brush import mask2rle

    return {"format": "rle", "rle": [int(number) for number in mask2rle(mask)]}


def _png(mask: npt.NDArray[np.uint8]) -> dict[str, str]:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return {"imageDataURL": "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()}


def _vertex(number: int, x: float, y: float) -> dict[str, Any]:
    before = f"v{number - 1}" if number else None
    return {"id": f"v{number}", "x": x, "y": y, "prevPointId": before, "isBezier": False}


ADA = region("ada", {"start": 0, "end": 12, "text": TEXT[:12]})
CITY = region("city", {"start": LONDON, "end": LONDON + 6, "text": "London"}, "two")
_PLACES = {"Ada": {**ADA, "labels": [], "type": "labels"}, "London": {**CITY, "labels": [], "type": "labels"}}
_P = "/div[1]/p[1]/text()[1]"
_FRAMES = [
    {"frame": frame, "time": frame / 24, "enabled": enabled, "rotation": 0}
    | {"x": x, "y": 20, "width": 30, "height": 40}
    for frame, x, enabled in ((1, 10, True), (20, 20, True), (40, 30, False))
]

PAGES: dict[str, Page] = {
    "spans, a relation, an answer on a span": Page(
        '<View><Header value="People and places"/><Header value="Read on"/><Text name="text" value="$text"/>'
        + labels("Labels", "mark", "text")
        + '<Relations><Relation value="lives in"/></Relations>'
        '<Choices name="sure" toName="text" perRegion="true"><Choice value="sure"/><Choice value="unsure"/></Choices>'
        "</View>",
        {
            "mark": [ADA, CITY],
            "relations": [
                {"from": _PLACES["Ada"], "to": _PLACES["London"], "direction": "right", "labels": ["lives in"]}
            ],
            "sure": [{"region": _PLACES["Ada"], "value": ["unsure"]}],
        },
    ),
    "hypertext": Page(
        '<View><HyperText name="html" value="$html"/>' + labels("HyperTextLabels", "mark", "html") + "</View>",
        {
            "mark": [
                region(
                    "h1",
                    {"start": _P, "end": _P, "startOffset": 17, "endOffset": 32}
                    | {"globalOffsets": {"start": 17, "end": 32}, "text": "Charles Babbage"},
                )
            ]
        },
    ),
    "paragraphs": Page(
        '<View><Paragraphs name="talk" value="$talk" layout="dialogue"/>'
        + labels("ParagraphLabels", "mark", "talk")
        + "</View>",
        {"mark": [region("p1", {"start": "1", "end": "1", "startOffset": 20, "endOffset": 26, "text": "engine"})]},
    ),
    "audio": Page(
        '<View><Audio name="audio" value="$audio"/>' + labels("Labels", "mark", "audio") + "</View>",
        {"mark": [region("a1", {"start": 1.0, "end": 3.0, "channel": 0})]},
    ),
    "time series": Page(
        "<View>"
        + labels("TimeSeriesLabels", "mark", "series")
        + '<TimeSeries name="series" valueType="url" value="$series" sep="," timeColumn="time" defaultWidth="100%">'
        '<Channel column="one"/></TimeSeries></View>',
        {"mark": [region("s1", {"start": 20, "end": 40, "instant": False})]},
    ),
    "pictures": Page(
        '<View><Image name="image" value="$image"/>'
        + labels("RectangleLabels", "rectangle", "image")
        + labels("EllipseLabels", "ellipse", "image")
        + labels("PolygonLabels", "polygon", "image")
        + labels("KeyPointLabels", "point", "image")
        + labels("BrushLabels", "brush", "image")
        + labels("BitmaskLabels", "bitmask", "image")
        + labels("VectorLabels", "vector", "image")
        + "</View>",
        {
            "rectangle": [shape("i1", {"x": 5, "y": 5, "width": 20, "height": 20, "rotation": 0})],
            "ellipse": [shape("i2", {"x": 45, "y": 15, "radiusX": 8, "radiusY": 10, "rotation": 0})],
            "polygon": [shape("i3", {"points": [[65, 5], [90, 5], [90, 25]], "closed": True})],
            "point": [shape("i4", {"x": 15, "y": 45, "width": 2})],
            "brush": [shape("i5", _rle(_bar(240, 190, 120, 90)))],
            "bitmask": [shape("i6", _png(_bar(440, 190, 120, 90)))],
            "vector": [shape("i7", {"vertices": [_vertex(0, 10, 75), _vertex(1, 30, 90)], "closed": False})],
        },
    ),
    "video track": Page(
        '<View><Video name="video" value="$video" frameRate="24"/><VideoRectangle name="box" toName="video"/>'
        + labels("Labels", "mark", "video")
        + "</View>",
        {"box": [region("t1", {"framesCount": 1002, "duration": 41.75, "sequence": _FRAMES})]},
    ),
    "video timeline": Page(
        '<View><Video name="video" value="$video" frameRate="24"/>'
        + labels("TimelineLabels", "mark", "video")
        + "</View>",
        {"mark": [region("t2", {"ranges": [{"start": 5, "end": 30}]})]},
    ),
    "answers": Page(
        '<View><Text name="text" value="$text"/><Text name="other" value="$other"/>'
        '<Choices name="c" toName="text"><Choice value="a"/><Choice value="b"/></Choices>'
        '<Choices name="m" toName="text" choice="multiple"><Choice value="p"/><Choice value="q"/><Choice value="r"/>'
        '</Choices><Taxonomy name="t" toName="text"><Choice value="plants"><Choice value="oak"/></Choice>'
        '<Choice value="animals"/></Taxonomy><Rating name="r" toName="text"/>'
        '<Number name="n" toName="text" step="0.5"/>'
        '<DateTime name="d" toName="text" only="date"/><TextArea name="w" toName="text"/>'
        '<Pairwise name="p" toName="text,other"/></View>',
        {
            "c": ["b"],
            "m": ["p", "r"],
            "t": ["plants / oak"],
            "r": 4,
            "n": 2.5,
            "d": "2024-05-17",
            "w": ["quiet morning river"],
            "p": "right",
        },
    ),
    "ranker": Page(
        '<View><List name="list" value="$list"/><Ranker name="rank" toName="list"><Bucket name="best" title="Best"/>'
        '<Bucket name="rest" title="Rest"/></Ranker></View>',
        {"rank": {"best": ["item3", "item1"], "rest": ["item2"]}},
    ),
}
