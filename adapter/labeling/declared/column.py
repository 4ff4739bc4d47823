"""`column`: thresholds and equality on one field of a task, for tables and features."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from adapter.errors import FunctionsError
from adapter.labeling.declared.common import (
    Common,
    Place,
    checked_confidence,
    checked_field,
    checked_label,
    checked_number,
    is_bool,
    make,
    number_of,
    place,
    shortened,
    vote,
    word_of,
)
from adapter.labeling.function import Answer, Declared, LabelingFunction
from adapter.vocabulary import JsonObject

BOUNDS: dict[str, Callable[[Any, Any], Any]] = {
    "at_least": operator.ge,
    "at_most": operator.le,
    "above": operator.gt,
    "below": operator.lt,
}
SIGNS = {"at_least": ">=", "at_most": "<=", "above": ">", "below": "<"}


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """Votes `label` where the value of `field` satisfies all conditions. bounds: (name in `BOUNDS`, number) pairs.
    words and numbers: what it may equal, by text or by number; both None where equality is not asked for."""

    label: str
    field: str
    bounds: tuple[tuple[str, float], ...]
    words: frozenset[str] | None
    numbers: frozenset[float] | None
    confidence: float | None

    def __call__(self, data: JsonObject) -> Answer:
        """Return the vote for one task's data. Raises FunctionsError where the value cannot be compared."""
        return vote(self.label, self.confidence) if self.holds(data) else None

    def holds(self, data: JsonObject) -> bool:
        """Say whether all conditions hold; False where the value is missing."""
        if self.bounds:
            number = number_of(data, self.field)
            if number is None or not all(BOUNDS[name](number, bound) for name, bound in self.bounds):
                return False
        if self.words is None or self.numbers is None:
            return True
        word = word_of(data, self.field)
        if word is None:
            return False
        return word in self.words or (bool(self.numbers) and self._equals_number(data.get(self.field)))

    def _equals_number(self, value: object) -> bool:
        try:
            number = float(value) if not is_bool(value) else None  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            return False
        return self.numbers is not None and number in self.numbers


def column(
    label: str,
    field: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    equals: str | float | bool | None = None,
    one_of: Iterable[str | float | bool] | None = None,
    name: str = "",
    control: str | None = None,
    examples: Sequence[Any] = (),
    confidence: float | None = None,
    doc: str = "",
) -> LabelingFunction:
    """Vote `label` where the value of `field` satisfies all the conditions given.

    Bounds compare 64-bit floats; text is read as a number, since CSV gives texts, and True counts as 1. equals and
    one_of compare a text with a text (white space around it aside, case matters) and a number with a number, also one
    written as text; True and False equal a bool or the words `true` and `false`. It abstains where the value is
    missing, None, NaN or, for bounds, a mark of a missing number such as `?` or `n/a`; bounds on other text, and lists
    and objects, are faults. Options of all declared functions: `declared.common.make`. Raises FunctionsError when no
    condition is given or one cannot be compared.
    """
    at = place()
    checked_label("column", label, at)
    checked_field("column", field, at)
    given = {"at_least": at_least, "at_most": at_most, "above": above, "below": below}
    bounds = tuple((key, checked_number("column", key, value, at)) for key, value in given.items() if value is not None)
    wanted = _wanted(equals, one_of, at)
    if not bounds and wanted is None:
        raise FunctionsError(
            f"column: no condition on '{field}'",
            where=str(at),
            remedy="Give at least one of at_least, at_most, above, below, equals, one_of.",
        )
    sure = checked_confidence("column", confidence, at)
    words, numbers = _split(wanted)
    conditions = [f"{field} {SIGNS[key]} {bound:g}" for key, bound in bounds]
    if wanted is not None:
        shown = ", ".join(map(str, wanted))
        conditions.append(f"{field} = {shown}" if len(wanted) == 1 else f"{field} in {{{shown}}}")
    spec = {
        "kind": "column", "label": label, "field": field, "bounds": [list(bound) for bound in bounds],
        "one_of": None if wanted is None else list(wanted), "confidence": sure,
    }  # fmt: skip
    rule = ColumnRule(label, field, bounds, words, numbers, sure)
    declared = Declared("column", label, (field,), spec, shortened(" and ".join(conditions)))
    return make(declared, rule, Common(name, control, examples, confidence, doc), at)


def _wanted(equals: object, one_of: object, at: Place) -> tuple[str | float | bool, ...] | None:
    """The values that satisfy `equals` and `one_of`; None where neither is given."""
    if equals is None and one_of is None:
        return None
    if equals is not None and one_of is not None:
        raise FunctionsError("column: both equals and one_of are given", where=str(at), remedy="Give one of them.")
    if one_of is not None and (isinstance(one_of, str | bytes) or not isinstance(one_of, Iterable)):
        raise FunctionsError(
            f"column: one_of={one_of!r:.60} is not a list", where=str(at), remedy='Write one_of=["a", "b"].'
        )
    values = [equals] if one_of is None else list(one_of)
    if not values:
        raise FunctionsError("column: one_of is empty", where=str(at), remedy='Write one_of=["a", "b"].')
    wanted: dict[tuple[str, Any], str | float | bool] = {}
    for value in values:
        if isinstance(value, str) and value.strip():
            kept: str | float | bool = value.strip()
        elif isinstance(value, bool):
            kept = value
        else:
            kept = checked_number("column", "equals" if one_of is None else "one_of", value, at)
        wanted.setdefault((type(kept).__name__, kept), kept)
    return tuple(wanted.values())


def _split(wanted: Sequence[str | float | bool] | None) -> tuple[frozenset[str] | None, frozenset[float] | None]:
    if wanted is None:
        return None, None
    words = {value for value in wanted if isinstance(value, str)}
    words |= {form for value in wanted if is_bool(value) for form in _bool_words(bool(value))}
    return frozenset(words), frozenset(value for value in wanted if isinstance(value, float))


def _bool_words(value: bool) -> tuple[str, ...]:
    return ("true", "True", "TRUE") if value else ("false", "False", "FALSE")
