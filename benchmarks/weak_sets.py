"""Consolidators of labeling functions' votes at 0 to 200 gold labels, against Snorkel's label model and majority vote.

python -m benchmarks.weak_sets [DATA_FOLDER] [--sets NAME ...] [--sizes 0 25 50 100 200] [--seeds 10] [--first 4000]

DATA_FOLDER is HITL_DATA's by default. Each seed draws its gold labels at random among all rows, covered or not; the
seeds are others than 0 to 9, by which the methods' constants were chosen. What is chosen sees these labels alone: it
learns from them and is compared on them by cross-validation. All are scored on the covered rows that are not gold:
accuracy, or F1 of the rare label; ties share their credit, for Snorkel too. A set holds at a size when the chosen one's
mean is at or above the best of Snorkel's (100 and 500 epochs, the same seed) and majority's minus one standard error of
their difference over the seeds. Prints tables, writes JSON; exits with 1 where a set does not hold.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adapter.core.weak import Labels, WeakVotes, class_balance, consolidate, consolidators
from adapter.core.weak.scores import best
from adapter.policies import ConsolidatePolicy
from benchmarks.measure import save
from benchmarks.weak_data import SETS, WeakSet

SIZES = (0, 25, 50, 100, 200)
PEERS = ("majority", "snorkel-100", "snorkel-500")
Probabilities = np.ndarray[Any, np.dtype[np.float32]]


def scored(data: WeakSet, said: Probabilities, rows: np.ndarray[Any, np.dtype[np.int64]]) -> float:
    """Return accuracy on these rows in %, or F1 of the set's positive label; ties share their credit."""
    top = best(said[rows])
    share, truth = top / top.sum(axis=1, keepdims=True), data.truth[rows]
    if data.positive is None:
        return 100 * float(share[np.arange(len(rows)), truth].mean())
    real = truth == data.positive
    found = share[:, data.positive]
    return 100 * 2 * float(found[real].sum()) / float(found.sum() + real.sum())


def snorkel(data: WeakSet, epochs: int, seed: int) -> Probabilities:
    """Return the probabilities of Snorkel's own LabelModel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of its dependencies
        from snorkel.labeling.model import LabelModel

        model = LabelModel(cardinality=data.k, verbose=False)
        model.fit(data.votes.astype(int), n_epochs=epochs, seed=seed, progress_bar=False)
        return np.asarray(model.predict_proba(data.votes.astype(int)), np.float32)


def one_draw(data: WeakSet, size: int, seed: int, peers: Mapping[str, Probabilities]) -> tuple[dict[str, float], str]:
    """Return each consolidator's score with one draw of gold labels, `chosen` among them, and the name chosen."""
    n = len(data.truth)
    gold = np.sort(np.random.default_rng(1000 + seed).choice(n, size, replace=False)).astype(np.int64)
    targets = np.eye(data.k, dtype=np.float32)[data.truth[gold]]
    labels = Labels(gold, targets, np.ones(size, np.float32))
    votes = WeakVotes(data.votes, data.k, names=data.names)
    rest = votes.covered
    rest[gold] = False
    rows = np.flatnonzero(rest)
    balance = class_balance(labels, data.k) if size else None
    none = Labels.none(data.k)
    found = consolidate(
        votes, learn=none, blind=labels, policy=ConsolidatePolicy(), balance=balance, cross_validate=True
    )
    scores = {name: scored(data, said, rows) for name, said in peers.items()}
    for name, one in consolidators(False).items():
        try:
            said = one.fit(votes, labels, balance=balance, seed=seed).predict(votes)
        except ValueError:
            continue
        scores[name] = scored(data, said, rows)
    scores["chosen"] = scored(data, found.probabilities, rows)
    return scores, found.chosen


def one_set(data: WeakSet, sizes: tuple[int, ...], seeds: range) -> dict[str, Any]:
    """Return the table of one set: by size, each one's mean and standard error over the seeds, and whether it holds."""
    peers = {seed: {f"snorkel-{epochs}": snorkel(data, epochs, seed) for epochs in (100, 500)} for seed in seeds}
    out: dict[str, Any] = {"rows": len(data.truth), "functions": data.votes.shape[1], "labels": data.k}
    out["covered"] = float((data.votes >= 0).any(axis=1).mean())
    out["score"] = "accuracy" if data.positive is None else "F1 of the positive label"
    out["sizes"] = {}
    for size in sizes:
        draws = [one_draw(data, size, seed, peers[seed]) for seed in seeds]
        names = [name for name in draws[0][0] if all(name in scores for scores, _ in draws)]
        table = {name: np.array([scores[name] for scores, _ in draws]) for name in names}
        peer = max(PEERS, key=lambda name: float(table[name].mean()))
        gap = table["chosen"] - table[peer]
        error = _error(gap)
        out["sizes"][str(size)] = {
            "scores": {name: {"mean": float(row.mean()), "error": _error(row)} for name, row in table.items()},
            "chosen": dict(Counter(name for _, name in draws)),
            "best_peer": peer,
            "gap": float(gap.mean()),
            "gap_error": error,
            "holds": bool(gap.mean() >= -error - 1e-9),
        }
    return out


def _error(row: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Return the standard error of the mean."""
    return float(row.std(ddof=1) / np.sqrt(len(row))) if len(row) > 1 else 0.0


def show(name: str, row: Mapping[str, Any]) -> None:
    """Print one set's table."""
    print(f"{name}: {row['rows']} rows, {row['functions']} functions, {row['covered']:.2f} covered, {row['score']}")
    sizes = row["sizes"]
    names = dict.fromkeys(one for size in sizes.values() for one in size["scores"])
    print(f"  {'gold labels':<16}" + "".join(f"{size:>13}" for size in sizes))
    for one in names:
        cells = [size["scores"].get(one) for size in sizes.values()]
        texts = [f"{cell['mean']:.2f} ±{cell['error']:.2f}" if cell else "-" for cell in cells]
        print(f"  {one:<16}" + "".join(f"{text:>13}" for text in texts))
    for number, size in sizes.items():
        held = "holds" if size["holds"] else "DOES NOT HOLD"
        gap = f"{size['gap']:+.2f} ±{size['gap_error']:.2f} of {size['best_peer']}"
        print(f"  at {number}: {held}, {gap}; chosen: {size['chosen']}")


def main() -> int:
    """Run the sets that were asked for; return 1 if one does not hold at a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=os.environ.get("HITL_DATA", ""))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument(
        "--first", type=int, default=4000, help="the first seed; others than those the constants were chosen by"
    )
    asked = parser.parse_args()
    if not asked.data:
        print("the data sets are missing: name their folder, or set HITL_DATA to it")
        return 2
    result: dict[str, Any] = {"seeds": asked.seeds, "first": asked.first, "sets": {}}
    seeds = range(asked.first, asked.first + asked.seeds)
    for name in asked.sets:
        started = time.perf_counter()
        result["sets"][name] = one_set(SETS[name](Path(asked.data)), tuple(asked.sizes), seeds)
        result["sets"][name]["seconds"] = time.perf_counter() - started
        show(name, result["sets"][name])
    print(f"written: {save('weak_sets', result)}")
    return int(not all(size["holds"] for row in result["sets"].values() for size in row["sizes"].values()))


if __name__ == "__main__":
    sys.exit(main())
