"""Answers while a person works on a task: regions that they may want beside those they have drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, cast

from adapter.core.spans.spread import spread
from adapter.errors import LabelError
from adapter.kinds import kind_of
from adapter.kinds.base import Region, RegionKind
from adapter.kinds.families import region_items
from adapter.vocabulary import Control, JsonObject, LabelSpace

MOST_DRAWN = 1_000
MOST_SUGGESTED = 300
SAME = 0.5
"""Overlap from which two regions mark one thing. Spans with a label in common do where they share any letter."""
Suggest = Callable[[str, JsonObject, Sequence[JsonObject]], list[JsonObject] | None]
"""Control, example, regions drawn so far (the newest last) to further regions; None where no model does that."""


def suggestions(
    space: LabelSpace,
    data: JsonObject,
    context: JsonObject,
    suggest: Suggest | None,
    *,
    page: Sequence[JsonObject] = (),
    known: Collection[str] = (),
    given: Collection[str] = (),
) -> tuple[list[JsonObject], float]:
    """Return result items for the control that the newest drawn region belongs to, and the least score among them.

    context: as Label Studio sends it, hostile: `result` holds the items that it says are drawn; of a text, those with
    the label of the newest. page: what else is known to be on the page, as hostile. known: ids of items that were there
    before; where all of them were, nothing was drawn but something removed or moved, and nothing is suggested. suggest:
    the model's; None for tasks on which no model may speak. given: ids of suggestions that this person had before: what
    was removed does not come back from the model. A span of text is spread to the same words elsewhere by itself.

    Items that do not fit their control are passed over; without any that does there is nothing to suggest. On a picture
    the page deletes what was drawn to ask when an answer is taken: it is repeated there, with another id.
    """
    items = _dicts(context.get("result"))
    newest = next((i for i in reversed(items) if _control(space, i) is not None and id_of(i) not in known), None)
    control = _control(space, newest) if newest is not None else None
    if newest is None or control is None:
        return [], 0.0
    asked = _drawn(control, [newest])
    if not asked:
        return [], 0.0
    mine = _drawn(control, [item for item in items if item is not newest])
    before = [region for region in _drawn(control, _dicts(page)) if not _gone(control, region, asked[0])]
    kept = list(_further(control, data, [*before, *mine, *asked], suggest, given))
    if not kept:
        return [], 0.0
    score = min(float(region.get("score", 1.0)) for region in kept)
    if control.object_tag == "Image":
        kept += [_nameless(region) for region in (*mine, *asked)]
    return kind_of(control.kind).write(control, kept), score


def id_of(item: JsonObject) -> str | None:
    """Return the id of an item, where it has one that is text."""
    found = item.get("id")
    return found if isinstance(found, str) and found else None


def _further(
    control: Control,
    data: JsonObject,
    drawn: Sequence[JsonObject],
    suggest: Suggest | None,
    given: Collection[str],
) -> Iterator[JsonObject]:
    """Yield regions beside those drawn (the newest last), each other than all before it. The words that the person has
    just marked come first: where a model says otherwise of them, it is the person who knows."""
    kind = cast(RegionKind, kind_of(control.kind))
    text = data.get(control.field)
    found: list[tuple[JsonObject, bool]] = []
    if control.object_tag == "Text" and isinstance(text, str):
        found += [(region, False) for region in spread(text, drawn)]
    if suggest is not None:
        found += [(region, True) for region in _dicts(suggest(control.name, data, drawn))]
    seen = list(cast(Sequence[Region], drawn))
    for region, of_model in found[:MOST_SUGGESTED]:
        try:
            (checked,) = kind.canonical(control, [_nameless(region)])
        except (LabelError, ValueError, TypeError):
            continue
        if of_model and checked["id"] in given:
            continue
        if not any(_one_thing(control, kind, checked, other) for other in seen):
            seen.append(checked)
            yield checked


def _nameless(region: JsonObject) -> JsonObject:
    """Return a region without its id: one that follows from its content is the same whenever it is suggested, and the
    page takes a region with an id that it has for the same one."""
    return {key: what for key, what in region.items() if key != "id"}


def _one_thing(control: Control, kind: RegionKind, a: Region, b: Region) -> bool:
    if a["value"] == b["value"]:
        return True
    share = kind.overlap(a, b)
    return share >= SAME or (share > 0 and control.object_tag != "Image" and bool({*a["labels"]} & {*b["labels"]}))


def _gone(control: Control, region: JsonObject, newest: JsonObject) -> bool:
    """Whether a region that was on the page can no longer be there: of a text, the page tells all with the label of the
    newest."""
    return control.object_tag != "Image" and bool(region["labels"] == newest["labels"])


def _dicts(items: object) -> list[dict[str, Any]]:
    if not isinstance(items, list | tuple):
        return []
    return [item for item in items[-MOST_DRAWN:] if isinstance(item, dict)]


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
