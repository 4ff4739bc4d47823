"""Label configs and task data for tests of every kind of label against the real server; media come from that server."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

from adapter.kinds.base import Tag
from adapter.label_studio.config_xml import tree, walk, without_declaration

TEXT = "Ada Lovelace met Charles Babbage in London, and they spoke of engines that compute."
HTML = "<div><p>" + "Ada Lovelace met Charles Babbage in London, and they spoke of engines." + "</p></div>"
TALK = [
    {"author": "Ada", "text": "Good evening, Mr Babbage."},
    {"author": "Charles", "text": "How do you like the engine?"},
    {"author": "Ada", "text": "It weaves algebraic patterns."},
    {"author": "Charles", "text": "So it does indeed."},
]
ITEMS = [{"id": f"item{n}", "title": f"Result {n}", "body": f"The text of result {n}."} for n in (1, 2, 3)]

_OBJECTS = {
    "Text": '<Text name="text" value="$text"/>',
    "HyperText": '<HyperText name="html" value="$html"/>',
    "Paragraphs": '<Paragraphs name="talk" value="$talk" layout="dialogue"/>',
    "Image": '<Image name="image" value="$image"/>',
    "Audio": '<Audio name="audio" value="$audio"/>',
    "TimeSeries": (
        '<TimeSeries name="series" valueType="url" value="$series" sep="," timeColumn="time">'
        '<Channel column="one" displayName="one" legend="one"/></TimeSeries>'
    ),
    "Video": '<Video name="video" value="$video" frameRate="25"/>',
    "List": '<List name="list" value="$list" title="Results"/>',
}


def _on(tag: str, controls: str) -> str:
    return f"<View>{_OBJECTS[tag]}{controls}</View>"


def _labels(tag: str, to: str, more: str = "") -> str:
    return f'<{tag} name="mark" toName="{to}" {more}><Label value="one"/><Label value="two"/></{tag}>'


_SHAPES = ("Rectangle", "Ellipse", "Polygon", "KeyPoint", "Brush", "Bitmask", "Vector")

CONFIGS: dict[str, str] = {
    "choices, single": _on("Text", '<Choices name="c" toName="text"><Choice value="a"/><Choice value="b"/></Choices>'),
    "choices, multiple": _on(
        "Text",
        '<Choices name="c" toName="text" choice="multiple"><Choice value="a" alias="A1"/><Choice value="b"/>'
        '<Choice value="ü, &amp; ß"/></Choices>',
    ),
    "taxonomy": _on(
        "Text",
        '<Taxonomy name="t" toName="text"><Choice value="plants"><Choice value="trees"><Choice value="oak"/></Choice>'
        '</Choice><Choice value="animals"/></Taxonomy>',
    ),
    "rating": _on("Text", '<Rating name="r" toName="text" maxRating="7"/>'),
    "number": _on("Text", '<Number name="n" toName="text" min="-3" max="4" step="0.5"/>'),
    "date": _on("Text", '<DateTime name="d" toName="text" only="date"/><DateTime name="e" toName="text"/>'),
    "text": _on("Text", '<TextArea name="w" toName="text" maxSubmissions="3"/>'),
    "pairwise": (
        '<View><Text name="one" value="$text"/><Text name="other" value="$second"/>'
        '<Pairwise name="p" toName="one,other"/></View>'
    ),
    "ranker": _on("List", '<Ranker name="r" toName="list"/>'),
    "ranker, buckets": _on(
        "List",
        '<Ranker name="r" toName="list"><Bucket name="best" title="Best"/><Bucket name="rest" title="Rest"/></Ranker>',
    ),
    "spans on text": _on("Text", _labels("Labels", "text")),
    "spans on hypertext": _on("HyperText", _labels("HyperTextLabels", "html")),
    "spans on paragraphs": _on("Paragraphs", _labels("ParagraphLabels", "talk")),
    "stretches of audio": _on("Audio", _labels("Labels", "audio")),
    "stretches of a time series": _on("TimeSeries", _labels("TimeSeriesLabels", "series")),
    "timeline of a video": _on("Video", _labels("TimelineLabels", "video")),
    "tracks in a video": _on("Video", '<VideoRectangle name="box" toName="video"/>' + _labels("Labels", "video")),
    **{f"{shape} with labels": _on("Image", _labels(f"{shape}Labels", "image")) for shape in _SHAPES},
    **{
        f"{shape}, labels beside": _on("Image", f'<{shape} name="shape" toName="image"/>' + _labels("Labels", "image"))
        for shape in _SHAPES
    },
    "relations": _on(
        "Text",
        _labels("Labels", "text")
        + '<Relations><Relation value="knows"/><Relation value="lives in"/></Relations>'
        + '<Choices name="sure" toName="text" perRegion="true"><Choice value="yes"/><Choice value="no"/></Choices>',
    ),
    "answers on regions": _on(
        "Image",
        _labels("RectangleLabels", "image")
        + '<TextArea name="w" toName="image" perRegion="true"/><Rating name="r" toName="image" perRegion="true"/>'
        + '<Number name="n" toName="image" perRegion="true"/><DateTime name="d" toName="image" perRegion="true"/>'
        + '<Taxonomy name="t" toName="image" perRegion="true"><Choice value="x"><Choice value="y"/></Choice>'
        + "</Taxonomy>",
    ),
}
"""A small label config for every kind and tag that is served."""


def task_data(config: str, url: str) -> dict[str, Any]:
    """Return task data for a label config: for each field that it shows, what the element that shows it can show. url:
    of the server, whose sample media are used."""
    data: dict[str, Any] = {}
    for element in walk(tree(without_declaration(config))):
        for attribute in ("value", "valueList"):
            found = re.findall(r"\$(\w+)", element.attributes.get(attribute, ""))
            for field in found:
                data.setdefault(field, _example(element, url, listed=attribute == "valueList"))
    return data


def _example(element: Tag, url: str, *, listed: bool) -> Any:
    samples = f"{url}/static/samples"
    made: dict[str, Any] = {
        "HyperText": HTML,
        "Paragraphs": _talk(element),
        "Image": [picture(), picture()] if listed else picture(),
        "Audio": f"{samples}/game.wav",
        "AudioPlus": f"{samples}/game.wav",
        "Video": f"{samples}/opossum_snow.mp4",
        "Pdf": f"{samples}/sample.pdf",
        "List": ITEMS,
        "Table": {"name": "Ada", "born": 1815},
        "TimeSeries": _series(element, url),
        "Choices": [{"value": "first"}, {"value": "second"}],
    }
    return made.get(element.name, TEXT)


def _talk(element: Tag) -> list[dict[str, str]]:
    name, text = element.attributes.get("nameKey", "author"), element.attributes.get("textKey", "text")
    return [{name: line["author"], text: line["text"]} for line in TALK]


def _series(element: Tag, url: str) -> Any:
    columns = [child.attributes["column"] for child in element.children if child.name == "Channel"]
    time = element.attributes.get("timeColumn", "time")
    if element.attributes.get("valueType") == "json":
        return {time: list(range(100)), **{column: [n % 7 for n in range(100)] for column in columns}}
    kind = element.attributes.get("timeFormat")
    dated = f"&tf={kind.replace('%', '%25').replace(' ', '+').replace(':', '%3A')}" if kind else ""
    separator = element.attributes.get("sep", ",").replace(",", "%2C")
    return f"{url}/samples/time-series.csv?time={time}&values={'%2C'.join(columns)}&sep={separator}{dated}"


def picture(colour: str = "white") -> str:
    """Return a plain picture of 640 x 480 as a data URL."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (640, 480), colour).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
