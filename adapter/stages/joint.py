"""One consensus per task: people's where there is one, else what functions and model say together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.intervals import wilson
from adapter.core.joint import PoolWeights, disagreement, fit_weights, pool
from adapter.kinds import label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import (
    Judge,
    current_judge,
    digest,
    kept_held_out,
    people_labels,
    pool_probabilities,
    weak_probabilities,
)
from adapter.vocabulary import Consensus, Control, JsonObject

JOINT_NOTE = "joint"
"""Note of a project: control to the version of both sources and the weights with which they are pooled."""


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """What machines say of one control over the pool, (n, k) each with NaN where silent. functions, model: None where
    there is none. together: both pooled. apart: (n,) how far the two are apart, 0..1. basis: where it comes from, for
    rankings and reports. weights: None unless both speak."""

    together: Floats
    functions: Floats | None
    model: Floats | None
    apart: Floats
    basis: str
    weights: PoolWeights | None = None

    @property
    def covered(self) -> npt.NDArray[np.bool_]:
        """(n,) whether either speaks."""
        return np.asarray(np.isfinite(self.together).all(axis=1))


def joint(project: Project, control: Control, judge: Judge | None) -> Joint | None:
    """Pool functions and model over the pool of tasks; None while neither has said anything. judge: the current model.

    The weights are fitted anew when either source is another than before, on people's labels outside the blind sample
    with probabilities of models that had not seen them; they are noted, so asking again costs nothing.
    """
    weak = weak_probabilities(project, control)
    # A model whose every answer costs money is asked about the tasks that people see, not about the whole pool.
    known = judge is not None and control.name in judge.bundle.labels and not judge.bundle.costly
    if judge is None or not known:
        if weak is None:
            return None
        return Joint(weak[1], weak[1], None, np.zeros(len(weak[1]), np.float32), weak[0])
    model = pool_probabilities(project, judge, control)
    if weak is None:
        return Joint(model, None, model, np.zeros(len(model), np.float32), judge.version)
    version = digest(weak[0], judge.version)
    noted = project.store.projects.notes(project.name, JOINT_NOTE).get(JOINT_NOTE) or {}
    if noted.get(control.name, {}).get("version") == version:
        weights = PoolWeights(**noted[control.name]["weights"])
    else:
        weights = _fitted(project, control, judge, weak[1])
        entry = {"version": version, "weights": asdict(weights)}
        project.store.projects.note(project.name, JOINT_NOTE, {**noted, control.name: entry})
    together = pool(weak[1], model, weights, multiple=control.multiple)
    apart = disagreement(weak[1], model, multiple=control.multiple)
    return Joint(together, weak[1], model, apart, f"{judge.version} and functions", weights)


def _fitted(project: Project, control: Control, judge: Judge, functions: Floats) -> PoolWeights:
    kept = kept_held_out(project, control)
    if kept is None or kept[0] != judge.version:
        return PoolWeights()
    _, rows, held_out = kept
    kind, index = label_kind_of(control), project.store.tasks.index(project.name)
    labels = [
        (index.seq_of[task_id], rows[task_id], row)
        for task_id, row in sorted(people_labels(project, control).items())
        if task_id in rows and task_id in index.seq_of and not index.blind[index.seq_of[task_id]]
    ]
    if not labels:
        return PoolWeights()
    return fit_weights(
        functions[[seq for seq, _, _ in labels]],
        held_out.probabilities[[row for _, row, _ in labels]],
        np.stack([kind.target(control, row.value) for _, _, row in labels]).astype(np.float32),
        np.array([row.confidence for _, _, row in labels], np.float32),
        multiple=control.multiple,
    )


def scores(project: Project, control: Control, found: Joint, labels: Mapping[str, Consensus]) -> list[JsonObject]:
    """Return how often functions, model, and both together are right on the blind sample, each with a 95 % Wilson
    interval: {name, right, n, accuracy, lower, upper}. Where a source is silent it is not right, and not counted.
    labels: people's, by task id."""
    kind, index = label_kind_of(control), project.store.tasks.index(project.name)
    blind = [
        (index.seq_of[task_id], row.value)
        for task_id, row in labels.items()
        if task_id in index.seq_of and index.blind[index.seq_of[task_id]]
    ]
    table: list[JsonObject] = []
    for name, source in (("functions", found.functions), ("model", found.model), ("together", found.together)):
        if source is None:
            continue
        spoken = [(source[seq], value) for seq, value in blind if np.isfinite(source[seq]).all()]
        right = sum(kind.decide(control, said)[0] == kind.canonical(control, value) for said, value in spoken)
        low, high = wilson(right, len(spoken)) if spoken else (None, None)
        share = right / len(spoken) if spoken else None
        table.append({"name": name, "right": right, "n": len(spoken), "accuracy": share, "lower": low, "upper": high})
    return table


@dataclass(frozen=True, slots=True)
class TaskConsensus:
    """The one consensus of a control of a task. by: `people`, `functions and model`, `functions`, `model` or
    `nobody`. value: the label, None where nobody has one. sure: its probability. support: source to what it says, with
    its probability where it has one: people by name, every labeling function that votes, the functions together, the
    model. apart: how far functions and model are apart, 0..1. contradicted: people's label is not what machines say."""

    task_id: str
    control: str
    by: str
    value: Any
    sure: float
    support: JsonObject
    apart: float
    contradicted: bool


@dataclass(frozen=True, slots=True)
class JointReport:
    """by: control to who decides how many tasks. scores: control to accuracy on the blind sample by source. weights:
    control to how functions and model are pooled. rows: the tasks that were asked for."""

    by: dict[str, dict[str, int]]
    scores: dict[str, list[JsonObject]]
    weights: dict[str, JsonObject]
    rows: list[TaskConsensus]


def consensus_report(
    project: Project, *, task_ids: tuple[str, ...] = (), apart: bool = False, limit: int = 20
) -> JointReport:
    """Return the one consensus: totals for each learned control, and rows for the given tasks, or, with `apart`, for
    the tasks on which sources contradict each other most (people's label against machines first)."""
    from adapter.stages.function_votes import votes_on

    judge = current_judge(project)
    index = project.store.tasks.index(project.name)
    report = JointReport({}, {}, {}, [])
    for control in project.learned:
        found = joint(project, control, judge)
        labels = people_labels(project, control)
        report.by[control.name] = _by(found, [index.seq_of[t] for t in labels if t in index.seq_of], len(index.ids))
        if found is None:
            found = _silent(len(index.ids), len(control.labels))
        else:
            report.scores[control.name] = scores(project, control, found, labels)
            if found.weights is not None:
                report.weights[control.name] = asdict(found.weights)
        wanted = [index.seq_of[t] for t in task_ids if t in index.seq_of]
        if apart:
            wanted += _most_apart(project, control, found, labels, limit)
        said = votes_on(project, control, wanted)
        for seq, functions in zip(wanted, said, strict=True):
            task_id = str(index.ids[seq])
            report.rows.append(_row(control, found, seq, task_id, functions, labels.get(task_id)))
    return report


def _silent(n: int, k: int) -> Joint:
    return Joint(np.full((n, k), np.nan, np.float32), None, None, np.zeros(n, np.float32), "")


def _by(found: Joint | None, labelled: list[int], total: int) -> dict[str, int]:
    free = np.ones(total, bool)
    free[labelled] = False
    counts = {"people": len(labelled), "functions and model": 0, "functions": 0, "model": 0, "nobody": int(free.sum())}
    if found is not None:
        silent = np.zeros(total, bool)
        f, m = (silent if s is None else np.isfinite(s).all(axis=1) for s in (found.functions, found.model))
        counts["functions and model"] = int((free & f & m).sum())
        counts["functions"] = int((free & f & ~m).sum())
        counts["model"] = int((free & ~f & m).sum())
        counts["nobody"] = int((free & ~f & ~m).sum())
    return counts


def _most_apart(
    project: Project, control: Control, found: Joint, labels: Mapping[str, Consensus], limit: int
) -> list[int]:
    """The tasks on which sources contradict each other most: people against machines that are sure, then functions
    against model."""
    kind, index = label_kind_of(control), project.store.tasks.index(project.name)
    score = np.asarray(found.apart, np.float64).copy()
    for task_id, row in labels.items():
        seq = index.seq_of.get(task_id)
        if seq is None:
            continue
        score[seq] = 0.0
        if np.isfinite(found.together[seq]).all():
            value, sure = kind.decide(control, found.together[seq])
            if value != kind.canonical(control, row.value):
                score[seq] = 1.0 + sure
    order = np.lexsort((np.arange(len(score)), -score))[:limit]
    return [int(seq) for seq in order if score[seq] > 0]


def _row(
    control: Control, found: Joint, seq: int, task_id: str, functions: JsonObject, people: Consensus | None
) -> TaskConsensus:
    kind = label_kind_of(control)
    support: dict[str, Any] = dict(functions)
    for name, source in (("functions together", found.functions), ("model", found.model)):
        if source is not None and np.isfinite(source[seq]).all():
            value, sure = kind.decide(control, source[seq])
            support[name] = {"value": value, "sure": round(float(sure), 4)}
    machines = kind.decide(control, found.together[seq]) if np.isfinite(found.together[seq]).all() else None
    if people is not None:
        support |= {who: {"value": kind.canonical(control, said)} for who, said in people.support.items()}
        value = kind.canonical(control, people.value)
        against = machines is not None and machines[0] != value
        return TaskConsensus(
            task_id, control.name, "people", value, people.confidence, support, float(found.apart[seq]), against
        )
    if machines is None:
        return TaskConsensus(task_id, control.name, "nobody", None, 0.0, support, 0.0, False)
    spoken = [name for name in ("functions", "model") if f"{name} together" in support or name in support]
    return TaskConsensus(
        task_id,
        control.name,
        " and ".join(spoken),
        machines[0],
        float(machines[1]),
        support,
        float(found.apart[seq]),
        False,
    )


__all__ = ["JOINT_NOTE", "Joint", "JointReport", "TaskConsensus", "consensus_report", "joint", "scores"]
