"""Who is shown what in Label Studio: personal views on the free edition, assignments on Enterprise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapter.errors import PlatformError, PlatformNotFound, PlatformRefused, PlatformRejected, PlatformUnreachable
from adapter.label_studio import parse
from adapter.label_studio.client import Client
from adapter.label_studio.listing import condition
from adapter.ports import Platform
from adapter.vocabulary import ASSIGNEE_FIELD, PRIORITY_FIELD, TASK_KEY_FIELD, JsonObject

AT_ONCE = 1000
"""Tasks in one bulk request."""


def names_field(names: Sequence[str]) -> str:
    """Return the text of the field hitl_for: names between semicolons, empty for nobody in particular."""
    return f";{';'.join(sorted(dict.fromkeys(names)))};" if names else ""


class Views:
    """An `Assigner` for every edition: the task field hitl_for names who should label a task, and each annotator has a
    Data Manager view that filters on it, in order of priority.

    Soft: views are shared, so anybody can open any of them, and the project's own label stream serves everything.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def seat(self, project_id: int, people: Sequence[str]) -> dict[str, str]:
        """Give each of these people a view; return its page. A view that was changed by hand is put right."""
        places = {}
        for name in people:
            view = self._platform.ensure_queue(
                project_id, f"For {name}", ASSIGNEE_FIELD, names_field([name]), PRIORITY_FIELD
            )
            places[name] = f"/projects/{project_id}/data?tab={view}"
        return places

    def show(self, project_id: int, now: Mapping[int, Sequence[str]], before: Mapping[int, Sequence[str]]) -> None:
        """Write the names into the tasks; those that share a text share a request."""
        self._platform.update_tasks(project_id, {task: {ASSIGNEE_FIELD: names_field(n)} for task, n in now.items()})


class Assignments:
    """An `Assigner` for Label Studio Enterprise: its own assignment. Hard: people see their tasks and no others."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def seat(self, project_id: int, people: Sequence[str]) -> dict[str, str]:
        """Return the project's page: Enterprise shows everybody their own tasks there."""
        return {name: f"/projects/{project_id}/data" for name in people}

    def show(self, project_id: int, now: Mapping[int, Sequence[str]], before: Mapping[int, Sequence[str]]) -> None:
        """Assign to those who are new, then take from those who are no longer named, so no task is ever nobody's."""
        added: dict[str, list[int]] = defaultdict(list)
        dropped: dict[str, list[int]] = defaultdict(list)
        for task, names in now.items():
            for name in names:
                added[name].append(task)
            for name in before.get(task, ()):
                if name not in names:
                    dropped[name].append(task)
        for name in sorted(added):
            self._platform.assign(project_id, name, sorted(added[name]))
        for name in sorted(dropped):
            self._platform.unassign(project_id, name, sorted(dropped[name]))


def update_tasks(
    client: Client,
    project_id: int,
    data: Mapping[int, Mapping[str, str]],
    *,
    one_by_one: Callable[[int, JsonObject], None],
) -> None:
    """Merge text fields into tasks' data by the Data Manager's bulk action: 1,000 tasks in about half a second, where
    two requests a task take minutes. one_by_one: what to do where a server has not this action."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for task_id, fields in data.items():
        for field, text in fields.items():
            groups[field, text].append(task_id)
    for (field, text), ids in sorted(groups.items()):
        for start in range(0, len(ids), AT_ONCE):
            chunk = sorted(ids)[start : start + AT_ONCE]
            assert chunk  # with an empty list the server would take every task of the project
            body = {
                "selectedItems": {"all": False, "included": chunk},
                "value_name": field,
                "value_type": "String",
                "value": text,
            }
            try:
                client.post("/api/dm/actions/", body, {"id": "add_data_field", "project": project_id})
            except (PlatformRejected, PlatformRefused, PlatformNotFound, PlatformUnreachable) as error:
                if not _is_answer(error):
                    raise
                client.get(f"/api/projects/{project_id}/", {"include": "id"})  # raises if the project is gone
                for task_id in chunk:
                    _passing_over_gone(one_by_one, task_id, {field: text})


def _is_answer(error: PlatformError) -> bool:
    """Whether the server answered that it cannot; a connection that broke is no answer."""
    return not isinstance(error, PlatformUnreachable) or "answers 5" in error.what


def _passing_over_gone(change: Callable[[int, JsonObject], None], task_id: int, data: JsonObject) -> None:
    try:
        change(task_id, data)
    except PlatformNotFound:
        return


_HIDDEN = tuple(
    f"tasks:{name}"
    for name in (
        *("total_predictions", "cancelled_annotations", "annotations_results", "annotations_ids", "annotators"),
        *("avg_lead_time", "draft_exists", "file_upload", "ground_truth", "inner_id", "completed_at", "updated_at"),
        *("predictions_score", "predictions_model_versions", "predictions_results", "created_at", "updated_by"),
        *("storage_filename", f"data.{TASK_KEY_FIELD}", f"data.{ASSIGNEE_FIELD}"),
    )
)
"""Columns that a person who labels has no use for, some of which would give away what a model thinks."""


def ensure_queue(
    client: Client, project_id: int, title: str, field: str, word: str, order: str, *, views: Sequence[Any]
) -> int:
    """Make the view with this title, or put it right; return its id. The order is numeric only because the view says
    that the column holds numbers."""
    column = f"tasks:data.{order}"
    data = {
        "title": title,
        "type": "list",
        "target": "tasks",
        "filters": {"conjunction": "and", "items": [condition(f"data.{field}", "contains", "String", word)]},
        "ordering": [column],
        "columnsDisplayType": {column: "Number"},
        "hiddenColumns": {"explore": list(_HIDDEN), "labeling": list(_HIDDEN)},
    }
    for raw in views:
        view = parse.mapping(raw, "a view")
        there = parse.mapping(view.get("data"), "a view's data")
        if there.get("title") == title:
            number = parse.integer(view, "id")
            if any(there.get(name) != data[name] for name in ("filters", "ordering", "columnsDisplayType")):
                client.patch(f"/api/dm/views/{number}/", {"project": project_id, "data": {**there, **data}})
            return number
    made = client.post("/api/dm/views/", {"project": project_id, "data": data})
    return parse.integer(parse.mapping(made, "a view"), "id")


def assign(client: Client, project_id: int, user_id: int, task_ids: Sequence[int]) -> None:
    """Assign tasks to a user, as `projects.assignments.bulk_assign` of Label Studio's SDK does."""
    for start in range(0, len(task_ids), AT_ONCE):
        included = list(task_ids[start : start + AT_ONCE])
        assert included
        body = {"users": [user_id], "selectedItems": {"all": False, "included": included}, "type": "AN"}
        try:
            client.post(f"/api/projects/{project_id}/tasks/assignees", body)
        except PlatformNotFound as error:
            raise _no_assignment() from error


def unassign(client: Client, project_id: int, user_id: int, task_ids: Sequence[int]) -> None:
    """Take tasks from a user, as `projects.assignments.delete` of Label Studio's SDK does."""
    for task_id in task_ids:
        path = f"/api/projects/{project_id}/tasks/{task_id}/assignees"
        try:
            client.request("DELETE", path, params={"type": "AN", "users": str(user_id)})
        except PlatformNotFound:
            continue  # the task is gone, or was not theirs


def _no_assignment() -> PlatformRejected:
    return PlatformRejected(
        "this Label Studio has no assignment: it is a feature of Label Studio Enterprise",
        remedy="Set `routing.way` to `views`: every annotator gets a view of their own.",
    )
