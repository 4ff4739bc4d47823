"""Running labeling functions: right votes, and every fault in the cell where it happened."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from adapter.engines.local import ABSTAIN, FAULT, Applied, LocalEngine
from adapter.errors import FunctionsError
from adapter.labeling import LabelingFunction, discover, labeling_function
from adapter.vocabulary import Control, LabelSpace

CONTROL = Control("label", "choices", "text", "Text", "text", ("spam", "ham"))
SPACE = LabelSpace((CONTROL,), "", "")
HEAD = "import os, time\nfrom adapter.labeling import labeling_function\n"


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(workers=2, timeout_s=0.4, memory_mb=1024) as made:
        yield made


def functions(folder: Path, body: str) -> list[LabelingFunction]:
    path = folder / "functions.py"
    path.write_text(HEAD + body, encoding="utf-8")
    return discover(path)


def rule(name: str, *lines: str, options: str = "") -> str:
    return f"@labeling_function{options}\ndef {name}(data):\n" + "".join(f"    {line}\n" for line in lines)


def rows(count: int) -> list[dict[str, int]]:
    return [{"n": number} for number in range(count)]


def told(applied: Applied, name: str) -> dict[int | None, str]:
    return {fault.row: fault.message for fault in applied.faults if fault.source == name}


EVEN = rule("even", "return 'spam' if data['n'] % 2 == 0 else None")
ODD = rule("odd", "return None if data['n'] % 2 == 0 else 'ham'")


def test_votes_are_indices_of_labels_in_row_and_function_order(engine: LocalEngine, tmp_path: Path) -> None:
    applied = engine.apply(functions(tmp_path, EVEN + ODD), rows(5), SPACE)
    assert applied.votes.dtype == np.int16
    assert applied.votes.tolist() == [[0, -1], [-1, 1], [0, -1], [-1, 1], [0, -1]]
    assert applied.faults == ()
    assert set(applied.seconds) == {"even", "odd"}


def test_many_rows_from_a_generator_come_back_in_order(engine: LocalEngine, tmp_path: Path) -> None:
    applied = engine.apply(functions(tmp_path, EVEN), (row for row in rows(7_531)), CONTROL)
    assert applied.votes[:, 0].tolist() == [0 if number % 2 == 0 else ABSTAIN for number in range(7_531)]


def test_nothing_to_do_is_no_error(engine: LocalEngine, tmp_path: Path) -> None:
    assert engine.apply(functions(tmp_path, EVEN), [], SPACE).votes.shape == (0, 1)
    assert engine.apply([], rows(3), SPACE).votes.shape == (3, 0)


def test_an_exception_is_a_fault_of_its_cell_with_message_and_line(engine: LocalEngine, tmp_path: Path) -> None:
    body = rule("boom", "if data['n'] == 3:", "    raise ValueError('no luck')", "return 'ham'") + ODD
    applied = engine.apply(functions(tmp_path, body), rows(5), SPACE)
    assert applied.votes[:, 0].tolist() == [1, 1, 1, FAULT, 1]
    assert applied.votes[:, 1].tolist() == [-1, 1, -1, 1, -1]
    assert told(applied, "boom") == {3: "ValueError: no luck (line 6)"}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("'spm'", "returned 'spm', which is not a label of 'label'. Did you mean 'spam'?"),
        ("1", "returned 1, which is no label"),
        ("['spam']", "returned ['spam'], which is no label"),
        ("True", "returned True, which is no label"),
        ("data['missing']", "KeyError: 'missing'"),
    ],
)
def test_a_wrong_answer_is_a_fault_that_says_what_was_meant(
    engine: LocalEngine, tmp_path: Path, answer: str, says: str
) -> None:
    applied = engine.apply(functions(tmp_path, rule("f", f"return {answer}")), rows(1), SPACE)
    assert applied.votes.tolist() == [[FAULT]]
    assert told(applied, "f")[0].startswith(says)


def test_exits_interrupts_and_endless_recursion_are_faults(engine: LocalEngine, tmp_path: Path) -> None:
    body = (
        rule("leaves", "raise SystemExit(1)")
        + rule("stops", "raise KeyboardInterrupt")
        + rule("deep", "return deep(data)")
    )
    applied = engine.apply(functions(tmp_path, body), rows(2), SPACE)
    assert (applied.votes == FAULT).all()
    assert "RecursionError" in told(applied, "deep")[0]


def test_a_loop_that_never_ends_costs_one_cell(engine: LocalEngine, tmp_path: Path) -> None:
    body = rule("loops", "while data['n'] == 2:", "    pass", "return 'ham'") + EVEN
    began = time.monotonic()
    applied = engine.apply(functions(tmp_path, body), rows(4), SPACE)
    assert time.monotonic() - began < 5
    assert applied.votes[:, 0].tolist() == [1, 1, FAULT, 1]
    assert applied.votes[:, 1].tolist() == [0, -1, 0, -1]
    assert told(applied, "loops") == {2: "took longer than 0.4 s"}
    assert applied.stopped == frozenset()


def test_a_loop_in_c_that_no_signal_reaches_is_killed_and_costs_one_cell(engine: LocalEngine, tmp_path: Path) -> None:
    body = ODD + rule("hangs", "if data['n'] == 1:", "    sum(range(10**15))", "return 'ham'") + EVEN
    applied = engine.apply(functions(tmp_path, body), rows(4), SPACE)
    assert applied.votes.tolist() == [[-1, 1, 0], [1, FAULT, -1], [-1, 1, 0], [1, 1, -1]]
    assert told(applied, "hangs") == {1: "took longer than 0.4 s and had to be killed"}


def test_a_function_that_swallows_every_exception_cannot_hang_the_run(engine: LocalEngine, tmp_path: Path) -> None:
    lines = ("while data['n'] == 0:", "    try:", "        time.sleep(60)", "    except BaseException:", "        pass")
    applied = engine.apply(functions(tmp_path, rule("deaf", *lines, "return 'ham'")), rows(2), SPACE)
    assert applied.votes[:, 0].tolist() == [FAULT, 1]


def test_a_function_may_set_its_own_limit(engine: LocalEngine, tmp_path: Path) -> None:
    slow = rule("slow", "time.sleep(0.8)", "return 'ham'", options="(timeout_s=30)")
    hasty = rule("hasty", "time.sleep(0.3)", "return 'ham'", options="(timeout_s=0.1)")
    assert engine.apply(functions(tmp_path, slow + hasty), rows(1), SPACE).votes.tolist() == [[1, FAULT]]


def test_the_death_of_a_worker_costs_one_cell(engine: LocalEngine, tmp_path: Path) -> None:
    body = EVEN + rule("dies", "if data['n'] == 1500:", "    os._exit(3)", "return 'ham'") + ODD
    applied = engine.apply(functions(tmp_path, body), rows(3_000), SPACE)
    assert np.argwhere(applied.votes == FAULT).tolist() == [[1500, 1]]
    assert told(applied, "dies") == {1500: "the worker process ended with exit code 3"}


def test_a_segfault_is_told_by_its_signal(engine: LocalEngine, tmp_path: Path) -> None:
    body = rule("crashes", "if data['n'] == 0:", "    os.kill(os.getpid(), 11)", "    time.sleep(1)", "return 'ham'")
    applied = engine.apply(functions(tmp_path, body), rows(2), SPACE)
    assert applied.votes[:, 0].tolist() == [FAULT, 1]
    assert "SIGSEGV" in told(applied, "crashes")[0]


def test_memory_without_end_is_a_fault_not_the_end_of_the_machine(engine: LocalEngine, tmp_path: Path) -> None:
    body = rule("eats", "held = bytearray(4 << 30) if data['n'] == 0 else b''", "return 'ham'")
    applied = engine.apply(functions(tmp_path, body), rows(2), SPACE)
    assert applied.votes[:, 0].tolist() == [FAULT, 1]
    assert "MemoryError" in told(applied, "eats")[0]


def test_a_function_that_always_hangs_is_stopped_after_three_strikes_in_the_whole_run(tmp_path: Path) -> None:
    found = functions(tmp_path, rule("hangs", "time.sleep(60)") + EVEN)
    with LocalEngine(workers=1, timeout_s=0.1) as engine:
        run = engine.start(found, SPACE)
        began = time.monotonic()
        first = run.apply(rows(2_500))
        assert time.monotonic() - began < 5
        assert (first.votes[:, 0] == FAULT).all()
        assert (first.votes[:, 1] >= ABSTAIN).all()
        assert first.stopped == {"hangs"}
        assert sorted(row for row in told(first, "hangs") if row is not None) == [0, 1, 2]
        assert told(first, "hangs")[None] == "stopped: it hung or crashed 3 times; 2497 more tasks have no vote of it"
        second = run.apply(rows(10))
        assert (second.votes[:, 0] == FAULT).all()
        assert second.faults == ()


def test_faults_beyond_a_hundred_are_counted_not_told(engine: LocalEngine, tmp_path: Path) -> None:
    applied = engine.apply(functions(tmp_path, rule("boom", "return 1 / 0")), rows(2_345), SPACE)
    assert len(applied.faults) == 101
    assert [fault.row for fault in applied.faults[:100]] == list(range(100))
    assert told(applied, "boom")[None] == "2245 more tasks failed"
    assert (applied.votes == FAULT).all()


def test_a_function_cannot_change_the_task_for_the_others(engine: LocalEngine, tmp_path: Path) -> None:
    body = rule("writes", "data['n'] = 0", "return 'ham'") + EVEN
    applied = engine.apply(functions(tmp_path, body), [{"n": 1}], SPACE)
    assert applied.votes.tolist() == [[FAULT, ABSTAIN]]


def test_what_functions_print_does_not_disturb(engine: LocalEngine, tmp_path: Path) -> None:
    body = rule("prints", "print('x' * 100_000)", "os.write(1, b'y' * 1000)", "return 'ham'")
    assert engine.apply(functions(tmp_path, body), rows(3), SPACE).votes.tolist() == [[1], [1], [1]]


def test_an_edit_between_two_runs_is_obeyed_by_the_same_workers(engine: LocalEngine, tmp_path: Path) -> None:
    first = functions(tmp_path, rule("f", "return 'ham'"))
    assert engine.apply(first, rows(1), SPACE).votes.tolist() == [[1]]
    second = functions(tmp_path, rule("f", "return 'spam'"))
    assert engine.apply(second, rows(1), SPACE).votes.tolist() == [[0]]
    with pytest.raises(FunctionsError, match="was edited"):
        engine.apply(first, rows(1), SPACE)
    assert engine.apply(second, rows(1), SPACE).votes.tolist() == [[0]]


def test_functions_that_no_worker_could_load_are_refused(engine: LocalEngine) -> None:
    @labeling_function
    def local(data: object) -> str | None:
        return None

    with pytest.raises(FunctionsError, match="discover"):
        engine.apply([local], rows(1), SPACE)


def test_a_function_on_a_foreign_control_is_refused_before_anything_runs(engine: LocalEngine, tmp_path: Path) -> None:
    found = functions(tmp_path, rule("f", "return 'ham'", options="(control='labels')"))
    with pytest.raises(FunctionsError, match="Did you mean 'label'"):
        engine.apply(found, rows(1), SPACE)


def test_rows_that_raise_leave_no_worker_at_work(tmp_path: Path) -> None:
    def broken() -> Iterator[dict[str, int]]:
        yield from rows(3_000)
        raise RuntimeError("the source broke")

    with LocalEngine(workers=2) as engine:
        found = functions(tmp_path, EVEN)
        with pytest.raises(RuntimeError, match="the source broke"):
            engine.apply(found, broken(), SPACE)
        assert engine.apply(found, rows(2), SPACE).votes.tolist() == [[0], [-1]]


def test_threads_take_turns(engine: LocalEngine, tmp_path: Path) -> None:
    found = functions(tmp_path, EVEN)
    sizes = [1_200, 2_300, 50]
    results: dict[int, Applied] = {}
    threads = [
        threading.Thread(target=lambda size=size: results.update({size: engine.apply(found, rows(size), SPACE)}))
        for size in sizes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {size: len(result.votes) for size, result in results.items()} == {size: size for size in sizes}


def test_close_ends_the_workers_and_what_they_started(tmp_path: Path) -> None:
    body = rule(
        "f", "import subprocess, sys", "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])"
    )
    before = set(psutil.Process().children(recursive=True))
    with LocalEngine(workers=1) as engine:
        engine.apply(functions(tmp_path, body), rows(1), SPACE)
        started = set(psutil.Process().children(recursive=True)) - before
        assert len(started) == 2
    _, alive = psutil.wait_procs(list(started), timeout=5)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


PROGRAM = """
import sys
from adapter.engines.local import LocalEngine
from adapter.labeling import discover
from adapter.vocabulary import Control
engine = LocalEngine(workers=1, timeout_s=1.0)
control = Control("label", "choices", "text", "Text", "text", ("spam", "ham"))
found = discover(sys.argv[1])
engine.apply([f for f in found if f.name == "quick"], [{}], control)
print(engine.worker(0).process.pid, flush=True)
if sys.argv[2] == "work":
    engine.apply([f for f in found if f.name == "hangs"], [{}], control)
"""


@pytest.mark.parametrize("what", ["end", "work"])
def test_no_worker_outlives_its_parent(tmp_path: Path, what: str) -> None:
    """Neither after a normal end without `close`, nor when the parent is killed while a loop in C runs."""
    functions(tmp_path, rule("quick", "return 'ham'") + rule("hangs", "sum(range(10**15))", options="(timeout_s=0.1)"))
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "functions.py"), what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        if what == "work":
            time.sleep(0.5)
            parent.kill()
        assert parent.wait(30) == (0 if what == "end" else -9)
    try:
        worker.wait(25)
    except psutil.TimeoutExpired:
        assert worker.status() == psutil.STATUS_ZOMBIE
