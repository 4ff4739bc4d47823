"""JSON lines, and JSON files that hold one list; tasks as plain objects or in Label Studio's form `{"data": {...}}`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from adapter.errors import DataError
from adapter.readers import Item, Record, Reject, Source
from adapter.readers.opening import Opened

_RAW = 10_000
_BUFFER = 1 << 20
_LARGEST = 256 << 20
_TASK_KEYS = frozenset(
    {
        *("id", "data", "annotations", "completions", "predictions", "drafts", "meta", "created_at", "updated_at"),
        *("inner_id", "total_annotations", "cancelled_annotations", "total_predictions", "comment_count"),
        *("unresolved_comment_count", "last_comment_updated_at", "project", "updated_by", "comment_authors"),
        *("is_labeled", "overlap", "file_upload", "allow_skip"),
    }
)
"""Keys beside `data` in Label Studio's exports; an object with any other is a task of plain fields."""


def source(path: Path) -> Source:
    """Return the source for a JSONL or JSON file, plain or gzipped."""
    opened = Opened(path)
    return Source(str(path), "jsonl", lambda: _items(opened), fraction=opened.fraction)


def _items(opened: Opened) -> Iterator[Item]:
    with opened.binary() as binary:
        first = binary.readline(_BUFFER)
        while first and not first.strip(b"\xef\xbb\xbf \t\r\n"):
            first = binary.readline(_BUFFER)
        is_list = first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    yield from _list(opened) if is_list else _lines(opened)


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _lines(opened: Opened) -> Iterator[Item]:
    with opened.binary() as binary:
        for number, line in enumerate(binary, start=1):
            stripped = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
            if not stripped:
                continue
            try:
                yield record(number, json.loads(stripped.decode("utf-8"), parse_constant=_constant))
            except UnicodeDecodeError:
                yield Reject(number, "bytes that are not UTF-8", _text(stripped))
            except json.JSONDecodeError as error:
                yield Reject(number, f"not JSON: {error.msg} at character {error.pos + 1}", _text(stripped))
            except RecursionError:
                yield Reject(number, "not JSON: nested too deeply", _text(stripped))
            except ValueError as error:
                yield Reject(number, f"not JSON: {error}", _text(stripped))


def _text(line: bytes) -> str:
    return line[:_RAW].decode("utf-8", "surrogateescape")


def record(number: int, value: Any) -> Item:
    """Return the record that one parsed JSON value stands for; a reject if it is no object."""
    if not isinstance(value, dict):
        return Reject(number, f"a JSON {_kind(value)} where an object is needed", json.dumps(value)[:_RAW])
    data = value.get("data")
    if isinstance(data, dict) and value.keys() <= _TASK_KEYS:
        return Record(number, data, {key: inner for key, inner in value.items() if isinstance(inner, str | int)})
    return Record(number, value)


def _kind(value: object) -> str:
    names = {list: "list", str: "string", bool: "true or false", int: "number", float: "number", type(None): "null"}
    return names.get(type(value), type(value).__name__)


class _Window:
    """The part of a text that is not parsed yet."""

    def __init__(self, text: IO[str]) -> None:
        self.text = text
        self.buffer = ""
        self.at = 0
        self.line = 1
        self.ended = False

    def more(self) -> bool:
        """Read on; the buffer at least doubles, so that parsing a large value again stays linear."""
        chunk = self.text.read(max(_BUFFER, len(self.buffer) - self.at))
        self.buffer = self.buffer[self.at :] + chunk
        self.at = 0
        self.ended = not chunk
        return not self.ended

    def skip(self) -> str:
        """Pass over white space; return the next character without taking it, or an empty string at the end."""
        while True:
            while self.at < len(self.buffer) and self.buffer[self.at] in " \t\r\n":
                self.take()
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if not self.more():
                return ""

    def take(self, to: int | None = None) -> None:
        end = self.at + 1 if to is None else to
        self.line += self.buffer.count("\n", self.at, end)
        self.at = end


def _list(opened: Opened) -> Iterator[Item]:
    """Parse the elements of one list as they come. A list broken in the middle cannot be read on: DataError."""
    decoder = json.JSONDecoder(parse_constant=_constant)
    with opened.text() as text:
        window = _Window(text)
        window.skip()
        window.take()
        while (mark := window.skip()) != "]":
            if not mark:
                raise _broken(opened.path, window.line, "the list is cut off")
            line = window.line
            value, reason, raw = _element(decoder, window, opened.path)
            yield Reject(line, reason, raw) if reason else record(line, value)
            mark = window.skip()
            if mark == ",":
                window.take()
                if window.skip() == "]":
                    raise _broken(opened.path, window.line, "a comma before the closing bracket")
            elif mark != "]":
                raise _broken(opened.path, window.line, "a comma is missing" if mark else "the list is cut off")


def _element(decoder: json.JSONDecoder, window: _Window, path: Path) -> tuple[Any, str, str]:
    while True:
        try:
            value, end = decoder.raw_decode(window.buffer, window.at)
        except json.JSONDecodeError as error:
            held = len(window.buffer) - window.at
            incomplete = error.msg.startswith("Unterminated") or error.pos > len(window.buffer) - 64
            if incomplete and held < _LARGEST and window.more():
                continue
            line = window.line + window.buffer.count("\n", window.at, error.pos)
            raise _broken(path, line, error.msg) from error
        except RecursionError as error:
            raise _broken(path, window.line, "nested too deeply") from error
        except ValueError as error:
            raise _broken(path, window.line, str(error)) from error
        raw = window.buffer[window.at : end]
        window.take(end)
        undecoded = any("\udc80" <= character <= "\udcff" for character in raw) if not raw.isascii() else False
        return value, "bytes that are not UTF-8" if undecoded else "", raw[:_RAW] if undecoded else ""


def _broken(path: Path, line: int, why: str) -> DataError:
    return DataError(
        f"the JSON list does not parse: {why}",
        where=f"{path}:{line}",
        remedy="Mend that place, or write one object a line (.jsonl): there a bad row does not stop the others.",
    )
