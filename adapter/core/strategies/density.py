"""Density-weighted uncertainty: doubtful tasks in the midst of the data, not at its edge."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adapter.core.strategies.base import State, Vectors, strategy
from adapter.core.strategies.measures import front, margin
from adapter.ports import Floats

REFERENCE = 1_000
"""Tasks drawn at random that similarity is measured to."""


@strategy(
    "density",
    vectors=True,
    probabilities=False,
    needs="probabilities or an uncertainty",
    reason="two labels are nearly as likely, for a task like many others",
    source="Settles and Craven 2008, information density",
)
def density(vectors: Vectors, probabilities: Floats | None, state: State) -> npt.NDArray[np.float64]:
    """Information density (Settles and Craven 2008, section 3.4): margin times the mean cosine similarity to the pool,
    here to 1,000 tasks drawn at random, so that outliers do not come first.

    Embeddings are fetched for those and the front of margin's order (20 batches, 1,000 to 5,000 tasks; all of a smaller
    pool); any other task counts as of median density. Cost: that of fetching 6,000 embeddings. Similarities below 0
    count as 0. It fails where one part of the data is far denser than the rest: labels then come from there."""
    scores = np.nan_to_num(np.asarray(margin(None, probabilities, state), np.float64), nan=1.0)
    sample = state.drawn()[:REFERENCE]
    middle = np.asarray(vectors[sample], np.float64)
    directed = (middle**2).sum(axis=1) > 0
    if not directed.any():
        return scores
    rows = front(scores, state)
    similar = np.maximum(np.asarray(vectors[rows], np.float64) @ middle[directed].mean(axis=0), 0.0)
    most = float(similar.max(initial=0.0))
    if most <= 0:
        return scores
    weight = np.full(len(scores), float(np.median(similar)) / most)
    weight[rows] = similar / most
    return np.asarray(scores * weight)
