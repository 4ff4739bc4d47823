"""Remembered vectors: in memory for all backends of a process, and in a folder for all processes of a machine."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats

IN_MEMORY = 20_000
"""Vectors kept in memory; 30 MB of 384 numbers each."""
MERGE_FROM = 32
"""Parts in a folder from which on they are merged into one."""


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
    """Vectors in a folder as parts of NumPy arrays: `<name>.vectors.npy` (n, d), then `<name>.keys.npy` (n, 32).

    A part is named by its keys and written once, keys last, each by rename: a kill leaves no half part. Damaged parts
    are passed over. Several processes may share the folder; what one adds after another has opened it is computed
    twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._where: dict[bytes, tuple[Floats, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        parts = sorted(folder.glob("*.keys.npy"))
        for path in parts:
            self._read(path)
        if len(parts) >= MERGE_FROM:
            self._merge(parts)

    def __len__(self) -> int:
        return len(self._where)

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Floats]:
        """Return the vectors that are known."""
        found = {}
        with self._lock:
            for key in keys:
                place = self._where.get(key)
                if place is not None:
                    found[key] = np.array(place[0][place[1]], np.float32)
        return found

    def put(self, vectors: dict[bytes, Floats]) -> None:
        """Write these as one part. A folder that cannot be written only costs time later, so it is no error."""
        if not vectors:
            return
        keys = sorted(vectors)
        try:
            self._read(self._write(keys, np.stack([vectors[key] for key in keys])))
        except OSError:
            return

    def _read(self, keys_path: Path) -> None:
        try:
            keys = np.load(keys_path, allow_pickle=False)
            vectors = np.load(_vectors_path(keys_path), mmap_mode="r", allow_pickle=False)
            if keys.dtype != np.uint8 or keys.ndim != 2 or keys.shape[1] != 32 or vectors.shape[0] != len(keys):
                return
        except (OSError, ValueError, EOFError):
            return
        with self._lock:
            for row, key in enumerate(keys):
                self._where.setdefault(key.tobytes(), (vectors, row))

    def _write(self, keys: Sequence[bytes], vectors: Floats) -> Path:
        name = hashlib.sha256(b"".join(keys)).hexdigest()[:32]
        keys_path = self.folder / f"{name}.keys.npy"
        if not keys_path.exists():
            _save(_vectors_path(keys_path), vectors.astype(np.float32))
            _save(keys_path, np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), 32))
        return keys_path

    def _merge(self, parts: Sequence[Path]) -> None:
        """Write all parts as one and remove them. Open maps of removed files stay valid."""
        if not self._where:
            return
        keys = sorted(self._where)
        try:
            whole = self._write(keys, np.stack([self._where[key][0][self._where[key][1]] for key in keys]))
            for path in parts:
                if path != whole:
                    path.unlink(missing_ok=True)
                    _vectors_path(path).unlink(missing_ok=True)
        except (OSError, ValueError):
            return


def _vectors_path(keys_path: Path) -> Path:
    return keys_path.with_name(keys_path.name.removesuffix(".keys.npy") + ".vectors.npy")


def _save(path: Path, array: npt.NDArray[np.generic]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.save(stream, array, allow_pickle=False)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
