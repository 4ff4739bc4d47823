"""`hitl lf`: a project's labeling functions and what they are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.cli import lf_examples, lf_report, lf_suggest, lf_test, lf_watch
from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json
from adapter.cli.lf_report import Sort

if TYPE_CHECKING:
    from adapter.labeling import LabelingFunction

group = typer.Typer(
    no_args_is_help=True,
    help="Labeling functions: list, test, watch, report, look at examples, suggest.",
    rich_markup_mode=None,
)


@group.command("list", epilog=examples("hitl lf list", "hitl lf list spam --json"))
def list_functions(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """List the labeling functions: control, kind, what they look for, version, examples."""
    from adapter.cli.show import table
    from adapter.stages.function_evidence import kind_of_function

    with opened(context) as app:
        found = chosen(app, project)
        rows: list[dict[str, Any]] = [
            {
                "name": item.name,
                "control": item.control,
                "kind": kind_of_function(item),
                "says": _labels(item),
                "version": item.version,
                "doc": item.doc,
                "words": item.declared.words if item.declared else "",
                "examples": len(item.examples),
                "module": item.module,
                "line": item.line,
            }
            for item in found.functions()
        ]
        several = len(found.learned) > 1
    if as_json:
        print_json(rows)
        return
    columns = ("name", *(("control",) if several else ()), "kind", "says", "what it looks for", "version", "examples")
    shown = []
    for row in rows:
        middle = (row["control"],) if several else ()
        sought = row["doc"] or row["words"]
        shown.append((row["name"], *middle, row["kind"], row["says"], sought, str(row["version"])[:8], row["examples"]))
    table(f"labeling functions of {found.name}", columns, shown, empty="there are none")


def _labels(function: LabelingFunction) -> list[str]:
    """Return the labels that a function votes for, as far as its declaration or its source tells."""
    from adapter.function_labels import returned_texts

    if function.declared is not None:
        return [function.declared.label] if function.declared.label else []
    return sorted({text for text, _ in returned_texts(function.function)})


@group.command(
    "report", epilog=examples("hitl lf report", "hitl lf report spam --wide --sort gain", "hitl lf report spam --json")
)
def report_functions(
    context: typer.Context,
    project: ProjectArgument = None,
    sort: Annotated[Sort, typer.Option("--sort", help="What the functions stand in order of.")] = Sort.DECLARED,
    wide: Annotated[
        bool, typer.Option("--wide", help="Also precision by label, twins, cost, and trends over time.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Report coverage, overlap, conflict, accuracy, gain and faults of each function. Run `hitl vote` before.

    Accuracy, precision and gain are measured on people's labels of the blind sample alone, with 95 % intervals; gain is
    what a function adds to majority vote.
    """
    from adapter.stages.functions import functions_report

    with opened(context) as app:
        found = functions_report(chosen(app, project))
    if as_json:
        print_json(lf_report.as_json(found, sort))
    else:
        lf_report.show(found, sort, wide=wide)


lf_examples.register_on(group)
lf_test.register_on(group)
lf_watch.register_on(group)
lf_suggest.register_on(group)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="lf")
