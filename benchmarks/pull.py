"""Pulling 5,000 annotated tasks against the SDK's `tasks.list`, and after 50 changes. Starts a Label Studio of its own.

python -m benchmarks.pull [--tasks 5000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.mark import OVERLAP_S
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.simulate.relay import free_port
from benchmarks.datasets import label_config
from benchmarks.measure import alternate, ratios, save, summary

CHANGES = 50


def main() -> None:
    """Measure and save."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tasks", type=int, default=5000)
    options.add_argument("--rounds", type=int, default=3)
    args = options.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServer(Path(folder), free_port(), "admin@localhost.local", "benchmark-admin") as server,
    ):
        result = measure(server, args.tasks, args.rounds)
    print(save("pull", result).read_text())


def measure(server: EmbeddedServer, count: int, rounds: int) -> dict[str, object]:
    """Return the figures for `count` tasks with one annotation each."""
    from label_studio_sdk import LabelStudio

    platform = LabelStudioPlatform(server.url, server.token, timeout_s=120)
    project = platform.create_project("pull", label_config(("a", "b")))
    items = [
        {
            "data": {"text": f"text {n}", "hitl_id": f"t{n}"},
            "annotations": [{"result": _result("ab"[n % 2]), "lead_time": 1.0}],
        }
        for n in range(count)
    ]
    http = httpx.Client(base_url=server.url, headers={"Authorization": f"Token {server.token}"}, timeout=120)
    for start in range(0, count, 1000):
        http.post(f"/api/projects/{project.id}/import", json=items[start : start + 1000]).raise_for_status()
    sdk = LabelStudio(base_url=server.url, api_key=server.token)
    seen: dict[str, set[tuple[int, int, str]]] = {}

    def ours() -> None:
        changes = platform.changes(project.id, None)
        seen["ours"] = {(task.id, one.id, _label(one.result)) for task in changes.tasks for one in task.annotations}

    def theirs() -> None:
        seen["sdk"] = {
            (task.id, one["id"], _label(one["result"]))
            for task in sdk.tasks.list(project=project.id, fields="all")
            for one in task.annotations or ()
        }

    ours()  # neither side pays for the server's first request
    seconds = alternate({"ours": ours, "sdk tasks.list": theirs}, rounds)
    if seen["ours"] != seen["sdk"] or len(seen["ours"]) != count:
        raise SystemExit(f"not the same work: {len(seen['ours'])} and {len(seen['sdk'])} annotations")
    mark = platform.changes(project.id, None).mark
    # The mark of a first pull lies at the latest change, here the import: all that landed shortly before comes again.
    started = time.perf_counter()
    second = platform.changes(project.id, mark)
    second_s = time.perf_counter() - started
    mark = second.mark
    some = [task.id for task, _ in zip(platform.tasks(project.id), range(CHANGES), strict=False)]
    after: list[float] = []
    came: list[int] = []
    for _ in range(rounds):
        time.sleep(OVERLAP_S + 2)  # what the last round changed is past the overlap of the mark
        mark = platform.changes(project.id, mark).mark
        for task in some:
            answer = http.post(f"/api/tasks/{task}/annotations/", json={"result": _result("a"), "lead_time": 1.0})
            answer.raise_for_status()
        started = time.perf_counter()
        changes = platform.changes(project.id, mark)
        after.append(time.perf_counter() - started)
        came.append(len(changes.tasks))
        if not set(some) <= {task.id for task in changes.tasks}:
            raise SystemExit("a change was missed")
        mark = changes.mark
    http.close()
    return {
        "tasks": count,
        "rounds": rounds,
        "ours_s": summary(seconds["ours"]),
        "sdk_s": summary(seconds["sdk tasks.list"]),
        "times_faster": ratios(seconds["ours"], seconds["sdk tasks.list"]),
        "goal_times_faster": 5.0,
        "second_pull": {"tasks": len(second.tasks), "seconds": second_s},
        "after_50_changes_s": summary(after),
        "after_50_changes_tasks": max(came),
    }


def _label(result: Sequence[Mapping[str, Any]]) -> str:
    return str(result[0]["value"]["choices"][0])


def _result(label: str) -> list[dict[str, object]]:
    return [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]


if __name__ == "__main__":
    main()
