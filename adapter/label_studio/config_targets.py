"""What a control of a label config points at, and which kind serves it there.

What Label Studio 1.23 writes as `to_name` for a control with several objects (`toName="a,b"`), read in its editor and
its SDK, and tried in a browser: the page makes the result with `createResult(..., self.toname)`, so it looks up one
object under the whole text `a,b`, fails, and submits an empty answer. Such controls are therefore not served; only
`<Pairwise>`, which counts as an object too, writes its own name. The SDK's `validate_prediction` accepts one of the
names between the commas, whichever, and nothing else: it is the first that we write.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from adapter.errors import LabelConfigError, UnsupportedControl, nearest
from adapter.kinds import kinds
from adapter.kinds.base import Kind, Tag
from adapter.label_studio.config_xml import KNOWN_TAGS, title
from adapter.vocabulary import Control

_FIELD = re.compile(r"\$[^\s,$\[\]{}]+")
_PART_OF_FIELD = re.compile(r"\$[^\s,$\[\]{}]+\[.*")
_WHY = {
    "Chat": "a conversation that people write is no label that two people could agree on",
    "ChatMessage": "messages that people write are no labels that two people could agree on",
    "CustomInterface": "an interface of one's own gives results of a shape that only its author knows",
    "ReactCode": "an interface of one's own gives results of a shape that only its author knows",
    "Prompt": "it asks a language model and holds no answer of a person",
    "MagicWand": "Label Studio's own check of pre-labels refuses the labels of its masks; <Brush> draws the same ones",
}


def kind_for(tag: str, object_tag: str) -> Kind | None:
    """Return the kind that serves a control tag on an object tag (`<Labels>` marks spans of a `<Text>` and stretches
    of an `<Audio>`); None if none does."""
    for kind in kinds().values():
        if tag in kind.tags:
            on = getattr(kind, "object_tags", ())  # kinds without it do not care what they point at
            if not on or object_tag in on:
                return kind
    return None


def parsed(kind: Kind, element: Tag, targets: Mapping[str, Tag]) -> Control:
    """Return the control that a kind makes of a tag, with what it points at. Raises what `Kind.control` does."""
    to_name = element.attributes["toName"]
    under = {to_name: next(iter(targets.values())), **targets}
    control = kind.control(Tag(element.name, element.attributes, element.children, under))
    fields = tuple(dict.fromkeys(_field(target) for target in targets.values()))
    first = next(iter(targets.values()))
    return dataclasses.replace(
        control, to_name=to_name, object_tag=first.name, field=fields[0], fields=fields, tag=element.name
    )


def targets_of(control: Tag, objects: Mapping[str, Tag]) -> dict[str, Tag]:
    """Return the objects that a control points at, by name. Raises LabelConfigError when it names none or one that is
    not there, UnsupportedControl when what it names shows no field of its own."""
    name, to_name = control.attributes.get("name", ""), control.attributes.get("toName", "")
    if control.name not in KNOWN_TAGS or control.name in _WHY:
        raise unknown(control, None)
    if not name:
        raise LabelConfigError(f"<{control.name}> has no name", where="label config", remedy="Add name='...'.")
    if not to_name and len(objects) == 1:
        only = next(iter(objects))
        raise UnsupportedControl(
            f"it has no toName; Label Studio's page takes '{only}', the only object, but its server refuses "
            f"predictions for it. Add toName='{only}'",
            where=title(control),
        )
    if not to_name:
        raise LabelConfigError(
            "it has no toName", where=title(control), remedy=f"Point it at an object. {_objects(to_name, objects)}"
        )
    found: dict[str, Tag] = {}
    for each in names(to_name):
        if each not in objects:
            raise LabelConfigError(
                f"toName='{each}' names no object", where=title(control), remedy=_objects(each, objects)
            )
        _require_field(control, objects[each])
        found[each] = objects[each]
    if len(names(to_name)) > 1 and control.name != "Pairwise":
        raise UnsupportedControl(
            f"it points at several objects ('{to_name}'), and Label Studio 1.23's page submits an empty answer for "
            "that; point it at one of them",
            where=title(control),
        )
    return found


def _require_field(control: Tag, target: Tag) -> None:
    value = target.attributes.get("valueList") or target.attributes.get("value", "")
    if _PART_OF_FIELD.fullmatch(value):
        raise UnsupportedControl(
            f"{title(target)} shows a part of a task field, {_clip(value)}; only whole fields are served",
            where=title(control),
        )
    if not _FIELD.fullmatch(value):
        raise LabelConfigError(
            f"{title(target)} shows no task field, but {_clip(value)}",
            where=title(control),
            remedy="Point it at an element with value='$field'.",
        )


def unknown(element: Tag, target: Tag | None) -> UnsupportedControl:
    """Return why no kind serves a tag."""
    if element.name in _WHY:
        return UnsupportedControl(_WHY[element.name], where=title(element))
    if element.name not in KNOWN_TAGS:
        return UnsupportedControl("it is no tag of Label Studio 1.23 that we know", where=title(element))
    if target is not None and any(element.name in kind.tags for kind in kinds().values()):
        return UnsupportedControl(f"<{element.name}> is not served on <{target.name}>", where=title(element))
    return UnsupportedControl(f"no kind of label serves <{element.name}> yet", where=title(element))


def names(to_name: str) -> list[str]:
    """Return the objects' names in a `toName`."""
    return [name.strip() for name in to_name.split(",")]


def _field(tag: Tag) -> str:
    return (tag.attributes.get("valueList") or tag.attributes.get("value", "")).removeprefix("$")


def _objects(to_name: str, objects: Mapping[str, Tag]) -> str:
    return nearest(to_name, objects) or "There is no object yet: add one, such as <Text name='text' value='$text'/>."


def _clip(value: str) -> str:
    if not value:
        return "nothing"
    return f"'{value}'" if len(value) <= 60 else f"'{value[:57]}...'"
