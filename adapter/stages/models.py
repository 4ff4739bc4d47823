"""Model versions: list, promote by hand, roll back. A version is immutable; only its state changes."""

from __future__ import annotations

from adapter.errors import ModelError, nearest
from adapter.stages.context import Project
from adapter.vocabulary import ModelState, ModelVersion

PREVIOUS_NOTE = "previous_model"


def promote(project: Project, version: str, who: str, *, why: str = "by hand") -> ModelVersion:
    """Make `version` current; the one before retires. The next push stores its pre-labels and then switches Label
    Studio.

    Raises ModelError for an unknown version, or when its files are not what they were.
    """
    model = project.store.models.get(project.name, version)
    if model is None:
        versions = [m.version for m in project.store.models.all(project.name)]
        raise ModelError(
            f"there is no model version '{version}'", remedy=nearest(version, versions) or "None is trained yet."
        )
    project.artifacts.get_folder(model.uri)  # a version whose files are gone must not become current
    before = project.store.models.current(project.name)
    if before is not None and before.version == version:
        return before
    project.store.models.promote(project.name, version)
    if before is not None:
        project.store.projects.note(project.name, PREVIOUS_NOTE, before.version)
    project.store.audit.append(
        project.name,
        who,
        "promoted",
        {"version": version, "before": before.version if before else None, "why": why},
        project.now(),
    )
    promoted = project.store.models.get(project.name, version)
    assert promoted is not None
    return promoted


def rollback(project: Project, who: str) -> ModelVersion:
    """Go back to the version that was current before this one. Raises ModelError when there is none."""
    current = project.store.models.current(project.name)
    noted = project.store.projects.notes(project.name, PREVIOUS_NOTE).get(PREVIOUS_NOTE)
    retired = [m for m in project.store.models.all(project.name) if m.state is ModelState.RETIRED]
    names = {m.version for m in retired}
    earlier = [m for m in retired if current is None or m.number < current.number]
    target = noted if noted in names else (max(earlier, key=lambda m: m.number).version if earlier else None)
    if target is None:
        raise ModelError("there is no earlier model version to go back to", remedy="List them with `hitl model list`.")
    return promote(project, target, who, why="rollback")
