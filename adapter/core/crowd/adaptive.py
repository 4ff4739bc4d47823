"""Adaptive overlap: one more person is asked only while the consensus is not yet sure."""

from __future__ import annotations

import numpy as np

from .skill import Doubles
from .votes import Bools, Ints


def ask_more(posterior: Doubles, asked: Ints, *, threshold: float, most: int) -> Bools:
    """Return (t,), True where one more person should be asked.

    posterior: (t, k), rows sum to 1 (NaN rows: nothing known). asked: (t,) people asked so far. A task is asked until
    its most probable label has reached `threshold` (0..1), and of at most `most` people; a task that nobody was asked
    for is always asked. Raises ValueError for a threshold outside 0..1, fewer than one person, or shapes that differ.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"the threshold is a probability, got {threshold}")
    if most < 1:
        raise ValueError(f"at least one person must be asked, got most = {most}")
    if posterior.ndim != 2 or asked.shape != posterior.shape[:1]:
        raise ValueError(f"posterior {posterior.shape} and asked {asked.shape} do not speak of the same tasks")
    if not len(asked):
        return np.zeros(0, np.bool_)
    sure = np.nan_to_num(posterior.max(axis=1), nan=0.0)
    return np.asarray((asked < most) & ((sure < threshold) | (asked == 0)))
