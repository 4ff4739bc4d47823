"""What is measured of annotators, on simulated crowds and on a public one, as JSON.

python -m benchmarks.conduct [DATA_FOLDER] [--seeds 100] [--out RESULTS.json]

Simulated: honest people of unlike skill, a task's difficulty shared by all, and one of each kind of bad conduct; how
often each sign is found, and how often an honest person or pair gets one, at the stated level. DATA_FOLDER, if given:
crowd_product_matching; how many signs there are, how skill judged by the others alone ranks with the true accuracy,
and how much it differs from fitting the crowd anew without each person.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from adapter.core.conduct import (
    TREND_LEVEL,
    accuracy,
    difference,
    holm,
    leaning,
    near_chance,
    others,
    own_confusion,
    repeats,
    shared_errors,
    surprise,
    too_fast,
    trend,
)
from adapter.core.crowd import CrowdVotes, consolidate
from adapter.core.crowd.votes import ballots
from adapter.core.intervals import wilson
from benchmarks.crowd_data import product_matching

LEVEL = 0.01
LEAST = 10
SIGNS = ("one label", "near chance", "runs", "copying")
Ints = np.ndarray[Any, np.dtype[np.int64]]
Crowd = tuple[CrowdVotes, Ints]

CONDUCT = ("honest", "one-label", "guesser", "runner", "copier", "improver")


def crowd(
    seed: int,
    conduct: str = "honest",
    *,
    tasks: int = 300,
    k: int = 3,
    honest: int = 7,
    overlap: int = 3,
    hard_share: float = 0.125,
) -> Crowd:
    """Return votes and truths. Person `p0` behaves as `conduct` says, all others are honest; a copier `p0` takes most
    answers from `p1`. Of the tasks `hard_share` are hard: everybody is right on them half as often, and errs to one
    wrong label more often than not. Classes are unbalanced (half of the tasks have label 0), the order is random."""
    rng = np.random.default_rng(seed)
    names = [f"p{i}" for i in range(honest + 1)]
    skill = rng.uniform(0.78, 0.95, len(names))
    shares = np.r_[0.5, np.full(k - 1, 0.5 / (k - 1))]
    truth = rng.choice(k, tasks, p=shares)
    hard = rng.random(tasks) < hard_share
    lure = (truth + 1 + rng.integers(0, k - 1, tasks)) % k
    rows: list[tuple[int, int, int]] = []
    streak = 0
    for task in range(tasks):
        who = rng.permutation(len(names))[:overlap]
        if conduct == "copier" and rng.random() < 0.5:  # a copier sits where the copied one does
            rest = [int(one) for one in rng.permutation(np.arange(2, len(names)))[: overlap - 2]]
            who = np.array([0, 1, *rest])
        said: dict[int, int] = {}
        for one in sorted(map(int, who), reverse=True):
            able = skill[one] * (0.5 if hard[task] else 1.0)
            if conduct == "improver" and one == 0:
                able *= 0.55 + 0.45 * task / tasks
            label = int(truth[task])
            if rng.random() >= able:
                wrong = (label + 1 + int(rng.integers(0, k - 1))) % k
                label = int(lure[task]) if hard[task] and rng.random() < 0.6 else wrong
            if one == 0 and conduct == "one-label" and rng.random() < 0.85:
                label = 0
            if one == 0 and conduct == "guesser":
                label = int(rng.choice(k, p=shares))
            if one == 0 and conduct == "runner":
                streak = streak if rng.random() < 0.9 else int(rng.choice(k, p=shares))
                label = streak
            if one == 0 and conduct == "copier" and 1 in said and rng.random() < 0.8:
                label = said[1]
            said[one] = label
        rows += [(task, one, label) for one, label in said.items()]
    table = np.array(rows, np.int64)
    votes = CrowdVotes(table[:, 0], table[:, 1], table[:, 2], [f"t{i:05d}" for i in range(tasks)], names, k)
    return votes, truth


def signs(
    votes: CrowdVotes, *, level: float = LEVEL, seed: int = 0
) -> tuple[dict[str, set[str]], dict[str, float], dict[str, float]]:
    """Return sign to the people (pairs: two names joined) who get it, each person's accuracy by the others, and the p
    of each one's trend."""
    cast, _ = ballots(votes, {})
    seen = others(cast)
    every = np.arange(len(cast.task))
    heard = seen.heard(every)
    chances = seen.without(every)
    by: dict[str, list[tuple[str, float, bool]]] = {name: [] for name in SIGNS[:3]}
    skills: dict[str, float] = {}
    trends: dict[str, float] = {}
    for place, name in enumerate(cast.names):
        mine = np.flatnonzero((cast.annotator == place) & heard)
        if len(mine) < LEAST:
            continue
        p, said = chances[mine], cast.label[mine]
        right = p[np.arange(len(mine)), said]
        skills[name] = accuracy(right, cast.k).accuracy
        lean, chance, run = (
            leaning(p, said, seen.typical),
            near_chance(p, said, seen.typical),
            repeats(p, said, seed=seed),
        )
        by["one label"].append((name, lean.p, lean.large))
        by["near chance"].append((name, chance.p, chance.telling))
        by["runs"].append((name, run.p, run.large))
        trends[name] = trend(surprise(p, said, own_confusion(p, said).share).tolist()).p
    pairs = shared_errors(seen, least=LEAST)
    by["copying"] = [(f"{cast.names[pair.first]}+{cast.names[pair.second]}", pair.p, pair.large) for pair in pairs]
    found = {}
    for sign, rows in by.items():
        adjusted = holm([p for _, p, _ in rows])
        found[sign] = {name for (name, _, large), p in zip(rows, adjusted, strict=True) if p < level and large}
    return found, skills, trends


def simulated(seeds: int, **more: Any) -> dict[str, Any]:
    """Return, for each conduct, in how many crowds each sign fell on `p0` (a pair: with whom), on anybody honest."""
    table: dict[str, Any] = {}
    for conduct in CONDUCT:
        hit: Counter[str] = Counter()
        false: Counter[str] = Counter()
        rising = drifting = people = 0
        for seed in range(seeds):
            votes, _ = crowd(seed, conduct, **more)
            found, _, trends = signs(votes, seed=seed)
            rising += trends.get("p0", 1.0) < TREND_LEVEL
            drifting += sum(p < TREND_LEVEL for name, p in trends.items() if name != "p0")
            people += sum(name != "p0" for name in trends)
            for sign, names in found.items():
                own = {"p0+p1"} if sign == "copying" else {"p0"}
                guilty = own if conduct != "honest" else set()
                hit[sign] += bool(names & guilty)
                false[sign] += bool(names - guilty)
        table[conduct] = {
            sign: {
                "found": hit[sign] / seeds if conduct != "honest" else None,
                "honest accused, any in a crowd": false[sign] / seeds,
                "interval": [round(bound, 4) for bound in wilson(false[sign], seeds)],
            }
            for sign in SIGNS
        }
        rates = {"found": rising / seeds} if conduct == "improver" else {}
        table[conduct]["trend"] = {**rates, "honest people with one": drifting / people if people else None}
    return table


def skill(seeds: int) -> list[dict[str, Any]]:
    """Return how near the accuracy judged by the others comes to the true share of right answers: bias, mean absolute
    error, and how often the 95 % interval holds it."""
    table = []
    for hard_share, k, overlap in itertools.product((0.0, 0.125), (2, 3), (2, 3, 5)):
        off, inside = [], 0
        for seed in range(seeds):
            votes, truth = crowd(seed, k=k, overlap=overlap, hard_share=hard_share)
            cast, _ = ballots(votes, {})
            chances = others(cast).without(np.arange(len(cast.task)))
            for place in range(cast.m):
                mine = np.flatnonzero(cast.annotator == place)
                found = accuracy(chances[mine, cast.label[mine]], k)
                share = float((truth[cast.task[mine]] == cast.label[mine]).mean())
                off.append(found.accuracy - share)
                inside += found.lower <= share <= found.upper
        row = {"bias": float(np.mean(off)), "mean absolute error": float(np.abs(off).mean())}
        case = {"hard tasks": hard_share, "labels": k, "people a task": overlap}
        table.append({**case, **row, "inside the interval": inside / len(off)})
    return table


def anchored(seeds: int, lean: float, people: int = 8) -> float:
    """Return in which share of crowds somebody is found to lean on pre-labels. One person takes a shown label over the
    own view in `lean` of the cases, the others never; 400 tasks with and 100 without a pre-label, a model right on
    80 %, people on 90 %."""
    hits = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        p = []
        for who in range(people):
            own, model = rng.random((2, 500)) < np.array([[0.9], [0.8]])  # right or wrong, two labels
            same = own == model
            same[:400] |= rng.random(400) < (lean if who == 0 else 0.0)
            found = difference(float(same[:400].sum()), 400, float(same[400:].sum()), 100)
            p.append(found.p if found is not None else 1.0)
        hits += any(adjusted < LEVEL for adjusted in holm(p))
    return hits / seeds


def hasty(seeds: int, people: int = 8) -> dict[str, float]:
    """Return how often one who clicks in about a second and a half is found, and how often any honest person is
    accused: their medians spread by a factor of 1.4 around 12 s, single tasks by a factor of 1.8."""
    found = false = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        centre = np.r_[1.5, 12 * np.exp(rng.normal(0, np.log(1.4), people - 1))]
        medians = np.median(centre * np.exp(rng.normal(0, np.log(1.8), (60, people))), axis=0)
        marked = [too_fast(float(m), float(np.median(np.delete(medians, i)))) for i, m in enumerate(medians)]
        found += marked[0]
        false += any(marked[1:])
    return {"found": found / seeds, "honest accused, any in a crowd": false / seeds}


def products(folder: Path) -> dict[str, Any]:
    """Return what is said of the 176 people of crowd_product_matching."""
    from scipy.stats import spearmanr

    data = product_matching(folder)
    start = time.perf_counter()
    found, skills, trends = signs(data.votes)
    seconds = time.perf_counter() - start
    votes = data.votes
    hits = data.truth[votes.task] == votes.label
    true = {name: float(hits[votes.annotator == i].mean()) for i, name in enumerate(votes.annotators)}
    times = Counter(votes.annotators[i] for i in votes.annotator.tolist())
    out: dict[str, Any] = {"people": len(votes.annotators), "judged": len(skills), "seconds": seconds}
    out["signs"] = {
        sign: {"count": len(names), "true accuracy": sorted(round(true[name], 2) for name in names if name in true)}
        for sign, names in found.items()
    }
    out["trends"] = sum(p < TREND_LEVEL for p in trends.values())
    fitted = {name: skill.accuracy for name, skill in consolidate(votes).skill.items()}
    for least in (LEAST, 50, 100):
        names = [name for name in skills if times[name] >= least]
        rho = spearmanr([skills[name] for name in names], [true[name] for name in names]).statistic
        off = float(np.mean([abs(skills[name] - true[name]) for name in names]))
        whole = spearmanr([fitted[name] for name in names], [true[name] for name in names]).statistic
        row = {"people": len(names), "spearman": float(rho), "spearman, fitted by the consensus": float(whole)}
        out[f"from {least} votes"] = {**row, "mean absolute error": off}
    out["anew without each"] = _anew(votes, skills, sorted(skills, key=lambda name: -times[name])[:8])
    return out


def _anew(votes: CrowdVotes, skills: dict[str, float], names: list[str]) -> dict[str, float]:
    """Return how far skills differ from those by a crowd that was fitted without the person at all."""
    apart = []
    for name in names:
        place = votes.annotators.index(name)
        mine = votes.annotator == place
        rest = CrowdVotes(
            votes.task[~mine], votes.annotator[~mine], votes.label[~mine], votes.tasks, votes.annotators, votes.k
        )
        cast, rows = ballots(rest, {})
        seen = others(cast)
        scores = seen.scores - seen.scores.max(axis=1, keepdims=True)
        chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        tasks = rows[votes.task[mine]]
        on = cast.people_per_task[tasks] > 0
        apart.append(abs(accuracy(chances[tasks[on], votes.label[mine][on]], votes.k).accuracy - skills[name]))
    return {"people": len(apart), "mean difference": float(np.mean(apart)), "largest": float(np.max(apart))}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    out: dict[str, Any] = {"level": LEVEL, "seeds": given.seeds}
    out["simulated, 3 labels, 300 tasks"] = simulated(given.seeds)
    out["simulated, 2 labels, 300 tasks"] = simulated(given.seeds, k=2)
    out["anchoring, by how often one person leans on the model"] = {
        lean: anchored(given.seeds, lean) for lean in (0.0, 0.5, 0.8)
    }
    out["fast"] = hasty(given.seeds)
    out["skill by the others, 300 tasks"] = skill(given.seeds)
    if given.data is not None:
        out["crowd_product_matching"] = products(given.data)
    text = json.dumps(out, indent=2)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
