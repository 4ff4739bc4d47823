"""What can go wrong with a cluster: each is told with what to do, and a lost worker costs nothing but time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from adapter.engines import dask_site, make_engine
from adapter.engines.dask import DaskEngine
from adapter.engines.local import LocalEngine
from adapter.errors import EngineError, FunctionsError, SettingsError
from adapter.labeling import LabelingFunction, discover
from adapter.settings import EngineSettings
from adapter.vocabulary import Control, JsonObject

CONTROL = Control("label", "choices", "text", "Text", "text", ("spam", "ham"))
BODY = """
import time
from adapter.labeling import labeling_function

@labeling_function
def even(data):
    time.sleep(0.001)
    return "spam" if data["n"] % 2 == 0 else None
"""


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster of two processes that a test may harm."""
    import dask
    from distributed import LocalCluster

    with dask.config.set({"distributed.scheduler.allowed-failures": 3}):
        started = LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            scheduler_port=0,
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=50,
        )
        yield started
        started.close(timeout=20)


@pytest.fixture
def functions(tmp_path: Path) -> list[LabelingFunction]:
    path = tmp_path / "functions.py"
    path.write_text(BODY, encoding="utf-8")
    return discover(path)


def rows(count: int) -> list[JsonObject]:
    return [{"n": number} for number in range(count)]


def test_a_worker_that_is_lost_costs_nothing_but_time(cluster: Any, functions: list[LabelingFunction]) -> None:
    pids = [worker.pid for worker in cluster.workers.values()]
    with DaskEngine(cluster.scheduler_address) as engine:
        run = engine.start(functions, CONTROL)
        run.apply(rows(10))
        killer = threading.Timer(2.0, lambda: os.kill(pids[0], signal.SIGKILL))
        killer.start()
        applied = run.apply(rows(12_000))
        killer.join()
    assert not psutil.pid_exists(pids[0]) or psutil.Process(pids[0]).status() == psutil.STATUS_ZOMBIE
    with LocalEngine(workers=2) as local:
        assert np.array_equal(applied.votes, local.apply(functions, rows(12_000), CONTROL).votes)
    assert applied.faults == ()


def test_closing_leaves_no_process_and_no_folder_behind(cluster: Any, functions: list[LabelingFunction]) -> None:
    workers = [psutil.Process(worker.pid) for worker in cluster.workers.values()]
    before = {child.pid for worker in workers for child in worker.children(recursive=True)}
    engine = DaskEngine(cluster.scheduler_address)
    engine.start(functions, CONTROL).apply(rows(5_000))
    during = {child.pid for worker in workers for child in worker.children(recursive=True)} - before
    folders = [path for worker in cluster.workers.values() for path in Path(worker.worker_dir).glob("hitl-functions-*")]
    assert during
    assert folders
    engine.close()
    assert {child.pid for worker in workers for child in worker.children(recursive=True)} <= before
    assert not any(folder.exists() for folder in folders)


def test_an_edit_under_way_is_refused_by_name(cluster: Any, functions: list[LabelingFunction]) -> None:
    Path(functions[0].module).write_text(BODY.replace("== 0", "== 1"), encoding="utf-8")
    with DaskEngine(cluster.scheduler_address) as engine, pytest.raises(FunctionsError, match="'even' is another one"):
        engine.start(functions, CONTROL).apply(rows(2))


def test_workers_of_another_version_are_refused_with_advice(
    cluster: Any, functions: list[LabelingFunction], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.__version__", "99.0")
    with pytest.raises(EngineError, match=r"2 of 2 Dask workers have other versions.*here .* and 99\.0.*Install"):
        DaskEngine(cluster.scheduler_address).start(functions, CONTROL)


def test_a_scheduler_without_workers_is_told(cluster: Any, functions: list[LabelingFunction]) -> None:
    cluster.scale(0)
    until = time.monotonic() + 20
    while cluster.scheduler_info["workers"] and time.monotonic() < until:
        time.sleep(0.1)
    engine = DaskEngine(cluster.scheduler_address, connect_s=2.0)
    with pytest.raises(EngineError, match=r"has no workers\. Start one: `dask worker tcp://"):
        engine.start(functions, CONTROL)


def test_a_scheduler_that_is_lost_midway_is_told(cluster: Any, functions: list[LabelingFunction]) -> None:
    with DaskEngine(cluster.scheduler_address) as engine:
        run = engine.start(functions, CONTROL)
        run.apply(rows(10))
        closer = threading.Timer(1.0, lambda: cluster.close(timeout=10))
        closer.start()
        with pytest.raises(EngineError, match="run this again: what was stored stays"):
            run.apply(rows(40_000))
        closer.join()


@pytest.mark.filterwarnings("ignore")
def test_where_no_scheduler_answers_the_address_and_the_remedy_are_named(functions: list[LabelingFunction]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        engine = DaskEngine(address, connect_s=1.0)
        with pytest.raises(EngineError, match=f"tcp://{address}: no Dask scheduler answers.*Start it"):
            engine.start(functions, CONTROL)
    with contextlib.suppress(RuntimeError):
        asyncio.get_event_loop_policy()


def test_an_engine_without_an_address_or_without_dask_is_a_matter_of_settings(
    functions: list[LabelingFunction], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"engine\.address"):
        make_engine(EngineSettings(kind="dask"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    engine = make_engine(EngineSettings(kind="dask", address="tcp://127.0.0.1:1"))
    with pytest.raises(SettingsError, match="pip install"):
        engine.start(functions, CONTROL)


def test_a_job_that_nobody_uses_is_put_away(
    functions: list[LabelingFunction], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On the worker's side, without a cluster."""
    import pickle

    from adapter.engines.shipping import pack

    monkeypatch.setattr(dask_site, "IDLE_S", 0.5)
    monkeypatch.setattr(dask_site, "_home", lambda: str(tmp_path))
    named = tuple((function.origin, function.name, function.version) for function in functions)
    job = dask_site.Job(pack([functions[0].origin]), named, CONTROL, 5.0, 3, 1024, 60.0)
    before = set(psutil.Process().children())
    batch = dask_site.vote(pickle.dumps(job), "token", "run", (3,), pickle.dumps([rows(4)]))
    assert not isinstance(batch, tuple)
    assert batch.votes.tolist() == [[0], [-1], [0], [-1]]
    assert list(tmp_path.glob("hitl-functions-*"))
    until = time.monotonic() + 10
    while list(tmp_path.glob("hitl-functions-*")) and time.monotonic() < until:
        time.sleep(0.05)
    assert not list(tmp_path.glob("hitl-functions-*"))
    assert set(psutil.Process().children()) <= before


def test_of_jobs_that_follow_each_other_only_the_last_are_kept(
    functions: list[LabelingFunction], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import pickle

    from adapter.engines.shipping import pack

    monkeypatch.setattr(dask_site, "_home", lambda: str(tmp_path))
    named = tuple((function.origin, function.name, function.version) for function in functions)
    job = pickle.dumps(dask_site.Job(pack([functions[0].origin]), named, CONTROL, 5.0, 3, 1024, 60.0))
    before = len(psutil.Process().children())
    try:
        for token in "abcde":
            assert not isinstance(dask_site.vote(job, token, "run", (3,), pickle.dumps([rows(2)])), tuple)
        assert len(list(tmp_path.glob("hitl-functions-*"))) == dask_site.MOST_IDLE + 1
        assert len(psutil.Process().children()) == before + dask_site.MOST_IDLE + 1
    finally:
        dask_site.forget(())
    assert len(psutil.Process().children()) == before
    assert not list(tmp_path.glob("hitl-functions-*"))
