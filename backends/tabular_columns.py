"""Columns of numbers and of categories, found in examples: what the tabular backend sees of a task."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats
from adapter.vocabulary import JsonObject

MOST_COLUMNS = 1_000
MOST_CATEGORIES = 200
DEPTH = 4
LONGEST = 200
"""Characters of a category that count."""
NUMERIC_SHARE = 0.95
"""Share of a column's values that must be numbers for it to be a column of numbers."""
FAR = 3.0  # spreads from the middle beyond which a number is just far, in vectors
Doubles = npt.NDArray[np.float64]


def values_of(example: JsonObject, fields: Sequence[str]) -> dict[str, Any]:
    """Return the values of an example by column name. Objects in a field give a column for each key, such as
    `address.city`; None, empty text and numbers that are not finite are left out."""
    found: dict[str, Any] = {}
    for field in fields:
        for name, value in _flat(field, example.get(field), DEPTH):
            if len(found) >= MOST_COLUMNS:
                return found
            found.setdefault(name, value)
    return found


def _flat(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and depth > 1:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}"[:LONGEST], inner, depth - 1)
    elif isinstance(value, str):
        text = value.strip()[:LONGEST]
        if text:
            yield name, text
    elif isinstance(value, bool):
        yield name, str(value).lower()
    elif isinstance(value, int | float):
        number = number_of(value)
        if number is not None:
            yield name, number
    elif value is not None:
        yield name, json.dumps(value, ensure_ascii=True, default=str, sort_keys=False)[:LONGEST]


def number_of(value: Any) -> float | None:
    """Return a finite number, also one written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < 1e300 else None


@dataclass(frozen=True)
class Columns:
    """The columns of training examples: first those of categories, with the categories of each, then those of numbers,
    with the middle and the spread of each (medians and interquartile ranges)."""

    categorical: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    numeric: tuple[str, ...]
    middles: Doubles
    spreads: Doubles

    @classmethod
    def find(cls, rows: Sequence[Mapping[str, Any]]) -> Columns:
        """Return the columns of these rows of `values_of`. Columns with one value only are left out, as are categories
        that occur once, and all but the MOST_CATEGORIES most frequent of a column."""
        names = dict.fromkeys(name for row in rows for name in row)
        categorical, categories, numeric, middles, spreads = [], [], [], [], []
        for name in sorted(names)[:MOST_COLUMNS]:
            values = [row[name] for row in rows if name in row]
            numbers = [number for number in map(number_of, values) if number is not None]
            if len(numbers) >= NUMERIC_SHARE * len(values):
                low, middle, high = np.quantile(numbers, [0.25, 0.5, 0.75])
                if min(numbers) < max(numbers) or len(values) < len(rows):
                    numeric.append(name)
                    middles.append(middle)
                    spreads.append(max(high - low, np.std(numbers) / 2) or 1.0)
                continue
            counts = Counter(map(_word, values))
            common = [word for word, count in sorted(counts.items(), key=lambda each: (-each[1], each[0])) if count > 1]
            if len(common) > 1 or (common and counts[common[0]] < len(rows)):
                categorical.append(name)
                categories.append(tuple(sorted(common[:MOST_CATEGORIES])))
        return cls(
            tuple(categorical),
            tuple(categories),
            tuple(numeric),
            np.asarray(middles, float),
            np.asarray(spreads, float),
        )

    @property
    def count(self) -> int:
        """The number of columns."""
        return len(self.categorical) + len(self.numeric)

    def table(self, rows: Sequence[Mapping[str, Any]]) -> Doubles:
        """Return (n, columns): numbers of categories, then numbers; NaN for what is missing or was never seen."""
        out = np.full((len(rows), self.count), np.nan)
        codes = [{word: code for code, word in enumerate(words)} for words in self.categories]
        start = len(self.categorical)
        for place, row in enumerate(rows):
            for column, name in enumerate(self.categorical):
                if name in row:
                    out[place, column] = codes[column].get(_word(row[name]), np.nan)
            for column, name in enumerate(self.numeric):
                number = number_of(row.get(name))
                if number is not None:
                    out[place, start + column] = number
        return out

    def wide(self, table: Doubles) -> Floats:
        """Return (n, width): one, a number 0 or 1 for each category, and the numbers less their middle in spreads, at
        most FAR, 0 where missing."""
        parts: list[Any] = [np.full((len(table), 1), 0.5)]
        parts += [table[:, [column]] == np.arange(len(words))[None, :] for column, words in enumerate(self.categories)]
        numbers = (table[:, len(self.categorical) :] - self.middles) / self.spreads
        parts.append(np.clip(np.nan_to_num(numbers, nan=0.0), -FAR, FAR) / 2)
        wide: Floats = np.concatenate(parts, axis=1).astype(np.float32)
        return wide

    def meta(self) -> dict[str, Any]:
        """Return what `from_meta` needs, as JSON."""
        return {
            "categorical": list(self.categorical),
            "categories": [list(words) for words in self.categories],
            "numeric": list(self.numeric),
            "middles": self.middles.tolist(),
            "spreads": self.spreads.tolist(),
        }

    @classmethod
    def from_meta(cls, meta: dict[str, Any]) -> Columns:
        """Return the columns that were taken apart. Raises KeyError, TypeError or ValueError if the parts do not
        fit."""
        categories = tuple(tuple(str(word) for word in words) for words in meta["categories"])
        numeric = tuple(str(name) for name in meta["numeric"])
        middles, spreads = np.asarray(meta["middles"], float), np.asarray(meta["spreads"], float)
        categorical = tuple(str(name) for name in meta["categorical"])
        fit = len(categories) == len(categorical) and middles.shape == spreads.shape == (len(numeric),)
        if not fit or not (spreads > 0).all() or not np.isfinite(middles).all():
            raise ValueError("the columns do not fit together")
        return cls(categorical, categories, numeric, middles, spreads)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
