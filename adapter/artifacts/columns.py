"""Columns over the pool: arrays by seq, kept in parts as they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from adapter.artifacts.arrays import AnyArray
from adapter.artifacts.artifacts import Artifacts
from adapter.errors import StoreError
from adapter.vocabulary import Part

Range = tuple[int, int]


class PartTable(Protocol):
    """What a ColumnStore needs of the store's table of parts."""

    def add(self, project: str, part: Part) -> None:
        """Note a part; the same range again is left as it is."""
        ...

    def parts(self, project: str, what: str, control: str, source: str, version: str) -> list[Part]:
        """Return the parts by lo."""
        ...

    def covered(self, project: str, what: str, control: str, source: str, version: str) -> list[Range]:
        """Return the covered ranges, merged, by lo."""
        ...

    def drop(self, project: str, what: str, control: str, source: str, version: str) -> list[str]:
        """Forget a column; return the uris that nothing else names."""
        ...


class ColumnStore:
    """Joins the table of parts and the artifacts. The artifact is written first, the row that names it last."""

    def __init__(self, columns: PartTable, artifacts: Artifacts) -> None:
        self._columns = columns
        self._artifacts = artifacts

    def write(self, project: str, what: str, control: str, source: str, version: str, lo: int, array: AnyArray) -> None:
        """Store the rows lo to lo + len(array) - 1 of a column, (n,) or (n, k). Nothing happens for an empty array.

        A version's column never changes: the same range again keeps what was stored first.
        """
        if len(array) == 0:
            return
        uri, digest = self._artifacts.put_array(array)
        self._columns.add(project, Part(what, control, source, version, lo, lo + len(array), uri, digest))

    def missing(self, project: str, what: str, control: str, source: str, version: str, n: int) -> list[Range]:
        """Return the ranges [lo, hi) of 0 to n that no part covers, by lo."""
        return gaps(self._columns.covered(project, what, control, source, version), n)

    def has(self, project: str, what: str, control: str, source: str, version: str) -> bool:
        """Whether the column has any part."""
        return bool(self._columns.covered(project, what, control, source, version))

    def read(self, project: str, what: str, control: str, source: str, version: str, n: int, *, fill: Any) -> AnyArray:
        """Return a column's first n rows, shape (n,) or (n, k), with `fill` where nothing is stored.

        A column without any part is (n,) of `fill`. The array is the caller's own. Raises StoreError when a part is
        gone, damaged, or unlike the others in type or width.
        """
        parts = [part for part in self._columns.parts(project, what, control, source, version) if part.lo < n]
        out: AnyArray | None = None
        for part in parts:
            array = self._artifacts.get_array(part.uri, part.digest)
            if out is None:
                out = np.full((n, *array.shape[1:]), fill, dtype=array.dtype)
            if len(array) != part.hi - part.lo or array.shape[1:] != out.shape[1:] or array.dtype != out.dtype:
                raise StoreError(
                    f"rows {part.lo} to {part.hi} of column {what}/{control}/{source}/{version} do not fit the others",
                    where=f"project {project!r}",
                    remedy="Drop this column; the next run computes it again.",
                )
            hi = min(part.hi, n)
            out[part.lo : hi] = array[: hi - part.lo]
        return np.full(n, fill) if out is None else out

    def drop(self, project: str, what: str, control: str, source: str, version: str) -> None:
        """Forget a column and delete the artifacts that no other column names. Nobody may be writing meanwhile."""
        for uri in self._columns.drop(project, what, control, source, version):
            self._artifacts.delete(uri)


def gaps(covered: Sequence[Range], n: int) -> list[Range]:
    """Return what of [0, n) the ranges leave out. covered: by lo; they may touch or overlap."""
    missing: list[Range] = []
    end = 0
    for lo, hi in covered:
        if lo > end and end < n:
            missing.append((end, min(lo, n)))
        end = max(end, hi)
    if end < n:
        missing.append((end, n))
    return missing
