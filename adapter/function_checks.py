"""Authors' examples, held against their labeling functions, in worker processes with the time limits of voting."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter.errors import FunctionsError, nearest
from adapter.function_labels import unknown_labels
from adapter.labeling import LabelingFunction, control_of
from adapter.vocabulary import Control, LabelSpace

if TYPE_CHECKING:
    from adapter.engines import Engine

LONGEST_DATA = 200


@dataclass(frozen=True, slots=True)
class ExampleCheck:
    """One example. number: from 1, as written. data: the task's data as JSON, cut. expected, got: label, None for an
    abstention. fault: the last line of the traceback, if the function failed. advice: where the example cannot pass."""

    number: int
    data: str
    expected: str | None
    got: str | None
    fault: str
    advice: str
    passed: bool


@dataclass(frozen=True, slots=True)
class FunctionCheck:
    """One function. place: its file and line. examples: in the order written; empty if it has none. warnings: labels
    that it returns and the label config does not list. error: why it could not be tried at all."""

    name: str
    place: str
    control: str
    examples: tuple[ExampleCheck, ...]
    warnings: tuple[str, ...]
    error: str

    @property
    def passed(self) -> bool:
        """Whether nothing failed; true also without examples."""
        return not self.error and all(item.passed for item in self.examples)


def check_functions(functions: Sequence[LabelingFunction], space: LabelSpace, engine: Engine) -> list[FunctionCheck]:
    """Run each function on its own examples, isolated as when voting: a crash or a hang fails that example alone."""
    return [_check(function, space, engine) for function in functions]


def _check(function: LabelingFunction, space: LabelSpace, engine: Engine) -> FunctionCheck:
    place = f"{function.module}:{function.line}" if function.line else function.module
    try:
        control = control_of(function, space)
        examples = tuple(_tried(function, control, engine)) if function.examples else ()
    except FunctionsError as error:
        return FunctionCheck(function.name, place, function.control or "", (), (), str(error))
    return FunctionCheck(function.name, place, control.name, examples, tuple(_warnings(function, control)), "")


def _tried(function: LabelingFunction, control: Control, engine: Engine) -> Iterator[ExampleCheck]:
    applied = engine.start([function], control).apply([data for data, _ in function.examples])
    messages = {fault.row: fault.message for fault in applied.faults}
    for row, (data, expected) in enumerate(function.examples):
        vote = int(applied.votes[row, 0])
        got = control.labels[vote] if vote >= 0 else None
        # A function that was given up has no message of its own for the rows after.
        fault = messages.get(row, messages.get(None, "it failed")) if vote == -2 else ""
        unknown = expected is not None and expected not in control.labels
        advice = ""
        if unknown:
            advice = f"'{control.name}' does not list '{expected}'. {nearest(str(expected), control.labels)}".strip()
        passed = not fault and not unknown and got == expected
        yield ExampleCheck(row + 1, _shown(data), expected, got, fault, advice, passed)


def _warnings(function: LabelingFunction, control: Control) -> Iterator[str]:
    for label, line, advice in unknown_labels(function, control.labels):
        says = "votes" if function.declared is not None else f"line {line} returns"
        yield f"{says} '{label}', which '{control.name}' does not list. {advice}".strip()


def _shown(data: object) -> str:
    text = json.dumps(data, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_DATA else text[: LONGEST_DATA - 1] + "…"
