"""`hitl simulate`: options in, one JSON object out."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adapter.app import App
from adapter.bundle import load_factory
from adapter.errors import DataError, SettingsError, nearest
from adapter.kinds import label_kind
from adapter.label_studio.label_config import read_label_config, require_served
from adapter.labeling import discover
from adapter.policies import (
    BlindPolicy,
    ConsolidatePolicy,
    FlagPolicy,
    RankPolicy,
    RoutingPolicy,
    TrainPolicy,
    WindowPolicy,
)
from adapter.settings import BackendSettings, DataSettings, ProjectSettings, Settings
from adapter.simulate.account import (
    Served,
    compare_with_server,
    consensus_found,
    curve,
    flags_found,
    model_rows,
    pool_accuracy,
    served_order,
    skills_found,
)
from adapter.simulate.crowd import routing_for
from adapter.simulate.gold import GoldSet, split_gold
from adapter.simulate.options import SimulateOptions
from adapter.simulate.people import Person, parse_people
from adapter.stages.consensus import METHOD_NOTE
from adapter.stages.evidence import WEAK_NOTE
from adapter.vocabulary import Control, JsonObject, LabelSpace

NAME = "simulation"


def simulate(options: SimulateOptions, progress: Callable[[int, int], None] | None = None) -> JsonObject:
    """Run the loop and return its account; writes it to `options.out` too. A temporary data folder is removed at the
    end."""
    space = read_label_config(options.label_config)
    require_served(space, where=str(options.label_config))
    load_factory(options.backend, where="--backend")  # before a server is started or anybody has worked
    if options.lfs:
        discover(str(Path(options.lfs).resolve()))
    folder = options.home or Path(tempfile.mkdtemp(prefix="hitl-simulate-"))
    started = time.perf_counter()
    try:
        control = chosen_control(space, options.control)
        gold = split_gold(
            options.data,
            control,
            options.gold,
            folder / "gold-free",
            test_share=options.test_share,
            seed=options.seed,
            limit=options.limit,
        )
        people = parse_people(options.annotators, seconds=options.seconds, workers=options.workers)
        if options.platform == "memory":
            from adapter.simulate.memory import run_in_memory

            settings = simulation_settings(options, folder, gold, space, people)
            app, served = run_in_memory(
                settings,
                NAME,
                people,
                gold,
                budget=options.budget,
                batch=options.batch,
                seed=options.seed,
                progress=progress,
            )
            account = _account(app, gold, served, options)
            app.close()
        else:
            from adapter.simulate.live import LiveRun

            settings = simulation_settings(options, folder, gold, space, people)
            with LiveRun(settings, NAME, people, gold, options, progress) as run:
                served = run.work()
                account = _account(run.app, gold, served, options)
                account |= {"kills": run.kills, "webhooks": run.webhooks()}
        account["seconds"] = round(time.perf_counter() - started, 2)
    finally:
        if options.home is None:
            shutil.rmtree(folder, ignore_errors=True)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(account, indent=2, default=str) + "\n", encoding="utf-8")
    return account


def chosen_control(space: LabelSpace, name: str) -> Control:
    """Return the control that the gold column is about: the one called `name`, or the first. Raises DataError."""
    names = [control.name for control in space.controls]
    if name and name not in names:
        raise DataError(f"there is no control '{name}'", where="--control", remedy=nearest(name, names))
    return space.control(name or names[0])


def simulation_settings(
    options: SimulateOptions, folder: Path, gold: GoldSet, space: LabelSpace, people: Sequence[Person] = ()
) -> Settings:
    """Return settings as a user would write them for this run. The window is small, so that every model has its say."""
    if options.batch < 1 or options.budget < 1:
        raise SettingsError("--batch and --budget are 1 or more", where="hitl simulate")
    config = folder / "config"
    (config / "label_configs").mkdir(parents=True, exist_ok=True)
    label_config = config / "label_configs" / f"{NAME}.xml"
    label_config.write_text(space.config, encoding="utf-8")
    routing = RoutingPolicy()
    if options.workers:
        live = options.platform == "label-studio"
        routing = routing_for(people, config / "routers", live=live, most=options.batch, seed=options.seed)
    project = ProjectSettings(
        name=NAME,
        title=f"Simulation {options.data.stem} {options.seed}",
        label_config=label_config,
        data=DataSettings(path=str(gold.pool), format="jsonl", id_column="id"),
        labeling_functions=str(Path(options.lfs).resolve()) if options.lfs else "none",
        backend=BackendSettings(path=options.backend),
        blind=BlindPolicy(seed=options.seed),
        window=WindowPolicy(
            size=options.batch,
            low_water=max(options.batch // 2, 1),
            overlap=options.overlap,
            budget=options.budget,
        ),
        rank=RankPolicy(strategy=options.strategy, seed=options.seed),
        consolidate=ConsolidatePolicy(
            people_threshold=options.threshold, max_people=max(options.most, options.overlap), seed=options.seed
        ),
        routing=routing,
        flag=FlagPolicy(seed=options.seed, min_labels=max(40, options.batch)),
        train=TrainPolicy(
            min_labels=min(20, options.budget), min_new=options.batch, max_wait_s=60, seed=options.seed, min_gate=5
        ),
    )
    return Settings(home=folder / "data", config=config, log_level="warning", projects={NAME: project})


def _account(app: App, gold: GoldSet, served: list[Served], options: SimulateOptions) -> dict[str, Any]:
    from adapter.bundle import Bundle

    project = app.project(NAME)
    control = chosen_control(project.space, options.control)
    platform_id = project.platform_id
    assert platform_id is not None
    tasks = list(project.platform.tasks(platform_id))
    compared = compare_with_server(project, tasks, project.platform.predictions(platform_id), served)
    totals = project.store.annotations.totals(project.name)
    again = {p.platform_id for p in project.store.ledger.placements(project.name) if p.overlap > 1}
    models = project.store.models.all(project.name)
    points = curve(project, control, gold) if label_kind(control) is not None else []
    current = project.store.models.current(project.name)
    final = None
    if current is not None and control.name in current.metrics.get("labels", {}):
        bundle = Bundle.load(project.artifacts.get_folder(current.uri), places=project.places)
        final = pool_accuracy(project, bundle, control, gold, None)
    weak = project.store.projects.notes(project.name, WEAK_NOTE).get(WEAK_NOTE, {}).get(control.name, {})
    return {
        "tasks": gold.size,
        "annotations": totals.votes,
        "lost": compared["lost"],
        "duplicated": compared["duplicated"],
        "curve": points,
        "models": model_rows(models),
        "flags": flags_found(project, control, gold),
        "consensus": consensus_found(project, control, gold),
        "skills": skills_found(project, control, gold),
        "methods": project.store.projects.notes(project.name, METHOD_NOTE).get(METHOD_NOTE, {}).get(control.name, {}),
        "weak": weak.get("table", []),
        "pool_accuracy": final,
        "order": served_order(served, asked_again=again),
        "server": compared,
        "pushed": len(tasks),
        "skipped": totals.cancelled,
        "annotators": totals.annotators,
        "test": len(gold.test),
        "rejected": gold.rejected,
        "faults": {f"{s} ({w})": n for (s, w), n in project.store.faults.counts(project.name).items()},
        "seed": options.seed,
        "platform": options.platform,
        "strategy": options.strategy,
        "python": sys.version.split()[0],
    }
