"""Functions bound to the controls they vote on, and which of them are computed without calling them row by row."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adapter.engines.base import FAULT, Votes
from adapter.engines.orders import Order
from adapter.engines.tally import Notes
from adapter.errors import FunctionsError
from adapter.labeling import LabelingFunction, control_of
from adapter.ports import Floats
from adapter.vocabulary import Control, JsonObject, LabelSpace

if TYPE_CHECKING:
    from adapter.labeling.vectorized import Plan


@dataclass(frozen=True, slots=True)
class Bound:
    """orders: one for each function, in their order. plan: what is computed for whole blocks; None for nothing."""

    orders: tuple[Order, ...]
    plan: Plan | None

    @property
    def able(self) -> tuple[int, ...]:
        """The functions that the plan computes."""
        return self.plan.able if self.plan is not None else ()

    @property
    def declared(self) -> bool:
        """Whether the plan computes them all."""
        return bool(self.orders) and len(self.able) == len(self.orders)

    @property
    def named(self) -> list[tuple[str, str]]:
        """(name, version) of each function."""
        return [(order.name, order.version) for order in self.orders]

    def vectorized(
        self, rows: Sequence[JsonObject], votes: Votes, notes: Notes, first: int, seconds: list[float]
    ) -> tuple[dict[int, Floats], dict[int, npt.NDArray[np.intp]]]:
        """Fill the columns of `votes` (n, m) that the plan computes. first: number of the block's first row, for the
        notes. Returns function to confidences (n,), and function to the rows that must be called after all."""
        if self.plan is None:
            return {}, {}
        began = time.perf_counter()
        found, confidence, faults, left = self.plan.votes(rows)
        able = list(self.able)
        votes[:, able] = found
        for row, index, message in faults:
            notes.cell(first + row, index, message)
            votes[row, index] = FAULT
        sure = {} if confidence is None else {index: confidence[:, at] for at, index in enumerate(able)}
        rest: dict[int, npt.NDArray[np.intp]] = {}
        if left.any():
            for at in np.flatnonzero(left.any(axis=0)):
                index = able[at]
                rest[index] = np.flatnonzero(left[:, at])
                votes[rest[index], index] = FAULT
        share = (time.perf_counter() - began) / len(able)  # one pass over the text serves them all
        for index in able:
            seconds[index] += share
        return sure, rest


def bind(
    functions: Sequence[LabelingFunction], space: LabelSpace | Control, timeout_s: float, patience_s: float
) -> Bound:
    """Bind functions to their controls in `space`, or to the one control that all vote on. Raises FunctionsError when a
    function names a control that is not there, or was not loaded by `discover`."""
    controls = [space if isinstance(space, Control) else control_of(function, space) for function in functions]
    orders = tuple(
        _order(function, control, timeout_s, patience_s) for function, control in zip(functions, controls, strict=True)
    )
    plan: Any = None
    if any(function.declared is not None for function in functions):
        from adapter.labeling import vectorized

        plan = vectorized.plan(functions, [control.labels for control in controls])
    return Bound(orders, plan if plan is not None and plan.able else None)


def _order(function: LabelingFunction, control: Control, timeout_s: float, patience_s: float) -> Order:
    if not function.origin:
        raise FunctionsError(
            f"labeling function '{function.name}' was not loaded by `discover`, so no worker can load it",
            remedy="Put it into a file and pass what `adapter.labeling.discover` returns.",
        )
    limit = function.timeout_s if function.timeout_s is not None else timeout_s
    return Order(
        function.origin, function.name, function.version, control.name, tuple(control.labels), limit, patience_s
    )
