"""The loop of one project: its jobs, each made of stages, each safe to be run at any time and to fail.

A job that fails is told in one sentence, recorded, and tried again with growing pauses; the other jobs go on meanwhile.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from adapter.errors import HitlError, StoreError
from adapter.logs import plain

if TYPE_CHECKING:
    from adapter.stages.context import Project

TRAIN_REQUESTED = "train_requested"
"""Note of a project by which somebody asked for a training: any text, such as the time at which it was asked."""
QUIET_RECORD_S = 60.0
"""Seconds within which runs of a job that did the same as before are recorded once."""
LONGEST_PAUSE_S = 60.0
PATIENCE_S = 10.0
"""Seconds that a top-up waits for a ranking before it goes on with the one that stands."""

Stage = Callable[..., Any]
log = structlog.get_logger("loop")


def default_stages() -> dict[str, Stage]:
    """Return the stages by verb, each imported when first called. `due` says whether a training is due and why."""
    verbs = {verb: (f"adapter.stages.{verb}", verb) for verb in _VERBS}
    verbs["due"] = ("adapter.stages.train", "due")
    verbs["measure_progress"] = ("adapter.stages.progress_shadow", "measure_progress")
    verbs["stop_training"] = ("adapter.stages.train", "stop_training")
    return {verb: _lazy(module, function) for verb, (module, function) in verbs.items()}


_VERBS = (
    "ingest",
    "setup",
    "pull",
    "vote",
    "consolidate",
    "gates",
    "flag",
    "rank",
    "push",
    "route",
    "review",
    "train",
)


def _lazy(module: str, function: str) -> Stage:
    def call(*args: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(module), function)(*args, **options)

    return call


def sentence(error: BaseException) -> str:
    """Return an error as one readable sentence."""
    if isinstance(error, HitlError):
        return str(error)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@dataclass
class _Trouble:
    """How often in a row a job has failed, and until when it pauses (monotonic seconds)."""

    failures: int = 0
    until: float = 0.0


class LoopRunner:
    """One project's jobs. Each method runs one job now and returns whether it succeeded; none raises.

    Jobs that talk to Label Studio (pull, the push of a top-up) never run over each other, nor do those that compute
    (consolidate, flag, rank); a training runs beside all of them. stages: verb to stage, see `default_stages`.
    patience_s: see `PATIENCE_S`.
    """

    def __init__(
        self,
        project: Project,
        stages: Mapping[str, Stage],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        stopping: threading.Event | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.project = project
        self.name = project.name
        self._stages = stages
        self._monotonic = monotonic
        self._stopping = stopping or threading.Event()
        self._desk = threading.Lock()
        self._mind = threading.Lock()
        self._training = threading.Lock()
        self._patience_s = patience_s
        self._ranking: threading.Thread | None = None
        self._trouble: dict[str, _Trouble] = {}
        self._recorded: dict[str, tuple[Any, float]] = {}
        self._done: dict[str, str] = {}
        self._paused: list[str] = []  # controls that accept no single votes, as the gates last said
        self._standing = False
        self._connected = False

    def pull(self) -> bool:
        """Fetch what people did. Sets the project up first, until that has succeeded once."""
        return self._guarded("pull", self._desk, self._pull)

    def top_up(self) -> bool:
        """Rank what changed since the last ranking, then push until the work window is full.

        A ranking that takes long (a new model looks at a large pool for the first time) goes on beside; meanwhile
        people get the next tasks of the order that stands, or where there is none yet, tasks drawn at random. Where the
        ranking fails they go on with the order that stands too.
        """
        ranked = True
        if self._ranking is None or not self._ranking.is_alive():
            came: list[bool] = []
            self._ranking = threading.Thread(
                target=lambda: came.append(self._guarded("rank", self._mind, self._rank)),
                name=f"rank-{self.name}",
                daemon=True,
            )
            self._ranking.start()
            self._ranking.join(self._patience_s)
            ranked = came[0] if came else True
        if self._ranking.is_alive():
            ranked = self._guarded("rank", threading.Lock(), self._stand_in)
        return self._guarded("push", self._desk, self._push if ranked else self._push_standing) and ranked

    def consolidate(self) -> bool:
        """Run labeling functions on what is new to them, then consolidate if any vote changed."""
        return self._guarded("consolidate", self._mind, self._consolidate)

    def flag(self) -> bool:
        """Look for suspected errors; the stage itself sees whether any label changed."""
        return self._guarded("flag", self._mind, self._flag)

    def train(self) -> bool:
        """Train if the policy says that it is time, or if somebody asked for it."""
        return self._guarded("train", self._training, self._train)

    def stop_training(self) -> None:
        """End a training that is under way; the next one starts from the same labels."""
        stop = self._stages.get("stop_training")
        if stop is not None and self._training.locked():
            stop(self.project)

    def _guarded(self, job: str, lane: threading.Lock, body: Callable[[], bool]) -> bool:
        """Run a job's body in its lane; a store that fails between stages is a failure of the job."""
        with lane:
            if self._pauses(job):
                return False
            started, clock = self.project.now(), self._monotonic()
            try:
                return body()
            except Exception as error:
                return self._failed(job, error, started, self._monotonic() - clock)

    def _pull(self) -> bool:
        return self._set_up() and self._run("pull", lambda: self._stages["pull"](self.project))

    def _rank(self) -> bool:
        if not self._standing:
            return False
        state = self._ranking_state()
        return self._once("rank", state)

    def _stand_in(self) -> bool:
        """Rank at random and at once, unless an order stands."""
        if self.project.store.rankings.current(self.name, limit=1):
            return True
        return self._run("rank", lambda: self._stages["rank"](self.project, hurry=True))

    def _push_standing(self) -> bool:
        """Push although the ranking failed, if an order stands."""
        if not self._standing or not self.project.store.rankings.current(self.name, limit=1):
            return False
        return self._push()

    def _push(self) -> bool:
        def push() -> Any:
            report = self._stages["push"](self.project)
            if getattr(report, "pushed", 0):
                self._done.pop("rank", None)  # the ranking is used up in part
            return report

        return self._run("push", push) and self._where_enabled("route") and self._where_enabled("review")

    def _where_enabled(self, verb: str) -> bool:
        """Run a verb that a project asks for in its settings; true where it does not."""
        policy = getattr(self.project.settings, {"route": "routing", "review": "review"}[verb])
        if not policy.enabled:
            return True
        return self._run(verb, lambda: self._stages[verb](self.project))

    def _consolidate(self) -> bool:
        if not self._pool():
            return True
        if not self._run("vote", lambda: self._stages["vote"](self.project)):
            return False
        votes = self.project.store.columns.versions(self.name, "votes")
        said = (self._people(), votes, self._decisions())
        if not self._once("consolidate", (*said, self._paused)):
            return False
        before = self._paused
        ran = self._once("gates", said, self._gates)
        # A gate that fails or passes now changes which labels stand: not in half a minute, now.
        return ran and (self._paused == before or self._once("consolidate", (*said, self._paused)))

    def _flag(self) -> bool:
        return not self._pool() or self._run("flag", lambda: self._stages["flag"](self.project))

    def _train(self) -> bool:
        if not self._pool():
            return True
        projects = self.project.store.projects
        asked = projects.notes(self.name, TRAIN_REQUESTED).get(TRAIN_REQUESTED)
        reason = "asked for" if asked is not None else self._stages["due"](self.project)
        if reason is None:
            return True
        log.info("training starts", project=self.name, reason=reason)
        ran = self._run("train", lambda: self._stages["train"](self.project))
        measure = self._stages.get("measure_progress")
        if ran and measure is not None and not self._stopping.is_set():
            self._run("progress", lambda: measure(self.project, stop=self._stopping))
        if (
            asked is not None
            and not self._stopping.is_set()
            and projects.notes(self.name, TRAIN_REQUESTED).get(TRAIN_REQUESTED) == asked
        ):
            projects.note(self.name, TRAIN_REQUESTED, None)
        return ran

    def _gates(self) -> Any:
        report = self._stages["gates"](self.project)
        self._paused = sorted(getattr(report, "paused", ()))
        return report

    def _once(self, job: str, state: Any, work: Callable[[], Any] | None = None) -> bool:
        """Run a stage unless it has run for this state of what it reads. work: instead of the plain call."""
        key = repr(state)
        if self._done.get(job) == key:
            return True
        ran = self._run(job, work or (lambda: self._stages[job](self.project)))
        if ran:
            self._done[job] = key
        return ran

    def _set_up(self) -> bool:
        """Ingest into an empty pool, make sure that the project stands in Label Studio, and connect our endpoints."""
        empty = not self._standing and self.project.settings.data.path and not self._pool()
        if empty and not self._run("ingest", lambda: self._stages["ingest"](self.project)):
            return False
        if self._standing and self._connected:
            return True
        notes: list[Any] = []

        def stand() -> Any:
            report = self._stages["setup"](self.project)
            self._standing = True
            notes.extend(getattr(report, "notes", ()))
            if notes:
                raise HitlError("; ".join(str(note).rstrip(".") for note in notes))
            self._connected = True
            return report

        self._run("setup", stand)
        return self._standing

    def _pool(self) -> int:
        return int(self.project.store.tasks.count(self.name))

    def _model(self) -> str:
        current = self.project.store.models.current(self.name)
        return current.version if current else ""

    def _people(self) -> tuple[str, int]:
        return (self.project.store.annotations.digest(self.name), self._pool())

    def _decisions(self) -> str:
        """Digest of what reviewers decided and what is known to be true: it changes the consensus as people's votes
        do."""
        from adapter.stages.evidence import digest

        store = self.project.store
        reviews = [(r.annotation, r.control, r.decision, r.value) for r in store.reviews.all(self.name)]
        gold = [(g.task_id, g.control, g.value) for g in store.gold.all(self.name)]
        return digest(reviews, gold)

    def _ranking_state(self) -> Any:
        columns = self.project.store.columns
        kinds = ("votes", "consensus")
        return (self._model(), self._pool(), *(columns.versions(self.name, what) for what in kinds))

    def _pauses(self, job: str) -> bool:
        trouble = self._trouble.setdefault(job, _Trouble())
        return self._stopping.is_set() or self._monotonic() < trouble.until

    def _run(self, job: str, work: Callable[[], Any]) -> bool:
        """Run one stage unless it pauses after a failure; log and record what came of it."""
        if self._pauses(job):
            return False
        started, clock = self.project.now(), self._monotonic()
        try:
            report = work()
        except Exception as error:
            return self._failed(job, error, started, self._monotonic() - clock)
        if self._trouble[job].failures:
            log.info(f"{job} works again", project=self.name)
        self._trouble[job] = _Trouble()
        self._record(job, started, self._monotonic() - clock, plain(report), None)
        return True

    def _failed(self, job: str, error: Exception, started: datetime, seconds: float) -> bool:
        trouble = self._trouble.setdefault(job, _Trouble())
        trouble.failures += 1
        pause = min(LONGEST_PAUSE_S, 2.0 ** (trouble.failures - 1))
        trouble.until = self._monotonic() + pause
        text = sentence(error)
        log.error(f"{job} failed: {text}", project=self.name, next_try_s=round(pause))
        log.debug(f"{job} failed", project=self.name, exc_info=error)
        self._record(job, started, seconds, {}, text)
        return False

    def _record(self, job: str, started: datetime, seconds: float, report: Any, error: str | None) -> None:
        shown = {key: value for key, value in report.items() if key != "seconds"} if isinstance(report, dict) else {}
        now = self._monotonic()
        last, at = self._recorded.get(job, (None, -QUIET_RECORD_S))
        if error is None and last == shown and now - at < QUIET_RECORD_S:
            return
        if error is None and last is not None and last != shown:
            log.info(job, project=self.name, **_figures(shown))
        try:
            self.project.store.runs.record(self.name, job, started, seconds, shown, error)
        except StoreError as failure:
            log.error(f"the run of {job} could not be recorded: {failure}", project=self.name)
        self._recorded[job] = (shown if error is None else None, now)


def _figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """The short, telling part of a report, for a log line."""
    return {
        key: value
        for key, value in report.items()
        if isinstance(value, int | str) and value not in (0, "", False) and key not in ("project", "event")
    }
