"""Pushing 5,000 pre-labels (validated, counted, in the ledger) against Label Studio's raw bulk import of the same ones.

python -m benchmarks.push [--tasks 5000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import httpx

from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.ports import NewPrediction, NewTask
from adapter.simulate.relay import free_port
from adapter.store import Intent, NewRow, Store
from benchmarks.datasets import label_config
from benchmarks.measure import alternate, ratios, save, summary


def main() -> None:
    """Measure and save."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tasks", type=int, default=5000)
    options.add_argument("--rounds", type=int, default=5)
    args = options.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServer(Path(folder), free_port(), "admin@localhost.local", "benchmark-admin") as server,
    ):
        result = measure(server, Path(folder), args.tasks, args.rounds)
    print(save("push", result).read_text())


def measure(server: EmbeddedServer, folder: Path, count: int, rounds: int) -> dict[str, object]:
    """Return the figures; each round is a model version of its own on the same tasks."""
    platform = LabelStudioPlatform(server.url, server.token, timeout_s=300)
    project = platform.create_project("push", label_config(("a", "b")))
    keys = [f"t{n}" for n in range(count)]
    places = platform.import_tasks(project.id, [NewTask(key, {"text": f"text {key}"}) for key in keys])
    store = Store(f"sqlite:///{folder / 'push.db'}")
    store.migrate()
    store.projects.ensure("push", "digest")
    store.tasks.add("push", [NewRow(key, {"text": key}, key, {}, 0) for key in keys], blind=lambda _: False)
    store.ledger.intend("push", [Intent(key, n, "", 1, False) for n, key in enumerate(keys, start=1)])
    store.ledger.landed("push", places)
    http = httpx.Client(base_url=server.url, headers={"Authorization": f"Token {server.token}"}, timeout=300)
    turn = iter(range(10_000))

    def result(key: str) -> tuple[dict[str, object], ...]:
        label = "ab"[int(key[1:]) % 2]
        return ({"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}},)

    def ours() -> None:
        version = f"ours-{next(turn)}"
        store.ledger.intend_predictions("push", version, keys)
        made = platform.import_predictions(
            project.id, [NewPrediction(places[key], result(key), 0.9, version) for key in keys]
        )
        if made != count:
            raise SystemExit(f"{made} of {count} landed")
        store.ledger.landed_predictions("push", version, keys)

    def raw() -> None:
        version = f"raw-{next(turn)}"
        body = [
            {"task": places[key], "result": list(result(key)), "score": 0.9, "model_version": version} for key in keys
        ]
        http.post(f"/api/projects/{project.id}/import/predictions", json=body).raise_for_status()

    ours()  # neither side pays for the first import, nor for loading the SDK
    seconds = alternate({"ours": ours, "raw": raw}, rounds)
    counts = platform.prediction_versions(project.id)
    if len(counts) != 2 * rounds + 1 or set(counts.values()) != {count}:
        raise SystemExit(f"not the same work: {counts}")
    http.close()
    store.close()
    return {
        "predictions": count,
        "rounds": rounds,
        "ours_s": summary(seconds["ours"]),
        "raw_s": summary(seconds["raw"]),
        "ours_over_raw": ratios(seconds["raw"], seconds["ours"]),
        "goal_ours_over_raw": 1.15,
    }


if __name__ == "__main__":
    main()
