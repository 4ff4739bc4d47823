"""Answers tasks with a project's current model, many requests at a time.

Requests that come while the model works are answered together in its next call: no wait is added, and at eight
connections one call serves about eight requests. Every task gets exactly one valid result, in order, whatever it holds.
A blind task's result is the one of a task that could not be predicted, so nobody can tell the two apart.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog

from adapter.errors import HitlError
from adapter.label_studio.payloads import PredictRequest, PredictTask, task_key
from adapter.stages.evidence import Answers, prelabel
from adapter.stages.interactive import suggestions
from adapter.vocabulary import Fault, JsonObject
from adapter.web.checks import Configs, forgiving, require_probabilities, sentence, shown
from adapter.web.host import NO_MODEL, ModelHost, Served
from adapter.web.localize import localized
from adapter.web.visits import Visits, ids_of, page_of

BATCH = 64
"""Most tasks in one call of the model. A larger request is cut, and others go between its parts."""
MOST_WAITING = 20_000
"""Tasks that wait; a request beyond it gets empty results at once."""
MOST_KEYS = 200_000
FOREIGN_S = 10.0
"""Seconds for which a task that the ledger does not know is not looked up again."""

Result = dict[str, Any]
ToldFault = Callable[[str, Fault], None]
log = structlog.get_logger("web")


def empty(version: str) -> Result:
    """The result of a task without a pre-label."""
    return {"result": [], "score": 0.0, "model_version": version}


class _Job:
    """A request on its way. results grows until it is as long as the tasks."""

    __slots__ = ("future", "loop", "request", "results")

    def __init__(
        self, request: PredictRequest, future: asyncio.Future[list[Result]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.request = request
        self.future = future
        self.loop = loop
        self.results: list[Result] = []


class Predictor:
    """One project's worker thread. It reads the model of the moment from the host before every call of it."""

    def __init__(self, name: str, host: ModelHost, fault: ToldFault) -> None:
        self._name = name
        self._host = host
        self._told_fault = fault
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._count = threading.Lock()
        self._keys: dict[int, str] = {}
        self._foreign: dict[int, float] = {}
        self._configs = Configs()
        self._visits = Visits()
        self._thread = threading.Thread(target=self._run, name=f"web-predict-{name}", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Answer what waits, then end."""
        self._jobs.put(None)
        self._thread.join(timeout)

    @property
    def waiting(self) -> int:
        """Tasks that wait."""
        return self._waiting

    def submit(self, request: PredictRequest, loop: asyncio.AbstractEventLoop) -> asyncio.Future[list[Result]] | None:
        """Queue a request; its future gets one result per task. None when too many tasks wait already."""
        count = len(request.tasks)
        with self._count:
            if self._waiting and self._waiting + count > MOST_WAITING:
                return None
            self._waiting += count
        job = _Job(request, loop.create_future(), loop)
        self._jobs.put(job)
        return job.future

    def _run(self) -> None:
        ending = False
        while True:
            batch: list[_Job] = []
            size = 0
            while size < BATCH:
                try:
                    job = self._jobs.get(block=not batch and not ending)
                except queue.Empty:
                    break
                if job is None:
                    ending = True
                else:
                    batch.append(job)
                    size += len(job.request.tasks) - len(job.results)
            if batch:
                self._answer(batch)
            elif ending:
                return

    def _answer(self, batch: Sequence[_Job]) -> None:
        """Answer the next part of each job; hand finished ones over, queue the others again."""
        served = self._host.current(self._name)
        parts = []
        room = BATCH
        for job in batch:
            start = len(job.results)
            part = job.request.tasks[start : start + room]
            room -= len(part)
            parts.append((job, part))
        try:
            answers = self._results(served, parts)
        except Exception as error:  # whatever happens here, each task gets its result
            version = served.version if served else NO_MODEL
            self._fault(version, None, f"{type(error).__name__}: {error}")
            log.error("predict failed", project=self._name, exc_info=error)
            answers = [[empty(version) for _ in part] for _, part in parts]
        finished = []
        for (job, part), results in zip(parts, answers, strict=True):
            job.results += results
            with self._count:
                self._waiting -= len(part)
            if len(job.results) < len(job.request.tasks) and not job.future.done():
                self._jobs.put(job)
            else:
                with self._count:
                    self._waiting -= len(job.request.tasks) - len(job.results)
                finished.append(job)
        if finished:
            _deliver(finished)

    def _results(
        self, served: Served | None, parts: Sequence[tuple[_Job, Sequence[PredictTask]]]
    ) -> list[list[Result]]:
        if served is None:
            return [[empty(NO_MODEL) for _ in part] for _, part in parts]
        version = served.version
        answers: list[list[Result]] = []
        asked: list[tuple[list[Result], int, JsonObject, PredictTask]] = []
        self._look_up(served, [task for _, part in parts for task in part])
        for job, part in parts:
            results = [empty(version) for _ in part]
            answers.append(results)
            differs = self._configs.differ(served.project.space, job.request.label_config)
            if differs:
                self._fault(version, None, differs)
                continue
            for place, task in enumerate(part):
                if task.data is None:
                    self._fault(version, shown(task), "the task has no 'data' object")
                elif job.request.context and isinstance(job.request.context.get("result"), list):
                    results[place] = self._interactive(served, task, job.request.context)
                elif served.bundle is not None and not self._is_blind(served, task):
                    try:
                        asked.append((results, place, localized(task.data, served.project), task))
                    except RecursionError:
                        self._fault(version, shown(task), "the task's data is nested too deeply")
        if asked and served.bundle is not None:
            for (results, place, _, task), found in zip(asked, self._predict(served, asked), strict=True):
                if found is None:
                    self._fault(version, shown(task), "the model gave no probabilities for this task")
                elif not isinstance(found, str):
                    results[place] = {"result": found[0], "score": found[1], "model_version": version}
                else:
                    self._fault(version, shown(task), found)
        return answers

    def _interactive(self, served: Served, task: PredictTask, context: JsonObject) -> Result:
        """Answer a person at work: what they may want beside what they have drawn. Of a blind task no model speaks. A
        list without items is the page's too, when the last one was removed: a whole pre-label would land on it."""
        assert task.data is not None
        suggest = None
        if served.bundle is not None and not self._is_blind(served, task):
            suggest = forgiving(served.bundle.suggest, partial(self._fault, served.version, shown(task)))
        try:
            page = page_of(task, served.version)
            drawn = ids_of(context["result"]) - page.shown
            visit = self._visits.of(task.platform_id, drawn | page.own, time.monotonic())
            result, score = suggestions(
                served.project.space,
                localized(task.data, served.project),
                context,
                suggest,
                page=page.items,
                known=visit.drawn | visit.given | page.shown | page.own,
                given=visit.given | page.shown,
            )
        except Exception as error:  # one that cannot be answered must not end the service
            self._fault(served.version, shown(task), f"no suggestions: {sentence(error)}")
            return empty(served.version)
        visit.drawn |= drawn - visit.given
        visit.given |= ids_of(result)
        return {"result": result, "score": score, "model_version": served.version}

    def _predict(
        self, served: Served, asked: Sequence[tuple[list[Result], int, JsonObject, PredictTask]]
    ) -> list[tuple[list[JsonObject], float] | str | None]:
        """Return for each example its result and confidence, None, or a sentence about what failed."""
        examples = [example for _, _, example, _ in asked]
        try:
            return self._call(served, examples)
        except Exception as error:
            if len(examples) == 1:
                return [sentence(error)]
        found: list[tuple[list[JsonObject], float] | str | None] = []
        for example in examples:  # one example that the model cannot bear must not cost the others their pre-labels
            try:
                found += self._call(served, [example])
            except Exception as error:
                found.append(sentence(error))
        return found

    def _call(self, served: Served, examples: list[JsonObject]) -> list[tuple[list[JsonObject], float] | str | None]:
        assert served.bundle is not None
        space = served.project.space
        probabilities = served.bundle.predict(examples)
        require_probabilities(space, probabilities, len(examples))
        answers = Answers(probabilities, served.bundle.regions(examples))
        return [prelabel(space, answers, row) for row in range(len(examples))]

    def _is_blind(self, served: Served, task: PredictTask) -> bool:
        key = task.key
        if key is None and task.platform_id is not None:
            key = self._keys.get(task.platform_id)
        if key is None:
            # A task that was made in Label Studio gets this key when it is adopted; it is blind or not from the start.
            column = served.project.settings.data.id_column
            value = task.data.get(column) if column and task.data is not None else None
            key = task_key(value) or (f"ls-{task.platform_id}" if task.platform_id is not None else None)
        return key is not None and (key in served.measured or served.project.is_blind(key))

    def _look_up(self, served: Served, tasks: Sequence[PredictTask]) -> None:
        """Learn the keys of tasks that do not carry theirs: one question to the ledger for all that are new."""
        now = time.monotonic()
        unknown = {
            task.platform_id
            for task in tasks
            if task.key is None
            and task.platform_id is not None
            and task.platform_id not in self._keys
            and self._foreign.get(task.platform_id, 0.0) <= now
        }
        if not unknown or served.bundle is None:
            return
        try:
            found = served.project.store.ledger.task_ids(self._name, sorted(unknown))
        except HitlError as error:
            log.warning("the ledger cannot be asked", project=self._name, reason=str(error))
            return
        if len(self._keys) + len(self._foreign) > MOST_KEYS:
            self._keys.clear()  # they fill again
            self._foreign.clear()
        self._keys.update(found)
        self._foreign.update(dict.fromkeys(unknown - found.keys(), now + FOREIGN_S))

    def _fault(self, version: str, task_id: str | None, message: str) -> None:
        self._told_fault(self._name, Fault("model", version, "predict", task_id, message))


def _deliver(jobs: Sequence[_Job]) -> None:
    """Hand results to the event loop that waits for them; a loop that has ended wants none."""

    def set_results() -> None:
        for job in jobs:
            if not job.future.done():
                job.future.set_result(job.results)

    try:
        jobs[0].loop.call_soon_threadsafe(set_results)
    except RuntimeError:
        log.debug("the server ended before its last answers")
