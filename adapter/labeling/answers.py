"""What an author's answer means: its label's code and confidence, or advice; and why a call failed, in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import adapter
from adapter.errors import FunctionsError, nearest

if TYPE_CHECKING:
    from adapter.labeling.function import LabelingFunction


_OWN = str(Path(adapter.__file__).parent)


class ResourceFailed(Exception):
    """A resource could not be made: a fault of the function that needs it, on each of its rows, with this reason."""


def answer_codes(function: LabelingFunction, labels: Sequence[str]) -> dict[Any, int]:
    """Return plain answer to code: the index of a label, -1 for an abstention. The fast path: an answer that is no key
    goes to `read_answer`. labels: of the function's control, in its order."""
    if function.indexed:
        return {code: code for code in range(-1, len(labels))}
    return {None: -1, **{label: code for code, label in enumerate(labels)}}


def read_answer(answer: object, codes: Mapping[Any, int], labels: Sequence[str], control: str) -> tuple[int, float]:
    """Return (code, confidence) of an author's answer: confidence in 0..1, 1 where none is given.

    codes: of `answer_codes`. control: name, for the advice. Raises FunctionsError with advice for what is no answer.
    """
    confidence = 1.0
    given = answer
    indexed = None not in codes
    if type(answer) is tuple and len(answer) == 2 and not indexed:
        given, confidence = answer[0], _confidence(answer)
        if given is None:
            raise FunctionsError(f"returned {_shown(answer)}", remedy="Return None alone to abstain.")
    try:
        if isinstance(given, str) or indexed or given is None:
            return codes[given], confidence
    except (KeyError, TypeError):
        pass
    if indexed:
        known = ", ".join(f"{code} {label}" for code, label in enumerate(labels))
        raise FunctionsError(f"returned {_shown(answer)}", remedy=f"Return -1 to abstain, or: {known}.")
    if not isinstance(given, str):
        raise FunctionsError(f"returned {_shown(answer)}, which is no label; return a label's name or None")
    advice = nearest(given, labels)
    raise FunctionsError(f"returned {_shown(given)}, which is not a label of '{control}'", remedy=advice)


def _confidence(answer: tuple[Any, ...]) -> float:
    value = answer[1]
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        if 0 <= number <= 1:  # not so for NaN
            return number
    raise FunctionsError(
        f"returned {_shown(answer)}, whose confidence is no number between 0 and 1",
        remedy="Return a label, or (label, confidence).",
    )


def reason(error: BaseException) -> str:
    """Return the last line of an author's traceback with the line of the author's file, and what was being done.

    Errors of this package say so themselves, and are told as they are."""
    line = 0
    step = error.__traceback__
    while step is not None:
        if not step.tb_frame.f_code.co_filename.startswith(_OWN):
            line = step.tb_lineno
        step = step.tb_next
    try:
        text = str(error)
    except Exception:  # an author's exception may fail to print
        text = "?"
    if isinstance(error, FunctionsError | ResourceFailed):
        return text
    notes = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    where = ", ".join([*([f"line {line}"] if line else []), *notes])
    return f"{type(error).__name__}: {text}" + (f" ({where})" if where else "")


def _shown(answer: object) -> str:
    try:
        return repr(answer)[:80]
    except Exception:  # an author's object may fail to print
        return f"a {type(answer).__name__}"
