"""Rules of one value a row (`column`, `lookup`, `model_output`) over a whole column; they answer as their row rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.labeling.answers import reason
from adapter.labeling.declared import ColumnRule, LookupRule, ScoreRule
from adapter.labeling.declared.column import BOUNDS

Codes: TypeAlias = npt.NDArray[np.int16]
ABSTAIN, FAULT = -1, -2
REMEMBERED = 100_000
"""Different texts whose answers are remembered while one column is computed."""


def codes_of_values(
    rule: ColumnRule | LookupRule | ScoreRule, values: Sequence[Any], codes: Mapping[str, int]
) -> tuple[Codes, dict[int, str]]:
    """Return the votes on a column, int16 (n,), -1 to abstain and -2 for a fault, and what went wrong by row.

    codes: label to its index."""
    bounds = _only_bounds(rule)
    fast = _bounded(bounds, values, codes[rule.label]) if not isinstance(rule, LookupRule) and bounds else None
    return (fast, {}) if fast is not None else _each(rule, values, codes)


def _only_bounds(rule: ColumnRule | LookupRule | ScoreRule) -> tuple[tuple[str, float], ...]:
    """The thresholds of a rule that asks for nothing else of a plain number; empty for others."""
    if isinstance(rule, ColumnRule):
        return rule.bounds if rule.words is None else ()
    return rule.bounds if isinstance(rule, ScoreRule) and rule.key is None else ()


def _bounded(bounds: Sequence[tuple[str, float]], values: Sequence[Any], code: int) -> Codes | None:
    """Votes by thresholds on numbers, or on texts that all are numbers; None where the column holds other things."""
    types = set(map(type, values))
    if not types <= {float, int, bool} and types != {str}:
        return None
    try:
        numbers = np.fromiter(map(float, values), np.float64, len(values))
    except (ValueError, OverflowError):  # a text that is no number, or an integer beyond all floats
        return None
    holds = ~np.isnan(numbers)
    for name, bound in bounds:
        holds &= BOUNDS[name](numbers, bound)
    return np.where(holds, code, ABSTAIN).astype(np.int16)


def _each(
    rule: ColumnRule | LookupRule | ScoreRule, values: Sequence[Any], codes: Mapping[str, int]
) -> tuple[Codes, dict[int, str]]:
    """Votes value by value, each different text computed once."""
    out = np.full(len(values), ABSTAIN, np.int16)
    faults: dict[int, str] = {}
    known: dict[str, int] = {}
    ask = _asker(rule, codes)
    for row, value in enumerate(values):
        if value is None:
            continue
        answer = known.get(value) if type(value) is str else None
        if answer is None:
            try:
                answer = ask(value)
            except Exception as error:  # a foreign value may fail in any way: a fault, as in a worker
                out[row], faults[row] = FAULT, reason(error)
                continue
            if type(value) is str and len(known) < REMEMBERED:
                known[value] = answer
        out[row] = answer
    return out, faults


def _asker(rule: ColumnRule | LookupRule | ScoreRule, codes: Mapping[str, int]) -> Callable[[Any], int]:
    """What gives the code for one value; its faults are the row rule's."""
    field = rule.field

    def ask(value: Any) -> int:
        answer = rule({field: value})
        if answer is None:
            return ABSTAIN
        return codes[answer if isinstance(answer, str) else answer[0]]

    return ask
