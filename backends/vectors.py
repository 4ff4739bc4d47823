"""Remembered vectors: in memory for all backends of a process, and in a folder for all processes of a machine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats

IN_MEMORY = 20_000
"""Vectors kept in memory; 30 MB of 384 numbers each."""
MERGE_FROM = 8
"""Parts of like size from which on they are merged into one."""
KEY = 32
CHUNK = 16_384
Bytes = npt.NDArray[np.uint8]


def key_of(model: str, text: str) -> bytes:
    """Return the key of a text's vector: sha256 of the model's identity and the text, 32 bytes."""
    return hashlib.sha256(f"{model}\x1f{text}".encode("utf-8", "surrogatepass")).digest()


class Remembered:
    """The most recently used vectors of this process. Thread-safe."""

    def __init__(self, size: int = IN_MEMORY) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._vectors: OrderedDict[bytes, Floats] = OrderedDict()

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Floats]:
        """Return the vectors that are known."""
        found: dict[bytes, Floats] = {}
        with self._lock:
            for key in keys:
                vector = self._vectors.get(key)
                if vector is not None:
                    self._vectors.move_to_end(key)
                    found[key] = vector
        return found

    def put(self, vectors: dict[bytes, Floats]) -> None:
        """Remember these; the least recently used ones make room."""
        with self._lock:
            self._vectors.update(vectors)
            while len(self._vectors) > self._size:
                self._vectors.popitem(last=False)


class VectorFolder:
    """Vectors in a folder as parts of NumPy arrays: `<name>.vectors.npy` (n, d), then `<name>.keys.npy` (n, 32), both
    in the order of the keys.

    A part is named by its keys and written once, keys last, each by rename: a kill leaves no half part. Damaged parts
    are passed over. Several processes may share the folder; what one adds after another has opened it is computed
    twice. Vectors stay on disk (mapped), of a key 8 bytes are kept in memory: 1,000,000 of them take 8 MB. As soon as
    MERGE_FROM parts are of like size they become one, so there are few parts, and what is rewritten stays in proportion
    to what is added. half: write 16 bits a number instead of 32.
    """

    def __init__(self, folder: Path, *, half: bool = False) -> None:
        self.folder, self.half = folder, half
        self._lock = threading.Lock()
        self._parts: list[_Part] = []
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("*.keys.npy")):
            self._add(path)
        with self._lock:
            self._merge()

    def __len__(self) -> int:
        """The number of vectors here; one that two processes added at the same time counts twice."""
        return sum(len(part.keys) for part in self._parts)

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Floats]:
        """Return the vectors that are known."""
        left = list(keys)
        found: dict[bytes, Floats] = {}
        for part in tuple(self._parts):
            if not left:
                break
            rows = part.find(np.frombuffer(b"".join(left), np.uint8).reshape(len(left), KEY))
            for place in np.flatnonzero(rows >= 0).tolist():
                found[left[place]] = np.array(part.vectors[rows[place]], np.float32)
            left = [key for key, row in zip(left, rows.tolist(), strict=True) if row < 0]
        return found

    def put(self, vectors: dict[bytes, Floats]) -> None:
        """Write these as one part. A folder that cannot be written only costs time later, so it is no error."""
        if not vectors:
            return
        order = sorted(vectors)
        keys = np.frombuffer(b"".join(order), np.uint8).reshape(len(order), KEY)
        try:
            rows = np.stack([vectors[key] for key in order])
            self._add(self._write(keys, rows.astype(np.float16 if self.half else np.float32)))
        except OSError:
            return
        with self._lock:
            self._merge()

    def _add(self, keys_path: Path) -> None:
        try:
            part = _Part(keys_path)
        except (OSError, ValueError, EOFError):
            return
        with self._lock:
            if all(part.path != known.path for known in self._parts):
                self._parts.append(part)

    def _write(self, keys: Bytes, vectors: npt.NDArray[np.floating]) -> Path:
        path = self._path(keys)
        if not path.exists():
            _save(_vectors_path(path), vectors)
            _save(path, keys)
        return path

    def _path(self, keys: Bytes) -> Path:
        return self.folder / f"{hashlib.sha256(keys.tobytes()).hexdigest()[:32]}.keys.npy"

    def _merge(self) -> None:
        """Make one part of those of like size, where there are MERGE_FROM of them, and so on with larger ones. Open
        maps of removed files stay valid."""
        while True:
            tiers: dict[tuple[int, int, str], list[_Part]] = {}
            for part in self._parts:
                tiers.setdefault(part.tier, []).append(part)
            full = next((parts for parts in tiers.values() if len(parts) >= MERGE_FROM), None)
            if full is None:
                return
            try:
                merged = self._merged(full)
            except (OSError, ValueError):
                return
            self._parts = [part for part in self._parts if part not in full] + [merged]
            for part in full:
                if part.path != merged.path:
                    with contextlib.suppress(OSError):
                        part.path.unlink(missing_ok=True)
                        _vectors_path(part.path).unlink(missing_ok=True)

    def _merged(self, parts: Sequence[_Part]) -> _Part:
        """Write these parts as one, CHUNK rows in memory at a time."""
        keys = np.concatenate([part.keys for part in parts])
        flat = keys.view(f"S{KEY}").ravel()
        _, first = np.unique(flat, return_index=True)  # ordered by key, each key once
        keys = np.ascontiguousarray(keys[first])
        path = self._path(keys)
        if not path.exists():
            starts = np.cumsum([0, *(len(part.keys) for part in parts)])
            shape = (len(first), parts[0].vectors.shape[1])

            def fill(out: npt.NDArray[np.floating]) -> None:
                for start in range(0, len(first), CHUNK):
                    rows = first[start : start + CHUNK]
                    for number, part in enumerate(parts):
                        mine = np.flatnonzero((rows >= starts[number]) & (rows < starts[number + 1]))
                        out[start + mine] = part.vectors[rows[mine] - starts[number]]

            _save_large(_vectors_path(path), shape, parts[0].vectors.dtype, fill)
            _save(path, keys)
        return _Part(path)


class _Part:
    """One part of a folder. Raises OSError, ValueError or EOFError if its files are missing or damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys: Bytes = np.load(path, mmap_mode="r", allow_pickle=False)
        self.vectors: npt.NDArray[np.floating] = np.load(_vectors_path(path), mmap_mode="r", allow_pickle=False)
        keys, vectors = self.keys, self.vectors
        if keys.dtype != np.uint8 or keys.ndim != 2 or keys.shape[1] != KEY or not len(keys):
            raise ValueError("no keys")
        if vectors.ndim != 2 or len(vectors) != len(keys) or vectors.dtype not in (np.float32, np.float16):
            raise ValueError("vectors that do not fit the keys")
        self._heads = _heads(keys)
        if (self._heads[1:] < self._heads[:-1]).any():
            raise ValueError("keys without order")

    @property
    def tier(self) -> tuple[int, int, str]:
        """What parts that are merged have in common: about their size, and the kind of their vectors."""
        return int(np.log(len(self.keys)) / np.log(MERGE_FROM)), self.vectors.shape[1], self.vectors.dtype.name

    def find(self, wanted: Bytes) -> npt.NDArray[np.int64]:
        """Return the rows (m,) of these keys (m, 32); -1 for those that are not here."""
        heads = _heads(wanted)
        place, out = np.searchsorted(self._heads, heads), np.full(len(wanted), -1, np.int64)
        open_ = np.arange(len(wanted))
        while len(open_):
            open_ = open_[place[open_] < len(self._heads)]
            open_ = open_[self._heads[place[open_]] == heads[open_]]
            right = (self.keys[place[open_]] == wanted[open_]).all(axis=1)
            out[open_[right]] = place[open_[right]]
            open_ = open_[~right]
            place[open_] += 1  # another key with the same first 8 bytes
        return out


@lru_cache(maxsize=4)
def vector_folder(folder: str, half: bool = False) -> VectorFolder:
    """Return this process's one view of a folder."""
    return VectorFolder(Path(folder), half=half)


def _heads(keys: Bytes) -> npt.NDArray[np.uint64]:
    """Return the first 8 bytes of keys (n, 32) as numbers of the same order."""
    return np.ascontiguousarray(keys[:, :8]).view(">u8").ravel().astype(np.uint64)


def _vectors_path(keys_path: Path) -> Path:
    return keys_path.with_name(keys_path.name.removesuffix(".keys.npy") + ".vectors.npy")


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    with _renamed(path) as name, open(name, "wb") as stream:
        np.save(stream, array, allow_pickle=False)


def _save_large(
    path: Path, shape: tuple[int, int], kind: Any, fill: Callable[[npt.NDArray[np.floating]], None]
) -> None:
    with _renamed(path) as name:
        out: np.memmap[Any, Any] = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
            name, mode="w+", dtype=kind, shape=shape
        )
        fill(out)
        out.flush()


@contextlib.contextmanager
def _renamed(path: Path) -> Iterator[str]:
    """Give the name of a new file that gets its own name when it is whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    os.close(handle)
    try:
        yield name
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
