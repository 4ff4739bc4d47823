"""Neighbour rules of a project: which embedding makes the vectors, and how many tasks are embedded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapter.bundle import build
from adapter.core.neighbours import unit_rows
from adapter.core.suggest import Candidate, Evidence, neighbour_rules
from adapter.core.suggest.base import Ints
from adapter.errors import HitlError
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.vocabulary import Control, JsonObject, Task

PACKAGED = "backends.embedding:Embedding"
MOST_EMBEDDED = 2_000
"""Tasks of the sample that are embedded, and labelled ones besides: on a processor alone some hundred a second."""
LONGEST_EXEMPLAR = 300


def likeness_rules(
    project: Project,
    control: Control,
    tasks: Sequence[Task],
    evidence: Evidence,
    field: str,
    notes: list[str],
    seed: int,
) -> list[Candidate]:
    """Return neighbour rules; none, with a note that says why, where no embedding can be had without training."""
    shown = field or control.field
    random = np.random.default_rng(seed)
    sample: Ints = np.arange(evidence.size, dtype=np.int64)
    if evidence.size > MOST_EMBEDDED:
        sample = np.asarray(random.choice(evidence.size, MOST_EMBEDDED, replace=False), np.int64)
        notes.append(f"neighbour rules are counted on {MOST_EMBEDDED:,} tasks of the sample and scaled up")
    labelled = evidence.rows
    if len(labelled) > MOST_EMBEDDED:
        labelled = np.asarray(random.choice(labelled, MOST_EMBEDDED, replace=False), np.int64)
    at = np.union1d(sample, labelled).astype(np.int64)
    examples = [tasks[row].data for row in at.tolist()]
    embedder, vectors, why = _embedded(project, shown, bool(field), examples)
    if vectors is None:
        notes.append(f"no neighbour rules for {control.name}: {why}")
        return []
    unit, _ = unit_rows(vectors)
    values = [task.data.get(shown) for task in tasks]
    exemplars = values if field else [{shown: value} for value in values]  # an image is written as a task's data
    usable = [isinstance(value, str) and 0 < len(value.strip()) <= LONGEST_EXEMPLAR for value in values]
    return neighbour_rules(unit, at, exemplars, evidence, embedder=embedder, field=shown, usable=usable, seed=seed)


def _embedded(
    project: Project, field: str, text: bool, examples: Sequence[JsonObject]
) -> tuple[str, Floats | None, str]:
    """Return (what embedded, vectors, why not): the project's backend where its embedding is ready made, else for texts
    the packaged one."""
    conf = project.settings.backend
    tried = [(conf.path, dict(conf.options))]
    if text and conf.path != PACKAGED:
        tried.append((PACKAGED, {}))
    why = "it has no field to embed"
    for path, options in tried if field else ():
        try:
            backend = build(path, (field,), options, project.places)
            return path, np.asarray(backend.embed(examples), np.float32), ""
        except HitlError as error:
            why = str(error)
    return "", None, why
