"""Reading tasks from files, folders and Label Studio projects, as a stream of records and rejects.

A single bad row becomes a `Reject` with its place and the reason, and reading goes on. Only what cannot be read at all
raises DataError. No reader holds more than a batch of rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from adapter.errors import DataError
from adapter.ports import Platform
from adapter.readers.identity import canonical, content_digest
from adapter.vocabulary import JsonObject

__all__ = [
    "PREFIX",
    "Item",
    "Record",
    "Reject",
    "Source",
    "canonical",
    "content_digest",
    "file_format",
    "open_source",
    "read_rows",
]

Format: TypeAlias = Literal["auto", "csv", "jsonl", "parquet", "folder", "label-studio"]

PREFIX = "label-studio:"
"""Start of a data path that names an existing Label Studio project by id."""

_ENDINGS: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True, slots=True)
class Record:
    """One row as read. line: its first line in the file, or its number from 1 where there are no lines.

    outer: what stood beside the data, such as the `id` of Label Studio's task form. content: hex digest of the file
    that the data came from or points at. key: the task id that it carries already.
    """

    line: int
    data: JsonObject
    outer: JsonObject = field(default_factory=dict)
    content: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that cannot be used. raw: its text as far as it could be read."""

    line: int
    reason: str
    raw: str


Item: TypeAlias = Record | Reject


@dataclass(frozen=True, slots=True)
class Source:
    """Something to read tasks from. name: for people and error messages. items: start to read, from the beginning.

    total: number of rows, None if unknown. fraction: share of the input read so far in 0..1, None if unknown.
    """

    name: str
    format: Format
    items: Callable[[], Iterator[Item]]
    total: int | None = None
    fraction: Callable[[], float | None] = lambda: None


def file_format(path: Path) -> Format:
    """Return the format that a path's ending stands for, looking through `.gz`. Raises DataError for an unknown one."""
    if path.is_dir():
        return "folder"
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    found = _ENDINGS.get(suffixes[-1] if suffixes else "")
    if found is None:
        raise DataError(
            f"the ending '{''.join(path.suffixes[-2:])}' stands for no format",
            where=str(path),
            remedy="Set `data.format` to csv, jsonl, parquet or folder.",
        )
    return found


def open_source(
    path: str,
    *,
    base: Path,
    format: Format = "auto",
    field: str = "",
    platform: Callable[[], Platform] | None = None,
) -> Source:
    """Return the source that `path` names: a file, a folder, or `label-studio:<project id>`.

    base: folder that relative paths start from. field: for a folder, the task field that gets each file. platform:
    called only for a Label Studio project. Raises DataError when it is missing, unreadable or of unknown format.
    """
    from adapter.readers import columnar, delimited, existing, folder, lines

    if not path:
        raise DataError("no data is named", where="data.path", remedy="Set `data.path` in the project's settings file.")
    if path.startswith(PREFIX) or format == "label-studio":
        return existing.source(path, platform)
    where = base / Path(path).expanduser()
    _readable(where)
    kind = file_format(where) if format == "auto" else format
    if (kind == "folder") != where.is_dir():
        is_, set_ = ("a folder", "folder") if where.is_dir() else ("a file", "csv, jsonl or parquet")
        raise DataError(f"this is {is_}, not {kind}", where=str(where), remedy=f"Set `data.format` to {set_}.")
    if kind == "csv":
        return delimited.source(where)
    if kind == "jsonl":
        return lines.source(where)
    if kind == "parquet":
        return columnar.source(where)
    return folder.source(where, field or "text")


def read_rows(path: Path, *, format: Format = "auto", field: str = "") -> Iterator[Item]:
    """Yield the records and rejects of a file or folder; see `open_source`."""
    return open_source(str(path), base=Path.cwd(), format=format, field=field).items()


def _readable(path: Path) -> None:
    try:
        present = path.exists()
    except (OSError, ValueError) as error:
        raise DataError(f"this is no usable path ({error})", where=str(path), remedy="Mend `data.path`.") from error
    if not present:
        parent = path.parent if path.parent.is_dir() else None
        others = sorted(entry.name for entry in parent.iterdir())[:5] if parent and os.access(parent, os.R_OK) else []
        there = f"Beside it: {', '.join(others)}." if others else "Its folder is not there either."
        raise DataError("there is no such file or folder", where=str(path), remedy=f"Mend `data.path`. {there}")
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise DataError("it may not be read", where=str(path), remedy="Give this user the permission to read it.")


def jsonable(value: Any) -> Any:
    """Return `value` as JSON can hold it: times as ISO text, decimals as numbers, NaN as None. Raises ValueError."""
    import datetime
    import decimal
    import math

    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(inner) for inner in value]
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise ValueError(f"a {type(value).__name__} has no place in JSON")
