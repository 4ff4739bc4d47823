"""`model_output`: a threshold on a score that another model wrote into the data."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapter.errors import FunctionsError, nearest
from adapter.labeling.declared.column import BOUNDS, SIGNS
from adapter.labeling.declared.common import (
    Common,
    checked_confidence,
    checked_field,
    checked_label,
    checked_number,
    make,
    place,
    read_number,
    shortened,
    vote,
)
from adapter.labeling.function import Answer, Declared, LabelingFunction
from adapter.vocabulary import JsonObject


@dataclass(frozen=True, slots=True)
class ScoreRule:
    """Votes `label` where the score in `field`, or under `key` there, satisfies all bounds."""

    label: str
    field: str
    key: str | None
    bounds: tuple[tuple[str, float], ...]
    confidence: float | None

    def __call__(self, data: JsonObject) -> Answer:
        """Return the vote for one task's data. Raises FunctionsError where the field holds no score."""
        score = self.score(data.get(self.field))
        if score is None or not all(BOUNDS[name](score, bound) for name, bound in self.bounds):
            return None
        return vote(self.label, self.confidence)

    def score(self, value: object) -> float | None:
        """Return the score in a field's value; None where it is missing, or the model gave none for this key."""
        if self.key is None:
            return read_number(value, self.field)
        if isinstance(value, str) and value.strip():  # CSV holds a mapping as JSON
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(value)
        if value is None or value == "" or (isinstance(value, float) and value != value):
            return None
        if not isinstance(value, Mapping):
            raise FunctionsError(
                f"field '{self.field}' holds no mapping of labels to scores",
                remedy="Leave out key= if it holds one number.",
            )
        if self.key not in value and value:
            raise FunctionsError(
                f"field '{self.field}' holds no score for '{self.key}'",
                remedy=nearest(self.key, [str(key) for key in list(value)[:50]]),
            )
        return read_number(value.get(self.key), f"{self.field}.{self.key}")


def model_output(
    label: str,
    field: str,
    *,
    key: str | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    name: str = "",
    control: str | None = None,
    examples: Sequence[Any] = (),
    confidence: float | None = None,
    doc: str = "",
) -> LabelingFunction:
    """Vote `label` where another model's score satisfies all the bounds given.

    field: holds a number (or one as text), or, with `key`, a mapping of labels to scores (or its JSON text). It
    abstains where the score is missing, None or NaN; other values, and a mapping without the key, are faults. Options
    of all declared functions: `declared.common.make`. Raises FunctionsError when no bound is given.
    """
    at = place()
    checked_label("model_output", label, at)
    checked_field("model_output", field, at)
    if key is not None:
        checked_field("model_output", key, at, "key")
    given = {"at_least": at_least, "at_most": at_most, "above": above, "below": below}
    bounds = tuple(
        (bound, checked_number("model_output", bound, value, at)) for bound, value in given.items() if value is not None
    )
    if not bounds:
        raise FunctionsError(
            f"model_output: no threshold on '{field}'", where=str(at), remedy="Give for example at_least=0.9."
        )
    sure = checked_confidence("model_output", confidence, at)
    spec = {
        "kind": "model_output", "label": label, "field": field, "key": key,
        "bounds": [list(bound) for bound in bounds], "confidence": sure,
    }  # fmt: skip
    shown = " and ".join(f"{field}{f'[{key}]' if key else ''} {SIGNS[bound]} {value:g}" for bound, value in bounds)
    rule = ScoreRule(label, field, key, bounds, sure)
    declared = Declared("model_output", label, (field,), spec, shortened(shown))
    return make(declared, rule, Common(name, control, examples, confidence, doc), at)
