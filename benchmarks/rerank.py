"""How long after an annotation, and after a retraining, the pool stands in its new order: the stages as they are.

    python -m benchmarks.rerank --tasks 100000

A pool of generated texts with the embedding backend. Their vectors are put into its cache beforehand, as they are in a
running project: drawn around one centre a class, so a head has something to learn. Label Studio is the in-memory one.
Measured each round: `rank` after one more annotation, `train` after 25 more (cross-validation, five folds, in its own
process), and the `rank` after it, which scores the whole pool anew.
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from adapter.app import App
from adapter.policies import BlindPolicy, FlagPolicy, TrainPolicy, WindowPolicy
from adapter.settings import BackendSettings, DataSettings, ProjectSettings, Settings
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.train import train
from adapter.testing import MemoryPlatform
from adapter.vocabulary import TASK_KEY_FIELD
from backends.embedding import Embedding
from benchmarks.measure import save, summary

LABELS = ("world", "sport", "business", "science")
CONFIG = (
    "<View><Text name='text' value='$text'/><Choices name='topic' toName='text'>"
    + "".join(f"<Choice value='{label}'/>" for label in LABELS)
    + "</Choices></View>"
)


def texts_of(count: int) -> list[tuple[str, str]]:
    """Return (id, text), the class told by the number."""
    return [(f"t{n}", f"item {n}: what happened on day {n % 365} in town {n * 7919 % 10007}") for n in range(count)]


def fill(folder: Path, texts: list[str], seed: int) -> None:
    """Put a vector for each text into the backend's cache."""
    from backends.vectors import key_of

    backend = Embedding(("text",), cache_folder=str(folder))
    encoder = backend._encoder()
    random = np.random.default_rng(seed)
    centres = random.standard_normal((len(LABELS), encoder.dimensions)).astype(np.float32)
    cache = backend._folder
    assert cache is not None
    name = f"{encoder.identity}:{backend.max_tokens}"
    for start in range(0, len(texts), 20_000):
        part = texts[start : start + 20_000]
        noise = random.standard_normal((len(part), encoder.dimensions)).astype(np.float32)
        rows = centres[np.arange(start, start + len(part)) % len(LABELS)] * 0.15 + noise
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        cache.put({key_of(name, text): row for text, row in zip(part, rows, strict=True)})


def world(home: Path, count: int) -> tuple[Any, Any]:
    """Return the project and Label Studio."""
    (home / "config" / "label_configs").mkdir(parents=True)
    (home / "config" / "label_configs" / "topic.xml").write_text(CONFIG)
    rows = texts_of(count)
    with (home / "pool.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *rows])
    settings = ProjectSettings(
        name="news",
        label_config=Path("label_configs/topic.xml"),
        data=DataSettings(path=str(home / "pool.csv"), id_column="id"),
        labeling_functions="none",
        backend=BackendSettings(path="backends.embedding:Embedding"),
        window=WindowPolicy(size=100, low_water=99),
        blind=BlindPolicy(share=0.05),
        train=TrainPolicy(min_gate=5),
        flag=FlagPolicy(enabled=False),
    )
    platform = MemoryPlatform()
    app = App(Settings(home=home / "data", config=home / "config", projects={"news": settings}), platform=platform)
    fill(home / "data" / "cache", [text for _, text in rows], 0)
    return app.project("news"), platform


def label(project: Any, platform: Any, count: int) -> None:
    """Let one person label so many tasks, rightly."""
    desk = platform.desk(project.platform_id, "ann")
    for _ in range(count):
        task = desk.next_task()
        if task is None:  # the window has drained
            pull(project)
            push(project)
            task = desk.next_task()
        assert task is not None
        right = LABELS[int(str(task.data[TASK_KEY_FIELD])[1:]) % len(LABELS)]
        value = {"choices": [right]}
        desk.submit(task.task_id, [{"from_name": "topic", "to_name": "text", "type": "choices", "value": value}], 1.0)
    pull(project)
    consolidate(project)


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {"rank after an annotation": [], "train": [], "rank after it": [], "push": []}

    def timed(name: str, work: Any) -> Any:
        started = time.perf_counter()
        found = work()
        seconds[name].append(time.perf_counter() - started)
        return found

    with tempfile.TemporaryDirectory() as place:
        project, platform = world(Path(place), given.tasks)
        ingest(project)
        rank(project)
        push(project)
        label(project, platform, given.labels)
        train(project)
        rank(project)  # the first look of a process opens what later ones find open
        for _ in range(given.rounds):
            label(project, platform, 1)
            timed("rank after an annotation", lambda: rank(project))
            label(project, platform, 25)
            report = timed("train", lambda: train(project))
            print(report.sentence)
            order = timed("rank after it", lambda: rank(project))
            timed("push", lambda: push(project))
        print(f"{order.strategy}: {order.ranked} ranked of {order.candidates}")
    both = [a + b for a, b in zip(seconds["train"], seconds["rank after it"], strict=True)]
    result = {name: summary(times) for name, times in {**seconds, "train and rank": both}.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, figures in result.items():
        print(f"{name:28} {figures['median']:6.2f} s ({figures['min']:.2f} to {figures['max']:.2f})")
    print(f"peak memory {peak:.0f} MB")
    what = {"tasks": given.tasks, "labels": given.labels, "rounds": given.rounds, "peak_mb": round(peak)}
    print(save("rerank", {**what, "seconds": result}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
