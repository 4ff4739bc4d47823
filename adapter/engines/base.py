"""The port of engines, and what crosses it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from adapter.labeling import LabelingFunction
from adapter.ports import Floats
from adapter.vocabulary import Control, JsonObject, LabelSpace

ABSTAIN, FAULT = -1, -2

Votes = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class VoteFault:
    """A labeling function failed. row: index into the rows given; None: it failed as a whole, or on more rows.
    message: the last line of its traceback, with the line of the author's file."""

    source: str
    version: str
    row: int | None
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """votes: int16 (n, m), index into the labels of the function's control, ABSTAIN (-1) or FAULT (-2); columns in the
    order of the functions. faults: by row, then function; at most 100 rows told per function, the rest in one more.
    seconds: spent in each function. stopped: functions given up because they hung or crashed too often. confidence:
    function to float32 (n,) in 0..1, of those functions that said how sure they are at least once; 1 elsewhere.
    postponed: functions whose votes on these rows are not to be kept, since what they ask is down; ask them again."""

    votes: Votes
    faults: tuple[VoteFault, ...]
    seconds: Mapping[str, float]
    stopped: frozenset[str] = frozenset()
    confidence: Mapping[str, Floats] = field(default_factory=dict)
    postponed: frozenset[str] = frozenset()


class EngineRun(Protocol):
    """Functions bound to a label space, applied to batch after batch of rows; strikes count across the batches."""

    def apply(self, rows: Iterable[JsonObject]) -> Applied:
        """Vote on these rows. What goes wrong inside a call is a fault in the answer, never raised."""
        ...


class Engine(Protocol):
    """Runs labeling functions on rows."""

    def start(self, functions: Sequence[LabelingFunction], space: LabelSpace | Control) -> EngineRun:
        """Begin a run. space: the label space, in which each function finds its control, or the one control that all
        vote on.

        Raises FunctionsError when a function names a control that `space` lacks, was not loaded by `discover`, or
        cannot be loaded in a worker."""
        ...

    def close(self) -> None:
        """End what it started. It may be used again and then starts anew."""
        ...
