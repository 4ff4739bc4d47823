"""The verbs, one command each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json

FEW_PEOPLE = 6
"""Annotators of a control whose skill `hitl status` prints; with more its table would say little else."""


def run_stage(
    context: typer.Context,
    verb: str,
    project: str | None,
    as_json: bool,
    *,
    work: Callable[[Any, Callable[..., Any], Any], Any] | None = None,
    show: Callable[[str, Any], None] | None = None,
) -> None:
    """Run one stage of one project and show its report. work(project, stage, progress) replaces the plain call,
    show(title, report) the plain table."""
    from adapter.cli.show import progress, report
    from adapter.loop import default_stages

    stage = default_stages()[verb]
    with opened(context) as app:
        found = chosen(app, project)
        with progress(f"{verb} {found.name}", quiet=as_json) as bar:
            result = work(found, stage, bar) if work else stage(found)
    if as_json:
        print_json(result)
    else:
        (show or report)(f"{verb} {found.name}", result)


def status(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """Say where the projects stand: tasks, people, models, flags, and why a queue is empty. Reads only our store."""
    from adapter.cli.show import report
    from adapter.stages.status import status as stage

    with opened(context) as app:
        several = project is None and len(app.settings.projects) > 1
        projects = app.projects() if several else [chosen(app, project)]
        results = [stage(found) for found in projects]
    if as_json:
        print_json(results if project is None and len(results) > 1 else results[0])
        return
    for result in results:
        figures = result.as_json()
        if any(len(people) > FEW_PEOPLE for people in figures["skills"].values()):
            figures["skills"] = "of more people than fit here: `hitl people` shows them"
        report(f"project {result.project}", figures)


def ingest(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """Read the project's data into the pool. Bad rows go to a rejects file; a run again ingests nothing twice."""
    run_stage(context, "ingest", project, as_json, work=lambda found, stage, bar: stage(found, progress=bar))


def pull(
    context: typer.Context,
    project: ProjectArgument = None,
    whole: Annotated[bool, typer.Option("--whole", help="Look at everything again, not only at what changed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch what people did in Label Studio."""
    run_stage(context, "pull", project, as_json, work=lambda found, stage, bar: stage(found, whole=whole))


def vote(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """Run the labeling functions on the tasks that they have not seen in their present version."""
    run_stage(context, "vote", project, as_json, work=lambda found, stage, bar: stage(found, progress=bar))


def consolidate(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """Consolidate the votes of people and of labeling functions; shows the table of consolidators."""

    def show(title: str, result: Any) -> None:
        from adapter.cli.lf_report import show_consolidators
        from adapter.cli.show import hint, report
        from adapter.logs import plain

        report(title, {key: value for key, value in plain(result).items() if key not in ("weak", "warnings")})
        for control, scores in result.weak.items():
            show_consolidators(control, scores)
            for warning in result.warnings.get(control, ()):
                hint(warning)

    run_stage(context, "consolidate", project, as_json, show=show)


def flag(
    context: typer.Context,
    project: ProjectArgument = None,
    again: Annotated[bool, typer.Option("--again", help="Look although no label changed since the last time.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look for suspected errors in people's labels."""
    run_stage(context, "flag", project, as_json, work=lambda found, stage, bar: stage(found, again=again))


def rank(
    context: typer.Context,
    project: ProjectArgument = None,
    show: Annotated[int, typer.Option("--show", min=0, help="Show this many tasks from the top.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Order the tasks that people should see next, each with its reason."""
    if not show:
        run_stage(context, "rank", project, as_json)
        return
    from adapter.cli.show import table
    from adapter.loop import default_stages

    with opened(context) as app:
        found = chosen(app, project)
        default_stages()["rank"](found)
        rows = found.store.rankings.current(found.name, limit=show)
    if as_json:
        print_json(rows)
        return
    shown = [(row.priority, row.task_id, row.why, row.score, row.overlap) for row in rows]
    table(f"next tasks of {found.name}", ("priority", "task", "why", "score", "people"), shown)


def push(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """Set the project up in Label Studio if needed, then fill its work window with pre-labelled tasks, best first."""

    def work(found: Any, stage: Callable[..., Any], bar: Any) -> Any:
        from adapter.loop import default_stages

        stages = default_stages()
        stages["setup"](found)
        if found.store.rankings.basis(found.name) is None:
            stages["rank"](found)
        return stage(found)

    run_stage(context, "push", project, as_json, work=work)


def train(
    context: typer.Context,
    project: ProjectArgument = None,
    if_due: Annotated[
        bool, typer.Option("--if-due", help="Only if the project's policy says that it is time.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a candidate in a process of its own, and promote it if the gate lets it pass."""

    def work(found: Any, stage: Callable[..., Any], bar: Any) -> Any:
        from adapter.loop import default_stages

        if if_due and default_stages()["due"](found) is None:
            return {"version": None, "promoted": False, "sentence": "no training is due"}
        return stage(found)

    def show(title: str, result: Any) -> None:
        from adapter.cli.show import report
        from adapter.logs import plain

        figures = plain(result)
        metrics = figures.pop("metrics", None) or {}
        figures.pop("verdict", None)  # its sentence stands there; --json has all of both
        for control, about in metrics.get("controls", {}).items():
            figures[f"weak labels of {control}"] = about.get("sentence", "")
        for control, about in metrics.get("calibration", {}).items():
            figures[f"calibration of {control}"] = about.get("sentence", "")
        report(title, figures)

    run_stage(context, "train", project, as_json, work=work, show=show)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=examples("hitl status", "hitl status spam --json"))(status)
    app.command(epilog=examples("hitl ingest", "hitl ingest spam --json"))(ingest)
    app.command(epilog=examples("hitl pull spam", "hitl pull spam --whole"))(pull)
    app.command(epilog=examples("hitl vote spam", "hitl vote spam --json"))(vote)
    app.command(epilog=examples("hitl consolidate spam", "hitl consolidate spam --json"))(consolidate)
    app.command(epilog=examples("hitl flag spam", "hitl flag spam --again"))(flag)
    app.command(epilog=examples("hitl rank spam", "hitl rank spam --show 20"))(rank)
    app.command(epilog=examples("hitl push spam", "hitl push spam --json"))(push)
    app.command(epilog=examples("hitl train spam", "hitl train spam --if-due"))(train)
