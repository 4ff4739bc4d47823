"""The command line tells how to use it, at once."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
import typer

from adapter import __version__
from adapter.cli import main
from adapter.cli.root import app

VERBS = (
    *("init", "doctor", "up", "status", "attach", "ingest", "pull", "vote", "consolidate", "flag", "rank", "push"),
    *("train", "model", "lf", "simulate", "demo", "web", "scheduler", "flags"),
    *("kinds", "agreement", "gates", "gold", "review", "route", "people", "consensus", "strategies", "progress"),
)
READING = (
    *("init", "doctor", "status", "attach", "ingest", "pull", "vote", "consolidate", "flag", "rank", "push", "train"),
    *("model list", "model promote", "model rollback", "lf list", "lf report", "flags list", "flags resolve"),
    *("lf examples", "lf test", "lf watch", "lf suggest", "lf accept"),
    *(
        "simulate",
        "kinds",
        "consensus",
        "strategies",
        "progress",
        "agreement",
        "gates",
        "route",
        "people",
        "gold list",
        "review status",
        "review queue",
    ),
)


def commands() -> Iterator[tuple[str, click.Command]]:
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            yield from ((f"{name} {verb}", found) for verb, found in inner.items())


COMMANDS = dict(commands())


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code in (0, None)
    return capsys.readouterr().out


def test_every_verb_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "--help")
    for verb in VERBS:
        assert f"\n  {verb} " in text, verb


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_s_help_has_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, *name.split(), "--help")
    assert "Examples:\n" in text
    assert f"hitl {name}" in text


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_example_parses(name: str) -> None:
    command = COMMANDS[name]
    lines = [line.strip() for line in (command.epilog or "").splitlines() if "hitl " in line]
    assert lines
    for line in lines:
        words = shlex.split(line)
        given = words[words.index("hitl") + 1 :]
        if given[0] == "--config":
            given = given[2:]
        assert given[: len(name.split())] == name.split(), line
        command.make_context(name, given[len(name.split()) :], resilient_parsing=False)


def test_every_reading_command_speaks_json() -> None:
    for name in READING:
        options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert "--json" in options, name


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom adapter.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted(m for m in ('torch', 'snorkel', 'transformers', 'pandas', 'sklearn', 'sqlalchemy', 'httpx', "
        "'numpy', 'pydantic', 'fastapi') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "--version") == f"hitl {__version__}\n"
