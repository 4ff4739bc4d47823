"""Made-up values of controls: what a person might have answered. For checks of what is written against what Label
Studio accepts, and for tests; never shown as anybody's answer."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from adapter.kinds import kind_of
from adapter.kinds.base import Region, RegionKind
from adapter.vocabulary import Control, JsonObject, LabelSpace, Value

_TEXT_LENGTH = 12
_WORDS = ("river", "stone", "green", "seven", "paper", "quiet", "morning")


def samples(space: LabelSpace, seed: int, data: JsonObject) -> dict[str, Value]:
    """Return a made-up answer to every control of a label config, by its name; answers on regions and relations speak
    of the regions in it. data: the task's. The same seed gives the same answers."""
    marking = [each for each in space.controls if isinstance(kind_of(each.kind), RegionKind)]
    values = {each.name: sample(each, seed, data) for each in marking}
    for control in space.controls:
        if control.name not in values:
            near = [region for each in marking for region in values[each.name] if _hangs(control, each)]
            values[control.name] = sample(control, seed, data, regions=near)
    return {control.name: values[control.name] for control in space.controls}


def sample(control: Control, seed: int, data: JsonObject, *, regions: Sequence[Region] = ()) -> Value:
    """Return a made-up canonical value of a control. regions: what answers on regions and relations speak of."""
    kind = kind_of(control.kind)
    rng = random.Random(f"{seed} {control.name}")
    if isinstance(kind, RegionKind):
        return kind.canonical(control, _regions(control, rng, data))
    if control.inner is not None:
        inner = control.inner
        answers = [{"region": region, "value": sample(inner, rng.randrange(2**31), data)} for region in regions]
        return kind.canonical(control, answers)
    if control.kind == "relations":
        made: Any = _relations(control, rng, regions)
    elif control.kind == "ranker":
        made = _ranking(control, rng, data)
    elif control.kind == "number":
        made = _number(control, rng)
    elif control.kind == "date":
        made = _date(control, rng)
    elif control.kind == "text":
        made = [" ".join(rng.sample(_WORDS, 3))]
    else:
        made = _labels(control, rng)
    return kind.canonical(control, made)


def _hangs(control: Control, marking: Control) -> bool:
    return marking.name in control.options.get("regions", {})


def _labels(control: Control, rng: random.Random) -> Any:
    if control.kind in ("rating", "pairwise"):
        label = rng.choice(control.labels)
        return int(label) if control.kind == "rating" else label
    if not control.multiple:
        return [rng.choice(control.labels)]
    return rng.sample(control.labels, rng.randint(1, min(2, len(control.labels))))


def _number(control: Control, rng: random.Random) -> float:
    least = float(control.options.get("min") or 0)
    most = control.options.get("max")
    step = float(control.options.get("step") or 1)
    room = int((float(most) - least) / step) if most is not None else 20
    return least + step * rng.randint(0, max(room, 0))


def _date(control: Control, rng: random.Random) -> str:
    at = datetime(
        rng.randint(2001, 2024), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23), rng.randint(0, 59)
    )
    only = set(control.options.get("only") or ())
    if written := control.options.get("format"):
        return at.strftime(re.sub(r"%[-_0]", "%", str(written)))
    shapes = {"time": "%H:%M", "date": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}
    shape = next(
        (shapes[part] for part in ("date", "month", "year", "time") if only and part in only), "%Y-%m-%dT%H:%M"
    )
    return at.strftime("%Y-%m-%dT%H:%M" if {"date", "time"} <= only else shape)


def _ranking(control: Control, rng: random.Random, data: JsonObject) -> dict[str, list[str]]:
    shown = data.get(control.field)
    items = (
        [str(each["id"]) for each in shown if isinstance(each, Mapping) and "id" in each]
        if isinstance(shown, list)
        else ["1", "2", "3"]
    )
    rng.shuffle(items)
    buckets = list(control.options.get("buckets") or ()) or [control.name]
    ranked: dict[str, list[str]] = {bucket: [] for bucket in buckets}
    for item in items:
        ranked[rng.choice(buckets)].append(item)
    return ranked


def _relations(control: Control, rng: random.Random, regions: Sequence[Region]) -> list[dict[str, Any]]:
    found = []
    for one, other in itertools.pairwise(regions):
        labels = [rng.choice(control.labels)] if control.labels else []
        direction = rng.choice(["left", "right", "bi"])
        found.append({"from": one, "to": other, "direction": direction, "labels": labels})
    return found


def _regions(control: Control, rng: random.Random, data: JsonObject) -> list[dict[str, Any]]:
    """Return two made-up regions of the control's result type that do not overlap."""
    result_type, taken = control.tag.lower(), rng.sample(range(4), 2)
    made = []
    for slot in sorted(taken):
        region: dict[str, Any] = {
            "type": result_type,
            "labels": [],
            "value": _shape(control, result_type, slot, rng, data),
        }
        if control.labels:
            region["labels"] = [rng.choice(control.labels)]
        if control.object_tag in ("Image", "Pdf"):
            region["envelope"] = {"original_width": 640, "original_height": 480, "image_rotation": 0}
        made.append(region)
    return made


def _shape(control: Control, result_type: str, slot: int, rng: random.Random, data: JsonObject) -> dict[str, Any]:
    """Return Label Studio's geometry for the slot-th quarter of an object."""
    kind = result_type.removesuffix("labels")
    x, y, wide, high = 25.0 * slot + 2, float(rng.randint(0, 50)), float(rng.randint(8, 18)), float(rng.randint(8, 40))
    if kind == "":
        return _stretch(control, slot, rng, data)
    if kind in ("hypertext", "paragraph"):
        return _rich(kind, slot, data, control)
    if kind == "timeseries":
        return {"start": 10 * slot + 1, "end": 10 * slot + 6, "instant": False}
    if kind == "timeline":
        return {"ranges": [{"start": 10 * slot + 1, "end": 10 * slot + 6}]}
    if kind in ("rectangle", "ocr"):
        return {"x": x, "y": y, "width": wide, "height": high, "rotation": 0}
    if kind == "ellipse":
        return {"x": x + 9, "y": 50.0, "radiusX": wide / 2, "radiusY": high / 2, "rotation": 0}
    if kind == "polygon":
        return {"points": [[x, y], [x + wide, y], [x + wide, y + high]], "closed": True}
    if kind == "keypoint":
        return {"x": x, "y": y, "width": 0.5}
    if kind == "vector":
        return {"vertices": [_vertex(x, y, 0), _vertex(x + wide, y + high, 1)], "closed": False}
    if kind in ("brush", "magicwand"):
        return {"format": "rle", "rle": _mask(slot)}
    if kind == "bitmask":
        return {"imageDataURL": _picture(slot)}
    if kind.startswith("video"):
        return _track(x, y, wide, high)
    raise KeyError(f"there is no sample of '{result_type}'")


def _stretch(control: Control, slot: int, rng: random.Random, data: JsonObject) -> dict[str, Any]:
    """Return a stretch of text, or of sound."""
    if control.object_tag != "Text":
        return {"start": 2.5 * slot + 0.25, "end": 2.5 * slot + 0.25 + rng.randint(1, 8) / 4, "channel": 0}
    text = data.get(control.field)
    text = text if isinstance(text, str) and len(text) >= 4 else "x" * _TEXT_LENGTH
    quarter = len(text) // 4
    start = slot * quarter
    end = start + rng.randint(1, max(quarter, 1))
    return {"start": start, "end": end, "text": text[start:end]}


def _rich(kind: str, slot: int, data: JsonObject, control: Control) -> dict[str, Any]:
    """Return a stretch of hypertext, or of one paragraph of a dialogue."""
    if kind == "paragraph":
        shown = data.get(control.field)
        count = len(shown) if isinstance(shown, list) and shown else 4
        at = str(min(slot, count - 1))
        return {"start": at, "end": at, "startOffset": slot, "endOffset": slot + 1}
    path = "/div[1]/p[1]/text()[1]"
    begin, end = 10 * slot, 10 * slot + 5
    return {
        "start": path,
        "end": path,
        "startOffset": begin,
        "endOffset": end,
        "globalOffsets": {"start": begin, "end": end},
    }


def _vertex(x: float, y: float, number: int) -> dict[str, Any]:
    return {
        "id": f"v{number}",
        "x": x,
        "y": y,
        "prevPointId": f"v{number - 1}" if number else None,
        "isBezier": False,
    }


def _mask(slot: int) -> list[int]:
    """Return the run-length code, as Label Studio's page writes it, of a bar in a picture of 640 x 480."""
    import numpy as np
    from label_studio_sdk.converter.brush import mask2rle

    mask = np.zeros((480, 640), np.uint8)
    mask[100:200, 160 * slot : 160 * slot + 90] = 255
    return [int(number) for number in mask2rle(mask)]


def _picture(slot: int) -> str:
    """Return a small PNG with a bar in it, as a data URL."""
    import base64
    import struct
    import zlib

    rows = b"".join(b"\0" + bytes(255 if x // 4 == slot else 0 for x in range(16)) for _ in range(12))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 16, 12, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _track(x: float, y: float, wide: float, high: float) -> dict[str, Any]:
    frames = [
        {"frame": frame, "time": frame / 25, "enabled": enabled, "x": x + shift, "y": y}
        | {"width": wide, "height": high, "rotation": 0}
        for frame, shift, enabled in ((1, 0.0, True), (20, 3.0, True), (40, 5.0, False))
    ]
    return {"framesCount": 100, "duration": 4.0, "sequence": frames}
