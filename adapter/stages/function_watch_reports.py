"""What `hitl lf watch` tells: figures of functions on a sample, before and after a change."""

from __future__ import annotations

import json
from dataclasses import dataclass

from adapter.stages.reports import Report
from adapter.vocabulary import Control, JsonObject

LONGEST_EXAMPLE = 160


@dataclass(frozen=True, slots=True)
class Figures:
    """What a function does. coverage: share of the sample that it votes on. conflict: share where another function
    votes otherwise; 0 for a control with several labels. labels: label to votes. faults: tasks of the sample that it
    failed on. right of judged: its votes on all blind tasks that people have labelled; lower, upper: the Wilson 95 %
    interval of that accuracy, None without any."""

    coverage: float
    conflict: float
    labels: dict[str, int]
    faults: int
    judged: int
    right: int
    lower: float | None
    upper: float | None

    @property
    def accuracy(self) -> float | None:
        """right / judged; None without any."""
        return self.right / self.judged if self.judged else None


@dataclass(frozen=True, slots=True)
class Flip:
    """Tasks whose vote went from `before` to `after` (a label, "abstain" or "fault"), with texts of up to three that do
    not belong to the blind sample."""

    before: str
    after: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FunctionChange:
    """One function. what: `there` (at the start), `new`, `changed`, `judged` (people's labels moved its accuracy),
    `removed` or `refused` (see messages). messages: why it failed, or was refused, at most three, each with the line of
    the author's file. seconds: that it ran."""

    name: str
    control: str
    what: str
    before: Figures | None = None
    after: Figures | None = None
    flips: tuple[Flip, ...] = ()
    messages: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class WatchReport(Report):
    """rows: tasks of the sample, of `pool`. changes: functions that changed since the report before; at the start, all.
    unchanged: functions that were left alone. error: why the files cannot be loaded, one line. seconds: from noticing
    the change to this report."""

    rows: int
    pool: int
    changes: tuple[FunctionChange, ...]
    unchanged: int
    error: str
    seconds: float


def excerpt(data: JsonObject, control: Control, longest: int = LONGEST_EXAMPLE) -> str:
    """Return what a control shows of a task as one printable line, cut to `longest` characters."""
    parts = [data[name] for name in (control.fields or (control.field,)) if name in data] or [data]
    text = " | ".join(part if isinstance(part, str) else json.dumps(part, default=str) for part in parts)
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
