"""How far confidence is from how often it is right, before and after calibration, on ag_news and digits.

A model learns from labels chosen at random or by margin (batches that grow by a third, as a loop's do). Its
probabilities on a large test part are then judged in five ways: `bare`, with the temperature undone that the backends'
head puts into itself; `backend`, as the backend gives them; `held-out`, calibrated on held-out folds of the labels that
it was trained on; `blind`, calibrated on a small random sample that it was not trained on; `both`, on the two together
as a project does. Expected calibration error
(median unbiased, and the usual biased sum) and log loss in nats, by the mean over seeds with its standard error; for
the first seed the error's own interval on the test part.

HITL_DATA=FOLDER python -m benchmarks.calibration [--sets ag_news/embedding ag_news/linear digits/pixels]
    [--labels 50 100 300 1000] [--blind 50 100 200] [--choice random active] [--seeds 5] [--pool 3000] [--test 3000]
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adapter.bundle import build, load_factory
from adapter.core.calibration import tempered
from adapter.core.calibration_blind import Labelled, calibrate
from adapter.core.calibration_error import expected_calibration_error
from adapter.core.calibration_fit import row_losses
from adapter.ports import Floats, Preparing
from adapter.training.validate import cross_validate
from benchmarks.datasets import AG_NEWS, ag_news
from benchmarks.measure import save

SETS = {
    "ag_news/embedding": "backends.embedding:Embedding",
    "ag_news/linear": "backends.linear:Linear",
    "digits/pixels": "backends.pixels:Pixels",
}
START = 20
GROWTH = 4 / 3
FOLDS = 5


@dataclass(frozen=True)
class Data:
    """Examples and their labels, (n, k) one-hot."""

    examples: list[dict[str, Any]]
    targets: Floats
    field: str


def read(name: str, folder: Path) -> Data:
    """Return a data set, shuffled by a fixed seed. ag_news: the test part. digits: scikit-learn's, as PNG images."""
    if name.startswith("digits"):
        from PIL import Image
        from sklearn.datasets import load_digits

        digits = load_digits()
        examples = []
        for image in digits.images:
            stream = io.BytesIO()
            Image.fromarray((image * 15).astype(np.uint8)).resize((32, 32)).save(stream, format="PNG")
            examples.append({"image": "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()})
        labels, k, field = digits.target, 10, "image"
    else:
        pairs = list(ag_news(folder))
        examples = [{"text": text} for text, _ in pairs]
        labels, k, field = np.array([AG_NEWS.index(label) for _, label in pairs]), len(AG_NEWS), "text"
    order = np.random.default_rng(0).permutation(len(examples))
    return Data([examples[row] for row in order], np.eye(k, dtype=np.float32)[labels[order]], field)


class Run:
    """One seed's split and what is done with it."""

    def __init__(self, data: Data, path: str, seed: int, pool: int, test: int, blind: int) -> None:
        self.data, self.path, self.seed = data, path, seed
        self.random = np.random.default_rng(seed)
        rows = self.random.permutation(len(data.examples))
        test = min(test, (len(rows) - blind) // 2)
        self.test, self.blind, self.pool = rows[:test], rows[test : test + blind], rows[test + blind :][:pool]

    def examples(self, rows: Sequence[int] | Any) -> list[dict[str, Any]]:
        """Return the examples of these rows."""
        return [self.data.examples[int(row)] for row in rows]

    def train(self, rows: Any) -> Any:
        """Return a backend that learned from these rows."""
        backend: Any = build(self.path, (self.data.field,), {})
        if isinstance(backend, Preparing):
            backend.prepare(self.examples(self.pool), seed=self.seed)
        weights = np.ones(len(rows), np.float32)
        targets = self.data.targets[rows]
        backend.fit(self.examples(rows), targets, weights=weights, multiple=False, seed=self.seed)
        return backend

    def grow(self, chosen: list[int], count: int, choice: str) -> list[int]:
        """Return the chosen rows and more of the pool, `count` in all."""
        while len(chosen) < count:
            rest = np.setdiff1d(self.pool, chosen)
            more = START if not chosen else max(5, int(len(chosen) * (GROWTH - 1)))
            more = min(more, count - len(chosen))
            seen = len(np.unique(self.data.targets[chosen].argmax(axis=1))) if chosen else 0
            if choice == "active" and seen > 1:
                p = np.sort(self.train(chosen).predict(self.examples(rest)), axis=1)
                picked = rest[np.argsort(p[:, -1] - p[:, -2], kind="stable")[:more]]
            else:
                picked = self.random.choice(rest, more, replace=False)
            chosen = [*chosen, *(int(row) for row in picked)]
        return chosen

    def held_out(self, rows: Any) -> Floats:
        """Return held-out probabilities of the training rows."""
        n = len(rows)
        return cross_validate(
            load_factory(self.path),
            (self.data.field,),
            {},
            self.examples(rows),
            self.data.targets[rows],
            np.ones(n, np.float32),
            [str(row) for row in rows],
            False,
            FOLDS,
            self.seed,
            pool=self.examples(self.pool),
        ).probabilities


def figures(p: Floats, y: Floats) -> dict[str, Any]:
    """Return how probabilities fare."""
    error = expected_calibration_error(p.max(axis=1), p.argmax(axis=1) == y.argmax(axis=1))
    return {
        "ece": error.value,
        "interval": [round(error.lower, 4), round(error.upper, 4)],
        "ece_plain": error.plain,
        "log_loss": float(row_losses(p, np.asarray(y, np.float64), False).mean()),
        "confidence": float(p.max(axis=1).mean()),
        "accuracy": float((p.argmax(axis=1) == y.argmax(axis=1)).mean()),
    }


def measure(run: Run, chosen: list[int], sizes: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return figures by way of calibrating, for a model that learned from the chosen rows."""
    backend = run.train(chosen)
    p, y = backend.predict(run.examples(run.test)), run.data.targets[run.test]
    own = float(getattr(getattr(backend, "_head", None), "temperature", 1.0))
    out = {"bare": p if own == 1 else tempered(p.astype(np.float64), 1 / own, False).astype(np.float32), "backend": p}
    labels = run.data.targets[chosen]
    held = run.held_out(chosen)
    ones = np.ones(len(chosen), np.float32)
    train = Labelled(held, labels, ones, [str(row) for row in chosen])
    made = {"held-out": calibrate(train, None, multiple=False, seed=run.seed)}
    for size in sizes:
        rows = run.blind[:size]
        blind = Labelled(
            backend.predict(run.examples(rows)),
            run.data.targets[rows],
            np.ones(len(rows), np.float32),
            [str(row) for row in rows],
        )
        made[f"blind {size}"] = calibrate(None, blind, multiple=False, seed=run.seed)
        made[f"both {size}"] = calibrate(train, blind, multiple=False, seed=run.seed)
    found = {name: figures(q, y) for name, q in out.items()}
    found["bare"]["temperature"] = own
    for name, calibrator in made.items():
        found[name] = figures(calibrator.apply(p, multiple=False), y)
        found[name]["method"] = calibrator.method
        found[name]["temperature"] = calibrator.parameters.get("temperature")
    return found


def mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return means over seeds with standard errors; methods counted."""
    out: dict[str, Any] = {}
    for name in ("ece", "ece_plain", "log_loss", "confidence", "accuracy", "temperature"):
        values = np.array([row[name] for row in rows if row.get(name) is not None], float)
        if len(values):
            out[name] = round(float(values.mean()), 4)
        if len(values) > 1:
            out[f"{name}_se"] = round(float(values.std(ddof=1) / np.sqrt(len(values))), 4)
    out["interval_of_first_seed"] = rows[0]["interval"]
    methods = [row["method"] for row in rows if "method" in row]
    if methods:
        out["methods"] = {method: methods.count(method) for method in sorted(set(methods))}
    return out


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--labels", nargs="+", type=int, default=[50, 100, 300, 1000])
    parser.add_argument("--blind", nargs="+", type=int, default=[50, 100, 200])
    parser.add_argument("--choice", nargs="+", default=["random", "active"], choices=["random", "active"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pool", type=int, default=3000)
    parser.add_argument("--test", type=int, default=3000)
    parser.add_argument("--name", default="calibration")
    options = parser.parse_args()
    folder = Path(os.environ.get("HITL_DATA", "."))
    results: dict[str, Any] = {}
    for name in options.sets:
        if name.startswith("ag_news") and not (folder / "ag_news").is_dir():
            print(f"{name}: set HITL_DATA to the folder with ag_news; left out")
            continue
        started = time.perf_counter()
        data = read(name, folder)
        rows: dict[tuple[str, int], list[dict[str, dict[str, Any]]]] = {}
        for seed in range(options.seeds):
            for choice in options.choice:
                run = Run(data, SETS[name], seed, options.pool, options.test, max(options.blind))
                chosen: list[int] = []
                for count in sorted(options.labels):
                    if count > len(run.pool):
                        continue
                    chosen = run.grow(chosen, count, choice)
                    rows.setdefault((choice, count), []).append(measure(run, chosen, options.blind))
        results[name] = {
            choice: {
                str(count): {way: mean([one[way] for one in rows[choice, count]]) for way in rows[choice, count][0]}
                for count in sorted(options.labels)
                if (choice, count) in rows
            }
            for choice in options.choice
        }
        print(f"\n{name} ({time.perf_counter() - started:.0f} s)")
        for choice, by in results[name].items():
            for count, ways in by.items():
                for way, row in ways.items():
                    print(
                        f"  {choice:6} {count:>5} {way:10} ece {row['ece']:.4f} ±{row.get('ece_se', 0):.4f} "
                        f"plain {row['ece_plain']:.4f} loss {row['log_loss']:.4f} conf {row['confidence']:.3f} "
                        f"acc {row['accuracy']:.3f} T {row.get('temperature', 1):.2f} {row.get('methods', '')}"
                    )
    about = {"labels": options.labels, "blind": options.blind, "seeds": options.seeds, "pool": options.pool}
    print(save(options.name, {**about, "test": options.test, "sets": results}))


if __name__ == "__main__":
    main()
