"""Pairs that fit together worst."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adapter.core.strategies.base import State, Unable, Vectors, strategy
from adapter.ports import Floats


@strategy(
    "alignment",
    probabilities=False,
    needs="a backend for pairs, which measures how well the parts fit",
    reason="the two parts of the pair do not seem to belong together",
    source="Hessel et al. 2021 (CLIPScore), arXiv 2104.08718, as an order",
)
def alignment(vectors: Vectors | None, probabilities: Floats | None, state: State) -> npt.NDArray[np.float64]:
    """The lowest alignment first: image and caption, or question and answer, that a dual encoder finds far apart
    (CLIPScore, Hessel et al. 2021).

    Finds wrong pairs, not what teaches a model most. It fails where the encoder knows neither part: all pairs then look
    alike, and right pairs of a rare sort come before wrong ones of a common sort. A pair that could not be measured
    comes first. Cost: none, the backend has measured."""
    if state.alignment is None:
        raise Unable("the model does not measure how well pairs fit")
    return np.asarray(1.0 - np.clip(np.asarray(state.alignment, np.float64), 0.0, 1.0))
