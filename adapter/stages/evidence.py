"""What stages read of the store, as arrays: people's labels, weak labels, the current model's probabilities."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from adapter.artifacts.errors import Gone
from adapter.bundle import Bundle
from adapter.core.heldout import HeldOut
from adapter.errors import ModelError
from adapter.kinds import kind_of, label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.found_regions import shown
from adapter.vocabulary import Annotation, Consensus, Control, JsonObject, LabelSpace, Task, Value

WEAK = "consensus"
WEAK_NOTE = "weak"
SKILL_NOTE = "skills"
"""Note of a project: control to annotator to the figures of `core.people.Skill`."""
HELD_OUT_NOTE = "held_out"
WITH_MODEL = "crowdlab"
"""The method that also looks at a model's held-out probabilities. Only a policy that names it gets it: a model's votes
must not enter its own training target, see `tipped_by_model`."""
HeldOutNote: TypeAlias = dict[str, Any]
CHUNK = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a model says of n examples. labels: control to probabilities (n, k). regions: control of regions to what it
    found in each example, doubtful ones included, not checked yet; None where it cannot read."""

    labels: Mapping[str, Floats] = field(default_factory=dict)
    regions: Mapping[str, Sequence[Sequence[JsonObject] | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judge:
    """What is known of tasks before a person looks: a version, and probabilities by control."""

    version: str
    bundle: Bundle

    def probabilities(self, examples: Sequence[JsonObject]) -> dict[str, Floats]:
        """Return control to (n, k); rows of NaN where it cannot tell."""
        return self.bundle.predict(examples)

    def answers(self, examples: Sequence[JsonObject]) -> Answers:
        """Return what it says of every control that it has learned."""
        return Answers(self.bundle.predict(examples), self.bundle.regions(examples))


def current_judge(project: Project) -> Judge | None:
    """Load the current model; None while there is none. Raises ModelError on files that are damaged or gone."""
    current = project.store.models.current(project.name)
    if current is None:
        return None
    try:
        folder = project.artifacts.get_folder(current.uri)
    except Gone as error:
        name = project.name
        raise ModelError(
            f"the files of model {current.version} are gone",
            where=f"project '{name}'",
            remedy=f"`hitl train {name}` makes a new one, `hitl model rollback {name}` goes back to the one before.",
        ) from error
    controls = (*project.learned, *project.marked)
    return Judge(current.version, Bundle.load(folder, controls=controls, places=project.places))


def pool_probabilities(project: Project, judge: Judge, control: Control) -> Floats:
    """Return the model's probabilities over the pool (n, k), computing only rows that this version has not seen; NaN
    for a control that it has not learned."""
    total = project.store.tasks.count(project.name)
    name, version = "model", judge.version
    if control.name not in judge.bundle.labels:
        return np.full((total, len(control.labels)), np.nan, np.float32)
    for lo, hi in project.columns.missing(project.name, "probabilities", control.name, name, version, total):
        for start in range(lo, hi, CHUNK):
            stop = min(start + CHUNK, hi)
            tasks = project.store.tasks.between(project.name, start, stop)
            answers = judge.probabilities([task.data for task in tasks])
            for other, answer in answers.items():
                project.columns.write(project.name, "probabilities", other, name, version, start, answer)
    array: Floats = project.columns.read(project.name, "probabilities", control.name, name, version, total, fill=np.nan)
    return array


def weak_column(project: Project, control: Control) -> tuple[str, str] | None:
    """Return (consolidator, version) of a control's weak labels; None without any, or where they were made before the
    label config changed."""
    chosen = project.store.projects.notes(project.name, WEAK_NOTE).get(WEAK_NOTE, {}).get(control.name)
    if not chosen or not chosen.get("version") or chosen.get("of", list(control.labels)) != list(control.labels):
        return None
    return str(chosen["chosen"]), str(chosen["version"])


def weak_probabilities(project: Project, control: Control) -> tuple[str, Floats] | None:
    """Return (version, (n, k)) of the chosen consolidator over the pool, NaN where no function spoke; None without
    any."""
    found = weak_column(project, control)
    if found is None:
        return None
    source, version = found
    total = project.store.tasks.count(project.name)
    array: Floats = project.columns.read(project.name, WEAK, control.name, source, version, total, fill=np.nan)
    if array.ndim != 2 or array.shape[1] != len(control.labels):  # made before the label config changed
        return None
    return f"weak-{source}-{version[:8]}", array


def people_labels(project: Project, control: Control) -> dict[str, Consensus]:
    """Return task id to people's consensus, where there is one."""
    return {
        row.task_id: row for row in project.store.consensus.all(project.name, control.name) if row.value is not None
    }


def restored(control: Control, value: object) -> Value:
    """Return a value as its kind writes it, after a trip through the store."""
    return kind_of(control.kind).canonical(control, value)


def values_by_annotator(annotations: Sequence[Annotation], control: Control) -> dict[str, Value]:
    """Return annotator to value for one task; the latest annotation of each person counts."""
    latest: dict[str, Annotation] = {}
    for annotation in annotations:
        if annotation.votes and control.name in annotation.values:
            before = latest.get(annotation.annotator)
            if before is None or (annotation.updated_at, annotation.id) > (before.updated_at, before.id):
                latest[annotation.annotator] = annotation
    return {who: restored(control, annotation.values[control.name]) for who, annotation in sorted(latest.items())}


def tipped_by_model(row: Consensus) -> bool:
    """Whether it took a model's probabilities to reach this label: it would echo if a model learned from it."""
    if row.method != WITH_MODEL:
        return False
    said = Counter(repr(value) for value in row.support.values())
    most = max(said.values(), default=0)
    return [value for value, count in said.items() if count == most] != [repr(row.value)]


def kept_held_out(project: Project, control: Control) -> tuple[str, dict[str, int], HeldOut] | None:
    """Return (model version, task id to row, held-out probabilities) that the last training left; None before it."""
    note = project.store.projects.notes(project.name, HELD_OUT_NOTE).get(HELD_OUT_NOTE, {}).get(control.name)
    if not note:
        return None
    probabilities, folds = (project.artifacts.get_array(note[part]) for part in ("probabilities", "folds"))
    held_out = HeldOut(probabilities, folds, int(note["seed"]))
    return str(note["version"]), {task_id: row for row, task_id in enumerate(note["ids"])}, held_out


def group_of(tasks: Sequence[Task]) -> list[str]:
    """Return one group name for each task: exact duplicates share one."""
    return [task.duplicate_of or task.id for task in tasks]


def digest(*parts: object) -> str:
    """Return a short stable digest of values with a stable `repr` (str, numbers, tuples, lists)."""
    return hashlib.sha256("\x1f".join(repr(part) for part in parts).encode()).hexdigest()[:16]


def prelabel(space: LabelSpace, answers: Answers, row: int) -> tuple[list[JsonObject], float] | None:
    """Return (result, confidence) of one example over all controls; None if no control could be predicted.

    Confidence is that of the least certain control, since a person has to look at all of them. A control that the page
    would not show beside the other answers gets none.
    """
    result: list[JsonObject] = []
    confidence, answered = 1.0, False
    for control in space.controls:
        found = answers.regions.get(control.name)
        answer = answers.labels.get(control.name)
        if found is not None and found[row] is not None:
            value, sure = shown(control, found[row] or ())
        elif answer is not None and not np.isnan(answer[row]).any():
            value, sure = label_kind_of(control).decide(control, answer[row])
        else:
            continue
        result += kind_of(control.kind).write(control, value)
        confidence, answered = min(confidence, sure), True
    return (result, float(np.clip(confidence, 0.0, 1.0))) if answered else None
