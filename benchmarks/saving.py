"""Whether what `hitl progress` says of the saving is true: intervals and bounds against what labels at random brought.

On each seed a blind sample is drawn, the default strategy labels the rest, and at each moment the present model is
compared with its stand-ins on the blind labels there are by then, as a project does it. The truth is measured on the
test split with models of people's labels at random, the mean of several draws. A saving beyond the sizes of the
stand-ins counts as held where the interval is open to that side.

python -m benchmarks.saving [DATA] [--sets NAME ...] [--seeds 4] [--first 300] [--moments 100 200 300 500]
    [--cache FOLDER]
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.calibration_blind import Labelled, calibrate
from adapter.core.saving import Said, saving
from adapter.core.stopping import encode
from adapter.core.strategies import load_strategy
from adapter.policies import BlindPolicy
from adapter.ports import Backend, Floats
from adapter.simulate.learning import Ground, Ints, Plan, by_strategy, fitted, learn, measured
from adapter.simulate.metrics import Metric
from adapter.stages.progress_standins import StandIns, likelihood, parts_of, rivals
from adapter.vocabulary import Control
from benchmarks.active_learning_sets import SETTINGS, ground_of, maker, rows_of
from benchmarks.measure import save

STRATEGY = "cluster-margin"
START, BATCH = 20, 25
DRAWS = 6
"""Models of people's labels at random, at each size, whose mean is the truth."""
TIMES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)


def moments(ground: Ground, new: Callable[[], Backend], wanted: list[int]) -> list[dict[str, Any]]:
    """Return one row for each number of people's labels, blind ones included, on one seed."""
    policy = BlindPolicy()
    rng = np.random.default_rng(ground.seed)
    order = rng.permutation(len(ground.ids))
    most_blind = round(max(wanted) * policy.batch_share)
    cut = max(most_blind, int(policy.share * len(order)))
    sample, pool = _part(ground, order[:cut]), _part(ground, order[cut:])
    counts = [round(n * (1 - policy.batch_share)) for n in wanted]
    picker = by_strategy(load_strategy(STRATEGY, where="benchmarks.saving"))
    plan = Plan(START, BATCH, max(counts), "random", 0)
    labelled = np.asarray(learn(pool, new, picker, plan, Metric()).labelled, np.int64)
    return [_moment(sample, pool, new, labelled[:n], people - n, rng) for people, n in zip(wanted, counts, strict=True)]


def _moment(
    sample: Ground, pool: Ground, new: Callable[[], Backend], labelled: Ints, blind: int, rng: np.random.Generator
) -> dict[str, Any]:
    model = fitted(pool, new, labelled)
    n, k = len(labelled), len(pool.labels)
    row: dict[str, Any] = {"labels": n, "blind": blind}
    if model is None:
        return {**row, "said": str(Said.UNKNOWN)}
    raw = model.predict(sample.pool)
    keys = [str(number) for number in range(blind)]
    few = Labelled(raw[:blind], sample.said[:blind], np.ones(blind, np.float32), keys)
    made = calibrate(None, few, multiple=False, seed=pool.seed)
    own, here = made.apply(raw, multiple=False), made.apply(model.predict(pool.pool), multiple=False)
    answers = np.eye(k, dtype=np.float32)[here.argmax(axis=1)]
    answers[labelled] = pool.said[labelled]
    imagined = dataclasses.replace(pool, said=answers)
    control = Control("label", "choices", "text", "Text", "text", pool.labels)
    parts = parts_of(rng.permutation(len(pool.ids)), n)
    said = [_decided(fitted(imagined, new, part), sample, imagined.said[part]) for part in parts]
    present = _codes(own)
    margins = np.stack([likelihood(control, own, present) - likelihood(control, own, one) for one in said], axis=1)
    sizes = np.array([len(part) for part in parts], np.int64)
    found = StandIns("", n, present, sizes, tuple(said), margins)
    measures = np.arange(len(own)) < blind
    told = saving(rivals(found, measures, _codes(sample.said[:blind]), ~measures), seed=pool.seed)
    accuracy = measured(pool, model, labelled, Metric())
    gain, worth = _truth(pool, new, n, accuracy, rng)
    row |= {"said": str(told.said), "true_gain": gain, "true_worth": worth if np.isfinite(worth) else None}
    if told.gain is None or told.random_labels is None:
        return row
    return {
        **row,
        "gain": told.gain.json(),
        "random_labels": told.random_labels.json(0),
        "gain_held": told.gain.lower <= gain <= told.gain.upper,
        "worth_held": told.random_labels.lower <= worth <= told.random_labels.upper,
        "bound_held": told.random_labels.lower <= worth,
    }


def _truth(
    pool: Ground, new: Callable[[], Backend], n: int, accuracy: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the accuracy over as many labels at random, and how many would bring the same; 0 or infinite beyond."""
    sizes = [size for size in (round(times * n) for times in TIMES) if size <= len(pool.ids)]
    means = []
    for size in sizes:
        drawn = [rng.permutation(len(pool.ids))[:size] for _ in range(DRAWS)]
        means.append(np.mean([measured(pool, fitted(pool, new, rows), rows, Metric()) for rows in drawn]))
    gain = accuracy - float(means[sizes.index(n)])
    rising = np.maximum.accumulate(means) + 1e-9 * np.arange(len(means))
    if accuracy >= rising[-1]:
        return gain, float("inf")
    return gain, 0.0 if accuracy < rising[0] else float(np.exp(np.interp(accuracy, rising, np.log(sizes))))


def _part(ground: Ground, rows: npt.NDArray[np.int64]) -> Ground:
    picked = rows.tolist()
    return dataclasses.replace(
        ground, ids=tuple(ground.ids[r] for r in picked), pool=[ground.pool[r] for r in picked], said=ground.said[rows]
    )


def _codes(probabilities: Floats) -> npt.NDArray[np.uint8]:
    one = np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
    return encode(one, np.ones(len(one), bool))


def _decided(model: Backend | None, sample: Ground, targets: Floats) -> npt.NDArray[np.uint8]:
    if model is None:
        return _codes(np.repeat(targets[:1], len(sample.pool), axis=0))
    return _codes(model.predict(sample.pool))


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return shares of a set's moments, and of what was told."""
    told = [row for row in rows if "gain" in row]
    shown = [row for row in told if row["said"] == Said.SHOWN]
    widths = [row["gain"]["upper"] - row["gain"]["lower"] for row in told]
    return {
        "moments": len(rows),
        "told": len(told) / len(rows),
        "gain_held": float(np.mean([row["gain_held"] for row in told])) if told else None,
        "width_points": 100 * float(np.median(widths)) if told else None,
        "worth_held": float(np.mean([row["worth_held"] for row in told])) if told else None,
        "shown": len(shown) / len(rows),
        "shown_bound_held": float(np.mean([row["bound_held"] for row in shown])) if shown else None,
        "loss": sum(row["said"] == Said.LOSS for row in rows) / len(rows),
        "true_gain_points": 100 * float(np.mean([row["true_gain"] for row in told])) if told else None,
    }


def main() -> int:
    """Run the sets; return 1 if intervals hold less than they promise, 2 if the data are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default=os.environ.get("HITL_DATA", ""))
    parser.add_argument("--sets", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first", type=int, default=300)
    parser.add_argument("--moments", nargs="+", type=int, default=[100, 200, 300, 500])
    parser.add_argument("--cache", type=Path, default=None)
    parser.add_argument("--name", default="saving", help="of the file with the results")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    every: list[dict[str, Any]] = []
    for name in options.sets:
        try:
            rows = rows_of(name, Path(options.data) if options.data else None, options.cache)
        except FileNotFoundError as error:
            print(error)
            return 2
        mine = []
        for seed in range(options.first, options.first + options.seeds):
            ground = ground_of(rows, SETTINGS[name], seed)
            mine += [{"seed": seed, **row} for row in moments(ground, maker(name, rows, ground), options.moments)]
        found[name] = {**figures(mine), "rows": mine}
        every += mine
        print(name, figures(mine), flush=True)
    whole = figures(every)
    print("all", whole)
    seeds = [options.first, options.first + options.seeds]
    print(f"written: {save(options.name, {'strategy': STRATEGY, 'seeds': seeds, 'all': whole, 'sets': found})}")
    return int((whole["gain_held"] or 1.0) < 0.93)


if __name__ == "__main__":
    sys.exit(main())
