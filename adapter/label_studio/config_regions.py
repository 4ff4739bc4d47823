"""Controls that hang on regions: what is asked of each region, `<Labels>` beside bare shapes, `<Relations>`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from adapter.errors import UnsupportedControl
from adapter.kinds import kinds
from adapter.kinds.base import Tag
from adapter.kinds.families.answer import attribute
from adapter.kinds.families.region_refs import described
from adapter.label_studio.config_targets import kind_for, names, parsed, targets_of, unknown
from adapter.label_studio.config_xml import title, walk
from adapter.vocabulary import Control

PER_REGION = "per-region"
RELATIONS = "relations"
_MERGING = frozenset({"Video"})
"""Objects on which Label Studio's page writes the labels of a `<Labels>` into the region's own item, none of its own
(its editor's `mergeLabelsAndResults`)."""


def per_region(element: Tag, objects: Mapping[str, Tag], regions: Sequence[Control]) -> Control:
    """Parse a control that is asked of each region, as the control that is asked there inside one of kind
    `per-region`. options: `regions`, what is needed to read the controls whose regions they may be."""
    targets = targets_of(element, objects)
    under = [control for control in regions if set(names(control.to_name)) & set(targets)]
    if not under:
        raise _no_regions(element, targets)
    inner = _asked(element, targets)
    return dataclasses.replace(
        inner, kind=PER_REGION, tag=element.name, options={"regions": described(under)}, inner=inner
    )


def _asked(element: Tag, targets: Mapping[str, Tag]) -> Control:
    """Return what is asked of one region, as a control of its own."""
    bare = Tag(
        element.name,
        {key: value for key, value in element.attributes.items() if key.lower() != "perregion"},
        element.children,
    )
    kind = kind_for("Choices" if element.name == "Labels" else element.name, next(iter(targets.values())).name)
    if kind is None:
        raise unknown(element, next(iter(targets.values())))
    if not callable(getattr(kind, "item", None)) or not callable(getattr(kind, "value_of", None)):
        raise UnsupportedControl(f"<{element.name}> is not served on single regions", where=title(element))
    control = parsed(kind, _as_choices(bare) if element.name == "Labels" else bare, targets)
    return dataclasses.replace(control, tag=element.name)


def _no_regions(element: Tag, targets: Mapping[str, Tag]) -> UnsupportedControl:
    """Return why a control that speaks of regions has none to speak of."""
    if any(target.name == "Chat" for target in targets.values()):
        what = "it is asked of each message of a conversation, and messages are not served as regions"
    else:
        what = "it names regions" if element.name == "Labels" else "it is asked of each region"
        what += f", and no control here that is served marks any on '{element.attributes['toName']}'"
    return UnsupportedControl(what, where=title(element))


def _as_choices(element: Tag) -> Tag:
    """Return a `<Labels>` that names bare shapes as the question that it is: which of these is this region?"""
    labels = tuple(Tag("Choice", each.attributes) for each in walk(element) if each.name == "Label")
    if str(element.attributes.get("value", "")).startswith("$") and not labels:
        raise _dynamic(element)
    mode = {"choice": "multiple"} if attribute(element, "choice") == "multiple" else {}
    kept = {key: element.attributes[key] for key in ("name", "toName") if key in element.attributes}
    return Tag("Choices", {**kept, **mode}, labels)


def names_shapes(element: Tag, objects: Mapping[str, Tag]) -> bool:
    """Return whether this is a `<Labels>` that names what bare shapes mark: no kind marks regions with it by itself."""
    target = objects.get(names(element.attributes.get("toName", ""))[0])
    return (
        element.name == "Labels"
        and target is not None
        and (target.name in _MERGING or kind_for("Labels", target.name) is None)
    )


def merges(element: Tag, objects: Mapping[str, Tag]) -> bool:
    """Return whether the labels of this `<Labels>` stand in the items of the shapes beside it."""
    return names_shapes(element, objects) and objects[names(element.attributes["toName"])[0]].name in _MERGING


def merged_labels(element: Tag, objects: Mapping[str, Tag], regions: Sequence[Control]) -> list[Control]:
    """Return the controls of regions, those on the objects of this `<Labels>` with its labels: on a video there is one
    item for shape and label, so they are one control, under the name of the shape. Raises UnsupportedControl without
    any such control."""
    targets = targets_of(element, objects)
    question = _asked(element, targets)
    found = [
        dataclasses.replace(each, labels=question.labels, options={**each.options, "labels_of": question.name})
        if not each.labels and set(names(each.to_name)) & set(targets)
        else each
        for each in regions
    ]
    if found == list(regions):
        raise _no_regions(element, targets)
    return found


def relations(element: Tag, regions: Sequence[Control], taken: set[str]) -> Control:
    """Parse `<Relations>`, which names no object: relations join regions of any control. Its name is the tag's, or
    `relations`."""
    kind = kinds().get(RELATIONS)
    if kind is None:
        raise UnsupportedControl("no kind of label serves <Relations>", where=title(element))
    if not regions:
        raise UnsupportedControl("no control here that is served marks regions to relate", where=title(element))
    name = element.attributes.get("name") or RELATIONS
    if name in taken and not element.attributes.get("name"):
        raise UnsupportedControl(f"the name '{RELATIONS}' is taken; give it one of its own", where=title(element))
    control = kind.control(Tag(element.name, {**element.attributes, "name": name}, element.children))
    fields = tuple(dict.fromkeys(field for each in regions for field in each.fields))
    return dataclasses.replace(
        control,
        to_name=",".join(dict.fromkeys(each.to_name for each in regions)),
        object_tag=regions[0].object_tag,
        field=regions[0].field,
        fields=fields,
        tag=element.name,
        options={**control.options, "regions": described(regions)},
    )


def _dynamic(element: Tag) -> UnsupportedControl:
    return UnsupportedControl(
        "its labels come from task data, so every task may have other labels", where=title(element)
    )
