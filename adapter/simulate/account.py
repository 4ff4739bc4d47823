"""The account of a simulation: what the server holds against what our store holds, and how good each model was."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from adapter.bundle import Bundle
from adapter.kinds import kind_of, label_kind, label_kind_of
from adapter.kinds.dependence import visible
from adapter.ports import PlatformPrediction, PlatformTask
from adapter.simulate.gold import GoldSet
from adapter.stages.context import Project
from adapter.stages.evidence import SKILL_NOTE, people_labels, restored, values_by_annotator
from adapter.vocabulary import Control, JsonObject, ModelState, ModelVersion, Value

CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Served:
    """One task that one annotator was served. at: seconds since the start. submitted: annotation id."""

    annotator: str
    task_id: int
    priority: int
    at: float
    submitted: int
    cancelled: bool = False


def compare_with_server(
    project: Project, tasks: Sequence[PlatformTask], predictions: Sequence[PlatformPrediction], served: Sequence[Served]
) -> JsonObject:
    """Compare annotations, tasks and predictions one by one with the server's own.

    lost: annotations that the server, or an annotator who got an answer to a submit, has and our store has not, or
    has with other values. duplicated: tasks that carry the same key twice, predictions of one version twice on a
    task, and votes of ours that the server has not.
    """
    theirs = {a.id: (task, a) for task in tasks for a in task.annotations}
    ours = {a.id: a for rows in project.store.annotations.voting(project.name).values() for a in rows}
    skipped = {a.id for _, a in theirs.values() if a.cancelled}
    lost = []
    for number, (task, annotation) in theirs.items():
        if annotation.cancelled:
            continue
        mine = ours.get(number)
        wanted = {
            control.name: kind_of(control.kind).read(control, annotation.result) for control in project.space.controls
        }
        wanted = {
            name: value
            for name, value in wanted.items()
            if value is not None and visible(project.space, project.space.control(name), wanted)
        }
        if mine is None or mine.task_id != task.key or _plain(mine.values) != _plain(wanted):
            lost.append(number)
    lost += [row.submitted for row in served if row.submitted not in theirs]
    keys = Counter(task.key for task in tasks)
    pairs = Counter((p.task_id, p.model_version) for p in predictions)
    known = {p.task_id for p in project.store.ledger.placements(project.name) if not p.gone}
    return {
        "lost": len(lost),
        "lost_ids": lost[:20],
        "duplicated": sum(n - 1 for n in keys.values())
        + sum(n - 1 for n in pairs.values())
        + len([number for number in ours if number not in theirs]),
        "duplicated_tasks": sum(n - 1 for n in keys.values()),
        "duplicated_predictions": sum(n - 1 for n in pairs.values()),
        "unplaced": len([task for task in tasks if task.key not in known]),
        "annotations_there": len(theirs) - len(skipped),
        "annotations_here": len(ours),
        "skipped": len(skipped),
        "predictions": len(predictions),
    }


def _plain(values: Mapping[str, Value]) -> dict[str, Any]:
    return {name: json.loads(json.dumps(value)) for name, value in values.items()}


def served_order(served: Sequence[Served], *, asked_again: set[int]) -> JsonObject:
    """Count where an annotator was served a task of lower priority before one of higher priority.

    Tasks asked again later (second looks, several people) are left out: they return when the queue allows it.
    """
    inversions = counted = 0
    last: dict[str, int] = {}
    for row in sorted(served, key=lambda row: row.at):
        if row.task_id in asked_again:
            continue
        counted += 1
        if row.priority < last.get(row.annotator, 0):
            inversions += 1
        last[row.annotator] = max(row.priority, last.get(row.annotator, 0))
    return {"served": counted, "inversions": inversions}


def curve(project: Project, control: Control, gold: GoldSet) -> list[JsonObject]:
    """Return, for every trained version in order: human labels it was made from, accuracy on the test split, and
    accuracy of the whole pool if labels were people's where there were any by then and the model's elsewhere."""
    points: list[JsonObject] = []
    for model in project.store.models.all(project.name):
        bundle = Bundle.load(project.artifacts.get_folder(model.uri), places=project.places)
        points.append(
            {
                "version": model.version,
                "labels": int(model.metrics.get("annotations", 0)),
                "test_accuracy": test_accuracy(bundle, control, gold),
                "pool_accuracy": pool_accuracy(project, bundle, control, gold, model.created_at),
                "promoted": model.state in (ModelState.CURRENT, ModelState.RETIRED),
            }
        )
    return points


def test_accuracy(bundle: Bundle, control: Control, gold: GoldSet) -> float | None:
    """Return the share of test tasks whose label the model gets exactly right."""
    if not gold.test:
        return None
    right = 0
    for start in range(0, len(gold.test), CHUNK):
        part = gold.test[start : start + CHUNK]
        right += sum(
            said == wanted
            for said, (_, wanted) in zip(_decided(bundle, control, [data for data, _ in part]), part, strict=True)
        )
    return right / len(gold.test)


test_accuracy.__test__ = False  # type: ignore[attr-defined] # pytest shall not take it for a test


def pool_accuracy(project: Project, bundle: Bundle, control: Control, gold: GoldSet, at: datetime | None) -> float:
    """Return the accuracy of the pool's labels: people's consensus where they had labelled by `at`, else the model."""
    labelled_by = {
        task_id
        for task_id, rows in project.store.annotations.voting(project.name).items()
        if at is None or any(row.created_at <= at for row in rows)
    }
    people = {t: row for t, row in people_labels(project, control).items() if t in labelled_by}
    right = total = 0
    for tasks in project.store.tasks.stream(project.name, CHUNK):
        for task, said in zip(tasks, _decided(bundle, control, [task.data for task in tasks]), strict=True):
            final = restored(control, people[task.id].value) if task.id in people else said
            right += final == gold.gold[task.id]
            total += 1
    return right / total


def _decided(bundle: Bundle, control: Control, examples: Sequence[JsonObject]) -> list[Value | None]:
    kind = label_kind_of(control)
    rows = bundle.predict(examples)[control.name]
    return [None if np.isnan(row).any() else kind.decide(control, row)[0] for row in rows]


def flags_found(project: Project, control: Control, gold: GoldSet) -> JsonObject:
    """Return how many label issues were raised and how many of them doubted a label that was wrong by gold."""
    raised = [
        f for f in project.store.flags.all(project.name) if f.control == control.name and f.reason == "label issue"
    ]
    true = 0
    for item in raised:
        given = item.evidence.get("given")
        truth = gold.gold[item.task_id]
        true += _texts(given) != _texts(truth)
    by_reason = Counter(str(f.reason) for f in project.store.flags.all(project.name))
    return {"found": len(raised), "true": true, "by_reason": dict(by_reason)}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in (value if isinstance(value, list | tuple) else (value,)))


def model_rows(models: Sequence[ModelVersion]) -> list[JsonObject]:
    """Return the versions with whether each was promoted and what the gate said."""
    return [
        {
            "version": m.version,
            "state": str(m.state),
            "promoted": m.state in (ModelState.CURRENT, ModelState.RETIRED),
            "labels": m.metrics.get("annotations"),
            "used_weak": m.metrics.get("used_weak"),
            "verdict": m.verdict.get("sentence", ""),
        }
        for m in models
    ]


def consensus_found(project: Project, control: Control, gold: GoldSet) -> JsonObject:
    """Compare people's consensus with gold, by the kind's own statistics.

    exact: share of decided tasks that are exactly right, of `n`; as_proposed: the same with the proposals of undecided
    tasks counted as labels. people: annotations for each decided task. statistics: of `Kind.pair_counts`.
    """
    kind = kind_of(control.kind)
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    decided = exact = proposed = total = votes = 0
    for row in project.store.consensus.all(project.name, control.name):
        if row.task_id not in gold.gold:
            continue
        total += 1
        votes += len(row.support)
        truth = gold.gold[row.task_id]
        said = row.value if row.value is not None else row.proposal
        if said is None:
            continue
        value = restored(control, said)
        right = kind.distance(control, value, truth) == 0
        proposed += right
        if row.value is None:
            continue
        decided += 1
        exact += right
        for name, (top, bottom) in kind.pair_counts(control, value, truth).items():
            sums[name][0] += top
            sums[name][1] += bottom
    return {
        "n": decided,
        "undecided": total - decided,
        "exact": exact / decided if decided else None,
        "as_proposed": proposed / total if total else None,
        "people": votes / total if total else None,
        "statistics": {name: top / bottom for name, (top, bottom) in sorted(sums.items()) if bottom},
    }


def skills_found(project: Project, control: Control, gold: GoldSet, *, least: int = 10) -> JsonObject:
    """Compare the estimated skill of annotators with their true mean similarity to gold (for labels: accuracy).

    spearman: rank correlation over the annotators with at least `least` annotated tasks, None under three of them.
    inside_interval: share of them whose true accuracy lies in the estimated 95 % interval; None for other kinds.
    """
    from scipy.stats import spearmanr

    kind = kind_of(control.kind)
    true: dict[str, list[float]] = defaultdict(list)
    for task_id, said in project.store.annotations.voting(project.name).items():
        for who, value in values_by_annotator(said, control).items():
            true[who].append(1.0 - kind.distance(control, value, gold.gold[task_id]))
    skills = project.store.projects.notes(project.name, SKILL_NOTE).get(SKILL_NOTE, {}).get(control.name, {})
    judged = sorted(who for who, scores in true.items() if len(scores) >= least and who in skills)
    pairs = [(float(skills[who]["accuracy"]), float(np.mean(true[who]))) for who in judged]
    inside = []
    if label_kind(control) is not None:  # of regions and texts the skill is another quantity than the likeness to gold
        inside = [skills[who]["lower"] <= b <= skills[who]["upper"] for who, (_, b) in zip(judged, pairs, strict=True)]
    spread = len(pairs) > 2 and len({a for a, _ in pairs}) > 1 and len({b for _, b in pairs}) > 1
    return {
        "annotators": len(true),
        "judged": len(judged),
        "spearman": float(spearmanr(pairs).statistic) if spread else None,
        "inside_interval": float(np.mean(inside)) if inside else None,
    }
