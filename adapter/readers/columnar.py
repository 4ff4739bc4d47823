"""Parquet, by row groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapter.errors import DataError
from adapter.readers import Item, Record, Reject, Source, jsonable

_BATCH = 2_000
_RAW = 10_000


def source(path: Path) -> Source:
    """Return the source for a Parquet file. Raises DataError if it is none."""
    with _file(path) as opened:
        total = opened.metadata.num_rows
        names = [column for column in opened.schema_arrow.names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"two columns are called '{twice[0]}'", where=str(path), remedy="Rename one of them.")
    return Source(str(path), "parquet", lambda: _items(path), total=total)


def _file(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"it is no readable Parquet file ({_first_line(error)})",
            where=str(path),
            remedy="Check that it is complete, or set `data.format`.",
        ) from error


def _items(path: Path) -> Iterator[Item]:
    import pyarrow as pa

    number = 0
    with _file(path) as opened:
        batches = opened.iter_batches(batch_size=_BATCH)
        while True:
            try:
                batch = next(batches, None)
                rows = [] if batch is None else batch.to_pylist()
            except (pa.ArrowException, OSError) as error:
                raise DataError(
                    f"it cannot be read on after row {number} ({_first_line(error)})",
                    where=str(path),
                    remedy="Fetch the file again; the rows before are in, and come no second time.",
                ) from error
            if batch is None:
                return
            for row in rows:
                number += 1
                try:
                    yield Record(number, jsonable(row))
                except ValueError as error:
                    yield Reject(number, str(error), repr(row)[:_RAW])


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
