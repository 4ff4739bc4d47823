"""Pulling 5,000 annotated tasks against the SDK's `tasks.list`, and after 50 changes. Starts a Label Studio of its own.

python -m benchmarks.pull [--tasks 5000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import httpx

from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.simulate.relay import free_port
from benchmarks.datasets import label_config
from benchmarks.measure import alternate, ratios, save, summary


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
    seen: dict[str, int] = {}

    def ours() -> None:
        changes = platform.changes(project.id, None)
        seen["ours"] = sum(len(task.annotations) for task in changes.tasks)

    def theirs() -> None:
        seen["sdk"] = sum(len(task.annotations or ()) for task in sdk.tasks.list(project=project.id, fields="all"))

    seconds = alternate({"ours": ours, "sdk tasks.list": theirs}, rounds)
    if seen != {"ours": count, "sdk": count}:
        raise SystemExit(f"not the same work: {seen}")
    time.sleep(6)  # past the overlap of the mark
    mark = platform.changes(project.id, None).mark
    some = [task.id for task, _ in zip(platform.tasks(project.id), range(50), strict=False)]
    after: list[float] = []
    for _ in range(rounds):
        time.sleep(6)
        for task in some:
            answer = http.post(f"/api/tasks/{task}/annotations/", json={"result": _result("a"), "lead_time": 1.0})
            answer.raise_for_status()
        started = time.perf_counter()
        changes = platform.changes(project.id, mark)
        after.append(time.perf_counter() - started)
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
        "after_50_changes_s": summary(after),
    }


def _result(label: str) -> list[dict[str, object]]:
    return [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]


if __name__ == "__main__":
    main()
