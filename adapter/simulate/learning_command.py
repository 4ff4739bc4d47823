"""`hitl simulate` with several strategies or seeds: learning curves of a file with gold labels."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adapter.bundle import build
from adapter.core.strategies import load_strategy
from adapter.errors import BackendError, DataError, SettingsError
from adapter.kinds import label_kind, label_kind_of
from adapter.label_studio.label_config import read_label_config, require_served
from adapter.ports import Backend, Floats
from adapter.readers import content_digest
from adapter.simulate.command import chosen_control
from adapter.simulate.curves import SHARES, summary
from adapter.simulate.gold import split_gold
from adapter.simulate.learning import RANDOM, Ground, Picker, Plan, by_strategy
from adapter.simulate.learning_runs import run_all
from adapter.simulate.metrics import Metric, parse_metric
from adapter.simulate.options import LearningOptions
from adapter.simulate.people import Person, answer, parse_people
from adapter.vocabulary import Control, JsonObject, Value

FAR = 4
"""Times the budget that `random` goes on, where nothing else is said: enough to tell a saving of three quarters."""
BLIND_NOTE = (
    "Labels of the blind sample come on top: they measure, they are not chosen, and in the loop their share is set by "
    "`blind.batch_share`."
)
CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class FileArena:
    """A file with a gold column as an `Arena`; see there. folder: for the pools, without gold. places: for backends
    that ask for them. people: who answers."""

    data: Path
    control: Control
    column: str
    folder: Path
    backend: str
    places: dict[str, Any]
    people: tuple[Person, ...]
    test_share: float
    limit: int | None
    names: tuple[str, ...]
    plan: Plan
    metric: Metric
    far_share: float = max(SHARES)

    def ground(self, seed: int) -> Ground:
        """Return the split of this seed; of tasks with the same content one is in the pool, since the loop does not ask
        for copies. Raises DataError when too little is left to label or to test."""
        control = self.control
        folder = self.folder / f"{seed}-{hashlib.sha256(str(time.monotonic_ns()).encode()).hexdigest()[:8]}"
        found = split_gold(
            self.data, control, self.column, folder, test_share=self.test_share, seed=seed, limit=self.limit
        )
        kind = label_kind_of(control)
        pool: dict[str, tuple[str, JsonObject, Floats]] = {}
        with found.pool.open(encoding="utf-8") as lines:
            for line in lines:
                data = json.loads(line)
                digest = content_digest(data, {"id"})
                if digest not in pool:
                    said = self._said(data["id"], found.gold[data["id"]], seed)
                    if said is not None:
                        pool[digest] = (data["id"], data, kind.target(control, said))
        shutil.rmtree(folder, ignore_errors=True)
        if len(pool) < self.plan.start + self.plan.batch or not found.test:
            raise DataError(
                f"{len(pool)} tasks to label and {len(found.test)} to test on are too few for learning curves",
                where=str(self.data),
                remedy="Give more rows, or smaller --start and --batch, or a --test-share above 0.",
            )
        ids, examples, targets = zip(*pool.values(), strict=True)
        return Ground(
            ids=ids,
            pool=examples,
            said=np.asarray(targets, np.float32),
            test=[data for data, _ in found.test],
            truth=np.asarray([kind.target(control, value) for _, value in found.test], np.float32),
            labels=control.labels,
            control=control.name,
            multiple=control.multiple,
            required=control.required,
            seed=seed,
        )

    def _said(self, task_id: str, gold: Value, seed: int) -> Value | None:
        """Return what the person says who gets this task; the next one's answer if that one skips; None if all do."""
        first = int(hashlib.sha256(f"{seed}:{task_id}".encode("utf-8", "surrogatepass")).hexdigest()[:8], 16)
        for turn in range(len(self.people)):
            person = self.people[(first + turn) % len(self.people)]
            said = answer(person, self.control, task_id, gold, seed)
            if said is not None:
                return said
        return None

    def new(self) -> Backend:
        """Return an unfitted backend."""
        fields = self.control.fields or (self.control.field,)
        made = build(self.backend, fields, {}, self.places)
        if not isinstance(made, Backend):
            raise BackendError("this backend gives regions, not labels", where="--backend")
        return made

    def maker(self, ground: Ground) -> Callable[[], Backend]:
        """Return what makes unfitted models."""
        return self.new

    def picker(self, name: str, stand_ins: list[str]) -> Picker:
        """Return the picker of a strategy by its name."""
        return by_strategy(load_strategy(name, where="--strategy"), stand_ins)


def learning_curves(options: LearningOptions, progress: Callable[[int, int], None] | None = None) -> JsonObject:
    """Run every strategy on every seed and return curves, labels to each mark, areas and savings, as JSON; writes it to
    `options.out` and a picture to `options.plot` too. Raises HitlError with advice before anything runs for long."""
    started = time.perf_counter()
    folder = options.home or Path(tempfile.mkdtemp(prefix="hitl-simulate-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        arena = arena_of(options, folder)
        if options.plot is not None:
            check_plot(options.plot)
        seeds = list(range(options.seed, options.seed + options.seeds))
        warm(arena, seeds[0])
        outcome = run_all(arena, seeds, jobs=options.jobs, progress=progress)
    finally:
        if options.home is None:
            shutil.rmtree(folder, ignore_errors=True)
    plan = arena.plan
    result: dict[str, Any] = {
        "seeds": seeds,
        "metric": arena.metric.name,
        "pool": [pool for pool, _ in outcome.sizes],
        "test": [test for _, test in outcome.sizes],
        "start": plan.start,
        "cold_start": plan.cold_start,
        "batch": plan.batch,
        "budget": plan.budget,
        "random_up_to": plan.far,
        "backend": options.backend,
        "annotators": options.annotators or "always right",
        **summary(outcome.runs, outcome.full, budget=plan.budget, far=plan.far),
        "note": BLIND_NOTE,
        "seconds": round(time.perf_counter() - started, 2),
        "python": sys.version.split()[0],
    }
    if options.plot is not None:
        from adapter.simulate.plots import picture

        picture(result, options.plot)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def arena_of(options: LearningOptions, folder: Path) -> FileArena:
    """Return the arena that the options describe; everything in them that can be wrong is told here."""
    space = read_label_config(options.label_config)
    require_served(space, where=str(options.label_config))
    control = chosen_control(space, options.control)
    if label_kind(control) is None:
        raise SettingsError(
            f"'{control.name}' has no list of labels to learn ({control.kind})",
            where="--control",
            remedy="Learning curves are for controls with labels; run one strategy with --seeds 1 for the whole loop.",
        )
    if options.seeds < 1 or options.batch < 1 or options.start < 2 or options.budget <= options.start:
        raise SettingsError(
            "--seeds and --batch are 1 or more, --start is 2 or more and below --budget", where="hitl simulate"
        )
    names = tuple(dict.fromkeys((RANDOM, *options.strategies)))
    for name in (*names, options.cold_start):
        load_strategy(name, where="--strategy" if name in names else "--cold-start")
    plan = Plan(
        start=options.start,
        batch=options.batch,
        budget=options.budget,
        cold_start=options.cold_start,
        far=max(options.far or FAR * options.budget, options.budget),
    )
    arena = FileArena(
        data=options.data.resolve(),
        control=control,
        column=options.gold,
        folder=folder / "pools",
        backend=options.backend,
        places={
            "media_root": str(options.data.resolve().parent),
            "cache_folder": str(folder / "cache"),
            "label_config": space.config,
            "labels": control.labels,
            "control": control.name,
        },
        people=tuple(parse_people(options.annotators) if options.annotators else [Person("annotator", 1.0)]),
        test_share=options.test_share,
        limit=options.limit,
        names=names,
        plan=plan,
        metric=parse_metric(options.metric, control.labels),
    )
    arena.new()
    return arena


def warm(arena: FileArena, seed: int) -> None:
    """Let a backend whose vectors need no training make them once, for all processes. Raises DataError as `ground`."""
    ground = arena.ground(seed)
    examples = [*ground.pool, *ground.test]
    backend = arena.new()
    with suppress(BackendError):  # one that must be trained first
        for start in range(0, len(examples), CHUNK):
            if backend.embed(examples[start : start + CHUNK]) is None:
                return


def check_plot(path: Path) -> None:
    """Raise SettingsError for a picture that cannot be written, before hours of work."""
    if path.suffix.lower() != ".png":
        raise SettingsError(f"'{path.name}' is no PNG file", where="--plot", remedy="Give a name that ends in .png.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"the folder cannot be made ({error.strerror})", where="--plot") from error
    from adapter.simulate.plots import require_matplotlib

    require_matplotlib()


def words_of(figure: dict[str, Any], budget: float | None = None) -> str:
    """Return a figure with its interval in words: `210 [180, 260]`, `> 600`, `.843 [.840, .846]`."""
    value, low, high = figure["value"], figure["low"], figure["high"]
    if budget is None:
        return f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")
    beyond = f"> {budget:.0f}"
    if value is None:
        return beyond if low is None else f"{beyond} [{low:.0f}, {beyond}]"
    if low is None:
        return f"{value:.0f}"
    return f"{value:.0f} [{low:.0f}, {beyond if high is None else f'{high:.0f}'}]"


def saving_words(figure: dict[str, Any]) -> str:
    """Return a saving in words: `65 % [55, 75]`, `at least 40 % [..]`."""
    if figure["value"] is None or not math.isfinite(figure["value"]):
        return "neither got there"
    text = f"{100 * figure['value']:.0f} %"
    if figure["low"] is not None and figure["high"] is not None:
        text += f" [{100 * figure['low']:.0f}, {100 * figure['high']:.0f}]"
    return f"{figure['censored']} {text}".strip()


def rows_of(result: dict[str, Any]) -> tuple[tuple[str, ...], Sequence[Sequence[str]]]:
    """Return the columns and rows of the table of strategies."""
    marks = list(result["strategies"][RANDOM]["labels_to"])
    columns = ("strategy", *(f"labels to {mark} %" for mark in marks), f"saved to {marks[-1]} %", "area", "over random")
    rows = []
    for name, found in result["strategies"].items():
        reached = [words_of(found["labels_to"][mark], found["labels_to"][mark]["most"]) for mark in marks]
        saved = saving_words(found["saving"][marks[-1]]) if "saving" in found else "-"
        over = words_of(found["area_over_random"]) if name != RANDOM else "-"
        rows.append((name, *reached, saved, words_of(found["area"]), over))
    return columns, rows
