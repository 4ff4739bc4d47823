"""What an author's Python file is made of: the files beside it that it imports, and the data files that it names."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LONGEST_PATH = 200
MOST_LISTED = 200
"""A folder that is named counts with all its files, unless it holds more."""
_WILDCARD = re.compile(r"[\w./ -]*\*[\w.*/ -]*\.\w{1,8}")


@dataclass(frozen=True, slots=True)
class Import:
    """What an import statement brings from another file of the author's. name: in that file; empty for all of it."""

    file: Path
    name: str = ""


def version(file: Path, folder: Path) -> str:
    """Return the hex sha256 over `file`, the sources it imports from its own folder or package, and the data files
    there that any of them names in a string."""
    digest = hashlib.sha256()
    for part in closure(file, folder):
        name = relative(part, folder).encode("utf-8", "surrogateescape")
        content = part.read_bytes()
        digest.update(len(name).to_bytes(8, "big") + name + len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def relative(part: Path, folder: Path) -> str:
    """Return a path as it is named from `folder`; only its last part where it lies elsewhere."""
    return part.relative_to(folder).as_posix() if part.is_relative_to(folder) else part.name


def closure(file: Path, folder: Path) -> list[Path]:
    """Return `file` and all files beside it that it is made of, sorted. One that does not parse stands for itself."""
    reached: set[Path] = set()
    waiting = [file]
    while waiting:
        part = waiting.pop()
        if part in reached:
            continue
        reached.add(part)
        if part.suffix == ".py":
            with contextlib.suppress(SyntaxError, ValueError, RecursionError):
                waiting.extend(_named(ast.parse(part.read_bytes()), part))
    return sorted(reached)


def _named(tree: ast.AST, file: Path) -> Iterator[Path]:
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (brought.file for brought in own_imports(node, file))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
    yield from data_files(texts, file.parent)


def own_imports(node: ast.Import | ast.ImportFrom, file: Path) -> list[Import]:
    """Return what an import statement in `file` brings from its folder or package; nothing for what is installed.

    A module whose name is that of a file beside `file` counts as the author's."""
    top = file.parent
    while (top / "__init__.py").is_file() and (top.parent / "__init__.py").is_file():
        top = top.parent
    if isinstance(node, ast.Import):
        found = []
        for alias in node.names:
            parts = alias.name.split(".")
            start = top.parent if parts[0] == top.name else file.parent
            found += [Import(path) for path in _modules(start.joinpath(*parts))]
        return found
    parts = node.module.split(".") if node.module else []
    if node.level:
        start = file.parent
        for _ in range(node.level - 1):
            start = start.parent
    else:
        start = top.parent if parts and parts[0] == top.name else file.parent
        if start == file.parent and not _modules(start / parts[0]):
            return []
    stem = start.joinpath(*parts)
    brought = []
    for alias in node.names:
        brought += [Import(path, "" if alias.name == "*" else alias.name) for path in _modules(stem)]
        brought += [Import(path) for path in _modules(stem / alias.name)]
    return brought


def _modules(stem: Path) -> list[Path]:
    candidates = (stem.with_name(stem.name + ".py"), stem / "__init__.py") if stem.name else ()
    return [candidate.resolve() for candidate in candidates if candidate.is_file()]


def data_files(texts: Iterable[str], folder: Path) -> set[Path]:
    """Return the files below `folder` that these texts of a program name: by a path, by the name of a folder and of a
    file in it (`HERE / "lists" / "spam.txt"`), by a pattern such as `*.txt`, or by the name of a small folder."""
    root = folder.resolve()
    given = sorted({text for text in texts if 0 < len(text) < LONGEST_PATH and text.strip("./") and "\0" not in text})
    found: set[Path] = set()
    folders = [root]
    for start in folders:  # grows while it is walked: folders in folders
        for text in given:
            with contextlib.suppress(OSError, ValueError):  # a text that is no file name
                path = start / text
                if path.is_file():
                    found.add(path.resolve())
                elif path.is_dir() and len(folders) < MOST_LISTED:
                    inner = path.resolve()
                    if inner.is_relative_to(root) and inner not in folders:
                        folders.append(inner)
                elif _WILDCARD.fullmatch(text):
                    found.update(match.resolve() for match in start.glob(text) if match.is_file())
        if start != root and not any(path.is_relative_to(start) for path in found):
            with contextlib.suppress(OSError):
                held = [path for _, path in zip(range(MOST_LISTED + 1), start.iterdir(), strict=False)]
                found.update(path.resolve() for path in held if len(held) <= MOST_LISTED and path.is_file())
    return {path for path in found if path.is_relative_to(root) and path.suffix != ".pyc"}
