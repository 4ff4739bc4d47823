"""What `hitl simulate` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What `hitl simulate` takes for one run of the whole loop. budget: human annotations. batch: annotations between
    two turns of the loop, and the work window. control: the one that `gold` is about; empty for the first. workers:
    replay stored votes by who gave them, each in a queue of their own. overlap: people asked for a task from the
    start; most: at most; threshold: of the consensus, under which one more is asked. kills: how often web or scheduler
    are killed. drop_webhooks: every second webhook never arrives."""

    data: Path
    label_config: Path
    gold: str
    platform: Literal["label-studio", "memory"] = "memory"
    lfs: str = ""
    backend: str = "backends.linear:Linear"
    annotators: str = ""
    budget: int = 300
    batch: int = 25
    strategy: str = "cluster-margin"
    seed: int = 0
    test_share: float = 0.2
    limit: int | None = None
    seconds: float = 0.2
    control: str = ""
    workers: bool = False
    overlap: int = 1
    most: int = 3
    threshold: float = 0.75
    kills: int = 0
    drop_webhooks: bool = False
    home: Path | None = None
    out: Path | None = None


@dataclass(frozen=True, slots=True)
class LearningOptions:
    """What `hitl simulate` takes for learning curves. strategies: names, or `file.py:function`; `random` is always
    among them. budget: labels of a strategy. batch: labels between two models. start: labels before the first choice,
    the same for all, picked by `cold_start`. seeds: how many, from `seed` on. metric: `accuracy` or `f1:LABEL`.
    annotators: empty for people who are always right. far: labels up to which `random` goes on, to tell a saving; 0
    for ten times the budget, but no more than half the pool. jobs: processes. home: folder where embeddings are kept
    between runs. plot: PNG to write."""

    data: Path
    label_config: Path
    gold: str
    strategies: tuple[str, ...] = ("cluster-margin",)
    backend: str = "backends.linear:Linear"
    annotators: str = ""
    budget: int = 300
    batch: int = 25
    start: int = 20
    cold_start: str = "random"
    seeds: int = 10
    seed: int = 0
    metric: str = "accuracy"
    test_share: float = 0.2
    limit: int | None = None
    control: str = ""
    far: int = 0
    jobs: int = 1
    home: Path | None = None
    plot: Path | None = None
    out: Path | None = None
