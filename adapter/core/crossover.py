"""When weak labels stop paying: the same model trained with and without them, compared on the blind sample.

Weak labels pay while people's are few and are overtaken later (Ratner et al. 2019 report gains on small gold sets; on
YouTube comments +11.5 points at 50 gold labels, +1.3 at 200). Where that happens differs from project to project, so
it is measured in each, on tasks that were drawn at random and that neither model has seen.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from adapter.policies import TrainPolicy
from adapter.vocabulary import JsonObject

Bools = npt.NDArray[np.bool_]

MOST_HISTORY = 50
Z = 1.959963984540054
FADE = 0.5
"""What a weak label's weight is multiplied by for every training in a row in which weak labels did not help."""


class WeakState(StrEnum):
    """What weak labels are worth in training now."""

    UNTESTED = "untested"
    HELPING = "helping"
    FADING = "fading"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Crossover:
    """One comparison on `n` blind tasks. difference: accuracy with weak labels less accuracy without, with a 95 %
    interval for paired shares."""

    n: int
    with_weak: float
    without: float
    difference: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class WeakUse:
    """How weak labels of one control are used. streak: trainings in a row in which they did not help. since: the model
    version of the last comparison. functions: digest of the labeling functions, whose change starts all over. history:
    one entry a training: version, labels (people's, in training), n, with_weak, without."""

    state: WeakState = WeakState.UNTESTED
    streak: int = 0
    since: str = ""
    functions: str = ""
    last: Crossover | None = None
    history: tuple[JsonObject, ...] = ()

    @property
    def fade(self) -> float:
        """What weak labels' weight is multiplied by in the next training; 0 when they are retired."""
        return 0.0 if self.state is WeakState.RETIRED else FADE**self.streak

    def as_json(self) -> JsonObject:
        """Return it for the store."""
        return {**asdict(self), "state": str(self.state), "history": [dict(row) for row in self.history]}

    @classmethod
    def of(cls, noted: JsonObject | None, functions: str) -> WeakUse:
        """Return what was noted, or a new one when there is nothing or the labeling functions are others now."""
        if not noted or noted.get("functions") != functions:
            return cls(functions=functions)
        last = noted.get("last")
        return cls(
            WeakState(noted["state"]),
            int(noted["streak"]),
            str(noted["since"]),
            functions,
            Crossover(**last) if last else None,
            tuple(noted.get("history", ())),
        )

    def sentence(self) -> str:
        """Say it in words, for status and reports."""
        if self.last is None:
            return "weak labels have not been compared on the blind sample yet"
        score = (
            f"{self.last.with_weak:.1%} with and {self.last.without:.1%} without weak labels on {self.last.n} blind "
            f"tasks (difference {self.last.lower:+.3f} to {self.last.upper:+.3f})"
        )
        return {
            WeakState.UNTESTED: f"too few blind tasks to tell: {score}",
            WeakState.HELPING: f"weak labels help: {score}",
            WeakState.FADING: f"weak labels fade, not better in {self.streak} trainings in a row: {score}",
            WeakState.RETIRED: f"weak labels are retired since {self.since}: {score}",
        }[self.state]


def compare(with_weak: Bools, without: Bools) -> Crossover:
    """Compare two models on the same n tasks: (n,) whether each is right.

    The interval is Wald's with half a task added to each cell of the 2 x 2 table, which keeps its level on few tasks
    (Agresti and Min 2005, section 3). Raises ValueError when the lengths differ.
    """
    if len(with_weak) != len(without):
        raise ValueError(f"{len(with_weak)} and {len(without)} judged tasks: the comparison is paired")
    n = len(with_weak)
    wins, losses = int((with_weak & ~without).sum()), int((without & ~with_weak).sum())
    centre = (wins - losses) / (n + 2)
    error = math.sqrt(max(wins + losses + 1 - (wins - losses) ** 2 / (n + 2), 0.0)) / (n + 2)
    return Crossover(
        n,
        float(with_weak.mean()) if n else 0.0,
        float(without.mean()) if n else 0.0,
        (wins - losses) / n if n else 0.0,
        max(-1.0, centre - Z * error),
        min(1.0, centre + Z * error),
    )


def judge(
    before: WeakUse, found: Crossover, policy: TrainPolicy, *, version: str, labels: int, preferred: bool
) -> tuple[WeakUse, bool]:
    """Return how weak labels are used from now on, and whether this training's model shall be the one with them.

    preferred: what cross-validation on people's labels would do. Those labels are of tasks that were asked because they
    were hard, and understate what weak labels do for the rest; so it decides alone only while there are fewer than
    `policy.min_gate` blind tasks. Then weak labels are left out where they lost there beyond the interval, or by more
    than a standard error and cross-validation is against them too: the sample is small, and a training without them
    by bad luck costs more than one with them. From `policy.weak_gate` blind tasks on, `policy.weak_patience` trainings
    in a row in which they did not help retire them. `always` and `never` are obeyed.
    """
    row = {
        "version": version,
        "labels": labels,
        "n": found.n,
        "with_weak": round(found.with_weak, 4),
        "without": round(found.without, 4),
    }
    after = replace(before, since=version, last=found, history=(*before.history, row)[-MOST_HISTORY:])
    if policy.weak == "always":
        return replace(after, state=WeakState.HELPING if found.difference > 0 else before.state, streak=0), True
    if found.n < policy.min_gate:
        return replace(after, state=WeakState.UNTESTED, streak=0), preferred
    error = (found.upper - found.lower) / (2 * Z)
    taken = found.upper >= 0 and (preferred or found.difference >= -error)
    if found.n < policy.weak_gate:
        return replace(after, state=WeakState.UNTESTED, streak=0), taken
    if found.difference > 0:
        return replace(after, state=WeakState.HELPING, streak=0), taken
    streak = before.streak + 1
    state = WeakState.RETIRED if streak >= policy.weak_patience else WeakState.FADING
    return replace(after, state=state, streak=streak), taken


__all__ = ["Crossover", "WeakState", "WeakUse", "compare", "judge"]
