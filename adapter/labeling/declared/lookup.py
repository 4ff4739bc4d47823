"""`lookup`: a list of entries, or a table of entries and their labels, from the author's file or from one beside it."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter.errors import FunctionsError
from adapter.labeling.declared.common import (
    Common,
    Place,
    checked_confidence,
    checked_field,
    checked_label,
    make,
    place,
    shortened,
    text_of,
    vote,
    word_of,
)
from adapter.labeling.function import Answer, Declared, LabelingFunction
from adapter.vocabulary import JsonObject

LARGEST_FILE = 64 << 20
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True, eq=False)
class LookupRule:
    """Votes the label of an entry that the field equals (`whole`), or that occurs in its text: the first in the table
    of those that do. labels: normal form of each entry to its label, in the table's order."""

    field: str
    labels: Mapping[str, str]
    whole: bool
    ignore_case: bool
    confidence: float | None
    _places: Mapping[tuple[str, ...], int] = dataclasses.field(init=False, repr=False)
    _lengths: Mapping[str, tuple[int, ...]] = dataclasses.field(init=False, repr=False)
    _by_place: tuple[str, ...] = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        entries = [] if self.whole else [tuple(_TOKEN.findall(entry)) for entry in self.labels]
        lengths: dict[str, set[int]] = {}
        for entry in entries:
            lengths.setdefault(entry[0], set()).add(len(entry))
        places: dict[tuple[str, ...], int] = {}
        for number, entry in enumerate(entries):
            places.setdefault(entry, number)
        object.__setattr__(self, "_places", places)
        object.__setattr__(self, "_lengths", {first: tuple(sorted(many)) for first, many in lengths.items()})
        object.__setattr__(self, "_by_place", tuple(self.labels.values()))

    def __call__(self, data: JsonObject) -> Answer:
        """Return the vote for one task's data. Raises FunctionsError where the field holds nothing to look up."""
        text = word_of(data, self.field) if self.whole else text_of(data, self.field)
        label = None if text is None else self.label_of(text)
        return None if label is None else vote(label, self.confidence)

    def label_of(self, text: str) -> str | None:
        """Return the label for a field's text, None where no entry is there."""
        normal = normal_form(text, self.ignore_case)
        if self.whole:
            return self.labels.get(normal)
        tokens = _TOKEN.findall(normal)
        best: int | None = None
        for start, token in enumerate(tokens):
            for length in self._lengths.get(token, ()):
                found = self._places.get(tuple(tokens[start : start + length]))
                if found is not None and (best is None or found < best):
                    best = found
        return None if best is None else self._by_place[best]


def normal_form(text: str, ignore_case: bool) -> str:
    """Return a text with single spaces, none around it, and its case folded if that is ignored."""
    return " ".join((text.casefold() if ignore_case else text).split())


def lookup(
    entries: Mapping[str, str] | Iterable[str] | str | os.PathLike[str],
    *,
    field: str = "text",
    label: str | None = None,
    whole: bool = True,
    ignore_case: bool = True,
    name: str = "",
    control: str | None = None,
    examples: Sequence[Any] = (),
    confidence: float | None = None,
    doc: str = "",
) -> LabelingFunction:
    """Vote the label of the entry that is found in `field`.

    entries: a mapping of entries to labels, a list of entries (with `label`), or a file, its path relative to the
    author's file: `.csv` with two columns, entry and label, under a header `entry,label` or none, and any other with an
    entry a line (with `label`). whole: the field, white space around it aside, equals the entry; it may hold a number,
    which is looked up as its digits. Otherwise the entry occurs in the field's text as a run of whole words and signs,
    whatever the white space between them; where several do, the first in the table counts. ignore_case: compared with
    their case folded. Options of all declared functions: `declared.common.make`. Raises FunctionsError when the file
    cannot be read, there are no entries, or one has two labels.
    """
    at = place()
    checked_field("lookup", field, at)
    if label is not None:
        checked_label("lookup", label, at)
    sure = checked_confidence("lookup", confidence, at)
    digest = ""
    if isinstance(entries, str | os.PathLike):
        path = at.folder / Path(entries)
        content = _read(path, at)
        digest = hashlib.sha256(content).hexdigest()
        pairs = _pairs_of_file(path, content, label)
        where, source = str(path), path.name
    else:
        pairs, where, source = _pairs(entries, label, at), str(at), "the list"
    table = _table(pairs, bool(whole), bool(ignore_case), where)
    labels = sorted(set(table.values()))
    spec = {
        "kind": "lookup", "label": label, "field": field, "whole": bool(whole), "ignore_case": bool(ignore_case),
        "confidence": sure, "entries": digest or [list(pair) for pair in table.items()],
    }  # fmt: skip
    shown = f"{field} {'is' if whole else 'has'} one of "
    shown += f"{len(table)} in {source}" if digest else ", ".join(table)
    if len(labels) > 1:
        shown += f" -> {', '.join(labels)}"
    rule = LookupRule(field, table, bool(whole), bool(ignore_case), sure)
    declared = Declared("lookup", labels[0] if len(labels) == 1 else "", (field,), spec, shortened(shown))
    return make(declared, rule, Common(name, control, examples, confidence, doc), at)


_REMEDY = 'Write lookup({"entry": "label"}), lookup("table.csv"), or lookup("list.txt", label="label").'


def _pairs(entries: object, label: str | None, at: Place) -> list[tuple[object, object]]:
    if isinstance(entries, Mapping):
        if label is not None:
            raise FunctionsError(
                "lookup: a label is given beside a table that has labels", where=str(at), remedy="Leave out label=."
            )
        return list(entries.items())
    if isinstance(entries, bytes) or not isinstance(entries, Iterable):
        raise FunctionsError(f"lookup: {entries!r:.60} is no table of entries", where=str(at), remedy=_REMEDY)
    if label is None:
        raise FunctionsError("lookup: a list of entries needs a label", where=str(at), remedy="Add label='...'.")
    return [(entry, label) for entry in entries]


def _read(path: Path, at: Place) -> bytes:
    advice = f"Relative paths start from the folder of your file, {at.folder}."
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise FunctionsError(
                f"lookup: {path.name} is larger than {LARGEST_FILE >> 20} MB",
                where=str(at),
                remedy="Split it, or write a labeling function in Python with resources=.",
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        why = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        raise FunctionsError(f"lookup: the file {path} {why}", where=str(at), remedy=advice) from error


def _pairs_of_file(path: Path, content: bytes, label: str | None) -> list[tuple[object, object]]:
    """Entries and labels of a file. Raises FunctionsError with the line in the file."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FunctionsError(
            "lookup: the file is not UTF-8", where=f"{path}:{line}", remedy="Save it as UTF-8."
        ) from error
    if path.suffix.lower() != ".csv":
        if label is None:
            raise FunctionsError("lookup: a list of entries needs a label", where=str(path), remedy="Add label='...'.")
        return [(line, label) for line in text.splitlines() if line.strip()]
    if label is not None:
        raise FunctionsError(
            "lookup: a label is given beside a table that has labels", where=str(path), remedy="Leave out label=."
        )
    pairs: list[tuple[object, object]] = []
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells) or (not pairs and [cell.lower() for cell in cells] == ["entry", "label"]):
                continue
            if len(cells) != 2 or not all(cells):
                raise FunctionsError(
                    f"lookup: {len(cells)} cells, not an entry and a label",
                    where=f"{path}:{reader.line_num}",
                    remedy='Write entry,label; put an entry with a comma in double quotes: "a, b",label.',
                )
            pairs.append((cells[0], cells[1]))
    except csv.Error as error:
        raise FunctionsError(f"lookup: {error}", where=f"{path}:{reader.line_num}", remedy="Mend the CSV.") from error
    return pairs


def _table(pairs: Sequence[tuple[object, object]], whole: bool, ignore_case: bool, where: str) -> dict[str, str]:
    """The entries' normal forms and labels."""
    table: dict[str, str] = {}
    for entry, label in pairs:
        if not isinstance(entry, str) or not normal_form(entry, ignore_case):
            raise FunctionsError(f"lookup: {entry!r:.60} is no entry", where=where, remedy="Give non-empty texts.")
        if not isinstance(label, str) or not label:
            raise FunctionsError(f"lookup: {label!r:.60} is no label of '{entry}'", where=where, remedy=_REMEDY)
        known = table.setdefault(normal_form(entry, ignore_case), label)
        if known != label:
            raise FunctionsError(
                f"lookup: '{entry}' has two labels, '{known}' and '{label}'", where=where, remedy="Keep one of them."
            )
    if not table:
        raise FunctionsError("lookup: there are no entries", where=where, remedy=_REMEDY)
    return table
