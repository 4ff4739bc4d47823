"""Orders by chance and by how unsure the probabilities are: random, margin, entropy, least confidence, cluster-margin.

Cost: one pass over the probabilities, n x k, in blocks; embeddings are not looked at, but by cluster-margin, which
spreads the front of its order afterwards.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from adapter.core.strategies.base import Ints, State, Unable, Vectors, strategy
from adapter.errors import nearest
from adapter.ports import Floats

MEASURES = ("margin", "entropy", "least-confidence")
FRONT_BATCHES = 20
FRONT_LEAST, FRONT_MOST = 1_000, 5_000
"""Tasks whose embeddings a strategy that picks batches looks at: FRONT_BATCHES batches, within these bounds."""
_CELLS = 4_000_000  # of one block: 32 MB in float64


@strategy(
    "random",
    picks=True,
    probabilities=False,
    apart=False,
    reason="drawn at random",
    source="the baseline of every comparison",
)
def random(vectors: Vectors | None, probabilities: Floats | None, state: State) -> Ints:
    """Draw at random, by `state.chance`: the yardstick for all others, and unbiased, so near neighbours are not kept
    apart. Needs nothing, never fails; it just saves nothing."""
    return state.drawn()


@strategy(
    "margin",
    probabilities=False,
    needs="probabilities or an uncertainty",
    reason="two labels are nearly as likely",
    source="Scheffer, Decomain, Wrobel 2001; breaking ties: Luo et al. 2005",
)
def margin(vectors: Vectors | None, probabilities: Floats | None, state: State) -> npt.NDArray[np.float64]:
    """Take the smallest difference between the two likeliest labels (Scheffer, Decomain, Wrobel 2001); several labels:
    the one nearest to a coin's throw.

    The best or nearly the best learning curve in seven of eight settings with frozen embeddings (AG News to the end of
    random's 600 labels: 210). It fails where batches are large and the pool is full of look-alikes (take
    cluster-margin), before the first model can tell anything, and with 77 labels it saves little at first (10 %)."""
    return _measured("margin", probabilities, state)


@strategy(
    "entropy",
    probabilities=False,
    needs="probabilities or an uncertainty",
    reason="the probabilities are spread over many labels",
    source="Settles 2009, section 3.1; Shannon 1948",
    measure="entropy",
)
def entropy(vectors: Vectors | None, probabilities: Floats | None, state: State) -> npt.NDArray[np.float64]:
    """Take the greatest entropy (Settles 2009, section 3.1), in shares of log k.

    The same order as margin with two labels; behind it with more, since a long tail of unlikely labels counts as doubt,
    and with noisy annotators, whose errors it seeks."""
    return _measured("entropy", probabilities, state)


@strategy(
    "least-confidence",
    probabilities=False,
    needs="probabilities or an uncertainty",
    reason="even the likeliest label is not likely",
    source="Lewis and Gale 1994; Culotta and McCallum 2005",
    measure="least-confidence",
)
def least_confidence(vectors: Vectors | None, probabilities: Floats | None, state: State) -> npt.NDArray[np.float64]:
    """Take the lowest probability of the likeliest label (Lewis and Gale 1994; Culotta and McCallum 2005).

    The same order as margin with two labels; behind it with more. It cannot tell doubt between two labels, which one
    answer settles, from doubt among many."""
    return _measured("least-confidence", probabilities, state)


@strategy(
    "cluster-margin",
    probabilities=False,
    needs="probabilities or an uncertainty; embeddings to spread",
    reason="two labels are nearly as likely, in different parts of the data",
    spread=True,
    source="Citovsky et al. 2021, arXiv 2107.14263",
)
def cluster_margin(vectors: Vectors | None, probabilities: Floats | None, state: State) -> npt.NDArray[np.float64]:
    """Margin, then spread over the data (Citovsky et al. 2021, arXiv 2107.14263): of the ten batches with the smallest
    margins, each cluster gives one to the next batch.

    Cost beside margin: embeddings of the front of the order, at most 5,000, and one k-means a batch. On SMS spam F1 at
    50 labels .912 where margin has .884, and 60 labels instead of 80 to 98 % of full data. It gains nothing over margin
    where a batch is one task, and without embeddings it is margin. On AG News with the embedding backend (ten seeds on
    which nothing was chosen) mean accuracy from 20 to 600 labels is .859 where random has .845, and 200 labels instead
    of 740 give 98 % of what full data give; `fisher` is its like there."""
    return _measured("margin", probabilities, state)


def _measured(measure: str, probabilities: Floats | None, state: State) -> npt.NDArray[np.float64]:
    """The uncertainty over all controls where it was made by this measure, else that of the probabilities."""
    if state.uncertainty is not None and (state.measure == measure or probabilities is None):
        return np.asarray(state.uncertainty, np.float64)
    if probabilities is None or not probabilities.shape[1]:
        raise Unable("nothing judges the tasks yet")
    return uncertainty(probabilities, measure, multiple=state.multiple)


def uncertainty(probabilities: Floats, measure: str = "margin", *, multiple: bool = False) -> npt.NDArray[np.float64]:
    """Return (n,) in 0..1, 1 most uncertain, NaN where a row (n, k) holds NaN, each measure divided by its greatest
    possible value. Several labels: the greatest over the labels of the same figure for "holds or not". One label that
    always holds leaves no doubt: 0. Raises ValueError for an unknown measure."""
    if measure not in MEASURES:
        raise ValueError(f"unknown measure '{measure}'. {nearest(measure, MEASURES)}")
    n, k = probabilities.shape
    scores = np.empty(n)
    step = max(1, _CELLS // max(1, k))
    for start in range(0, n, step):
        p = np.asarray(probabilities[start : start + step], np.float64)
        scores[start : start + step] = _several(p, measure) if multiple else _one(p, measure)
    return scores


def front(scores: npt.NDArray[np.float64], state: State, *, mixed: bool = False) -> Ints:
    """Return the positions whose embeddings are worth a look, in the order of their draws: all where there are few
    (FRONT_MOST), else as many as FRONT_BATCHES batches, with the greatest of scores (n,). mixed: half of them so, half
    drawn from the others."""
    drawn = state.drawn()
    if len(drawn) <= FRONT_MOST:
        return drawn
    count = int(np.clip(FRONT_BATCHES * state.batch, FRONT_LEAST, FRONT_MOST))
    best = count // 2 if mixed else count
    by_score = np.lexsort((state.chance, -np.round(scores, 6)))
    taken = np.zeros(len(drawn), bool)
    taken[by_score[:best]] = True
    if mixed:
        taken[drawn[~taken[drawn]][: count - best]] = True
    return np.asarray(drawn[taken[drawn]])


def _one(p: npt.NDArray[np.float64], measure: str) -> npt.NDArray[np.float64]:
    k = p.shape[1]
    blank = np.isnan(p).any(axis=1)
    if k < 2:
        return np.where(blank, np.nan, 0.0)
    if measure == "margin":
        two = np.partition(p, k - 2, axis=1)[:, -2:]
        found = 1.0 - np.abs(two[:, 1] - two[:, 0])
    elif measure == "entropy":
        found = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1) / math.log(k)
    else:
        found = (1.0 - p.max(axis=1)) * k / (k - 1)
    return np.where(blank, np.nan, np.clip(found, 0.0, 1.0))


def _several(p: npt.NDArray[np.float64], measure: str) -> npt.NDArray[np.float64]:
    """All three grow with the closeness to one half, so the label nearest to it decides."""
    if not p.shape[1]:
        return np.zeros(len(p))
    blank = np.isnan(p).any(axis=1)
    nearest_half = np.where(blank, 0.0, 0.5 - np.abs(p - 0.5).min(axis=1))
    return np.where(blank, np.nan, _one(np.stack([nearest_half, 1 - nearest_half], axis=1), measure))
