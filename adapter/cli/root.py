"""The root of the command line: options that stand before the command, and all commands in the order of use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapter import __version__
from adapter.cli import (
    agreement,
    consensus,
    flags,
    gold,
    kinds,
    lf,
    model,
    people,
    play,
    progress,
    review,
    route,
    run,
    setup,
    strategies,
    verbs,
)
from adapter.cli.common import State

app = typer.Typer(
    name="hitl",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hitl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Another adapter.yaml. Default: config/adapter.yaml, or HITL_CONFIG."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log everything, tracebacks too.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Everyone votes (labeling functions, models, people); people are asked only where it is still needed."""
    context.obj = State(config=config, verbose=verbose)


GROUPS = (
    setup,
    kinds,
    run,
    verbs,
    strategies,
    model,
    progress,
    lf,
    consensus,
    agreement,
    people,
    flags,
    gold,
    review,
    route,
    play,
)
for group in GROUPS:
    group.register(app)
