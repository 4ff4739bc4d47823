"""The child process of a training: cross-validate, decide on weak labels, fit, save, predict; then one rename."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adapter.bundle import Bundle, ask, build, load_factory
from adapter.core.heldout import HeldOut
from adapter.errors import BackendError, HitlError
from adapter.ports import Backend, Floats
from adapter.training.job import (
    CANDIDATE,
    ERROR,
    PROGRESS,
    RESULT,
    RIVAL,
    ControlJob,
    TrainJob,
    save_result,
    write_json,
)
from adapter.training.validate import WEIGHTS, Trial, Weak, choose, cross_validate, joined, rival_of, sentence, trial
from adapter.vocabulary import JsonObject

NICENESS = 10
WEAK_IN_SEARCH = 600
"""Most weak examples in cross-validation, which fits many times; the final model sees all."""


@dataclass(frozen=True, eq=False)
class Fit:
    """One control's model at one weight of weak labels. digest: of all it learned from."""

    backend: Backend
    heldout: HeldOut
    gate: Floats
    weak_weight: float
    digest: str


@dataclass(frozen=True, eq=False)
class Outcome:
    """One control's training. rival: the other answer to the question of weak labels, where it is open."""

    fit: Fit
    rival: Fit | None
    metrics: dict[str, Any]


class Steps:
    """Writes the progress file."""

    def __init__(self, folder: Path, total: int) -> None:
        self._folder = folder
        self._total = total
        self._done = 0

    def say(self, step: str, done: int = 0) -> None:
        """Tell what goes on, and that `done` more fits are done."""
        self._done += done
        write_json(
            self._folder / PROGRESS, {"step": step, "done": self._done, "total": max(self._total, self._done, 1)}
        )


def main(folder: Path) -> int:
    """Train the job in `folder`; return the exit status. What goes wrong is told in error.json."""
    with contextlib.suppress(OSError, AttributeError):  # where there is no niceness, or no right to it
        os.nice(NICENESS)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        train(folder)
    except HitlError as error:
        write_json(folder / ERROR, {"what": error.what, "where": error.where, "remedy": error.remedy})
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        write_json(folder / ERROR, {"what": "there is not enough memory", "where": "", "remedy": "Train on less."})
        return 1
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        write_json(folder / ERROR, {"what": what, "where": "", "remedy": "The training's log tells where."})
        raise
    return 0


def _end_with(parent: int) -> None:
    """End this process when its parent has ended: nobody would read the result."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def train(folder: Path) -> None:
    """Train the job in `folder` and leave its result there."""
    job = TrainJob.load(folder)
    load_factory(job.backend)  # a wrong path or option fails at once, not after the first fold
    steps = Steps(folder, sum(_fits(job, control) for control in job.controls))
    outcomes = {control.name: _train(job, control, steps) for control in job.controls}
    fits = {CANDIDATE: {name: outcome.fit for name, outcome in outcomes.items()}}
    rivals = {name: outcome.rival for name, outcome in outcomes.items() if outcome.rival is not None}
    if rivals:
        fits[RIVAL] = rivals
    about = {
        control.name: {"labels": control.labels, "multiple": control.multiple, "fields": control.fields}
        for control in job.controls
    }
    steps.say("saving the model")
    partial = folder / f"{RESULT}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for variant, by_control in fits.items():
        meta = {
            "backend": job.backend,
            "options": dict(job.options),
            "controls": {name: about[name] for name in by_control},
        }
        Bundle({name: fit.backend for name, fit in by_control.items()}, meta).save(partial / variant)
    digests = [outcome.fit.digest for outcome in outcomes.values()]
    metrics = {
        "data_digest": _sha256(job.backend, dict(job.options), job.seed, digests),
        "controls": {name: outcome.metrics for name, outcome in outcomes.items()},
        "seed": job.seed,
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    save_result(
        partial,
        metrics,
        {
            variant: ({name: fit.gate for name, fit in by.items()}, {name: fit.heldout for name, fit in by.items()})
            for variant, by in fits.items()
        },
        any(outcome.fit.weak_weight > 0 for outcome in outcomes.values()),
    )
    partial.rename(folder / RESULT)


def _weights(job: TrainJob, control: ControlJob) -> tuple[float, ...]:
    if job.weak == "never" or not control.weak_ids or not control.fade:
        return (0.0,)
    return tuple(weight * control.fade for weight in WEIGHTS)


def _train(job: TrainJob, control: ControlJob, steps: Steps) -> Outcome:
    started = time.perf_counter()
    weights = control.weights
    measured = set(control.gate_groups)
    if measured:
        weights = np.where([group in measured for group in control.groups], 0.0, weights).astype(np.float32)
    if not (weights > 0).any():
        raise BackendError(
            "there is no label of a person to train on",
            where=f"control '{control.name}'",
            remedy="Label tasks outside the blind sample first.",
        )
    weak_rows = _usable_weak(control)
    weights_to_try = _weights(job, control) if len(weak_rows) else (0.0,)
    trials: list[Trial] = []
    held: dict[float, HeldOut] = {}
    for weight in weights_to_try:
        held[weight] = _heldout(
            job, control, weights, _weak(control, weak_rows, weight, job.seed, WEAK_IN_SEARCH), steps
        )
        trials.append(trial(weight, held[weight], control.targets, weights, control.multiple))
    chosen = choose(trials, job.weak)
    rival = rival_of(trials, chosen, job.weak)

    def fit(weight: float) -> Fit:
        weak = _weak(control, weak_rows, weight, job.seed, None)
        return _fit(job, control, weights, weak, weight, held[weight], steps)

    fitted = fit(chosen.weight)
    metrics = {
        "people": int((weights > 0).sum()),
        "weak": len(weak_rows) if chosen.weight else 0,
        "weak_available": len(weak_rows),
        "weak_weight": chosen.weight,
        "folds": int(held[chosen.weight].folds.max()) + 1,
        "accuracy": round(chosen.accuracy, 4),
        "lower": round(chosen.lower, 4),
        "upper": round(chosen.upper, 4),
        "log_loss": round(chosen.log_loss, 4),
        "table": [one.json() for one in trials],
        "sentence": sentence(trials, chosen, len(weak_rows)),
    }
    other = None
    if rival is not None:
        other = fit(rival.weight)
        metrics["rival_weight"] = rival.weight
    metrics["seconds"] = round(time.perf_counter() - started, 3)
    return Outcome(fitted, other, metrics)


def _fit(
    job: TrainJob, control: ControlJob, weights: Floats, weak: Weak | None, weight: float, held: HeldOut, steps: Steps
) -> Fit:
    """Train on all that may be trained on, and predict the blind sample."""
    how = "with" if weak is not None else "without"
    steps.say(f"training '{control.name}' {how} weak labels")
    used = weights > 0
    people = [example for example, use in zip(control.examples, used, strict=True) if use]
    examples, targets, mass = joined(people, control.targets[used], weights[used], weak)
    backend = build(job.backend, control.fields, job.options, job.places)
    backend.fit(examples, targets, weights=mass, multiple=control.multiple, seed=job.seed)
    gate = ask(backend, control.gate_examples, len(control.labels), control.name)
    steps.say(f"predicted the blind sample for '{control.name}'", 1)
    ids = [one for one, use in zip(control.ids, used, strict=True) if use]
    seen = _seen(examples, control.fields)
    digest = _sha256(control.name, control.labels, control.multiple, control.fields, ids, targets, mass, seen)
    return Fit(backend, held, gate, weight, digest)


def _fits(job: TrainJob, control: ControlJob) -> int:
    """Return how many models are trained for a control: the folds at each weight, and the final ones."""
    weights = len(_weights(job, control))
    return job.folds * weights + (2 if weights > 1 and job.weak == "auto" else 1)


def _usable_weak(control: ControlJob) -> list[int]:
    """Return the weak rows that are neither labelled by people, nor in the gate, nor a copy of such."""
    taken = {*control.groups, *control.ids, *control.gate_groups}
    return [row for row, one in enumerate(control.weak_ids) if one not in taken]


def _weak(control: ControlJob, rows: Sequence[int], weight: float, seed: int, most: int | None) -> Weak | None:
    if not weight or not len(rows):
        return None
    picked = np.asarray(rows)
    if most is not None and len(picked) > most:
        picked = np.sort(np.random.default_rng(seed).choice(picked, most, replace=False))
    # A sample stands for all of them: together they pull as strongly as the whole would.
    pull = weight * len(rows) / len(picked)
    return Weak([control.weak_examples[row] for row in picked], control.weak_targets[picked], pull)


def _heldout(job: TrainJob, control: ControlJob, weights: Floats, weak: Weak | None, steps: Steps) -> HeldOut:
    how = ", with weak labels" if weak is not None else ""
    steps.say(f"cross-validating '{control.name}'{how}")
    return cross_validate(
        load_factory(job.backend),
        control.fields,
        job.options,
        control.examples,
        control.targets,
        weights,
        control.groups,
        control.multiple,
        job.folds,
        job.seed,
        weak=weak,
        places=job.places,
        progress=lambda done, total: steps.say(f"cross-validated '{control.name}'{how}: fold {done} of {total}", 1),
    )


def _seen(examples: Sequence[JsonObject], fields: Sequence[str]) -> list[Mapping[str, Any]]:
    return [{name: example.get(name) for name in fields} for example in examples]


def _sha256(*parts: Any) -> str:
    """Return the hex digest of parts: arrays by their bytes, everything else by canonical JSON."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.shape}".encode() + np.ascontiguousarray(part, np.float32).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, separators=(",", ":"), default=str).encode())
        digest.update(b"\x1e")
    return digest.hexdigest()
