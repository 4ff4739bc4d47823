"""Learning curves of our strategies beside random, scikit-activeml's margin and small-text's strategies, in one run.

python -m benchmarks.active_learning [DATA] [--sets NAME ...] [--seeds 10] [--jobs 2] [--cache FOLDER] [--plots FOLDER]

Every strategy has the same split, start, model and batch on every seed; peers are asked through their own interfaces
with our model as their classifier (`benchmarks.active_learning_peers`). `random` goes on past the budget until it has
98 % of full-data accuracy, so that a saving is a figure and no bound. Sentence vectors are made once and kept in the
cache folder. The default seeds are others than those by which constants and the small-text strategy were chosen.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.core.strategies import load_strategy
from adapter.ports import Backend
from adapter.simulate.curves import standard_error, summary
from adapter.simulate.learning import RANDOM, Ground, Picker, Plan, by_strategy
from adapter.simulate.learning_command import rows_of as table_of
from adapter.simulate.learning_runs import run_all
from adapter.simulate.metrics import Metric
from adapter.simulate.plots import picture
from benchmarks.active_learning_peers import PEERS, SKACTIVEML, SMALL_TEXT
from benchmarks.active_learning_sets import SETTINGS, Rows, facts, ground_of, maker, rows_of
from benchmarks.measure import save

DEFAULT = "cluster-margin"
BEST_SMALL_TEXT = SMALL_TEXT + "least confidence"
"""small-text's best beside breaking ties, on the mean of ag_news (seeds 100, 101), sms_spam and youtube_spam (100 to
102): its BADGE and k-means are above breaking ties on ag_news and far below it elsewhere. Discriminative active
learning was not tried."""
STRATEGIES = (SKACTIVEML + "margin", SMALL_TEXT + "breaking ties", BEST_SMALL_TEXT)
GOALS = {"ag_news": 0.65, "sms_spam": 0.65}
"""Least saving against random to 98 % of full data, by set."""
START = 20
FIRST = 0


@dataclasses.dataclass(frozen=True, slots=True)
class SetArena:
    """A set as an `Arena`; see `adapter.simulate.learning_runs`."""

    name: str
    data: Path | None
    cache: Path | None
    names: tuple[str, ...]
    plan: Plan
    metric: Metric
    far_share: float = 0.98

    def ground(self, seed: int) -> Ground:
        """Return the split of this seed."""
        return ground_of(self.rows(), SETTINGS[self.name], seed)

    def maker(self, ground: Ground) -> Callable[[], Backend]:
        """Return what makes the set's models."""
        return maker(self.name, self.rows(), ground)

    def rows(self) -> Rows:
        """Return the set, read once a process."""
        if self.name not in _read:
            _read[self.name] = rows_of(self.name, self.data, self.cache)
        return _read[self.name]

    def picker(self, name: str, stand_ins: list[str]) -> Picker:
        """Return a peer's picker, or that of one of our strategies."""
        return PEERS[name] if name in PEERS else by_strategy(load_strategy(name, where="--strategies"), stand_ins)


_read: dict[str, Rows] = {}


def arena_of(name: str, options: argparse.Namespace) -> SetArena:
    """Return the arena of one set under the options of the command line."""
    setting = SETTINGS[name]
    budget = options.budget or setting.budget
    plan = Plan(
        start=START,
        batch=options.batch or setting.batch,
        budget=budget,
        cold_start=options.cold_start,
        far=max(setting.far, budget),
    )
    metric = Metric(f"F1 of {setting.f1}", setting.labels.index(setting.f1)) if setting.f1 else Metric()
    names = tuple(dict.fromkeys((RANDOM, options.ours, *options.strategies)))
    return SetArena(name, Path(options.data) if options.data else None, options.cache, names, plan, metric)


def one_set(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one set and return its figures."""
    started = time.perf_counter()
    arena = arena_of(name, options)
    rows = arena.rows()  # vectors are made here, before any process needs them
    seeds = list(range(options.first, options.first + options.seeds))

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{name}: {done} of {total} runs")

    outcome = run_all(arena, seeds, jobs=options.jobs, progress=progress)
    plan = arena.plan
    result: dict[str, Any] = {
        **facts(name, rows),
        "seeds": seeds,
        "metric": arena.metric.name,
        "pool": [pool for pool, _ in outcome.sizes],
        "test": [test for _, test in outcome.sizes],
        "start": plan.start,
        "cold_start": plan.cold_start,
        "batch": plan.batch,
        "budget": plan.budget,
        "random_up_to": plan.far,
        **summary(outcome.runs, outcome.full, budget=plan.budget, far=plan.far),
        "seconds": time.perf_counter() - started,
    }
    result["judged"] = judged(name, options.ours, result)
    return result


def judged(name: str, default: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return which goals the default holds on one set."""
    ours = result["strategies"][default]
    over = ours["area_over_random"]
    verdict: dict[str, Any] = {
        "not_below_random": bool(over["value"] >= -over["standard_error"]),
        "area_over_random": over["value"],
        "standard_error": over["standard_error"],
    }
    if name in GOALS:
        saved = ours["saving"]["98"]
        known = saved["value"] is not None and saved["censored"] != "at most"
        verdict |= {"saving": saved, "saving_goal": GOALS[name], "saves": bool(known and saved["value"] >= GOALS[name])}
    return verdict


def compared(default: str, sets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return each strategy's area on the mean over the sets, and the default against the best peer, paired by seed."""
    common = set.intersection(*(set(one["strategies"]) for one in sets.values()))
    areas = {
        name: np.mean([one["strategies"][name]["area"]["each"] for one in sets.values()], axis=0)
        for name in next(iter(sets.values()))["strategies"]
        if name in common
    }
    means = {name: float(row.mean()) for name, row in areas.items()}
    peers = [name for name in means if name in PEERS]
    found: dict[str, Any] = {"area": means}
    if peers:
        best = max(peers, key=means.__getitem__)
        gap = areas[default] - areas[best]
        found |= {
            "best_peer": best,
            "over_best_peer": float(gap.mean()),
            "standard_error": standard_error(gap),
            "at_or_above": bool(gap.mean() >= 0),
        }
    return found


def show(name: str, result: Mapping[str, Any]) -> None:
    """Print one set's table."""
    columns, rows = table_of(dict(result))
    print(
        f"\n{name}: {result['rows']} rows, {result['labels']} labels, {result['metric']}, full data "
        f"{result['full']['value']:.3f}, batch {result['batch']}, budget {result['budget']}, "
        f"{result['seconds']:.0f} s"
    )
    cells = [columns, *rows]
    widths = [max(len(str(row[column])) for row in cells) for column in range(len(columns))]
    for row in cells:
        print("  " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)))
    print(f"  {result['judged']}")


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=os.environ.get("HITL_DATA", ""))
    parser.add_argument("--sets", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--ours", default=DEFAULT, help="the default, which is judged")
    parser.add_argument(
        "--strategies", nargs="*", default=list(STRATEGIES), help="beside it: ours by name, or a peer's"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=FIRST, help="the first seed")
    parser.add_argument("--budget", type=int, default=0, help="labels; 0 for each set's own")
    parser.add_argument("--batch", type=int, default=0, help="labels between two models; 0 for each set's own")
    parser.add_argument("--cold-start", default=RANDOM, help="the strategy that picks the first labels, for all")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=None, help="folder where sentence vectors are kept")
    parser.add_argument("--plots", type=Path, default=None, help="folder for pictures")
    parser.add_argument("--name", default="active_learning", help="of the file of results")
    return parser.parse_args(arguments)


def main() -> int:
    """Run the sets that were asked for; return 1 if a goal does not hold, 2 if the data are missing."""
    options = parsed()
    sets: dict[str, Any] = {}
    for name in options.sets:
        try:
            sets[name] = one_set(name, options)
        except FileNotFoundError as error:
            print(error)
            return 2
        show(name, sets[name])
        if options.plots is not None:
            options.plots.mkdir(parents=True, exist_ok=True)
            picture(sets[name], options.plots / f"{name}.png")
    over_sets = compared(options.ours, sets)
    print(f"\nmean over sets: {over_sets}")
    result = {"default": options.ours, "goals": GOALS, "over_sets": over_sets, "sets": sets}
    print(f"written: {save(options.name, result)}")
    held = [one["judged"]["not_below_random"] and one["judged"].get("saves", True) for one in sets.values()]
    return int(not (all(held) and over_sets.get("at_or_above", True)))


if __name__ == "__main__":
    sys.exit(main())
