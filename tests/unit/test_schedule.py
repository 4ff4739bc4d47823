"""The loop of a project and the clocks that drive it: failures pause one job, one of two schedulers works."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapter.errors import FunctionsError, PlatformUnreachable, StoreError
from adapter.logs import configure_logging
from adapter.loop import TRAIN_REQUESTED, LoopRunner, default_stages, sentence
from adapter.schedule import LEASE, Scheduler, run_scheduler
from adapter.settings import ScheduleSettings
from adapter.store import Store

NOW = datetime(2025, 1, 1, tzinfo=UTC)
FAST = ScheduleSettings(
    pull_s=0.05, top_up_s=0.05, consolidate_s=0.05, train_s=0.05, flag_s=0.05, jitter_s=0, lease_s=0.6
)


@dataclass
class Stages:
    """Fake stages: they remember their calls, and fail or wait when told."""

    calls: list[str] = field(default_factory=list)
    errors: dict[str, Exception] = field(default_factory=dict)
    reports: dict[str, Any] = field(default_factory=dict)
    hold: dict[str, threading.Event] = field(default_factory=dict)
    reason: str | None = None
    running: set[str] = field(default_factory=set)
    together: set[frozenset[str]] = field(default_factory=set)

    def __call__(self, verb: str) -> Callable[..., Any]:
        def stage(project: Any, **options: Any) -> Any:
            self.calls.append(" ".join([verb, *options]))
            if options:
                return {"verb": verb, **options}
            self.running.add(verb)
            self.together.add(frozenset(self.running))
            try:
                if verb in self.hold:
                    self.hold[verb].wait(10)
                if verb in self.errors:
                    raise self.errors[verb]
                return self.reports.get(verb, {"verb": verb})
            finally:
                self.running.discard(verb)

        return stage

    def mapping(self) -> dict[str, Callable[..., Any]]:
        left = ("due", "stop_training", "measure_progress")
        found = {verb: self(verb) for verb in default_stages() if verb not in left}
        return {**found, "due": lambda project: self.reason, "stop_training": self._stop}

    def _stop(self, project: Any) -> None:
        self.calls.append("stop_training")
        if "train" in self.hold:
            self.hold["train"].set()


class Monotonic:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logging("info", stream=stream)
    yield stream
    configure_logging("warning")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'hitl.db'}")
    store.migrate()
    yield store
    store.close()


def add_task(store: Store, name: str = "spam", count: int = 1) -> None:
    from adapter.store import NewRow

    store.projects.ensure(name, "digest")
    rows = [NewRow(id=f"t{n}", data={"text": str(n)}, content=str(n), subgroup={}, line=n) for n in range(count)]
    store.tasks.add(name, rows, blind=lambda task_id: False)


def fake_project(store: Store, name: str = "spam", path: str = "", platform_id: int | None = 7) -> Any:
    store.projects.ensure(name, "digest")
    return SimpleNamespace(
        name=name,
        store=store,
        settings=SimpleNamespace(
            data=SimpleNamespace(path=path),
            routing=SimpleNamespace(enabled=False),
            review=SimpleNamespace(enabled=False),
        ),
        now=lambda: datetime.now(UTC),
        platform_id=platform_id,
    )


@pytest.fixture
def stages() -> Stages:
    return Stages()


@pytest.fixture
def ticks() -> Monotonic:
    return Monotonic()


@pytest.fixture
def runner(store: Store, stages: Stages, ticks: Monotonic) -> LoopRunner:
    add_task(store)
    return LoopRunner(fake_project(store), stages.mapping(), monotonic=ticks)


def test_the_first_pull_sets_the_project_up_and_later_ones_do_not(runner: LoopRunner, stages: Stages) -> None:
    assert runner.pull()
    assert runner.pull()
    assert stages.calls == ["setup", "pull", "pull"]


def test_an_empty_pool_is_filled_before_the_set_up(store: Store, stages: Stages) -> None:
    runner = LoopRunner(fake_project(store, path="comments.csv"), stages.mapping())
    runner.pull()
    assert stages.calls == ["ingest", "setup", "pull"]


def test_nothing_is_pushed_before_the_project_stands(runner: LoopRunner, stages: Stages) -> None:
    assert not runner.top_up()
    assert stages.calls == []


def test_a_failure_is_told_in_one_sentence_recorded_and_tried_again_after_a_growing_pause(
    runner: LoopRunner, stages: Stages, ticks: Monotonic, store: Store, logs: io.StringIO
) -> None:
    stages.errors["setup"] = PlatformUnreachable("connection refused", where="http://ls", remedy="Start it.")
    tries = []
    for second in range(16):
        ticks.time = 100.0 + second
        runner.pull()
        tries.append(stages.calls.count("setup"))
    assert tries == [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5]
    assert "setup failed: http://ls: connection refused. Start it." in logs.getvalue()
    assert "Traceback" not in logs.getvalue()
    last = store.runs.last("spam", "setup")
    assert last is not None
    assert last.error == "http://ls: connection refused. Start it."
    del stages.errors["setup"]
    ticks.time += 120
    assert runner.pull()
    assert "setup works again" in logs.getvalue()


def test_the_traceback_of_a_failure_is_logged_at_debug_only(runner: LoopRunner, stages: Stages) -> None:
    stages.errors["setup"] = ZeroDivisionError("division by zero")
    stream = io.StringIO()
    configure_logging("debug", stream=stream)
    try:
        runner.pull()
    finally:
        configure_logging("warning")
    assert "setup failed: ZeroDivisionError: division by zero" in stream.getvalue()
    assert "Traceback" in stream.getvalue()


def test_one_job_s_failure_leaves_the_others_alone(runner: LoopRunner, stages: Stages) -> None:
    stages.errors["pull"] = PlatformUnreachable("down")
    stages.errors["flag"] = FunctionsError("does not import")
    assert not runner.pull()
    assert not runner.flag()
    assert runner.consolidate()
    assert runner.top_up()
    assert stages.calls == ["setup", "pull", "flag", "vote", "consolidate", "gates", "rank", "push"]


def test_a_store_that_fails_between_stages_is_a_failure_of_the_job(
    runner: LoopRunner, stages: Stages, monkeypatch: pytest.MonkeyPatch, ticks: Monotonic
) -> None:
    def broken(name: str) -> int:
        raise StoreError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(runner.project.store.tasks, "count", broken)
        assert not runner.consolidate()
        assert not runner.train()
    assert stages.calls == []
    assert not runner.consolidate()  # it pauses
    ticks.time += 5
    assert runner.consolidate()


def test_votes_are_consolidated_only_when_they_changed(runner: LoopRunner, stages: Stages, store: Store) -> None:
    runner.consolidate()
    runner.consolidate()
    assert stages.calls == ["vote", "consolidate", "gates", "vote"]
    add_task(store, count=3)
    runner.consolidate()
    assert stages.calls[4:] == ["vote", "consolidate", "gates"]


def test_the_pool_is_ranked_again_when_it_grew_or_the_ranking_was_used(
    runner: LoopRunner, stages: Stages, store: Store
) -> None:
    runner.pull()
    stages.calls.clear()
    runner.top_up()
    runner.top_up()
    assert stages.calls == ["rank", "push", "push"]
    add_task(store, count=3)
    runner.top_up()
    assert stages.calls[3:] == ["rank", "push"]
    stages.reports["push"] = SimpleNamespace(pushed=5)
    runner.top_up()
    runner.top_up()
    assert stages.calls[5:] == ["push", "rank", "push"]


def test_a_long_ranking_keeps_nobody_waiting(store: Store, stages: Stages) -> None:
    add_task(store)
    runner = LoopRunner(fake_project(store), stages.mapping(), patience_s=0.05)
    runner.pull()
    stages.hold["rank"] = threading.Event()
    assert runner.top_up()
    assert runner.top_up()
    assert stages.calls.count("rank") == 1  # it is still under way
    assert stages.calls.count("rank hurry") == 2  # nothing stands yet: at random, and at once
    assert stages.calls.count("push") == 2
    stages.hold.pop("rank").set()
    await_(lambda: "rank" not in stages.running)
    assert runner.top_up()
    assert stages.calls.count("push") == 3


def test_endpoints_that_could_not_be_connected_are_tried_again_while_the_loop_goes_on(
    runner: LoopRunner, stages: Stages, ticks: Monotonic
) -> None:
    stages.reports["setup"] = SimpleNamespace(notes=("ML backend: not reachable.",))
    assert runner.pull()
    ticks.time += 10
    stages.reports["setup"] = SimpleNamespace(notes=())
    assert runner.pull()
    ticks.time += 10
    assert runner.pull()
    assert stages.calls == ["setup", "pull", "setup", "pull", "pull"]


def test_training_starts_when_due(runner: LoopRunner, stages: Stages, logs: io.StringIO) -> None:
    assert runner.train()
    assert stages.calls == []
    stages.reason = "25 new annotations"
    assert runner.train()
    assert stages.calls == ["train"]
    assert "25 new annotations" in logs.getvalue()


def test_what_labels_bring_is_measured_after_a_training(store: Store, stages: Stages, ticks: Monotonic) -> None:
    told: list[bool] = []

    def measure(project: Any, *, stop: threading.Event) -> dict[str, int]:
        told.append(stop.is_set())
        return {"measured": 1}

    add_task(store)
    mapping = {**stages.mapping(), "measure_progress": measure}
    runner = LoopRunner(fake_project(store), mapping, monotonic=ticks)
    stages.reason = "25 new annotations"
    assert runner.train()
    assert told == [False]
    stages.errors["train"] = FunctionsError("no")
    runner.train()
    assert told == [False]  # not after one that failed


def test_a_report_that_names_its_project_is_logged_when_it_changes(
    runner: LoopRunner, stages: Stages, logs: io.StringIO
) -> None:
    add_task(runner.project.store)
    for outcome in ("pass", "fail", "pass"):
        stages.reports["flag"] = {"project": "spam", "event": "?", "outcome": outcome}
        assert runner.flag()
    assert logs.getvalue().count("outcome") == 2


def test_a_training_that_was_asked_for_runs_once(runner: LoopRunner, stages: Stages, store: Store) -> None:
    store.projects.note("spam", TRAIN_REQUESTED, "2025-01-01T00:00:00+00:00")
    runner.train()
    runner.train()
    assert stages.calls == ["train"]
    assert TRAIN_REQUESTED not in store.projects.notes("spam")


def test_a_wish_that_came_during_a_training_is_kept(runner: LoopRunner, stages: Stages, store: Store) -> None:
    store.projects.note("spam", TRAIN_REQUESTED, "first")
    gate = stages.hold["train"] = threading.Event()
    thread = threading.Thread(target=runner.train)
    thread.start()
    await_(lambda: stages.calls == ["train"])
    store.projects.note("spam", TRAIN_REQUESTED, "second")
    gate.set()
    thread.join()
    assert store.projects.notes("spam")[TRAIN_REQUESTED] == "second"


def test_label_studio_s_jobs_never_overlap_and_a_training_runs_beside_them(runner: LoopRunner, stages: Stages) -> None:
    runner.pull()
    stages.reason = "due"
    for verb in ("train", "pull", "consolidate"):
        stages.hold[verb] = threading.Event()
    jobs = [threading.Thread(target=job) for job in (runner.train, runner.pull, runner.top_up, runner.consolidate)]
    for job in jobs:
        job.start()
        time.sleep(0.05)
    for verb in ("pull", "consolidate", "train"):
        stages.hold[verb].set()
    for thread in jobs:
        thread.join()
    seen = stages.together
    assert any({"train", "pull"} <= group for group in seen)
    assert not any({"pull", "push"} <= group for group in seen)
    assert not any({"rank", "consolidate"} <= group for group in seen)


def test_runs_that_did_the_same_are_recorded_once_a_minute(
    runner: LoopRunner, stages: Stages, store: Store, ticks: Monotonic
) -> None:
    for _ in range(10):
        runner.pull()
        ticks.time += 10
    pulls = [run for run in store.runs.recent("spam", 100) if run.stage == "pull"]
    assert len(pulls) == 2
    stages.reports["pull"] = {"created": 3}
    runner.pull()
    last = store.runs.last("spam", "pull")
    assert last is not None
    assert last.report == {"created": 3}


def test_sentences_of_errors_are_one_line() -> None:
    assert sentence(ValueError("a\n  b")) == "ValueError: a b"
    assert sentence(KeyError()) == "KeyError"
    assert sentence(PlatformUnreachable("down", remedy="Start it.")) == "down. Start it."


def test_labels_are_consolidated_again_at_once_when_a_gate_starts_or_stops_a_pause(
    runner: LoopRunner, stages: Stages, store: Store
) -> None:
    add_task(store)
    stages.reports["gates"] = SimpleNamespace(paused={"topic": "agreement is too low"})
    runner.consolidate()
    assert stages.calls == ["vote", "consolidate", "gates", "consolidate"]
    runner.consolidate()
    assert stages.calls[4:] == ["vote"]


def test_routing_and_review_run_after_a_push_where_the_settings_ask_for_them(
    runner: LoopRunner, stages: Stages, store: Store
) -> None:
    add_task(store)
    runner.pull()
    runner.project.settings.routing.enabled = True
    runner.project.settings.review.enabled = True
    runner.top_up()
    assert stages.calls[-3:] == ["push", "route", "review"]


def test_every_default_stage_is_there() -> None:
    import importlib

    for verb in default_stages():
        elsewhere = {"due": "train", "stop_training": "train", "measure_progress": "progress_shadow"}
        module = elsewhere.get(verb, verb)
        assert callable(getattr(importlib.import_module(f"adapter.stages.{module}"), verb)), verb


def await_(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def scheduler(store: Store, stages: Stages, holder: str = "") -> tuple[Scheduler, threading.Thread]:
    stopping = threading.Event()
    runner = LoopRunner(fake_project(store), stages.mapping(), stopping=stopping)
    found = Scheduler(store, [runner], FAST, now=lambda: datetime.now(UTC), stopping=stopping, holder=holder)
    return found, threading.Thread(target=found.run)


def end(found: Scheduler, thread: threading.Thread) -> None:
    found.stopping.set()
    thread.join(10)
    assert not thread.is_alive()


def test_every_job_runs_on_its_clock_and_the_lease_is_released_at_the_end(store: Store, stages: Stages) -> None:
    add_task(store)
    stages.reason = "due"
    found, thread = scheduler(store, stages, "one")
    thread.start()
    try:
        wanted = {"setup", "pull", "vote", "consolidate", "gates", "flag", "rank", "push", "train"}
        await_(lambda: wanted <= set(stages.calls))
        assert store.leases.holder(LEASE, datetime.now(UTC)) == "one"
    finally:
        end(found, thread)
    assert store.leases.holder(LEASE, datetime.now(UTC)) is None
    count = len(stages.calls)
    time.sleep(0.2)
    assert len(stages.calls) == count


def test_of_two_schedulers_one_works_and_the_other_takes_over_when_it_ends(store: Store) -> None:
    add_task(store)
    first, second = Stages(), Stages()
    one, first_thread = scheduler(store, first, "one")
    two, second_thread = scheduler(store, second, "two")
    first_thread.start()
    try:
        await_(lambda: "pull" in first.calls)
        second_thread.start()
        time.sleep(0.5)
        assert second.calls == []
        end(one, first_thread)
        await_(lambda: "pull" in second.calls)
    finally:
        end(two, second_thread)
        end(one, first_thread)


def test_a_silent_scheduler_s_lease_ends_by_itself(store: Store, stages: Stages) -> None:
    add_task(store)
    assert store.leases.acquire(LEASE, "killed", 0.5, datetime.now(UTC))
    found, thread = scheduler(store, stages)
    thread.start()
    try:
        await_(lambda: "pull" in stages.calls)
    finally:
        end(found, thread)


def test_a_scheduler_that_lost_its_lease_stops_its_jobs(store: Store, stages: Stages) -> None:
    add_task(store)
    found, thread = scheduler(store, stages, "one")
    thread.start()
    try:
        await_(lambda: "pull" in stages.calls)
        store.leases.release(LEASE, "one")
        assert store.leases.acquire(LEASE, "thief", 60, datetime.now(UTC))
        time.sleep(FAST.lease_s)
        count = len(stages.calls)
        time.sleep(0.4)
        assert len(stages.calls) == count
        assert thread.is_alive()
    finally:
        end(found, thread)
    assert store.leases.holder(LEASE, datetime.now(UTC)) == "thief"


def test_stopping_ends_a_training_and_lets_other_jobs_finish(store: Store, stages: Stages) -> None:
    add_task(store)
    stages.reason = "due"
    stages.hold["train"] = threading.Event()
    found, thread = scheduler(store, stages)
    thread.start()
    await_(lambda: "train" in stages.calls)
    end(found, thread)
    assert "stop_training" in stages.calls
    assert not stages.running


def test_a_webhook_wakes_the_pull_of_its_project_and_is_handled_once(store: Store, stages: Stages) -> None:
    add_task(store)
    found, _ = scheduler(store, stages)
    store.events.record(7, "ANNOTATION_CREATED", "a", {})
    store.events.record(8, "ANNOTATION_CREATED", "b", {})
    store.events.record(7, "ANNOTATION_UPDATED", "c", {})
    found.wake()
    assert stages.calls == ["setup", "pull"]
    assert store.events.unhandled() == []
    store.events.record(None, "ANNOTATION_CREATED", "d", {})
    found.wake()
    assert stages.calls == ["setup", "pull", "pull"]


def test_a_webhook_waits_while_label_studio_is_down(store: Store, stages: Stages) -> None:
    add_task(store)
    stages.errors["pull"] = PlatformUnreachable("down")
    found, _ = scheduler(store, stages)
    store.events.record(7, "ANNOTATION_CREATED", "a", {})
    found.wake()
    assert len(store.events.unhandled()) == 1


def test_sigterm_ends_the_scheduler_cleanly(make_world: Callable[..., Any], stages: Stages) -> None:
    world = make_world(5)
    app = world.app
    before = signal.getsignal(signal.SIGTERM)
    killer = threading.Thread(
        target=lambda: (await_(lambda: "pull" in stages.calls), os.kill(os.getpid(), signal.SIGTERM))
    )
    killer.start()
    run_scheduler(app, stages=stages.mapping())
    killer.join()
    assert app.store.leases.holder(LEASE, app.now()) is None
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_real_stages_close_the_loop(make_world: Callable[..., Any]) -> None:
    world = make_world(90)
    runner = LoopRunner(world.project, default_stages())
    assert runner.pull()
    assert runner.consolidate()
    assert runner.top_up()
    first = world.label("ann", 18)
    assert len(first) == 18
    assert runner.pull()
    assert world.project.store.annotations.totals("spam").votes == 18
    assert runner.consolidate()
    assert runner.flag()
    assert runner.top_up()
    assert len(world.label("bob", 60)) >= 15
