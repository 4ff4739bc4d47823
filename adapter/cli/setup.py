"""`hitl init`, `hitl doctor` and `hitl attach`: how a team begins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from adapter.cli.common import (
    JsonOption,
    ProjectArgument,
    chosen,
    config_path,
    examples,
    opened,
    print_json,
    settings_of,
)
from adapter.errors import PlatformNotFound


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where config/ and labeling_functions/ go.")] = Path(),
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="CSV, JSONL, Parquet or a folder of files.", show_default=False),
    ] = None,
    labels: Annotated[str, typer.Option("--labels", metavar="A,B,C", help="The labels to choose from.")] = "yes,no",
    name: Annotated[str, typer.Option("--name", help="The project's name. Default: after the data file.")] = "",
    field: Annotated[str, typer.Option("--field", help="The column that people read. Default: text, or image.")] = "",
    id_column: Annotated[str, typer.Option("--id-column", help="A column with stable ids.")] = "",
    multiple: Annotated[bool, typer.Option("--multiple", help="Several labels may hold at once.")] = False,
    url: Annotated[
        str,
        typer.Option("--label-studio", metavar="URL", help="Your own Label Studio. Default: one is started for you."),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Write settings, a label config and a first labeling function for a project. Never overwrites a file."""
    from adapter.cli.show import say
    from adapter.scaffold import Wish, scaffold

    wish = Wish(
        name=name,
        labels=tuple(label.strip() for label in labels.split(",")),
        field=field,
        data=data,
        id_column=id_column,
        multiple=multiple,
        label_studio=url,
    )
    made = scaffold(folder, wish)
    if as_json:
        print_json(made)
        return
    for path in made.written:
        say(f"wrote  {os.path.relpath(path)}")
    for path in made.kept:
        say(f"kept   {os.path.relpath(path)}")
    inside = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    if not url:
        say(f"Next: {inside}hitl up")
    else:
        say(f"Next: put the token into {os.path.relpath(made.secrets)}, then: {inside}hitl doctor && hitl up")


def doctor(context: typer.Context, as_json: JsonOption = False) -> None:
    """Check settings, store, Label Studio and every project, and say how to mend what is wrong.

    The exit code is 1 when anything is wrong; warnings alone leave it 0.
    """
    from adapter.cli.show import say
    from adapter.doctor import Level, diagnose, settings_finding
    from adapter.errors import SettingsError

    try:
        settings_of(context)
    except SettingsError as error:
        findings = [settings_finding(error)]
    else:
        with opened(context) as app:
            findings = diagnose(app, config_path(context))
    if as_json:
        print_json(findings)
    else:
        marks = {Level.OK: "ok     ", Level.WARN: "warning", Level.ERROR: "ERROR  "}
        for finding in findings:
            say(f"{marks[finding.level]}  {finding.where}: {finding.what}")
            if finding.remedy:
                say(f"         -> {finding.remedy}")
    if any(finding.level is Level.ERROR for finding in findings):
        raise typer.Exit(1)


def attach(
    context: typer.Context,
    project: ProjectArgument = None,
    platform_id: Annotated[
        int | None, typer.Option("--id", min=1, help="Label Studio's project id. Default: project_id in the settings.")
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Forget the old binding and make a new Label Studio project.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Adopt a Label Studio project that exists, without disturbing it: its tasks and annotations are taken in."""
    from adapter.cli.show import progress, report
    from adapter.stages.attach import attach as stage
    from adapter.stages.attach import detach
    from adapter.stages.setup import setup

    with opened(context) as app:
        found = chosen(app, project)
        wanted = platform_id if platform_id is not None else found.settings.project_id
        if not new and wanted is None:
            raise PlatformNotFound(
                "which Label Studio project?",
                remedy="Add `--id N` (the number in its address /projects/N), or `--new` to make a new one.",
            )
        with progress(f"attach {found.name}", quiet=as_json):
            result: object
            if new:
                if found.platform_id is not None:
                    detach(found)
                result = setup(found)
            else:
                assert wanted is not None
                result = stage(found, wanted)
    if as_json:
        print_json(result)
    else:
        report(f"attach {found.name}", result)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=examples("hitl init --data mail.csv --labels billing,technical,other", "hitl init shop --name reviews")
    )(init)
    app.command(epilog=examples("hitl doctor", "hitl doctor --json"))(doctor)
    app.command(epilog=examples("hitl attach spam --id 7", "hitl attach spam --new"))(attach)
