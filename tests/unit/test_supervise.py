"""The supervisor keeps children running, tells what they say, and leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from adapter.supervise import LARGEST_LOG, Child, Supervisor, open_log

SLEEPER = "import time\nprint('here', flush=True)\ntime.sleep(60)\n"
STUBBORN = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('here', flush=True)\ntime.sleep(60)\n"
PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print('grandchild', child.pid, flush=True)\ntime.sleep(60)\n"
)


def program(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


class Running:
    """A supervisor in a thread, with what it said."""

    def __init__(self, children: Sequence[Child], logs: Path | None = None, grace_s: float = 5.0) -> None:
        self.lines: list[str] = []
        self.code: int | None = None
        self.supervisor = Supervisor(
            children, write=self.lines.append, logs=logs, grace_s=grace_s, first_pause_s=0.05, longest_pause_s=0.2
        )
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.code = self.supervisor.run(signals=False)

    def said(self, text: str) -> bool:
        return any(text in line for line in list(self.lines))

    def stop(self) -> None:
        self.supervisor.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def make(*children: Child, **options: object) -> Running:
        started.append(Running(children, **options))  # type: ignore[arg-type]
        return started[-1]

    yield make
    for running in started:
        running.stop()


def await_(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_lines_are_prefixed_and_kept_in_a_log_of_each_child(start: Callable[..., Running], tmp_path: Path) -> None:
    running = start(Child("web", program(SLEEPER)), Child("scheduler", program(SLEEPER)), logs=tmp_path / "logs")
    await_(lambda: running.said("web       | here") and running.said("scheduler | here"))
    assert (tmp_path / "logs" / "web.log").read_text(encoding="utf-8") == "here\n"


def test_a_child_gets_its_environment_and_its_values_are_not_told(start: Callable[..., Running]) -> None:
    code = "import os, sys, time\nprint(len(os.environ['HITL_X']), flush=True)\ntime.sleep(60)\n"
    running = start(Child("web", program(code), env={"HITL_X": "secret-value"}))
    await_(lambda: running.said("web | 12"))
    assert not running.said("secret-value")
    assert "secret-value" not in repr(running.supervisor)


def test_a_child_that_crashes_is_started_again_after_a_pause(start: Callable[..., Running]) -> None:
    running = start(Child("web", program("print('here', flush=True); raise SystemExit(7)")))
    await_(lambda: sum("here" in line for line in list(running.lines)) >= 3)
    assert running.said("web | ended by itself (code 7); it starts again in 0.1 s")


def test_a_child_that_is_killed_is_started_again(start: Callable[..., Running]) -> None:
    running = start(Child("web", program(SLEEPER)))
    await_(lambda: running.said("here"))
    first = running.supervisor.pids()["web"]
    os.kill(first, signal.SIGKILL)
    await_(lambda: running.said("signal SIGKILL"))
    await_(lambda: running.supervisor.pids().get("web", first) != first)


def test_wrong_settings_end_everything_with_their_code(start: Callable[..., Running]) -> None:
    running = start(Child("web", program(SLEEPER)), Child("scheduler", program("raise SystemExit(2)")))
    running.thread.join(20)
    assert running.code == 2
    assert running.supervisor.pids() == {}
    assert running.said("which a restart cannot mend")


def test_a_program_that_is_not_there_is_told(start: Callable[..., Running]) -> None:
    running = start(Child("web", ["/nowhere/program"]))
    await_(lambda: running.said("ended by itself") or running.said("cannot be started"))


def test_a_child_waits_for_what_it_needs(start: Callable[..., Running]) -> None:
    ready = threading.Event()
    running = start(Child("first", program(SLEEPER)), Child("second", program(SLEEPER), needs=ready.is_set))
    await_(lambda: running.said("first"))
    assert "second" not in running.supervisor.pids()
    ready.set()
    await_(lambda: running.said("second | here"))


def test_stopping_ends_children_and_what_they_started(start: Callable[..., Running]) -> None:
    running = start(Child("web", program(PARENT)))
    await_(lambda: running.said("grandchild"))
    pids = [running.supervisor.pids()["web"], int(running.lines[0].split()[-1])]
    running.stop()
    assert running.code == 0
    await_(lambda: all(gone(pid) for pid in pids))


def test_a_child_that_does_not_end_is_killed(start: Callable[..., Running]) -> None:
    running = start(Child("web", program(STUBBORN)), grace_s=0.3)
    await_(lambda: running.said("here"))
    pid = running.supervisor.pids()["web"]
    running.stop()
    assert gone(pid)
    assert running.said("did not end in time and is killed")


SUPERVISOR = """
import sys
from adapter.supervise import Child, Supervisor
code = "import time; print('here', flush=True); time.sleep(60)"
def write(line):
    print(line, supervisor.pids().get("web"), flush=True)
supervisor = Supervisor([Child("web", [sys.executable, "-c", code])], write=write)
sys.exit(supervisor.run())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_supervisor_leaves_nothing_running(number: signal.Signals) -> None:
    if number is signal.SIGKILL and sys.platform != "linux":
        return  # elsewhere the kernel offers no such tie
    with subprocess.Popen(program(SUPERVISOR), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        pid = int(line.split()[-1])
        assert "web | here" in line
        process.send_signal(number)
        process.wait(20)
        await_(lambda: gone(pid))
    assert process.returncode == (0 if number is not signal.SIGKILL else -signal.SIGKILL)


def test_a_log_that_grew_large_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    with path.open("wb") as file:
        file.truncate(LARGEST_LOG + 1)
    with open_log(path) as file:
        file.write(b"new\n")
    assert path.read_bytes() == b"new\n"
    assert (tmp_path / "web.log.1").stat().st_size == LARGEST_LOG + 1
