"""What all declared functions share: their options checked, where they were declared, and how they read a field."""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from adapter.errors import FunctionsError, nearest
from adapter.labeling.function import LONGEST_NAME, Answer, BatchRule, Declared, Example, LabelingFunction
from adapter.vocabulary import JsonObject

LONGEST_WORDS = 160
MISSING = frozenset({"", "?", "-", "na", "n/a", "nan", "none", "null"})
"""Texts that stand for a missing number, whatever their case: a numeric condition abstains on them."""

_OWN = __name__.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an author's file a function was declared. folder: what relative paths start from."""

    file: str
    line: int

    @property
    def folder(self) -> Path:
        """The folder of the author's file; the current one where there is no file, as in a notebook."""
        path = Path(self.file)
        return path.resolve().parent if path.is_file() else Path.cwd()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def place() -> Place:
    """Return where the call into this package was written: the nearest frame outside of it."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(_OWN):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


@dataclass(frozen=True, slots=True)
class Common:
    """The options that every declared function takes; see `make`."""

    name: str = ""
    control: str | None = None
    examples: Sequence[Example] = ()
    confidence: float | None = None
    doc: str = ""


def make(
    declared: Declared,
    rule: Callable[[JsonObject], Answer],
    common: Common,
    at: Place,
    batch: BatchRule | None = None,
) -> LabelingFunction:
    """Check the options that all kinds share and return the function. Raises FunctionsError with the author's line.

    common.name: unique in the project; empty for that of the variable it is assigned to. control: needed where the
    label config has several. examples: (data, label or None) pairs. confidence: of each vote, in 0..1; None says
    nothing of it. doc: one paragraph for the table.
    """
    kind = declared.kind
    if not isinstance(common.name, str) or (common.name and not common.name.strip()):
        raise FunctionsError(f"{kind}: {common.name!r} is no name for a labeling function", where=str(at))
    if not common.name.isprintable() or len(common.name) > LONGEST_NAME:
        raise FunctionsError(
            f"{kind}: {common.name[:40]!r} is no name for a labeling function",
            where=str(at),
            remedy=f"Use a short printable name of at most {LONGEST_NAME} characters.",
        )
    if common.control is not None and not (isinstance(common.control, str) and common.control):
        raise FunctionsError(f"{kind}: control={common.control!r} is not the name of a control", where=str(at))
    if not isinstance(common.doc, str):
        raise FunctionsError(f"{kind}: doc={common.doc!r} is not text", where=str(at))
    return LabelingFunction(
        name=common.name,
        function=rule,
        control=common.control,
        doc=common.doc,
        module=at.file,
        line=at.line,
        examples=_examples(kind, common.examples, at),
        batch=batch,
        declared=declared,
    )


def _examples(kind: str, examples: object, at: Place) -> tuple[Example, ...]:
    """The author's (data, expected label) pairs, checked."""
    remedy = 'Write examples=[({"text": "..."}, "label"), ({"text": "..."}, None)].'
    if isinstance(examples, str | bytes | Mapping) or not isinstance(examples, Sequence):
        raise FunctionsError(f"{kind}: the examples are not a list", where=str(at), remedy=remedy)
    for number, pair in enumerate(examples, 1):
        right = isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], Mapping)
        if not right or not (pair[1] is None or isinstance(pair[1], str)):
            raise FunctionsError(
                f"{kind}: example {number} is not a pair of a task's data and a label", where=str(at), remedy=remedy
            )
    return tuple((pair[0], pair[1]) for pair in examples)


def checked_label(kind: str, label: object, at: Place) -> str:
    """Return the label. Raises FunctionsError unless it is a non-empty text."""
    if not isinstance(label, str) or not label:
        raise FunctionsError(
            f"{kind}: {label!r} is no label", where=str(at), remedy="Give a label's name as the label config writes it."
        )
    return label


def checked_field(kind: str, name: object, at: Place, what: str = "field") -> str:
    """Return the name of a task field. Raises FunctionsError unless it is a non-empty text."""
    if not isinstance(name, str) or not name:
        raise FunctionsError(
            f"{kind}: {what}={name!r} is no field of a task", where=str(at), remedy="Name one column of your data."
        )
    return name


def checked_confidence(kind: str, confidence: object, at: Place) -> float | None:
    """Return the confidence of each vote, in 0..1, or None. Raises FunctionsError."""
    if confidence is None:
        return None
    if isinstance(confidence, bool) or not isinstance(confidence, numbers.Real) or not 0 <= float(confidence) <= 1:
        raise FunctionsError(
            f"{kind}: confidence={confidence!r} is not in 0..1",
            where=str(at),
            remedy="Give how often such a vote is right, between 0 and 1, or leave it out.",
        )
    return float(confidence)


def checked_number(kind: str, name: str, value: object, at: Place) -> float:
    """Return a finite number. Raises FunctionsError that names the option."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(float(value)):
        raise FunctionsError(
            f"{kind}: {name}={value!r} is not a number", where=str(at), remedy=f"Write for example {name}=0.5."
        )
    return float(value)


def vote(label: str, confidence: float | None) -> Answer:
    """Return the answer that says `label`, with a confidence where there is one."""
    return label if confidence is None else (label, confidence)


def shortened(words: str) -> str:
    """Return the words on one line, cut where they grow too long for a table."""
    line = " ".join("".join(c if c.isprintable() else repr(c)[1:-1] for c in words).split(" "))
    return line if len(line) <= LONGEST_WORDS else line[: LONGEST_WORDS - 1] + "…"


def absent(field: str, rows: Sequence[JsonObject]) -> str:
    """Return what to tell an author whose field none of these rows has; empty if one has it, or there are none."""
    if not rows or any(field in row for row in rows):
        return ""
    names = sorted({str(name) for row in rows[:100] for name in row})[:50]
    return str(FunctionsError(f"none of these {len(rows)} tasks has the field '{field}'", remedy=nearest(field, names)))


def text_of(data: JsonObject, field: str) -> str | None:
    """Return the text in a field; None where it is missing, None, NaN or empty.

    Raises FunctionsError where it holds something else than text."""
    value = data.get(field)
    if type(value) is str:
        return value or None
    return _odd_text(value, field)


def _odd_text(value: object, field: str) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        return str(value) or None
    raise FunctionsError(
        f"field '{field}' holds {_kind_of(value)}, not text",
        remedy="Name a text field, or use `column` for numbers and `lookup` for categories.",
    )


def word_of(data: JsonObject, field: str) -> str | None:
    """Return a category as text, stripped: a text, a whole number as its digits, a bool as `true` or `false`; None
    where it is missing, None, NaN or blank. Raises FunctionsError where it is a list, an object or the like."""
    value = data.get(field)
    if isinstance(value, str):
        return value.strip() or None
    if value is None:
        return None
    if is_bool(value):
        return "true" if value else "false"
    if isinstance(value, numbers.Real | Decimal):
        if isinstance(value, numbers.Integral):
            return str(int(value))
        number = float_of(value)
        if math.isnan(number):
            return None
        return str(int(number)) if number.is_integer() else repr(number)
    raise FunctionsError(
        f"field '{field}' holds {_kind_of(value)}, not a text or a number",
        remedy="Name a field with one plain value, or write a labeling function in Python.",
    )


def number_of(data: JsonObject, field: str) -> float | None:
    """Return the number in a field as a 64-bit float; see `read_number`."""
    return read_number(data.get(field), field)


def read_number(value: object, field: str) -> float | None:
    """Return a value as a 64-bit float. Text is read as Python's `float` reads it, since CSV gives texts; a bool is 1
    or 0. None where it is None, NaN or a text that stands for a missing one (`MISSING`).

    Raises FunctionsError where it is another text, a list or the like."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            if value.strip().lower() in MISSING:
                return None
            raise FunctionsError(
                f"field '{field}' holds {value[:40]!r}, not a number",
                remedy="Name a field of numbers, or compare with equals= or one_of=.",
            ) from None
        return None if math.isnan(number) else number
    if value is None:
        return None
    if isinstance(value, numbers.Real | Decimal) or is_bool(value):
        number = float_of(value)
        return None if math.isnan(number) else number
    raise FunctionsError(
        f"field '{field}' holds {_kind_of(value)}, not a number", remedy="Name a field with one number."
    )


def float_of(value: Any) -> float:
    """Return a number as a 64-bit float; what is beyond its range becomes an infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except ValueError:  # a signalling Decimal
        return math.nan


def is_bool(value: object) -> bool:
    """Say whether a value is a Python or numpy bool."""
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")


def _kind_of(value: object) -> str:
    shown = {bool: "a bool", list: "a list", tuple: "a list", dict: "an object", bytes: "bytes"}
    for known, words in shown.items():
        if isinstance(value, known):
            return words
    return "a number" if isinstance(value, numbers.Number) else f"a {type(value).__name__}"
