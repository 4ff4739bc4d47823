"""Dates and times: `<DateTime>` of Label Studio.

The canonical value is the text that Label Studio writes: ISO (`2026-03-04`, `2026-03-04T17:30`), a time of day
(`17:30`), a year (`2026`), or whatever the config's `format` says. Where we can read that format, values are also
compared as points in time; else as they stand.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from adapter.errors import LabelConfigError, LabelError, nearest
from adapter.kinds.base import Given, Measure, Merged, Tag, Together, Unit
from adapter.kinds.families.answer import Answer, attribute, short, start, title
from adapter.kinds.families.open_votes import candidates
from adapter.vocabulary import Control, Value

PARTS = ("date", "time", "month", "year")
HORIZONS = {"time": 3600.0, "date": 30 * 86400.0, "year": 5 * 365.25 * 86400.0}
"""Seconds at which two values are half as unlike as they can be: an hour for times of day, a month for dates, five
years where only month or year are asked."""

_TIE = 1e-6
_TIMES = ("%H:%M", "%H:%M:%S")
_COARSE = ("%Y", "%Y-%m")
_PADDING = re.compile(r"%[-_0](?=[A-Za-z])")  # how d3, which the page formats with, says whether to pad
_DIRECTIVES = re.compile(r"%(.)")
_READABLE = frozenset("aAbBdfHIjmMpSyYZz%")
_MOST_CHARS = 200
_SAMPLE = datetime(2026, 3, 4, 17, 30, tzinfo=UTC)


class Date(Answer):
    """The kind of `<DateTime>`: a point in time, or a part of one."""

    name = "date"
    tags = ("DateTime",)
    key = "datetime"
    type = "datetime"
    methods = ("one-coin",)

    def control(self, tag: Tag) -> Control:
        """Parse `<DateTime>`. Raises LabelConfigError for an `only` with unknown parts."""
        only = [part.strip() for part in attribute(tag, "only").split(",") if part.strip()]
        unknown = [part for part in only if part not in PARTS]
        if unknown:
            raise LabelConfigError(
                f"only='{short(attribute(tag, 'only'))}' asks for '{short(unknown[0])}'",
                where=title(tag),
                remedy=nearest(unknown[0], PARTS),
            )
        options: dict[str, Any] = {"only": only}
        options.update({key: attribute(tag, key) for key in ("format", "min", "max") if attribute(tag, key)})
        return start(tag, self.name, options=options)

    def canonical(self, control: Control, value: object) -> Value:
        """Return the text of a date as Label Studio writes it. Raises LabelError for what the config's format does not
        explain, and for dates outside its bounds."""
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # Label Studio's page writes a bare year as a number
        at = _point(control, value) if isinstance(value, str) and len(value) <= _MOST_CHARS else None
        if (
            not isinstance(value, str)
            or not value.strip()
            or len(value) > _MOST_CHARS
            or (at is None and _read(control))
        ):
            example = _example(control)
            raise LabelError(
                f"'{short(value)}' is no date of '{control.name}'",
                remedy=f"Write it like '{example}'." if example else "Write it as the label config says.",
            )
        if at is not None and not _only_time(control):
            # The page compares texts, too; a bound of another shape than the ISO date bounds nothing there either.
            day = at.date().isoformat()[: 4 if "year" in control.options.get("only", ()) else None]
            for bound, beyond in (("min", day < control.options.get("min", "")), ("max", day > _most(control))):
                if beyond:
                    limit = control.options[bound]
                    raise LabelError(
                        f"'{value}' lies {'before' if bound == 'min' else 'after'} {limit}",
                        remedy=f"The label config sets {bound}='{limit}' for '{control.name}'.",
                    )
        return value

    def item(self, control: Control, value: Value) -> dict[str, Any]:
        """Return `{"datetime": text}`."""
        return {"datetime": self.canonical(control, value)}

    def value_of(self, control: Control, value: Mapping[str, Any]) -> Value:
        """Return the text of `{"datetime": text}`. Raises LabelError."""
        if not isinstance(value, Mapping) or "datetime" not in value:
            raise self.broken(control)
        return self.canonical(control, value["datetime"])

    def empty(self, answer: object) -> bool:
        """Return whether no date is given."""
        return answer is None or answer == ""

    def measure(self, control: Control) -> Measure:
        """Return intervals of time where the format can be read, else categories."""
        if _read(control):
            return Measure(
                "interval",
                "alpha",
                "Krippendorff's alpha on the points in time, so near misses weigh less; beside it the mean pairwise "
                "score, in which two answers are half alike at "
                f"{ {'time': 'an hour', 'date': 'a month', 'year': 'five years'}[_span(control)] } apart.",
            )
        return Measure(
            "nominal",
            "alpha",
            "Krippendorff's alpha for categories: the format is not one that can be compared in time.",
        )

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return 0 for the same text, else d / (d + horizon) for values d seconds apart, with the horizon in HORIZONS;
        1 where the format cannot be read."""
        if a == b:
            return 0.0
        left, right = _point(control, a), _point(control, b)
        if left is None or right is None:
            return 1.0
        apart = abs((left - right).total_seconds())
        return apart / (apart + HORIZONS[_span(control)])

    def units(self, control: Control, votes: Mapping[str, Value]) -> list[Unit]:
        """Return one unit: seconds since 1970 where the format can be read, else the texts."""
        if not votes:
            return []
        if not _read(control):
            return [Unit(dict(votes))]
        return [Unit({who: at.timestamp() for who, text in votes.items() if (at := _point(control, text)) is not None})]

    def consensus(self, control: Control, votes: Mapping[str, Mapping[str, Value]], given: Given) -> Together:
        """Consolidate people's values: the answer that most weight of skill stands behind, under the model of
        `open_votes`. On a tie there is no value; the proposal is the median in time, or the first of the tied answers
        where time cannot be read. `given.method` changes nothing: there is this one."""
        gold = {task: value for task, value in given.gold.items() if task in votes}
        found, answers = candidates(votes, gold, seed=given.seed)
        merged = {}
        for task, p, said in zip(sorted(votes), found.posterior, answers, strict=True):
            if task in gold:
                merged[task] = Merged(gold[task], 1.0, 1.0)
            elif not votes[task]:
                merged[task] = Merged(None, 0.0, 0.0, why="nobody has answered yet")
            else:
                top = float(p.max())
                tied = [answer for answer, chance in zip(said, p, strict=False) if chance > top - _TIE]
                if len(tied) == 1 and (p > top - _TIE).sum() == 1:
                    merged[task] = Merged(tied[0], top, top)
                else:
                    proposal = self._median(control, list(votes[task].values())) or (tied or said)[0]
                    merged[task] = Merged(None, top, top, (), proposal, _counted(votes[task]))
        return Together(merged, found.skill, found.method)

    def _median(self, control: Control, texts: Sequence[str]) -> str | None:
        """Return the lower median in time, None where time cannot be read."""
        dated = sorted((at.timestamp(), text) for text in texts if (at := _point(control, text)) is not None)
        return dated[(len(dated) - 1) // 2][1] if dated else None


def _counted(votes: Mapping[str, Hashable]) -> str:
    said = sorted(map(str, votes.values()))
    return ", ".join(f"{said.count(t)} say{'s' if said.count(t) == 1 else ''} '{t}'" for t in dict.fromkeys(said))


def _only_time(control: Control) -> bool:
    return list(control.options.get("only", ())) == ["time"]


def _span(control: Control) -> str:
    """Return which of HORIZONS a control has."""
    if _only_time(control):
        return "time"
    only = control.options.get("only", ())
    return "year" if only and not {"date", "time"} & set(only) else "date"


def _most(control: Control) -> str:
    """Return the greatest date as the page compares it; a text after every date where there is none."""
    return str(control.options.get("max", "\uffff"))


def _read(control: Control) -> bool:
    """Return whether we can read the control's format."""
    return "format" not in control.options or _only_time(control) or _format(str(control.options["format"])) is not None


def _example(control: Control) -> str:
    if _only_time(control):
        return _SAMPLE.strftime("%H:%M")
    if "format" in control.options:
        shape = _format(str(control.options["format"]))
        return _SAMPLE.strftime(shape) if shape else ""
    only = control.options.get("only", ())
    return _SAMPLE.strftime("%Y-%m-%d" if only and "time" not in only else "%Y-%m-%dT%H:%M")


@functools.lru_cache(maxsize=64)
def _format(text: str) -> str | None:
    """Return a format of the page's formatter (d3) as one of Python's; None for one that Python cannot read back."""
    shape = _PADDING.sub("%", text).replace("%e", "%d")
    if len(shape) > _MOST_CHARS or not set(_DIRECTIVES.findall(shape)) <= _READABLE:
        return None
    try:
        datetime.strptime(_SAMPLE.strftime(shape), shape)
    except (ValueError, re.error):
        return None
    return shape


def _point(control: Control, text: str) -> datetime | None:
    """Return the point in time of a text, UTC where it names no zone; None where it cannot be read."""
    at: datetime | None = None
    if _only_time(control):
        at = _first(text, _TIMES)  # the page never formats a bare time of day
    elif "format" in control.options:
        shape = _format(str(control.options["format"]))
        at = _first(text, (shape,)) if shape else None
    else:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            at = _first(text, _COARSE)
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)


def _first(text: str, shapes: Sequence[str]) -> datetime | None:
    for shape in shapes:
        try:
            return datetime.strptime(text, shape)
        except ValueError:
            continue
    return None


KIND = Date()
