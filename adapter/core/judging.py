"""Which tasks to label next to judge labeling functions: how much one person's label tells about the functions that
voted there.

The accuracy of a function of which a labels judged, r of them right, is Beta(1 + r, 1 + a - r). One more label lowers
its variance on average by p (1 - p) / (n + 1)^2, where p is its mean and n = a + 2 (the variance of the next posterior
mean, by the law of total variance). Functions never judged stand at 1/36, the most there is; it fades with the square
of the labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats

Votes = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

_MOST = 1 / 36
"""What a label tells of a function that was never judged."""
_BLOCK = 50_000
_FRONT = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class JudgingPicks:
    """rows: int64 (c,), rows of the votes, first to be labelled first. about: int64 (c,), for each the function that
    its label tells most about. value: float32 (c,) in 0..1, given the labels asked for before it."""

    rows: Ints
    about: Ints
    value: Floats


def judged(votes: Votes, rows: Ints, targets: npt.NDArray[np.floating]) -> tuple[Doubles, Doubles]:
    """Return (asked, right), float64 (m,) each: on how many labelled rows each function voted, and how many of those
    votes hold.

    votes: int16 (n, m), a label index, or below 0 for none. rows: (g,) the labelled ones. targets: (g, k) what people
    said, one-hot, soft (counted by its share) or multi-hot. Raises ValueError when rows and targets differ in length.
    """
    if len(rows) != len(targets):
        raise ValueError(f"{len(rows)} rows but {len(targets)} targets")
    mine = votes[rows]
    spoken = mine >= 0
    if not mine.size or not targets.shape[1]:
        return np.zeros(votes.shape[1]), np.zeros(votes.shape[1])
    held = np.take_along_axis(np.asarray(targets, np.float64), np.where(spoken, mine, 0).astype(np.int64), axis=1)
    return spoken.sum(axis=0).astype(np.float64), np.where(spoken, np.clip(held, 0, 1), 0).sum(axis=0)


def judging_value(
    votes: Votes, asked: npt.ArrayLike, right: npt.ArrayLike, *, multiple: bool = False
) -> npt.NDArray[np.float32]:
    """Return float32 (n,) in 0..1: how much a person's label of each row would tell about the functions.

    votes: int16 (n, m), a label index, or below 0 for none. asked: (m,) labels that judged each function so far. right:
    (m,) how many of them agreed with it. multiple: votes for several labels do not contradict each other.

    The sum over the functions that voted there of the expected fall in the variance of their accuracy, as a share of
    the most it can be, each weighted by the share of the pool that its votes decide (a vote among v decides 1/v of its
    row). Halved where the row's votes agree, for what people will say is then half known; whole where every two differ.
    1 means that all functions, never judged, contradict each other here; 0 that nobody voted. Raises ValueError for
    shapes that do not fit or right > asked.
    """
    known, hits = _checked(votes, asked, right)
    weights = _weights(votes)
    unit = weights * _fall(known, hits)
    return _blocks([_values(part, unit, multiple) for part in _parts(votes)])


def pick_judging(
    votes: Votes,
    asked: npt.ArrayLike,
    right: npt.ArrayLike,
    count: int,
    *,
    order: npt.NDArray[np.floating] | None = None,
    multiple: bool = False,
    weights: npt.NDArray[np.floating] | None = None,
    least: float = 0.0,
) -> JudgingPicks:
    """Return at most `count` rows that together tell most, so that ten picks do not all judge one function.

    Greedy: after each pick every function that voted there counts as judged once more, right as often as it is expected
    to be. votes, asked, right, multiple: as `judging_value` takes them. order: (n,) decides between equal rows, smaller
    first, such as a seeded draw; the row number where it is left out. weights: (m,) shares of the pool that the
    functions decide, where `votes` holds only some of its rows. least: share of what a row would tell if its functions
    had never been judged, under which it is not picked: judging fades as functions become known. Rows that would tell
    nothing are not picked. Raises ValueError.
    """
    known, hits = _checked(votes, asked, right)
    n = len(votes)
    if order is not None and len(order) != n:
        raise ValueError(f"{n} rows but {len(order)} places in the order")
    weights = _weights(votes) if weights is None else np.asarray(weights, np.float64)
    rows_in, starts, sizes = _patterns(votes, order)
    firsts = rows_in[starts]
    unit = weights * _fall(known, hits)
    bound = _blocks([_values(votes[firsts[lo : lo + _BLOCK]], unit, multiple) for lo in range(0, len(firsts), _BLOCK)])
    rank = np.argsort(-bound, kind="stable")
    front = 0
    spoken: Doubles = np.empty((0, votes.shape[1]))
    factor: Doubles = np.empty(0)
    taken: Ints = np.empty(0, np.int64)
    rows: list[int] = []
    about: list[int] = []
    values: list[float] = []
    wanted = min(_FRONT, len(rank))
    while len(rows) < count:
        if front < wanted:
            new = votes[firsts[rank[front:wanted]]]
            spoken = np.concatenate([spoken, (new >= 0).astype(np.float64)])
            factor = np.concatenate([factor, _factor(new, multiple)])
            taken = np.concatenate([taken, np.zeros(len(new), np.int64)])
            front = wanted
        unit = weights * _fall(known, hits)
        now = np.where(taken < sizes[rank[:front]], (spoken @ unit) * factor, 0.0)
        now[now < least * (spoken @ weights) * factor] = 0.0
        best = int(now.argmax()) if front else -1
        # What a row tells only falls as others are picked, so its first value bounds those beyond the front.
        if front < len(rank) and now[best] < bound[rank[front]]:
            wanted = min(2 * front, len(rank))
            continue
        if best < 0 or now[best] <= 0:
            break
        rows.append(int(rows_in[starts[rank[best]] + taken[best]]))
        about.append(int((spoken[best] * unit).argmax()))
        values.append(float(now[best]))
        taken[best] += 1
        hits = hits + spoken[best] * (hits + 1) / (known + 2)
        known = known + spoken[best]
    return JudgingPicks(
        np.array(rows, np.int64), np.array(about, np.int64), np.clip(np.array(values, np.float32), 0, 1)
    )


def deciding_shares(votes: Votes) -> Doubles:
    """Return float64 (m,): the share of the rows that each function's votes decide, a vote among v counting 1/v. They
    sum to the share of rows that any function votes on."""
    return _weights(votes)


def _checked(votes: Votes, asked: npt.ArrayLike, right: npt.ArrayLike) -> tuple[Doubles, Doubles]:
    if votes.ndim != 2:
        raise ValueError(f"votes need the shape (rows, functions), got {votes.shape}")
    known, hits = np.asarray(asked, np.float64), np.asarray(right, np.float64)
    if known.shape != (votes.shape[1],) or hits.shape != known.shape:
        raise ValueError(f"{votes.shape[1]} functions but counts of the shape {known.shape} and {hits.shape}")
    if (hits < 0).any() or (hits > known).any():
        raise ValueError("a function cannot be right less than never or more often than it was judged")
    return known, hits


def _fall(asked: Doubles, right: Doubles) -> Doubles:
    """(m,) how far one more label lowers the variance of each function's accuracy, as a share of the most."""
    n = asked + 2
    p = (right + 1) / n
    return np.asarray(p * (1 - p) / (n + 1) ** 2 / _MOST, np.float64)


def _parts(votes: Votes) -> list[Votes]:
    return [votes[lo : lo + _BLOCK] for lo in range(0, len(votes), _BLOCK)]


def _weights(votes: Votes) -> Doubles:
    total = np.zeros(votes.shape[1])
    for part in _parts(votes):
        spoken = part >= 0
        total += (spoken / np.maximum(1, spoken.sum(axis=1))[:, None]).sum(axis=0)
    return total / max(1, len(votes))


def _values(votes: Votes, unit: Doubles, multiple: bool) -> Floats:
    value = ((votes >= 0) @ unit) * _factor(votes, multiple)
    return np.clip(value, 0, 1).astype(np.float32)


def _factor(votes: Votes, multiple: bool) -> Doubles:
    """(n,) from 1/2 where the row's votes agree to 1 where every two differ: 1/2 plus half the share of differing
    pairs."""
    spoken = (votes >= 0).sum(axis=1)
    if multiple or not votes.size:
        return np.full(len(votes), 0.5)
    same = np.zeros(len(votes))
    for label in range(int(votes.max(initial=-1)) + 1):
        mine = (votes == label).sum(axis=1)
        same += mine * (mine - 1)
    pairs = np.maximum(1, spoken * (spoken - 1))
    return 0.5 + 0.5 * np.where(spoken > 1, 1 - same / pairs, 0.0)


def _blocks(parts: list[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _patterns(votes: Votes, order: npt.NDArray[np.floating] | None) -> tuple[Ints, Ints, Ints]:
    """Rows with the same votes, as groups: all rows group by group, each group's start there, and its size. Within a
    group and among groups (by their first row) in the order given."""
    n, m = votes.shape
    if not n or not m:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64)
    place = np.argsort(np.argsort(np.arange(n) if order is None else order, kind="stable"), kind="stable")
    mixed = np.random.default_rng(0).integers(1, 2**63, size=m, dtype=np.uint64) | np.uint64(1)
    keys = np.concatenate([(part.astype(np.uint64) * mixed).sum(axis=1, dtype=np.uint64) for part in _parts(votes)])
    rows = np.lexsort((place, keys))
    starts = np.concatenate([[0], np.flatnonzero(np.diff(keys[rows])) + 1]).astype(np.int64)
    sizes = np.diff(np.append(starts, n))
    sequence = np.argsort(place[rows[starts]], kind="stable")
    return rows, starts[sequence], sizes[sequence]
