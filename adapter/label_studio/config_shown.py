"""When Label Studio's page shows a control: `visibleWhen` and its kin, on the control or on a `<View>` around it.

As its editor 1.23 does (mixins Visibility, PerRegion): on `View`, `Choices`, `Taxonomy`, `TextArea` and `Markdown`
`visibleWhen` names one of four conditions, which `whenTagName`, `whenChoiceValue`, `whenLabelValue` narrow (several
values between commas, any of them fits); `whenChoiceValue` alone asks for that choice anywhere; on a control asked of
each region `whenLabelValue` alone asks for that label on the region. `whenRole` looks at messages of a conversation,
which are not served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapter.kinds.base import Tag
from adapter.kinds.families.answer import attribute, true
from adapter.label_studio.config_xml import walk
from adapter.vocabulary import Shown

_WHENS = ("choice-selected", "choice-unselected", "region-selected", "no-region-selected")


def conditions(element: Tag, above: Sequence[Tag], named: Mapping[str, Tag]) -> tuple[Shown, ...]:
    """Return the conditions under which the page shows a control, the outermost first; all must hold. named: every
    element with a name, by name."""
    found = [_condition(tag, named) for tag in (*above, element)]
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _condition(tag: Tag, named: Mapping[str, Tag]) -> Shown | None:
    when = attribute(tag, "visibleWhen")
    control = attribute(tag, "whenTagName")
    choices, labels = attribute(tag, "whenChoiceValue"), attribute(tag, "whenLabelValue")
    if when in ("choice-selected", "choice-unselected"):
        return Shown(when, control, _aliases(_split(choices) if control or choices else (), named.get(control)))
    if when in ("region-selected", "no-region-selected"):
        return Shown(when, control, _split(labels))
    if when:
        return None  # the page passes over what it does not know
    if labels and true(tag, "perRegion"):
        return Shown("region-selected", "", _split(labels))
    if choices:
        return Shown("choice-selected", "", _aliases((choices,), None))
    return None


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _aliases(values: tuple[str, ...], control: Tag | None) -> tuple[str, ...]:
    """Return the labels that results hold for values of `<Choice>` elements: the alias where there is one."""
    if control is None:
        return values
    alias = {
        each.attributes["value"]: each.attributes["alias"]
        for each in walk(control)
        if each.name == "Choice" and each.attributes.get("alias") and "value" in each.attributes
    }
    return tuple(dict.fromkeys(alias.get(value, value) for value in values))
