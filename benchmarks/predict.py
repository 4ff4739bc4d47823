"""`/predict` with distinct single-task requests at 8 connections, and `/health` while a model trains.

python -m benchmarks.predict [--peer http://127.0.0.1:9095] [--rounds 5] [--seconds 4] [--out FILE]

Rounds alternate between ours with the peer's scikit-learn model, ours with the shipped backend, and the peer; figures
are medians over rounds. `benchmarks/peer.py` says how to start the peer; the environment variable HITL_BENCH_PEER names
it too. One load generator, in a process of its own, serves all sides. Goal: 5 x the peer, one process each.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.load import Result, Stream, run_streams
from benchmarks.measure import save
from benchmarks.own import basic, serving
from benchmarks.same_model import CONFIG, texts

CONNECTIONS = 8
SIDES = {"ours, same model": "benchmarks.same_model:SameModel", "ours, shipped backend": "backends.linear:Linear"}
SAME, PEER = "ours, same model", "peer"
GOAL_RATIO, GOAL_PER_SECOND, GOAL_HEALTH_MS = 5.0, 1_800.0, 50.0


def main() -> None:
    """Measure, print and save."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--peer", default=os.environ.get("HITL_BENCH_PEER", ""), help="http://127.0.0.1:PORT")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--training-seconds", type=float, default=20.0)
    options.add_argument("--out", type=Path)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), args.peer.rstrip("/"), args.rounds, args.seconds, args.training_seconds)
    path = save("predict", result)
    if args.out:
        args.out.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    print(path.read_text(encoding="utf-8"))


def measure(folder: Path, peer: str, rounds: int, seconds: float, training_seconds: float) -> dict[str, Any]:
    """Return the figures of all sides."""
    bodies = write_bodies(folder / "bodies.jsonl", 20_000)
    peer_there = bool(peer) and _answers(peer)
    if not peer_there:
        why = f"{peer} does not answer" if peer else "no --peer was given"
        print(f"Peer skipped: {why}; see benchmarks/peer.py for how to start it. Ours is measured alone.", flush=True)
    with ExitStack() as stack:
        urls = {}
        for name, backend in SIDES.items():
            place = folder / backend.partition(":")[2]
            urls[name] = stack.enter_context(serving(place, backend)).url
        if peer_there:
            urls[PEER] = peer
        predicts: dict[str, list[Result]] = {name: [] for name in urls}
        healths: dict[str, list[Result]] = {name: [] for name in urls}
        names = list(urls)
        for turn in range(rounds):
            for name in names if turn % 2 == 0 else reversed(names):
                predicts[name].append(_one(_predict(name, urls[name], bodies, seconds)))
                health = Stream("health", f"{urls[name]}/health", connections=CONNECTIONS, seconds=1.0, warm_s=0.3)
                healths[name].append(_one(health))
                last = predicts[name][-1]
                print(f"round {turn + 1} {name}: {last.per_second:,.0f}/s, p99 {last.p99_ms:.1f} ms", flush=True)
        training = while_training(urls["ours, shipped backend"], bodies, training_seconds)
    out: dict[str, Any] = {
        "connections": CONNECTIONS,
        "rounds": rounds,
        "predict": {name: _figures(results) for name, results in predicts.items()},
        "health": {name: _figures(results) for name, results in healths.items()},
        "health_while_training": training,
    }
    goals = {
        f"ours at least {GOAL_PER_SECOND:,.0f}/s": out["predict"][SAME]["per_second"] >= GOAL_PER_SECOND,
        f"health p99 under {GOAL_HEALTH_MS:.0f} ms while training": training["p99_ms"] < GOAL_HEALTH_MS,
    }
    if peer_there:
        pairs = {name: list(zip(predicts[name], predicts[PEER], strict=True)) for name in SIDES}
        out["times_the_peer"] = {
            name: round(statistics.median(a.per_second / b.per_second for a, b in each), 2)
            for name, each in pairs.items()
        }
        goals[f"at least {GOAL_RATIO:.0f} x the peer"] = out["times_the_peer"][SAME] >= GOAL_RATIO
    return {**out, "goals": goals}


def write_bodies(path: Path, count: int) -> Path:
    """Write distinct single-task requests as Label Studio sends them, one a line."""
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts(count, 99)[0], start=1):
            task = {"id": number, "data": {"text": text, "hitl_id": f"t{number}"}, "project": 1, "predictions": []}
            params = {"login": None, "password": None, "context": None}
            request = {"tasks": [task], "project": "1.1700000000", "label_config": CONFIG, "params": params}
            file.write(json.dumps(request) + "\n")
    return path


def while_training(url: str, bodies: Path, seconds: float) -> dict[str, Any]:
    """Return `/health` at 50 a second beside some predictions, while another process trains without a pause."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    trained = context.Value("i", 0)
    trainer = context.Process(target=train_on, args=(stop, trained), daemon=True)
    trainer.start()
    try:
        deadline = time.monotonic() + 60
        while trained.value == 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        before = trained.value
        health, _ = run_streams(
            [
                Stream("health", f"{url}/health", connections=4, rate=50, seconds=seconds),
                _predict("predict", url, bodies, seconds, rate=50),
            ]
        )
        models = trained.value - before
    finally:
        stop.set()
        trainer.join(30)
        if trainer.is_alive():
            trainer.kill()
    figures = _figures([health])
    return {**figures, "failed": health.failed, "models_trained_meanwhile": models}


def train_on(stop: Any, trained: Any) -> None:
    """Train models until told to stop; runs in a process of its own, as trainings do."""
    import numpy as np

    from adapter.bundle import build

    examples, labels = texts(1_000, 5)
    rows = [{"text": text} for text in examples]
    targets, weights = np.eye(2, dtype=np.float32)[labels], np.ones(len(rows), np.float32)
    while not stop.is_set():
        model = build("backends.linear:Linear", ("text",), {})
        model.fit(rows, targets, weights=weights, multiple=False, seed=trained.value)
        trained.value += 1


def _predict(name: str, url: str, bodies: Path, seconds: float, rate: float = 0.0) -> Stream:
    headers = {} if name == PEER else basic()
    return Stream(
        name, f"{url}/predict", "POST", headers, str(bodies), CONNECTIONS, rate, seconds, warm_s=0.0 if rate else 0.5
    )


def _one(stream: Stream) -> Result:
    """Run a stream and check what it got: a benchmark of wrong answers is worth nothing."""
    (result,) = run_streams([stream])
    if result.failed or set(result.statuses) != {"200"}:
        raise SystemExit(f"{stream.name}: {result.failed} failed, statuses {result.statuses}")
    if stream.method == "POST":
        answers = [json.loads(body)["results"] for body in result.kept]
        filled = sum(bool(len(answer) == 1 and answer[0]["result"]) for answer in answers)
        if any(len(answer) != 1 for answer in answers) or filled < 0.7 * len(answers):  # ours leaves the blind empty
            raise SystemExit(f"{stream.name}: {filled} of {len(answers)} sampled answers hold a pre-label")
    return result


def _figures(results: list[Result]) -> dict[str, float]:
    names = ("per_second", "p50_ms", "p99_ms", "max_ms")
    return {name: round(statistics.median(getattr(result, name) for result in results), 3) for name in names}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=3) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


if __name__ == "__main__":
    main()
