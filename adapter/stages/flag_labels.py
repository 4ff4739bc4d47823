"""Label issues, outliers and near duplicates of controls that models learn, from probabilities of models that saw
neither the task nor its copies."""

from __future__ import annotations

import numpy as np

from adapter.backend_loading import build, costly, load_factory, slow
from adapter.core.flagging import Doubt, label_issues, near_duplicates, outliers
from adapter.core.heldout import HeldOut
from adapter.kinds import label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import current_judge, digest, group_of
from adapter.training import cross_validate
from adapter.vocabulary import Consensus, Control, Flag, FlagReason, Task


def find_flags(
    project: Project,
    control: Control,
    tasks: list[Task],
    labels: dict[str, Consensus],
    kept: tuple[str, dict[str, int], HeldOut] | None,
) -> list[Flag]:
    """Return what there is to doubt about these labelled tasks, as unstored flags.

    kept: what the last training held out; without it, and for no model at all, the labels are cross-validated here.
    """
    kind = label_kind_of(control)
    if kept is not None:
        tasks = [task for task in tasks if task.id in kept[1]]
    examples = [task.data for task in tasks]
    targets = np.stack([kind.target(control, labels[task.id].value) for task in tasks]).astype(np.float32)
    if kept is not None:
        rows = np.array([kept[1][task.id] for task in tasks])
        held_out = HeldOut(kept[2].probabilities[rows], kept[2].folds[rows], kept[2].seed)
    else:
        held_out = _cross_validated(project, control, tasks, targets)
    given = targets if control.multiple else targets.argmax(axis=1)
    found = [(FlagReason.LABEL_ISSUE, doubt) for doubt in label_issues(given, held_out, control.multiple)]
    judge = current_judge(project)
    vectors = judge.bundle.embed(examples) if judge is not None else None
    if vectors is not None:
        said = [repr(labels[task.id].value) for task in tasks]
        found += [(FlagReason.OUTLIER, doubt) for doubt in outliers(vectors)]
        found += [(FlagReason.NEAR_DUPLICATE, doubt) for doubt in near_duplicates(vectors, labels=said)]
    return [_flag(control, reason, doubt, tasks, labels) for reason, doubt in found]


def _cross_validated(project: Project, control: Control, tasks: list[Task], targets: Floats) -> HeldOut:
    settings, backend = project.settings, project.backend_of(control)
    built = build(backend.path, control.fields or (control.field,), backend.options, project.offered(control))
    return cross_validate(
        load_factory(backend.path, where=f"project '{project.name}'"),
        control.fields or (control.field,),
        backend.options,
        [task.data for task in tasks],
        targets,
        np.ones(len(tasks), np.float32),
        group_of(tasks),
        control.multiple,
        settings.flag.folds,
        settings.flag.seed,
        places=project.offered(control),
        most=1 if slow(built) or costly(built) else None,
    )


def _flag(control: Control, reason: FlagReason, doubt: Doubt, tasks: list[Task], labels: dict[str, Consensus]) -> Flag:
    task = tasks[doubt.index]
    evidence = dict(doubt.evidence)
    for key in ("given", "suggested"):  # label numbers become names; positions become task ids
        if isinstance(evidence.get(key), int):
            evidence[key] = control.labels[evidence[key]]
        elif isinstance(evidence.get(key), list | tuple):
            evidence[key] = [control.labels[i] for i in evidence[key]]
    if "neighbour" in evidence:
        evidence["neighbour"] = tasks[int(evidence["neighbour"])].id
    evidence["people"] = len(labels[task.id].support)
    return Flag(task.id, control.name, reason, float(np.clip(doubt.score, 0, 1)), evidence, about(labels[task.id]))


def about(row: Consensus) -> str:
    """Return the digest of a label: what a flag is about."""
    value = row.value
    return digest(row.control, tuple(value) if isinstance(value, list | tuple) else value)
