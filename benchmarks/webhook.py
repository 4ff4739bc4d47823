"""`/webhook` at 200 requests a second: how long Label Studio, and so the annotator who submits, waits for us.

python -m benchmarks.webhook [--rate 200] [--seconds 20] [--out FILE]

Twice: with an idle store, and while another process holds the store's write lock most of the time, as an import does.
Every tenth call is sent twice. Counted after: each distinct call is in the store exactly once. Goal: p99 under 10 ms.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sqlite3
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adapter.store import Store
from benchmarks.load import Result, Stream, run_streams
from benchmarks.measure import save
from benchmarks.own import PLATFORM_ID, SECRET, Own, serving

GOAL_MS = 10.0
DOUBLED = 10
"""Every so many calls one is sent twice."""


def main() -> None:
    """Measure, print and save."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rate", type=float, default=200.0)
    options.add_argument("--seconds", type=float, default=20.0)
    options.add_argument("--out", type=Path)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), args.rate, args.seconds)
    path = save("webhook", result)
    if args.out:
        args.out.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


def measure(folder: Path, rate: float, seconds: float) -> dict[str, Any]:
    """Return the figures with an idle and with a busy store."""
    with serving(folder / "own") as own:
        idle = one_run(own, folder / "idle.jsonl", 0, rate, seconds)
        context = multiprocessing.get_context("spawn")
        stop = context.Event()
        writer = context.Process(target=hold_lock, args=(str(own.home / "hitl.db"), stop), daemon=True)
        writer.start()
        time.sleep(1.0)
        try:
            busy = one_run(own, folder / "busy.jsonl", 1_000_000, rate, seconds)
        finally:
            stop.set()
            writer.join(20)
            if writer.is_alive():
                writer.kill()
    good = all(run["p99_ms"] < GOAL_MS and run["stored"] == run["distinct"] for run in (idle, busy))
    return {"rate": rate, "idle_store": idle, "busy_store": busy, "goals": {f"p99 under {GOAL_MS:.0f} ms": good}}


def one_run(own: Own, bodies: Path, start: int, rate: float, seconds: float) -> dict[str, Any]:
    """Send calls numbered from `start` and return latencies and how many of them were stored."""
    count = int(rate * seconds)
    distinct = write_bodies(bodies, start, count)
    store = Store(own.store_url)
    try:
        before = store.events.count()
        headers = {"X-Hitl-Secret": SECRET}
        stream = Stream("webhook", f"{own.url}/webhook", "POST", headers, str(bodies), 16, rate, seconds + 10, count)
        (result,) = run_streams([stream])
        _check(result, count)
        deadline = time.monotonic() + 60
        while store.events.count() - before < distinct and time.monotonic() < deadline:
            time.sleep(0.1)
        stored = store.events.count() - before
    finally:
        store.close()
    figures = {key: value for key, value in asdict(result).items() if key.endswith("_ms") or key == "per_second"}
    return {**figures, "sent": result.requests, "distinct": distinct, "stored": stored}


def write_bodies(path: Path, start: int, count: int) -> int:
    """Write webhooks as Label Studio sends them, one a line, and return how many of them are distinct."""
    distinct = 0
    with path.open("w", encoding="utf-8") as file:
        body = ""
        for number in range(count):
            if number % DOUBLED or not body:
                body = json.dumps(_call(start + number))
                distinct += 1
            file.write(body + "\n")
    return distinct


def _call(number: int) -> dict[str, Any]:
    moment = f"2025-03-03T10:{number // 60 % 60:02}:{number % 60:02}.{number % 1_000_000:06}Z"
    value = {"choices": ["spam" if number % 2 else "ham"]}
    annotation = {
        "id": number,
        "task": number,
        "project": PLATFORM_ID,
        "result": [{"from_name": "label", "to_name": "text", "type": "choices", "value": value, "id": f"r{number}"}],
        "created_at": moment,
        "updated_at": moment,
        "lead_time": 3.2,
        "was_cancelled": False,
        "completed_by": {"id": 2, "email": "somebody@example.org"},
    }
    task = {"id": number, "data": {"text": f"comment {number} " + "and so on " * 30, "hitl_id": f"t{number}"}}
    project = {"id": PLATFORM_ID, "title": "bench", "description": "x" * 500}
    return {"action": "ANNOTATION_CREATED", "annotation": annotation, "task": task, "project": project}


def _check(result: Result, count: int) -> None:
    if result.failed or result.statuses != {"200": count}:
        raise SystemExit(f"{result.failed} failed, statuses {result.statuses}, {count} were sent")


def hold_lock(path: str, stop: Any) -> None:
    """Hold the store's write lock nine tenths of the time; runs in a process of its own."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    while not stop.is_set():
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(0.45)
        connection.execute("COMMIT")
        time.sleep(0.05)
    connection.close()


if __name__ == "__main__":
    main()
