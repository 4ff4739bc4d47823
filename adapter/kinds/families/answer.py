"""What kinds share whose whole answer stands in one item of an annotation's result: choices, ratings, numbers, dates.

`item` and `value_of` translate between a value and Label Studio's `value` object of that one item. `read` and `write`
put the envelope around it; a control that is asked of each region puts another one around the same two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from adapter.errors import LabelError, UnsupportedControl
from adapter.kinds.base import Tag, Unit
from adapter.vocabulary import Control, JsonObject, Value


class Answer(ABC):
    """Base of kinds whose answer is one item of the result.

    key: Label Studio's name of the answer inside `value`. type: Label Studio's result type.
    """

    name: str
    tags: tuple[str, ...]
    key: str
    type: str

    @abstractmethod
    def canonical(self, control: Control, value: object) -> Value:
        """Validate, and return the canonical value. Raises LabelError."""

    @abstractmethod
    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return how unlike two values are, 0 (same) to 1."""

    @abstractmethod
    def item(self, control: Control, value: Value) -> dict[str, Any]:
        """Return Label Studio's `value` object for a value, such as `{"rating": 4}`. Raises LabelError."""

    @abstractmethod
    def value_of(self, control: Control, value: Mapping[str, Any]) -> Value:
        """Return the value that a `value` object of Label Studio holds; the inverse of `item`. Raises LabelError."""

    def read(self, control: Control, result: Sequence[JsonObject]) -> Value | None:
        """Return this control's value in an annotation's result, None without one. Raises LabelError for what is no
        such value, and when several items contradict each other."""
        values = [self.value_of(control, value) for value in self.values(control, result)]
        if any(value != values[0] for value in values):
            raise LabelError(
                f"'{control.name}' takes one answer, got {len(values)} different ones",
                remedy="Open the annotation in Label Studio, keep one, and submit it again.",
            )
        return values[0] if values else None

    def values(self, control: Control, result: Sequence[JsonObject]) -> list[Mapping[str, Any]]:
        """Return the `value` objects of this control's items that are not empty. Raises LabelError for items without
        one."""
        found: list[Mapping[str, Any]] = []
        for item in result:
            if not isinstance(item, Mapping) or item.get("from_name") != control.name:
                continue
            value = item.get("value")
            if not isinstance(value, Mapping) or self.key not in value:
                raise self.broken(control)
            if not self.empty(value[self.key]):
                found.append(value)
        return found

    def empty(self, answer: object) -> bool:
        """Return whether what stands under `key` says that the person left the control empty."""
        return answer is None

    def broken(self, control: Control) -> LabelError:
        """Return the error for an item that does not hold what it should."""
        return LabelError(
            f"an item of '{control.name}' holds no {self.key}",
            remedy="Open the annotation in Label Studio and submit it again.",
        )

    def write(self, control: Control, value: Value) -> list[JsonObject]:
        """Return the one result item that shows this value. It points at the control's first object, which is what
        Label Studio's check of predictions asks for."""
        return [
            {
                "from_name": control.name,
                "to_name": control.to_name.split(",")[0].strip(),
                "type": self.type,
                "value": self.item(control, value),
            }
        ]

    def pair_counts(self, control: Control, a: Value, b: Value) -> Mapping[str, tuple[float, float]]:
        """Return `score`: 1 - distance, over 1."""
        return {"score": (1.0 - self.distance(control, a, b), 1.0)}

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return one unit: what each person said, as it stands."""
        return [Unit(dict(votes))] if votes else []

    def of_label(self, control: Control, value: Value, label: str) -> Value:
        """Return the value itself: it has no parts."""
        return value

    def doubt(self, control: Control, value: Value) -> float:
        """Return 0: the value carries no scores."""
        return 0.0

    def disagreement(self, control: Control, a: Value, b: Value) -> str:
        """Say in words how two values differ."""
        return "no difference" if a == b else f"{shown(a)} against {shown(b)}"


def start(tag: Tag, kind: str, **more: Any) -> Control:
    """Return the control that a tag describes: its names, objects and whether it must be answered. Raises
    UnsupportedControl for a control that is asked of each item of a list."""
    name, to_name = attribute(tag, "name"), attribute(tag, "toName")
    if true(tag, "perItem"):
        raise UnsupportedControl(
            "perItem='true' asks on each item of a list; only answers on the whole task or on regions are served",
            where=title(tag),
            remedy="Remove perItem, or keep this control in a project of its own.",
        )
    named = [part.strip() for part in to_name.split(",")]
    objects = [tag.objects[part] for part in named if part in tag.objects] or list(tag.objects.values())
    fields = tuple(dict.fromkeys(field for field in map(_field, objects) if field))
    return Control(
        name=name,
        kind=kind,
        to_name=to_name,
        object_tag=objects[0].name if objects else "",
        field=_field(objects[0]) if objects else "",
        required=true(tag, "required"),
        tag=tag.name,
        fields=fields,
        **more,
    )


def attribute(tag: Tag, name: str, default: str = "") -> str:
    """Return an attribute of a tag. Label Studio's page does not tell upper from lower case in their names."""
    if name in tag.attributes:
        return tag.attributes[name]
    return next((value for key, value in tag.attributes.items() if key.lower() == name.lower()), default)


def true(tag: Tag, name: str) -> bool:
    """Return whether an attribute says `true`."""
    return attribute(tag, name).strip().lower() == "true"


def title(tag: Tag) -> str:
    """Return how errors name a tag: `<Choices name='spam'>`."""
    return f"<{tag.name} name='{attribute(tag, 'name')}'>"


def short(value: object) -> str:
    """Return a value as text of at most 60 characters."""
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def shown(value: object) -> str:
    """Return a value in the words of a sentence: texts in quotes."""
    return f"'{short(value)}'" if isinstance(value, str) else short(value)


def _field(tag: Tag) -> str:
    return (attribute(tag, "valueList") or attribute(tag, "value")).removeprefix("$")
