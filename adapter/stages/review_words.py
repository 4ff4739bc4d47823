"""What reviewers and leads read of values: who said what, in words, without names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from adapter.core.blind import draw
from adapter.kinds import kind_of
from adapter.kinds.base import RegionKind
from adapter.vocabulary import Consensus, Control, Task, Value

LONGEST = 2_000
"""Characters of what stands above a task in review."""
_LONGEST_VALUE = 300
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def letters(task_id: str, annotators: Sequence[str]) -> dict[str, str]:
    """Return annotator to `person A`, `person B`, ... in an order drawn anew for each task, so that a letter tells
    nothing about who it is."""
    order = sorted(annotators, key=lambda who: (draw(f"{task_id}\x1f{who}", 0, "letter"), who))
    return {who: f"person {_LETTERS[i] if i < len(_LETTERS) else i + 1}" for i, who in enumerate(order)}


def in_words(control: Control, value: Value | None) -> str:
    """Return a value as a person would say it."""
    if value is None:
        return "no answer"
    if isinstance(kind_of(control.kind), RegionKind):
        return _clipped(_regions(value))
    if isinstance(value, str | int | float):
        return _clipped(repr(value) if isinstance(value, str) else f"{value:g}")
    if not isinstance(value, Sequence) or not value:
        return "none"
    if all(isinstance(part, str) for part in value):
        return _clipped(", ".join(f"'{part}'" for part in value))
    inner = control.inner
    parts = []
    for part in value:
        if isinstance(part, Mapping) and "value" in part and "region" in part and inner is not None:
            parts.append(in_words(inner, part["value"]))
        elif isinstance(part, Mapping):
            parts.append(" + ".join(map(str, part.get("labels") or ())) or str(part.get("direction", "one")))
        else:
            parts.append(str(part))
    return _clipped(", ".join(f"{count} x {text}" for text, count in sorted(Counter(parts).items())))


def said(task_id: str, rows: Sequence[tuple[Control, Consensus]]) -> str:
    """Return what each person said of each control of a task, and how they differ. rows: (control, consensus with
    canonical values in `support`)."""
    names = letters(task_id, sorted({who for _, row in rows for who in row.support}))
    lines = []
    for control, row in rows:
        if not row.support:
            continue
        title = f"{control.name}: " if len(rows) > 1 else ""
        people = sorted(row.support, key=lambda who: names[who])
        line = title + "; ".join(f"{names[who]} says {in_words(control, row.support[who])}" for who in people)
        if isinstance(kind_of(control.kind), RegionKind) and len(people) > 1:
            first, second = people[:2]
            words = kind_of(control.kind).disagreement(control, row.support[first], row.support[second])
            line += f". {names[first]} against {names[second]}: {words}"
        lines.append(line)
    return _clipped(". ".join(lines), LONGEST)


def excerpt(control: Control, task: Task) -> str:
    """Return the start of what a control shows of a task."""
    for field in control.fields or (control.field,):
        shown = task.data.get(field)
        if shown not in (None, ""):
            return _clipped(" ".join(str(shown).split()), 120)
    return ""


def _regions(value: Sequence[Mapping[str, object]]) -> str:
    if not value:
        return "nothing to mark"
    counted: Counter[str] = Counter()
    for region in value:
        labels = region.get("labels")
        counted[" + ".join(map(str, labels)) if isinstance(labels, list | tuple) and labels else "unlabelled"] += 1
    return ", ".join(f"{count} x '{label}'" for label, count in sorted(counted.items()))


def _clipped(text: str, most: int = _LONGEST_VALUE) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
