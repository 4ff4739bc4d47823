"""How long agreement takes: every coefficient with its bootstrap bounds, and the whole stage's figures of one control.

python -m benchmarks.agreement [TASKS] [PEOPLE]

The plain bootstrap that resamples units one by one is timed beside it on few rounds and scaled up: what the groups of
like tasks save.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from adapter.core.agreement import (
    Statistic,
    alpha,
    brennan_prediger,
    estimate,
    fleiss,
    gwet,
    influence,
    judgements,
    percent,
    ratio,
    unlikeness,
)
from adapter.policies import AgreementPolicy
from adapter.stages.agreement_parts import pair_figure, pairs_of
from adapter.stages.judged import gather, statistics_of
from adapter.vocabulary import Control
from benchmarks.measure import save

ROUNDS = 2000
LABELS = 5
PLAIN_ROUNDS = 5


def said_by(tasks: int, people: int, *, seed: int = 0) -> list[list[int]]:
    """Return labels of a true alpha of .6: each person keeps the truth with its square root, else guesses."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, LABELS, tasks)
    kept = random.random((tasks, people)) < 0.6**0.5
    rows: list[list[int]] = np.where(kept, truth[:, None], random.integers(0, LABELS, (tasks, people))).tolist()
    return rows


def coefficients(rows: list[list[int]]) -> dict[str, Callable[[], Statistic]]:
    """Return what is timed, by name."""
    random = np.random.default_rng(1)
    given = judgements(rows, values=range(LABELS))
    numbers = judgements((np.array(rows) + random.normal(size=(len(rows), len(rows[0])))).tolist())
    sets = [frozenset(x) for x in ("a", "ab", "abc", "bc", "c")]
    marked = random.integers(1, 20, len(rows)).astype(np.float64)
    found = np.floor(marked * random.random(len(rows)))
    return {
        "alpha nominal": lambda: alpha(given),
        "alpha ordinal": lambda: alpha(given, "ordinal"),
        "alpha interval": lambda: alpha(given, "interval"),
        "alpha ratio": lambda: alpha(given, "ratio"),
        "alpha interval, all numbers distinct": lambda: alpha(numbers, "interval"),
        "alpha ordinal, all numbers distinct": lambda: alpha(numbers, "ordinal"),
        "alpha MASI": lambda: alpha(judgements([[sets[x] for x in row] for row in rows]), "masi"),
        "Fleiss": lambda: fleiss(given),
        "Brennan-Prediger": lambda: brennan_prediger(given),
        "AC1": lambda: gwet(given),
        "AC2": lambda: gwet(given, unlike=unlikeness(LABELS, "quadratic")),
        "percent": lambda: percent(given),
        "F1 (a ratio)": lambda: ratio(found, marked, name="f1"),
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds and what came out."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def plain(rows: list[list[int]]) -> float:
    """Return the seconds that ROUNDS rounds of resampling units one by one would take, from a few."""
    random = np.random.default_rng(0)

    def one() -> float:
        return alpha(judgements([rows[i] for i in random.integers(0, len(rows), len(rows))])).value

    seconds, _ = timed(lambda: [one() for _ in range(PLAIN_ROUNDS)])
    return seconds / PLAIN_ROUNDS * ROUNDS


def stage(rows: list[list[int]]) -> dict[str, float]:
    """Return the seconds of a whole control, through the choices kind: gathering, all statistics, pairs of people."""
    labels = tuple(f"label {n}" for n in range(LABELS))
    control = Control("topic", "choices", "text", "Text", "text", labels)
    votes = {f"t{n}": {f"p{i}": (labels[x],) for i, x in enumerate(row)} for n, row in enumerate(rows)}
    gathering, judged = timed(lambda: gather(control, votes))
    whole, _ = timed(
        lambda: [estimate(item, seed=0, rounds=ROUNDS) for item in statistics_of(control, judged).values()]
    )
    policy = AgreementPolicy(rounds=ROUNDS)
    pairs, _ = timed(lambda: [pair_figure(control, judged, pair, policy) for pair in pairs_of(judged)])
    return {"gather": gathering, "all statistics": whole, "pairs of people": pairs}


def main() -> int:
    """Measure, print, keep."""
    tasks, people = (int(x) for x in (*sys.argv[1:], *("10000", "5")[len(sys.argv) - 1 :]))
    rows = said_by(tasks, people)
    table: dict[str, Any] = {}
    print(f"{tasks} tasks x {people} people, {ROUNDS} rounds")
    for name, make in coefficients(rows).items():
        seconds, found = timed(lambda make=make: estimate(make(), seed=0, rounds=ROUNDS))  # type: ignore[misc]
        table[name] = {"seconds": seconds, "value": found.value, "lower": found.lower, "upper": found.upper}
        print(f"{name:38}{seconds:8.3f} s   {found.value:.3f} ({found.lower:.3f} to {found.upper:.3f})")
    seconds, _ = timed(lambda: influence(alpha(judgements(rows))))
    print(f"{'each task left out once':38}{seconds:8.3f} s")
    scaled = plain(rows)
    print(f"{'alpha nominal, units one by one':38}{scaled:8.1f} s (scaled up from {PLAIN_ROUNDS} rounds)")
    parts = stage(rows)
    for name, value in parts.items():
        print(f"{'one control: ' + name:38}{value:8.3f} s")
    save(
        "agreement",
        {"tasks": tasks, "people": people, "rounds": ROUNDS, "coefficients": table, "influence_s": seconds}
        | {"plain_bootstrap_s": scaled, "stage_s": parts},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
