"""What a worker process is ordered to do, and how long it may take: known to both sides."""

from __future__ import annotations

from dataclasses import dataclass

PLACE = 32
"""Bytes at the start of the shared memory: function, row and way of the call in progress, as int64."""
ROW, BATCH, FIRST_BATCH, PREPARE = 0, 1, 2, 3
"""Ways of a call: one row; many rows at once; the same for the first time, when models are loaded in it; the making
of a function's resources."""
BATCH_ROWS = 256
_BATCH_TIMES = 4.0


@dataclass(frozen=True, slots=True)
class Order:
    """One labeling function as the parent orders it. labels: of its control. timeout_s: for one call. patience_s: for
    making its resources, and for its first call of many rows."""

    origin: str
    name: str
    version: str
    control: str
    labels: tuple[str, ...]
    timeout_s: float
    patience_s: float

    def limit(self, way: int) -> float:
        """Return the seconds that a call may take. One of 256 rows may take four times as long as one of a row."""
        if way == ROW:
            return self.timeout_s
        if way == PREPARE:
            return max(self.patience_s, self.timeout_s)
        return max(_BATCH_TIMES * self.timeout_s, self.patience_s if way == FIRST_BATCH else 0.0)


@dataclass(frozen=True, slots=True)
class Cells:
    """What of a chunk is to be done. start: function and row to begin with, in the order of functions, then rows. rows:
    by function, which rows to call it on; None: all. strikes: by function, time-outs and crashes that it may still
    have. rowwise: functions whose call of many rows has failed before, so that they go row by row."""

    start: tuple[int, int]
    rows: tuple[tuple[int, ...] | None, ...]
    strikes: tuple[int, ...]
    rowwise: frozenset[int] = frozenset()
