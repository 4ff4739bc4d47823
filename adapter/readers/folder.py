"""A folder of files, one task a file: text files give their content, media files a `hitl-file:` value."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path

from adapter.errors import DataError
from adapter.readers import Item, Record, Reject, Source

MEDIA = "hitl-file:"
"""Start of a task value that names a file below the project's data folder."""
PATH_FIELD = "path"
"""Task field that holds the file's path below the folder, with forward slashes."""

_LARGEST_TEXT = 10 * 1024 * 1024
_TEXTS = {".txt", ".text", ".md", ".log", ".html", ".htm", ".xml", ".json", ".csv", ".eml", ".rst", ".tsv"}
_IGNORED = {"thumbs.db", "desktop.ini"}


def source(path: Path, field: str) -> Source:
    """Return the source for the files below a folder, in the order of their paths; hidden ones are passed over."""
    return Source(str(path), "folder", lambda: _items(path, field))


def _items(root: Path, field: str) -> Iterator[Item]:
    top = root.resolve()
    for number, path in enumerate(_files(root), start=1):
        name = path.relative_to(root).as_posix()
        try:
            yield _item(number, path, name, top, field)
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            yield Reject(number, f"it cannot be read ({getattr(error, 'strerror', '') or error})", name)


def _item(number: int, path: Path, name: str, top: Path, field: str) -> Item:
    real = path.resolve(strict=True)
    if not real.is_relative_to(top):
        return Reject(number, "a link that leads out of the folder", name)
    if not real.is_file():
        return Reject(number, "neither a file nor a folder", name)
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return Reject(number, "its name is not UTF-8", name)
    kind = (mimetypes.guess_type(name)[0] or "").split("/")[0]
    if path.suffix.lower() in _TEXTS or kind == "text":
        return _text(number, real, name, field)
    if kind in ("image", "audio", "video") or path.suffix.lower() == ".pdf":
        if not real.stat().st_size:
            return Reject(number, "the file is empty", name)
        return Record(number, {field: MEDIA + name, PATH_FIELD: name}, content=_digest(real))
    return Reject(number, f"the ending '{path.suffix}' is neither text nor image, audio, video", name)


def _text(number: int, path: Path, name: str, field: str) -> Item:
    size = path.stat().st_size
    if size > _LARGEST_TEXT:
        return Reject(number, f"a text of {size:,} bytes; at most {_LARGEST_TEXT:,} are taken", name)
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Reject(number, "bytes that are not UTF-8", name)
    return Record(number, {field: text, PATH_FIELD: name}, content=hashlib.sha256(content).hexdigest())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(root: Path) -> Iterator[Path]:
    """Yield files and links in the order of their paths, one folder's names at a time."""
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(
            f"the folder cannot be read ({error.strerror})", where=str(root), remedy="Check its permissions."
        ) from error
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in _IGNORED:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        else:
            yield Path(entry.path)
