"""Opening files for the readers: gzip by its magic number, progress by the bytes of the file on disk."""

from __future__ import annotations

import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from adapter.errors import DataError


class Opened:
    """Opens one file again and again; tells how far the last reading is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._raw: IO[bytes] | None = None

    @contextlib.contextmanager
    def binary(self) -> Iterator[IO[bytes]]:
        """Yield the file's bytes, decompressed. Raises DataError when it cannot be read (on)."""
        try:
            with self.path.open("rb") as raw:
                self._raw = raw
                if raw.peek(2)[:2] == b"\x1f\x8b":
                    with gzip.open(raw, "rb") as unpacked:
                        yield unpacked  # type: ignore[misc]
                else:
                    yield raw
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise DataError(
                f"the gzip file is damaged or cut off ({error})",
                where=str(self.path),
                remedy="Fetch it again; the rows before the damage are in, and come no second time.",
            ) from error
        except OSError as error:
            raise DataError(
                f"it cannot be read ({error.strerror or error})", where=str(self.path), remedy="Check path and disk."
            ) from error
        finally:
            self._raw = None

    @contextlib.contextmanager
    def text(self) -> Iterator[IO[str]]:
        """Yield the file's text: UTF-8, or UTF-16 by its mark; bytes that are neither come as lone surrogates."""
        with self.binary() as binary:
            reader = io.BufferedReader(binary) if not isinstance(binary, io.BufferedReader) else binary  # type: ignore[type-var]
            mark = reader.peek(4)[:2]
            encoding = "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
            errors = "surrogateescape" if encoding == "utf-8-sig" else "replace"
            yield io.TextIOWrapper(reader, encoding=encoding, errors=errors, newline="")

    def fraction(self) -> float | None:
        """Return the share of the file read so far, 0..1; None when it is not being read."""
        raw = self._raw
        if raw is None or raw.closed or not self.size:
            return None
        return min(1.0, raw.tell() / self.size)
