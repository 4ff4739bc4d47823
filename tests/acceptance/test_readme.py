"""Every command that the README shows exists, and its walk 'Your own data' works as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main
from real_server import free_port

from adapter.app import App
from adapter.cli import main
from adapter.cli.root import app
from adapter.settings_env import ALIASES, OTHER_VARIABLES, variables

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
LINES = [line for block in BLOCKS for line in block.splitlines() if line.strip() and not line.startswith("#")]
INLINE = re.findall(r"`((?:hitl|make) [^`]+)`", README)
REVIEWS = [
    ("positive", "A good buy number {n}, we are happy with it"),
    ("negative", "It broke after {n} days and nobody answers"),
    ("positive", "Well made and quick to arrive, {n} stars"),
]


def commands(program: str, lines: list[str]) -> list[list[str]]:
    """The calls of one program in these lines, as arguments, without VARIABLE=value before them."""
    found = []
    for line in lines:
        for part in re.split(r"&&|;|\|\s", line):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words[:1] == [program] and words[1:] not in found:
                found.append(words[1:])
    return found


def parsed(arguments: list[str]) -> None:
    """Parse a call of `hitl` down to its command without running anything. Raises what typer does for wrong usage."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("hitl", list(arguments))
    while hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, context._protected_args + context.args)
        context = command.make_context(name, list(rest), parent=context)


@pytest.mark.parametrize("arguments", commands("hitl", LINES), ids=" ".join)
def test_every_call_of_hitl_in_a_block_parses(arguments: list[str]) -> None:
    parsed(arguments)


@pytest.mark.parametrize("arguments", commands("hitl", INLINE), ids=" ".join)
def test_every_command_named_in_the_text_exists_with_its_options(arguments: list[str]) -> None:
    """The text may name a command without what it needs, so its help is asked for."""
    words = ["status" if word == "COMMAND" else word for word in arguments]
    with pytest.raises(typer.Exit) as end:
        parsed([*words, "--help"])
    assert end.value.exit_code == 0


def test_a_call_that_does_not_exist_would_be_noticed() -> None:
    for wrong in (["ingets"], ["ingest", "--jsn"], ["model", "demote"], ["simulate", "--data", "x.csv"]):
        with pytest.raises(Exception, match=r"(?i)no such|missing (option|parameter)"):
            parsed(wrong)


def test_every_command_of_the_program_is_in_the_readme() -> None:
    there: Any = typer.main.get_command(app)
    shown = {arguments[0] for arguments in commands("hitl", [*LINES, *INLINE]) if arguments}
    assert {name for name, command in there.commands.items() if not command.hidden} <= shown


def test_every_make_target_exists_and_every_target_is_told() -> None:
    made = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    used = {word for arguments in commands("make", [*LINES, *INLINE]) for word in arguments if "=" not in word}
    assert used <= made
    assert {"install", "demo", "test", "check", "bench"} <= used


def test_every_variable_and_every_path_that_it_names_exists() -> None:
    known = {*variables(), *ALIASES, *OTHER_VARIABLES}
    named = set(re.findall(r"\bHITL_[A-Z_]*[A-Z]\b", README))
    assert named
    assert named <= known
    paths = re.findall(r"\]\(([^)#:]+)\)", README)
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path


def walk() -> list[str]:
    """The lines of 'Your own data, your own Label Studio', without comments."""
    block = README.split("## Your own data", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    return [line.split("  #")[0].strip() for line in block.splitlines() if line.strip()]


def reviews(folder: Path, count: int = 60) -> None:
    rows = [f'{n},"{REVIEWS[n % 3][1].format(n=n)}"' for n in range(count)]
    (folder / "reviews.csv").write_text("\n".join(["id,text", *rows]) + "\n", encoding="utf-8")


def test_the_walk_has_at_most_ten_lines() -> None:
    assert 5 <= len(walk()) <= 10


def test_the_walk_makes_a_project_that_can_be_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from adapter.testing import MemoryPlatform

    fake = MemoryPlatform()
    monkeypatch.setattr(App, "_label_studio", lambda app: fake)
    for name in [name for name in os.environ if name.startswith("HITL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    reviews(tmp_path)
    for line in walk():
        words = shlex.split(line)
        match words[0]:
            case "cd":
                monkeypatch.chdir(Path.cwd() / words[1])
            case "export":
                name, _, value = words[1].partition("=")
                monkeypatch.setenv(name, value)
            case "hitl" if words[1] == "up":
                words[1:] = ["push"]  # what its scheduler does first
            case "hitl" if words[1] == "doctor":
                continue  # it asks a server, see the walk with a real one
        if words[0] == "hitl":
            with pytest.raises(SystemExit) as end:
                main(words[1:])
            assert not end.value.code, capsys.readouterr().err
    out = capsys.readouterr().out
    assert re.search(r"tasks\s+│ 60 ", out)
    assert len(fake.task_ids(1)) == 60
    assert fake.project(1).title == "reviews"


@pytest.mark.integration
@pytest.mark.slow
def test_the_walk_works_against_a_real_label_studio(tmp_path: Path, label_studio: Any) -> None:
    """Each line runs in one shell as it stands, but for the address and token, and for `hitl up`, which ends by SIGTERM
    once its first push is there."""
    from adapter.label_studio.platform import LabelStudioPlatform

    reviews(tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "hitl").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m adapter "$@"\n', encoding="utf-8")
    (tools / "hitl").chmod(0o755)
    env = {name: value for name, value in os.environ.items() if not name.startswith("HITL_")} | {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "EDITOR": "true",
        "HITL_WEB__PORT": str(free_port()),
    }
    lines = [line for line in walk() if not line.startswith("make ")]  # done: these tests run in what it makes
    lines = [line.replace("http://localhost:8080", label_studio.url) for line in lines]
    lines = [re.sub(r"(HITL_LABEL_STUDIO_TOKEN)=\S+", rf"\1={label_studio.token}", line) for line in lines]
    up = lines.index("hitl up")
    before = ["set -eu", *lines[:up], "pwd > ../where", "export -p > ../environment"]
    done = subprocess.run(
        ["bash", "-c", "\n".join(before)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Label Studio answers" in done.stdout
    assert "ERROR" not in done.stdout
    work = (tmp_path / "where").read_text(encoding="utf-8").strip()
    again = f". {tmp_path / 'environment'}; exec "
    log = tmp_path / "up.log"
    with log.open("wb") as out:
        running = subprocess.Popen(
            ["bash", "-c", again + lines[up]], cwd=work, env=env, stdout=out, stderr=subprocess.STDOUT
        )
        there = LabelStudioPlatform(label_studio.url, label_studio.token)
        try:
            deadline = time.monotonic() + 90
            placed = 0
            while time.monotonic() < deadline and placed < 60 and running.poll() is None:
                project = there.find_project("reviews")
                placed = project.task_count if project else 0
                time.sleep(0.5)
            assert placed == 60, log.read_text(encoding="utf-8")
        finally:
            running.send_signal(signal.SIGTERM)
            code = running.wait(timeout=60)
            there.close()
    assert code == 0, log.read_text(encoding="utf-8")
    shown = subprocess.run(
        ["bash", "-c", again + lines[up + 1]],
        cwd=work,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"pushed\s+│ 60 ", shown.stdout)
