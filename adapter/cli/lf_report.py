"""How `hitl lf report` looks: a table of functions, what to look at in words, and with --wide the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapter.stages.functions import ControlFigures, FunctionFigures, FunctionsReport
    from adapter.vocabulary import JsonObject

BARS = "▁▂▃▄▅▆▇█"
MOST_LABELS = 3
MOST_DRIFTING = 3
"""Functions whose coverage drifts that are told one by one."""
SAME = " "
"""Stands for the name above."""


class Sort(StrEnum):
    """What a report's functions stand in order of."""

    DECLARED = "declared"
    NAME = "name"
    ACCURACY = "accuracy"
    COVERAGE = "coverage"
    OVERLAP = "overlap"
    CONFLICT = "conflict"
    GAIN = "gain"
    SIMILARITY = "similarity"
    FAULTS = "faults"
    COST = "cost"


KEYS: dict[Sort, Callable[[FunctionFigures], float | None]] = {
    Sort.ACCURACY: lambda item: item.accuracy if item.enough else None,
    Sort.COVERAGE: lambda item: item.coverage,
    Sort.OVERLAP: lambda item: item.overlap,
    Sort.CONFLICT: lambda item: item.conflict,
    Sort.GAIN: lambda item: item.gain if item.votes else None,
    Sort.SIMILARITY: lambda item: item.similarity,
    Sort.FAULTS: lambda item: item.faults,
    Sort.COST: lambda item: item.seconds_per_100000,
}


def ordered(functions: Sequence[FunctionFigures], sort: Sort) -> list[FunctionFigures]:
    """Return the functions in order: figures from the greatest, names from A, and what is unknown last."""
    if sort is Sort.DECLARED:
        return list(functions)
    if sort is Sort.NAME:
        return sorted(functions, key=lambda item: item.name.casefold())
    key = KEYS[sort]
    figures = [(key(item), item) for item in functions]
    known = sorted(((figure, item) for figure, item in figures if figure is not None), key=lambda pair: -pair[0])
    return [item for _, item in known] + [item for figure, item in figures if figure is None]


def as_json(found: FunctionsReport, sort: Sort) -> dict[str, Any]:
    """Return everything, JSON-able: functions of all controls in one list, then the controls, then consolidators."""
    from adapter.logs import plain

    controls = [{key: value for key, value in plain(item).items() if key != "functions"} for item in found.controls]
    return {
        "project": found.project,
        "functions": plain(ordered(found.functions, sort)),
        "controls": controls,
        "consolidators": found.consolidators,
    }


def show(found: FunctionsReport, sort: Sort, *, wide: bool) -> None:
    """Print the report for people."""
    from adapter.cli.show import say, table

    with_functions = [item for item in found.controls if item.functions]
    several = len(found.controls) > 1
    if not with_functions:
        table(f"labeling functions of {found.project}", (), (), empty="none has voted yet: run `hitl vote`")
    for control in with_functions:
        functions = ordered(control.functions, sort)
        named = f"labeling functions of {found.project}" + (f", control {control.control}" if several else "")
        say(f"{control.control}: {summary(control)}")
        say(evidence(control))
        table(named, MAIN, [_main(item) for item in functions], dense=True)
        if wide:
            say("")
            classes = [row for item in functions for row in _classes(item)]
            table("precision by label", CLASSES, classes, empty="none votes", dense=True)
            say("")
            table("redundancy and cost", COST, [_cost(item) for item in functions], dense=True)
            say("")
            over = "over time: coverage by order of ingest, accuracy by time of people's labels; p after Holm"
            table(over, TREND, [_trend(item) for item in functions], dense=True)
        say("")
        for line in _look_at(control, functions):
            say(line)
        faults = [row for item in functions for row in _faults(item)]
        if faults:
            say("")
            table("faults", ("function", "tasks", "such as", "message"), faults, dense=True)
    for control in found.controls:
        if control.waiting and with_functions:
            say(f"Not voted yet in their present version: {', '.join(control.waiting)}. Run `hitl vote`.")
    for name, scores in found.consolidators.items():
        show_consolidators(name, scores)


def show_consolidators(control: str, scores: Sequence[JsonObject]) -> None:
    """Print a control's table of consolidators."""
    from adapter.cli.show import table

    rows = [
        (
            row["name"],
            _scored(row["accuracy"], row["lower"], row["upper"]),
            row["n"],
            row["log_loss"],
            row["covered"],
            row["ties"],
            "in use" if row["chosen"] else row["note"],
        )
        for row in scores
    ]
    columns = ("consolidator", "accuracy (95 %)", "n", "log loss", "covered", "ties", "")
    table(f"consolidators of {control}, on the blind sample", columns, rows, empty="no function has voted", dense=True)


def _scored(accuracy: float | None, lower: float | None, upper: float | None) -> str:
    return "-" if accuracy is None or lower is None or upper is None else f"{accuracy:.3f} ({lower:.2f}-{upper:.2f})"


def summary(control: ControlFigures) -> str:
    """Return one line on what the functions of a control do together."""
    total = control.tasks
    parts = [
        f"{len(control.functions)} functions cover {control.covered:,} of {total:,} tasks"
        + _part(control.covered, total)
    ]
    if control.conflicting is not None:
        parts.append(f"{control.conflicting:,} in conflict{_part(control.conflicting, total)}")
    parts.append(f"{control.uncovered:,} uncovered{_part(control.uncovered, total)}")
    return "; ".join(parts) + "."


def evidence(control: ControlFigures) -> str:
    """Return one line on what accuracy is measured on."""
    if not control.labelled:
        return "No blind task has been labelled yet, so nothing can be said about accuracy."
    return f"Accuracy and gain: on the {control.labelled:,} labelled of {control.blind:,} blind tasks."


MAIN = ("function", "says", "coverage", "overlap", "conflict", "accuracy (95 %)", "n", "gain", "faults")
CLASSES = ("function", "says", "votes", "precision (95 %)", "n")
COST = ("function", "kind", "nearest twin", "similarity", "one-sided", "gain 95 %", "s / 100,000")
TREND = ("function", "coverage", "range", "p", "effect", "accuracy", "late - early (95 %)", "p")


def _main(item: FunctionFigures) -> tuple[Any, ...]:
    return (
        item.name,
        says(item.says),
        item.coverage,
        item.overlap,
        item.conflict,
        _measured(item.accuracy, item.lower, item.upper, item.enough),
        item.n,
        f"{item.gain:+.3f}" if item.gain is not None and item.votes else None,
        item.faults,
    )


def _classes(item: FunctionFigures) -> Iterator[tuple[Any, ...]]:
    for number, row in enumerate(item.classes):
        yield (
            item.name if not number else SAME,
            row.label,
            row.votes,
            _measured(row.precision, row.lower, row.upper, row.enough),
            row.n,
        )


def _cost(item: FunctionFigures) -> tuple[Any, ...]:
    seconds = item.seconds_per_100000
    return (
        item.name,
        item.kind,
        item.twin,
        item.similarity if item.twin else None,
        item.one_sidedness,
        _interval(item.gain_lower, item.gain_upper, signed=True),
        None if seconds is None else f"{seconds:.2g}" if seconds < 10 else f"{seconds:,.0f}",
    )


def _trend(item: FunctionFigures) -> tuple[Any, ...]:
    coverage, accuracy = item.coverage_trend, item.accuracy_trend
    shares = [window.share or 0.0 for window in coverage.windows] if coverage.p is not None else []
    tested = accuracy.difference is not None
    return (
        item.name,
        bars(shares, max(shares, default=0.0)),
        f"{min(shares):.2f} to {max(shares):.2f}" if shares else "",
        _p(coverage.p),
        coverage.effect,
        bars([window.share or 0.0 for window in accuracy.windows], 1.0) if tested else "too few",
        f"{accuracy.difference:+.2f} ({_interval(accuracy.lower, accuracy.upper, signed=True)})" if tested else "",
        _p(accuracy.p),
    )


def _look_at(control: ControlFigures, functions: Sequence[FunctionFigures]) -> Iterator[str]:
    from adapter.stages.function_remarks import DRIFT

    drifting = [item.name for item in functions if item.coverage_drifts]
    together = len(drifting) > MOST_DRIFTING  # then it is the data that changes, and one line says so
    told = [
        (item.name, remark)
        for item in functions
        for remark in item.remarks
        if not (together and remark.startswith(DRIFT))
    ]
    if told:
        yield "Look at:"
    for name, remark in told:
        yield f"  {name}: {remark}"
    if together:
        yield f"Coverage drifts over the pool, so the data changes with the order of ingest: {', '.join(drifting)}."
    for group in control.copies:
        yield f"Near-copies, which count once: {', '.join(group)}."
    if control.labelled and any(item.votes and not item.enough for item in functions):
        yield "Too few: fewer than 10 labelled blind tasks on which the function votes."


def _faults(item: FunctionFigures) -> Iterator[tuple[Any, ...]]:
    if item.faults and not item.fault_examples:
        yield (item.name, str(item.faults), "", item.last_fault or "no message is kept")
    for number, example in enumerate(item.fault_examples):
        first = (item.name, str(item.faults)) if not number else (SAME, SAME)
        yield (*first, example.task_id, example.message)


def says(labels: Sequence[str]) -> str:
    """Return the labels that a function votes for, the first three of many."""
    if not labels:
        return ""
    more = len(labels) - MOST_LABELS
    return ", ".join(labels[:MOST_LABELS]) + (f" +{more}" if more > 0 else "")


def bars(shares: Sequence[float], top: float) -> str:
    """Return shares as a row of bars, the tallest for `top`."""
    return "".join(BARS[round(share / top * (len(BARS) - 1))] if top else BARS[0] for share in shares)


def _measured(value: float | None, lower: float | None, upper: float | None, enough: bool) -> str:
    if value is None:
        return ""
    return f"{value:.2f} ({_interval(lower, upper)})" if enough else "too few"


def _interval(lower: float | None, upper: float | None, *, signed: bool = False) -> str:
    if lower is None or upper is None:
        return ""
    return f"{lower:+.2f} to {upper:+.2f}" if signed else f"{lower:.2f}-{upper:.2f}"


def _p(p: float | None) -> str:
    return "" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def _part(count: int, total: int) -> str:
    return f" ({count / total:.1%})" if total else ""
