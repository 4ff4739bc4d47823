"""Numbers: `<Number>` of Label Studio.

The canonical value is a finite float, between `min` and `max` and on a `step` where the config sets them: Label
Studio's page refuses to submit any other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from adapter.errors import LabelConfigError, LabelError
from adapter.kinds.base import Given, Measure, Tag, Together
from adapter.kinds.families.answer import Answer, attribute, short, start, title
from adapter.kinds.families.number_votes import consolidate_numbers
from adapter.vocabulary import Control, Value

MOST = 1e100
"""Greatest size of a number; nobody measures more, and the squares of such numbers still are floats."""
_ON_STEP = 1e-6  # of a step: what floating point may lose


class Number(Answer):
    """The kind of `<Number>`: a number on an interval scale."""

    name = "number"
    tags = ("Number",)
    key = "number"
    type = "number"
    methods = ("huber",)

    def control(self, tag: Tag) -> Control:
        """Parse `<Number>`. Raises LabelConfigError for bounds and steps that are no numbers or leave none."""
        options = {key: _number(tag, key) for key in ("min", "max", "step") if attribute(tag, key).strip()}
        if options.get("step", 1.0) <= 0:
            raise LabelConfigError(
                f"step='{attribute(tag, 'step')}' is not above 0",
                where=title(tag),
                remedy="Write one such as step='1'.",
            )
        if options.get("min", -math.inf) > options.get("max", math.inf):
            raise LabelConfigError(
                f"min='{attribute(tag, 'min')}' is above max='{attribute(tag, 'max')}'",
                where=title(tag),
                remedy="Exchange them.",
            )
        return start(tag, self.name, options=options)

    def canonical(self, control: Control, value: object) -> Value:
        """Return a float from a number or its text. Raises LabelError for what is no finite number up to MOST, outside
        the bounds, or off the step."""
        number: Any = value
        if isinstance(value, str):
            try:
                number = float(value)
            except ValueError:
                number = math.nan
        numeric = isinstance(number, int | float | np.integer | np.floating) and not isinstance(number, bool)
        try:
            number = float(number) if numeric else math.nan
        except OverflowError:
            number = math.inf
        if not abs(number) <= MOST:
            raise LabelError(
                f"'{short(value)}' is no number for '{control.name}'", remedy="Give a finite number, such as 1.5."
            )
        least, most = control.options.get("min", -math.inf), control.options.get("max", math.inf)
        if not least <= number <= most:
            raise LabelError(
                f"{number:g} lies outside '{control.name}'",
                remedy=f"The label config sets {_bounds(control)}.",
            )
        near = on_step(control, number)
        if abs(near - number) > _ON_STEP * control.options.get("step", 0.0):
            raise LabelError(
                f"{number:g} is off the step of '{control.name}'",
                remedy=f"The nearest number of step {control.options['step']:g} is {near:g}.",
            )
        return number + 0.0  # no negative zero: it is equal, and would be written otherwise

    def item(self, control: Control, value: Value) -> dict[str, Any]:
        """Return `{"number": number}`."""
        return {"number": self.canonical(control, value)}

    def value_of(self, control: Control, value: Mapping[str, Any]) -> Value:
        """Return the number of `{"number": number}`. Raises LabelError."""
        if not isinstance(value, Mapping) or "number" not in value:
            raise self.broken(control)
        return self.canonical(control, value["number"])

    def measure(self, control: Control) -> Measure:
        """Return the interval scale."""
        of = "the range that the label config allows" if _span(control) else "the sum of both numbers' sizes"
        return Measure(
            "interval",
            "alpha",
            "Krippendorff's alpha on the numbers, so near misses weigh less; beside it the mean pairwise score, in "
            f"which a distance counts against {of}.",
        )

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return |a - b| over the range from min to max where both are set, else |a - b| / (|a| + |b|), which is the
        Canberra distance (Lance and Williams 1967): 0 for equal numbers, 1 for numbers of different signs."""
        if a == b:
            return 0.0
        span = _span(control)
        return float(min(abs(a - b) / (span or abs(a) + abs(b)), 1.0))

    def disagreement(self, control: Control, a: Value, b: Value) -> str:
        """Say in words how two values differ."""
        return "no difference" if a == b else f"{a:g} against {b:g}, {abs(a - b):g} apart"

    def consensus(self, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
        """Consolidate people's numbers: a robust centre, weighted by each person's spread and freed of their
        bias, see `number_votes`. `given.method` changes nothing: there is this one."""
        return consolidate_numbers(
            votes,
            {task: value for task, value in given.gold.items() if task in votes},
            step=float(control.options.get("step", 0.0)),
            span=_span(control),
            snap=lambda number: on_step(control, number),
        )


def on_step(control: Control, number: float) -> float:
    """Return the number of the control nearest to `number`: on its step, counted from min or 0, and within bounds."""
    least, most = control.options.get("min", -math.inf), control.options.get("max", math.inf)
    step = control.options.get("step")
    if step:
        base = least if math.isfinite(least) else 0.0
        ratio = (number - base) / step
        if not abs(ratio) < 2**53:  # beyond, neighbouring floats are more than a step apart
            return float(min(max(number, least), most))
        steps = round(ratio)
        if math.isfinite(most):
            steps = min(steps, math.floor((most - base) / step + _ON_STEP))
        near = base + max(steps, 0 if math.isfinite(least) else steps) * step
        # Where floating point alone sets them apart, the number as it was given is the one meant.
        return number if abs(near - number) <= _ON_STEP * step else near
    return float(min(max(number, least), most))


def _number(tag: Tag, name: str) -> float:
    text = attribute(tag, name).strip()
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise LabelConfigError(
            f"{name}='{short(text)}' is no number", where=title(tag), remedy="Write one such as '0'."
        )
    return number


def _span(control: Control) -> float:
    """Return max - min, 0 unless both are set."""
    least, most = control.options.get("min"), control.options.get("max")
    span = 0.0 if least is None or most is None else float(most) - float(least)
    return span if math.isfinite(span) else 0.0


def _bounds(control: Control) -> str:
    return " and ".join(f"{key}='{control.options[key]:g}'" for key in ("min", "max") if key in control.options)


KIND = Number()
