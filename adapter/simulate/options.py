"""What `hitl simulate` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What `hitl simulate` takes. budget: human annotations. batch: annotations between two turns of the loop, and
    the work window. kills: how often web or scheduler are killed. drop_webhooks: every second webhook never arrives."""

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
    kills: int = 0
    drop_webhooks: bool = False
    home: Path | None = None
    out: Path | None = None
