"""Reviewers' decisions: read from Label Studio's annotations, and what follows of them for the consensus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from adapter.core.matching import match
from adapter.errors import LabelError
from adapter.kinds import kind_of
from adapter.kinds.base import RegionKind
from adapter.kinds.dependence import visible
from adapter.ports import PlatformAnnotation
from adapter.stages.context import Project
from adapter.stages.evidence import restored
from adapter.vocabulary import Control, Decision, Fault, Review, Value

_DIGITS = 3
"""Decimals of coordinates (percent, seconds) beyond which a page's rounding is no correction."""
_MOVED = 1e-4
"""Share of a region that a page's rounding may shift; more was moved by hand."""
_UNSEEN = frozenset({"id", "envelope", "score", "meta"})


def decisions_of(
    project: Project, task_id: str, raw: PlatformAnnotation, proposed: Mapping[str, Value], why: str
) -> tuple[list[Review], list[Fault]]:
    """Read a review annotation: unchanged accepts, changed corrects, skipped rejects. A control that the reviewer left
    empty although a value was proposed is rejected; one that the page did not show is not decided.

    proposed: control name to the value that was on the page. Controls that cannot be read leave a fault and no
    decision.
    """

    def row(control: Control, decision: Decision, value: Value | None) -> Review:
        return Review(
            task_id=task_id,
            control=control.name,
            reviewer=raw.annotator,
            decision=decision,
            proposed=proposed.get(control.name),
            value=value,
            annotation=raw.id,
            why=why,
            at=raw.updated_at,
            lead_time=raw.lead_time,
        )

    controls = project.space.controls
    if raw.cancelled:
        about = [control for control in controls if control.name in proposed] or list(controls)
        return [row(control, Decision.REJECT, None) for control in about], []
    values: dict[str, Value] = {}
    faults: list[Fault] = []
    unread: set[str] = set()
    for control in controls:
        try:
            value = kind_of(control.kind).read(control, raw.result)
        except LabelError as error:
            message = f"review {raw.id} by {raw.annotator}: {error}"
            faults.append(Fault(raw.annotator, "", "pull", task_id, message, project.now()))
            unread.add(control.name)
            continue
        if value is not None:
            values[control.name] = value
    rows = []
    for control in controls:
        if control.name in unread or not visible(project.space, control, values):
            continue
        before, after = _proposed(control, proposed), values.get(control.name)
        if after is None:
            if before is not None:
                rows.append(row(control, Decision.REJECT, None))
        elif before is not None and unchanged(control, before, after):
            rows.append(row(control, Decision.ACCEPT, before))
        else:
            rows.append(row(control, Decision.CORRECT, after))
    return rows, faults


def unchanged(control: Control, before: Value, after: Value) -> bool:
    """Whether a reviewer left a value as it was: ids, envelopes and a page's rounding of coordinates aside."""
    if _plain(before) == _plain(after):
        return True
    kind = kind_of(control.kind)
    if not isinstance(kind, RegionKind) or len(before) != len(after):
        return False
    same = [[x["labels"] == y["labels"] and kind.overlap(x, y) >= 1 - _MOVED for y in after] for x in before]
    table = np.array(same, np.float64).reshape(len(before), len(after))
    return len(match(table, 1.0)) == len(before)


def standing(project: Project) -> dict[tuple[str, str], Review]:
    """Return the decision that stands, by (task id, control): the last one of those who may decide."""
    allowed = set(project.settings.review.reviewers)
    return {
        (row.task_id, row.control): row
        for row in project.store.reviews.all(project.name)
        if not allowed or row.reviewer in allowed
    }


def expert_votes(project: Project, control: Control) -> dict[str, tuple[Value, str]]:
    """Return task id to (canonical value, reviewer) of the accepted and corrected labels that stand. Values that the
    label config no longer knows are left out."""
    found: dict[str, tuple[Value, str]] = {}
    for (task_id, name), row in standing(project).items():
        if name != control.name or row.decision is Decision.REJECT or row.value is None:
            continue
        try:
            found[task_id] = (restored(control, row.value), row.reviewer)
        except LabelError:
            continue
    return found


def rejected(project: Project) -> set[str]:
    """Return the tasks whose labels a reviewer rejected and nobody has labelled since: one more person is needed."""
    return {task_id for task_id, answered in rejections(project).items() if not answered}


def rejections(project: Project) -> dict[str, bool]:
    """Return the tasks with a rejection that stands, and whether somebody has labelled them since."""
    since: dict[str, datetime] = {}
    for (task_id, _), row in standing(project).items():
        if row.decision is Decision.REJECT:
            since[task_id] = max(row.at, since.get(task_id, row.at))
    return {
        task_id: any(
            made.votes and max(made.created_at, made.updated_at) > at
            for made in project.store.annotations.of_task(project.name, task_id)
        )
        for task_id, at in since.items()
    }


def _proposed(control: Control, proposed: Mapping[str, Value]) -> Value | None:
    value = proposed.get(control.name)
    if value is None:
        return None
    try:
        return restored(control, value)
    except LabelError:
        return None


def _plain(value: Any) -> Any:
    """Return a value without what a reviewer cannot see, numbers rounded."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items() if key not in _UNSEEN}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return round(value, _DIGITS)
    return value
