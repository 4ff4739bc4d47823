"""Sums over functions of a number that each vote looks up: what a vote counts, a log-odds weight, a log-likelihood.

A consolidator that treats functions as independent answers a row with sum over j of tables[j, vote of j], whatever its
tables mean. Here that is done for a million rows without a one-hot matrix: the votes of a few functions are packed into
one integer, and their joint table, made once, is looked up instead of each of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from adapter.core.weak.base import ABSTAIN, Bools, Votes
from adapter.ports import Floats

Doubles = npt.NDArray[np.float64]

CHUNK = 4096
"""Rows at a time: within the cache, and too few for the linear algebra library to wake its threads for."""
MOST_ENTRIES = 4096
"""Rows of a joint table, which then stays in the processor's cache."""


def table_sums(votes: Votes, tables: Doubles) -> Iterator[tuple[slice, Doubles, Bools]]:
    """Yield chunk after chunk of b rows: which, the sums over functions of what their votes look up, (b, c), and
    whether anybody votes on them, (b,).

    votes: (n, m), FAULT as ABSTAIN. tables: float64 (m, k + 1, c): row 0 of a function's table is for its abstaining,
    row 1 + y for its voting y. Raises ValueError when the two do not fit. A row's sum is the same in every chunk.
    """
    n, m = votes.shape
    if len(tables) != m:
        raise ValueError(f"{m} functions but tables of {len(tables)}")
    base, width = tables.shape[1], tables.shape[2]
    groups = list(_groups(m, base))
    places = np.zeros((m, len(groups)), np.float32)  # packed integers lie far below 2**24: exact
    for at, group in enumerate(groups):
        places[group, at] = [base**place for place in reversed(range(len(group)))]
    joint = [_joint(tables[group]) for group in groups]
    for start in range(0, n, CHUNK):
        digits = votes[start : start + CHUNK].astype(np.float32)
        np.maximum(digits, ABSTAIN, out=digits)
        digits += 1
        keys = np.ascontiguousarray((digits @ places).T, np.intp)
        out = np.zeros((len(digits), width))
        for at, table in enumerate(joint):
            out += table.take(keys[at], axis=0)
        yield slice(start, start + len(digits)), out, np.asarray(keys.any(axis=0))


def posteriors(votes: Votes, tables: Doubles, prior: Doubles) -> Floats:
    """Return softmax of prior + sum over functions of tables[j, vote of j], float32 (n, k); rows that nobody voted on
    are NaN.

    tables: float64 (m, k + 1, k) of log-likelihoods or log-odds, finite, as in `table_sums`. prior: (k,), log shares.
    """
    out = np.empty((len(votes), tables.shape[2]), np.float32)
    for rows, sums, covered in table_sums(votes, tables):
        columns = np.ascontiguousarray(sums.T)  # few labels, many rows: much faster down the columns
        columns += prior[:, None]
        columns -= columns.max(axis=0)
        np.exp(columns, out=columns)
        columns /= columns.sum(axis=0)
        columns[:, ~covered] = np.nan
        out[rows] = columns.T
    return out


def _groups(m: int, base: int) -> Iterator[list[int]]:
    """Yield columns to pack together, so that a joint table has at most MOST_ENTRIES rows (or is one function's)."""
    together = 1
    while base ** (together + 1) <= MOST_ENTRIES and together < m:
        together += 1
    for start in range(0, m, together):
        yield list(range(start, min(start + together, m)))


def _joint(tables: Doubles) -> Doubles:
    """Return the sums of every combination of votes of a few functions, (base ** functions, c)."""
    joint: Doubles = tables[0]
    for table in tables[1:]:
        joint = np.reshape(joint[:, None, :] + table[None, :, :], (-1, table.shape[1]))
    return joint
