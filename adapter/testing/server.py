"""The fake server behind `MemoryPlatform`: its state, what its desks ask, its webhooks, and the switches for tests.

It is one long module, since all of it works on one state under one lock.
"""

from __future__ import annotations

import functools
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

from adapter.errors import PlatformNotFound, nearest
from adapter.ports import Assignment, PlatformAnnotation, PlatformPrediction
from adapter.testing.queue import Queue
from adapter.testing.state import (
    SEQUENTIAL,
    UNCERTAINTY,
    ProjectState,
    TaskState,
    least_score,
    moment_text,
    plain,
    project_json,
    results,
    task_json,
)
from adapter.testing.views import ViewState
from adapter.vocabulary import JsonObject

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="MemoryServer")

LOCK_TTL = timedelta(hours=24)
"""How long a task that was handed out stays reserved: Label Studio's TASK_LOCK_TTL by default."""


@dataclass(frozen=True)
class Failure:
    """A planned failure of one call."""

    method: str
    error: BaseException
    after_effect: bool


def request(
    method: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], R]:
    """Make a method one atomic request: planned failures, one lock, webhooks sent after it."""
    name = method.__name__.lstrip("_")

    @functools.wraps(method)
    def request(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            if self.down is not None:
                raise self.down
            failure = next((planned for planned in self._failures if planned.method == name), None)
            if failure is not None:
                self._failures.remove(failure)
                if not failure.after_effect:
                    raise failure.error
            self._events.clear()
            answer = method(self, *args, **kwargs)
            events, self._events = self._events, []
        for project, action, body in events:
            self._send_webhooks(project, action, body)
        if failure is not None:
            raise failure.error
        return answer

    return request


class MemoryServer:
    """State, desks, webhooks and switches of the fake.

    now: aware UTC time. seed: of uniform sampling. on_webhook: receives each webhook payload in Label Studio's shape,
    once for each webhook registered at the project, after the call that caused it; what it raises is kept in
    `webhook_errors` and never reaches the caller, as in Label Studio. drop_webhooks: True loses all; a function gets
    the running number of each (from 0) and says whether it is lost. down: while set, every call raises it.
    backend_state: of ML backends. enterprise: whether it has assignment, as Label Studio Enterprise has.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        seed: int = 0,
        on_webhook: Callable[[JsonObject], None] | None = None,
        drop_webhooks: bool | Callable[[int], bool] = False,
        enterprise: bool = False,
    ) -> None:
        self.enterprise = enterprise
        self.on_webhook = on_webhook
        self.drop_webhooks = drop_webhooks
        self.webhook_errors: list[Exception] = []
        self.down: BaseException | None = None
        self.backend_state = "CO"
        self._now = now or (lambda: datetime.now(UTC))
        self._random = random.Random(seed)
        self._lock = threading.RLock()
        self._failures: list[Failure] = []
        self._events: list[tuple[ProjectState, str, dict[str, Any]]] = []
        self._sent = 0
        self._ids: Counter[str] = Counter()
        self._projects: dict[int, ProjectState] = {}
        self._tasks: dict[int, TaskState] = {}
        self._annotation_owner: dict[int, int] = {}
        self._prediction_owner: dict[int, int] = {}
        self._users: dict[str, int] = {}
        self._active: dict[str, datetime] = {}

    # Switches and helpers for tests; not part of the port.

    def fail_next(self, method: str, error: BaseException, after_effect: bool = False) -> None:
        """Make the next call of `method` (of this platform or of a desk) raise `error`, before it did anything or, with
        `after_effect`, after the server did everything: the answer was lost. Calls add up."""
        if not callable(getattr(self, method, None)) and not callable(getattr(MemoryDesk, method, None)):
            raise ValueError(f"there is no method '{method}'. {nearest(method, vars(type(self)))}")
        with self._lock:
            self._failures.append(Failure(method, error, after_effect))

    def desk(self, project_id: int, annotator: str, *, view: int | None = None) -> MemoryDesk:
        """Return the seat of an annotator, who is made if new. view: serve by that view's filter and order."""
        with self._lock:
            self._project(project_id)
            self._user(annotator)
        return MemoryDesk(self, project_id, annotator, view)

    @request
    def add_task(self, project_id: int, data: JsonObject) -> int:
        """Create a task as somebody else would, without our key, and return its id."""
        project = self._project(project_id)
        task = self._create(project, plain(data), project.maximum_annotations)
        self._tell(project, "TASKS_CREATED", tasks=[task_json(task)])
        return task.id

    @request
    def annotate(
        self,
        task_id: int,
        annotator: str,
        result: Sequence[JsonObject],
        *,
        lead_time: float | None = None,
        cancelled: bool = False,
        ground_truth: bool = False,
    ) -> int:
        """Add an annotation as an import does: no desk, no lock, no pre-label, and a bulk webhook. Return its id."""
        task = self._task(task_id)
        made = self._annotate(task, annotator, result, lead_time, cancelled, ground_truth=ground_truth)
        project = self._projects[task.project_id]
        body = self._annotation_json(made, project)
        self._tell(project, "ANNOTATIONS_CREATED", annotation=[body], task=[task_json(task)])
        return made.id

    @request
    def change_annotation(self, annotation_id: int, result: Sequence[JsonObject]) -> None:
        """Change an annotation as its author would on the page."""
        task = self._owner(annotation_id)
        now = self._now()
        changed = replace(task.annotations[annotation_id], result=results(result), updated_at=now, cancelled=False)
        task.annotations[annotation_id] = changed
        project = self._projects[task.project_id]
        self._touch(task)
        self._tell(
            project, "ANNOTATION_UPDATED", annotation=self._annotation_json(changed, project), task=task_json(task)
        )

    @request
    def delete_annotation(self, annotation_id: int) -> None:
        """Delete an annotation."""
        task = self._owner(annotation_id)
        del task.annotations[annotation_id], self._annotation_owner[annotation_id]
        task.parents.pop(annotation_id, None)
        self._touch(task)
        self._tell(self._projects[task.project_id], "ANNOTATIONS_DELETED", annotations=[{"id": annotation_id}])

    @request
    def delete_project(self, project_id: int) -> None:
        """Delete a project with all that is in it."""
        project = self._project(project_id)
        for task in list(project.tasks.values()):
            self._forget(project, task)
        del self._projects[project_id]

    @request
    def view_tasks(self, project_id: int, view_id: int) -> list[int]:
        """Return the ids of the tasks that a view shows, in its order."""
        project = self._project(project_id)
        return [task.id for task in self._view(project, view_id).sorted(project.tasks.values())]

    @request
    def assignees(self, task_id: int) -> frozenset[str]:
        """Return whom Enterprise's assignment names for a task."""
        return frozenset(self._task(task_id).assignees)

    def _view(self, project: ProjectState, view_id: int) -> ViewState:
        for view in project.views.values():
            if view.id == view_id:
                return view
        raise PlatformNotFound(f"view {view_id} does not exist", where=f"project {project.id}")

    # What a desk asks.

    @request
    def _next_task(self, project_id: int, annotator: str, view: int | None = None) -> Assignment | None:
        project = self._project(project_id)
        self._active[annotator] = now = self._now()
        shown_there = None if view is None else self._view(project, view).sorted(project.tasks.values())
        task = self._held_by(project, annotator)
        if task is None or (shown_there is not None and task not in shown_there):
            task = self._choose(project, annotator, now, shown_there)
        if task is None:
            return None
        task.locks = {who: until for who, until in task.locks.items() if until > now}
        task.locks.setdefault(annotator, now + LOCK_TTL)
        self._queue(project, annotator).held = task.id
        shown = self._prelabel(project, task) if project.show_prelabels else None
        self._queue(project, annotator).shown[task.id] = shown.id if shown else 0
        return Assignment(
            task.id,
            json.loads(json.dumps(task.data)),
            shown.result if shown else (),
            shown.model_version if shown else None,
        )

    @request
    def _submit(self, task_id: int, annotator: str, result: Sequence[JsonObject], lead_time: float) -> int:
        return self._work(task_id, annotator, result, lead_time, cancelled=False)

    @request
    def _skip(self, task_id: int, annotator: str, lead_time: float) -> int:
        return self._work(task_id, annotator, (), lead_time, cancelled=True)

    def _work(
        self, task_id: int, annotator: str, result: Sequence[JsonObject], lead_time: float, *, cancelled: bool
    ) -> int:
        task = self._task(task_id)
        project = self._projects[task.project_id]
        task.locks.pop(annotator, None)
        made = self._annotate(task, annotator, result, lead_time, cancelled)
        shown = self._queue(project, annotator).shown.pop(task.id, 0)
        if shown in task.predictions:
            task.parents[made.id] = shown
        body = self._annotation_json(made, project)
        self._tell(project, "ANNOTATION_CREATED", annotation=body, task=task_json(task))
        return made.id

    def _held_by(self, project: ProjectState, annotator: str) -> TaskState | None:
        """Label Studio hands out the task that is locked to a person again, until it is done."""
        task = project.tasks.get(self._queue(project, annotator).held)
        if task is None or not task.is_open_for(annotator):
            return None
        return task if task.locks.get(annotator, datetime.min.replace(tzinfo=UTC)) > self._now() else None

    def _choose(
        self, project: ProjectState, annotator: str, now: datetime, shown: Sequence[TaskState] | None
    ) -> TaskState | None:
        """Choose what a desk gets; among the tasks that its view shows, if it has one."""
        queue = self._queue(project, annotator)
        allowed = None if shown is None else {task.id for task in shown}
        if self.enterprise:
            mine = {task.id for task in project.tasks.values() if annotator in task.assignees}
            if mine:
                allowed = mine if allowed is None else allowed & mine

        def free(number: int) -> bool:
            return (allowed is None or number in allowed) and not project.tasks[number].is_locked_for(annotator, now)

        number: int | None = None
        if project.maximum_annotations > 1:
            begun = queue.started if allowed is None else queue.started & allowed
            counts = {started: len(project.tasks[started].annotations) for started in begun}
            most = max(counts.values(), default=0)
            fullest = sorted(started for started, count in counts.items() if count == most)
            number = next(filter(free, self._random.sample(fullest, len(fullest))), None)
        if number is None and project.sampling == UNCERTAINTY:
            scores = functools.partial(least_score, project)
            matched, number = queue.least(scores, project.predictions_changed, free)
            if not matched:
                number = queue.any(self._random, free)
        elif number is None and shown is not None and project.sampling == SEQUENTIAL:
            return next((task for task in shown if task.is_open_for(annotator) and free(task.id)), None)
        elif number is None:
            number = queue.first(free) if project.sampling == SEQUENTIAL else queue.any(self._random, free)
        return None if number is None else project.tasks[number]

    def _prelabel(self, project: ProjectState, task: TaskState) -> PlatformPrediction | None:
        return next((p for p in task.predictions.values() if p.model_version == project.model_version), None)

    # State.

    def _project(self, project_id: int) -> ProjectState:
        if project_id not in self._projects:
            raise PlatformNotFound(f"project {project_id} does not exist", remedy="Attach or create a project.")
        return self._projects[project_id]

    def _task(self, task_id: int) -> TaskState:
        if task_id not in self._tasks:
            raise PlatformNotFound(f"task {task_id} does not exist", remedy="Pull, to see what was deleted.")
        return self._tasks[task_id]

    def _owner(self, annotation_id: int) -> TaskState:
        if annotation_id not in self._annotation_owner:
            raise PlatformNotFound(
                f"annotation {annotation_id} does not exist", remedy="Pull, to see what was deleted."
            )
        return self._tasks[self._annotation_owner[annotation_id]]

    def _next_id(self, kind: str) -> int:
        self._ids[kind] += 1
        return self._ids[kind]

    def _user(self, annotator: str) -> int:
        return self._users.setdefault(annotator, len(self._users) + 1)

    def _queue(self, project: ProjectState, annotator: str) -> Queue:
        if annotator not in project.queues:
            queue = project.queues[annotator] = Queue()
            for task in project.tasks.values():
                queue.update(task.id, task.is_open_for(annotator), bool(task.annotations))
        return project.queues[annotator]

    def _create(self, project: ProjectState, data: dict[str, Any], overlap: int) -> TaskState:
        now = self._now()
        task = TaskState(self._next_id("task"), project.id, data, now, now, overlap)
        project.tasks[task.id] = self._tasks[task.id] = task
        self._index_key(project, task)
        self._touch(task)
        return task

    def _touch(self, task: TaskState) -> None:
        """Note that a task changed: for `changes`, and for everybody's queue."""
        project = self._projects[task.project_id]
        project.revision += 1
        task.revision, task.updated_at = project.revision, self._now()
        project.touched.pop(task.id, None)
        project.touched[task.id] = None
        for annotator, queue in project.queues.items():
            queue.update(task.id, task.is_open_for(annotator), bool(task.annotations))

    def _forget(self, project: ProjectState, task: TaskState) -> None:
        self._index_key(project, task, remove=True)
        for number in task.annotations:
            del self._annotation_owner[number]
        for number in task.predictions:
            del self._prediction_owner[number]
        for queue in project.queues.values():
            queue.update(task.id, False, False)
        project.touched.pop(task.id, None)
        del project.tasks[task.id], self._tasks[task.id]

    def _index_key(self, project: ProjectState, task: TaskState, *, remove: bool = False) -> None:
        if task.key is not None:
            places = project.keys.setdefault(task.key, [])
            places.remove(task.id) if remove else places.append(task.id)

    def _ask_people(self, project: ProjectState, people: int) -> None:
        """Label Studio gives the number to tasks with an overlap above 1; to all if there are none or it becomes 1."""
        tasks = list(project.tasks.values())
        overlapping = [task for task in tasks if task.overlap > 1] if people > 1 else tasks
        for task in overlapping or tasks:
            task.overlap = people
            self._touch(task)

    def _annotate(
        self,
        task: TaskState,
        annotator: str,
        result: Sequence[JsonObject],
        lead_time: float | None,
        cancelled: bool,
        *,
        ground_truth: bool = False,
    ) -> PlatformAnnotation:
        now = self._now()
        self._user(annotator)
        made = PlatformAnnotation(
            id=self._next_id("annotation"),
            task_id=task.id,
            annotator=annotator,
            result=results(result),
            created_at=now,
            updated_at=now,
            lead_time=lead_time,
            cancelled=cancelled,
            ground_truth=ground_truth,
        )
        task.annotations[made.id] = made
        self._annotation_owner[made.id] = task.id
        self._touch(task)
        return made

    # Webhooks.

    def _tell(self, project: ProjectState, action: str, **body: Any) -> None:
        if self.on_webhook is not None:
            self._events.append((project, action, body))

    def _send_webhooks(self, project: ProjectState, action: str, body: dict[str, Any]) -> None:
        payload = {"action": action, **body, "project": project_json(project)}
        for hook in list(project.webhooks.values()):
            number, self._sent = self._sent, self._sent + 1
            lost = self.drop_webhooks(number) if callable(self.drop_webhooks) else self.drop_webhooks
            if lost or not hook.active or self.on_webhook is None:
                continue
            try:
                self.on_webhook(json.loads(json.dumps(payload)))
            except Exception as error:  # a broken receiver never breaks the annotator's submit
                self.webhook_errors.append(error)

    def _annotation_json(self, annotation: PlatformAnnotation, project: ProjectState) -> dict[str, Any]:
        return {
            "id": annotation.id,
            "result": list(annotation.result),
            "task": annotation.task_id,
            "project": project.id,
            "completed_by": self._users[annotation.annotator],
            "was_cancelled": annotation.cancelled,
            "ground_truth": annotation.ground_truth,
            "created_at": moment_text(annotation.created_at),
            "updated_at": moment_text(annotation.updated_at),
            "lead_time": annotation.lead_time,
            "parent_prediction": self._tasks[annotation.task_id].parents.get(annotation.id),
        }


class MemoryDesk:
    """A fake `adapter.ports.Desk`: one annotator's seat at a `MemoryPlatform`."""

    def __init__(self, platform: MemoryServer, project_id: int, annotator: str, view: int | None = None) -> None:
        self.annotator = annotator
        self._platform = platform
        self._project_id = project_id
        self._view = view

    def next_task(self) -> Assignment | None:
        """Return the task to do next, reserved until it is submitted or skipped; None when there is none."""
        return self._platform._next_task(self._project_id, self.annotator, self._view)

    def submit(self, task_id: int, result: Sequence[JsonObject], lead_time: float) -> int:
        """Submit an annotation; return its id."""
        return self._platform._submit(task_id, self.annotator, result, lead_time)

    def skip(self, task_id: int, lead_time: float) -> int:
        """Skip the task: it goes to others, not to this annotator again. Return the cancelled annotation's id."""
        return self._platform._skip(task_id, self.annotator, lead_time)
