"""Train: a candidate in a process of its own, the gate on the blind sample, and promotion if it is not worse.

Targets: people's consensus first, weak labels while they still help; never a model's own votes. Blind tasks never
train.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

import numpy as np
import numpy.typing as npt

from adapter.bundle import write_calibration
from adapter.core.calibration import Calibrator
from adapter.core.gates import promotes, promotion
from adapter.ports import Floats
from adapter.stages.calibrate import calibrated
from adapter.stages.context import Project
from adapter.stages.evidence import HELD_OUT_NOTE, Answers, HeldOutNote, current_judge, people_labels
from adapter.stages.models import promote
from adapter.stages.reports import TrainReport
from adapter.stages.surprises import drifted
from adapter.stages.train_gate import commonest, correct, judged, scores
from adapter.stages.train_jobs import Gold, gold_of, train_job
from adapter.stages.weak_use import keep_weak_uses, weak_uses, with_or_without
from adapter.training import Progress, TrainResult, run
from adapter.vocabulary import Control, ModelState, ModelVersion

TRAINED_NOTE = "trained"
TRAINING_NOTE = "training"

_stops: dict[str, threading.Event] = {}


def due(project: Project) -> str | None:
    """Return why a training should start now, or None."""
    policy = project.settings.train
    if not _trainable(project):
        return None
    labels = _usable_labels(project)
    if labels < policy.min_labels:
        return None
    trained = project.store.projects.notes(project.name, TRAINED_NOTE).get(TRAINED_NOTE)
    if not trained:
        return f"{labels} labels and no model yet"
    if trained.get("digest") == project.store.annotations.digest(project.name):
        return None
    votes = project.store.annotations.totals(project.name).votes
    new = votes - int(trained.get("annotations", 0))
    if new >= policy.min_new:
        return f"{new} new annotations"
    drift = drifted(project, datetime.fromisoformat(str(trained["at"]))) if new > 0 else None
    if drift is not None:
        return drift
    waited = (project.now() - datetime.fromisoformat(str(trained["at"]))).total_seconds()
    if new > 0 and waited >= policy.max_wait_s:
        return f"{new} new annotations have waited {waited:.0f} s"
    return None


def _usable_labels(project: Project) -> int:
    """Labels outside the blind sample, of the control that has fewest among those with two different ones: a control
    that the page shows now and then must not keep the others waiting."""
    counts = [
        sum(not project.is_blind(task_id) for task_id in labels)
        for labels in (people_labels(project, control) for control in _trainable(project))
        if len({repr(row.value) for row in labels.values()}) > 1
    ]
    return min(counts, default=0)


def _trainable(project: Project) -> tuple[Control, ...]:
    return (*project.learned, *project.marked)


def train(project: Project) -> TrainReport:
    """Train a candidate on what is known now, put it to the gate, and promote it if it passes.

    Raises BackendError when the backend cannot learn from these labels; nothing changes then.
    """
    started = time.perf_counter()
    if not _trainable(project):
        return TrainReport(None, False, "no control has labels that a backend learns: people label alone")
    store, name = project.store, project.name
    votes = store.annotations.totals(name).votes
    seen = store.annotations.digest(name)
    gold = {control.name: gold_of(project, control) for control in _trainable(project)}
    thin = [control for control, rows in gold.items() if len({repr(value) for _, value, _ in rows.train}) < 2]
    gold = {control: rows for control, rows in gold.items() if control not in thin}
    if not gold:
        return TrainReport(None, False, f"people have used fewer than two labels of {', '.join(thin)} so far")
    number = store.models.next_number(name)
    job = train_job(project, gold, {control: use.fade for control, use in weak_uses(project).items()})
    folder = project.home / "jobs" / f"{name}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    stop = _stops[name] = threading.Event()
    about = {"number": number, "started": project.now().isoformat(), "annotations": votes}
    store.projects.note(name, TRAINING_NOTE, about)

    def tell(progress: Progress) -> None:
        store.projects.note(name, TRAINING_NOTE, {**about, **asdict(progress)})

    try:
        result = run(job, folder, project.settings.train.timeout_s, tell, stop=stop)

        def right(control: Control, probabilities: Floats) -> npt.NDArray[np.bool_]:
            return correct(control, probabilities, gold[control.name].blind)

        labels = {control: len(rows.train) for control, rows in gold.items()}
        result, uses = with_or_without(project, result, right, labels, folder, f"{name}-{number}")
        report = _judge(project, number, result, gold, votes, seen, time.perf_counter() - started)
        keep_weak_uses(project, uses)
        return report
    finally:
        store.projects.note(name, TRAINING_NOTE, None)
        shutil.rmtree(folder, ignore_errors=True)
        _stops.pop(name, None)


def stop_training(project: Project) -> None:
    """End a training of this project that is under way in this process; it leaves nothing behind."""
    stop = _stops.get(project.name)
    if stop is not None:
        stop.set()


def _judge(
    project: Project,
    number: int,
    result: TrainResult,
    gold: dict[str, Gold],
    votes: int,
    seen: str,
    seconds: float,
) -> TrainReport:
    """Store the candidate, compare it with the current model on the blind sample, promote or reject it."""
    store, name = project.store, project.name
    judge = current_judge(project)
    verdict = promotion(
        scores(project, judged(judge, gold), gold) if judge is not None else None,
        scores(project, Answers(result.gate_predictions, result.gate_regions), gold),
        project.settings.train,
        baseline=commonest(project, gold),
    )
    calibration = calibrated(project, result, gold)
    calibrators = {control: found.calibrator for control, found in calibration.items()}
    write_calibration(result.bundle_folder, calibrators)
    uri, digest = project.artifacts.put_folder(result.bundle_folder)
    version = f"{name}-{number}-{digest[:8]}"
    model = ModelVersion(
        version=version,
        number=number,
        backend=", ".join(dict.fromkeys(project.backend_of(c).path for c in _trainable(project) if c.name in gold)),
        state=ModelState.CANDIDATE,
        metrics={
            **result.metrics,
            "annotations": votes,
            "labels": {control: len(rows.train) for control, rows in gold.items()},
            "used_weak": result.used_weak,
            "calibration": {control: found.to_json() for control, found in calibration.items()},
            "seconds": round(result.seconds, 3),
        },
        data_digest=str(result.metrics.get("data_digest", "")),
        uri=uri,
        created_at=project.now(),
        parent=judge.version if judge is not None else None,
        verdict={"outcome": str(verdict.outcome), "figures": verdict.figures, "sentence": verdict.sentence},
    )
    store.models.add(name, model)
    _keep_held_out(project, version, result, gold, calibrators)
    passed = promotes(verdict)
    if passed:
        promote(project, version, "gate", why=verdict.sentence)
    else:
        store.models.set_state(name, version, ModelState.REJECTED)
        store.audit.append(name, "gate", "rejected", {"version": version, "why": verdict.sentence}, project.now())
    store.projects.note(
        name, TRAINED_NOTE, {"annotations": votes, "digest": seen, "at": project.now().isoformat(), "version": version}
    )
    return TrainReport(version, passed, verdict.sentence, model.metrics, model.verdict, seconds)


def _keep_held_out(
    project: Project, version: str, result: TrainResult, gold: dict[str, Gold], calibrators: Mapping[str, Calibrator]
) -> None:
    """Keep the held-out probabilities that the training made anyway, calibrated as the model's own are: they are what
    flagging may judge labels by."""
    kept: dict[str, HeldOutNote] = {}
    for control, held_out in result.heldout.items():
        several = project.space.control(control).multiple
        honest = calibrators[control].apply(held_out.probabilities, multiple=several)
        probabilities, folds = (project.artifacts.put_array(array)[0] for array in (honest, held_out.folds))
        ids = [task.id for task, _, _ in gold[control].train]
        kept[control] = {
            "version": version,
            "ids": ids,
            "probabilities": probabilities,
            "folds": folds,
            "seed": held_out.seed,
        }
    project.store.projects.note(project.name, HELD_OUT_NOTE, kept)


__all__ = ["Gold", "due", "gold_of", "stop_training", "train"]
