"""People's consensus on public crowds against crowd-kit: accuracy, skill, adaptive overlap, a model's opinion, speed.

python -m benchmarks.crowd DATA_FOLDER [--peer PYTHON] [--out RESULTS.json] [--seeds 10] [--parts PART ...]

PYTHON is an interpreter that has crowd-kit and pandas; without one the peers' columns stay empty, and that is said.
Prints tables, writes JSON. Accuracies count ties by their share. crowd-kit hears the first vote of a person on a task.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from adapter.core.crowd import CrowdVotes, ask_more, consolidate, with_model
from adapter.core.intervals import wilson
from benchmarks.crowd_data import CrowdSet, labels_only, product_matching
from benchmarks.crowd_text import features, out_of_fold

OURS = ("auto", "majority", "one-coin", "dawid-skene", "mace", "blend")
PEERS = ("dawid-skene", "mace", "glad", "one-coin")
SLOW = 30_000
"""Votes from which GLAD is left out: crowd-kit's takes minutes there."""
PARTS = ("methods", "skill", "text", "overlap", "speed", "gold")
ROOT = Path(__file__).parents[1]
Doubles = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


def accuracy(posterior: Doubles, truth: Ints, *, on: Ints | None = None) -> float:
    """Return the share of known truths (or those of the tasks `on`) that are most probable; ties count their share."""
    rows = np.flatnonzero(truth >= 0) if on is None else on
    p = posterior[rows]
    top = p >= p.max(axis=1, keepdims=True) - 1e-9
    return float((top[np.arange(len(p)), truth[rows]] / top.sum(axis=1)).mean())


def peers(crowd: CrowdSet, python: str) -> dict[str, Any]:
    """Return each of crowd-kit's methods' accuracy and seconds on this set."""
    votes = crowd.votes
    names = [name for name in PEERS if name != "glad" or len(votes.task) < SLOW]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "votes.npz"
        np.savez(path, task=votes.task, annotator=votes.annotator, label=votes.label)
        command = [python, "-W", "ignore", str(ROOT / "benchmarks" / "crowd_peer.py"), str(path), *names]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:]}
    on = crowd.truth >= 0
    return {
        name: {"accuracy": float((np.array(row["labels"])[on] == crowd.truth[on]).mean()), "seconds": row["seconds"]}
        if "labels" in row
        else row
        for name, row in json.loads(done.stdout).items()
    }


def methods(crowd: CrowdSet, python: str) -> dict[str, Any]:
    """Return all methods' accuracy on one set."""
    row: dict[str, Any] = {"tasks": len(crowd.votes.tasks), "votes": len(crowd.votes.task), "k": crowd.votes.k}
    for name in OURS:
        start = time.perf_counter()
        found = consolidate(crowd.votes, method=name)
        row[name] = {"accuracy": accuracy(found.posterior, crowd.truth), "seconds": time.perf_counter() - start}
        if name == "auto":
            row["chosen"] = found.method
    row["peer"] = peers(crowd, python) if python else {}
    return row


def with_gold(crowd: CrowdSet, seeds: int) -> dict[str, Any]:
    """Return the accuracy of `auto` with and without 25 and 100 random gold tasks, on the others, means over seeds."""
    known = np.flatnonzero(crowd.truth >= 0)
    blind = consolidate(crowd.votes)
    out: dict[str, Any] = {}
    for size in (25, 100):
        if size > len(known) // 2:
            continue
        pairs, chosen = [], []
        for seed in range(seeds):
            gold = np.random.default_rng(seed).choice(known, size, replace=False)
            rest = np.setdiff1d(known, gold)
            told = consolidate(crowd.votes, gold={int(i): int(crowd.truth[i]) for i in gold}, seed=seed)
            pairs.append([accuracy(fit.posterior, crowd.truth, on=rest) for fit in (told, blind)])
            chosen.append(told.method)
        told_mean, blind_mean = np.mean(pairs, axis=0).tolist()
        out[str(size)] = {"with": told_mean, "without": blind_mean, "chosen": chosen}
    return out


def skill(crowd: CrowdSet) -> dict[str, Any]:
    """Return how well estimated skill ranks and bounds the annotators' true accuracy."""
    from scipy.stats import spearmanr
    from sklearn.metrics import roc_auc_score

    found = consolidate(crowd.votes)
    votes = crowd.votes
    n = np.bincount(votes.annotator, minlength=len(votes.annotators))
    right = np.bincount(votes.annotator, crowd.truth[votes.task] == votes.label, minlength=len(n)) / n
    ours = [found.skill[name] for name in votes.annotators]
    estimate = np.array([one.accuracy for one in ours])
    inside = np.array([one.lower <= share <= one.upper for one, share in zip(ours, right, strict=True)])
    often = n >= 20
    return {
        "method": found.method,
        "annotators": len(n),
        "spearman_all": float(spearmanr(estimate, right)[0]),
        "annotators_20_votes": int(often.sum()),
        "spearman_20_votes": float(spearmanr(estimate[often], right[often])[0]),
        "mean_absolute_error_20_votes": float(np.abs(estimate - right)[often].mean()),
        "true_accuracy_in_interval_20_votes": float(inside[often].mean()),
        "rare_class_auc": {
            name: float(roc_auc_score(crowd.truth, consolidate(votes, method=name).posterior[:, 1])) for name in OURS
        },
    }


def text(crowd: CrowdSet) -> dict[str, Any]:
    """Return accuracies of the consensus with a text classifier's out-of-fold opinion."""
    x = features(crowd.texts)
    out: dict[str, Any] = {}
    for name in ("dawid-skene", "blend", "auto"):
        found = consolidate(crowd.votes, method=name)
        model = out_of_fold(x, found.posterior, seed=0)
        together = accuracy(with_model(found.posterior, model), crowd.truth)
        lower, upper = wilson(round(together * len(crowd.truth)), len(crowd.truth))
        out[name] = {
            "people": accuracy(found.posterior, crowd.truth),
            "model": accuracy(model, crowd.truth),
            "together": together,
            "interval": [lower, upper],
        }
    lab = consolidate(crowd.votes, method="crowdlab", model=model.astype(np.float32))
    out["crowdlab"] = {"together": accuracy(lab.posterior, crowd.truth)}
    return out


def adaptive(crowd: CrowdSet, *, threshold: float, least: int, seed: int, x: Doubles | None) -> dict[str, float]:
    """Replay the votes in an order permuted by the seed: `least` people a task, then one more wherever `ask_more` says
    so of the running Dawid-Skene consensus (with the text classifier's opinion if features are given), refitted after
    each round. Return votes used and accuracies."""
    votes, t = crowd.votes, len(crowd.votes.tasks)
    order = np.lexsort((np.random.default_rng(seed).random(len(votes.task)), votes.task))
    starts = np.searchsorted(votes.task[order], np.arange(t))
    turn = np.empty(len(order), np.int64)
    turn[order] = np.arange(len(order)) - starts[votes.task[order]]
    most = np.bincount(votes.task, minlength=t)
    asked = np.full(t, least, np.int64)
    while True:
        posterior, people = _running(votes, turn < asked[votes.task], x, seed)
        more = ask_more(posterior, asked, threshold=threshold, most=int(most.max())) & (asked < most)
        if not more.any():
            break
        asked = asked + more
    return {
        "votes": int(asked.sum()),
        "saved": 1 - float(asked.sum()) / len(votes.task),
        "accuracy": accuracy(posterior, crowd.truth),
        "accuracy_people_only": accuracy(people, crowd.truth),
    }


def _running(votes: CrowdVotes, on: Any, x: Doubles | None, seed: int) -> tuple[Doubles, Doubles]:
    """Return the consensus of these votes alone, with and without the text classifier learned from it."""
    heard = replace(votes, task=votes.task[on], annotator=votes.annotator[on], label=votes.label[on])
    people = consolidate(heard, method="dawid-skene").posterior
    return (people if x is None else with_model(people, out_of_fold(x, people, seed=seed))), people


def overlap(crowd: CrowdSet, seeds: int) -> dict[str, Any]:
    """Return votes saved and accuracy of adaptive overlap, means over seeds with 95 % intervals of the mean."""
    full = accuracy(consolidate(crowd.votes, method="dawid-skene").posterior, crowd.truth)
    x = features(crowd.texts)
    rows = []
    plans = [(False, 2, at) for at in (0.9, 0.93, 0.95)] + [(True, 1, 0.95), (True, 2, 0.9), (True, 2, 0.95)]
    for model, least, threshold in plans:
        runs = [
            adaptive(crowd, threshold=threshold, least=least, seed=seed, x=x if model else None)
            for seed in range(seeds)
        ]
        row: dict[str, Any] = {"model": model, "least": least, "threshold": threshold}
        for key in ("saved", "accuracy", "accuracy_people_only"):
            values = np.array([run[key] for run in runs])
            row[key] = float(values.mean())
            row[f"{key}_half_width"] = float(1.96 * values.std(ddof=1) / np.sqrt(len(values))) if seeds > 1 else None
        rows.append(row)
    return {"three_votes_accuracy": full, "seeds": seeds, "rows": rows}


def speed(votes: int = 1_000_000) -> dict[str, float]:
    """Return seconds of each method on simulated votes: five a task, 500 annotators, four labels."""
    random = np.random.default_rng(0)
    t, m, k = votes // 5, 500, 4
    truth, task = random.integers(k, size=t), np.repeat(np.arange(t), 5)
    who = random.integers(m, size=votes)
    right = random.random(votes) < random.beta(8, 2, m)[who]
    label = np.where(right, truth[task], random.integers(k, size=votes))
    cast = CrowdVotes(task, who, label, [f"t{i:07d}" for i in range(t)], [f"a{i:03d}" for i in range(m)], k)
    out = {}
    for name in OURS:
        start = time.perf_counter()
        consolidate(cast, method=name)
        out[name] = round(time.perf_counter() - start, 2)
    return out


def table(sets: dict[str, Any], names: list[str]) -> str:
    """Return the accuracies (%) as text, one line a set, and the means of the sets that all methods did."""
    columns = [*OURS, *(f"ck {name}" for name in PEERS)]
    lines = [" ".join([f"{'set':<18}", *(f"{name:>14}" for name in columns), " chosen"])]
    values = []
    for name in names:
        row = sets[name]
        cells = [row[key].get("accuracy") for key in OURS]
        cells += [row["peer"].get(key, {}).get("accuracy") if row["peer"] else None for key in PEERS]
        values.append([np.nan if cell is None else 100 * cell for cell in cells])
        shown = (f"{100 * cell:>14.1f}" if cell is not None else f"{'-':>14}" for cell in cells)
        lines.append(" ".join([f"{name:<18}", *shown, f" {row['chosen']}"]))
    full = np.array(values)
    done = ~np.isnan(full).any(axis=1)
    for label, on in (("mean of all", np.ones(len(full), bool)), (f"mean of {done.sum()} full", done)):
        if on.any():
            lines.append(" ".join([f"{label:<18}", *(f"{value:>14.2f}" for value in full[on].mean(axis=0))]))
    worst = (full[:, 0] - full[:, 1]).min()
    return "\n".join([*lines, f"auto against majority, worst set: {worst:+.2f} points"])


def main() -> None:
    """Run all parts that the data folder serves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer", default="", help="interpreter that has crowd-kit")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "crowd.json")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    if not options.peer:
        print("crowd-kit is absent (no --peer): its columns stay empty")
    sets, missing = labels_only(options.folder)
    print(f"sets that the folder lacks: {', '.join(missing) or 'none'}")
    if (options.folder / "crowd_product_matching").is_dir():
        sets.append(product_matching(options.folder))
    result = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    result["missing"] = missing
    for part in options.parts:
        result[part] = measure(part, sets, options.peer, options.seeds)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measure(part: str, sets: list[CrowdSet], python: str, seeds: int) -> Any:
    """Return one part's figures, printed too; parts about product pairs are empty without that set."""
    pairs = [crowd for crowd in sets if crowd.texts]
    found: Any
    if part == "methods":
        found = {crowd.name: methods(crowd, python) for crowd in sets}
        for group in ([crowd.name for crowd in sets if not crowd.texts], [crowd.name for crowd in pairs]):
            if group:
                print(table(found, group), flush=True)
        return found
    if part == "gold":
        found = {crowd.name: with_gold(crowd, min(seeds, 5)) for crowd in sets}
    elif part == "speed":
        found = speed()
    else:
        on_pairs = {"skill": skill, "text": text, "overlap": partial(overlap, seeds=seeds)}[part]
        found = on_pairs(pairs[0]) if pairs else {}
    print(f"{part}: {json.dumps(found, indent=1)}", flush=True)
    return found


if __name__ == "__main__":
    main()
