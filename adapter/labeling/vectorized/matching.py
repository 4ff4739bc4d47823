"""Many patterns in one pass over many texts, through Hyperscan: which patterns are found in which texts."""

from __future__ import annotations

import importlib.util
import re
import threading
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.labeling.vectorized.translate import END, START, translate

Bools: TypeAlias = npt.NDArray[np.bool_]
Parts: TypeAlias = "tuple[tuple[str, int], ...]"
"""Regexes with their flags; what they stand for is found where any of them is."""

BLOCK_CHARACTERS = 1 << 20
LONG_TEXT = 1 << 16
FREQUENT = 4
"""Finds a text from which on a pattern is scanned text by text, where only its first find is told."""
MOST_FINDS = 1_000_000
_BETWEEN = (END + START).decode("latin-1")


def available() -> bool:
    """Say whether Hyperscan is installed. Without it every text goes through the functions' own rules."""
    return importlib.util.find_spec("hyperscan") is not None


class Matcher:
    """Patterns of one field, compiled once. Safe to use from several threads.

    patterns: each a tuple of (regex, flags), found where any of them is. certain: per pattern, whether a find in an
    ASCII text is sure; elsewhere it is a candidate, to be confirmed. usable: per pattern, whether it can be scanned.
    """

    def __init__(self, patterns: Sequence[Parts]) -> None:
        self.patterns = tuple(patterns)
        self._narrow = _Automaton(self.patterns, wide=False)
        self._wide: _Automaton | None = None
        self._lock = threading.Lock()
        self.usable: tuple[bool, ...] = self._narrow.usable
        self.certain: tuple[bool, ...] = self._narrow.exact

    def find(self, texts: Sequence[str]) -> tuple[Bools, Bools]:
        """Return (found, sure), both bool (n, patterns). A pattern that is not found is not there, for certain; one
        that is found and not sure must be confirmed. texts: not empty."""
        count = len(self.patterns)
        ascii_only = np.fromiter((text.isascii() for text in texts), bool, len(texts))
        sure = np.zeros((len(texts), count), bool)
        sure[ascii_only] = np.asarray(self.certain, bool)
        if ascii_only.all():
            return self._narrow.find(texts), sure
        found = np.zeros((len(texts), count), bool)
        for automaton, rows in ((self._narrow, ascii_only), (self._others(), ~ascii_only)):
            places = np.flatnonzero(rows)
            if places.size:
                found[places] = automaton.find([texts[place] for place in places])
        return found, sure

    def _others(self) -> _Automaton:
        with self._lock:
            if self._wide is None:
                self._wide = _Automaton(self.patterns, wide=True)
            return self._wide


class _Automaton:
    """The patterns for ASCII texts or for the others (`wide`), as databases over blocks of texts and over one text."""

    def __init__(self, patterns: Sequence[Parts], *, wide: bool) -> None:
        self.wide = wide
        self.count = len(patterns)
        translated = [[translate(_regex(*part), wide=wide) for part in parts] for parts in patterns]
        made = [[one for many in parts for one in many or ()] for parts in translated]
        possible = [number for number, parts in enumerate(translated) if None not in parts]
        texts = {number: sorted({one.text.encode() for one in made[number]}) for number in possible}
        accepted, database = _accepted(texts, possible)
        self._expressions = [(text, number) for number in accepted for text in texts[number]]
        self.usable = tuple(number in accepted for number in range(self.count))
        self.exact = tuple(
            fine and all(one.exact for one in many) for fine, many in zip(self.usable, made, strict=True)
        )
        self._frequent: frozenset[int] = frozenset()
        self._databases: dict[tuple[frozenset[int], bool], Any] = {(frozenset(range(self.count)), False): database}
        self._lock = threading.Lock()
        self._local = threading.local()

    def find(self, texts: Sequence[str]) -> Bools:
        """Return bool (n, patterns); a pattern that cannot be scanned is a candidate everywhere."""
        found = np.zeros((len(texts), self.count), bool)
        found[:, ~np.asarray(self.usable, bool)] = True
        if not self._expressions:
            return found
        start = 0
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        while start < len(texts):
            if lengths[start] > LONG_TEXT:
                self._each(texts[start : start + 1], found[start : start + 1], frozenset(range(self.count)))
                start += 1
                continue
            total = np.cumsum(lengths[start : start + BLOCK_CHARACTERS // 64])
            stop = start + max(int(np.searchsorted(total, BLOCK_CHARACTERS, "right")), 1)
            long = np.flatnonzero(lengths[start:stop] > LONG_TEXT)
            stop = start + int(long[0]) if long.size else stop
            self._block(texts[start:stop], found[start:stop])
            start = stop
        return found

    def _block(self, texts: Sequence[str], found: Bools) -> None:
        """Scan texts joined into one; where patterns are found too often, give that up and scan text by text."""
        frequent = self._frequent
        rare = frozenset(range(self.count)) - frequent
        if frequent:
            self._each(texts, found, frequent)
        database = self._database(rare, single=False)
        if database is None:
            return
        if self.wide:
            pieces = [text.encode("utf-8", "surrogatepass") for text in texts]
            lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
            joined = START + (END + START).join(pieces) + END
        else:
            lengths = np.fromiter(map(len, texts), np.int64, len(texts))
            joined = START + _BETWEEN.join(texts).encode("latin-1") + END
        ends: list[int] = []
        numbers: list[int] = []
        add_end, add_number = ends.append, numbers.append
        limit = min((8 * FREQUENT + self.count // 4) * len(texts) + 1000, MOST_FINDS)

        def seen(number: int, start: int, end: int, flags: int, context: object) -> bool | None:
            add_number(number)
            add_end(end)
            return True if len(ends) > limit else None

        whole = self._scan(database, joined, seen)
        starts = np.cumsum(lengths + 2) - (lengths + 2)
        rows = np.searchsorted(starts, np.asarray(ends, np.int64) - 1, "right") - 1
        of = np.asarray(numbers, np.int64)
        found.reshape(-1)[rows * self.count + of] = True  # `found` is a run of whole rows, so this writes into it
        if not whole:
            scanned = int(rows.max()) + 1
            often = np.flatnonzero(np.bincount(of, minlength=self.count) > FREQUENT * scanned)
            with self._lock:
                self._frequent |= frozenset(map(int, often)) or rare
            self._each(texts, found, rare)

    def _each(self, texts: Sequence[str], found: Bools, numbers: frozenset[int]) -> None:
        """Scan text by text: each pattern tells its first find only."""
        database = self._database(numbers, single=True)
        if database is None:
            return
        for row, text in enumerate(texts):
            piece = text.encode("utf-8", "surrogatepass") if self.wide else text.encode("latin-1")
            seen: list[int] = []
            add = seen.append
            self._scan(database, START + piece + END, lambda number, *_, add=add: add(number))
            found[row, seen] = True

    def _scan(self, database: Any, data: bytes, seen: Any) -> bool:
        """Scan; False where `seen` ended it."""
        import hyperscan

        scratches = self._local.__dict__.setdefault("scratches", {})
        scratch = scratches.get(id(database))
        if scratch is None:  # each thread needs its own
            scratch = scratches[id(database)] = database.scratch.clone()
        try:
            database.scan(data, match_event_handler=seen, scratch=scratch)
        except hyperscan.ScanTerminated:
            return False
        return True

    def _database(self, numbers: frozenset[int], *, single: bool) -> Any:
        """The database of these patterns, compiled once; None where there is nothing to scan for."""
        import hyperscan

        with self._lock:
            key = (numbers, single)
            if key not in self._databases:
                chosen = [(text, number) for text, number in self._expressions if number in numbers]
                flags = hyperscan.HS_FLAG_SINGLEMATCH if single else 0
                self._databases[key] = _compile(chosen, flags) if chosen else None
            return self._databases[key]


def _compile(expressions: Sequence[tuple[bytes, int]], flags: int) -> Any:
    import hyperscan

    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    texts, numbers = zip(*expressions, strict=True)
    database.compile(expressions=list(texts), ids=list(numbers), elements=len(texts), flags=flags)
    return database


def _accepted(texts: Mapping[int, Sequence[bytes]], numbers: Sequence[int]) -> tuple[frozenset[int], Any]:
    """Return which of the patterns the automaton takes, all at once, and their database; some are too large for it."""
    if not numbers:
        return frozenset(), None
    import hyperscan

    try:
        return frozenset(numbers), _compile([(text, number) for number in numbers for text in texts[number]], 0)
    except hyperscan.HyperscanError:
        if len(numbers) == 1:
            return frozenset(), None
    half = len(numbers) // 2
    first, second = _accepted(texts, numbers[:half]), _accepted(texts, numbers[half:])
    if not first[0] or not second[0]:
        return first if first[0] else second
    both = sorted(first[0] | second[0])
    if len(both) == len(numbers):  # each half is taken, but not both together
        return first
    try:
        return frozenset(both), _compile([(text, number) for number in both for text in texts[number]], 0)
    except hyperscan.HyperscanError:
        return first


def _regex(text: str, flags: int) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the author was told when the function was declared
        return re.compile(text, flags)


@lru_cache(maxsize=16)
def matcher(patterns: tuple[Parts, ...]) -> Matcher:
    """Return the compiled patterns; the same patterns are compiled once a process."""
    return Matcher(patterns)
