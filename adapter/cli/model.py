"""`hitl model`: the versions of a project's model."""

from __future__ import annotations

from typing import Annotated

import typer

from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json, who_am_i

group = typer.Typer(no_args_is_help=True, help="List model versions, promote one, or roll back.", rich_markup_mode=None)


@group.command("list", epilog=examples("hitl model list", "hitl model list spam --json"))
def list_versions(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """List the versions with their state, figures and the gate's verdict."""
    from adapter.cli.show import table

    with opened(context) as app:
        found = chosen(app, project)
        versions = found.store.models.all(found.name)
    if as_json:
        print_json(versions)
        return
    rows = [
        (
            item.version,
            str(item.state.value),
            item.created_at.isoformat(timespec="seconds"),
            item.backend,
            _verdict(item),
        )
        for item in versions
    ]
    table(
        f"models of {found.name}", ("version", "state", "made", "backend", "verdict"), rows, empty="none is trained yet"
    )


def _verdict(item: object) -> str:
    verdict = dict(getattr(item, "verdict", {}) or {})
    return str(verdict.get("sentence") or verdict.get("outcome") or "")


@group.command(epilog=examples("hitl model promote spam-3-1f2e3d4c", "hitl model promote spam-3-1f2e3d4c spam"))
def promote(
    context: typer.Context,
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="As `hitl model list` shows it.", show_default=False)
    ],
    project: ProjectArgument = None,
    as_json: JsonOption = False,
) -> None:
    """Make a version current. The next push stores its pre-labels and switches Label Studio to it."""
    from adapter.cli.show import say
    from adapter.stages.models import promote as stage

    with opened(context) as app:
        result = stage(chosen(app, project), version, who_am_i())
    if as_json:
        print_json(result)
    else:
        say(f"{result.version} is current")


@group.command(epilog=examples("hitl model rollback", "hitl model rollback spam"))
def rollback(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """Go back to the version that was current before."""
    from adapter.cli.show import say
    from adapter.stages.models import rollback as stage

    with opened(context) as app:
        result = stage(chosen(app, project), who_am_i())
    if as_json:
        print_json(result)
    else:
        say(f"{result.version} is current again")


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="model")
