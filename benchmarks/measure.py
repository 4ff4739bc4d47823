"""Repeating, alternating, medians: what all benchmarks share. Results go to benchmarks/results as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def alternate(tasks: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run each task once a round, in an order that turns from round to round; return seconds by task."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    names = list(tasks)
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            started = time.perf_counter()
            tasks[name]()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def summary(seconds: list[float]) -> dict[str, float]:
    """Return median, least and greatest, in seconds."""
    return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}


def ratios(ours: list[float], peer: list[float]) -> dict[str, float]:
    """Return peer / ours round by round: how many times faster ours is."""
    each = [p / o for o, p in zip(ours, peer, strict=True)]
    return {"median": statistics.median(each), "min": min(each), "max": max(each)}


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Write a result with what it was measured on; return the file."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.system()}
    path.write_text(json.dumps({"benchmark": name, "machine": machine, **result}, indent=2) + "\n", encoding="utf-8")
    return path
