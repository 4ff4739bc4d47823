"""Loading an author's Python files: by path or dotted name, anew when they changed, with versions by content.

Files given by path become modules of a private package whose name holds a digest of the path, so that two projects
with a `functions.py` each never meet in `sys.modules`. The standard byte code cache is passed by: it compares times in
whole seconds and would miss a quick edit.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import sys
import threading
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from adapter.errors import FunctionsError
from adapter.loading_limit import LOAD_S, LoadTooLong, limited, rehearse
from adapter.source_files import closure as closure
from adapter.source_files import version as version

_PREFIX = "_hitl_functions_"
_VERSION = "__hitl_version__"
_LOCK = threading.RLock()
_REHEARSED: dict[str, str] = {}
_SKIPPED = {"__main__.py", "conftest.py", "setup.py"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded module. version: hex digest of its sources. origin: what to `load` to get it again elsewhere."""

    module: ModuleType
    file: Path
    version: str
    origin: str


class _FreshLoader(SourceFileLoader):
    """Compiles the source that is there now, never a cached one."""

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        return compile(self.get_data(path), path, "exec", dont_inherit=True)


class _FreshFinder:
    """Finds modules below one package as Python does, with `_FreshLoader`."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        if name != self.package and not name.startswith(self.package + "."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader and spec.origin:
            return importlib.util.spec_from_file_location(
                name,
                spec.origin,
                loader=_FreshLoader(name, spec.origin),
                submodule_search_locations=spec.submodule_search_locations,
            )
        return spec


def load(spec: str | Path, *, base: Path | None = None, limit_s: float = LOAD_S) -> list[Loaded]:
    """Load the modules that `spec` names, in the order of their paths; see `adapter.labeling.discover`.

    limit_s: seconds that their import may take, 0 for no limit; see `adapter.loading_limit` for what holds it. The
    modules run in the thread that calls, one load at a time."""
    path = _path(spec, base)
    try:
        if limit_s and threading.current_thread() is not threading.main_thread():
            _rehearse(spec, path, limit_s)
        with _LOCK, limited(limit_s):
            importlib.invalidate_caches()
            return _load_path(path) if path is not None else _load_dotted(str(spec))
    except OSError as error:  # of reading the files; what authors raise is advice by now
        raise FunctionsError(
            f"it cannot be read ({error.strerror or error})",
            where=str(error.filename or spec),
            remedy="Check the file and its permissions.",
        ) from error


def _rehearse(spec: str | Path, path: Path | None, limit_s: float) -> None:
    """Try an import elsewhere, unless this process has tried the same sources. A dotted module counts as the same:
    where it lies is not known before it is imported."""
    digest = ""
    if path is not None:
        folder = path if path.is_dir() else path.parent
        digest = "".join(version(file, folder) for file in (sources(path) if path.is_dir() else [path]))
    name = str(path) if path is not None else str(spec)
    if _REHEARSED.get(name) != digest:
        rehearse(name, limit_s)
        _REHEARSED[name] = digest


def _path(spec: str | Path, base: Path | None) -> Path | None:
    """The file or folder that `spec` means; None if it is a dotted name."""
    text = str(spec)
    root = base if base is not None else Path.cwd()
    path = (root / Path(text).expanduser()).resolve()
    if text and path.exists():
        return path
    dotted = all(part.isidentifier() for part in text.split("."))
    if isinstance(spec, Path) or not dotted or text.endswith(".py"):
        raise FunctionsError(
            "there is no such file or folder of labeling functions",
            where=str(path) if text else "labeling_functions",
            remedy="Create it, or mend `labeling_functions` in the project's settings file.",
        )
    local = root.joinpath(*text.split("."))
    for candidate in (local.with_name(local.name + ".py"), local):
        if candidate.exists():
            return candidate.resolve()
    return None


def _load_path(path: Path) -> list[Loaded]:
    folder = path if path.is_dir() else path.parent
    files = sources(path) if path.is_dir() else [path]
    package = _PREFIX + hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    for name in [name for name in sys.modules if name == package or name.startswith(package + ".")]:
        del sys.modules[name]
    init = folder / "__init__.py"
    root = ModuleType(package)
    root.__path__ = [str(folder)]
    root.__package__ = package
    if path.is_dir() and init.is_file():
        root.__file__ = str(init)
        root.__spec__ = importlib.util.spec_from_file_location(package, init, submodule_search_locations=[str(folder)])
    sys.modules[package] = root
    loaded = []
    with _finder(package):
        for file in files:
            if file == init:
                with _advice(file, folder):
                    exec(compile(file.read_bytes(), str(file), "exec", dont_inherit=True), vars(root))  # noqa: S102 - authors' code is what this loads
                module = root
            else:
                module = _import(_name(package, file, folder), file, folder)
            loaded.append(Loaded(module, file, version(file, folder), str(path)))
    return loaded


def _load_dotted(name: str) -> list[Loaded]:
    parent = name.rpartition(".")[0]
    try:
        if parent:
            importlib.import_module(parent)
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    except (Exception, SystemExit, LoadTooLong) as error:
        raise _not_importable(error, Path(parent), None) from error
    if found is None or (not found.origin and not found.submodule_search_locations):
        raise FunctionsError(
            f"there is no module of labeling functions '{name}'",
            where="labeling_functions",
            remedy="Give a path such as `labeling_functions/<project>.py`, or install the module.",
        )
    if found.submodule_search_locations:
        folder = Path(next(iter(found.submodule_search_locations))).resolve()
        files = sources(folder)
    else:
        folder, files = Path(str(found.origin)).resolve().parent, [Path(str(found.origin)).resolve()]
    digests = {file: version(file, folder) for file in files}
    _forget_changed(digests, folder)
    loaded = []
    with _finder(name.partition(".")[0]):
        for file, digest in digests.items():
            full = _name(name, file, folder) if found.submodule_search_locations else name
            module = _import(full, file, folder)
            setattr(module, _VERSION, digest)
            loaded.append(Loaded(module, file, digest, name))
    return loaded


def _forget_changed(digests: Mapping[Path, str], folder: Path) -> None:
    """Drop from `sys.modules` what was loaded from other sources than those there now, with all that it imports."""
    marks: dict[Path, str] = {}
    for _, path, module in _modules_of(digests):
        marks[path] = getattr(module, _VERSION, "")
    changed = [file for file, digest in digests.items() if marks.get(file) != digest]
    reached = {part for file in changed for part in closure(file, folder)}
    for name, _, _ in _modules_of(reached):
        del sys.modules[name]


def _modules_of(files: Collection[Path]) -> list[tuple[str, Path, ModuleType]]:
    """The loaded modules that came from these files, the program itself left out."""
    ends = {file.name for file in files}
    found = []
    for name, module in list(sys.modules.items()):
        own = getattr(module, "__file__", None)
        if isinstance(own, str) and Path(own).name in ends and name != "__main__":
            path = Path(own).resolve()
            if path in files:
                found.append((name, path, module))
    return found


def _name(package: str, file: Path, folder: Path) -> str:
    parts = file.relative_to(folder).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    if any("." in part for part in parts):
        raise FunctionsError("a module's name must not hold a dot", where=str(file), remedy="Rename the file.")
    return ".".join((package, *parts))


def sources(folder: Path) -> list[Path]:
    """Return the folder's Python files, its `__init__.py` first, then by path; no hidden ones, tests or scripts."""
    files = []
    for file in sorted(folder.rglob("*.py"), key=lambda file: (file != folder / "__init__.py", file)):
        parts = file.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if not hidden and file.name not in _SKIPPED and not file.name.startswith("test_") and file.is_file():
            files.append(file)
    return files


@contextlib.contextmanager
def _finder(package: str) -> Iterator[None]:
    finder = _FreshFinder(package)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def _import(name: str, file: Path, folder: Path) -> ModuleType:
    with _advice(file, folder):
        return importlib.import_module(name)


@contextlib.contextmanager
def _advice(file: Path, folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # an author's module may raise anything, `sys.exit` too
        raise _not_importable(error, file, folder) from error


def _not_importable(error: BaseException, file: Path, folder: Path | None) -> FunctionsError:
    """Name the author's file and line where an import failed, and say why in one line."""
    where = str(file)
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}:{error.lineno}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if folder is not None and Path(frame.filename).is_relative_to(folder)]
        if own:
            where = f"{own[-1].filename}:{own[-1].lineno}"
    remedy = "Run the file with plain Python and mend what it reports."
    if isinstance(error, LoadTooLong):
        remedy = "Move slow work out of the module's top level, such as into resources={...}."
        return FunctionsError(f"the module does not import: it {error}", where=where, remedy=remedy)
    if isinstance(error, FunctionsError):
        return FunctionsError(error.what, where=where, remedy=error.remedy or remedy)
    if isinstance(error, ModuleNotFoundError) and folder is not None and (folder / f"{error.name}.py").exists():
        remedy = f"Write `from .{error.name} import ...`: files beside each other are imported with a leading dot."
    elif isinstance(error, ModuleNotFoundError):
        remedy = f"Install '{error.name}' into the environment that runs `hitl`."
    last = traceback.format_exception_only(error)[-1].strip()
    return FunctionsError(f"the module does not import: {last}", where=where, remedy=remedy)
