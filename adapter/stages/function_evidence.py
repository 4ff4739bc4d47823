"""What figures of labeling functions are computed from: stored votes, people's labels, faults."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from adapter.core.functions import ENOUGH
from adapter.kinds import label_kind_of
from adapter.labeling import LabelingFunction
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import people_labels
from adapter.stages.function_votes import function_votes
from adapter.stages.vote import VOTES
from adapter.vocabulary import Control, Fault

if TYPE_CHECKING:
    from adapter.store import TaskIndex

FAULTS_READ = 5_000
"""Latest faults that are looked through for examples."""


@dataclass(frozen=True, slots=True, eq=False)
class Voted:
    """Stored votes on one control. functions: those that have voted in their present version. votes: int16 (n, m).
    seen: for each function the stretches [lo, hi) of tasks it has seen. waiting: functions that have not voted."""

    functions: tuple[LabelingFunction, ...]
    votes: npt.NDArray[np.int16]
    seen: tuple[tuple[tuple[int, int], ...], ...]
    waiting: tuple[str, ...]

    def column(self, name: str) -> int:
        """Return the column of a function that has voted; raises ValueError."""
        return [function.name for function in self.functions].index(name)


def voted(project: Project, control: Control) -> Voted:
    """Read the stored votes on one control."""
    found = function_votes(project, control)
    names, votes = list(found.names), found.votes
    known = {function.name: function for function in project.functions()}
    total = votes.shape[0]
    seen = []
    for key in found.keys:
        missing = project.columns.missing(project.name, VOTES, *key, total)
        edges = [0, *(edge for stretch in missing for edge in stretch), total]
        seen.append(tuple((lo, hi) for lo, hi in zip(edges[::2], edges[1::2], strict=True) if hi > lo))
    mine = [
        function.name
        for function in known.values()
        if (function.control == control.name or (function.control is None and len(project.learned) == 1))
    ]
    return Voted(
        functions=tuple(known[name] for name in names),
        votes=votes,
        seen=tuple(seen),
        waiting=tuple(name for name in mine if name not in names),
    )


def labelled(
    project: Project, control: Control, index: TaskIndex, *, blind: bool
) -> tuple[npt.NDArray[np.int64], Floats, list[str]]:
    """Return the tasks with people's consensus, of the blind sample or outside it: rows (g,), targets (g, k), ids; by
    row."""
    kind = label_kind_of(control)
    found = []
    for task_id, row in people_labels(project, control).items():
        seq = index.seq_of.get(task_id)
        if seq is not None and bool(index.blind[seq]) is blind and row.value is not None:
            found.append((seq, task_id, kind.target(control, row.value)))
    found.sort(key=lambda item: item[0])
    targets = np.array([target for _, _, target in found], np.float32).reshape(-1, len(control.labels))
    return np.array([seq for seq, _, _ in found], np.int64), targets, [task_id for _, task_id, _ in found]


def faults_of(project: Project) -> dict[tuple[str, str], list[Fault]]:
    """Return (function, version) to its latest faults, newest first."""
    found: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for fault in project.store.faults.recent(project.name, FAULTS_READ):
        if fault.where == "vote":
            found[fault.source, fault.version].append(fault)
    return dict(found)


def kind_of_function(function: LabelingFunction) -> str:
    """Return how a function was made: `python`, or the kind of declaration."""
    return function.declared.kind if function.declared is not None else "python"


def by_time(project: Project, ids: list[str]) -> npt.NDArray[np.int64]:
    """Return positions in `ids` by the moment of people's last label of each; those without one are left out."""
    if len(ids) < 2 * ENOUGH:  # no trend can be tested: do not read all annotations for it
        return np.arange(len(ids))
    times: dict[str, datetime] = {
        task_id: max(item.updated_at for item in found)
        for task_id, found in project.store.annotations.voting(project.name).items()
        if found
    }
    known = [position for position, task_id in enumerate(ids) if task_id in times]
    return np.array(sorted(known, key=lambda position: (times[ids[position]], position)), np.int64)
