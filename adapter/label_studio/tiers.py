"""One project for each tier, seen as one: a `Platform` over a main project and its tier projects.

Separate projects are separate streams of tasks. They are no permissions: the free edition lets every user of the
organisation open every project.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from adapter.errors import PlatformNotFound
from adapter.ports import (
    Changes,
    ConnectedBackend,
    NewPrediction,
    NewTask,
    Platform,
    PlatformPrediction,
    PlatformProject,
    PlatformTask,
    PlatformUser,
    Webhook,
)
from adapter.vocabulary import JsonObject

T = TypeVar("T")
TierOf = Callable[[Sequence[str]], Mapping[str, str]]
"""Task keys to the tiers that they go to; those that go to none are left out."""


class TierGone(PlatformNotFound):
    """A tier's project was deleted in Label Studio: the next push makes a new one; what was pulled stays."""


class TieredPlatform:
    """A `Platform` on which calls about the main project mean the tier projects too; all other calls pass through.

    tiers: tier to Label Studio project. tier_of: asked for each import where new tasks go. homes: task to project, as
    far as known; it fills by itself. A tier project that is gone raises TierGone. Task and prediction ids are unique
    over projects, so only calls that name a project need to know where a task is.
    """

    def __init__(
        self,
        platform: Platform,
        main: int,
        tiers: Mapping[str, int],
        tier_of: TierOf,
        *,
        homes: dict[int, int] | None = None,
    ) -> None:
        self._platform = platform
        self._main = main
        self._tiers = dict(tiers)
        self._tier_of = tier_of
        self._homes = {} if homes is None else homes

    def __repr__(self) -> str:
        return f"TieredPlatform({self._platform!r}, {self._main}, {self._tiers})"

    @property
    def stands_on(self) -> tuple[Platform, int, dict[str, int]]:
        """The platform below, the main project and the tiers."""
        return self._platform, self._main, self._tiers

    @property
    def known_homes(self) -> dict[int, int]:
        """Task to project, as far as it was seen."""
        return self._homes

    def homes(self, task_ids: Iterable[int]) -> dict[int, int]:
        """Return task to project. What was not seen before is looked up: one listing of ids for each tier. A task that
        is in no tier counts as the main project's."""
        wanted = set(task_ids)
        if wanted - self._homes.keys():
            for number in self._tiers.values():
                self._learn(number, self._at(number, self._platform.task_ids))
            for task_id in wanted:
                self._homes.setdefault(task_id, self._main)  # ids are never given twice, so that stays true
        return {task_id: self._homes[task_id] for task_id in wanted}

    # The server and its projects

    def check(self) -> str:
        """Return the server's version."""
        return self._platform.check()

    def find_project(self, title: str) -> PlatformProject | None:
        """Return the project with exactly this title."""
        found = self._platform.find_project(title)
        return self.project(found.id) if found is not None and found.id == self._main else found

    def create_project(self, title: str, label_config: str) -> PlatformProject:
        """Create a project."""
        return self._platform.create_project(title, label_config)

    def project(self, project_id: int) -> PlatformProject:
        """Return the project's settings; of the main project with the tasks of all. Its model version is the one that
        is shown wherever there are predictions of it; empty where the projects differ, so that a switch is due."""
        there = self._platform.project(project_id)
        if project_id != self._main:
            return there
        tiers = [self._at(number, self._platform.project) for number in self._tiers.values()]
        return replace(
            there,
            model_version=self._shown([there, *tiers]),
            task_count=there.task_count + sum(tier.task_count for tier in tiers),
        )

    def _shown(self, projects: Sequence[PlatformProject]) -> str:
        shown = {one.model_version for one in projects if one.model_version}
        if len(shown) != 1:
            return ""
        (version,) = shown
        for one in projects:  # a project that shows nothing is right only while it has nothing to show
            empty = one.model_version or not one.task_count
            if not empty and self._at(one.id, self._platform.prediction_versions).get(version):
                return ""
        return version

    def configure(self, project_id: int, **settings: Any) -> None:
        """Change settings, of the main project in all. A model version is shown where it has predictions; the other
        projects show none, since Label Studio refuses a version without predictions."""
        if project_id != self._main or "model_version" not in settings:
            self._everywhere(project_id, lambda number: self._platform.configure(number, **settings))
            return
        version = settings["model_version"]
        held = {
            number for number in self._projects if self._at(number, self._platform.prediction_versions).get(version)
        }
        for number in self._projects:
            mine = {**settings, "model_version": version if number in held or not held else ""}
            self._at(number, partial(self._platform.configure, **mine))

    # Tasks

    def import_tasks(self, project_id: int, tasks: Sequence[NewTask]) -> dict[str, int]:
        """Create tasks, each in the project of its tier. Ids ascend in the given order within each project."""
        if project_id != self._main or not tasks:
            return self._platform.import_tasks(project_id, tasks)
        tiers = self._tier_of([task.key for task in tasks])
        split: dict[int, list[NewTask]] = defaultdict(list)
        for task in tasks:
            split[self._tiers.get(tiers.get(task.key, ""), self._main)].append(task)
        placed: dict[str, int] = {}
        for number in (n for n in self._projects if n in split):
            made = self._at(number, lambda at: self._platform.import_tasks(at, split[at]))
            self._learn(number, made.values())
            placed |= made
        return {task.key: placed[task.key] for task in tasks}

    def find_tasks(self, project_id: int, keys: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Return the platform ids (ascending) of the tasks that carry these keys, in whichever of the projects."""
        if project_id != self._main:
            return self._platform.find_tasks(project_id, keys)
        found: dict[str, list[int]] = defaultdict(list)
        for number in self._projects:
            for key, places in self._at(number, lambda at: self._platform.find_tasks(at, keys)).items():
                self._learn(number, places)
                found[key] += places
        return {key: tuple(sorted(found[key])) for key in keys if key in found}

    def delete_tasks(self, project_id: int, task_ids: Sequence[int]) -> None:
        """Delete tasks with all that hangs on them."""
        self._by_home(project_id, task_ids, self._platform.delete_tasks)

    def task_ids(self, project_id: int) -> frozenset[int]:
        """Return the ids of all tasks."""
        if project_id != self._main:
            return self._platform.task_ids(project_id)
        found: set[int] = set()
        for number in self._projects:
            there = self._at(number, self._platform.task_ids)
            self._learn(number, there)
            found |= there
        return frozenset(found)

    def tasks(self, project_id: int) -> Iterator[PlatformTask]:
        """Yield every task whole, in id order."""
        if project_id != self._main:
            return self._platform.tasks(project_id)
        return heapq.merge(*(self._listed(number) for number in self._projects), key=lambda task: task.id)

    def _listed(self, number: int) -> Iterator[PlatformTask]:
        try:
            for task in self._platform.tasks(number):
                self._learn(number, (task.id,))
                yield task
        except PlatformNotFound as error:
            raise self._gone(number, error) from error

    def changes(self, project_id: int, mark: str | None) -> Changes:
        """Return what changed in any of the projects since `mark`, which keeps a mark for each. A mark from before
        there were tiers is the main project's."""
        if project_id != self._main:
            return self._platform.changes(project_id, mark)
        before = read_marks(mark, self._main)
        tasks: list[PlatformTask] = []
        reached: dict[str, str] = {}
        for number in self._projects:
            found = self._at(number, lambda at: self._platform.changes(at, before.get(at)))
            self._learn(number, (task.id for task in found.tasks))
            tasks += found.tasks
            reached[str(number)] = found.mark
        return Changes(tuple(tasks), json.dumps(reached, sort_keys=True))

    def update_task_data(self, task_id: int, data: JsonObject) -> None:
        """Merge these fields into a task's data."""
        self._platform.update_task_data(task_id, data)

    def update_tasks(self, project_id: int, data: Mapping[int, Mapping[str, str]]) -> None:
        """Merge text fields into the data of many tasks."""
        self._by_home(
            project_id,
            list(data),
            lambda number, ids: self._platform.update_tasks(number, {task_id: data[task_id] for task_id in ids}),
        )

    def set_overlap(self, task_id: int, overlap: int) -> None:
        """Ask this many people for one task."""
        self._platform.set_overlap(task_id, overlap)

    # Predictions

    def import_predictions(self, project_id: int, predictions: Sequence[NewPrediction]) -> int:
        """Store pre-labels where their tasks are; return how many the server created."""
        if project_id != self._main or not predictions:
            return self._platform.import_predictions(project_id, predictions)
        homes = self.homes(one.task_id for one in predictions)
        split: dict[int, list[NewPrediction]] = defaultdict(list)
        for one in predictions:
            split[homes[one.task_id]].append(one)
        send = self._platform.import_predictions
        return sum(self._at(number, lambda at: send(at, split[at])) for number in self._projects if number in split)

    def prediction_versions(self, project_id: int) -> dict[str, int]:
        """Return model version to number of stored predictions, in all projects."""
        total: Counter[str] = Counter()
        for counts in self._everywhere(project_id, self._platform.prediction_versions):
            total.update(counts)
        return dict(total)

    def predictions(self, project_id: int, task_ids: Sequence[int] = ()) -> list[PlatformPrediction]:
        """Return stored predictions, of these tasks only when given; by task, oldest first."""
        if project_id != self._main or not task_ids:
            found = self._everywhere(project_id, self._platform.predictions)
        else:
            found = self._by_home(project_id, task_ids, self._platform.predictions)
        return sorted((one for some in found for one in some), key=lambda one: (one.task_id, one.id))

    def delete_predictions(self, prediction_ids: Sequence[int]) -> None:
        """Delete stored predictions."""
        self._platform.delete_predictions(prediction_ids)

    def set_prediction_score(self, prediction_id: int, score: float) -> None:
        """Change one prediction's score."""
        self._platform.set_prediction_score(prediction_id, score)

    # People, views, webhooks, backends

    def ensure_view(self, project_id: int, title: str, field: str, label: str) -> int:
        """Make, or find, a view of the tasks that have this field in every project; return the main project's."""
        return self._everywhere(project_id, lambda at: self._platform.ensure_view(at, title, field, label))[0]

    def ensure_queue(self, project_id: int, title: str, field: str, word: str, order: str) -> int:
        """Make, or renew, an annotator's view in this one project: each project has queues of its own."""
        return self._platform.ensure_queue(project_id, title, field, word, order)

    def users(self) -> list[PlatformUser]:
        """Return the users whom the token may see."""
        return self._platform.users()

    def assign(self, project_id: int, annotator: str, task_ids: Sequence[int]) -> None:
        """Assign tasks to an annotator."""
        self._by_home(project_id, task_ids, lambda number, ids: self._platform.assign(number, annotator, ids))

    def unassign(self, project_id: int, annotator: str, task_ids: Sequence[int]) -> None:
        """Take assigned tasks back."""
        self._by_home(project_id, task_ids, lambda number, ids: self._platform.unassign(number, annotator, ids))

    def webhooks(self, project_id: int) -> list[Webhook]:
        """Return the main project's webhooks, as far as they stand in every tier's too."""
        first, *others = self._everywhere(project_id, self._platform.webhooks)
        stand = [{hook.url: hook.active for hook in hooks} for hooks in others]
        return [
            replace(hook, active=hook.active and all(there[hook.url] for there in stand))
            for hook in first
            if all(hook.url in there for there in stand)
        ]

    def ensure_webhook(self, project_id: int, url: str, headers: Mapping[str, str]) -> Webhook:
        """Register our webhook everywhere, or renew its headers."""
        return self._everywhere(project_id, lambda at: self._platform.ensure_webhook(at, url, headers))[0]

    def backends(self, project_id: int) -> list[ConnectedBackend]:
        """Return the main project's ML backends, as far as they are connected to every tier's too; the worst state
        counts."""
        first, *others = self._everywhere(project_id, self._platform.backends)
        stand = [{one.url: one.state for one in connected} for connected in others]
        return [
            replace(one, state=next((s for s in (one.state, *(t[one.url] for t in stand)) if s != "CO"), one.state))
            for one in first
            if all(one.url in there for there in stand)
        ]

    def ensure_backend(self, project_id: int, url: str, title: str, user: str, password: str) -> ConnectedBackend:
        """Connect our ML backend to every project, or renew it."""
        connect = self._platform.ensure_backend
        return self._everywhere(project_id, lambda at: connect(at, url, title, user, password))[0]

    # Which projects

    @property
    def _projects(self) -> tuple[int, ...]:
        return (self._main, *self._tiers.values())

    def _learn(self, number: int, task_ids: Iterable[int]) -> None:
        self._homes.update(dict.fromkeys(task_ids, number))

    def _everywhere(self, project_id: int, call: Callable[[int], T]) -> list[T]:
        """Call for the main project and then every tier's, or for the one project that is no main project."""
        if project_id != self._main:
            return [call(project_id)]
        return [self._at(number, call) for number in self._projects]

    def _by_home(self, project_id: int, task_ids: Collection[int], call: Callable[[int, list[int]], T]) -> list[T]:
        """Call for each project with those of the tasks that it holds."""
        if project_id != self._main or not task_ids:
            return [call(project_id, list(task_ids))]
        homes = self.homes(task_ids)
        split: dict[int, list[int]] = defaultdict(list)
        for task_id in task_ids:
            split[homes[task_id]].append(task_id)
        return [self._at(number, lambda at: call(at, split[at])) for number in self._projects if number in split]

    def _at(self, number: int, call: Callable[[int], T]) -> T:
        try:
            return call(number)
        except PlatformNotFound as error:
            raise self._gone(number, error) from error

    def _gone(self, number: int, error: PlatformNotFound) -> PlatformNotFound:
        """Say which tier's project is gone, if it is one that is."""
        tier = next((name for name, known in self._tiers.items() if known == number), None)
        if tier is None:
            return error
        return TierGone(
            f"the Label Studio project {number} of tier '{tier}' is gone, or part of it: {error.what}",
            remedy="The next `hitl push` makes a new one; what was pulled stays.",
        )


def read_marks(mark: str | None, main: int) -> dict[int, str]:
    """Return project to mark; a mark that no tiered platform wrote is the main project's."""
    if mark is None:
        return {}
    try:
        read = json.loads(mark)
        if isinstance(read, dict) and all(isinstance(text, str) for text in read.values()):
            return {int(number): text for number, text in read.items()}
    except ValueError:
        pass
    return {main: mark}
