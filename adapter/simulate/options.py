"""What `hitl simulate` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What `hitl simulate` takes. budget: human annotations. batch: annotations between two turns of the loop, and
    the work window. control: the one that `gold` is about; empty for the first. workers: replay stored votes by who
    gave them, each in a queue of their own. overlap: people asked for a task from the start; most: at most;
    threshold: of the consensus, under which one more is asked. kills: how often web or scheduler are killed.
    drop_webhooks: every second webhook never arrives."""

    data: Path
    label_config: Path
    gold: str
    platform: Literal["label-studio", "memory"] = "memory"
    lfs: str = ""
    backend: str = "backends.linear:Linear"
    annotators: str = ""
    budget: int = 300
    batch: int = 25
    strategy: Literal["margin", "entropy", "least-confidence", "random"] = "margin"
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
