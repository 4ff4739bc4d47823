"""Whatever goes wrong ends in one sentence on stderr and an exit code, never in a traceback, and leaks no secret."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from adapter.cli import main
from adapter.scaffold import Wish, scaffold
from adapter.simulate.relay import free_port

SECRET = "abcdef0123456789abcdef0123456789abcdef01"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "comments.csv").write_text("id,text\n1,hello\n2,subscribe now\n", encoding="utf-8")
    scaffold(tmp_path, Wish(data=tmp_path / "comments.csv", labels=("spam", "ham"), label_studio="http://127.0.0.1:9"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HITL_LABEL_STUDIO_TOKEN", SECRET)
    return tmp_path


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run a command that fails; return its exit code and what it said on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    assert SECRET not in captured.err + captured.out
    assert isinstance(ended.value.code, int)
    return ended.value.code, captured.err


def test_without_settings_the_first_step_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text = fails(capsys, "status")
    assert code == 2
    assert "hitl init" in text


def test_another_settings_file_can_be_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = fails(capsys, "--config", "elsewhere/adapter.yaml", "status")
    assert code == 2
    assert "elsewhere/adapter.yaml" in text


def test_a_wrong_key_is_named_with_its_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "config" / "adapter.yaml").open("a", encoding="utf-8") as file:
        file.write("wbe: 1\n")
    code, text = fails(capsys, "status")
    assert code == 2
    assert re.search(r"adapter\.yaml:\d+: unknown key `wbe`\. Did you mean 'web'\?", text)


def test_an_unknown_project_names_the_nearest(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = fails(capsys, "status", "coments")
    assert code == 2
    assert "'comments'" in text


def test_several_projects_must_be_told_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scaffold(folder, Wish(name="other"))
    code, text = fails(capsys, "pull")
    assert code == 2
    assert "comments, other" in text


@pytest.mark.parametrize("arguments", [("push",), ("attach", "--id", "3")])
def test_a_label_studio_that_is_down_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit):
        main(["ingest", "--json"])
    capsys.readouterr()
    code, text = fails(capsys, *arguments)
    assert code == 3
    assert "127.0.0.1:9" in text
    assert len(text.strip().splitlines()) == 1


def test_a_token_that_is_missing_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HITL_LABEL_STUDIO_TOKEN")
    code, text = fails(capsys, "push")
    assert code == 3
    assert "HITL_LABEL_STUDIO_TOKEN" in text


def test_a_label_config_that_does_not_parse_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config" / "label_configs" / "comments.xml").write_text("<View><Choices", encoding="utf-8")
    code, text = fails(capsys, "status")
    assert code == 2
    assert text.startswith("hitl: ")


def test_a_functions_module_that_does_not_import_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "labeling_functions" / "comments.py").write_text("import not_there_at_all\n", encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["ingest", "--json"])
    capsys.readouterr()
    code, text = fails(capsys, "vote")
    assert code == 2
    assert "not_there_at_all" in text
    assert "comments.py" in text


def test_data_that_is_not_there_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "comments.csv").unlink()
    code, text = fails(capsys, "ingest")
    assert code == 2
    assert "comments.csv" in text


def test_an_unknown_model_version_names_the_way_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = fails(capsys, "model", "promote", "spam-1")
    assert code == 1
    assert "spam-1" in text
    assert "no earlier" in fails(capsys, "model", "rollback")[1]


def test_a_store_that_cannot_be_opened_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HITL_STORE__URL", f"postgresql+psycopg://hitl:{SECRET}@127.0.0.1:9/hitl")
    code, text = fails(capsys, "status")
    assert code == 1
    assert len(text.strip().splitlines()) == 1


def test_an_unforeseen_error_says_where_its_traceback_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import adapter.stages.status

    def broken(project: object) -> None:
        raise RuntimeError(f"nobody foresaw this {SECRET}")

    monkeypatch.setattr(adapter.stages.status, "status", broken)
    code, text = fails(capsys, "status")
    assert code == 70
    found = re.search(r"The traceback is in (\S+\.log)", text)
    assert found
    trace = Path(found.group(1)).read_text(encoding="utf-8")
    assert "in broken" in trace
    assert SECRET not in trace


def test_wrong_usage_is_told_as_such(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = fails(capsys, "pull", "--jsn")
    assert code == 2
    assert "--json" in text


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    command = f"{sys.executable} -m adapter model --help | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_up_goes_on_while_label_studio_is_down_and_leaves_nothing_running(folder: Path) -> None:
    port = free_port()
    environ = {**os.environ, "HITL_WEB__PORT": str(port), "HITL_SCHEDULE__PULL_S": "0.5", "PYTHONUNBUFFERED": "1"}
    up = subprocess.Popen(
        [sys.executable, "-m", "adapter", "up"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
        cwd=folder,
    )
    lines: list[str] = []
    children: list[psutil.Process] = []
    try:
        assert up.stdout is not None
        deadline = time.monotonic() + 90
        seen: set[str] = set()
        while not {"web", "setup failed"} <= seen and time.monotonic() < deadline:
            line = up.stdout.readline()
            lines.append(line)
            seen |= {part for part in ("setup failed",) if part in line}
            if line.startswith("web "):
                seen.add("web")
        text = "".join(lines)
        assert "scheduler | " in text
        assert "setup failed: " in text
        assert "127.0.0.1:9" in text
        assert "Traceback" not in text
        assert SECRET not in text
        children = psutil.Process(up.pid).children(recursive=True)
        assert len(children) >= 2
    finally:
        up.send_signal(signal.SIGINT)
        rest, _ = up.communicate(timeout=60)
    assert up.returncode == 0, "".join(lines) + rest
    assert SECRET not in rest
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert (folder / ".hitl" / "logs" / "scheduler.log").read_text(encoding="utf-8").count("setup failed") >= 1
