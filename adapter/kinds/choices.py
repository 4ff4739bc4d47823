"""Choices, single and multiple: `<Choices>` of Label Studio.

The canonical value is a tuple of label names in the label config's order. Single: exactly one. Multiple: any number;
the empty tuple says "none of them holds", which only a control that is not required lets a person say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

from adapter.errors import LabelConfigError, LabelError, UnsupportedControl, nearest
from adapter.kinds.base import Tag
from adapter.kinds.families.answer import attribute, short, start, title, true
from adapter.kinds.families.labelled import Labelled, numbers
from adapter.vocabulary import Control, JsonObject, Value

_VARIABLE = re.compile(r"\$[\w\[{]")
_MODES = ("single", "single-radio", "multiple")


class Choices(Labelled):
    """The kind of `<Choices>`: labels from a fixed list."""

    name = "choices"
    tags = ("Choices",)
    key = "choices"
    type = "choices"
    widened = "set choice='multiple'"  # what lets several labels hold, in the words of an error

    def control(self, tag: Tag) -> Control:
        """Parse `<Choices>`. Raises LabelConfigError for no labels or empty ones, UnsupportedControl for doubled
        labels, trees of choices, choices for each item, and choices that come from task data."""
        where = title(tag)
        mode = attribute(tag, "choice", "single")
        if mode not in _MODES:
            raise LabelConfigError(f"choice='{mode}' is no mode", where=where, remedy=nearest(mode, _MODES))
        refuse_task_data(tag, "choices")
        # Label Studio's page shows inner choices only with allowNested. Its results are paths then, which its own check
        # of predictions (label_studio_sdk 2.1, ChoicesValue) refuses: nothing could be pre-labelled.
        if true(tag, "allowNested") or any(choices(child) for choice in choices(tag) for child in choice.children):
            raise UnsupportedControl(
                "its choices form a tree; only a flat list of choices is served",
                where=where,
                remedy="Use <Taxonomy> for a tree, or write the choices side by side without allowNested.",
            )
        return start(tag, self.name, labels=_labels(tag, where), multiple=mode == "multiple")

    def canonical(self, control: Control, value: object) -> Value:
        """Return a tuple of labels in the config's order from a label, a whole number that is one, or a collection.
        Raises LabelError for labels outside the control, and for the wrong number of them."""
        chosen = (
            list(value)
            if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes)
            else [value]
        )
        known = numbers(control.labels)
        labels: set[str] = set()
        for item in chosen:
            label = str(item) if isinstance(item, Integral) and not isinstance(item, bool) else item
            if not isinstance(label, str) or label not in known:
                raise LabelError(
                    f"'{short(item)}' is not a label of '{control.name}'", remedy=nearest(short(item), control.labels)
                )
            labels.add(label)
        if not control.multiple and len(labels) != 1:
            raise LabelError(
                f"'{control.name}' takes exactly one label, got {len(labels)}",
                remedy=f"Give one label, or {self.widened} in the label config.",
            )
        if control.multiple and control.required and not labels:
            raise LabelError(f"'{control.name}' is required and got no label", remedy="Give at least one label.")
        return tuple(sorted(labels, key=known.__getitem__))

    def indices(self, control: Control, value: Value) -> list[int]:
        """Return the numbers of the value's labels."""
        known = numbers(control.labels)
        return [known[label] for label in value]

    def of_indices(self, control: Control, chosen: Iterable[int]) -> Value:
        """Return the labels with these numbers."""
        return tuple(control.labels[number] for number in chosen)

    def item(self, control: Control, value: Value) -> dict[str, Any]:
        """Return `{"choices": [labels]}`."""
        return {"choices": list(self.canonical(control, value))}

    def value_of(self, control: Control, value: Mapping[str, Any]) -> Value:
        """Return the labels that Label Studio's `value` object lists. Raises LabelError."""
        return self.canonical(control, self.chosen(control, value))

    def chosen(self, control: Control, value: Mapping[str, Any]) -> list[object]:
        """Return what a `value` object lists, not yet checked against the labels. Raises LabelError for no list."""
        listed = value.get(self.key) if isinstance(value, Mapping) else None
        if not isinstance(listed, list | tuple | str):
            raise self.broken(control)
        return [listed] if isinstance(listed, str) else list(listed)

    def read(self, control: Control, result: Sequence[JsonObject]) -> Value | None:
        """Return this control's labels in an annotation's result.

        Label Studio writes no item at all when nothing is chosen. For a multiple control that is not required this is
        an answer, "none of them holds", and reads as the empty tuple; otherwise it is None. Raises LabelError.
        """
        chosen = [part for value in self.values(control, result) for part in self.chosen(control, value)]
        if not chosen:
            return () if control.multiple and not control.required else None
        return self.canonical(control, chosen)

    def empty(self, answer: object) -> bool:
        """Return whether nothing is chosen."""
        return isinstance(answer, list | tuple) and not answer

    def write(self, control: Control, value: Value) -> list[JsonObject]:
        """Return one result item with these labels; none for the empty value, as Label Studio does."""
        return super().write(control, value) if self.canonical(control, value) else []


def refuse_task_data(tag: Tag, things: str) -> None:
    """Raise UnsupportedControl where the labels of a tag come from task data or over HTTP."""
    if attribute(tag, "value").startswith("$") or attribute(tag, "apiUrl"):
        raise UnsupportedControl(
            f"its {things} come from task data, so every task may have other labels",
            where=title(tag),
            remedy="List the labels as <Choice value='...'/> elements.",
        )


def choices(tag: Tag) -> Iterator[Tag]:
    """Yield the outermost `Choice` elements at or below a tag: `Choices` may lay them out with `View` and `Header`."""
    if tag.name == "Choice":
        yield tag
        return
    for child in tag.children:
        yield from choices(child)


def label_of(choice: Tag, where: str) -> str:
    """Return the label that a `Choice` gives: Label Studio's page writes the alias into results where there is one,
    else the value. Raises LabelConfigError for an empty one, UnsupportedControl for one from task data."""
    label = attribute(choice, "alias") or attribute(choice, "value")
    if not label.strip():
        raise LabelConfigError("a <Choice> has no value", where=where, remedy="Give each <Choice> a value.")
    if attribute(choice, "alias", label) == "":
        raise LabelConfigError(
            f"<Choice value='{label}'> has an empty alias, and Label Studio would write an empty label",
            where=where,
            remedy="Remove the alias, or fill it.",
        )
    if _VARIABLE.search(label):
        raise UnsupportedControl(
            f"the choice '{label}' takes its label from task data", where=where, remedy="Write the label itself."
        )
    return label


def _labels(tag: Tag, where: str) -> tuple[str, ...]:
    labels: list[str] = []
    for choice in choices(tag):
        label = label_of(choice, where)
        if label in labels:
            # One of Label Studio's own templates has this, so it must not stop the rest of a config.
            raise UnsupportedControl(
                f"the label '{label}' is there twice", where=where, remedy="Remove or rename one of them."
            )
        labels.append(label)
    if not labels:
        raise LabelConfigError("it lists no labels", where=where, remedy="Add <Choice value='...'/> elements.")
    return tuple(labels)


KIND = Choices()
