"""Training one control of labels: cross-validate, decide on weak labels, fit, ask about the blind sample."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapter.backend_loading import ask, for_labels, load_factory
from adapter.core.heldout import HeldOut
from adapter.errors import BackendError
from adapter.ports import Backend, Floats
from adapter.training.common import (
    Steps,
    backend_of,
    beginning,
    fields_of,
    is_slow,
    learned,
    origin,
    seen,
    sha256,
    warmed,
)
from adapter.training.job import ControlJob, TrainJob
from adapter.training.validate import WEIGHTS, Trial, Weak, choose, cross_validate, joined, rival_of, sentence, trial

SLOW_WEAK = 0.25
"""What a weak label weighs where a fit takes too long to try several; it fades as they come to be worth less."""
WEAK_IN_SEARCH = 600
"""Most weak examples in cross-validation, which fits many times; the final model sees all."""


@dataclass(frozen=True, eq=False)
class Fit:
    """One control's model at one weight of weak labels. digest: of all it learned from; learned: of each task."""

    backend: Backend
    heldout: HeldOut
    gate: Floats
    weak_weight: float
    digest: str
    learned: list[str]


@dataclass(frozen=True, eq=False)
class Outcome:
    """One control's training. rival: the other answer to the question of weak labels, where it is open."""

    fit: Fit
    rival: Fit | None
    metrics: dict[str, Any]


def _weights(job: TrainJob, control: ControlJob) -> tuple[float, ...]:
    if job.weak == "never" or not control.weak_ids or not control.fade:
        return (0.0,)
    if is_slow(job, control):
        return (SLOW_WEAK * control.fade,)
    return tuple(weight * control.fade for weight in WEIGHTS)


def train_control(job: TrainJob, control: ControlJob, steps: Steps) -> Outcome:
    """Train a control on people's labels outside the blind sample, with and without weak ones where that is open."""
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
        weak_ids = [control.weak_ids[row] for row in weak_rows] if weak is not None else []
        return _fit(job, control, weights, weak, weak_ids, weight, held[weight], steps)

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
        **beginning(fitted.backend),
    }
    other = None
    if rival is not None:
        other = fit(rival.weight)
        metrics["rival_weight"] = rival.weight
    metrics["seconds"] = round(time.perf_counter() - started, 3)
    return Outcome(fitted, other, metrics)


def _fit(
    job: TrainJob,
    control: ControlJob,
    weights: Floats,
    weak: Weak | None,
    weak_ids: Sequence[str],
    weight: float,
    held: HeldOut,
    steps: Steps,
) -> Fit:
    """Train on all that may be trained on, and predict the blind sample."""
    how = "with" if weak is not None else "without"
    steps.say(f"training '{control.name}' {how} weak labels")
    used = weights > 0
    people = [example for example, use in zip(control.examples, used, strict=True) if use]
    examples, targets, mass = joined(people, control.targets[used], weights[used], weak)
    ids = [one for one, use in zip(control.ids, used, strict=True) if use]
    fields = fields_of(job, control)
    tasks = learned([*ids, *weak_ids], examples, fields)
    backend = for_labels(warmed(job, control, tasks), control.name)
    backend.fit(examples, targets, weights=mass, multiple=control.multiple, seed=job.seed)
    gate = ask(backend, control.gate_examples, len(control.labels), control.name)
    steps.say(f"predicted the blind sample for '{control.name}'", 1)
    digest = sha256(
        control.name,
        control.labels,
        control.multiple,
        fields,
        ids,
        targets,
        mass,
        seen(examples, fields),
        *([sha256(seen(control.pool, fields))] if control.pool else []),
        *origin(job, backend),
    )
    return Fit(backend, held, gate, weight, digest, tasks)


def fits_of(job: TrainJob, control: ControlJob) -> int:
    """Return how many models are trained for a control: the folds at each weight, and the final ones."""
    weights = len(_weights(job, control))
    if is_slow(job, control):
        return 2
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
    path, options = backend_of(job, control)
    return cross_validate(
        load_factory(path),
        control.fields,
        options,
        control.examples,
        control.targets,
        weights,
        control.groups,
        control.multiple,
        job.folds,
        job.seed,
        weak=weak,
        places=job.offered(control),
        most=1 if is_slow(job, control) else None,
        pool=control.pool,
        progress=lambda done, total: steps.say(f"cross-validated '{control.name}'{how}: fold {done} of {total}", 1),
    )
