"""Flag: reasons to doubt people's labels, from probabilities of models that saw neither the task nor its copies.

Blind tasks are never flagged: a second look only where the model disagrees would bend the one sample that measures it.
"""

from __future__ import annotations

import time
from collections import Counter

import numpy as np

from adapter.bundle import load_factory
from adapter.core.flagging import Doubt, label_issues, near_duplicates, outliers
from adapter.core.heldout import HeldOut
from adapter.errors import BackendError
from adapter.kinds import label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import current_judge, digest, group_of, kept_held_out, people_labels
from adapter.stages.reports import FlagReport
from adapter.training import cross_validate
from adapter.vocabulary import Consensus, Control, Flag, FlagReason, Task

CHECKED_NOTE = "flag_checked"
SECOND_LOOK = FlagReason.LABEL_ISSUE
"""Only label issues ask one more person; outliers and near duplicates inform."""


def flag(project: Project, *, again: bool = False) -> FlagReport:
    """Check people's labels of tasks outside the blind sample. again: check although no label changed since the last
    time."""
    started = time.perf_counter()
    policy = project.settings.flag
    resolved = settle_flags(project)
    raised: Counter[str] = Counter()
    note = "" if policy.enabled else "flagging is off in the project's settings"
    if policy.enabled:
        checked = dict(project.store.projects.notes(project.name).get(CHECKED_NOTE, {}))
        for control in project.learned:
            labels = people_labels(project, control)
            tasks = [task for task in project.store.tasks.get(project.name, list(labels)) if not task.blind]
            kept = kept_held_out(project, control)
            said = tuple((task.id, repr(labels[task.id].value)) for task in tasks)
            state = digest(said, kept[0] if kept else "")
            if len(tasks) < policy.min_labels:
                note = f"{len(tasks)} labels outside the blind sample, {policy.min_labels} are needed"
                continue
            if checked.get(control.name) == state and not again:
                continue
            try:
                flags = find_flags(project, control, tasks, labels, kept)
            except BackendError as error:
                note = str(error)
                continue
            raised.update(_raise(project, control, flags))
            checked[control.name] = state
        project.store.projects.note(project.name, CHECKED_NOTE, checked)
    return FlagReport(
        raised=dict(raised),
        resolved=dict(resolved),
        open=len(project.store.flags.open(project.name)),
        note=note,
        seconds=time.perf_counter() - started,
    )


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
    settings = project.settings
    return cross_validate(
        load_factory(settings.backend.path, where=f"project '{project.name}'"),
        control.fields or (control.field,),
        settings.backend.options,
        [task.data for task in tasks],
        targets,
        np.ones(len(tasks), np.float32),
        group_of(tasks),
        control.multiple,
        settings.flag.folds,
        settings.flag.seed,
        places=project.places,
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


def _raise(project: Project, control: Control, flags: list[Flag]) -> Counter[str]:
    """Store the flags; those that are open and no longer found are withdrawn."""
    raised: Counter[str] = Counter()
    for reason in (FlagReason.LABEL_ISSUE, FlagReason.OUTLIER, FlagReason.NEAR_DUPLICATE):
        mine = [flag for flag in flags if flag.reason is reason]
        raised[str(reason)] = project.store.flags.raise_(project.name, mine)
        keep = {(flag.task_id, flag.about) for flag in mine}
        gone = [
            flag.id
            for flag in project.store.flags.open(project.name, control.name)
            if flag.reason is reason and (flag.task_id, flag.about) not in keep
        ]
        if gone:
            project.store.flags.resolve(gone, "no longer found", project.now())
    return +raised


def settle_flags(project: Project) -> Counter[str]:
    """Resolve open flags that people have answered: the label changed, or one more person looked and it stands."""
    resolved: Counter[str] = Counter()
    labels = {control.name: people_labels(project, control) for control in project.space.controls}
    answers: dict[str, list[int]] = {}
    for item in project.store.flags.open(project.name):
        row = labels.get(item.control, {}).get(item.task_id)
        if row is None:
            continue  # people disagree now, or the label was withdrawn: still doubtful
        if about(row) != item.about:
            answers.setdefault("label changed", []).append(item.id)
        elif item.reason is SECOND_LOOK and len(row.support) > int(item.evidence.get("people", 1)):
            answers.setdefault("label confirmed", []).append(item.id)
    for resolution, ids in answers.items():
        resolved[resolution] = project.store.flags.resolve(ids, resolution, project.now())
    return resolved
