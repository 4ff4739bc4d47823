"""Label Studio as a `Platform`. Built on the real behaviour of 1.23; each workaround says what it works around."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from adapter.errors import PlatformRejected, nearest
from adapter.label_studio import assign, imports, parse
from adapter.label_studio.client import Client, server_time
from adapter.label_studio.label_config import marks_regions
from adapter.label_studio.listing import chunks_of_values, condition, pages
from adapter.label_studio.mark import Mark, advance
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
from adapter.vocabulary import TASK_KEY_FIELD, JsonObject

WHOLE_PAGE = 1000
ID_PAGE = 5000
DELETE_AT_ONCE = 1000
SEQUENTIAL = "Sequential sampling"
_SETTINGS = {
    "label_config": "label_config",
    "sampling": "sampling",
    "model_version": "model_version",
    "maximum_annotations": "maximum_annotations",
    "show_prelabels": "show_collab_predictions",
}


class LabelStudioPlatform:
    """A Label Studio server, asked with one user's token (see `ports.Platform`). timeout_s: of one request.

    Cheap to make: connects at the first call. transport is for tests.
    """

    def __init__(
        self, url: str, token: str, timeout_s: float = 60.0, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._client = Client(url, token, timeout_s=timeout_s, transport=transport)

    def __repr__(self) -> str:
        return f"LabelStudioPlatform({self._client.url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # The server and its projects

    def check(self) -> str:
        """Return the server's version; the token is tried as well."""
        self._client.get("/api/current-user/whoami")
        version = self._client.get("/api/version")
        return str(parse.mapping(version, "the version").get("release") or "unknown")

    def find_project(self, title: str) -> PlatformProject | None:
        """Return the project with exactly this title; the oldest if there are several."""
        found: list[JsonObject] = []
        page, seen, total = 1, 0, 1
        while seen < total:  # a page past the end would be a 404
            params = {"title": title, "include": parse.PROJECT_FIELDS, "page": page, "page_size": 100, "ordering": "id"}
            answer = parse.mapping(self._client.get("/api/projects/", params), "a page of projects")
            rows = [parse.mapping(raw, "a project") for raw in parse.items(answer.get("results"))]
            if not rows:
                break
            found += [row for row in rows if row.get("title") == title]  # the server's filter is "contains"
            seen, total, page = seen + len(rows), int(answer.get("count") or 0), page + 1
        return self.project(min(parse.integer(row, "id") for row in found)) if found else None

    def create_project(self, title: str, label_config: str) -> PlatformProject:
        """Create a project that serves tasks in id order and shows pre-labels."""
        body = {
            "title": title,
            "label_config": label_config,
            "sampling": SEQUENTIAL,
            "show_collab_predictions": True,
            "maximum_annotations": 1,
        }
        return self.project(parse.integer(parse.mapping(self._client.post("/api/projects/", body), "a project"), "id"))

    def project(self, project_id: int) -> PlatformProject:
        """Return the project's settings now."""
        return parse.project(self._client.get(f"/api/projects/{project_id}/", {"include": parse.PROJECT_FIELDS}))

    def configure(self, project_id: int, **settings: Any) -> None:
        """Change settings. A model version must have predictions there, or be empty, else PlatformRejected."""
        unknown = sorted(set(settings) - set(_SETTINGS))
        if unknown:
            raise PlatformRejected(
                f"a project has no setting {unknown[0]!r}", remedy=f"Valid: {', '.join(sorted(_SETTINGS))}."
            )
        body = {_SETTINGS[name]: value for name, value in settings.items()}
        if body:
            self._client.patch(f"/api/projects/{project_id}/", body)

    # Tasks

    def import_tasks(self, project_id: int, tasks: Sequence[NewTask]) -> dict[str, int]:
        """Create tasks in this order; one per key, ids ascend, whatever happens to the connection."""
        if not tasks:
            return {}
        placed = imports.send_tasks(
            self._client,
            project_id,
            tasks,
            find=lambda keys: self.find_tasks(project_id, keys),
            delete=lambda ids: self.delete_tasks(project_id, ids),
        )
        # An import gives every task the project's own overlap, whatever it is told.
        given = self.project(project_id).maximum_annotations
        for task in tasks:
            if task.overlap != given:
                self.set_overlap(placed[task.key], task.overlap)
        return placed

    def find_tasks(self, project_id: int, keys: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Return the platform ids (ascending) of the tasks that carry these keys."""
        found: dict[str, list[int]] = {}
        for chunk in chunks_of_values(list(dict.fromkeys(keys))):
            wanted = set(chunk)
            carries = condition(f"data.{TASK_KEY_FIELD}", "in_list", "List", chunk)
            for page in pages(self._client, project_id, "id,data", [carries], page_size=ID_PAGE):
                for item in page:
                    key = parse.mapping(item.get("data"), "a task's data").get(TASK_KEY_FIELD)
                    if isinstance(key, str) and key in wanted:
                        found.setdefault(key, []).append(parse.integer(item, "id"))
        return {key: tuple(sorted(found[key])) for key in keys if key in found}

    def delete_tasks(self, project_id: int, task_ids: Sequence[int]) -> None:
        """Delete tasks with all that hangs on them."""
        ids = sorted(set(task_ids))
        for start in range(0, len(ids), DELETE_AT_ONCE):
            chunk = ids[start : start + DELETE_AT_ONCE]
            assert chunk  # with an empty list the server would take every task of the project
            body = {"selectedItems": {"all": False, "included": chunk}}
            self._client.post("/api/dm/actions/", body, {"id": "delete_tasks", "project": project_id})

    def task_ids(self, project_id: int) -> frozenset[int]:
        """Return the ids of all tasks of the project."""
        return frozenset(
            parse.integer(item, "id")
            for page in pages(self._client, project_id, "id", page_size=ID_PAGE)
            for item in page
        )

    def tasks(self, project_id: int) -> Iterator[PlatformTask]:
        """Yield every task whole, in id order."""
        for page in pages(self._client, project_id, parse.TASK_FIELDS, page_size=WHOLE_PAGE, whole=True):
            yield from map(parse.task, page)

    def changes(self, project_id: int, mark: str | None) -> Changes:
        """Return what changed since `mark`; one request per 1,000 changed tasks."""
        previous = Mark.read(mark)
        conditions = []
        if previous is not None:
            since = previous.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            conditions = [condition("updated_at", "greater", "Datetime", since)]
        began: list[float | None] = []
        changed: list[PlatformTask] = []
        for page in pages(
            self._client,
            project_id,
            parse.TASK_FIELDS,
            conditions,
            page_size=WHOLE_PAGE,
            whole=True,
            each=lambda answer: began.append(_asked_at(answer)),
        ):
            changed.extend(map(parse.task, page))
        newest = max((_reliable(task.updated_at, began[0]) for task in changed), default=None)
        reached = advance(previous, newest, began[0])
        return Changes(tuple(changed), str(reached) if reached is not None else "")

    def update_task_data(self, task_id: int, data: JsonObject) -> None:
        """Merge these fields into a task's data."""
        # Reading by GET would make the server ask its ML backend for a prediction; an empty PATCH only answers.
        path = f"/api/tasks/{task_id}/"
        there = parse.mapping(parse.mapping(self._client.patch(path, {}), "a task").get("data"), "a task's data")
        self._client.patch(path, {"data": {**there, **data}})

    def update_tasks(self, project_id: int, data: Mapping[int, Mapping[str, str]]) -> None:
        """Merge text fields into the data of many tasks; one request for each field, text and 1,000 tasks."""
        assign.update_tasks(self._client, project_id, data, one_by_one=self.update_task_data)

    def set_overlap(self, task_id: int, overlap: int) -> None:
        """Ask this many people for one task."""
        if overlap < 1:
            raise PlatformRejected(
                f"an overlap of {overlap} asks nobody", where=f"task {task_id}", remedy="Use 1 or more."
            )
        path = f"/api/tasks/{task_id}/"
        there = parse.mapping(self._client.patch(path, {"overlap": overlap}), "a task")
        # A task that was done stays done, and is served to nobody, until this flag is set as well.
        done = int(there.get("total_annotations") or 0) >= overlap
        if there.get("is_labeled") is not done:
            self._client.patch(path, {"is_labeled": done})

    # Predictions

    def import_predictions(self, project_id: int, predictions: Sequence[NewPrediction]) -> int:
        """Validate against the project's label config, store in bulk, return how many the server created."""
        if not predictions:
            return 0
        imports.require_valid(self.project(project_id).label_config, predictions)
        return imports.send_predictions(
            self._client,
            project_id,
            predictions,
            find=lambda ids: self.predictions(project_id, ids),
            delete=self.delete_predictions,
        )

    def prediction_versions(self, project_id: int) -> dict[str, int]:
        """Return model version to number of stored predictions."""
        counts = parse.mapping(self._client.get(f"/api/projects/{project_id}/model-versions/"), "the model versions")
        return {str(version): int(count) for version, count in counts.items()}

    def predictions(self, project_id: int, task_ids: Sequence[int] = ()) -> list[PlatformPrediction]:
        """Return stored predictions, of these tasks only when given; by task, oldest first."""
        chunks = [[condition("id", "in_list", "List", ids)] for ids in chunks_of_values(sorted(set(task_ids)))] or [[]]
        found = [
            prediction
            for conditions in chunks
            for page in pages(self._client, project_id, "id,predictions", conditions, page_size=WHOLE_PAGE, whole=True)
            for item in page
            for prediction in parse.predictions(item)
        ]
        return sorted(found, key=lambda prediction: (prediction.task_id, prediction.id))

    def delete_predictions(self, prediction_ids: Sequence[int]) -> None:
        """Delete stored predictions; those that are gone already count as deleted."""
        for number in prediction_ids:
            self._client.delete(f"/api/predictions/{number}/")

    def set_prediction_score(self, prediction_id: int, score: float) -> None:
        """Change one prediction's score."""
        if not (math.isfinite(score) and 0.0 <= score <= 1.0):
            raise PlatformRejected(f"the score {score} is not in 0..1", where=f"prediction {prediction_id}")
        self._client.patch(f"/api/predictions/{prediction_id}/", {"score": score})

    # Views, webhooks, backends

    def ensure_view(self, project_id: int, title: str, field: str, label: str) -> int:
        """Make, or find, a view with the tasks whose data `field` is not empty, greatest first; return its id.

        The order is that of text, which is right for our fields (a score of fixed width comes first) and which every
        database can do; a numeric order fails on text in PostgreSQL. `label` is kept with the view; the server itself
        names columns after their fields.
        """
        column = f"tasks:data.{field}"
        data = {
            "title": title,
            "type": "list",
            "target": "tasks",
            "filters": {"conjunction": "and", "items": [condition(f"data.{field}", "regex", "String", ".+")]},
            "ordering": [f"-{column}"],
            "columnsDisplayType": {column: "String"},
            "columnsTitle": {column: label},
            "hiddenColumns": {"explore": [], "labeling": []},
        }
        for raw in self._of_project("/api/dm/views/", project_id):
            view = parse.mapping(raw, "a view")
            if parse.mapping(view.get("data"), "a view's data").get("title") == title:
                return parse.integer(view, "id")
        made = self._client.post("/api/dm/views/", {"project": project_id, "data": data})
        return parse.integer(parse.mapping(made, "a view"), "id")

    def ensure_queue(self, project_id: int, title: str, field: str, word: str, order: str) -> int:
        """Make, or renew, the view of one annotator's queue; return its id."""
        return assign.ensure_queue(
            self._client, project_id, title, field, word, order, views=self._of_project("/api/dm/views/", project_id)
        )

    def users(self) -> list[PlatformUser]:
        """Return the users of the organisation."""
        return [parse.user(raw) for raw in parse.items(self._client.get("/api/users/"))]

    def assign(self, project_id: int, annotator: str, task_ids: Sequence[int]) -> None:
        """Assign tasks to an annotator: Label Studio Enterprise only."""
        if task_ids:
            assign.assign(self._client, project_id, self._user_id(project_id, annotator), task_ids)

    def unassign(self, project_id: int, annotator: str, task_ids: Sequence[int]) -> None:
        """Take assigned tasks back: Label Studio Enterprise only."""
        if task_ids:
            assign.unassign(self._client, project_id, self._user_id(project_id, annotator), task_ids)

    def _user_id(self, project_id: int, annotator: str) -> int:
        self.project(project_id)  # so that a 404 to come means that there is no assignment, not that it is gone
        known = {user.name: user.id for user in self.users()}
        if annotator not in known:
            raise PlatformRejected(
                f"Label Studio has no user '{annotator}'",
                remedy=f"{nearest(annotator, known)} Invite them, or mend `routing` in the settings.".strip(),
            )
        return known[annotator]

    def webhooks(self, project_id: int) -> list[Webhook]:
        """Return the project's webhooks."""
        return [parse.webhook(raw) for raw in self._of_project("/api/webhooks/", project_id)]

    def ensure_webhook(self, project_id: int, url: str, headers: Mapping[str, str]) -> Webhook:
        """Register our webhook, or renew its headers; surplus ones with the same url are deleted."""
        same = sorted((hook for hook in self.webhooks(project_id) if _same(hook.url, url)), key=lambda hook: hook.id)
        body: dict[str, Any] = {
            "url": url,
            "headers": dict(headers),
            "send_payload": True,
            "send_for_all_actions": True,
            "is_active": True,
        }
        for hook in same[1:]:
            self._client.delete(f"/api/webhooks/{hook.id}/")
        if same:
            return parse.webhook(self._client.patch(f"/api/webhooks/{same[0].id}/", body))
        return parse.webhook(self._client.post("/api/webhooks/", {**body, "project": project_id}))

    def backends(self, project_id: int) -> list[ConnectedBackend]:
        """Return the connected ML backends; the server asks each one how it is."""
        return [parse.backend(raw) for raw in self._of_project("/api/ml/", project_id)]

    def ensure_backend(self, project_id: int, url: str, title: str, user: str, password: str) -> ConnectedBackend:
        """Connect our ML backend with Basic auth, or renew it. Raises PlatformRejected when it does not answer."""
        there = self.project(project_id)
        before = there.model_version
        body: dict[str, Any] = {
            "url": url,
            "project": project_id,
            "title": title,
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": user,
            "basic_auth_pass": password,
            # Its page offers to ask while a person draws; off until the person turns it on.
            "is_interactive": marks_regions(there.label_config),
        }
        mine = sorted((one for one in self.backends(project_id) if _same(one.url, url)), key=lambda one: one.id)
        for one in mine[1:]:
            self._client.delete(f"/api/ml/{one.id}")
        path = f"/api/ml/{mine[0].id}" if mine else "/api/ml/"
        made = self._client.patch(path, body) if mine else self._client.post(path, body)
        # The server has put the backend's title there if it was empty: stored predictions would no longer be shown.
        if self.project(project_id).model_version != before:
            self.configure(project_id, model_version=before)
        # It has also added a webhook without our secret, unless ours stands already.
        for hook in self.webhooks(project_id):
            if _same(hook.url, url.rstrip("/") + "/webhook") and not hook.header_names:
                self._client.delete(f"/api/webhooks/{hook.id}/")
        return parse.backend(made)

    def _of_project(self, path: str, project_id: int) -> list[Any]:
        """Return what hangs on a project. Some of these lists answer 400 when the project is gone."""
        try:
            return parse.items(self._client.get(path, {"project": project_id}))
        except PlatformRejected:
            self.project(project_id)
            raise


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


def _asked_at(answer: httpx.Response) -> float | None:
    """Return the Date header's time at which the request was sent."""
    said = server_time(answer)
    return None if said is None else said - answer.elapsed.total_seconds()


def _reliable(updated_at: datetime, header: float | None) -> datetime:
    """Return a task's time, unless it lies far in the future (a clock was set back): that would hide later changes."""
    if header is None:
        return updated_at
    return min(updated_at, datetime.fromtimestamp(header + 300.0, UTC))
