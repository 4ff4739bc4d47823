"""Answers while a person works on a task: regions that they may want beside those they have drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adapter.errors import LabelError
from adapter.kinds import kind_of
from adapter.kinds.base import RegionKind
from adapter.kinds.families import region_items
from adapter.kinds.families.spread import spread
from adapter.vocabulary import Control, JsonObject, LabelSpace

MOST_DRAWN = 1_000
Suggest = Callable[[str, JsonObject, Sequence[JsonObject]], list[JsonObject] | None]
"""Control, example, regions drawn so far (the newest last) to further regions; None where no model does that."""


def suggestions(
    space: LabelSpace, data: JsonObject, context: JsonObject, suggest: Suggest | None
) -> tuple[list[JsonObject], float]:
    """Return result items for the control that the newest drawn region belongs to, and the least score among them.

    context: as Label Studio sends it, hostile: `result` holds the items on the page. suggest: the model's; None for
    tasks on which no model may speak. A span of text is spread to the same words elsewhere in the document by itself.
    Items that do not fit their control are passed over; without any that does there is nothing to suggest.
    """
    items = context.get("result")
    if not isinstance(items, list) or not items:
        return [], 0.0
    items = [item for item in items[-MOST_DRAWN:] if isinstance(item, dict)]
    newest = next((item for item in reversed(items) if _control(space, item) is not None), None)
    control = _control(space, newest) if newest is not None else None
    if control is None:
        return [], 0.0
    drawn = _drawn(control, items)
    if not drawn:
        return [], 0.0
    found = list(suggest(control.name, data, drawn) or ()) if suggest is not None else []
    text = data.get(control.field)
    if control.object_tag == "Text" and isinstance(text, str):
        found += spread(text, drawn)
    kind = kind_of(control.kind)
    kept: list[JsonObject] = []
    seen = [dict(region["value"]) for region in drawn]
    for region in found:
        try:
            (checked,) = kind.canonical(control, [region])
        except (LabelError, ValueError):
            continue
        place = {key: value for key, value in checked["value"].items() if key != "text"}
        if not any(all(other.get(key) == value for key, value in place.items()) for other in seen):
            seen.append(place)
            kept.append(checked)
    score = min((float(region.get("score", 1.0)) for region in kept), default=0.0)
    return [item for region in kept for item in kind.write(control, [region])], score


def _control(space: LabelSpace, item: JsonObject) -> Control | None:
    """Return the control of regions that an item belongs to; None for any other item."""
    for control in space.controls:
        if control.name == item.get("from_name") and isinstance(kind_of(control.kind), RegionKind):
            return control
    return None


def _drawn(control: Control, items: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the control's regions in the order in which they were drawn; broken ones are left out."""
    kind = kind_of(control.kind)
    key = getattr(kind, "label_key", {}).get(control.tag)
    drawn: list[JsonObject] = []
    for item in items:
        if item.get("from_name") != control.name:
            continue
        try:
            drawn += kind.canonical(control, [region_items.region_of(control, item, key)])
        except LabelError:
            continue
    return drawn
