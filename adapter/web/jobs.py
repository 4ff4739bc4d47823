"""Trainings that are asked for over HTTP. The web process only leaves a note; the scheduler trains."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from adapter.errors import HitlError
from adapter.loop import TRAIN_REQUESTED
from adapter.stages.context import Project


class Status(NamedTuple):
    """Where a job stands. state: queued, started, finished or failed."""

    job: str
    state: str
    detail: dict[str, Any]


def request_training(project: Project) -> str:
    """Ask for a training and return the job's id. While one is asked for, asking again returns the same."""
    notes = project.store.projects.notes(project.name)
    asked = notes.get(TRAIN_REQUESTED)
    if not isinstance(asked, str) or not asked:
        project.store.projects.ensure(project.name, project.space.digest)
        asked = project.now().isoformat()
        project.store.projects.note(project.name, TRAIN_REQUESTED, asked)
    return f"{project.name}@{asked}"


def job_parts(job: object) -> tuple[str, str] | None:
    """Return (project, moment) of a job's id; None for what is no id of ours."""
    if not isinstance(job, str) or len(job) > 600 or "@" not in job:
        return None
    name, _, moment = job.rpartition("@")
    return name, moment


def job_status(project: Project, job: str, moment: str) -> Status:
    """Return where a training stands that was asked for at `moment`. Raises StoreError; HitlError for a broken id."""
    from adapter.stages.train import TRAINING_NOTE  # brings all of training along, which only this call needs

    try:
        asked = datetime.fromisoformat(moment)
    except ValueError:
        raise HitlError("this is no id of a training", where="/job_status") from None
    notes = project.store.projects.notes(project.name)
    training = notes.get(TRAINING_NOTE)
    detail = {"training": training} if isinstance(training, dict) else {}
    if notes.get(TRAIN_REQUESTED) == moment:
        return Status(job, "started" if training else "queued", detail)
    last = project.store.runs.last(project.name, "train")
    if last is not None and last.error and asked.tzinfo is not None and last.started_at >= asked:
        return Status(job, "failed", {"error": last.error})
    current = project.store.models.current(project.name)
    return Status(job, "finished", {"model_version": current.version if current else None})
