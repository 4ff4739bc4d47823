"""Ratings, one to so many stars: `<Rating>` of Label Studio.

The canonical value is a whole number from 1 to `maxRating`; the labels are these numbers as texts. No star at all is
no answer: Label Studio's page writes no item then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from adapter.errors import LabelConfigError, LabelError
from adapter.kinds.base import Measure, Tag, Unit
from adapter.kinds.families.answer import attribute, short, start, title
from adapter.kinds.families.labelled import Labelled
from adapter.vocabulary import Control, Value

MOST = 100
"""More stars than a person can tell apart by far; a config that asks for more is a slip (or an attack on memory)."""


class Rating(Labelled):
    """The kind of `<Rating>`: a place on a scale whose order counts."""

    name = "rating"
    tags = ("Rating",)
    key = "rating"
    type = "rating"
    ordinal = True

    def control(self, tag: Tag) -> Control:
        """Parse `<Rating>`. Raises LabelConfigError for a maxRating that is no whole number from 1 to MOST."""
        text = attribute(tag, "maxRating", "5").strip()
        if not text.isascii() or not text.isdecimal() or not 1 <= len(text) <= 4 or not 1 <= int(text) <= MOST:
            raise LabelConfigError(
                f"maxRating='{short(text)}' is no whole number from 1 to {MOST}",
                where=title(tag),
                remedy="Write how many stars there are, such as maxRating='5'.",
            )
        return start(tag, self.name, labels=tuple(str(number) for number in range(1, int(text) + 1)))

    def measure(self, control: Control) -> Measure:
        """Return ordinal."""
        return Measure(
            "ordinal",
            "alpha",
            "Krippendorff's alpha for ordered categories, so four against five weighs less than one against five; "
            "beside it the mean pairwise score, which counts the distance in stars.",
        )

    def canonical(self, control: Control, value: object) -> Value:
        """Return a whole number from 1 to the greatest, from a number or its text. Raises LabelError."""
        most = len(control.labels)
        number: Any = int(value) if isinstance(value, str) and value in control.labels else value
        whole = isinstance(number, int | float | np.integer | np.floating) and not isinstance(number, bool)
        if not whole or not 1 <= number <= most or number != int(number):
            raise LabelError(
                f"'{short(value)}' is no rating of '{control.name}'", remedy=f"Give a whole number from 1 to {most}."
            )
        return int(number)

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return the distance in stars over the greatest possible one."""
        return abs(a - b) / (len(control.labels) - 1) if a != b else 0.0

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return one unit of the numbers that people gave."""
        return [Unit(dict(votes))] if votes else []

    def indices(self, control: Control, value: Value) -> list[int]:
        """Return the rating's number, counted from 0."""
        return [value - 1]

    def of_indices(self, control: Control, chosen: Iterable[int]) -> Value:
        """Return the rating with this number."""
        (number,) = chosen
        return int(number) + 1

    def item(self, control: Control, value: Value) -> dict[str, Any]:
        """Return `{"rating": number}`."""
        return {"rating": self.canonical(control, value)}

    def value_of(self, control: Control, value: Mapping[str, Any]) -> Value:
        """Return the number of `{"rating": number}`. Raises LabelError."""
        if not isinstance(value, Mapping) or "rating" not in value:
            raise self.broken(control)
        return self.canonical(control, value["rating"])

    def empty(self, answer: object) -> bool:
        """Return whether no star is given."""
        return answer is None or (isinstance(answer, int | float) and not isinstance(answer, bool) and answer == 0)

    def words(self, value: Value | Sequence[Value]) -> str:
        """Return a rating in words."""
        return "1 star" if value == 1 else f"{value} stars"


KIND = Rating()
