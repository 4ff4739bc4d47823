"""What the commands share: options, the opened App, the choice of a project."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.errors import SettingsError

if TYPE_CHECKING:
    from adapter.app import App
    from adapter.settings import Settings
    from adapter.stages.context import Project

ProjectArgument = Annotated[
    str | None,
    typer.Argument(metavar="PROJECT", help="May be left out when there is one project.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout and nothing else.")]


@dataclass
class State:
    """The options that stand before the command."""

    config: Path | None = None
    verbose: bool = False


_settings: list[Settings] = []


def examples(*lines: str) -> str:
    """Return the epilog of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def state_of(context: typer.Context) -> State:
    """Return the options that stood before the command."""
    state = context.find_root().obj
    return state if isinstance(state, State) else State()


def config_path(context: typer.Context) -> Path:
    """Return the settings file that this command uses."""
    from adapter.settings_file import environment, find_config

    return find_config(state_of(context).config, environment())


def settings_of(context: typer.Context, *, level: str | None = None) -> Settings:
    """Read the settings and set up logs: `level`, else warnings, else everything with --verbose."""
    from adapter.logs import configure_logging
    from adapter.settings_file import environment, load_settings

    settings = load_settings(config_path(context), environment())
    _settings[:] = [settings]
    chosen = "debug" if state_of(context).verbose else level or "warning"
    configure_logging(chosen, settings.log_format, secrets=secrets_of(settings))
    return settings


def last_settings() -> Settings | None:
    """Return the settings that were read last, if any: a crash report needs to know where to write."""
    return _settings[-1] if _settings else None


def secrets_of(settings: Settings) -> list[str]:
    """Return the secrets that stand in the settings, for the logs to hide."""
    values = (
        settings.store.url,
        settings.label_studio.token,
        settings.label_studio.password,
        settings.web.backend_password,
        settings.web.webhook_secret,
        settings.llm.api_key,
    )
    return [value.get_secret_value() for value in values if value.get_secret_value()]


@contextmanager
def opened(context: typer.Context, *, level: str | None = None) -> Iterator[App]:
    """Open the App for one command and close it after."""
    from adapter.app import App

    app = App(settings_of(context, level=level))
    try:
        yield app
    finally:
        app.close()


def chosen(app: App, name: str | None) -> Project:
    """Return the named project, or the only one. Raises SettingsError when there are none or several."""
    if name is not None:
        return app.project(name)
    names = sorted(app.settings.projects)
    if len(names) == 1:
        return app.project(names[0])
    if not names:
        raise SettingsError(
            "there is no project yet", where=str(app.settings.config / "projects"), remedy="Make one with `hitl init`."
        )
    raise SettingsError("which project?", remedy=f"Name one of: {', '.join(names)}.")


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    from adapter.logs import plain

    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")


def who_am_i() -> str:
    """Return the name of the user who runs the command, for the audit log."""
    import os

    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return "command line"
