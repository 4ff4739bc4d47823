"""`hitl review`: what experts look at again, what they decided, and where the guideline needs a look."""

from __future__ import annotations

from typing import Annotated

import typer

from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json

group = typer.Typer(
    no_args_is_help=True, help="See what reviewers decide and where the guideline needs a look.", rich_markup_mode=None
)
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="Show at most this many.")]


@group.command("run", epilog=examples("hitl review run", "hitl review run spam --json"))
def run(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """Fetch reviewers' decisions and fill their table once. `hitl run` does it all the time."""
    from adapter.cli.show import report
    from adapter.stages.review import review

    with opened(context) as app:
        found = chosen(app, project)
        done = review(found)
    if as_json:
        print_json(done)
    else:
        report(f"review of {found.name}", done)


@group.command("status", epilog=examples("hitl review status", "hitl review status spam --json"))
def status(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """Show where review stands, how many labels hold, and what each reviewer did."""
    from adapter.cli.show import report
    from adapter.stages.review_status import review_status

    with opened(context) as app:
        found = chosen(app, project)
        done = review_status(found)
    if as_json:
        print_json(done)
    else:
        report(f"review of {found.name}", done)


@group.command("queue", epilog=examples("hitl review queue", "hitl review queue spam --limit 10 --json"))
def queue(
    context: typer.Context, project: ProjectArgument = None, limit: LimitOption = 50, as_json: JsonOption = False
) -> None:
    """List the tasks on the reviewers' table, first what they see first, each with the reason."""
    from adapter.cli.show import table
    from adapter.stages import review_project
    from adapter.stages.review_words import in_words

    with opened(context) as app:
        found = chosen(app, project)
        entries = list(review_project.load(found).entries.values())[:limit]
        rows = [
            {
                "task": entry.task_id,
                "place": entry.place,
                "why": entry.why,
                "said": entry.said,
                "proposed": {
                    name: in_words(found.space.control(name), value)
                    for name, value in entry.proposed.items()
                    if name in {control.name for control in found.space.controls}
                },
            }
            for entry in entries
        ]
    if as_json:
        print_json(rows)
        return
    table(
        f"in review of {found.name}",
        ("task", "why", "said", "proposed"),
        [(row["task"], row["why"], row["said"], row["proposed"]) for row in rows],
        empty="nothing waits for a reviewer",
    )


@group.command("decisions", epilog=examples("hitl review decisions", "hitl review decisions spam --limit 10 --json"))
def decisions(
    context: typer.Context, project: ProjectArgument = None, limit: LimitOption = 50, as_json: JsonOption = False
) -> None:
    """List the decisions that stand, the latest first."""
    from adapter.cli.show import table
    from adapter.stages.review_decisions import standing
    from adapter.stages.review_words import in_words

    with opened(context) as app:
        found = chosen(app, project)
        rows = sorted(standing(found).values(), key=lambda row: (row.at, row.annotation), reverse=True)[:limit]
    if as_json:
        print_json(rows)
        return
    known = {control.name: control for control in found.space.controls}
    cells = [
        (
            row.task_id,
            row.control,
            str(row.decision),
            in_words(known[row.control], row.proposed) if row.control in known else "-",
            in_words(known[row.control], row.value) if row.control in known else "-",
            row.reviewer,
            row.why,
        )
        for row in rows
    ]
    columns = ("task", "control", "decision", "proposed", "stands", "reviewer", "why")
    table(f"decisions of {found.name}", columns, cells, empty="none yet")


@group.command("guideline", epilog=examples("hitl review guideline", "hitl review guideline spam --json"))
def guideline(
    context: typer.Context,
    project: ProjectArgument = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Show at most this many of each sort.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Show the classes and the people that differ most beyond chance, with examples."""
    from adapter.cli.show import say
    from adapter.stages.guideline import guideline as look

    with opened(context) as app:
        found = chosen(app, project)
        done = look(found, most=most)
    if as_json:
        print_json(done)
        return
    for problem in done.problems:
        say(f"{problem.control}: {problem.sentence}")
        for example in problem.examples:
            say(f"    {example}")
    say(f"{found.name}: {done.note}")


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="review")
