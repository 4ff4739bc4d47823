"""From the tags of a label config to our controls: which of them a kind serves, when the page shows each, and why the
others stay out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from adapter.errors import UnsupportedControl
from adapter.kinds import kind_of
from adapter.kinds.base import RegionKind, Tag
from adapter.kinds.families.answer import true
from adapter.label_studio.config_regions import merged_labels, merges, names_shapes, per_region, relations
from adapter.label_studio.config_shown import conditions
from adapter.label_studio.config_targets import kind_for, parsed, targets_of, unknown
from adapter.label_studio.config_xml import OBJECT_TAGS, is_control, title, walk, walk_with_ancestors
from adapter.vocabulary import Control, Unserved


def controls_of(root: Tag) -> tuple[tuple[Control, ...], tuple[Unserved, ...]]:
    """Return the controls of a label config that a kind serves, and the others, both in document order.

    Raises LabelConfigError for what is wrong in the config itself: a control without a name, one that names no object,
    doubled labels, ...
    """
    placed = list(walk_with_ancestors(root))
    objects = {e.attributes["name"]: e for e, _ in placed if e.name in OBJECT_TAGS and e.attributes.get("name")}
    named = {e.attributes["name"]: e for e, _ in placed if e.attributes.get("name")}
    served: dict[int, Control] = {}
    unserved: dict[int, Unserved] = {}
    later: list[tuple[int, Tag, tuple[Tag, ...]]] = []
    for place, (element, above) in enumerate(placed):
        inside = next((tag for tag in above if tag.name == "Repeater"), None)
        if element.name == "Repeater" and inside is None:
            unserved[place] = Unserved(title(element), _repeater(element))
        if inside is not None or not is_control(element):
            continue
        if true(element, "perRegion") or element.name == "Relations" or names_shapes(element, objects):
            later.append((place, element, above))  # they hang on regions, so those must be known
            continue
        try:
            control = _plain(element, objects)
            served[place] = dataclasses.replace(control, shown_when=conditions(element, above, named))
        except UnsupportedControl as refusal:
            unserved[place] = Unserved(title(element), _words(refusal))
    places = [place for place, control in served.items() if isinstance(kind_of(control.kind), RegionKind)]
    taken = set(named)
    for place, element, above in later:
        regions = [served[each] for each in places]
        try:
            if merges(element, objects):
                merged = merged_labels(element, objects, regions)
                served.update(zip(places, merged, strict=True))
                continue
            if element.name == "Relations":
                control = relations(element, regions, taken)
                taken.add(control.name)
            else:
                control = per_region(element, objects, regions)
            served[place] = dataclasses.replace(control, shown_when=conditions(element, above, named))
        except UnsupportedControl as refusal:
            unserved[place] = Unserved(title(element), _words(refusal))
    return (
        tuple(control for _, control in sorted(served.items())),
        tuple(each for _, each in sorted(unserved.items())),
    )


def _plain(element: Tag, objects: Mapping[str, Tag]) -> Control:
    """Parse a control that is asked of the whole task, or that marks regions. Raises UnsupportedControl."""
    targets = targets_of(element, objects)
    first = next(iter(targets.values()))
    kind = kind_for(element.name, first.name)
    if kind is None:
        raise unknown(element, first)
    return parsed(kind, element, targets)


def _repeater(element: Tag) -> str:
    inside = [title(each) for each in walk(element) if is_control(each)]
    named = f", here {', '.join(inside)}" if inside else ""
    return f"it makes controls and objects for each item of a list{named}; only those that every task has are served"


def _words(refusal: UnsupportedControl) -> str:
    """Return a refusal as one clause."""
    return refusal.what.rstrip(".")
