"""Flag: reasons to doubt people's labels, from what never saw them: models trained without the task and its copies
(`flag_labels`), and the other people who labelled the task (`flag_people`).

Blind tasks are never flagged: a second look only where the model disagrees would bend the one sample that measures it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from adapter.errors import BackendError, LabelError
from adapter.kinds.doubts import judges
from adapter.stages.context import Project
from adapter.stages.evidence import digest, kept_held_out, people_labels, values_by_annotator
from adapter.stages.flag_labels import about, find_flags
from adapter.stages.flag_people import PERSON, answer, find_doubts, said_of, settled
from adapter.stages.reports import FlagReport
from adapter.store.flags import WITHDRAWN
from adapter.vocabulary import Control, Flag, FlagReason, Value

CHECKED_NOTE = "flag_checked"
SECOND_LOOK = FlagReason.LABEL_ISSUE
"""Only label issues ask one more person; outliers and near duplicates inform."""
_PEOPLE = " by people"


def flag(project: Project, *, again: bool = False) -> FlagReport:
    """Check people's labels of tasks outside the blind sample. again: check although no label changed since the last
    time."""
    started = time.perf_counter()
    resolved = settle_flags(project)
    raised: Counter[str] = Counter()
    notes = [] if project.settings.flag.enabled else ["flagging is off in the project's settings"]
    if project.settings.flag.enabled:
        checked = dict(project.store.projects.notes(project.name, CHECKED_NOTE).get(CHECKED_NOTE, {}))
        for control in project.learned:
            notes.append(_check_labels(project, control, checked, raised, again=again))
        for control in project.space.controls:
            if judges(control):
                notes.append(_check_people(project, control, checked, raised, again=again))
        project.store.projects.note(project.name, CHECKED_NOTE, checked)
    return FlagReport(
        raised=dict(+raised),
        resolved=dict(resolved),
        open=len(project.store.flags.open(project.name)),
        note="; ".join(filter(None, notes)),
        seconds=time.perf_counter() - started,
    )


def _check_labels(
    project: Project, control: Control, checked: dict[str, Any], raised: Counter[str], *, again: bool
) -> str:
    """Let models judge a control's labels; return why not, in words."""
    labels = people_labels(project, control)
    tasks = [task for task in project.store.tasks.get(project.name, list(labels)) if not task.blind]
    kept = kept_held_out(project, control)
    said = tuple((task.id, repr(labels[task.id].value)) for task in tasks)
    state = digest(said, kept[0] if kept else "")
    least = project.settings.flag.min_labels
    if len(tasks) < least:
        return f"{len(tasks)} labels outside the blind sample, {least} are needed"
    if checked.get(control.name) == state and not again:
        return ""
    try:
        flags = find_flags(project, control, tasks, labels, kept)
    except BackendError as error:
        return str(error)
    raised.update(_raise(project, control, flags))
    checked[control.name] = state
    return ""


def _check_people(
    project: Project, control: Control, checked: dict[str, Any], raised: Counter[str], *, again: bool
) -> str:
    """Let people judge each other's votes on a control; return why not, in words."""
    said, key, least = said_of(project, control), control.name + _PEOPLE, project.settings.flag.min_labels
    if 0 < said.count < least:
        return f"{said.count} votes on '{control.name}' beside other people's, {least} are needed"
    tasks = list(said.votes) if again else said.changed(checked.get(key, {}))
    if tasks:
        raised.update(_raise(project, control, find_doubts(project, control, said, tasks), on=tasks))
    checked[key] = said.states
    return ""


def _raise(project: Project, control: Control, flags: list[Flag], *, on: Collection[str] | None = None) -> Counter[str]:
    """Store the flags; those that are open and no longer found are withdrawn. on: the tasks of which people were
    judged; None for flags on whole labels. Neither sort touches the other."""
    raised: Counter[str] = Counter()
    judged = None if on is None else frozenset(on)
    for reason in FlagReason:
        mine = [flag for flag in flags if flag.reason is reason]
        raised[str(reason)] = project.store.flags.raise_(project.name, mine)
        keep = {(flag.task_id, flag.about) for flag in mine}
        gone = [
            flag.id
            for flag in project.store.flags.open(project.name, control.name)
            if flag.reason is reason and (flag.task_id, flag.about) not in keep and _of(flag, judged)
        ]
        if gone:
            project.store.flags.resolve(gone, WITHDRAWN, project.now())
    return +raised


def _of(flag: Flag, judged: frozenset[str] | None) -> bool:
    if PERSON not in flag.evidence:
        return judged is None
    return judged is not None and flag.task_id in judged


def settle_flags(project: Project) -> Counter[str]:
    """Resolve open flags that people have answered: the label or region changed, a reviewer decided, or one more person
    looked and it stands."""
    resolved: Counter[str] = Counter()
    answers: dict[str, list[int]] = {}
    controls = {control.name: control for control in project.space.controls}
    by_control: dict[str, list[Flag]] = {}
    for item in project.store.flags.open(project.name):
        by_control.setdefault(item.control, []).append(item)
    for name, items in by_control.items():
        if name not in controls:
            continue
        labels = people_labels(project, controls[name])
        on_people = {item.task_id for item in items if PERSON in item.evidence}
        said = _said_now(project, controls[name], on_people)
        decided = settled(project, controls[name]) if on_people else {}
        for item in items:
            row = labels.get(item.task_id)
            if PERSON in item.evidence:
                how = answer(item, decided, said.get(item.task_id, {}))
            elif row is None:
                how = ""  # people disagree now, or the label was withdrawn: still doubtful
            elif about(row) != item.about:
                how = "label changed"
            elif item.reason is SECOND_LOOK and len(row.support) > int(item.evidence.get("people", 1)):
                how = "label confirmed"
            else:
                how = ""
            if how:
                answers.setdefault(how, []).append(item.id)
    for resolution, ids in answers.items():
        resolved[resolution] = project.store.flags.resolve(ids, resolution, project.now())
    return resolved


def _said_now(project: Project, control: Control, task_ids: Collection[str]) -> dict[str, Mapping[str, Value]]:
    """Return what people say now of these tasks; nothing of a task that the label config can no longer read."""
    found: dict[str, Mapping[str, Value]] = {}
    for task_id in task_ids:
        try:
            found[task_id] = values_by_annotator(project.store.annotations.of_task(project.name, task_id), control)
        except LabelError:
            continue
    return found
