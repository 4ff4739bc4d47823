"""The sources of labeling functions as they travel to another machine: files by name and content, with a digest.

What is sent: of a file, the file itself, what it imports from beside it and the data files that it names; of a folder
or package, all in it but hidden files. A module that is installed is not sent: it has to be installed there too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from adapter.errors import FunctionsError
from adapter.loading import sources
from adapter.source_files import closure

MOST_BYTES = 256 * 1024 * 1024
_SKIPPED = {"__pycache__"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """files: (relative path, content). origins: (origin here, where it is in the bundle); a dotted name stays itself.
    folders: what modules are imported from, in the bundle."""

    files: tuple[tuple[str, bytes], ...]
    origins: tuple[tuple[str, str], ...]
    folders: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Hex sha256 over names and contents."""
        total = hashlib.sha256()
        for text in (*(f"{a}\0{b}" for a, b in self.origins), *self.folders):
            total.update(text.encode("utf-8", "surrogateescape") + b"\n")
        for name, content in self.files:
            total.update(name.encode("utf-8", "surrogateescape") + b"\0" + hashlib.sha256(content).digest())
        return total.hexdigest()


def pack(origins: Iterable[str]) -> Bundle:
    """Read the sources of these origins. Raises FunctionsError when they are too large to send, or gone."""
    files: dict[str, bytes] = {}
    placed: list[tuple[str, str]] = []
    folders: list[str] = []
    size = 0
    for number, origin in enumerate(dict.fromkeys(origins)):
        path = Path(origin)
        if not path.is_absolute():  # a dotted name
            placed.append((origin, origin))
            continue
        base = _base(path)
        for file in sorted(_files(path, base)):
            try:
                content = file.read_bytes()
            except OSError as error:
                raise FunctionsError(
                    f"cannot be read to be sent to the cluster ({error.strerror})", where=str(file)
                ) from error
            size += len(content)
            if size > MOST_BYTES:
                raise FunctionsError(
                    f"the labeling functions and the files beside them are more than {MOST_BYTES >> 20} MB to send",
                    where=origin,
                    remedy="Keep large files in a folder that all machines see, and name it by its absolute path.",
                )
            files[f"{number}/{file.relative_to(base).as_posix()}"] = content
        placed.append((origin, f"{number}/{path.relative_to(base).as_posix()}"))
        folders.append(str(number))
    return Bundle(tuple(sorted(files.items())), tuple(placed), tuple(folders))


def unpack(bundle: Bundle, folder: Path) -> dict[str, str]:
    """Write a bundle into an empty folder; return origin here to origin there. Raises FunctionsError for a name that
    leads out of the folder."""
    for name, content in bundle.files:
        path = _inside(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    given = dict(bundle.origins)
    return {origin: str(_inside(folder, there)) if there != origin else there for origin, there in given.items()}


def _inside(folder: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/" or "\0" in name:
        raise FunctionsError(f"{name[:200]!r} leads out of the folder that functions are unpacked in")
    return folder.joinpath(*parts)


def _base(path: Path) -> Path:
    """The folder that modules are imported from: the first one upwards that is no package."""
    base = path.parent
    while (base / "__init__.py").is_file() and base.parent != base:
        base = base.parent
    return base


def _files(path: Path, base: Path) -> set[Path]:
    found: set[Path] = set()
    if path.is_dir():
        for file in path.rglob("*"):
            parts = file.relative_to(path).parts
            if file.is_file() and not any(part.startswith(".") or part in _SKIPPED for part in parts):
                found.add(file)
        for source in sources(path):
            found.update(closure(source, path))
    else:
        found.update(closure(path, path.parent))
    for file in list(found):
        found.update(_packages(file, base))
    return {file for file in found if file.is_relative_to(base)}


def _packages(file: Path, base: Path) -> Iterator[Path]:
    """The `__init__.py` of each package that a file is in: its relative imports need them."""
    folder = file.parent
    while folder != base and folder.is_relative_to(base):
        if (folder / "__init__.py").is_file():
            yield folder / "__init__.py"
        folder = folder.parent
