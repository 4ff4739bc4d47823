"""`hitl lf test`: the examples that authors wrote beside their labeling functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adapter.cli.common import JsonOption, examples, print_json, settings_of
from adapter.errors import SettingsError, nearest

if TYPE_CHECKING:
    from adapter.function_checks import FunctionCheck
    from adapter.settings import ProjectSettings, Settings


def register_on(group: typer.Typer) -> None:
    """Add the command to the group `lf`."""
    group.command(
        "test", epilog=examples("hitl lf test", "hitl lf test has_link", "hitl lf test --project spam --json")
    )(run_examples)


def run_examples(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Of one function. Default: all.", show_default=False)
    ] = None,
    project: Annotated[str | None, typer.Option("--project", help="May be left out when there is one project.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the examples written beside labeling functions, with the time limits of `hitl vote`. Needs no data.

    Exits with 1 when an example fails.
    """
    from adapter.engines import make_engine
    from adapter.function_checks import check_functions
    from adapter.label_studio.label_config import read_label_config
    from adapter.labeling import discover
    from adapter.stages.function_examples import named

    settings = settings_of(context)
    found = _chosen(settings, project)
    spec = found.labeling_functions
    functions = discover(spec) if spec and spec != "none" else []
    if name is not None:
        functions = [named(functions, name)]
    space = read_label_config(settings.config / found.label_config)
    llm = {"llm_url": settings.llm.url, "llm_key": settings.llm.api_key.get_secret_value()}
    engine = make_engine(
        settings.engine.model_copy(update={"kind": "local"}), {**llm, "cache_folder": str(settings.home / "cache")}
    )
    try:
        checks = check_functions(functions, space, engine)
    finally:
        engine.close()
    passed = all(check.passed for check in checks)
    if as_json:
        print_json({"project": found.name, "passed": passed, "functions": checks})
    else:
        _print(found.name, checks)
    if not passed:
        raise typer.Exit(1)


def _print(project: str, checks: list[FunctionCheck]) -> None:
    from adapter.cli.show import say, table

    rows = []
    for check in checks:
        if check.examples or check.error:
            failed = sum(not item.passed for item in check.examples)
            verdict = "cannot be tried" if check.error else f"{failed} failed" if failed else "passed"
            rows.append((check.name, len(check.examples), verdict))
    table(
        f"examples of {project}'s labeling functions",
        ("function", "examples", "result"),
        rows,
        empty="no function has any" if checks else "there are no labeling functions",
    )
    for check in checks:
        if check.error:
            say(f"{check.name}: {check.error}")
        for item in check.examples:
            if not item.passed:
                got = f"failed: {item.fault}" if item.fault else f"got {_label(item.got)}"
                say(f"{check.name}, example {item.number} ({check.place}): expected {_label(item.expected)}, {got}")
                say(f"  {item.data}")
                if item.advice:
                    say(f"  {item.advice}")
    for check in checks:
        for warning in check.warnings:
            say(f"warning: {check.name} ({check.place}): {warning}")
    without = [check.name for check in checks if not check.examples and not check.error]
    if without and rows:
        say(f"without examples: {', '.join(without)}")


def _label(label: str | None) -> str:
    return "no vote" if label is None else f"'{label}'"


def _chosen(settings: Settings, name: str | None) -> ProjectSettings:
    """Return the settings of the named project, or of the only one, without opening its store."""
    names = sorted(settings.projects)
    if name is not None and name not in settings.projects:
        raise SettingsError(
            f"there is no project '{name}'",
            where=str(settings.config / "projects"),
            remedy=nearest(name, names) or "Make one with `hitl init`.",
        )
    if name is None and not names:
        raise SettingsError(
            "there is no project yet", where=str(settings.config / "projects"), remedy="Make one with `hitl init`."
        )
    if name is None and len(names) > 1:
        raise SettingsError("which project?", remedy=f"Name one of them with --project: {', '.join(names)}.")
    return settings.projects[name or names[0]]
