"""Held-out probabilities are a type of their own, so that flagging cannot be given in-sample scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Probabilities (n, k) for n labeled tasks, each from a model that saw neither the task nor a duplicate of it.

    folds: (n,) fold in which each row was held out; rows of one duplicate group share a fold; -1 for rows that were in
    no fold that was made (slow backends), whose probabilities are NaN. seed: of the split.
    """

    probabilities: Floats
    folds: npt.NDArray[np.int64]
    seed: int
