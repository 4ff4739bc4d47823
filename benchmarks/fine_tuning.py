"""Fine-tuning against a frozen model with a linear layer: the packaged MiniLM on ag_news, in the real training child.

HITL_DATA=FOLDER python -m benchmarks.fine_tuning [--labels 2000] [--seeds 3] [--test 5600] [--device auto]
    [--options '{"epochs": 3}'] [--out FILE]

Labels are drawn at random from ag_news/test.csv, once for each seed; the test texts are others, which no training sees.
Both backends get the same labels and answer the same test texts. Accuracy with Wilson's interval, and the difference
with a paired interval over test texts (one seed) and Student's over seeds. Memory: of the child at its highest, of this
process before and after, and of the graphics card where there is one. A child trains twice, since one part is held out
first: `seconds` are of both and of the answers.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.core.intervals import Z95, wilson
from adapter.ports import Floats
from adapter.training import ControlJob, TrainJob, run
from benchmarks.datasets import AG_NEWS, ag_news
from benchmarks.measure import save

BACKENDS = {"frozen": "backends.embedding:Embedding", "fine-tuned": "backends.transformer:Transformer"}
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Two-sided 95 % quantiles of Student's distribution with 1 to 9 degrees of freedom."""


class Peak:
    """The greatest resident memory of this process's children while it is entered, in MB."""

    def __init__(self) -> None:
        self.mb = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil

        me = psutil.Process()
        while not self._done.wait(0.1):
            total = 0
            for child in me.children(recursive=True):
                try:
                    total += child.memory_info().rss
                except psutil.Error:  # it has ended meanwhile
                    continue
            self.mb = max(self.mb, total / 1e6)


def resident_mb() -> float:
    """Return the resident memory of this process, in MB."""
    import psutil

    gc.collect()
    return float(psutil.Process().memory_info().rss / 1e6)


def card_mb() -> float | None:
    """Return the memory of the graphics card that is in use, in MB; None without one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    asked = [tool, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    return sum(float(line) for line in said.stdout.split()) if said.returncode == 0 else None


def job(
    backend: str, options: dict[str, Any], rows: Sequence[tuple[str, str]], test: Sequence[str], seed: int
) -> TrainJob:
    """Return the training of one backend on labelled texts, with the test texts in the place of the blind sample."""
    number = {label: at for at, label in enumerate(AG_NEWS)}
    ids = tuple(f"train-{at}" for at in range(len(rows)))
    control = ControlJob(
        name="label",
        labels=AG_NEWS,
        multiple=False,
        fields=("text",),
        ids=ids,
        examples=tuple({"text": text} for text, _ in rows),
        targets=np.eye(len(AG_NEWS), dtype=np.float32)[[number[label] for _, label in rows]],
        weights=np.ones(len(rows), np.float32),
        groups=ids,
        gate_examples=tuple({"text": text} for text in test),
    )
    return TrainJob((control,), backend, options, weak="never", seed=seed)


def judged(chances: Floats, truth: Sequence[str]) -> tuple[dict[str, Any], Floats]:
    """Return the figures of answers (n, k), and which are right (n,)."""
    due = np.asarray([AG_NEWS.index(label) for label in truth])
    right = (chances.argmax(axis=1) == due).astype(np.float32)
    lower, upper = wilson(float(right.sum()), len(right))
    loss = -np.log(np.clip(chances[np.arange(len(due)), due], 1e-6, 1.0)).mean()
    figures = {"accuracy": right.mean(), "lower": lower, "upper": upper, "log_loss": loss}
    return {name: round(float(value), 4) for name, value in figures.items()}, right


def one_seed(
    rows: Sequence[tuple[str, str]], labels: int, test: int, seed: int, options: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the figures of both backends on one draw of labels."""
    order = np.random.default_rng(seed).permutation(len(rows))
    train = [rows[at] for at in order[:labels]]
    held = [rows[at] for at in order[labels : labels + test]]
    out: dict[str, Any] = {"seed": seed}
    hits = {}
    for name, backend in BACKENDS.items():
        training = job(backend, options.get(name, {}), train, [text for text, _ in held], seed)
        card = card_mb()
        with tempfile.TemporaryDirectory() as folder:
            before = resident_mb()
            with Peak() as peak:
                started = time.perf_counter()
                result = run(training, Path(folder), 24 * 3600.0)
                seconds = time.perf_counter() - started
            figures, hits[name] = judged(result.gate_predictions["label"], [label for _, label in held])
            del result
        figures["seconds"] = round(seconds, 1)
        figures["child_peak_mb"] = round(peak.mb)
        figures["parent_mb"] = [round(before), round(resident_mb())]
        if card is not None:
            figures["card_mb"] = [card, card_mb()]
        out[name] = figures
        print(json.dumps({"seed": seed, name: figures}), flush=True)
    gain = hits["fine-tuned"] - hits["frozen"]
    half = Z95 * float(gain.std()) / np.sqrt(len(gain))
    mean = float(gain.mean())
    out["difference"] = [round(float(value), 4) for value in (mean, mean - half, mean + half)]
    print(json.dumps({"seed": seed, "difference": out["difference"]}), flush=True)
    return out


def over_seeds(differences: Sequence[float]) -> list[float]:
    """Return mean, lower and upper end of the mean difference; a single seed has no interval of this kind."""
    mean = float(np.mean(differences))
    n = len(differences)
    if n < 2:
        return [round(mean, 4)]
    half = STUDENT[min(n - 2, len(STUDENT) - 1)] * float(np.std(differences, ddof=1)) / np.sqrt(n)
    return [round(value, 4) for value in (mean, mean - half, mean + half)]


def main() -> int:
    """Run it and save the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--test", type=int, default=5600)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--options", type=json.loads, default={}, help="of the fine-tuned backend, as JSON")
    parser.add_argument("--out", type=Path, help="JSON file; the default is benchmarks/results/fine_tuning.json")
    given = parser.parse_args()
    rows = list(ag_news(Path(os.environ["HITL_DATA"])))
    options = {"fine-tuned": {"device": given.device, **given.options}, "frozen": {"threads": 0}}
    start = resident_mb()
    seeds = [one_seed(rows, given.labels, given.test, seed, options) for seed in range(given.seeds)]
    result = {
        "labels": given.labels,
        "test": min(given.test, len(rows) - given.labels),
        "options": options,
        "difference": over_seeds([one["difference"][0] for one in seeds]),
        "parent_mb": [round(start), round(resident_mb())],
        "seeds": seeds,
    }
    if given.out is None:
        print(save("fine_tuning", result))
    else:
        given.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({"difference": result["difference"], "parent_mb": result["parent_mb"]}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
