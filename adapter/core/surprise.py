"""Whether a model is wrong more often than it says: the sign of drift that needs no labels but those that come anyway.

Which tasks people label next depends on the model, so their accuracy says nothing. But however a task was chosen, a
calibrated model is right on it as often as its confidence says; more errors than that mean that the data, or what the
labels mean, are no longer what the model learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats


@dataclass(frozen=True, slots=True)
class Surprise:
    """n: new labels that were judged. wrong: of them not what the model said. expected: errors by its confidence. p:
    probability of so many errors or more if its confidence were true."""

    n: int
    wrong: int
    expected: float
    p: float


def surprise(confidence: Floats, right: npt.NDArray[np.bool_]) -> Surprise:
    """Return how surprising the errors are. confidence: (n,) calibrated probability that the model's answer is right;
    right: (n,) whether it was. Rows whose confidence is NaN do not count.

    The number of errors then has a Poisson binomial distribution, which is computed exactly by convolution (Hong 2013,
    "On computing the distribution function for the Poisson binomial distribution", section 2.2), in n squared steps.
    Raises ValueError when the lengths differ.
    """
    sure, good = np.asarray(confidence, np.float64), np.asarray(right, bool)
    if sure.shape != good.shape:
        raise ValueError(f"{len(sure)} confidences and {len(good)} answers")
    known = np.isfinite(sure)
    errs = 1.0 - np.clip(sure[known], 0.0, 1.0)
    wrong = int((~good[known]).sum())
    chances = np.ones(1)
    for chance in errs:
        chances = np.convolve(chances, (1.0 - chance, chance))
    p = math.fsum(chances[wrong:]) if wrong else 1.0
    return Surprise(len(errs), wrong, float(errs.sum()), min(max(p, 0.0), 1.0))
