"""Declared functions applied to whole columns: one pass over the texts for all keywords and regexes of a field.

The votes are those of the functions' row rules. What cannot be decided here safely or for certain is returned as
`left`, for the row rule in a worker with a time limit: a regex of Python's may backtrack for ever, the automaton here
takes time in proportion to the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from adapter.labeling.answers import reason
from adapter.labeling.declared import ColumnRule, LookupRule, ScoreRule, TextRule
from adapter.labeling.declared.common import absent, text_of
from adapter.labeling.function import LabelingFunction
from adapter.labeling.vectorized.matching import Bools, Matcher, Parts, available, matcher
from adapter.labeling.vectorized.values import ABSTAIN, FAULT, Codes, codes_of_values
from adapter.ports import Floats
from adapter.vocabulary import JsonObject

Fault: TypeAlias = tuple[int, int, str]
"""A row, the index of a function, and what went wrong there."""
Answered: TypeAlias = "tuple[Codes, Floats | None, list[Fault], Bools]"

CHUNK = 16_384
LONGEST_CONFIRMED = 100_000
"""Characters of a text up to which keywords are confirmed here; longer ones are left to a worker."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A function of one value a row, and its labels' codes."""

    rule: ColumnRule | LookupRule | ScoreRule
    codes: Mapping[str, int]
    at: int


@dataclass(frozen=True, slots=True)
class _Text:
    """A function of a text: which patterns of its field's matcher are its own."""

    rule: TextRule
    code: int
    at: int
    patterns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which functions are computed here, and how. Safe to use from several threads.

    functions: as many as were planned. able: the indices of those that are computed here, in their order. confidence:
    of each able function's votes.
    """

    functions: int
    able: tuple[int, ...]
    confidence: tuple[float, ...]
    _columns: tuple[_Column, ...]
    _texts: Mapping[str, tuple[_Text, ...]]
    _matchers: Mapping[str, Matcher]

    def votes(self, rows: Sequence[JsonObject]) -> Answered:
        """Vote on rows.

        Returns votes, int16 (n, able), -1 to abstain and -2 for a fault or what is left; confidence, float32 (n, able)
        or None where no function says how sure it is; faults, (row, index of the function, why), by row; and left, bool
        (n, able): cells that the functions' row rules must decide. Memory is bounded by the rows given: cut them.
        """
        return self._answer(lambda field: [row.get(field) for row in rows], len(rows))

    def votes_of_columns(self, columns: Mapping[str, Any]) -> Answered:
        """Vote on columns, as a data frame or an Arrow table has them; see `votes`. columns: field to a sequence, array
        or series, all of one length. A field that is not there is missing in every row. Cut into chunks here."""
        count = len(next(iter(columns.values()))) if columns else 0
        parts = [
            self._answer(_slicer(columns, start, min(start + CHUNK, count)), min(CHUNK, count - start))
            for start in range(0, count, CHUNK)
        ]
        parts = parts or [self._answer(lambda field: [], 0)]
        faults = [(row + at * CHUNK, index, why) for at, part in enumerate(parts) for row, index, why in part[2]]
        sure = None if parts[0][1] is None else np.concatenate([part[1] for part in parts if part[1] is not None])
        votes, left = np.concatenate([part[0] for part in parts]), np.concatenate([part[3] for part in parts])
        return votes, sure, faults, left

    def _answer(self, values_of: Callable[[str], Sequence[Any]], count: int) -> Answered:
        votes = np.full((count, len(self.able)), ABSTAIN, np.int16)
        left = np.zeros((count, len(self.able)), bool)
        faults: list[Fault] = []
        columns = {field: values_of(field) for field in self._texts}
        for field, functions in self._texts.items():
            if count:
                self._match(functions, self._matchers[field], columns[field], field, votes, left, faults)
        for one in self._columns:
            field = one.rule.field
            if field not in columns:
                columns[field] = values_of(field)
            votes[:, one.at], wrong = codes_of_values(one.rule, columns[field], one.codes)
            faults += [(row, self.able[one.at], why) for row, why in wrong.items()]
        votes[left] = FAULT
        faults.sort(key=lambda fault: fault[:2])
        sure = np.asarray(self.confidence, np.float32)
        if bool((sure == 1).all()):
            return votes, None, faults, left
        return votes, np.where(votes >= 0, sure, np.float32(1)), faults, left

    def _match(
        self,
        functions: Sequence[_Text],
        patterns: Matcher,
        values: Sequence[Any],
        field: str,
        votes: Codes,
        left: Bools,
        faults: list[Fault],
    ) -> None:
        """Fill the columns of the functions of one field's text."""
        texts, places, wrong = _texts_of(values, field)
        for row, why in wrong.items():
            for one in functions:
                votes[row, one.at] = FAULT
                faults.append((row, self.able[one.at], why))
        if not texts:
            return
        found, sure = patterns.find(texts)
        for one in functions:
            candidate = _enough(found[:, one.patterns], one)
            clear = _enough(found[:, one.patterns] & sure[:, one.patterns], one) & (len(one.patterns) > 0)
            for row in np.flatnonzero(candidate & ~clear).tolist():
                place = row if places is None else places[row]
                if not one.rule.linear or len(texts[row]) > LONGEST_CONFIRMED:
                    left[place, one.at] = True
                elif one.rule.found(texts[row]):
                    clear[row] = True
            rows = np.flatnonzero(clear)
            votes[rows if places is None else np.asarray(places, np.intp)[rows], one.at] = one.code


def plan(functions: Sequence[LabelingFunction], labels: Sequence[Sequence[str]]) -> Plan:
    """Say how to compute the declared functions among these over whole columns; compiled once a process.

    labels: of the control that each function votes on. Left out are functions written in Python, those that may vote a
    label that their control lacks, `nearest`, which has a rule for many rows of its own, and keywords and regexes where
    Hyperscan is not installed or refuses them.
    """
    usable = available()
    candidates = [
        (index, function.function, {label: code for code, label in enumerate(labels[index])})
        for index, function in enumerate(functions)
        if function.declared is not None and not function.pre and not function.resources
    ]
    of_field: dict[str, list[tuple[int, TextRule]]] = {}
    for index, rule, codes in candidates:
        if isinstance(rule, TextRule) and rule.label in codes and (usable or rule.words is not None):
            of_field.setdefault(rule.field, []).append((index, rule))
    matchers, texts = {}, {}
    for field, rules in of_field.items():
        found = matcher(tuple(parts for _, rule in rules for parts in _parts(rule)))
        texts[field], matchers[field] = _chosen(rules, found.usable), found
    able = [index for chosen in texts.values() for index, _, _ in chosen]
    able += [
        index
        for index, rule, codes in candidates
        if (isinstance(rule, ColumnRule | ScoreRule) and rule.label in codes)
        or (isinstance(rule, LookupRule) and set(rule.labels.values()) <= set(codes))
    ]
    able.sort()
    at = {index: place for place, index in enumerate(able)}
    code = {index: codes for index, _, codes in candidates}
    return Plan(
        len(functions),
        tuple(able),
        tuple(_confidence(functions[index].function) for index in able),
        tuple(
            _Column(rule, codes, at[index])
            for index, rule, codes in candidates
            if index in at and isinstance(rule, ColumnRule | LookupRule | ScoreRule)
        ),
        {
            field: tuple(_Text(rule, code[index][rule.label], at[index], mine) for index, rule, mine in chosen)
            for field, chosen in texts.items()
            if chosen
        },
        matchers,
    )


def absent_fields(functions: Sequence[LabelingFunction], rows: Sequence[JsonObject]) -> dict[int, str]:
    """Return advice for each declared function one of whose fields none of these rows has, by its index.

    Such a function abstains everywhere, which is right for a row and surely a mistake for a whole project."""
    found: dict[int, str] = {}
    known: dict[str, str] = {}
    for index, function in enumerate(functions):
        for field in function.declared.fields if function.declared is not None else ():
            if field not in known:
                known[field] = absent(field, rows)
            if known[field]:
                found.setdefault(index, known[field])
    return found


def _parts(rule: TextRule) -> Iterable[Parts]:
    """What the matcher searches for a rule: nothing for a long list of words, which is looked up."""
    if rule.words is None:
        for pattern, parts in zip(rule.patterns, rule.parts, strict=True):
            yield tuple((part, pattern.flags & ~int(re.DEBUG)) for part in parts)


def _chosen(
    rules: Sequence[tuple[int, TextRule]], usable: Sequence[bool]
) -> list[tuple[int, TextRule, tuple[int, ...]]]:
    """The functions that the matcher serves, with their patterns' numbers. Keywords can always be confirmed here."""
    chosen, first = [], 0
    for index, rule in rules:
        mine = tuple(range(first, first + len(rule.patterns))) if rule.words is None else ()
        first += len(mine)
        if rule.linear or all(usable[number] for number in mine):
            chosen.append((index, rule, mine))
    return chosen


def _enough(found: Bools, one: _Text) -> Bools:
    """Whether enough of a function's patterns are found, by row; those without patterns are candidates everywhere."""
    if len(one.patterns) == 1:
        return found[:, 0]
    counts = found.sum(axis=1, dtype=np.int64)
    return np.asarray(counts >= (one.rule.at_least if one.patterns else 0), bool)


def _confidence(rule: Any) -> float:
    return 1.0 if rule.confidence is None else float(rule.confidence)


def _texts_of(values: Sequence[Any], field: str) -> tuple[list[str], list[int] | None, dict[int, str]]:
    """Return the texts that are there, their rows (None: all rows, in order), and what is wrong with other rows."""
    if set(map(type, values)) <= {str} and all(values):
        return list(values), None, {}
    texts, places, wrong = [], [], {}
    for row, value in enumerate(values):
        try:
            text = text_of({field: value}, field)
        except Exception as error:  # a foreign value may fail in any way: a fault, as in a worker
            wrong[row] = reason(error)
            continue
        if text is not None:
            texts.append(text)
            places.append(row)
    return texts, places, wrong


def _slicer(columns: Mapping[str, Any], start: int, stop: int) -> Callable[[str], Sequence[Any]]:
    def values_of(field: str) -> Sequence[Any]:
        if field not in columns:
            return [None] * (stop - start)
        part = columns[field][start:stop]
        for plain in ("to_pylist", "tolist"):  # Arrow; numpy and pandas
            if hasattr(part, plain):
                return list(getattr(part, plain)())
        return list(part)

    return values_of
