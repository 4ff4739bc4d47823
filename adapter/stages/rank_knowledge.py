"""What a strategy may know beside the probabilities of the pool: gathered from the store, and only what it asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adapter.bundle import aligned, build
from adapter.core.strategies import Strategy
from adapter.core.strategies.own import load_strategy
from adapter.errors import BackendError, SettingsError, nearest
from adapter.kinds import label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import Judge, kept_held_out, people_labels, restored, values_by_annotator
from adapter.vocabulary import Consensus, Control, JsonObject

MOST_LABELLED = 2_000
"""Labelled tasks whose labels and vectors a strategy sees: those that people labelled last."""
MOST_ALIGNED = 20_000
"""Tasks whose parts are compared where the measure has to be learned from the pool itself; the others count as fitting,
until these are done."""


def strategies_of(project: Project) -> tuple[Strategy, Strategy]:
    """Return the strategy and that of the cold start. Raises SettingsError or FunctionsError."""
    policy = project.settings.rank
    return (
        load_strategy(policy.strategy, project.config),
        load_strategy(policy.cold_start, project.config, where="rank.cold_start"),
    )


def knowledge(
    project: Project, leads: Control | None, labels: Mapping[str, Consensus], strategy: Strategy
) -> dict[str, Any]:
    """Return the fields of `strategies.State` that are no arrays over the candidates. leads: the control whose
    probabilities the strategy gets; labels: people's, as `newest_labels` gives them."""
    known: dict[str, Any] = {"measure": strategy.measure}
    if leads is None:
        return known
    known |= {"multiple": leads.multiple, "labels": leads.labels, "rare": rare(project, leads)}
    if not labels:
        return known
    kind = label_kind_of(leads)
    known["targets"] = np.stack([kind.target(leads, restored(leads, row.value)) for row in labels.values()]).astype(
        np.float32
    )
    if strategy.name == "activelab" and not leads.multiple:
        known |= _asked(project, leads, list(labels))
    return known


def newest_labels(project: Project, control: Control) -> dict[str, Consensus]:
    """Return task id to people's consensus outside the blind sample, of the MOST_LABELLED tasks that people labelled
    last, in the order in which they did; a label without an annotation, such as a reviewer's, counts as the oldest."""
    labels = people_labels(project, control)
    index = project.store.tasks.index(project.name)
    at = {
        task_id: max(one.updated_at.timestamp() for one in annotations)
        for task_id, annotations in project.store.annotations.voting(project.name).items()
    }
    free = [t for t in labels if t in index.seq_of and not index.blind[index.seq_of[t]]]
    newest = sorted(free, key=lambda task_id: (at.get(task_id, 0.0), task_id))[-MOST_LABELLED:]
    return {task_id: labels[task_id] for task_id in newest}


def labelled_vectors(project: Project, judge: Judge | None, labels: Mapping[str, Consensus]) -> Floats | None:
    """Return vectors of labelled tasks, in their order; None without any, or without embeddings. labels: as
    `newest_labels` gives them."""
    if not labels:
        return None
    return embedded(project, judge, [task.data for task in project.store.tasks.get(project.name, list(labels))])


def embedded(project: Project, judge: Judge | None, examples: Sequence[JsonObject]) -> Floats | None:
    """Return vectors of examples: the model's, or before any training, those of the first backend whose embedding is
    ready made; None if there are none."""
    if judge is not None:
        return judge.bundle.embed(examples)
    for control in (*project.learned, *project.marked):
        conf = project.backend_of(control)
        backend = build(conf.path, control.fields or (control.field,), conf.options, project.offered(control))
        try:
            vectors = backend.embed(examples)
        except BackendError:
            continue
        if vectors is not None:
            return vectors
    return None


def rare(project: Project, control: Control) -> tuple[int, ...]:
    """Return the columns of the labels that the policy wants looked for. Raises SettingsError for one that no control
    has."""
    wanted = project.settings.rank.rare
    known = {label for one in project.learned for label in one.labels}
    for label in wanted:
        if label not in known:
            raise SettingsError(f"there is no label '{label}'", where="rank.rare", remedy=nearest(label, known))
    return tuple(control.labels.index(label) for label in wanted if label in control.labels)


def _asked(project: Project, control: Control, ids: Sequence[str]) -> dict[str, Any]:
    """What people said of each labelled task, and what a model that had not seen it says: for asking again."""
    kind = label_kind_of(control)
    voting = project.store.annotations.voting(project.name)
    answers: dict[str, dict[str, int]] = {}
    for task_id in ids:
        values = values_by_annotator(voting.get(task_id, ()), control)
        if values:
            answers[task_id] = {who: int(kind.target(control, value).argmax()) for who, value in values.items()}
    kept = kept_held_out(project, control)
    judged = {}
    if kept is not None:
        _, rows, held_out = kept
        judged = {t: held_out.probabilities[rows[t]] for t in answers if t in rows}
    most = project.settings.consolidate.max_people
    placed = {p.task_id: p for p in project.store.ledger.placements(project.name) if not p.gone and p.done}
    again = tuple(t for t in answers if t in placed and len(answers[t]) < most and placed[t].overlap < most)
    return {"answers": answers, "judged": judged, "again": again}


def pool_alignment(project: Project, judge: Judge | None) -> Floats | None:
    """Return (n,) over the pool, 0..1, how well the two parts of each pair fit together; None where no backend measures
    that. Kept by version, and before the first one by the pool's size."""
    total = project.store.tasks.count(project.name)
    version = judge.version if judge is not None else f"untrained-{min(total, MOST_ALIGNED)}"
    place = (project.name, "alignment", "", "model", version)
    known = project.columns.missing(*place, min(total, MOST_ALIGNED))
    if known:
        tasks = project.store.tasks.between(project.name, 0, min(total, MOST_ALIGNED))
        found = _alignment(project, judge, [task.data for task in tasks])
        if found is None:
            return None
        for lo, hi in known:
            project.columns.write(*place, lo, found[lo:hi].astype(np.float32))
    array: Floats = project.columns.read(*place, total, fill=np.nan)
    return np.nan_to_num(array, nan=1.0)


def _alignment(project: Project, judge: Judge | None, examples: Sequence[JsonObject]) -> Floats | None:
    if judge is not None:
        found = judge.bundle.alignment(examples)
        if found is not None:
            return found
    for control in project.learned:
        conf = project.backend_of(control)
        fields = control.fields or (control.field,)
        whole = fields if len(fields) > 1 else project.space.fields
        backend = build(conf.path, whole, conf.options, project.offered(control))
        found = aligned(control.name, backend, examples)
        if found is not None:
            return found
    return None


__all__ = ["embedded", "knowledge", "labelled_vectors", "newest_labels", "pool_alignment", "rare", "strategies_of"]
