"""Query by committee: where functions, model and LLM contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adapter.core.strategies.base import State, Unable, Vectors, strategy
from adapter.core.strategies.measures import uncertainty
from adapter.ports import Floats

Doubles = npt.NDArray[np.float64]
_CELLS = 2_000_000


@strategy(
    "committee",
    probabilities=False,
    needs="two or more sources that judge",
    reason="functions, model or LLM contradict each other",
    source="Seung, Opper, Sompolinsky 1992; McCallum and Nigam 1998",
)
def committee(vectors: Vectors | None, probabilities: Floats | None, state: State) -> Doubles:
    """Query by committee (Seung, Opper, Sompolinsky 1992) over sources: the mean divergence (Kullback-Leibler) of each
    source's probabilities from their mean (McCallum and Nigam 1998), which is also the Jensen-Shannon divergence.

    Rows on which fewer than two sources speak have no disagreement; they stand in the order by their margin, at the
    place that this margin has among them, so that neither sort crowds out the other. Where there is no row with two,
    margin decides on all. Cost: one pass over the probabilities of each source. It fails where sources are copies of
    each other, and where one of them is bad: then it finds that source's errors, which is good for mending it rather
    than for training."""
    sources = list(state.committee.values())
    if len(sources) < 2:
        raise Unable("fewer than two sources judge")
    found = disagreement(sources, multiple=state.multiple)
    spoken = np.asarray(~np.isnan(found))
    if not spoken.any():
        raise Unable("on no task do two sources judge")
    if not spoken.all():
        found[~spoken] = _placed(found[spoken], _margin(probabilities, state)[~spoken])
    return found


def disagreement(sources: Sequence[Floats], *, multiple: bool = False) -> Doubles:
    """Return (n,) in 0..1 for the probabilities (n, k) of each of m sources: the mean over the sources that speak of
    the divergence from their mean, over the log of the smaller of m and k, its greatest value. Several labels: the
    greatest over the labels of the same for "holds or not". NaN where fewer than two speak."""
    n, k = np.shape(sources[0])
    found = np.full(n, np.nan)
    step = max(1, _CELLS // max(1, k * len(sources)))
    for start in range(0, n, step):
        told = np.stack([np.asarray(source[start : start + step], np.float64) for source in sources])
        speaks = np.asarray(np.isfinite(told).all(axis=2))
        told = np.clip(np.where(speaks[:, :, None], told, 0.0), 0.0, 1.0)
        heard = speaks.sum(axis=0)
        if multiple:
            divergence = _divergence(np.stack([told, 1.0 - told], axis=-1), speaks[:, :, None], heard[:, None])
            divergence = divergence.max(axis=1, initial=0.0) / np.log(2)
        else:
            divergence = _divergence(told, speaks, heard) / np.log(max(2, min(len(sources), k)))
        found[start : start + step] = np.where(heard >= 2, np.clip(divergence, 0.0, 1.0), np.nan)
    return found


def _divergence(told: Doubles, speaks: npt.NDArray[np.bool_], heard: npt.NDArray[np.int64]) -> Doubles:
    """Entropy of the mean less the mean entropy, over the last axis; sources along the first."""
    count = np.maximum(heard, 1)
    weight = speaks / count
    mean = (told * weight[..., None]).sum(axis=0)
    return np.asarray(_entropy(mean) - (_entropy(told) * weight).sum(axis=0))


def _entropy(p: Doubles) -> Doubles:
    return np.asarray(-(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1))


def _margin(probabilities: Floats | None, state: State) -> Doubles:
    if probabilities is None or not probabilities.shape[1]:
        return np.ones(len(state.chance))
    return np.nan_to_num(uncertainty(probabilities, multiple=state.multiple), nan=1.0)


def _placed(scale: Doubles, values: Doubles) -> Doubles:
    """The quantiles of `scale` at which the values lie among themselves."""
    ordered = np.sort(values)
    place = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2 / len(values)
    return np.asarray(np.quantile(scale, place))
