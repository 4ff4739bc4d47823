"""Policies: frozen values that say what the loop shall do. One class per verb; settings files fill them, functions
obey them.

Every field has a range; a settings file that leaves it is refused with key and line.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Policy(BaseModel):
    """Base: frozen, strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BlindPolicy(Policy):
    """The blind sample: tasks drawn by a seeded hash of their id, shown without a pre-label, never trained on.

    share: of all tasks that belong to it. batch_share: of every pushed batch taken from it while it lasts.
    double_share: of the blind tasks that two people label. seed: of the hash.
    """

    share: Share = 0.1
    batch_share: Share = 0.15
    double_share: Share = 0.2
    seed: int = 20240


class WindowPolicy(Policy):
    """The work window: the tasks that are open in Label Studio at one time.

    size: open tasks after a top-up. low_water: open tasks below which it is topped up. budget: human decisions
    (annotations) after which nothing more is pushed; None for no limit.
    """

    size: Annotated[int, Field(ge=1, le=100_000)] = 200
    low_water: Annotated[int, Field(ge=0, le=100_000)] = 100
    budget: Annotated[int, Field(ge=1)] | None = None


class RankPolicy(Policy):
    """Which tasks people see next.

    strategy: `margin`, `entropy`, `least-confidence` or `random`. flagged_share: of every batch that goes to a
    second look at flagged tasks. diversity: near neighbours never share a batch (needs embeddings). seed: of
    everything random.
    """

    strategy: Literal["margin", "entropy", "least-confidence", "random"] = "margin"
    flagged_share: Share = 0.1
    diversity: bool = True
    seed: int = 0


class ConsolidatePolicy(Policy):
    """How votes become a consensus.

    people_threshold: posterior from which people's consensus stands; below it one more person is asked. max_people:
    most people asked for one task. consolidator: `best` (on the blind sample), `majority` or `label-model`.
    min_gold: blind labels needed before `best` may leave majority.
    """

    people_threshold: Annotated[float, Field(ge=0.5, le=1.0)] = 0.75
    max_people: Annotated[int, Field(ge=1, le=20)] = 3
    consolidator: Literal["best", "majority", "label-model"] = "best"
    min_gold: Annotated[int, Field(ge=1)] = 20
    seed: int = 0


class FlagPolicy(Policy):
    """What is flagged.

    min_labels: people's labels needed. folds: of cross-validation. max_open: most open flags per project that reach
    people. reasons are always recorded; only label issues ask one more person.
    """

    enabled: bool = True
    min_labels: Annotated[int, Field(ge=10)] = 50
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    max_open: Annotated[int, Field(ge=0)] = 100
    seed: int = 0


class TrainPolicy(Policy):
    """When a candidate is trained and when it is promoted.

    min_labels: people's labels needed for the first model. min_new: new labels that start a training. max_wait_s:
    longest time that a smaller number of new labels waits. alpha: level of the promotion gate's one-sided exact McNemar
    test; the candidate is refused when it is significantly worse at this level, or worse in accuracy by more than
    `tolerance` and one standard error. weak: `auto` uses weak labels while cross-validation shows that they help,
    `always`, `never`.
    """

    min_labels: Annotated[int, Field(ge=2)] = 20
    min_new: Annotated[int, Field(ge=1)] = 25
    max_wait_s: Annotated[float, Field(ge=0)] = 600.0
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    tolerance: Share = 0.02
    min_gate: Annotated[int, Field(ge=1)] = 10
    weak: Literal["auto", "always", "never"] = "auto"
    timeout_s: Annotated[float, Field(gt=0)] = 3600.0
    seed: int = 0
