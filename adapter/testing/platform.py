"""The fake platform's port: each does what its namesake in `adapter.ports.Platform` does in Label Studio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapter.errors import PlatformNotFound, PlatformRejected, nearest
from adapter.ports import (
    Changes,
    ConnectedBackend,
    NewPrediction,
    NewTask,
    PlatformPrediction,
    PlatformProject,
    PlatformTask,
    PlatformUser,
    Webhook,
)
from adapter.testing.server import MemoryServer, request
from adapter.testing.state import (
    SEQUENTIAL,
    UNCERTAINTY,
    UNIFORM,
    ProjectState,
    TaskState,
    fits,
    plain,
    public_task,
    read_config,
    results,
    task_json,
)
from adapter.testing.views import ViewState
from adapter.vocabulary import TASK_KEY_FIELD, JsonObject


class MemoryPlatform(MemoryServer):
    """A fake `adapter.ports.Platform` that behaves like Label Studio; its switches are those of `MemoryServer`."""

    @request
    def check(self) -> str:
        """Return the version."""
        return "memory"

    @request
    def find_project(self, title: str) -> PlatformProject | None:
        """Return the oldest project with exactly this title."""
        return next((project.public() for project in self._projects.values() if project.title == title), None)

    @request
    def create_project(self, title: str, label_config: str) -> PlatformProject:
        """Create a project: sequential sampling, pre-labels shown. Raises PlatformRejected for a broken config."""
        fields, controls = read_config(label_config)
        number = self._next_id("project")
        project = ProjectState(number, title, label_config, fields, controls, self._now())
        self._projects[number] = project
        return project.public()

    @request
    def project(self, project_id: int) -> PlatformProject:
        """Return the project's settings now."""
        return self._project(project_id).public()

    def configure(self, project_id: int, **settings: Any) -> None:
        """Change settings. Raises PlatformRejected for unknown ones, and then changes nothing."""
        self._configure(project_id, settings)

    @request
    def _configure(self, project_id: int, settings: Mapping[str, Any]) -> None:
        project = self._project(project_id)
        known = ("label_config", "sampling", "model_version", "maximum_annotations", "show_prelabels")
        for name, value in settings.items():
            if name not in known:
                raise PlatformRejected(f"'{name}' is no setting of a project", remedy=nearest(name, known))
            if name == "sampling" and value not in (SEQUENTIAL, UNIFORM, UNCERTAINTY):
                remedy = nearest(str(value), (SEQUENTIAL, UNIFORM, UNCERTAINTY))
                raise PlatformRejected(f"'{value}' is no sampling", remedy=remedy)
            if name == "model_version" and not self._may_be_current(project, value):
                raise PlatformRejected(
                    f"model version '{value}' has no predictions in project {project_id}",
                    remedy="Import predictions of this version before switching to it.",
                )
        if "label_config" in settings:
            project.fields, project.controls = read_config(settings["label_config"])
        people = settings.get("maximum_annotations", project.maximum_annotations)
        if people != project.maximum_annotations:
            self._ask_people(project, people)
        if settings.get("show_prelabels") is False:
            project.model_version = ""  # Label Studio forgets it, unless the same request sets it
        for name, value in settings.items():
            setattr(project, name, value)
        project.predictions_changed += 1
        self._tell(project, "PROJECT_UPDATED")

    def _may_be_current(self, project: ProjectState, version: str) -> bool:
        titles = {known.title for known in project.backends.values()}
        return (
            version in ("", project.model_version)
            or version in titles
            or any(
                stored.model_version == version
                for task in project.tasks.values()
                for stored in task.predictions.values()
            )
        )

    @request
    def import_tasks(self, project_id: int, tasks: Sequence[NewTask]) -> dict[str, int]:
        """Create tasks in this order. Raises PlatformRejected, creating none, when one lacks a field that the label
        config shows."""
        project = self._project(project_id)
        prepared = []
        for new in tasks:
            data = plain({**new.data, TASK_KEY_FIELD: new.key})
            missing = [name for name in project.fields if name not in data]
            if missing:
                raise PlatformRejected(
                    f"task '{new.key}' has no field '{missing[0]}', which the label config shows",
                    where=f"project {project_id}",
                    remedy="Import data with this field, or change the label config.",
                )
            prepared.append((new, data))
        if len({new.key for new in tasks}) != len(tasks):
            raise PlatformRejected("the same task key was given twice", where=f"project {project_id}")
        made = {new.key: self._create(project, data, new.overlap).id for new, data in prepared}
        if made:
            self._tell(project, "TASKS_CREATED", tasks=[task_json(self._tasks[number]) for number in made.values()])
        return made

    @request
    def find_tasks(self, project_id: int, keys: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Return the ids (ascending) of the tasks that carry these keys."""
        project = self._project(project_id)
        return {key: tuple(sorted(project.keys[key])) for key in keys if project.keys.get(key)}

    @request
    def delete_tasks(self, project_id: int, task_ids: Sequence[int]) -> None:
        """Delete tasks with all that hangs on them; ids that are not there are passed over."""
        project = self._project(project_id)
        gone = [project.tasks[number] for number in dict.fromkeys(task_ids) if number in project.tasks]
        for task in gone:
            self._forget(project, task)
        if gone:
            self._tell(project, "TASKS_DELETED", tasks=[{"id": task.id} for task in gone])

    @request
    def task_ids(self, project_id: int) -> frozenset[int]:
        """Return the ids of all tasks of the project."""
        return frozenset(self._project(project_id).tasks)

    @request
    def tasks(self, project_id: int) -> Iterator[PlatformTask]:
        """Yield every task whole, in id order, as all stood at the call."""
        return iter([public_task(task) for task in self._project(project_id).tasks.values()])

    @request
    def changes(self, project_id: int, mark: str | None) -> Changes:
        """Return the tasks created or changed since `mark`, the earliest change first."""
        project = self._project(project_id)
        since = int(mark) if mark is not None and mark.isdecimal() else 0  # a foreign mark means everything
        found: list[PlatformTask] = []
        for number in reversed(project.touched):
            task = project.tasks[number]
            if task.revision <= since:
                break
            found.append(public_task(task))
        return Changes(tuple(reversed(found)), str(project.revision))

    @request
    def update_task_data(self, task_id: int, data: JsonObject) -> None:
        """Merge these fields into a task's data."""
        task = self._task(task_id)
        project = self._projects[task.project_id]
        self._index_key(project, task, remove=True)
        task.data |= plain(data)
        self._index_key(project, task)
        self._touch(task)

    @request
    def update_tasks(self, project_id: int, data: Mapping[int, Mapping[str, str]]) -> None:
        """Merge text fields into tasks' data; as there, this is no change that `changes` tells."""
        project = self._project(project_id)
        for number in data.keys() & project.tasks.keys():
            task = project.tasks[number]
            self._index_key(project, task, remove=True)
            task.data |= plain(data[number])
            self._index_key(project, task)

    @request
    def set_overlap(self, task_id: int, overlap: int) -> None:
        """Ask this many people for one task."""
        task = self._task(task_id)
        if overlap < 1:
            raise PlatformRejected(
                f"overlap {overlap} is less than 1", where=f"task {task_id}", remedy="Ask one person."
            )
        task.overlap = overlap
        self._touch(task)

    @request
    def import_predictions(self, project_id: int, predictions: Sequence[NewPrediction]) -> int:
        """Store pre-labels and return how many were valid; the others are dropped in silence. Raises PlatformRejected,
        storing none, for a task that is not in the project."""
        project = self._project(project_id)
        for new in predictions:
            if new.task_id not in project.tasks:
                raise PlatformRejected(
                    f"task {new.task_id} is not in project {project_id}",
                    remedy="Push its task first; pull to see what is gone.",
                )
        valid = [new for new in predictions if 0.0 <= new.score <= 1.0 and fits(project, new.result)]
        for new in valid:
            number = self._next_id("prediction")
            stored = PlatformPrediction(number, new.task_id, new.score, new.model_version, results(new.result))
            project.tasks[new.task_id].predictions[number] = stored
            self._prediction_owner[number] = new.task_id
        project.predictions_changed += 1
        return len(valid)

    @request
    def prediction_versions(self, project_id: int) -> dict[str, int]:
        """Return model version to number of stored predictions."""
        project = self._project(project_id)
        return dict(Counter(p.model_version for task in project.tasks.values() for p in task.predictions.values()))

    @request
    def predictions(self, project_id: int, task_ids: Sequence[int] = ()) -> list[PlatformPrediction]:
        """Return stored predictions, of these tasks only when given; by task, oldest first."""
        project = self._project(project_id)
        wanted = [
            project.tasks[number] for number in dict.fromkeys(task_ids or project.tasks) if number in project.tasks
        ]
        return sorted((p for task in wanted for p in task.predictions.values()), key=lambda p: (p.task_id, p.id))

    @request
    def delete_predictions(self, prediction_ids: Sequence[int]) -> None:
        """Delete stored predictions; ids that are not there are passed over."""
        for number in prediction_ids:
            owner = self._tasks.get(self._prediction_owner.pop(number, 0))
            if owner is not None:
                del owner.predictions[number]
                owner.parents = {made: shown for made, shown in owner.parents.items() if shown != number}
                self._projects[owner.project_id].predictions_changed += 1

    @request
    def set_prediction_score(self, prediction_id: int, score: float) -> None:
        """Change one prediction's score."""
        owner = self._tasks.get(self._prediction_owner.get(prediction_id, 0))
        if owner is None:
            raise PlatformNotFound(f"prediction {prediction_id} does not exist", remedy="Pull; its task may be gone.")
        if not 0.0 <= score <= 1.0:
            raise PlatformRejected(f"score {score} is not in 0..1", where=f"prediction {prediction_id}")
        owner.predictions[prediction_id] = replace(owner.predictions[prediction_id], score=score)
        self._projects[owner.project_id].predictions_changed += 1

    @request
    def ensure_view(self, project_id: int, title: str, field: str, label: str) -> int:
        """Make, or find, the view with this title and return its id."""
        project = self._project(project_id)
        if title not in project.views:
            project.views[title] = ViewState(self._next_id("view"), field)
        return project.views[title].id

    @request
    def ensure_queue(self, project_id: int, title: str, field: str, word: str, order: str) -> int:
        """Make, or renew, the view of one annotator's queue and return its id."""
        project = self._project(project_id)
        known = project.views.get(title)
        project.views[title] = ViewState(self._next_id("view") if known is None else known.id, field, word, order)
        return project.views[title].id

    @request
    def users(self) -> list[PlatformUser]:
        """Return everybody who has had a desk or made an annotation."""
        return [PlatformUser(number, name, self._active.get(name)) for name, number in self._users.items()]

    @request
    def assign(self, project_id: int, annotator: str, task_ids: Sequence[int]) -> None:
        """Assign tasks to an annotator; only as `enterprise`."""
        for task in self._assignable(project_id, annotator, task_ids):
            task.assignees.add(annotator)

    @request
    def unassign(self, project_id: int, annotator: str, task_ids: Sequence[int]) -> None:
        """Take assigned tasks back; only as `enterprise`."""
        for task in self._assignable(project_id, annotator, task_ids):
            task.assignees.discard(annotator)

    def _assignable(self, project_id: int, annotator: str, task_ids: Sequence[int]) -> list[TaskState]:
        project = self._project(project_id)
        if task_ids and not self.enterprise:
            raise PlatformRejected(
                "this platform has no assignment", remedy="Make it with `MemoryPlatform(enterprise=True)`."
            )
        if task_ids and annotator not in self._users:
            raise PlatformRejected(f"there is no user '{annotator}'", remedy=nearest(annotator, self._users))
        return [project.tasks[number] for number in task_ids if number in project.tasks]

    @request
    def webhooks(self, project_id: int) -> list[Webhook]:
        """Return the project's webhooks."""
        return list(self._project(project_id).webhooks.values())

    @request
    def ensure_webhook(self, project_id: int, url: str, headers: Mapping[str, str]) -> Webhook:
        """Register our webhook, or renew its headers."""
        project = self._project(project_id)
        number = project.webhooks[url].id if url in project.webhooks else self._next_id("webhook")
        project.webhooks[url] = Webhook(number, url, tuple(sorted(headers)))
        return project.webhooks[url]

    @request
    def backends(self, project_id: int) -> list[ConnectedBackend]:
        """Return the connected ML backends, all in `backend_state`."""
        return [replace(known, state=self.backend_state) for known in self._project(project_id).backends.values()]

    @request
    def ensure_backend(self, project_id: int, url: str, title: str, user: str, password: str) -> ConnectedBackend:
        """Connect our ML backend, or renew it."""
        project = self._project(project_id)
        number = project.backends[url].id if url in project.backends else self._next_id("backend")
        project.backends[url] = ConnectedBackend(number, url, title, self.backend_state)
        return project.backends[url]
