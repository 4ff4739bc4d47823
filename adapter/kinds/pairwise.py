"""Pairwise comparison, the left or the right of two objects: `<Pairwise>` of Label Studio.

The canonical value is "left" or "right". Label Studio's page takes a second click on the same side back, so nothing is
"neither". Its page writes the control's own name as `to_name` (label-studio's `Pairwise.js`), while its check of
predictions (`LabelInterface.validate_prediction`) wants that of an object; the page finds results by `from_name` alone.
So `write` names the first object, and `read` takes both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adapter.errors import LabelConfigError, LabelError, nearest
from adapter.kinds.base import Tag
from adapter.kinds.families.answer import attribute, short, start, title
from adapter.kinds.families.labelled import Labelled
from adapter.vocabulary import Control, Value

SIDES = ("left", "right")


class Pairwise(Labelled):
    """The kind of `<Pairwise>`: which of two objects is the better one."""

    name = "pairwise"
    tags = ("Pairwise",)
    key = "selected"
    type = "pairwise"

    def control(self, tag: Tag) -> Control:
        """Parse `<Pairwise>`. Raises LabelConfigError unless it points at exactly two objects."""
        names = [part.strip() for part in attribute(tag, "toName").split(",")]
        if len(names) != 2 or names[0] == names[1] or not all(names):
            raise LabelConfigError(
                f"it compares two objects, and toName='{attribute(tag, 'toName')}' does not name two",
                where=title(tag),
                remedy="Write toName='first,second'.",
            )
        return start(tag, self.name, labels=SIDES)

    def canonical(self, control: Control, value: object) -> Value:
        """Return "left" or "right". Raises LabelError for anything else."""
        if not isinstance(value, str) or value not in SIDES:
            raise LabelError(f"'{short(value)}' is no side of '{control.name}'", remedy=nearest(short(value), SIDES))
        return value

    def indices(self, control: Control, value: Value) -> list[int]:
        """Return 0 for left, 1 for right."""
        return [SIDES.index(value)]

    def of_indices(self, control: Control, chosen: Iterable[int]) -> Value:
        """Return the side with this number."""
        (number,) = chosen
        return SIDES[number]

    def item(self, control: Control, value: Value) -> dict[str, Any]:
        """Return `{"selected": side}`."""
        return {"selected": self.canonical(control, value)}

    def value_of(self, control: Control, value: Mapping[str, Any]) -> Value:
        """Return the side of `{"selected": side}`. Raises LabelError."""
        if not isinstance(value, Mapping) or "selected" not in value:
            raise self.broken(control)
        return self.canonical(control, value["selected"])

    def empty(self, answer: object) -> bool:
        """Return whether neither is chosen, which the page calls `none`."""
        return answer is None or answer == "none"


KIND = Pairwise()
