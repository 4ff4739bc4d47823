"""`hitl route`: who labels what, and why."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json

PEOPLE = ("name", "queue", "today", "cap", "accuracy", "judged", "tiers", "page")


def route(
    context: typer.Context,
    project: ProjectArgument = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide, and change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give open tasks to people by the project's rules: who gets what and why, queue lengths, caps."""
    with opened(context) as app:
        found = chosen(app, project)
        report = _route(found, dry_run)
    if as_json:
        print_json(report)
        return
    _show(found.name, report, dry_run)


def _route(project: Any, dry_run: bool) -> Any:
    from adapter.stages.route import route

    return route(project, dry_run=dry_run, renew=not dry_run)


def _show(name: str, report: Any, dry_run: bool) -> None:
    from adapter.cli.show import hint, say, table

    if report.note:
        say(f"{name}: {report.note}")
        return
    head = f"who would get what in {name} (nothing was changed)" if dry_run else f"who got what in {name}"
    rows = [(row["task"], row["annotators"], row["why"]) for row in report.given]
    table(head, ("task", "annotators", "why"), rows, empty="nothing new to give")
    table(
        f"annotators of {name}",
        PEOPLE,
        [[person[column] for column in PEOPLE] for person in report.people],
        empty="nobody yet: name them in `routing.annotators`, or let them label once",
    )
    if report.taken_back:
        say(f"taken back: {report.taken_back}")
    if report.waiting:
        say(f"seats that wait for somebody with room: {report.waiting}")
    if report.away:
        say(f"away, without a sign of life: {', '.join(report.away)}")
    if report.faults:
        hint(f"{report.faults} faults of the router; `hitl status` shows the last ones")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=examples("hitl route", "hitl route spam --dry-run", "hitl route spam --json"))(route)
