"""The label model beside Snorkel's own, on the same votes: time, peak memory, difference of the probabilities, as JSON.

python -m benchmarks.label_model [--rows 1000000] [--functions 30] [--labels 4] [--epochs 100] [--rounds 3]

Each measurement is a process of its own, ours and Snorkel's in turns: it draws the votes, fits, predicts, and tells its
seconds and its greatest resident memory. Both get the same int16 matrix. Snorkel is used as its documentation says:
`LabelModel(k).fit(L)`, `predict_proba(L)`. Importing is told apart and not counted, and both are warmed on 1,000 rows
before the clock starts. Votes are planted (functions of unlike accuracy and coverage on unbalanced labels); the cases
differ in coverage: with 30 functions nearly every row is unique from .3 on, at .03 one row in twenty. Each round has
its own seed, for the votes and for the start of both models.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measure import ratios, save, summary

CASES = {"medium": 0.3, "high": 0.9, "low": 0.03}
"""Case to mean coverage of the functions."""
SIDES = ("ours", "snorkel")
PARTS = ("import", "fit", "predict")
CHUNK = 50_000
WARM = 1000


def planted(rows: int, functions: int, labels: int, coverage: float, seed: int) -> npt.NDArray[np.int16]:
    """Return votes (rows, functions), drawn a chunk at a time so that drawing never makes the peak of memory."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(labels, 5.0))
    accuracy = rng.uniform(0.45, 0.95, functions).astype(np.float32)
    voting = np.clip(coverage * rng.uniform(0.5, 1.5, functions), 0, 1).astype(np.float32)
    votes = np.empty((rows, functions), np.int16)
    for start in range(0, rows, CHUNK):
        size = min(CHUNK, rows - start)
        truth = rng.choice(labels, size, p=shares).astype(np.int16)
        guess = rng.integers(0, labels, (size, functions), np.int16)
        right = rng.random((size, functions), np.float32) < accuracy
        said = np.where(right, truth[:, None], guess)
        votes[start : start + size] = np.where(rng.random((size, functions), np.float32) < voting, said, -1)
    return votes


def ours(votes: npt.NDArray[np.int16], k: int, epochs: int, seed: int) -> tuple[npt.NDArray[Any], dict[str, float]]:
    """Return probabilities and seconds of our label model."""
    started = time.perf_counter()
    from adapter.core.weak.base import Labels, WeakVotes
    from adapter.core.weak.label_model import LabelModel, Settings

    imported = time.perf_counter()
    model = LabelModel(Settings(n_epochs=epochs))
    few = WeakVotes(votes[:WARM], k)
    model.fit(few, Labels.none(k), seed=seed).predict(few)
    warm = time.perf_counter()
    given = WeakVotes(votes, k)
    fitted = model.fit(given, Labels.none(k), seed=seed)
    learned = time.perf_counter()
    answer = fitted.predict(given)
    return answer, _seconds(started, imported, warm, learned)


def snorkel(votes: npt.NDArray[np.int16], k: int, epochs: int, seed: int) -> tuple[npt.NDArray[Any], dict[str, float]]:
    """Return probabilities and seconds of Snorkel's."""
    started = time.perf_counter()
    warnings.simplefilter("ignore")
    from snorkel.labeling.model import LabelModel

    imported = time.perf_counter()
    model = LabelModel(cardinality=k, verbose=False)
    model.fit(votes[:WARM], n_epochs=epochs, seed=seed, progress_bar=False)
    model.predict_proba(votes[:WARM])
    warm = time.perf_counter()
    model = LabelModel(cardinality=k, verbose=False)
    model.fit(votes, n_epochs=epochs, seed=seed, progress_bar=False)
    learned = time.perf_counter()
    answer = model.predict_proba(votes)
    return answer, _seconds(started, imported, warm, learned)


def _seconds(started: float, imported: float, warm: float, learned: float) -> dict[str, float]:
    return {"import": imported - started, "fit": learned - warm, "predict": time.perf_counter() - learned}


def peak_mb() -> float:
    """Return this process's greatest resident memory so far, in MB."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def child(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one side once, in this process; leave the probabilities in a file."""
    votes = planted(options.rows, options.functions, options.labels, CASES[options.case], options.seed)
    drawn = peak_mb()
    side = {"ours": ours, "snorkel": snorkel}[options.side]
    answer, seconds = side(votes, options.labels, options.epochs, options.seed)
    peak = peak_mb()
    np.save(options.out, answer.astype(np.float32))
    return {"seconds": seconds, "peak_mb": peak, "votes_drawn_mb": drawn}


def spawned(options: argparse.Namespace, side: str, case: str, seed: int, out: Path) -> dict[str, Any]:
    """Run `child` in a process of its own and return what it tells."""
    words = {name: str(getattr(options, name)) for name in ("rows", "functions", "labels", "epochs")}
    words |= {"side": side, "case": case, "seed": str(seed), "out": str(out)}
    command = [sys.executable, "-m", "benchmarks.label_model"]
    for name, value in words.items():
        command += [f"--{name}", value]
    told: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return told


def difference(first: Path, second: Path, votes: npt.NDArray[np.int16]) -> dict[str, float]:
    """Return the greatest and mean difference of two files of probabilities on rows with a vote, and how often the
    best label differs."""
    covered = (votes >= 0).any(axis=1)
    one, other = np.load(first)[covered], np.load(second)[covered]
    gap = np.abs(one - other)
    differ = (one.argmax(axis=1) != other.argmax(axis=1)).mean()
    return {"max": float(gap.max()), "mean": float(gap.mean()), "labels_differ": float(differ)}


def measured(options: argparse.Namespace, case: str, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Measure one case on both sides, round after round; return what the children told."""
    told: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for turn in range(options.rounds):
        for side in SIDES if turn % 2 == 0 else reversed(SIDES):
            told[side].append(spawned(options, side, case, turn, folder / f"{side}-{case}-{turn}.npy"))
    return told


def compared(
    options: argparse.Namespace, case: str, told: dict[str, list[dict[str, Any]]], folder: Path
) -> dict[str, Any]:
    """Return the figures of one case."""
    from adapter.core.weak.patterns import unique_patterns

    gaps, patterns, covered = [], [], []
    for turn in range(options.rounds):
        votes = planted(options.rows, options.functions, options.labels, CASES[case], turn)
        answers = [folder / f"{side}-{case}-{turn}.npy" for side in SIDES]
        gaps.append(difference(answers[0], answers[1], votes))
        patterns.append(len(unique_patterns(votes)) / options.rows)
        covered.append(float((votes >= 0).any(axis=1).mean()))
    seconds = {part: {side: [one["seconds"][part] for one in told[side]] for side in SIDES} for part in PARTS}
    seconds["fit and predict"] = {
        side: [a + b for a, b in zip(seconds["fit"][side], seconds["predict"][side], strict=True)] for side in SIDES
    }
    peak = {side: [one["peak_mb"] for one in told[side]] for side in SIDES}
    return {
        "mean_coverage": CASES[case],
        "rows_covered": covered,
        "patterns_per_row": patterns,
        "seconds": {part: {side: summary(by[side]) for side in SIDES} for part, by in seconds.items()},
        "times_faster": {part: ratios(by["ours"], by["snorkel"]) for part, by in seconds.items() if part != "import"},
        "peak_mb": {side: summary(peak[side]) for side in SIDES},
        "times_leaner": ratios(peak["ours"], peak["snorkel"]),
        "difference": gaps,
    }


def main() -> None:
    """Run the cases, or, in a process of its own, one side once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--functions", type=int, default=30)
    parser.add_argument("--labels", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=sorted(CASES), default=list(CASES))
    parser.add_argument("--name", default="label_model", help="of the file of results")
    parser.add_argument("--side", choices=SIDES, help="measure this side once, in this process")
    parser.add_argument("--case", choices=sorted(CASES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(child(options)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told = {case: measured(options, case, folder) for case in options.cases}
        parent = peak_mb()  # a child is told no less than its parent's peak: all are measured before any is compared
        cases = {case: compared(options, case, told[case], folder) for case in options.cases}
    shape = {key: getattr(options, key) for key in ("rows", "functions", "labels", "epochs", "rounds")}
    result = {**shape, "seeds": list(range(options.rounds)), "parent_peak_mb": parent, "cases": cases}
    print(json.dumps(result, indent=2))
    print(f"saved: {save(options.name, result)}")


if __name__ == "__main__":
    main()
