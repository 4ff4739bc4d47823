"""`hitl gold`: tasks whose true labels are known, which measure people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json, who_am_i
from adapter.errors import DataError, nearest

if TYPE_CHECKING:
    from adapter.stages.context import Project
    from adapter.vocabulary import Control

group = typer.Typer(
    no_args_is_help=True, help="Import, list or drop labels that are known to be true.", rich_markup_mode=None
)
ProjectOption = Annotated[
    str | None, typer.Option("--project", help="May be left out when there is one project.", show_default=False)
]
ControlOption = Annotated[
    str | None, typer.Option("--control", help="Of this control only.", metavar="NAME", show_default=False)
]


@group.command("list", epilog=examples("hitl gold list", "hitl gold list spam --limit 10 --json"))
def list_gold(
    context: typer.Context,
    project: ProjectArgument = None,
    control: ControlOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List gold labels by task. Keep the list from those who are measured by it."""
    from adapter.cli.show import table
    from adapter.stages.review_words import in_words

    with opened(context) as app:
        found = chosen(app, project)
        rows = found.store.gold.all(found.name, control)
    total, rows = len(rows), rows[:limit]
    if as_json:
        print_json(rows)
        return
    known = {one.name: one for one in found.space.controls}
    cells = [
        (
            row.task_id,
            row.control,
            in_words(known[row.control], row.value) if row.control in known else "-",
            row.origin,
            row.by,
        )
        for row in rows
    ]
    table(
        f"gold of {found.name} ({len(cells)} of {total})",
        ("task", "control", "truth", "origin", "by"),
        cells,
        empty="none yet; import some with `hitl gold add FILE`",
    )


@group.command(
    epilog=examples(
        "hitl gold add gold.csv", "hitl gold add gold.jsonl --id-column key", "hitl gold add --column truth"
    )
)
def add(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="CSV, JSONL or Parquet: a column with task ids, one for each control."),
    ] = None,
    project: ProjectOption = None,
    id_column: Annotated[str, typer.Option("--id-column", help="The file's column with task ids.")] = "",
    column: Annotated[str, typer.Option("--column", help="Take gold from this field of the tasks instead.")] = "",
    control: ControlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import gold labels from a file, or from a field of the tasks. Bad rows are told and left out."""
    from adapter.cli.show import report
    from adapter.stages.gold import gold_from_column, import_gold

    with opened(context) as app:
        found = chosen(app, project)
        if (file is None) == (not column):
            raise DataError("where is the gold?", remedy="Name a FILE, or a field of the tasks with --column.")
        if file is not None:
            done = import_gold(found, file, by=who_am_i(), id_column=id_column)
        else:
            done = gold_from_column(found, _control(found, control), column, by=who_am_i())
    if as_json:
        print_json(done)
    else:
        report(f"gold of {found.name}", done)


@group.command(epilog=examples("hitl gold drop c12 c13", "hitl gold drop c12 --project spam --control tone"))
def drop(
    context: typer.Context,
    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Task ids as `hitl gold list` shows them.", show_default=False)
    ],
    project: ProjectOption = None,
    control: ControlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Drop the gold labels of these tasks."""
    from adapter.cli.show import say
    from adapter.stages.gold import drop_gold

    with opened(context) as app:
        count = drop_gold(chosen(app, project), ids, by=who_am_i(), control=control)
    if as_json:
        print_json({"dropped": count})
    else:
        say(f"{count} dropped")


def _control(project: Project, name: str | None) -> Control:
    """Return the named control, or the only one."""
    known = {control.name: control for control in project.space.controls}
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name not in known:
        remedy = nearest(name, known) if name else f"Name one of: {', '.join(known)}."
        raise DataError(f"there is no control '{name}'" if name else "which control?", where="--control", remedy=remedy)
    return known[name]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="gold")
