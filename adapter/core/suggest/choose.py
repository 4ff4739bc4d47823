"""A short list out of many candidates: greedy by what each adds to the functions there are and to those before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from adapter.core.suggest.base import Candidate, Evidence, Ints

JOINED = 6
"""Words of one list."""
STEM = 5
"""Letters that two words must begin with to count as forms of one."""
CLOSE = 0.3
"""Share of the smaller one's rows that two words must have in common to count as one theme."""
WORSE = 0.05
"""How much lower than the first word's the precision of a word that joins it may be."""


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A candidate on the list. gain: what it was chosen by (see `choose`). newly: rows of the sample that nothing
    covers yet, neither a function nor a suggestion before it. overlap: share of its rows of the sample on which a
    function votes already."""

    candidate: Candidate
    gain: float
    newly: int
    overlap: float


def choose(candidates: Sequence[Candidate], evidence: Evidence, limit: int) -> list[Chosen]:
    """Return at most `limit` candidates, the one that adds most first.

    Gain: over the rows of the sample that it votes on, 1 / (1 + votes there already)^2, times the square of its edge
    (how far the lower bound of its precision stands above its label's base rate, on the half that found it): a rule
    that is right is worth more than a loose one that reaches twice as far. Greedy for a sum with
    falling returns comes within 1 - 1/e of the best list (Nemhauser et al. 1978); near-copies of what is there fall
    out by themselves. A keyword or phrase grows into a list by words of the same label that are forms of it or share
    its rows, that are about as precise, and that add rows. The half of the labels that checks has no say.
    """
    if not candidates or limit < 1:
        return []
    from scipy.sparse import csc_matrix

    size = evidence.size
    inside = [candidate.hits[candidate.hits < size] for candidate in candidates]
    pointers = np.concatenate([[0], np.cumsum([len(rows) for rows in inside])])
    values = np.ones(int(pointers[-1]))
    matrix = csc_matrix((values, np.concatenate(inside), pointers), shape=(size, len(candidates)))
    edges = np.array([max(0.0, candidate.judged.edge) ** 2 * candidate.weight for candidate in candidates])
    votes = evidence.votes[:size].astype(np.float64)
    covered = votes > 0
    open_ = np.ones(len(candidates), bool)
    chosen: list[Chosen] = []
    while len(chosen) < limit and open_.any():
        gains = np.where(open_, (matrix.T @ (1 / (1 + votes) ** 2)) * edges, 0.0)
        best = _first(gains, candidates)
        if gains[best] < 1e-9:
            break
        open_[best] = False
        picked, used = candidates[best], [best]
        if picked.text:
            near = np.asarray((matrix.T @ matrix[:, [best]].toarray()).ravel())
            picked, used = _grown(best, candidates, open_, near, gains, evidence)
        open_[used] = False
        rows = picked.hits[picked.hits < size]
        newly = int((~covered[rows] & (votes[rows] == 0)).sum())
        gain = float((1 / (1 + votes[rows]) ** 2).sum() * max(0.0, picked.judged.edge) ** 2 * picked.weight)
        if newly or gain >= 1.0:
            chosen.append(Chosen(picked, gain, newly, float(covered[rows].mean()) if len(rows) else 0.0))
            votes[rows] += 1
    return chosen


def _first(gains: npt.NDArray[np.float64], candidates: Sequence[Candidate]) -> int:
    """The greatest gain; of equals the shorter text, then the earlier in the alphabet."""
    top = np.flatnonzero(gains >= gains.max() - 1e-9)
    return int(min(top, key=lambda index: (len(candidates[index].text), candidates[index].words, index)))


def _grown(
    best: int,
    candidates: Sequence[Candidate],
    open_: npt.NDArray[np.bool_],
    near: npt.NDArray[np.float64],
    gains: npt.NDArray[np.float64],
    evidence: Evidence,
) -> tuple[Candidate, list[int]]:
    """Join to a term those that belong to it; return the list and which candidates went into it."""
    seed = candidates[best]
    kin = [
        index
        for index in np.flatnonzero(open_ & (gains > 0)).tolist()
        if candidates[index].kind == seed.kind
        and candidates[index].label == seed.label
        and candidates[index].options == seed.options
        and _belongs(seed, candidates[index], float(near[index]), evidence.size)
        and candidates[index].judged.precision >= seed.judged.precision - WORSE
    ]
    kin.sort(key=lambda index: (-gains[index], candidates[index].text))
    members, union = [best], seed.hits
    for index in kin:
        if len(members) >= JOINED:
            break
        more = candidates[index].hits
        if len(np.setdiff1d(more, union)) >= max(2, len(union) // 50):
            members.append(index)
            union = np.union1d(union, more)
    members = _needed(members, candidates)
    if members == [best]:
        return seed, [best]
    judged = evidence.judge(seed.label, union, looks=seed.looks)
    if not judged.worth or judged.edge**2 * len(union) < seed.judged.edge**2 * len(seed.hits):
        return seed, [best]
    texts = [candidates[index].text for index in members]
    words = tuple(dict.fromkeys(word for index in members for word in candidates[index].words))
    return replace(seed, hits=union, judged=judged, args=(seed.args[0], texts), words=words), members


def _belongs(seed: Candidate, other: Candidate, shared: float, size: int) -> bool:
    smaller = min(int((seed.hits < size).sum()), int((other.hits < size).sum()))
    forms = seed.text[:STEM] == other.text[:STEM] and min(len(seed.text), len(other.text)) >= STEM
    return forms or shared >= CLOSE * max(1, smaller)


def _needed(members: Sequence[int], candidates: Sequence[Candidate]) -> list[int]:
    """Without the terms whose rows the others have anyway."""
    kept = list(members)
    for index in list(members):
        others: list[Ints] = [candidates[other].hits for other in kept if other != index]
        if others and not len(np.setdiff1d(candidates[index].hits, np.concatenate(others))):
            kept.remove(index)
    return kept
