"""Judgements with gaps: who is not asked says nothing. Units belong to tasks, and tasks are what is resampled."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from adapter.core.agreement.statistic import Doubles, Ints

Units = Iterable[Sequence[Hashable]]


@dataclass(frozen=True, slots=True)
class Judgements:
    """All judgements of all units, one entry each (v,).

    unit: index of the unit. code: index into `values`, the codes in order. task (u,): the task of each unit, 0..t-1.
    weight (u,): the unit's size; relative, with a mean of 1.
    """

    unit: Ints
    code: Ints
    values: tuple[Hashable, ...]
    task: Ints
    weight: Doubles

    @property
    def tasks(self) -> int:
        """Number of tasks t."""
        return int(self.task.max()) + 1 if len(self.task) else 0

    @property
    def size(self) -> Doubles:
        """Judgements of each unit (u,)."""
        return np.bincount(self.unit, minlength=len(self.task)).astype(np.float64)

    @property
    def doubly(self) -> int:
        """Tasks with at least one unit of two judgements."""
        return len(np.unique(self.task[self.size > 1]))

    def counts(self) -> Doubles:
        """Return (u, k): how often each value was given to each unit."""
        k = len(self.values)
        flat = np.bincount(self.unit * k + self.code, minlength=len(self.task) * k)
        return flat.reshape(len(self.task), k).astype(np.float64)

    def per_task(self, per_unit: Doubles) -> Doubles:
        """Return (t, p): the weighted sum over each task's units of figures (u, p)."""
        out = np.zeros((self.tasks, per_unit.shape[1]))
        np.add.at(out, self.task, per_unit * self.weight[:, None])
        return out

    def pairable(self) -> Judgements:
        """Return the judgements of units that have at least two; values, tasks and weights stay."""
        keep = self.size[self.unit] > 1
        return Judgements(self.unit[keep], self.code[keep], self.values, self.task, self.weight)


def judgements(
    units: Units,
    *,
    values: Sequence[Hashable] | None = None,
    tasks: Sequence[int] | None = None,
    weights: Sequence[float] | None = None,
) -> Judgements:
    """Return units as arrays.

    units: for each the codes that people gave, missing ones left out. values: all codes there are, in order; without
    it those that occur, sorted where they can be. tasks: the task of each unit, 0..t-1; without it each unit is a task
    of its own. weights: sizes of units, above 0. Raises ValueError for a code outside `values`, a weight that is not
    above 0, or lists of unlike lengths.
    """
    rows = [list(unit) for unit in units]
    listed = list(values) if values is not None else _sorted({code for row in rows for code in row})
    index = {code: number for number, code in enumerate(listed)}
    unknown = next((code for row in rows for code in row if code not in index), None)
    if unknown is not None:
        raise ValueError(f"the code {unknown!r} is none of the {len(listed)} values")
    task = np.arange(len(rows), dtype=np.int64) if tasks is None else np.asarray(tasks, np.int64)
    size = np.ones(len(rows)) if weights is None else np.asarray(weights, np.float64)
    if len(task) != len(rows) or len(size) != len(rows):
        raise ValueError(f"{len(rows)} units, {len(task)} tasks, {len(size)} weights: one of each is needed")
    if len(size) and not (np.isfinite(size).all() and size.min() > 0):
        raise ValueError("a unit's weight must be a number above 0")
    return Judgements(
        unit=np.repeat(np.arange(len(rows), dtype=np.int64), [len(row) for row in rows]),
        code=np.array([index[code] for row in rows for code in row], dtype=np.int64),
        values=tuple(listed),
        task=task,
        weight=size / size.mean() if len(size) else size,
    )


def from_counts(table: Sequence[Sequence[int]]) -> Judgements:
    """Return the judgements of a table (u, k) as Fleiss writes it: how often each of k labels was given to each
    unit."""
    k = len(table[0]) if len(table) else 0
    return judgements(
        ([code for code, times in enumerate(row) for _ in range(times)] for row in table), values=range(k)
    )


def _sorted(codes: set[Hashable]) -> list[Hashable]:
    """Numbers by size, all else by type and text: the order of the input must not matter."""
    if all(isinstance(code, int | float) for code in codes):
        return sorted(codes)  # type: ignore[type-var]
    return sorted(codes, key=lambda code: (type(code).__name__, _text(code)))


def _text(code: Hashable) -> str:
    return repr(sorted(code, key=repr)) if isinstance(code, frozenset) else repr(code)
