"""Beginning where the model before it ended, without losing what a fresh start has.

Two things go wrong where a training simply goes on. The model generalises worse than one that begins anew (Ash and
Adams 2020, "On Warm-Starting Neural Network Training", section 3); their remedy is to shrink the weights and to perturb
them (section 4), here towards what a fresh start would begin with. And examples that are held out, to tell when to
stop and how sure to be, are no evidence once the model before it has learned from them. So a model keeps, by a digest
of each example's content, which ones it learned from, and the next one never holds those out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError
from backends.files import Arrays

MARKS, PARTS = "seen.marks", "seen.parts"
LEARNED, HELD = 1, 0
Parts = dict[int, int]
"""Digest of an example to the part that it is in: which net of several holds it out, or LEARNED and HELD."""


def switch(backend: str, value: object) -> bool:
    """Return the option `warm_start`; raise BackendError if it is neither true nor false."""
    if not isinstance(value, bool):
        raise BackendError(
            f"option 'warm_start' of {backend} is {value!r}", where="backend.options", remedy="Give true or false."
        )
    return value


def mark(key: str) -> int:
    """Return 64 bits of a key's digest."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def parts_of(keys: Sequence[str], numbers: Sequence[int], former: Mapping[int, int]) -> Parts:
    """Return the parts of examples by their keys, with those that the former model saw and that are gone since."""
    return {**former, **{mark(key): int(number) for key, number in zip(keys, numbers, strict=True)}}


def parts_as_arrays(parts: Mapping[int, int]) -> Arrays:
    """Return what `parts_from` reads."""
    order = sorted(parts)
    return {MARKS: np.asarray(order, np.uint64), PARTS: np.asarray([parts[one] for one in order], np.int8)}


def parts_from(arrays: Arrays, count: int) -> Parts:
    """Return the parts that a saved model keeps, numbers of 0 to count-1; empty if it keeps none. Raises ValueError if
    they make no sense."""
    marks, numbers = arrays.get(MARKS, np.zeros(0, np.uint64)), arrays.get(PARTS, np.zeros(0, np.int8))
    if marks.dtype != np.uint64 or marks.ndim != 1 or numbers.shape != marks.shape or numbers.dtype != np.int8:
        raise ValueError("the parts of examples do not fit")
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() < count):
        raise ValueError("the parts of examples are out of range")
    return dict(zip(marks.tolist(), numbers.tolist(), strict=True))


def folds_on(keys: Sequence[str], strata: Sequence[Hashable], former: Mapping[int, int], count: int) -> list[int]:
    """Return the part of each example, 0 to count-1: those of the former model stay, new ones fill up what has fewest
    of their stratum. Equal keys share one."""
    part: dict[str, int] = {}
    of_stratum: Counter[tuple[Hashable, int]] = Counter()
    of_all: Counter[int] = Counter()
    fresh: dict[str, Hashable] = {}
    for key, stratum in zip(keys, strata, strict=True):
        known = former.get(mark(key))
        if known is None:
            fresh.setdefault(key, stratum)
        elif key not in part:
            part[key] = known
            of_stratum[stratum, known] += 1
            of_all[known] += 1
    for key in sorted(fresh, key=mark):
        stratum = fresh[key]
        best = min(range(count), key=lambda one: (of_stratum[stratum, one], of_all[one], one))
        part[key] = best
        of_stratum[stratum, best] += 1
        of_all[best] += 1
    return [part[key] for key in keys]


def held_on(
    keys: Sequence[str], strata: Sequence[Hashable], former: Mapping[int, int], share: float
) -> npt.NDArray[np.bool_]:
    """Return (n,) which examples are held out: those that the former model held out too, and of new ones so many that
    each stratum has its `share`, rounded down. None that the former model learned from. Equal keys share a side."""
    stratum = dict(zip(reversed(keys), reversed(strata), strict=True))  # of duplicates, the first one counts
    marks = {key: mark(key) for key in stratum}
    total = Counter(stratum.values())
    held = {key for key in stratum if former.get(marks[key]) == HELD}
    have = Counter(stratum[key] for key in held)
    for key in sorted(stratum, key=lambda one: marks[one]):
        of = stratum[key]
        if marks[key] not in former and have[of] + 1 <= share * total[of]:
            held.add(key)
            have[of] += 1
    return np.asarray([key in held for key in keys], bool)
