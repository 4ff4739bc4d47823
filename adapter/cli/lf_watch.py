"""`hitl lf watch`: what an edit of a labeling function changes, at once, on a sample."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from adapter.cli.common import ProjectArgument, chosen, examples, opened, print_json

if TYPE_CHECKING:
    from adapter.stages.function_watch_reports import Figures, FunctionChange, WatchReport

_HELP = """Run labeling functions again as they are saved, and show what changed.

Only functions that changed run again, on tasks drawn at random from the pool: coverage, votes, conflict, faults, and
the votes that flipped, with examples. Nothing is stored: run `hitl vote` when you are content. End with Ctrl-C.

Accuracy is counted on the blind sample, so no text of a blind task is ever shown. The figure still leaks a little each
time you look: a function that is changed until it looks good there is a little worse than it looks. Trust the interval
more than the figure, and the labels that come in after your last change most."""


def register_on(group: typer.Typer) -> None:
    """Add `watch` to the group `hitl lf`."""
    group.command(
        "watch", help=_HELP, epilog=examples("hitl lf watch", "hitl lf watch spam --rows 2000", "hitl lf watch --once")
    )(watch)


def watch(
    context: typer.Context,
    project: ProjectArgument = None,
    rows: Annotated[int, typer.Option("--rows", min=1, max=1_000_000, help="Tasks of the sample.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sample: the same seed, the same tasks.")] = 0,
    once: Annotated[bool, typer.Option("--once", help="Show all functions once and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON value a line, one for each change, and nothing else.")
    ] = False,
) -> None:
    """Run labeling functions again as they are saved, and show what changed."""
    from adapter.cli.show import hint
    from adapter.engines.local import LocalEngine
    from adapter.stages.function_watch import FunctionWatch
    from adapter.stages.function_watch_loop import watch_functions

    def tell(report: WatchReport) -> None:
        if not as_json:
            show(report)
        elif once:
            print_json(report)
        else:
            from adapter.logs import plain

            sys.stdout.write(json.dumps(plain(report), ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def pause(seconds: float) -> bool:
        time.sleep(seconds)
        return True

    with opened(context) as app:
        found = chosen(app, project)
        conf = found.engine
        # One time-out ends a function here: its author waits for the answer.
        with LocalEngine(workers=conf.workers, timeout_s=conf.timeout_s, strikes=1, memory_mb=conf.memory_mb) as engine:
            for index in range(engine.workers):
                engine.worker(index)  # started now, so that the first edit need not wait for it
            try:
                watch_functions(FunctionWatch(found, engine, rows, seed), tell, once=once, pause=pause)
            except KeyboardInterrupt:
                hint("\nStopped watching. Nothing was stored: `hitl vote` runs the functions on the whole pool.")


def show(report: WatchReport) -> None:
    """Print a report for people."""
    from adapter.cli.show import say

    if report.error:
        say(f"✗ {report.error}")
        return
    there = [change for change in report.changes if change.what == "there"]
    if there:
        _overview(there, f"labeling functions on {_of(report)}")
    judged = [change for change in report.changes if change.what == "judged"]
    if judged:
        _moved(judged)
    for change in report.changes:
        if change.what == "refused":
            say(f"✗ {change.name} cannot run: {' '.join(change.messages)}")
        elif change.what not in ("there", "judged"):
            _change(change)
    if not report.changes:
        say("✓ the file loads again; nothing else changed" if not there and report.rows else _nothing(report))
    elif not judged:
        say(f"  {_of(report)}, {report.unchanged} functions unchanged, {report.seconds:.2f} s")


def _nothing(report: WatchReport) -> str:
    return "the pool is empty: run `hitl ingest`" if not report.pool else "there are no labeling functions yet"


def _of(report: WatchReport) -> str:
    return f"{report.rows:,} of {report.pool:,} tasks"


def _overview(changes: list[FunctionChange], title: str) -> None:
    from adapter.cli.show import say, table

    rows = []
    for change in changes:
        after = change.after
        if after is not None:
            rows.append(
                (
                    change.control,
                    change.name,
                    after.coverage,
                    after.labels,
                    after.conflict,
                    after.accuracy,
                    _interval(after),
                    after.judged,
                    after.faults,
                )
            )
    columns = ("control", "function", "coverage", "votes", "conflict", "accuracy", "95 %", "n", "faults")
    table(title, columns, rows)
    for change in changes:
        for message in change.messages:
            say(f"  ✗ {change.name}: {message}")


def _moved(changes: list[FunctionChange]) -> None:
    from adapter.cli.show import table

    rows = [
        (change.name, _accuracy(change.before), _accuracy(change.after))
        for change in changes
        if change.after is not None
    ]
    table("people labelled more blind tasks", ("function", "accuracy before", "now"), rows)


def _change(change: FunctionChange) -> None:
    from adapter.cli.show import say, table, words

    before, after = change.before, change.after
    if after is None:
        say(f"- {change.name} is gone")
        return
    rows = [
        (what, *(words(read(side)) if side is not None else "-" for side in (before, after)))
        for what, read in (
            ("coverage", lambda side: side.coverage),
            ("votes", lambda side: side.labels),
            ("conflict with others", lambda side: side.conflict),
            ("accuracy, blind sample", _accuracy),
            ("faults", lambda side: side.faults),
        )
    ]
    table(f"{change.name} {change.what}", ("", "before", "after"), rows)
    for message in change.messages:
        say(f"  ✗ {message}")
    for flip in change.flips:
        say(f"  {flip.before} → {flip.after}: {flip.count:,}")
        for text in flip.examples:
            say(f"      {text}")
    if change.what == "changed" and not change.flips:
        say("  no vote changed")


def _accuracy(figures: Figures | None) -> str:
    if figures is None or figures.accuracy is None:
        return "-"
    return f"{figures.accuracy:.2f} ({_interval(figures)}, n={figures.judged})"


def _interval(figures: Figures) -> str:
    return "" if figures.lower is None or figures.upper is None else f"{figures.lower:.2f} to {figures.upper:.2f}"
