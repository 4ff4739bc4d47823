"""Commands run in this process, against a world's store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
import typer
from typer.testing import CliRunner


def command_line(
    world: Any, monkeypatch: pytest.MonkeyPatch, register: Callable[[typer.Typer], None], *modules: ModuleType
) -> Callable[..., Any]:
    """Return a function from arguments to a result. register: adds the commands; modules: those that open the
    project's app, which get the world's instead."""

    @contextmanager
    def opened(_context: Any, **_options: Any) -> Iterator[Any]:
        yield world.app

    for module in modules:
        monkeypatch.setattr(module, "opened", opened)
    app = typer.Typer(rich_markup_mode=None)

    @app.callback()
    def root() -> None:
        """Several commands, as in the product."""

    register(app)
    return lambda *arguments: CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
