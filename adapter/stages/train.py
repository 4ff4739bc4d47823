"""Train: a candidate in a process of its own, the gate on the blind sample, and promotion if it is not worse.

Targets: people's consensus first, weak labels while they still help; never a model's own votes. Blind tasks never
train.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime

import numpy as np
import numpy.typing as npt

from adapter.bundle import write_calibration
from adapter.core.calibration import Calibrator
from adapter.core.gates import promotes, promotion
from adapter.errors import BackendError, ModelError
from adapter.ports import Floats
from adapter.stages.calibrate import calibrated
from adapter.stages.context import Project
from adapter.stages.evidence import HELD_OUT_NOTE, Answers, HeldOutNote, Judge, current_judge, people_labels
from adapter.stages.models import promote
from adapter.stages.reports import TrainReport
from adapter.stages.surprises import drifted
from adapter.stages.train_again import forget_failures, keep_failure, pauses
from adapter.stages.train_gate import commonest, correct, judged, scores
from adapter.stages.train_jobs import Gold, files_gone, gold_of, train_job
from adapter.stages.weak_use import keep_weak_uses, weak_uses, with_or_without
from adapter.training import Progress, TrainResult, run
from adapter.vocabulary import Control, ModelState, ModelVersion

TRAINED_NOTE = "trained"
TRAINING_NOTE = "training"

_stops: dict[str, threading.Event] = {}


def due(project: Project) -> str | None:
    """Return why a training should start now, or None. One that failed is not due again before its pause is over."""
    reason = _reason(project)
    return None if reason is not None and pauses(project) else reason


def _reason(project: Project) -> str | None:
    policy = project.settings.train
    if not _trainable(project):
        return None
    labels = _usable_labels(project)
    trained = project.store.projects.notes(project.name, TRAINED_NOTE).get(TRAINED_NOTE)
    current = project.store.models.current(project.name)
    # Nothing can be ranked without its files. A new model that was refused in their place waits for other labels.
    replaced = current is None or (trained or {}).get("instead_of") == current.version
    if labels and current is not None and not replaced and files_gone(project, current):
        return "the model's files are gone"
    if labels < policy.min_labels:
        return None
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
    if waited >= policy.max_wait_s:
        what = f"{new} new annotations" if new > 0 else "labels that people changed"
        return f"{what} have waited {waited:.0f} s"
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

    Raises BackendError when the backend cannot learn from these labels, or another process trains this project;
    nothing changes then.
    """
    with _alone(project):
        stop = _stops[project.name] = threading.Event()
        try:
            report = _train(project, stop)
        except Exception as error:
            if not stop.is_set():
                keep_failure(project, error)
            raise
        finally:
            _stops.pop(project.name, None)
        forget_failures(project)
        return report


@contextlib.contextmanager
def _alone(project: Project) -> Iterator[None]:
    """Hold the right to train this project: `hitl train` beside `hitl up` would write to the same folder, under the
    same number. Ends with the process that holds it, however that ends."""
    place = project.home / "jobs" / f"{project.name}.lock"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackendError(
                f"another training of '{project.name}' is under way",
                where="training",
                remedy="Wait for it: `hitl status` tells how far it is.",
            ) from None
        yield


def _train(project: Project, stop: threading.Event) -> TrainReport:
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
        labelled = [task_id for control in _trainable(project) for task_id in people_labels(project, control)]
        if labelled and all(project.is_blind(task_id) for task_id in labelled):
            why = "all labelled tasks are blind, which never train: lower blind.share"
            return TrainReport(None, False, why)
        return TrainReport(None, False, f"people have used fewer than two labels of {', '.join(thin)} so far")
    number = store.models.next_number(name)
    job = train_job(project, gold, {control: use.fade for control, use in weak_uses(project).items()})
    folder = project.home / "jobs" / f"{name}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
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
    judge = _rival(project)
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
    current = store.models.current(name)
    gone = current is not None and files_gone(project, current)
    store.models.add(name, model)
    passed = promotes(verdict)
    if passed:
        _keep_held_out(project, version, result, gold, calibrators)  # a refused one shall not judge people's labels
        promote(project, version, "gate", why=verdict.sentence)
    else:
        store.models.set_state(name, version, ModelState.REJECTED)
        store.audit.append(name, "gate", "rejected", {"version": version, "why": verdict.sentence}, project.now())
    trained = {"annotations": votes, "digest": seen, "at": project.now().isoformat(), "version": version}
    if gone and current is not None:
        trained["instead_of"] = current.version
    store.projects.note(name, TRAINED_NOTE, trained)
    return TrainReport(version, passed, verdict.sentence, model.metrics, model.verdict, seconds)


def _rival(project: Project) -> Judge | None:
    """Return the current model; None where there is none that can be asked (its files are damaged, or the label config
    has other labels now): then a new one is the way out, and must not fail for that."""
    try:
        return current_judge(project)
    except ModelError as error:
        current = project.store.models.current(project.name)
        version = current.version if current else None
        about = {"version": version, "why": str(error)}
        project.store.audit.append(project.name, "gate", "current model not compared", about, project.now())
        return None


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
