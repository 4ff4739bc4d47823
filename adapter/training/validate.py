"""Cross-validation on people's labels, and whether weak labels still pay."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.backend_loading import ask, for_labels, make
from adapter.core.folds import grouped_folds
from adapter.core.heldout import HeldOut
from adapter.core.intervals import wilson
from adapter.errors import BackendError
from adapter.ports import BackendFactory, Floats, Preparing
from adapter.vocabulary import JsonObject

WEIGHTS = (0.0, 0.25, 1.0)
"""What a weak label may weigh against a person's: cross-validation tries them, so weak labels fade as people's grow."""


@dataclass(frozen=True, eq=False)
class Weak:
    """Weak labels that join every fold's training part. targets (m, k), soft. weight: of each; a person's is about
    1."""

    examples: Sequence[JsonObject]
    targets: Floats
    weight: float


def cross_validate(
    factory: BackendFactory,
    fields: Sequence[str],
    options: Mapping[str, Any],
    examples: Sequence[JsonObject],
    targets: Floats,
    weights: Floats,
    groups: Sequence[str],
    multiple: bool,
    folds: int,
    seed: int,
    *,
    weak: Weak | None = None,
    places: Mapping[str, Any] | None = None,
    most: int | None = None,
    pool: Sequence[JsonObject] = (),
    progress: Callable[[int, int], None] | None = None,
) -> HeldOut:
    """Return probabilities (n, k) for each example from a model that saw neither it nor a duplicate of it.

    targets (n, k), weights (n,), groups (n,): equal for duplicates; none of the weak examples may be a duplicate of
    one of `examples`. most: folds that are really made; the rows of the others stay NaN (for backends whose fits are
    long). pool: tasks without labels, for a backend that learns from them. progress: called with (folds done, folds).
    Where a fold leaves only one class to learn from, its model is that class's share by the rule of succession. Rows
    that the backend cannot read are NaN. Raises BackendError with fewer than two groups of duplicates, or when the
    backend cannot learn at all.
    """
    try:
        parts = grouped_folds(groups, folds, seed, strata_of(targets, multiple))
    except ValueError as error:
        raise BackendError(
            f"no cross-validation: {error}",
            where="training",
            remedy="Label more tasks that are no copies of each other.",
        ) from error
    out = np.full(targets.shape, np.nan, np.float32)
    total = min(int(parts.max()) + 1, most or int(parts.max()) + 1)
    refused: BackendError | None = None
    for fold in range(total):
        inside, held = np.flatnonzero(parts != fold), np.flatnonzero(parts == fold)
        x, y, w = joined([examples[row] for row in inside], targets[inside], weights[inside], weak)
        backend = for_labels(make(factory, fields, options, places, where="cross-validation"), "cross-validation")
        if len(pool) and isinstance(backend, Preparing):
            backend.prepare(pool, seed=seed)
        try:
            backend.fit(x, y, weights=w, multiple=multiple, seed=seed)
        except BackendError as error:
            if not _one_class(y, w, multiple):
                raise
            refused = error
            share = (w @ y + 1.0) / (w.sum() + (2.0 if multiple else y.shape[1]))
            out[held] = share
        else:
            out[held] = ask(backend, [examples[row] for row in held], targets.shape[1], "cross-validation")
        if progress is not None:
            progress(fold + 1, total)
    if refused is not None and _one_class(targets, weights, multiple) and weak is None:
        raise refused
    return HeldOut(out, np.where(parts < total, parts, -1), seed)


def strata_of(targets: Floats, multiple: bool) -> npt.NDArray[np.generic]:
    """Return (n,) the class of each row, or for several labels the pattern that they make."""
    if not multiple:
        return np.asarray(targets.argmax(axis=1))
    return np.asarray(["".join("1" if cell > 0.5 else "0" for cell in row) for row in targets])


def joined(
    examples: Sequence[JsonObject], targets: Floats, weights: Floats, weak: Weak | None
) -> tuple[list[JsonObject], Floats, Floats]:
    """Return examples, targets and weights with the weak ones behind."""
    if weak is None or not weak.weight or not len(weak.examples):
        return list(examples), targets, weights
    extra = np.full(len(weak.examples), weak.weight, np.float32)
    return (
        [*examples, *weak.examples],
        np.concatenate([targets, weak.targets]).astype(np.float32),
        np.concatenate([weights, extra]).astype(np.float32),
    )


def _one_class(targets: Floats, weights: Floats, multiple: bool) -> bool:
    share = (weights @ targets) / max(float(weights.sum()), 1e-9)
    return bool(((share < 1e-6) | (share > 1 - 1e-6)).all()) if multiple else int((share > 1e-6).sum()) < 2


@dataclass(frozen=True, slots=True)
class Trial:
    """One weak weight in cross-validation. accuracy of `n` held-out people's labels with its 95 % Wilson interval (for
    several labels: of single cells; the interval counts tasks, not cells); log_loss in nats a label."""

    weight: float
    accuracy: float
    lower: float
    upper: float
    log_loss: float
    n: int

    def json(self) -> dict[str, float]:
        """Return the figures, rounded for people."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def trial(weight: float, heldout: HeldOut, targets: Floats, weights: Floats, multiple: bool) -> Trial:
    """Return how held-out probabilities (n, k) fare against targets (n, k). Rows that cannot be read count as wrong;
    rows that were held out in no fold do not count at all."""
    made = heldout.folds >= 0
    if made.any() and not made.all():
        part = HeldOut(heldout.probabilities[made], heldout.folds[made], heldout.seed)
        return trial(weight, part, targets[made], weights[made], multiple)
    known = np.asarray(~np.isnan(heldout.probabilities).any(axis=1))
    mass = weights / max(float(weights.sum()), 1e-9)
    p = np.clip(np.where(known[:, None], heldout.probabilities, 0.5 if multiple else 1.0 / targets.shape[1]), 1e-6, 1.0)
    if multiple:
        q = np.clip(p, 1e-6, 1 - 1e-6)
        right = ((q > 0.5) == (targets > 0.5)).mean(axis=1)
        loss = -(targets * np.log(q) + (1 - targets) * np.log(1 - q)).mean(axis=1)
    else:
        right = (p.argmax(axis=1) == targets.argmax(axis=1)).astype(np.float64)
        loss = -(targets * np.log(p)).sum(axis=1)
    accuracy = min(1.0, max(0.0, float(mass @ (right * known))))
    n = int((weights > 0).sum())
    lower, upper = wilson(accuracy * n, n)
    return Trial(weight, accuracy, lower, upper, float(mass @ loss), n)


def choose(trials: Sequence[Trial], policy: str) -> Trial:
    """Return the trial whose weak weight the model gets. `never` takes weight 0, `always` the best of the others.

    `auto` takes the best weight above 0 until training without weak labels is better by more than one standard error.
    The held-out labels are of tasks that people were asked because they were hard, so they understate what weak labels
    do for the easy rest: an even race on them is no reason to drop weak labels. The gate judges on random tasks.
    """
    without = [trial for trial in trials if not trial.weight]
    with_weak = [trial for trial in trials if trial.weight]
    if policy == "never" or not with_weak:
        return without[0]
    best = max(with_weak, key=lambda trial: (round(trial.accuracy, 6), -trial.log_loss))
    if policy == "always" or not without:
        return best
    error = math.sqrt(best.accuracy * (1.0 - best.accuracy) / max(best.n, 1))
    return without[0] if without[0].accuracy > best.accuracy + error else best


def rival_of(trials: Sequence[Trial], chosen: Trial, policy: str) -> Trial | None:
    """Return the trial that the blind sample shall compare with the chosen one: the one without weak labels, or the
    best with some; None where the policy, or the want of weak labels, leaves no question."""
    if policy != "auto":
        return None
    others = [one for one in trials if bool(one.weight) != bool(chosen.weight)]
    return max(others, key=lambda one: (round(one.accuracy, 6), -one.log_loss), default=None)


def sentence(trials: Sequence[Trial], chosen: Trial, weak: int) -> str:
    """Return one sentence for people: whether weak labels help."""
    without = next((trial for trial in trials if not trial.weight), None)
    best = max((trial for trial in trials if trial.weight), key=lambda t: (t.accuracy, -t.log_loss), default=None)
    if best is None or without is None:
        return f"{chosen.n} labels of people, no weak labels: {chosen.accuracy:.1%} held-out accuracy."
    verdict = "weak labels are used" if chosen.weight else "weak labels no longer help"
    return (
        f"With {without.n} labels of people {verdict}: {without.accuracy:.1%} held-out accuracy without, "
        f"{best.accuracy:.1%} with {weak} weak labels at weight {best.weight:g}."
    )
