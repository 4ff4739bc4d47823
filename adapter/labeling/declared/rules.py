"""`rules`: a file with a regular expression a line, as it comes from a colleague or a paper, read as declared labeling
functions.

    RULES = rules("sms_spam_rules.tsv", columns=("label", "regex", "example"))

A line becomes one function: it has its own column of votes, its own version (editing a line renews that line alone) and
its own row in `hitl lf report`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from adapter.errors import FunctionsError, nearest
from adapter.labeling.declared.common import Place, place
from adapter.labeling.declared.text import regex
from adapter.labeling.function import LONGEST_NAME, Example, LabelingFunction

COLUMNS = ("label", "regex", "example", "name", "doc", "confidence", "")
"""What a column of the file may be; an empty name passes it over."""
_WORDS_IN_A_NAME = 5


def rules(
    path: str | Path,
    *,
    columns: Sequence[str] = ("label", "regex", "example"),
    separator: str = "\t",
    labels: Mapping[str, str] | None = None,
    field: str = "text",
    flags: int | str = 0,
    lower: bool = False,
    control: str | None = None,
) -> list[LabelingFunction]:
    """Read a file of rules, one a line, and return a labeling function for each, in the file's order.

    path: relative to the folder of the module that calls. columns: what stands between the separators: `label` and
    `regex` must be there, `example` (a text that the rule must catch: `hitl lf test` holds it to that), `name`, `doc`,
    `confidence` (0..1) may be; columns at the end of a line may be missing. Blank lines and lines that start with "# "
    are passed over; nothing is unquoted. labels: what a label of the file is called in the label config; without it
    both use the same words. flags: of every regex, as `regex` takes them. lower: the rules were written for lower-cased
    text: they then match whatever the case of the text is, and may hold no upper-case letter, which could never match.

    A rule without a name is called by its label and the words it looks for. Raises FunctionsError that names the file
    and its line for what cannot be used.
    """
    at = place()
    shape = _columns(columns, at)
    file = _file(path, at)
    used: set[str] = set()
    found = []
    for number, fields in _lines(file, separator, shape, at):
        entry = dict(zip(shape, fields, strict=False))
        pattern = entry.get("regex", "")
        try:
            label = _label(entry.get("label", ""), labels)
            if lower and (loud := _upper(pattern)):
                raise FunctionsError(
                    f"the rule is meant for lower-cased text, and holds '{loud}'",
                    remedy="Write it in lower case, or call `rules` without `lower`.",
                )
            name = _name(entry.get("name", ""), label, pattern, number, used)
            examples: list[Example] = [({field: entry["example"]}, label)] if entry.get("example") else []
            found.append(
                regex(
                    label,
                    pattern,
                    field=field,
                    flags=_flags(flags, lower),
                    name=name,
                    control=control,
                    examples=examples,
                    confidence=_confidence(entry.get("confidence", "")),
                    doc=entry.get("doc", "") or f"Line {number} of {file.name}.",
                )
            )
        except FunctionsError as error:
            raise FunctionsError(
                f"line {number} of {file}: {error.what}", where=str(at), remedy=error.remedy
            ) from error
    if not found:
        raise FunctionsError(
            f"{file} holds no rule", where=str(at), remedy=f"Write one a line: {_form(shape, separator)}."
        )
    return found


def _file(path: str | Path, at: Place) -> Path:
    file = at.folder / Path(path).expanduser()
    if not file.is_file():
        beside = sorted(item.name for item in file.parent.glob("*") if item.suffix in {".txt", ".tsv", ".csv"})
        raise FunctionsError(
            f"there is no file of rules {file}",
            where=str(at),
            remedy=nearest(file.name, beside) or "A relative path starts from the folder of the module that reads it.",
        )
    return file


def _columns(columns: Sequence[str], at: Place) -> tuple[str, ...]:
    for column in columns:
        if column not in COLUMNS:
            raise FunctionsError(
                f"`rules` knows no column '{column}'",
                where=str(at),
                remedy=nearest(column, [known for known in COLUMNS if known]),
            )
    shape = tuple(columns)
    for needed in ("label", "regex"):
        if shape.count(needed) != 1:
            raise FunctionsError(f"`columns` of `rules` must name '{needed}' once, and is {shape}", where=str(at))
    return shape


def _lines(file: Path, separator: str, shape: Sequence[str], at: Place) -> Iterator[tuple[int, list[str]]]:
    """Yield line number (from 1) and fields of each rule."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FunctionsError(f"{file} cannot be read ({error})", where=str(at), remedy="Save it as UTF-8.") from error
    least = max(shape.index("label"), shape.index("regex")) + 1
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line.strip() or line.startswith("# "):
            continue
        fields = line.split(separator)
        if not least <= len(fields) <= len(shape):
            raise FunctionsError(
                f"line {number} of {file} has {len(fields)} column{'s' if len(fields) > 1 else ''}",
                where=str(at),
                remedy=f"Write {_form(shape, separator)}, or say with `columns` what else stands there.",
            )
        yield number, fields


def _form(shape: Sequence[str], separator: str) -> str:
    between = {"\t": " TAB "}.get(separator, separator)
    return between.join(name.upper() if name else "..." for name in shape)


def _label(written: str, labels: Mapping[str, str] | None) -> str:
    label = written.strip()
    if labels is None:
        if not label:
            raise FunctionsError("it has no label", remedy="Write one, or take the line out.")
        return label
    if label not in labels:
        raise FunctionsError(f"'{label}' is not among the `labels` given to `rules`", remedy=nearest(label, labels))
    return labels[label]


def _upper(pattern: str) -> str:
    """Return the first upper-case letter that stands for itself; escapes such as \\S and \\W do not."""
    plain = re.sub(r"\\.|\(\?P[<=]\w+", "", pattern)
    return next((sign for sign in plain if sign != sign.lower()), "")


def _flags(flags: int | str, lower: bool) -> int | str:
    if not lower:
        return flags
    return flags | re.IGNORECASE if isinstance(flags, int) else "".join(dict.fromkeys(f"{flags}i"))


def _confidence(written: str) -> float | None:
    if not written.strip():
        return None
    try:
        value = float(written)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise FunctionsError(f"'{written}' is no confidence", remedy="Write a number from 0 to 1.")
    return value


def _name(written: str, label: str, pattern: str, number: int, used: set[str]) -> str:
    """Return the name of a rule, one that no rule before it has."""
    name = written.strip()
    if not name:
        plain = re.sub(r"\\.|\[[^\]]*\]|\(\?[a-zA-Z<=!:#-]+|\{[^}]*\}", " ", pattern)
        words = list(dict.fromkeys(re.findall(r"\w+", plain.lower())))[:_WORDS_IN_A_NAME]
        name = "_".join([*re.findall(r"\w+", label), *words])[: LONGEST_NAME - 10] if words else ""
        name = name or f"line_{number}"
    if name in used:
        name = f"{name}_{number}"
    used.add(name)
    return name
