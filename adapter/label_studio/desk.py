"""One annotator's seat at Label Studio: what the labeling page asks of the server, asked the same way."""

from __future__ import annotations

from collections.abc import Sequence

from adapter.errors import PlatformNotFound
from adapter.label_studio import parse
from adapter.label_studio.client import Client
from adapter.ports import Assignment
from adapter.vocabulary import JsonObject

EMPTY_QUEUE = "There are no tasks"


class LabelStudioDesk:
    """The seat of the user whose token this is, at one project. annotator: that user's e-mail.

    view: serve by that Data Manager view's filter and order ("Label tasks as displayed"), not the project's own order.
    """

    def __init__(
        self, url: str, token: str, project_id: int, *, view: int | None = None, timeout_s: float = 60.0
    ) -> None:
        self._client = Client(url, token, timeout_s=timeout_s)
        self._project_id = project_id
        self._view = view
        self._shown: dict[int, int] = {}
        who = parse.mapping(self._client.get("/api/current-user/whoami"), "the user")
        self.annotator = str(who.get("email") or f"user:{who.get('id')}")

    def __repr__(self) -> str:
        return f"LabelStudioDesk({self.annotator!r}, project={self._project_id})"

    def close(self) -> None:
        """Close the connections. The task served last stays locked to this annotator until its lock expires."""
        self._client.close()

    def next_task(self) -> Assignment | None:
        """Return the task that is served next, again until it is submitted or skipped. None: the queue is empty."""
        try:
            if self._view is None:
                raw = self._client.get(f"/api/projects/{self._project_id}/next/")
            else:
                params = {"id": "next_task", "project": self._project_id, "view": self._view}
                raw = self._client.post("/api/dm/actions/", {}, params)
        except PlatformNotFound as error:
            if EMPTY_QUEUE in error.what:
                return None
            raise
        item = parse.mapping(raw, "a task")
        task_id = parse.integer(item, "id")
        offered = parse.predictions(item)
        # The page makes an annotation of the first prediction that comes along; the person corrects or accepts it.
        shown = offered[0] if offered else None
        self._shown.pop(task_id, None)
        if shown is not None:
            self._shown[task_id] = shown.id
        return Assignment(
            task_id=task_id,
            data=parse.mapping(item.get("data"), "a task's data"),
            prelabel=shown.result if shown is not None else (),
            prelabel_version=shown.model_version if shown is not None else None,
        )

    def submit(self, task_id: int, result: Sequence[JsonObject], lead_time: float) -> int:
        """Submit an annotation; return its id."""
        return self._annotate(task_id, result, lead_time, skipped=False)

    def skip(self, task_id: int, lead_time: float) -> int:
        """Skip the task; return the id of the cancelled annotation."""
        return self._annotate(task_id, (), lead_time, skipped=True)

    def _annotate(self, task_id: int, result: Sequence[JsonObject], lead_time: float, *, skipped: bool) -> int:
        body = {
            "result": [dict(item) for item in result],
            "lead_time": lead_time,
            "was_cancelled": skipped,
            "parent_prediction": self._shown.pop(task_id, None),
        }
        made = self._client.post(f"/api/tasks/{task_id}/annotations/", body, {"project": self._project_id})
        return parse.integer(parse.mapping(made, "an annotation"), "id")
