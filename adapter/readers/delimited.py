"""CSV and its kin: a header line, then a record a line or several, quoted as RFC 4180 has it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from adapter.errors import DataError
from adapter.readers import Item, Record, Reject, Source
from adapter.readers.opening import Opened

_UNDECODED = re.compile("[\ud800-\udfff]")
_MOST_LINES = 5_000
"""Lines of one record beyond which its quote is taken to be unbalanced."""
_LONGEST_FIELD = 64 * 1024 * 1024
_RAW = 10_000


def source(path: Path) -> Source:
    """Return the source for a CSV file, plain or gzipped."""
    opened = Opened(path)
    return Source(str(path), "csv", lambda: _items(opened), fraction=opened.fraction)


class _Lines:
    """Feeds the csv module, remembers what went into the record in progress, and takes lines back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.back: list[str] = []
        self.record: list[str] = []
        self.number = 0
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.record) >= _MOST_LINES:
            raise csv.Error("runaway")
        line = self.back.pop() if self.back else next(self.lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        self.number += 1
        self.record.append(line)
        return line

    def begin(self) -> None:
        self.record = []

    def give_back(self) -> str:
        """Keep the first line of the record in progress, return the others to be read again."""
        first, rest = self.record[0], self.record[1:]
        self.back.extend(reversed(rest))
        self.number -= len(rest)
        self.ended = False
        return first


def _items(opened: Opened) -> Iterator[Item]:
    if csv.field_size_limit() < _LONGEST_FIELD:  # one limit for the whole process; an image as data: URI is long
        csv.field_size_limit(_LONGEST_FIELD)
    with opened.text() as text:
        lines = _Lines(iter(text))
        header_line = next(lines, "")
        delimiter = _delimiter(opened.path, header_line)
        if lines.record:
            lines.back.append(lines.record.pop())
        lines.number, lines.ended = 0, False
        reader = csv.reader(lines, delimiter=delimiter)
        columns = _header(reader, lines, opened.path)
        while True:
            lines.begin()
            start = lines.number + 1
            try:
                row = next(reader, None)
                broken = "a quote is opened and never closed" if lines.ended and lines.record else ""
            except csv.Error as error:
                row, broken = (
                    [],
                    f"not CSV ({error})" if str(error) != "runaway" else "a quote is opened and not closed",
                )
            if broken:
                yield Reject(start, broken, lines.give_back()[:_RAW])
                reader = csv.reader(lines, delimiter=delimiter)
                continue
            if row is None:
                return
            if not row:
                continue
            if len(row) != len(columns):
                reason = f"{len(row)} fields where the header has {len(columns)}"
                yield Reject(start, reason, "".join(lines.record)[:_RAW])
                continue
            undecoded = [column for column, cell in zip(columns, row, strict=True) if _UNDECODED.search(cell)]
            if undecoded:
                reason = f"bytes that are not UTF-8 in column '{undecoded[0]}'"
                yield Reject(start, reason, "".join(lines.record)[:_RAW])
                continue
            yield Record(start, dict(zip(columns, row, strict=True)))


def _delimiter(path: Path, header: str) -> str:
    names = [suffix.lower() for suffix in path.suffixes]
    if ".tsv" in names or ".tab" in names:
        return "\t"
    if "," in header:
        return ","
    return next((mark for mark in ("\t", ";", "|") if mark in header), ",")


def _header(reader: Iterator[list[str]], lines: _Lines, path: Path) -> list[str]:
    remedy = "Write the columns' names into the first line."
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise DataError(f"the header is not CSV ({error})", where=f"{path}:1", remedy=remedy) from error
    if not header or (lines.ended and lines.record):
        raise DataError("there is no header line", where=f"{path}:1", remedy=remedy)
    columns = [name.strip() or f"column_{number}" for number, name in enumerate(header, start=1)]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(f"two columns are called '{twice[0]}'", where=f"{path}:1", remedy="Rename one of them.")
    if any("\x00" in name for name in columns):
        raise DataError(
            "the first line is not text", where=f"{path}:1", remedy="Export the table as CSV, JSONL or Parquet."
        )
    if any(_UNDECODED.search(name) for name in columns):
        raise DataError("the header is not UTF-8", where=f"{path}:1", remedy="Save the file as UTF-8.")
    return columns
