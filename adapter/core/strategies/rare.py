"""The search for labels that people have hardly seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from adapter.core.strategies.base import Ints, State, Unable, Vectors, strategy
from adapter.ports import Floats

EXPLORE = 0.25
"""Share of places that goes to random tasks, since a model recognises only what is like the few it has seen."""
UNSEEN = 0.5
"""The same share while nobody has used any of the labels."""
FRONT = 1_000
"""Places in which that share is kept, or `state.size` if that is more."""
_CELLS = 4_000_000


@strategy(
    "rare",
    picks=True,
    needs="names of labels, or some labels",
    reason="it may have a label that was hardly used yet",
    source="after Attenberg and Provost 2010, KDD (search for the rare class)",
)
def rare(vectors: Vectors | None, probabilities: Floats, state: State) -> Ints:
    """Search for rare labels: the greatest probability of `state.rare`, or without these of the labels that people have
    used less than half as often as the average label (at least the one used least). Each label's probability is
    weighted by its need, (1 + least) / (1 + uses), so that one that was found ten times gives way to one never found.

    One place in four goes to a random task, one in two while nobody has used any of these labels: Attenberg and Provost
    (2010) show that models miss whole parts of a rare class that they have never seen. Cost: one pass over the
    probabilities. It does not make the best model: it balances labels. It fails when the probabilities of the label
    are noise, as they are before its first few examples."""
    k = probabilities.shape[1]
    uses = _uses(state, k)
    wanted = [column for column in dict.fromkeys(state.rare) if 0 <= column < k]
    if not wanted:
        if uses is None:
            raise Unable("no labels are named as rare, and nobody has labelled anything yet")
        wanted = np.flatnonzero((uses < uses.mean() / 2) | (uses == uses.min())).tolist()
    need = np.ones(len(wanted))
    share = EXPLORE
    if uses is not None:
        need = (1.0 + uses[wanted].min()) / (1.0 + uses[wanted])
        share = EXPLORE if uses[wanted].sum() > 0 else UNSEEN
    score = _likely(probabilities, wanted, need, state.multiple)
    known = ~np.isnan(score)
    score[~known] = score[known].mean() if known.any() else 0.0
    best = np.lexsort((state.chance, -np.round(score, 6))).astype(np.int64)
    return _mixed(best, state.drawn(), share, min(len(best), max(FRONT, state.size)))


def _uses(state: State, k: int) -> npt.NDArray[np.float64] | None:
    """How often people have used each label, if they have labelled anything."""
    if state.targets is None or not len(state.targets) or state.targets.shape[1] != k:
        return None
    return np.asarray(np.nan_to_num(np.asarray(state.targets, np.float64)).sum(axis=0))


def _likely(
    probabilities: Floats, columns: list[int], need: npt.NDArray[np.float64], multiple: bool
) -> npt.NDArray[np.float64]:
    """The chance that one of these labels holds, each weighted by its need."""
    found = np.empty(len(probabilities))
    step = max(1, _CELLS // max(1, probabilities.shape[1]))
    for start in range(0, len(found), step):
        p = np.clip(np.asarray(probabilities[start : start + step][:, columns], np.float64), 0.0, 1.0) * need
        found[start : start + step] = 1.0 - (1.0 - p).prod(axis=1) if multiple else p.sum(axis=1)
    return found


def _mixed(best: Ints, drawn: Ints, share: float, count: int) -> Ints:
    """The best in order, with a share of the first `count` places given to the drawn ones; each once."""
    every = round(1 / share)
    front: list[int] = []
    taken: set[int] = set()
    sources = [iter(best.tolist()), iter(drawn.tolist())]
    while len(front) < count:
        source = sources[1 if len(front) % every == every - 1 else 0]
        row = next(row for row in source if row not in taken)
        front.append(row)
        taken.add(row)
    left = np.ones(len(best), bool)
    left[front] = False
    return np.concatenate([np.asarray(front, np.int64), best[left[best]]])
