"""`hitl consensus`: the one consensus of every task, who decides it, and where sources contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json
from adapter.errors import DataError

if TYPE_CHECKING:
    from adapter.stages.joint import TaskConsensus


def show_consensus(
    context: typer.Context,
    project: ProjectArgument = None,
    task: Annotated[list[str] | None, typer.Option("--task", metavar="ID", help="Show who says what of it.")] = None,
    apart: Annotated[
        bool, typer.Option("--apart", help="Show the tasks on which people, functions and model contradict each other.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many with --apart.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show who decides the labels, how right each source is on the blind sample, and single tasks."""
    from adapter.cli.show import say, table
    from adapter.stages.joint import consensus_report

    with opened(context) as app:
        found = chosen(app, project)
        known = found.store.tasks.index(found.name).seq_of
        unknown = [one for one in task or () if one not in known]
        if unknown:
            raise DataError(
                f"project '{found.name}' has no task {', '.join(unknown)}",
                remedy="Task ids are those of the data's id column; `hitl consensus --apart` shows some.",
            )
        report = consensus_report(found, task_ids=tuple(task or ()), apart=apart, limit=limit)
    if as_json:
        print_json(asdict(report))
        return
    rows = [(control, by, count) for control, counts in report.by.items() for by, count in counts.items() if count]
    table(f"who decides the labels of {found.name}", ("control", "by", "tasks"), rows, empty="no control has labels")
    judged = [
        (control, row["name"], row["accuracy"], _interval(row), row["n"])
        for control, scores in report.scores.items()
        for row in scores
    ]
    if judged:
        table("on the blind sample", ("control", "source", "accuracy", "95 %", "n"), judged)
    for control, weights in report.weights.items():
        say(
            f"{control}: functions count {weights['functions']:g} and the model {weights['model']:g} where both speak "
            f"(from {weights['n']} labels)."
        )
    if task or apart:
        shown = [
            (row.task_id, row.control, _text(row.value), row.by, row.sure, row.apart, _support(row))
            for row in report.rows
        ]
        columns = ("task", "control", "label", "by", "sure", "apart", "who says what")
        table("tasks", columns, shown, empty="no two sources contradict each other")


def _interval(row: Mapping[str, Any]) -> str:
    return "" if row["lower"] is None else f"{row['lower']:.2f} to {row['upper']:.2f}"


def _support(row: TaskConsensus) -> str:
    return ", ".join(f"{who}: {_text(said['value'])}" for who, said in row.support.items())


def _text(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "consensus", epilog=examples("hitl consensus", "hitl consensus spam --apart", "hitl consensus --task 17 --json")
    )(show_consensus)
