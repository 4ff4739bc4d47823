"""The child process of a training: cross-validate, decide on weak labels, fit, save, predict; then one rename."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from adapter.backend_loading import AnyBackend, load_factory
from adapter.bundle import Bundle
from adapter.errors import HitlError
from adapter.training.common import Steps, about, backend_of, sha256, write_learned
from adapter.training.job import ControlJob, RegionJob, TrainJob
from adapter.training.of_labels import fits_of, train_control
from adapter.training.of_regions import train_regions
from adapter.training.result import CANDIDATE, ERROR, RESULT, RIVAL, save_result, write_json

NICENESS = 10


def main(folder: Path, secrets: Mapping[str, str] | None = None) -> int:
    """Train the job in `folder`; return the exit status. What goes wrong is told in error.json. secrets: see
    `TrainJob.load`."""
    with contextlib.suppress(OSError, AttributeError):  # where there is no niceness, or no right to it
        os.nice(NICENESS)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        train(folder, secrets)
    except HitlError as error:
        write_json(folder / ERROR, {"what": error.what, "where": error.where, "remedy": error.remedy})
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        write_json(folder / ERROR, {"what": "there is not enough memory", "where": "", "remedy": "Train on less."})
        return 1
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        write_json(folder / ERROR, {"what": what, "where": "", "remedy": "The training's log tells where."})
        raise
    return 0


def _end_with(parent: int) -> None:
    """End this process when its parent has ended: nobody would read the result."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def train(folder: Path, secrets: Mapping[str, str] | None = None) -> None:
    """Train the job in `folder` and leave its result there."""
    job = TrainJob.load(folder, secrets)
    every: list[ControlJob | RegionJob] = [*job.controls, *job.marked]
    for path in sorted({backend_of(job, control)[0] for control in every}):
        load_factory(path)  # a wrong path or option fails at once, not after the first fold
    steps = Steps(folder, sum(fits_of(job, control) for control in job.controls) + len(job.marked))
    outcomes = {control.name: train_control(job, control, steps) for control in job.controls}
    found = {control.name: train_regions(job, control, steps) for control in job.marked}
    fits = {CANDIDATE: {name: outcome.fit for name, outcome in outcomes.items()}}
    rivals = {name: outcome.rival for name, outcome in outcomes.items() if outcome.rival is not None}
    if rivals:
        fits[RIVAL] = rivals
    steps.say("saving the model")
    partial = folder / f"{RESULT}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    kept = {control.name: about(job, control) for control in every}
    for variant, by_control in fits.items():
        backends: dict[str, AnyBackend] = {name: fit.backend for name, fit in by_control.items()}
        tasks = {name: fit.learned for name, fit in by_control.items()}
        if variant == CANDIDATE:
            backends |= {name: one.backend for name, one in found.items()}
            tasks |= {name: one.learned for name, one in found.items()}
        Bundle(backends, {"controls": {name: kept[name] for name in backends}}).save(partial / variant)
        write_learned(partial / variant, backends, tasks)
    digests = [outcome.fit.digest for outcome in outcomes.values()] + [one.digest for one in found.values()]
    metrics = {
        "data_digest": sha256([[one["backend"], one["options"]] for one in kept.values()], job.seed, digests),
        "controls": {
            **{name: outcome.metrics for name, outcome in outcomes.items()},
            **{name: one.metrics for name, one in found.items()},
        },
        "seed": job.seed,
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }
    save_result(
        partial,
        metrics,
        {
            variant: ({name: fit.gate for name, fit in by.items()}, {name: fit.heldout for name, fit in by.items()})
            for variant, by in fits.items()
        },
        any(outcome.fit.weak_weight > 0 for outcome in outcomes.values()),
        {name: one.gate for name, one in found.items()},
    )
    partial.rename(folder / RESULT)
