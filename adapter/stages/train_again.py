"""When a training that failed is tried again: after a pause that doubles, or as soon as something is different."""

from __future__ import annotations

import contextlib
import importlib.util
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from adapter.errors import HitlError, StoreError
from adapter.source_files import version
from adapter.stages.context import Project
from adapter.stages.evidence import digest

FAILED_NOTE = "training_failed"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 3600.0


def keep_failure(project: Project, error: Exception) -> None:
    """Note that a training failed. One that ran before its pause was over was asked for: the pauses start anew."""
    before = _standing(project)
    times = int(before["times"]) + 1 if before and _left_s(project, before) <= 0 else 1
    text = str(error) if isinstance(error, HitlError) else f"{type(error).__name__}: {' '.join(str(error).split())}"
    pause = min(FIRST_PAUSE_S * 2.0 ** min(times - 1, 30), LONGEST_PAUSE_S)
    entry = {
        "times": times,
        "why": text,
        "again": (project.now() + timedelta(seconds=pause)).isoformat(),
        "annotations": project.store.annotations.totals(project.name).votes,
        "set_up": _set_up(project),
    }
    with contextlib.suppress(StoreError):  # the training's own error is what to tell
        project.store.projects.note(project.name, FAILED_NOTE, entry)


def forget_failures(project: Project) -> None:
    """A training went through."""
    if project.store.projects.notes(project.name, FAILED_NOTE):
        project.store.projects.note(project.name, FAILED_NOTE, None)


def pauses(project: Project) -> bool:
    """Whether a training that is due shall wait, since the last one failed on the same."""
    failure = _standing(project)
    return failure is not None and _left_s(project, failure) > 0


def told_failure(project: Project) -> str:
    """Say how often training failed, why, and when it is tried again; empty if it did not, or something is different
    since."""
    failure = _standing(project)
    if failure is None:
        return ""
    times, left = int(failure["times"]), _left_s(project, failure)
    often = "once" if times == 1 else f"{times} times"
    when = f"in {left / 60:.0f} min" if left >= 60 else f"in {left:.0f} s" if left > 0 else "at the next tick"
    return f"training failed {often}: {str(failure['why']).rstrip('.')}; again {when}"


def _standing(project: Project) -> dict[str, Any] | None:
    """Return the failure that is noted, unless `train.min_new` annotations have come since, or a backend or the
    settings of training are others now."""
    failure = project.store.projects.notes(project.name, FAILED_NOTE).get(FAILED_NOTE)
    if not isinstance(failure, dict):
        return None
    came = project.store.annotations.totals(project.name).votes - int(failure["annotations"])
    if came >= project.settings.train.min_new or failure["set_up"] != _set_up(project):
        return None
    return failure


def _left_s(project: Project, failure: dict[str, Any]) -> float:
    return (datetime.fromisoformat(str(failure["again"])) - project.now()).total_seconds()


def _set_up(project: Project) -> str:
    """Return a digest of what a training runs with: settings, label config, and the backends' sources."""
    settings = project.settings
    backends = [settings.backend, *(settings.backends[name] for name in sorted(settings.backends))]
    return digest(
        settings.train.model_dump_json(),
        project.space.digest,
        sorted(settings.backends),
        [(conf.model_dump_json(), _source(conf.path)) for conf in backends],
    )


def _source(path: str) -> str:
    """Return a digest of a backend's module and what it imports beside it; empty where that cannot be read."""
    with contextlib.suppress(Exception):  # looking for a dotted module runs its package, which is the author's
        spec = importlib.util.find_spec(path.partition(":")[0])
        if spec is not None and spec.origin:
            file = Path(spec.origin)
            return version(file, file.parent)
    return ""
