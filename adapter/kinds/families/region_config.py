"""The control of a kind of regions, as the label config declares it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from adapter.errors import LabelConfigError, UnsupportedControl
from adapter.kinds.base import Tag
from adapter.vocabulary import Control

if TYPE_CHECKING:
    from adapter.kinds.families.regions import Regions

_VARIABLE = re.compile(r"\$[\w\[{]")


def control_of(kind: Regions, tag: Tag) -> Control:
    """Parse a control of regions. Raises LabelConfigError for no or doubled labels, UnsupportedControl for an object
    that the kind cannot mark.

    Labels that come from task data (`value="$labels"`) leave `Control.labels` empty, and any label is taken;
    `options["dynamic"]` then names the field.
    """
    name, to_name = tag.attributes.get("name", ""), tag.attributes.get("toName", "")
    where = f"<{tag.name} name='{name}'>"
    targets = [target.strip() for target in to_name.split(",") if target.strip()]
    objects = [tag.objects[target] for target in targets if target in tag.objects]
    if not objects:
        raise LabelConfigError(
            f"toName='{to_name}' names no object of the label config", where=where, remedy="Name the object it marks."
        )
    for marked in objects:
        if kind.object_tags and marked.name not in kind.object_tags:
            raise UnsupportedControl(
                f"it marks <{marked.name}>, on which no {kind.noun} of this kind can be read",
                where=where,
                remedy=f"Point it at {' or '.join(f'<{good}>' for good in kind.object_tags)}.",
            )
    dynamic = tag.attributes.get("value", "")
    labels = _labels(tag, where) if kind.label_key.get(tag.name) else ()
    if kind.label_key.get(tag.name) and not labels and not dynamic.startswith("$"):
        raise LabelConfigError("it lists no labels", where=where, remedy="Add <Label value='...'/> elements.")
    fields = tuple(dict.fromkeys(field for field in map(_field, objects) if field))
    return Control(
        name=name,
        kind=kind.name,
        to_name=to_name,
        object_tag=objects[0].name,
        field=_field(objects[0]),
        labels=labels,
        multiple=tag.attributes.get("choice", "single") == "multiple",
        required=tag.attributes.get("required", "").lower() == "true",
        tag=tag.name,
        fields=fields,
        options={**({"dynamic": dynamic.removeprefix("$")} if dynamic.startswith("$") else {}), **kind.options(tag)},
    )


def _labels(tag: Tag, where: str) -> tuple[str, ...]:
    labels: list[str] = []
    for child in _label_tags(tag):
        # Label Studio's page writes the alias into results where there is one, else the value.
        label = child.attributes.get("alias") or child.attributes.get("value", "")
        if not label.strip():
            raise LabelConfigError("a <Label> has no value", where=where, remedy="Give each <Label> a value.")
        if _VARIABLE.search(label):
            raise UnsupportedControl(
                f"the label '{label}' takes its name from task data", where=where, remedy="Write the label itself."
            )
        if label in labels:
            raise LabelConfigError(
                f"the label '{label}' is there twice", where=where, remedy="Remove or rename one of them."
            )
        labels.append(label)
    return tuple(labels)


def _label_tags(tag: Tag) -> Iterator[Tag]:
    """Yield the `Label` elements below a tag: they may be laid out with `View` and `Header`."""
    for child in tag.children:
        if child.name == "Label":
            yield child
        else:
            yield from _label_tags(child)


def _field(tag: Tag) -> str:
    return (tag.attributes.get("valueList") or tag.attributes.get("value", "")).removeprefix("$")
