"""Folds of cross-validation that keep a group (a task and its duplicates) together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from adapter.core.blind import draws

Ints = npt.NDArray[np.int64]


def grouped_folds(
    groups: Sequence[str], folds: int, seed: int, strata: Sequence[Hashable] | npt.NDArray[np.generic] | None = None
) -> Ints:
    """Return the fold of each row, (n,) in 0..folds-1: rows of one group share a fold, each stratum is spread evenly.

    groups: (n,) one name a row. strata: (n,) one class a row, any hashable; a class with fewer groups than folds is
    missing from some folds, which is no error. With fewer groups than folds there are as many folds as groups. A row's
    fold depends on the set of rows and the seed, not on their order. Raises ValueError for fewer than two folds or
    groups, and when the lengths differ.
    """
    if folds < 2:
        raise ValueError(f"cross-validation needs at least two folds, got {folds}")
    classes = ["" for _ in groups] if strata is None else [repr(item) for item in np.asarray(strata).tolist()]
    if len(classes) != len(groups):
        raise ValueError(f"{len(groups)} groups but {len(classes)} strata")
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    if len(members) < 2:
        raise ValueError(f"cross-validation needs at least two groups of tasks, got {len(members)}")
    folds = min(folds, len(members))
    total = Counter(classes)
    names = sorted(members)
    chance = dict(zip(names, draws(names, seed, "fold").tolist(), strict=True))
    content = {name: Counter(classes[row] for row in members[name]) for name in names}
    # Rarest class first, then large groups: they are the hardest to spread. Within these, by chance.
    main = {name: min(content[name], key=lambda c: (total[c], c)) for name in names}
    order = sorted(names, key=lambda name: (total[main[name]], main[name], -len(members[name]), chance[name]))
    out = np.zeros(len(groups), np.int64)
    size = [0] * folds
    held: list[Counter[str]] = [Counter() for _ in range(folds)]
    for name in order:
        best = min(range(folds), key=lambda fold: (held[fold][main[name]], size[fold], fold))
        out[members[name]] = best
        size[best] += len(members[name])
        held[best].update(content[name])
    return out
