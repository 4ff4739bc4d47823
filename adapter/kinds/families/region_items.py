"""Region items of Label Studio's `result`, checked: between an item (hostile until proven otherwise) and a `Region`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapter.errors import LabelError, nearest
from adapter.kinds.base import Region
from adapter.vocabulary import Control, JsonObject

MOST_REGIONS = 5_000
"""Regions that one annotation may hold; Label Studio's page stops being usable long before."""
_DEEPEST = 12
_AGAIN = "Open the annotation in Label Studio and submit it again."
_PLACED = frozenset({"id", "from_name", "to_name", "type", "value", "score"})


def items_of(control: Control, result: Sequence[JsonObject]) -> Iterator[JsonObject]:
    """Yield the items of this control in an annotation's result. Raises LabelError when the result is no list."""
    if not isinstance(result, Sequence) or isinstance(result, str | bytes):
        raise LabelError("an annotation's result is no list of items", where=f"'{control.name}'", remedy=_AGAIN)
    for item in result:
        if isinstance(item, Mapping) and item.get("from_name") == control.name:
            yield item


def region_of(control: Control, item: JsonObject, label_key: str | None) -> dict[str, Any]:
    """Return an item as an unchecked region: each key in its place, the rest in the envelope.

    `to_name` is kept in the envelope only if it is not the control's first object. Raises LabelError.
    """
    value = item.get("value")
    if not isinstance(value, Mapping):
        raise LabelError(f"a region of '{control.name}' has no value", remedy=_AGAIN)
    envelope = {key: what for key, what in item.items() if key not in _PLACED}
    to_name = item.get("to_name", first_object(control))
    if to_name != first_object(control):
        envelope["to_name"] = to_name
    region: dict[str, Any] = {
        "type": item.get("type"),
        "labels": value.get(label_key, []) if label_key else [],
        "value": {key: what for key, what in value.items() if key != label_key},
        "envelope": envelope,
    }
    if item.get("id") not in (None, ""):
        region["id"] = item["id"]
    if item.get("score") is not None:
        region["score"] = item["score"]
    return region


def item_of(control: Control, region: Region, label_key: str | None) -> JsonObject:
    """Return the result item of a region; the inverse of `region_of`."""
    value = dict(region["value"])
    if label_key and (region["labels"] or region["type"] == label_key):
        value[label_key] = list(region["labels"])
    item: dict[str, Any] = {
        **region["envelope"],
        "id": region["id"],
        "from_name": control.name,
        "to_name": region["envelope"].get("to_name", first_object(control)),
        "type": region["type"],
        "value": value,
    }
    if "score" in region:
        item["score"] = region["score"]
    return item


def first_object(control: Control) -> str:
    """Return the name of the object that a control points at, the first where it points at several."""
    return control.to_name.split(",")[0].strip()


def labels_of(control: Control, labels: object) -> list[str]:
    """Return a region's labels in the config's order, each once. A config that takes its labels from task data lists
    none; then any are taken, sorted. Raises LabelError."""
    given = [labels] if isinstance(labels, str) else labels
    if not isinstance(given, list | tuple) or not all(isinstance(label, str) for label in given):
        raise LabelError(f"the labels of a region of '{control.name}' are no list of names", remedy=_AGAIN)
    if not control.labels:
        return sorted(set(given))
    for label in given:
        if label not in control.labels:
            raise LabelError(
                f"'{label[:60]}' is not a label of '{control.name}'", remedy=nearest(label, control.labels)
            )
    return [label for label in control.labels if label in given]


def score_of(control: Control, score: object) -> float:
    """Return a score as a number in 0..1. Raises LabelError."""
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise LabelError(
            f"the score of a region of '{control.name}' is {str(score)[:40]}", remedy="A score is a number in 0..1."
        )
    return float(score)


def number(
    control: Control, value: Mapping[str, Any], key: str, *, least: float = -math.inf, most: float = math.inf
) -> float:
    """Return the finite number under `key`, as it is (a whole number stays one). Raises LabelError."""
    found = value.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise LabelError(f"'{key}' of a region of '{control.name}' is no number: {str(found)[:40]!r}", remedy=_AGAIN)
    try:
        good = math.isfinite(found) and least <= found <= most
    except OverflowError:
        good = False
    if not good:
        raise LabelError(
            f"'{key}' of a region of '{control.name}' is {str(found)[:40]}, which lies outside the object",
            remedy=f"It must be a finite number{_between(least, most)}.",
        )
    return found


def whole(control: Control, value: Mapping[str, Any], key: str, *, least: int = 0, most: int = 2**53) -> int:
    """Return the whole number under `key`; 3.0 counts as 3. Raises LabelError."""
    found = number(control, value, key, least=least, most=most)
    if found != int(found):
        raise LabelError(f"'{key}' of a region of '{control.name}' is {found}, not a whole number", remedy=_AGAIN)
    return int(found)


def plain(control: Control, what: object, depth: int = 0) -> Any:
    """Return plain JSON as it is (tuples as lists), so that it survives the store. Raises LabelError for NaN,
    infinities, things that are no JSON, and nesting without end."""
    if isinstance(what, str | bool) or what is None:
        return what
    if isinstance(what, int):
        return int(what)
    if isinstance(what, float) and math.isfinite(what):
        return float(what)
    if depth < _DEEPEST:
        if isinstance(what, Mapping) and all(isinstance(key, str) for key in what):
            return {key: plain(control, inner, depth + 1) for key, inner in what.items()}
        if isinstance(what, list | tuple):
            return [plain(control, inner, depth + 1) for inner in what]
    raise LabelError(
        f"a region of '{control.name}' holds {str(what)[:40]!r}, which is no plain JSON",
        remedy="Give finite numbers, texts, lists and objects.",
    )


def content_id(region: Mapping[str, Any], taken: set[str]) -> str:
    """Return an id that follows from what a region is (type, labels, geometry), not yet `taken`."""
    content = [region["type"], region["labels"], region["value"]]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    count = 0
    while True:
        made = hashlib.sha256(f"{text}#{count}".encode("utf-8", "surrogatepass")).hexdigest()[:10]
        if made not in taken:
            return made
        count += 1


def _between(least: float, most: float) -> str:
    if math.isinf(least) and math.isinf(most):
        return ""
    if math.isinf(most):
        return f" of {least:g} or more"
    return f" up to {most:g}" if math.isinf(least) else f" from {least:g} to {most:g}"
