"""Training in a process of its own, so that a web process on the same machine answers while a model trains.

result = run(job, folder, timeout_s)        # here: starts the child, waits, reads what it left
python -m adapter.training <folder>         # the child: cross-validates, fits, saves, predicts
heldout = cross_validate(factory, ...)      # held-out probabilities alone, in this process
"""

from __future__ import annotations

from adapter.training.job import ControlJob, RegionJob, TrainJob
from adapter.training.parent import run
from adapter.training.result import Progress, TrainResult, read_progress
from adapter.training.validate import cross_validate

__all__ = ["ControlJob", "Progress", "RegionJob", "TrainJob", "TrainResult", "cross_validate", "read_progress", "run"]
