"""Typical tasks first: for the first labels, when nothing judges yet."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adapter.core.neighbours import clusters, unit_rows
from adapter.core.strategies.base import Ints, State, Vectors, strategy
from adapter.ports import Floats

NEIGHBOURS = 20
"""Nearest neighbours that typicality is measured by (Hacohen et al., appendix: K = 20)."""
MOST_CLUSTERS = 500
"""Hacohen et al., appendix."""
SMALLEST = 5
"""Clusters with fewer tasks wait until the others have given one."""
REACH = 20
LEAST, MOST = 1_000, 5_000
"""Tasks that are clustered: REACH batches, within these bounds, drawn at random."""
MOST_PICKED = 1_000


@strategy(
    "typiclust",
    picks=True,
    vectors=True,
    probabilities=False,
    reason="typical of a part of the data from which nobody has labelled anything",
    source="Hacohen, Dekel, Weinshall 2022, arXiv 2202.02794",
)
def typiclust(vectors: Vectors, probabilities: Floats | None, state: State) -> Ints:
    """TypiClust (Hacohen, Dekel, Weinshall 2022, arXiv 2202.02794): as many clusters as there are labels plus picks;
    of those with the fewest labels, the largest first, each gives its most typical task, that is the one with the
    smallest mean distance to its 20 nearest neighbours there. After each batch the picks count as labelled, and the
    clusters are made anew (in steps that double, so that a long order stays cheap).

    Looks at embeddings alone, of REACH batches drawn at random, 1,000 to 5,000 tasks; cost is that of k-means there,
    about a second for 200 picks. Wins at the smallest budgets and where classes form clusters; at larger ones it falls
    behind uncertainty, and on AG News it lost from the start. So: for the seed, then switch."""
    random = state.random()
    batch = max(1, state.batch)
    rows = state.drawn()[: int(np.clip(REACH * batch, LEAST, MOST))]
    unit = vectors[rows]
    labelled: Floats = np.zeros((0, unit.shape[1]), np.float32)
    if state.labelled is not None and len(state.labelled):
        labelled = unit_rows(np.asarray(state.labelled, np.float32))[0]
        if len(labelled) > MOST:
            labelled = labelled[np.sort(random.permutation(len(labelled))[:MOST])]
    wanted = min(max(state.size, batch), MOST_PICKED, len(rows))
    picked: list[int] = []
    while len(picked) < wanted:
        more = min(max(batch, len(picked)), wanted - len(picked))
        count = min(len(labelled) + len(picked) + more, MOST_CLUSTERS)
        found = clusters(np.concatenate([unit, labelled]), count, random, trials=2 + int(np.log(count)))
        picked += _round(unit, found[: len(rows)], found[len(rows) :], picked, more)
    return np.asarray(rows[picked], np.int64)


def _round(unit: Floats, of: Ints, of_labelled: Ints, picked: list[int], more: int) -> list[int]:
    """The next `more` picks, as long as there are that many: cluster by cluster, in turn."""
    free = np.ones(len(unit), bool)
    free[picked] = False
    count = int(max(of.max(initial=0), of_labelled.max(initial=0))) + 1
    labels = np.bincount(of_labelled, minlength=count) + np.bincount(of[picked], minlength=count)
    sizes = np.bincount(of, minlength=count)
    left = np.bincount(of[free], minlength=count)
    first = np.full(count, len(unit))
    np.minimum.at(first, of, np.arange(len(of)))
    turns = [int(one) for one in np.lexsort((first, -sizes, labels, sizes < SMALLEST)) if left[one]]
    queues: dict[int, list[int]] = {}
    chosen: list[int] = []
    while turns and len(chosen) < more:
        for one in turns:
            if one not in queues:
                members = np.flatnonzero((of == one) & free)
                queues[one] = members[np.argsort(-typicality(unit[members]), kind="stable")].tolist()
            chosen.append(queues[one].pop(0))
            if len(chosen) == more:
                break
        turns = [one for one in turns if queues.get(one)]
    return chosen


def typicality(unit: Floats, neighbours: int = NEIGHBOURS) -> npt.NDArray[np.float64]:
    """Return (n,): one over the mean distance of each unit vector (n, d) to its nearest neighbours among the others
    (Hacohen et al. 2022, equation 1), rounded to 5 digits; at most half of the others count. Of one alone: 1."""
    n = len(unit)
    if n < 2:
        return np.ones(n)
    distance = np.sqrt(np.maximum(2.0 - 2.0 * (unit @ unit.T).astype(np.float64), 0.0))
    np.fill_diagonal(distance, np.inf)
    count = max(1, min(neighbours, n // 2))
    near = np.partition(distance, count - 1, axis=1)[:, :count].mean(axis=1)
    return np.asarray(np.round(1.0 / (near + 1e-5), 5))
