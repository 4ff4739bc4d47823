"""The loop as users run it: a real Label Studio, the web process and the scheduler as processes of their own,
annotators at its API. On request the two processes are killed at random moments and every second webhook is lost."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import yaml

from adapter.app import App
from adapter.errors import HitlError, PlatformError
from adapter.kinds import kind_of
from adapter.label_studio.desk import LabelStudioDesk
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.label_studio.users import annotator_email, make_annotator
from adapter.settings import Settings
from adapter.simulate.account import Served
from adapter.simulate.crowd import Crowd, replay_live, view_of
from adapter.simulate.gold import GoldSet
from adapter.simulate.people import Person, answer, pace
from adapter.simulate.relay import Relay, free_port
from adapter.stages.consolidate import consolidate
from adapter.stages.context import Project
from adapter.stages.flag import flag
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.supervise import Child, Supervisor
from adapter.vocabulary import PRIORITY_FIELD, TASK_KEY_FIELD

if TYPE_CHECKING:
    from adapter.simulate.options import SimulateOptions

IDLE_END_S = 60.0
SETTLE_S = 60.0
POLL_S = 0.2
log = logging.getLogger("simulate")


class LiveRun:
    """A context: entering starts Label Studio, web and scheduler; leaving ends them all."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        people: list[Person],
        gold: GoldSet,
        options: SimulateOptions,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.settings = settings
        self.name = name
        self.people = people
        self.gold = gold
        self.options = options
        self.progress = progress
        self.kills = 0
        self.made = 0
        self.served: list[Served] = []
        self.errors: list[str] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._dice = np.random.default_rng(options.seed)

    def __enter__(self) -> LiveRun:
        port, web_port = free_port(), free_port()
        self.relay = Relay(target=f"http://127.0.0.1:{web_port}", drop_every_second=self.options.drop_webhooks)
        self.server = EmbeddedServer(self.settings.home, port, "admin@localhost.local", "simulation-admin")
        try:
            self.relay.start()
            self.server.start()
            self.server.wait()
            self.settings = self._settings(port, web_port)
            token = self.server.token
            platform = LabelStudioPlatform(self.server.url, token, timeout_s=60)
            self.app = App(self.settings, platform=platform)
            project = self.app.project(self.name)
            ingest(project)
            self.supervisor = Supervisor(
                [self._child("web", token), self._child("scheduler", token)],
                write=lambda line: log.info("%s", line),
                logs=self.settings.home / "logs",
                first_pause_s=0.1,
                longest_pause_s=0.5,
            )
            self._keeper = threading.Thread(target=self.supervisor.run, kwargs={"signals": False}, name="supervisor")
            self._keeper.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._stop.set()
        if hasattr(self, "_keeper"):
            self.supervisor.stop()
            self._keeper.join()
        self.server.stop()
        self.relay.stop()
        if hasattr(self, "app"):
            self.app.close()

    def _settings(self, port: int, web_port: int) -> Settings:
        """Return settings for these ports, and write them as the files that the two processes read."""
        settings = self.settings
        web = settings.web.model_copy(update={"port": web_port, "public_url": self.relay.url})
        label_studio = settings.label_studio.model_copy(update={"url": self.server.url})
        schedule = settings.schedule.model_copy(
            update={
                "pull_s": 0.5,
                "top_up_s": 0.5,
                "consolidate_s": 1.0,
                "train_s": 0.5,
                "flag_s": 5.0,
                "jitter_s": 0.1,
                "lease_s": 3.0,
            }
        )
        settings = settings.model_copy(update={"web": web, "label_studio": label_studio, "schedule": schedule})
        plain = settings.model_dump(mode="json", exclude={"config", "projects"}, exclude_defaults=True)
        self._file = settings.config / "adapter.yaml"
        self._file.write_text(yaml.safe_dump(plain), encoding="utf-8")
        (settings.config / "projects").mkdir(exist_ok=True)
        for name, project in settings.projects.items():
            text = yaml.safe_dump(project.model_dump(mode="json", exclude_defaults=True))
            (settings.config / "projects" / f"{name}.yaml").write_text(text, encoding="utf-8")
        return settings

    def _child(self, verb: str, token: str) -> Child:
        argv = [sys.executable, "-m", "adapter", "--config", str(self._file), verb]
        return Child(verb, argv, env={"HITL_LABEL_STUDIO_TOKEN": token})

    def work(self) -> list[Served]:
        """Let every annotator work until the budget is spent; then wait until the loop has seen all of it, and end
        it."""
        project = self.app.project(self.name)
        self._await(lambda: project.platform_id is not None, 120, "the scheduler did not set the project up")
        platform_id = project.platform_id
        assert platform_id is not None
        crowd = self._crowd(project, platform_id) if project.settings.routing.enabled else None
        if crowd is not None:
            threads = replay_live(
                project, crowd, self._stop, idle_s=3 * IDLE_END_S, batch=20, progress=self._tell, failed=self._failed
            )
        else:
            threads = [
                threading.Thread(target=self._annotate, args=(person, platform_id), name=person.name)
                for person in self.people
            ]
        if self.options.kills:
            threads.append(threading.Thread(target=self._kill_at_random, name="killer"))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.errors:
            raise HitlError(f"an annotator could not go on: {self.errors[0]}", where=str(self.settings.home / "logs"))
        if crowd is not None:
            self.served = crowd.served
        done = sum(not row.cancelled for row in self.served)
        self._await(
            lambda: project.store.annotations.totals(self.name).votes >= done,
            SETTLE_S,
            "not all annotations were pulled",
        )
        self._await(self._quiet, SETTLE_S, "the loop did not come to rest")
        self.supervisor.stop()
        self._keeper.join()
        # What the scheduler would do at its next tick; the accounting then sees a finished state.
        pull(project)
        consolidate(project)
        flag(project)
        return self.served

    def _crowd(self, project: Project, platform_id: int) -> Crowd:
        """Return the crowd whose stored votes are replayed; each gets an account and a view when first needed."""
        people = {annotator_email(person.name): person for person in self.people}
        desks: dict[str, LabelStudioDesk] = {}

        def desk_of(name: str) -> LabelStudioDesk:
            if name not in desks:
                token = make_annotator(self.server, people[name].name)
                desks[name] = LabelStudioDesk(self.server.url, token, platform_id, view=view_of(project, name))
            return desks[name]

        return Crowd(
            people,
            desk_of,
            project.space.control(self.gold.control),
            budget=self.options.budget,
            seed=self.options.seed,
            now=time.monotonic,
            wait=self._pause,
        )

    def _pause(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _tell(self, made: int) -> None:
        self.made = made
        if self.progress:
            self.progress(made, self.options.budget)

    def _failed(self, name: str, error: Exception) -> None:
        self.errors.append(f"{name}: {error}")
        self._stop.set()

    def _quiet(self) -> bool:
        """Whether nothing is half-done: no intent waits, no training is under way or due."""
        from adapter.stages.train import due

        project = self.app.project(self.name)
        if project.store.ledger.pending(self.name) or due(project):
            return False
        return not project.store.projects.notes(self.name, "training").get("training")

    def webhooks(self) -> dict[str, int]:
        """Return how many webhooks reached the relay and how many of them it dropped."""
        return {"sent": self.relay.webhooks, "dropped": self.relay.dropped}

    def _annotate(self, person: Person, platform_id: int) -> None:
        try:
            token = make_annotator(self.server, person.name)
            desk = LabelStudioDesk(self.server.url, token, platform_id)
            control = self.app.project(self.name).space.control(self.gold.control)
            kind = kind_of(control.kind)
            idle_since = time.monotonic()
            while not self._stop.is_set() and self._claim():
                at = time.monotonic()
                assignment = desk.next_task()
                if assignment is None:
                    self._release()
                    if time.monotonic() - idle_since > IDLE_END_S:
                        return
                    self._stop.wait(POLL_S)
                    continue
                idle_since = time.monotonic()
                key = str(assignment.data[TASK_KEY_FIELD])
                value = answer(person, control, key, self.gold.gold.get(key), self.options.seed)
                seconds = pace(person, key, self.options.seed)
                self._stop.wait(seconds)
                if value is None:
                    number = desk.skip(assignment.task_id, seconds)
                    self._release()
                else:
                    number = desk.submit(assignment.task_id, kind.write(control, value), seconds)
                priority = int(assignment.data.get(PRIORITY_FIELD, 0))
                with self._lock:
                    self.served.append(Served(person.name, assignment.task_id, priority, at, number, value is None))
                if self.progress:
                    self.progress(self.made, self.options.budget)
        except PlatformError as error:
            self._failed(person.name, error)

    def _claim(self) -> bool:
        """Take one annotation out of the budget; False when it is spent."""
        with self._lock:
            if self.made >= self.options.budget:
                return False
            self.made += 1
            return True

    def _release(self) -> None:
        with self._lock:
            self.made -= 1

    def _kill_at_random(self) -> None:
        """Kill (SIGKILL) web or scheduler, spread over the whole run; the supervisor starts them again, as an
        operator would."""
        import os
        import signal

        marks = sorted(self._dice.uniform(0.02, 0.95, self.options.kills) * self.options.budget)
        for mark in marks:
            while self.made < mark and not self._stop.is_set():
                time.sleep(0.02)
            time.sleep(float(self._dice.uniform(0, 0.5)))
            victim = "web" if self.kills % 2 else "scheduler"
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and not self._stop.is_set():
                pid = self.supervisor.pids().get(victim)
                if pid is not None:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                    else:
                        self.kills += 1
                        break
                time.sleep(0.05)

    def _await(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise HitlError(
                    what,
                    where=str(self.settings.home / "logs"),
                    remedy="The logs there say why; keep them with --home DIR.",
                )
            time.sleep(POLL_S)
