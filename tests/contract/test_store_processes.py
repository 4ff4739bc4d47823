"""Several processes on one store, and processes that are killed: on SQLite and on PostgreSQL."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

import adapter
from adapter.store import Intent, NewRow, Store
from adapter.vocabulary import Flag, FlagReason, ModelState, ModelVersion

ROOT = Path(adapter.__file__).parents[1]
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
HEAD = """
import sys
from datetime import UTC, datetime, timedelta
from adapter.store import Intent, NewRow, Store
store = Store(sys.argv[1])
def ready():
    print("ready", flush=True)
    sys.stdin.readline()
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + code, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def together(code: str, url: str, count: int) -> list[str]:
    """Run the same code in several processes that pass `ready()` at the same moment; return what each printed."""
    processes = [start(code, url, str(number)) for number in range(count)]
    try:
        for process in processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line == "ready\n", process.stderr.read() if process.stderr else line
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [error for _, error in answers] == [""] * count
    return [out.strip() for out, _ in answers]


def rows(numbers: Sequence[int]) -> list[NewRow]:
    return [NewRow(f"t{n}", {"n": n}, f"c{n // 2}", {}, n) for n in numbers]


def test_processes_that_ingest_the_same_rows_at_once_lose_and_double_nothing(store: Store, store_url: str) -> None:
    code = """
rows = [NewRow(f"t{n}", {"n": n}, f"c{n // 2}", {}, n) for n in range(2000)]
if sys.argv[2] == "1":
    rows.reverse()
ready()
print(sum(store.tasks.add("p", rows[at:at + 100], blind=lambda i: False).new for at in range(0, 2000, 100)))
"""
    assert sum(int(answer) for answer in together(code, store_url, 3)) == 2000
    index = store.tasks.index("p")
    assert sorted(index.ids.tolist()) == sorted(f"t{n}" for n in range(2000))
    tasks = store.tasks.between("p", 0, 3000)
    assert [task.seq for task in tasks] == list(range(2000))
    firsts: dict[str, str] = {}
    for task in tasks:
        assert task.duplicate_of == firsts.get(task.content)
        firsts.setdefault(task.content, task.id)


def test_of_many_processes_one_gets_the_lease_each_time(store: Store, store_url: str) -> None:
    code = """
noon = datetime(2025, 3, 1, 12, tzinfo=UTC)
ready()
print([n for n in range(40) if store.leases.acquire("loop", sys.argv[2], 1, noon + timedelta(seconds=n))])
"""
    won = [number for answer in together(code, store_url, 3) for number in eval(answer)]
    # A slower process may lag behind a faster one, whose lease then lies in its future: no moment is won twice.
    assert len(won) == len(set(won))
    assert 39 in won


def test_of_many_threads_one_gets_the_lease(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: store.leases.acquire("loop", f"h{n}", 30, NOON), range(16)))
    assert got.count(True) == 1
    assert store.leases.holder("loop", NOON) == f"h{got.index(True)}"


def test_migrating_at_once_works_for_everybody(empty_url: str) -> None:
    code = """
ready()
store.migrate()
store.projects.ensure("p", "digest")
print(len(store.projects.all()))
"""
    assert together(code, empty_url, 4) == ["1"] * 4


def test_a_process_killed_while_ingesting_leaves_dense_readable_rows(store: Store, store_url: str) -> None:
    code = """
start = int(sys.argv[2])
ready()
for at in range(start, start + 10**7, 500):
    rows = [NewRow(f"t{n}", {"n": n, "text": "x" * 50}, f"c{n % 977}", {}, n) for n in range(at, at + 500)]
    store.tasks.add("p", rows, blind=lambda i: False)
"""
    sizes = [0]
    for attempt in range(4):
        process = start(code, store_url, str(attempt * 10**7))
        try:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("go\n")
            process.stdin.flush()
            patience = time.monotonic() + 60
            while store.tasks.count("p") < sizes[-1] + 500 and time.monotonic() < patience:
                time.sleep(0.01)
            time.sleep(0.013 * (attempt + 1))
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        tasks = [task for chunk in store.tasks.stream("p") for task in chunk]
        assert [task.seq for task in tasks] == list(range(len(tasks)))
        assert len(tasks) % 500 == 0
        assert len({task.id for task in tasks}) == len(tasks)
        assert all(task.data["text"] == "x" * 50 for task in tasks)
        sizes.append(len(tasks))
    assert sizes == sorted(set(sizes))
    assert store.tasks.add("p", rows(range(3)), blind=lambda _: False).known == 3


def test_an_intent_survives_the_kill_of_its_process(store: Store, store_url: str) -> None:
    store.tasks.add("p", rows(range(3)), blind=lambda _: False)
    code = """
ready()
store.ledger.intend("p", [Intent("t0", 1, "margin"), Intent("t2", 2, "margin")])
print("noted", flush=True)
sys.stdin.readline()
"""
    process = start(code, store_url)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        assert [process.stdout.readline(), process.stdout.readline()] == ["ready\n", "noted\n"]
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert [intent.task_id for intent in store.ledger.pending("p")] == ["t0", "t2"]
    store.ledger.intend("p", [Intent("t1", 3, "random")])
    assert len(store.ledger.pending("p")) == 3


def test_threads_that_write_at_once_lose_no_update(store: Store) -> None:
    store.tasks.add("p", rows(range(2)), blind=lambda _: False)
    flag = Flag("t0", "spam", FlagReason.OUTLIER, 0.5, {}, "about")
    for number in range(1, 9):
        model = ModelVersion(f"v{number}", number, "b", ModelState.CANDIDATE, {}, "d", "u", NOON)
        store.models.add("p", model)

    def work(number: int) -> tuple[int, bool]:
        store.audit.append("p", "ann", "looked", {"n": number}, NOON)
        store.models.promote("p", f"v{number}")
        new = store.flags.raise_("p", [flag])
        return new, store.events.record(1, "X", "same", {})

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(work, range(1, 9)))
    assert sum(new for new, _ in done) == 1
    assert [first for _, first in done].count(True) == 1
    assert store.audit.verify("p") == []
    assert [row.number for row in store.audit.all("p")] == list(range(1, 9))
    assert [model.state for model in store.models.all("p")].count(ModelState.CURRENT) == 1


def test_a_reader_is_not_held_up_by_a_writer(store: Store) -> None:
    store.tasks.add("p", rows(range(10)), blind=lambda _: False)
    seen: list[int] = []
    with store._database.write_project("p") as (conn, number):
        conn.execute(sa.text("DELETE FROM hitl_tasks WHERE project_id = :number AND seq > 4"), {"number": number})
        reader = threading.Thread(target=lambda: seen.append(store.tasks.count("p")))
        reader.start()
        reader.join(timeout=10)
        assert seen == [10]
    assert store.tasks.count("p") == 5


def test_a_project_made_by_two_at_once_is_one(store: Store) -> None:
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: store.projects.ensure("new", "d"), range(12)))
    assert len(set(made)) == 1
    assert [project.name for project in store.projects.all()] == ["p", "new"]


@pytest.mark.parametrize("seconds", [0.5])
def test_a_lease_ends_by_the_given_clock_not_by_the_wall(store: Store, seconds: float) -> None:
    far = NOON + timedelta(days=10_000)
    assert store.leases.acquire("loop", "one", seconds, far)
    assert not store.leases.acquire("loop", "two", seconds, far)
    assert store.leases.acquire("loop", "two", seconds, far + timedelta(seconds=seconds))
