"""When to stop labelling: successive models agree, the expected gain is small, the budget is spent, the target is met.

Stopping is advice. Each criterion says what it saw; the first that holds, in this order, is the reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from adapter.core.learning_curve import Estimate
from adapter.policies import StopPolicy
from adapter.vocabulary import JsonObject

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one model said of the stop set. labels: people's labels that it was trained on. rows (n,): rows of the pool.
    codes (n, b): its decisions, see `encode`. blind: rows of the blind sample among them."""

    version: str
    labels: int
    rows: npt.NDArray[np.int64]
    codes: Codes
    blind: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cohen's kappa of two models that follow each other, on `n` tasks. labels: of the two models, in training."""

    kappa: float
    n: int
    labels: tuple[int, int]


@dataclass(frozen=True, slots=True)
class StopAdvice:
    """stop: whether stopping is advised. why: in one sentence, in both cases. figures: by criterion, JSON."""

    stop: bool
    why: str
    figures: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the criteria look at. labels: of the present model, in training. accuracy: of it on n blind tasks with its
    95 % Wilson interval; None while there is none. gain: expected of `policy.gain_labels` more labels; None where
    nothing can be said. budget_left: None without a budget. agreements: newest last."""

    labels: int
    agreements: Sequence[Agreement] = ()
    accuracy: Estimate | None = None
    gain: Estimate | None = None
    budget_left: int | None = None


def encode(targets: npt.NDArray[np.floating] | npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> Codes:
    """Return decisions compactly, (n, 1 + ceil(k / 8)): whether there is one, then its labels as bits.

    targets (n, k): one-hot or multi-hot. known (n,): rows that the model could read.
    """
    bits = np.packbits(np.asarray(targets) > 0.5, axis=1)
    bits[~known] = 0
    return np.concatenate([known.astype(np.uint8)[:, None], bits], axis=1)


def same(a: Codes, b: Codes) -> npt.NDArray[np.bool_]:
    """Return (n,) whether decisions are known and equal."""
    equal: npt.NDArray[np.bool_] = (a == b).all(axis=1) & (a[:, 0] == 1) & (b[:, 0] == 1)
    return equal


def kappa(a: Codes, b: Codes) -> float:
    """Return Cohen's kappa of two models' decisions on the same n tasks; several labels at once count as one pattern.
    NaN without tasks that both could read; 1 where both always say the same one thing. Source: Cohen 1960."""
    both = (a[:, 0] == 1) & (b[:, 0] == 1)
    n = int(both.sum())
    if not n:
        return math.nan
    _, names = np.unique(np.concatenate([a[both], b[both]]), axis=0, return_inverse=True)
    names = names.reshape(-1)
    first, second = names[:n], names[n:]
    size = int(names.max()) + 1
    observed = float((first == second).mean())
    chance = float(np.bincount(first, minlength=size) @ np.bincount(second, minlength=size)) / n**2
    return 1.0 if chance >= 1.0 else (observed - chance) / (1.0 - chance)


def successive(seen: Sequence[Seen], labelled: npt.ArrayLike, *, window: int, step: int) -> list[Agreement]:
    """Return the last `window` agreements of successive models on the stop set, newest last.

    seen: by number of version. labelled: rows of the pool that people have labelled for training: models agree on what
    they were trained on, so these are left out. step: labels that two compared models must lie apart, versions between
    are passed over: a model trained again on nearly the same labels agrees with itself.
    """
    found: list[Agreement] = []
    if not seen:
        return found
    taken = np.asarray(labelled, np.int64)
    later = seen[-1]
    for earlier in reversed(seen[:-1]):
        if later.labels - earlier.labels < step:
            continue
        rows, mine, theirs = np.intersect1d(later.rows, earlier.rows, assume_unique=True, return_indices=True)
        free = ~np.isin(rows, taken)
        a, b = later.codes[mine[free]], earlier.codes[theirs[free]]
        if a.shape[1] != b.shape[1]:  # the labels of the control have changed in between
            break
        value = kappa(a, b)
        if not math.isnan(value):
            found.append(Agreement(value, int(free.sum()), (earlier.labels, later.labels)))
        later = earlier
        if len(found) == window:
            break
    return found[::-1]


def bound(threshold: float) -> float:
    """Return how far the F-measure of two models may differ whose kappa is above the threshold: 4 (1 - T) / T.
    Source: Bloodgood and Grothendieck 2013 (arXiv 1504.06329), for one label against the rest, on the stop set."""
    if not 0 < threshold <= 1:
        raise ValueError(f"kappa's threshold lies above 0 and at most at 1, got {threshold}")
    return 4 * (1 - threshold) / threshold


def advise(standing: Standing, policy: StopPolicy) -> StopAdvice:
    """Judge the criteria that the policy sets; a spent budget and a met target count from the first label, the others
    from `policy.least_labels`."""
    figures: dict[str, object] = {"labels": standing.labels}
    reasons: list[str] = []
    waits: list[str] = []
    if standing.budget_left is not None:
        figures["budget_left"] = standing.budget_left
        if standing.budget_left <= 0:
            reasons.append("the budget is spent")
    if policy.target is not None:
        _target(standing, policy.target, figures, reasons, waits)
    enough = standing.labels >= policy.least_labels
    if not enough:
        waits.append(f"{standing.labels} labels of the {policy.least_labels} before stopping is considered")
    if policy.kappa is not None:
        _settled(standing, policy, figures, reasons if enough else [], waits)
    if policy.gain is not None:
        _small(standing, policy, figures, reasons if enough else [], waits)
    if reasons:
        return StopAdvice(True, f"stopping is advised: {'; '.join(reasons)}", figures)
    return StopAdvice(False, f"go on: {'; '.join(waits)}" if waits else "go on", figures)


def _target(
    standing: Standing, target: float, figures: dict[str, object], reasons: list[str], waits: list[str]
) -> None:
    found = standing.accuracy
    figures["target"] = {"target": target, "accuracy": found.json() if found else None}
    if found is None:
        waits.append(f"the target of {target:.1%} cannot be judged yet")
    elif found.lower >= target:
        reasons.append(f"accuracy on the blind sample is at least {found.lower:.1%}, the target {target:.1%}")
    else:
        waits.append(f"accuracy on the blind sample is at least {found.lower:.1%}, the target is {target:.1%}")


def _settled(
    standing: Standing, policy: StopPolicy, figures: dict[str, object], reasons: list[str], waits: list[str]
) -> None:
    """Successive models agree: the mean of the last `window` kappas. Source: Bloodgood and Vijay-Shanker 2009
    (threshold .99, mean of the last three)."""
    assert policy.kappa is not None
    values = [one.kappa for one in standing.agreements]
    mean = float(np.mean(values)) if values else None
    figures["kappa"] = {
        "mean": None if mean is None else round(mean, 4),
        "last": [round(value, 4) for value in values],
        "threshold": policy.kappa,
        "tasks": standing.agreements[-1].n if values else 0,
        "f_bound": round(bound(policy.kappa), 4),
    }
    if mean is None or len(values) < policy.window:
        waits.append(f"{len(values)} of {policy.window} successive models compared")
    elif mean >= policy.kappa:
        text = f"the last {len(values) + 1} models agree (kappa {mean:.3f} on {standing.agreements[-1].n} tasks)"
        if bound(policy.kappa) < 1:  # a low threshold promises nothing
            text += f", so on these tasks F changed by at most {bound(policy.kappa):.3f} at a step"
        reasons.append(text)
    else:
        waits.append(f"successive models still differ (kappa {mean:.3f}, {policy.kappa:g} is asked)")


def _small(
    standing: Standing, policy: StopPolicy, figures: dict[str, object], reasons: list[str], waits: list[str]
) -> None:
    assert policy.gain is not None
    found = standing.gain
    figures["gain"] = {"least": policy.gain, "labels": policy.gain_labels, "gain": found.json() if found else None}
    if found is None:
        waits.append("the learning curve is too short to expect anything of more labels")
        return
    words = (
        f"{policy.gain_labels} more labels are expected to bring {100 * found.value:.1f} points "
        f"({100 * found.lower:.1f} to {100 * found.upper:.1f})"
    )
    (reasons if found.upper < policy.gain else waits).append(words)


__all__ = ["Agreement", "Seen", "Standing", "StopAdvice", "advise", "bound", "encode", "kappa", "same", "successive"]
