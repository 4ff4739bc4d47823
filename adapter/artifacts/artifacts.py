"""Immutable files, named by their content. Written aside and moved into place, so a reader never sees a half file."""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from adapter.artifacts.arrays import AnyArray, read_array, write_array
from adapter.artifacts.errors import damaged, told
from adapter.errors import StoreError

_ABANDONED_S = 24 * 3600.0
_URI_REMEDY = "Take uris from the store's tables only."


class Artifacts:
    """An artifact store. url: a folder, or any fsspec url such as `s3://bucket/prefix`.

    A uri is relative to the store, so a data folder may be moved. The same content always gets the same uri. What is
    far away is copied into `cache` when it is read, once; by default a private folder that goes with the process.
    Methods raise StoreError and DiskFull, and nothing is half-written then.
    """

    def __init__(self, url: str, *, cache: Path | None = None) -> None:
        scheme, separator, rest = url.partition("://")
        remote = bool(separator) and scheme not in ("file", "local")
        self._remote = _Remote(url) if remote else None
        # Users and options in a url may be secrets.
        self._where = f"{scheme}://{rest.split('?')[0].rpartition('@')[2]}" if remote else (rest or url)
        self._home = cache if remote else Path(rest if separator else url)
        self._lock = threading.Lock()
        self._verified: set[tuple[str, str]] = set()
        self._swept = False

    def __repr__(self) -> str:
        return f"Artifacts({self._where!r})"

    def put_array(self, array: AnyArray) -> tuple[str, str]:
        """Store an array (n,) or (n, k) of booleans, integers or floats; return its uri and sha256."""
        with told(self._where), self._aside() as aside:
            draft = aside / "array.arrow"
            write_array(array, draft)
            digest = file_digest(draft)
            uri = f"arrays/{digest[:2]}/{digest}.arrow"
            self._place(draft, uri)
        return uri, digest

    def get_array(self, uri: str, digest: str | None = None) -> AnyArray:
        """Return an array, read-only, mapped into memory where possible. With a digest the content is checked."""
        with told(self._where):
            path = self._fetched(uri)
            self._check(path, uri, digest)
            return read_array(path)

    def put_folder(self, folder: Path) -> tuple[str, str]:
        """Store a folder with all its files; return its uri and digest. Links in it are refused."""
        with told(self._where), self._aside() as aside:
            folder_digest(folder)  # refuses links before they are followed
            draft = aside / "folder"
            shutil.copytree(folder, draft)
            digest = folder_digest(draft)
            uri = f"folders/{digest[:2]}/{digest}"
            self._place(draft, uri)
        return uri, digest

    def get_folder(self, uri: str, digest: str | None = None) -> Path:
        """Return a local path with the folder's files; do not write there. With a digest the content is checked."""
        with told(self._where):
            path = self._fetched(uri)
            self._check(path, uri, digest)
            return path

    def delete(self, uri: str) -> None:
        """Remove an artifact; nothing happens if it is gone already."""
        with told(self._where):
            path = self._path(uri)
            if self._remote is not None:
                self._remote.delete(uri)
            if path.is_dir():
                with self._aside() as aside:  # one step, so that nobody finds half a folder
                    path.rename(aside / "gone")
            else:
                path.unlink(missing_ok=True)

    def _root(self) -> Path:
        """The store itself, or the cache of a store that is far away."""
        with self._lock:
            if self._home is None:
                self._home = Path(tempfile.mkdtemp(prefix="hitl-artifacts-"))
                weakref.finalize(self, shutil.rmtree, self._home, ignore_errors=True)
            return self._home

    def _path(self, uri: str) -> Path:
        """Return a uri's place; refuse what is not one of ours, so that none ever leads outside the store."""
        parts = PurePosixPath(uri).parts
        if len(parts) != 3 or parts[0] not in ("arrays", "folders") or ".." in parts or "\\" in uri or "\x00" in uri:
            raise StoreError(f"{uri[:200]!r} names no artifact", where=self._where, remedy=_URI_REMEDY)
        return self._root().joinpath(*parts)

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        """A scratch folder on the same disk, so that a move is one step. Those of killed processes go after a day."""
        scratch = self._root() / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        if not self._swept:
            self._swept = True
            _sweep(scratch)
        aside = scratch / uuid.uuid4().hex
        aside.mkdir()
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _place(self, draft: Path, uri: str) -> None:
        """Move a finished draft to its place. What is there already is the same, or damaged and replaced."""
        if self._remote is not None:
            self._remote.upload(draft, uri)
        _flush(draft)
        path = self._path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        if draft.is_file():
            draft.replace(path)
        else:
            digest = path.name
            if path.exists() and folder_digest(path) != digest:
                path.rename(draft.parent / "damaged")
            with suppress(FileExistsError):
                _rename_folder(draft, path)
        _flush_names(path.parent)

    def _fetched(self, uri: str) -> Path:
        path = self._path(uri)
        if not path.exists():
            if self._remote is None:
                raise FileNotFoundError(uri)
            with self._aside() as aside:
                draft = aside / "copy"
                self._remote.download(uri, draft)
                path.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileExistsError):
                    _rename_folder(draft, path)
        return path

    def _check(self, path: Path, uri: str, digest: str | None) -> None:
        if digest is None:
            return
        stamp = (uri, _stamp(path))
        if stamp in self._verified and digest in uri:
            return
        found = folder_digest(path) if path.is_dir() else file_digest(path)
        if not hmac.compare_digest(found, digest):
            raise damaged(uri, self._where)
        self._verified.add(stamp)


class _Remote:
    """The far side of a store, through fsspec. A folder counts when its marker is there, which is written last."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: tuple[Any, str] | None = None

    def _open(self) -> tuple[Any, str]:
        if self._opened is None:
            import fsspec

            try:
                fs, root = fsspec.core.url_to_fs(self._url)
            except (ImportError, ValueError) as error:
                scheme = self._url.partition("://")[0]
                raise StoreError(
                    f"artifacts at '{scheme}://' need a driver that is not installed ({type(error).__name__})",
                    where="store.artifacts",
                    remedy="Install fsspec's package for it (s3fs for s3, gcsfs for gs), or give a folder.",
                ) from None
            self._opened = (fs, root.rstrip("/"))
        return self._opened

    def upload(self, draft: Path, uri: str) -> None:
        fs, root = self._open()
        target = f"{root}/{uri}"
        if draft.is_file():
            self._send(fs, draft, target)
            return
        for name in _files(draft):
            self._send(fs, draft / name, f"{target}/{name}")
        fs.pipe_file(f"{target}.complete", b"")

    @staticmethod
    def _send(fs: Any, draft: Path, target: str) -> None:
        aside = f"{target}.{uuid.uuid4().hex}.tmp"
        fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        fs.put_file(str(draft), aside)
        fs.mv(aside, target)

    def download(self, uri: str, draft: Path) -> None:
        fs, root = self._open()
        source = f"{root}/{uri}"
        if uri.startswith("arrays/"):
            fs.get_file(source, str(draft))
            return
        if not fs.exists(f"{source}.complete"):
            raise FileNotFoundError(uri)
        draft.mkdir()
        for found in fs.find(source):
            name = found[found.index(uri) + len(uri) + 1 :]
            if ".." in PurePosixPath(name).parts or name.endswith(".tmp"):
                continue
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            fs.get_file(found, str(draft / name))

    def delete(self, uri: str) -> None:
        fs, root = self._open()
        for name in (f"{root}/{uri}.complete", f"{root}/{uri}"):
            if fs.exists(name):
                fs.rm(name, recursive=True)


def file_digest(path: Path) -> str:
    """Return the sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Return the sha256 (hex) over the names and contents of all files, whatever their order on the disk."""
    total = hashlib.sha256()
    for name in _files(folder):
        total.update(f"{file_digest(folder / name)} {name}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _files(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    names = []
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise StoreError(
                "a link cannot be stored", where=str(path), remedy="Put the file itself there: artifacts stand alone."
            )
        if path.is_file():
            names.append(path.relative_to(folder).as_posix())
    return sorted(names)


def _stamp(path: Path) -> str:
    files = [path / name for name in _files(path)] if path.is_dir() else [path]
    seen = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(seen).encode("utf-8", "surrogateescape")).hexdigest()


def _sweep(scratch: Path) -> None:
    oldest = time.time() - _ABANDONED_S
    for folder in scratch.iterdir():
        with suppress(OSError):
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def _rename_folder(draft: Path, path: Path) -> None:
    """Rename; FileExistsError if another process was first (some systems call a full folder by another name)."""
    try:
        draft.rename(path)
    except OSError as error:
        if path.exists():
            raise FileExistsError(path) from error
        raise


def _flush(draft: Path) -> None:
    """Have the contents on the disk before their name is."""
    for path in [draft / name for name in _files(draft)] if draft.is_dir() else [draft]:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _flush_names(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
