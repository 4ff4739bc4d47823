"""`hitl lf examples`: tasks on which a labeling function is wrong, in conflict, silent or failing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.cli.common import JsonOption, chosen, examples, opened, print_json

if TYPE_CHECKING:
    from adapter.stages.function_examples import ExamplesReport

LONGEST_TEXT = 160
MOST_NAMES = 4


def register_on(group: typer.Typer) -> None:
    """Add the command to the group `lf`."""
    group.command(
        "examples",
        epilog=examples(
            "hitl lf examples has_link --wrong",
            "hitl lf examples has_link --conflict --limit 30",
            "hitl lf examples has_link --abstain --project spam",
            "hitl lf examples has_link --faults --json",
        ),
    )(show_examples)


def show_examples(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `hitl lf list` shows it.", show_default=False)],
    wrong: Annotated[
        bool,
        typer.Option("--wrong", help="People's consensus is another label (the default; not in the blind sample)."),
    ] = False,
    conflict: Annotated[bool, typer.Option("--conflict", help="Another function votes otherwise.")] = False,
    abstain: Annotated[bool, typer.Option("--abstain", help="It says nothing; what it misses first.")] = False,
    faults: Annotated[bool, typer.Option("--faults", help="It failed.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="Show at most this many.")] = 10,
    project: Annotated[str | None, typer.Option("--project", help="May be left out when there is one project.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show tasks on which a labeling function is wrong, in conflict with others, silent or failing.

    Tasks of the blind sample stay hidden (faults show them, without people's labels): `hitl lf report` measures
    accuracy on them, and a function mended on the tasks that measure it would look better than it is.
    """
    from adapter.stages.function_examples import WHICH, function_examples

    asked = [which for which, on in zip(WHICH, (wrong, conflict, abstain, faults), strict=True) if on]
    if len(asked) > 1:
        raise typer.BadParameter(f"choose one of --{', --'.join(asked)}")
    with opened(context) as app:
        found = chosen(app, project)
        report = function_examples(found, name, asked[0] if asked else "wrong", limit=limit)
    if as_json:
        print_json(report)
    else:
        _print(report)


def _print(report: ExamplesReport) -> None:
    from adapter.cli.show import say, table

    noun, among = {
        "wrong": ("is wrong", "tasks that people labelled outside the blind sample and it votes on"),
        "conflict": ("is contradicted", "tasks outside the blind sample on which it votes"),
        "abstain": ("abstains", "tasks outside the blind sample"),
        "faults": ("failed", "tasks"),
    }[report.which]
    say(f"{report.function} {noun} on {report.found:,} of {report.looked_at:,} {among}.")
    if report.note:
        say(f"Note: {report.note}.")
    if not report.tasks:
        return
    columns: tuple[str, ...] = ("task", "text")
    if report.which == "faults":
        columns += ("fault",)
    else:
        columns += (*(() if report.which == "abstain" else ("vote",)), "people", "others")
    rows = []
    for task in report.tasks:
        cells: dict[str, Any] = {
            "task": task.task_id,
            "text": cut(task.text, LONGEST_TEXT),
            "vote": task.vote,
            "people": ", ".join(task.people) if task.people is not None else None,
            "others": by_label(task.others),
            "fault": task.message,
        }
        rows.append([cells[column] for column in columns])
    table(f"{len(report.tasks)} of them" if len(report.tasks) < report.found else "all of them", columns, rows)
    if report.hidden and report.which == "abstain":
        say(f"The {report.hidden:,} tasks of the blind sample stay hidden: they measure accuracy.")


def by_label(others: Mapping[str, str]) -> str:
    """Return who votes for which label, the first few names of each: `spam: a, b +3; ham: c`."""
    names: dict[str, list[str]] = {}
    for name, label in others.items():
        names.setdefault(label, []).append(name)
    told = []
    for label, voters in names.items():
        more = len(voters) - MOST_NAMES
        told.append(f"{label}: {', '.join(voters[:MOST_NAMES])}" + (f" +{more}" if more > 0 else ""))
    return "; ".join(told)


def cut(text: str, most: int) -> str:
    """Return at most `most` characters of a text, ended at a word with an ellipsis where it is longer."""
    if len(text) <= most:
        return text
    head = text[: most - 1]
    space = head.rfind(" ")
    return (head[:space] if space > most // 2 else head).rstrip() + "…"
