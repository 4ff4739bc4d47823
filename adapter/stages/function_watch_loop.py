"""Watching the files that a project's labeling functions are made of, by looking at them five times a second."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from adapter.errors import FunctionsError
from adapter.loading import closure, sources
from adapter.stages.function_watch import FunctionWatch
from adapter.stages.function_watch_reports import WatchReport

POLL_S = 0.2
SETTLE_S = 0.03
LABELS_S = 3.0


def watch_functions(
    watched: FunctionWatch,
    tell: Callable[[WatchReport], None],
    *,
    once: bool = False,
    pause: Callable[[float], bool],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Tell of all functions, then of each change, until `pause(seconds)` says no. once: return after the first report.

    Looks at the files' times and sizes every 0.2 s, at their contents when those changed, and at people's labels every
    3 s. A file that does not load is told in one line, and the watch goes on. Raises FunctionsError when the project
    names no functions.
    """
    spec = watched.project.settings.labeling_functions
    if spec in ("", "none"):
        raise FunctionsError(
            f"project '{watched.project.name}' has no labeling functions",
            where="labeling_functions",
            remedy=f"Write labeling_functions/{watched.project.name.replace('-', '_')}.py, or name a file in settings.",
        )
    files = files_of(spec)
    stamp, digest = stamp_of(files), digest_of(files)
    report = watched.start()
    tell(report)
    broken = bool(report.error)
    read_at, wait_s = clock(), LABELS_S
    while not once and pause(POLL_S):
        now = stamp_of(files_of(spec) if Path(spec).is_dir() else files)
        if now != stamp:
            while now != stamp and pause(SETTLE_S):  # an editor may still be writing
                files = files_of(spec)
                stamp, now = now, stamp_of(files)
            stamp, before, digest = now, digest, digest_of(files)
            if digest != before:
                report = watched.look()
                if report.changes or report.error or broken:
                    tell(report)
                broken = bool(report.error)
        if clock() - read_at >= wait_s:
            began = clock()
            judged = watched.labels()
            if judged is not None:
                tell(judged)
            read_at = clock()
            wait_s = max(LABELS_S, 20 * (read_at - began))


def files_of(spec: str) -> list[Path]:
    """Return the files that a project's labeling functions are made of, as far as they can be told without running
    them; empty when there are none (yet)."""
    root = Path(spec).expanduser()
    if not root.exists():
        stem = Path(*spec.split("."))
        root = next((path for path in (stem.with_name(stem.name + ".py"), stem) if path.exists()), root)
    if not root.exists():
        with contextlib.suppress(ImportError, ValueError, AttributeError):
            found = importlib.util.find_spec(spec)
            root = Path(found.origin) if found and found.origin else root
            root = root.parent if root.name == "__init__.py" else root
    root = root.resolve()
    if not root.exists():
        return []
    folder = root if root.is_dir() else root.parent
    files = sources(root) if root.is_dir() else [root]
    with contextlib.suppress(OSError):  # one went away while we looked
        return sorted({part for file in files for part in closure(file, folder)})
    return files


def stamp_of(files: Sequence[Path]) -> tuple[tuple[str, int, int], ...]:
    """Return path, time of change and size of each file that is there: cheap to compare, five times a second."""
    found = []
    for file in files:
        with contextlib.suppress(OSError):
            about = file.stat()
            found.append((str(file), about.st_mtime_ns, about.st_size))
    return tuple(found)


def digest_of(files: Sequence[Path]) -> str:
    """Return a digest of the files' contents: a save that changes nothing is no change."""
    digest = hashlib.sha256()
    for file in files:
        with contextlib.suppress(OSError):
            digest.update(str(file).encode("utf-8", "surrogateescape") + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
