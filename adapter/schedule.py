"""The loops of all projects on clocks. One process; of several schedulers the one that holds the lease works."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from adapter.errors import HitlError, StoreError
from adapter.loop import LoopRunner, Stage, default_stages
from adapter.stages.tier_projects import tiers_at

if TYPE_CHECKING:
    from adapter.app import App
    from adapter.settings import ScheduleSettings
    from adapter.store import Store

LEASE = "scheduler"
WAKE_S = 0.5
"""Seconds between two looks at webhooks that came in: an annotation is here within two seconds."""

log = structlog.get_logger("schedule")


class Scheduler:
    """All projects' jobs on their clocks, while this process holds the lease."""

    def __init__(
        self,
        store: Store,
        runners: Sequence[LoopRunner],
        settings: ScheduleSettings,
        *,
        now: Callable[[], datetime],
        stopping: threading.Event | None = None,
        holder: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.runners = list(runners)
        self.settings = settings
        self.stopping = stopping or threading.Event()
        self.holder = holder or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._now = now
        self._monotonic = monotonic

    def run(self) -> None:
        """Work while holding the lease, wait for it otherwise, until `stopping` is set; then release it."""
        told = False
        while not self.stopping.is_set():
            if self._acquire():
                told = False
                log.info("this scheduler works", projects=[runner.name for runner in self.runners])
                try:
                    self._work()
                finally:
                    with contextlib.suppress(StoreError):
                        self.store.leases.release(LEASE, self.holder)
            elif not told:
                told = True
                log.info("another scheduler works; this one waits for its lease to end")
            self.stopping.wait(min(1.0, self.settings.lease_s / 3))

    def wake(self) -> None:
        """Handle the webhooks that came in: pull the projects that they name, then mark them as handled."""
        try:
            events = self.store.events.unhandled()
            if not events:
                return
            homes: dict[int | None, Any] = {}
            for runner in self.runners:
                homes |= dict.fromkeys(tiers_at(self.store, runner.name)[1].values(), runner)
            homes |= {runner.project.platform_id: runner for runner in self.runners}
            pulled: dict[str, bool] = {}
            handled = []
            for event in events:
                named = homes.get(event.platform_id)
                concerned = [named] if named else self.runners if event.platform_id is None else []
                for runner in concerned:
                    if runner.name not in pulled:
                        pulled[runner.name] = runner.pull()
                if all(pulled[runner.name] for runner in concerned):
                    handled.append(event.id)
            self.store.events.handled(handled)
        except StoreError as error:
            log.error(f"webhooks wait: {error}")

    def _acquire(self) -> bool:
        try:
            return bool(self.store.leases.acquire(LEASE, self.holder, self.settings.lease_s, self._now()))
        except StoreError as error:
            log.error(f"the lease cannot be asked for: {error}")
            return False

    def _work(self) -> None:
        """Run the jobs until stopped, or until the lease is lost."""
        clock = self._clock()
        clock.start()
        renewed = self._monotonic()
        try:
            while not self.stopping.wait(self.settings.lease_s / 3):
                try:
                    if not self.store.leases.renew(LEASE, self.holder, self.settings.lease_s, self._now()):
                        log.warning("the lease was lost to another scheduler; this one waits")
                        return
                    renewed = self._monotonic()
                except StoreError as error:
                    log.error(f"the lease could not be renewed: {error}")
                    if self._monotonic() - renewed >= self.settings.lease_s:
                        return
        finally:
            self._end(clock)

    def _end(self, clock: Any) -> None:
        """Let running jobs finish, trainings excepted, and keep the lease while they do."""
        clock.pause()
        for runner in self.runners:
            runner.stop_training()
        ended = threading.Event()

        def keep() -> None:
            while not ended.wait(self.settings.lease_s / 3):
                with contextlib.suppress(StoreError):
                    self.store.leases.renew(LEASE, self.holder, self.settings.lease_s, self._now())

        keeper = threading.Thread(target=keep, name="lease", daemon=True)
        keeper.start()
        clock.shutdown(wait=True)
        ended.set()
        keeper.join()

    def _clock(self) -> Any:
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        count = max(1, len(self.runners))
        clock = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(4 * count + 1), "training": ThreadPoolExecutor(count)},
            job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
        )
        seconds = self.settings
        for runner in self.runners:
            jobs = (
                (runner.pull, seconds.pull_s, "default"),
                (runner.consolidate, seconds.consolidate_s, "default"),
                (runner.top_up, seconds.top_up_s, "default"),
                (runner.flag, seconds.flag_s, "default"),
                (runner.train, seconds.train_s, "training"),
            )
            for order, (job, every, executor) in enumerate(jobs):
                clock.add_job(
                    job,
                    "interval",
                    seconds=every,
                    jitter=min(seconds.jitter_s, every / 2) or None,
                    id=f"{runner.name}:{job.__name__}",
                    executor=executor,
                    next_run_time=datetime.now(tz=clock.timezone) + timedelta(seconds=0.2 * order),
                )
        clock.add_job(self.wake, "interval", seconds=WAKE_S, id="wake")
        return clock


def run_scheduler(app: App, *, stages: Mapping[str, Stage] | None = None) -> None:
    """Run the schedule of all projects until SIGTERM or SIGINT. A project that cannot be opened is told and left out.

    Raises the first such error when no project can be opened at all.
    """
    stopping = threading.Event()
    previous = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        runners, errors = [], []
        for name in sorted(app.settings.projects):
            try:
                runners.append(LoopRunner(app.project(name), stages or default_stages(), stopping=stopping))
            except HitlError as error:
                errors.append(error)
                log.error(f"project {name} is left out: {error}")
        if errors and not runners:
            raise errors[0]
        Scheduler(app.store, runners, app.settings.schedule, now=app.now, stopping=stopping).run()
        log.info("the scheduler has ended")
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
