"""How people are told which tasks are theirs: views and assignments over the fake, and what goes over the wire."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from adapter.errors import PlatformNotFound, PlatformRejected, PlatformUnreachable
from adapter.label_studio.assign import Assignments, Views, names_field
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.ports import Assigner, NewTask
from adapter.testing import MemoryPlatform
from adapter.vocabulary import ASSIGNEE_FIELD

CONFIG = """<View><Text name="text" value="$text"/>
<Choices name="label" toName="text"><Choice value="spam"/><Choice value="ham"/></Choices></View>"""
USERS = [
    {"id": 7, "email": "ann@x.org", "last_activity": "2026-01-02T03:04:05.000Z"},
    {"id": 8, "email": "bob@x.org"},
]


def test_names_stand_between_semicolons_once_each_and_sorted() -> None:
    assert names_field([]) == ""
    assert names_field(["bob", "ann", "bob"]) == ";ann;bob;"


class Hall:
    """A project with four tasks at a fake platform, and who is served what."""

    def __init__(self, way: str) -> None:
        self.memory = MemoryPlatform(enterprise=way == "enterprise")
        self.project = self.memory.create_project("p", CONFIG).id
        tasks = [NewTask(f"k{n}", {"text": "t", "hitl_priority": 9 - n}) for n in range(4)]
        self.ids = list(self.memory.import_tasks(self.project, tasks).values())
        self.assigner: Assigner = Assignments(self.memory) if way == "enterprise" else Views(self.memory)
        for name in ("ann", "bob"):
            self.memory.desk(self.project, name)
        self.places = self.assigner.seat(self.project, ["ann", "bob"])

    def served(self, name: str) -> set[int]:
        """What this person is served at their place, without answering it."""
        _, _, tab = self.places[name].partition("?tab=")
        shown = self.memory.view_tasks(self.project, int(tab)) if tab else self.memory.task_ids(self.project)
        return {i for i in shown if not self.memory.enterprise or name in self.memory.assignees(i)}


@pytest.fixture(params=["views", "enterprise"])
def hall(request: pytest.FixtureRequest) -> Hall:
    return Hall(request.param)


class TestEveryWay:
    def test_people_see_their_tasks_and_no_others(self, hall: Hall) -> None:
        a, b, c, _ = hall.ids
        hall.assigner.show(hall.project, {a: ["ann"], b: ["ann", "bob"], c: ["bob"]}, {})
        assert (hall.served("ann"), hall.served("bob")) == ({a, b}, {b, c})

    def test_tasks_change_hands_and_can_be_nobodys(self, hall: Hall) -> None:
        a, b, *_ = hall.ids
        before: dict[int, list[str]] = {a: ["ann"], b: ["ann"]}
        hall.assigner.show(hall.project, before, {})
        hall.assigner.show(hall.project, {a: ["bob"], b: []}, before)
        assert (hall.served("ann"), hall.served("bob")) == (set(), {a})

    def test_the_same_again_changes_nothing(self, hall: Hall) -> None:
        a, b, *_ = hall.ids
        now: dict[int, list[str]] = {a: ["ann"], b: ["bob"]}
        for before in ({}, {}, now):
            hall.assigner.show(hall.project, now, before)
        assert (hall.served("ann"), hall.served("bob")) == ({a}, {b})
        assert hall.assigner.seat(hall.project, ["ann", "bob"]) == hall.places

    def test_tasks_that_are_gone_are_passed_over(self, hall: Hall) -> None:
        a, b, *_ = hall.ids
        hall.memory.delete_tasks(hall.project, [a])
        hall.assigner.show(hall.project, {a: ["ann"], b: ["ann"]}, {})
        assert hall.served("ann") == {b}

    def test_places_are_paths_below_the_platforms_address(self, hall: Hall) -> None:
        assert set(hall.places) == {"ann", "bob"}
        assert all(path.startswith(f"/projects/{hall.project}/data") for path in hall.places.values())


def test_views_write_nothing_but_the_field_of_names() -> None:
    hall = Hall("views")
    hall.assigner.show(hall.project, {hall.ids[0]: ["ann"]}, {})
    task = next(iter(hall.memory.tasks(hall.project)))
    assert task.data == {"text": "t", "hitl_priority": 9, "hitl_id": "k0", ASSIGNEE_FIELD: ";ann;"}


@dataclass
class Server:
    """A small recording server that answers like Label Studio, Enterprise or not."""

    url: str = ""
    enterprise: bool = True
    broken_bulk: int = 0
    said: list[tuple[str, str, Any]] = field(default_factory=list)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if path == "/api/users/":
            return 200, USERS
        if path.startswith("/api/projects/5/tasks/"):
            if not self.enterprise:
                return 404, {"detail": "Not found."}
            if method == "DELETE" and path.endswith("/404/assignees"):
                return 404, {"detail": "No TaskAssignment matches the given query."}
            return (204, None) if method == "DELETE" else (200, {"assignments": 2})
        if path == "/api/projects/5/":
            return 200, {"id": 5}
        if path.startswith("/api/projects/"):
            return 404, {"detail": "No Project matches the given query."}
        if path == "/api/dm/actions/":
            return (self.broken_bulk, {"detail": "no"}) if self.broken_bulk else (200, {"detail": "Updated"})
        if path == "/api/tasks/404/":
            return 404, {"detail": "gone"}
        if path.startswith("/api/tasks/"):
            return 200, {"id": 1, "data": {"text": "t"}}
        return 500, {"detail": "unexpected"}


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw else None
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            if self.command != "GET":
                state.said.append((self.command, self.path, body))
            status, answer = state.answer(self.command, parts.path, query, body)
            content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = serve

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{http.server_address[1]}"
        yield state
        http.shutdown()
        thread.join()


@pytest.fixture
def platform(server: Server) -> Iterator[LabelStudioPlatform]:
    there = LabelStudioPlatform(server.url, "t" * 40)
    yield there
    there.close()


class TestEnterpriseOverTheWire:
    def test_tasks_are_assigned_in_bulk_a_thousand_at_a_time(
        self, server: Server, platform: LabelStudioPlatform
    ) -> None:
        platform.assign(5, "ann@x.org", range(1, 1502))
        paths = {(method, path) for method, path, _ in server.said}
        assert paths == {("POST", "/api/projects/5/tasks/assignees")}
        bodies = [body for _, _, body in server.said]
        assert [len(body["selectedItems"]["included"]) for body in bodies] == [1000, 501]
        assert all(body["users"] == [7] and body["type"] == "AN" for body in bodies)
        assert all(body["selectedItems"]["all"] is False for body in bodies)

    def test_tasks_are_taken_back_one_by_one_and_those_that_are_not_theirs_are_passed_over(
        self, server: Server, platform: LabelStudioPlatform
    ) -> None:
        platform.unassign(5, "bob@x.org", [3, 404, 4])
        assert [(method, path) for method, path, _ in server.said] == [
            ("DELETE", f"/api/projects/5/tasks/{number}/assignees?type=AN&users=8") for number in (3, 404, 4)
        ]

    def test_the_new_are_named_before_the_old_are_taken_off(
        self, server: Server, platform: LabelStudioPlatform
    ) -> None:
        Assignments(platform).show(5, {1: ["bob@x.org"], 2: ["ann@x.org"]}, {1: ["ann@x.org"], 2: ["ann@x.org"]})
        assert [(method, path.split("?")[0].rsplit("/", 2)[-2]) for method, path, _ in server.said] == [
            ("POST", "tasks"),
            ("POST", "tasks"),
            ("DELETE", "1"),
        ]

    def test_community_refuses_with_advice(self, server: Server, platform: LabelStudioPlatform) -> None:
        server.enterprise = False
        with pytest.raises(PlatformRejected, match=r"Enterprise.*routing\.way.*views"):
            platform.assign(5, "ann@x.org", [1])

    def test_a_project_that_is_gone_is_not_mistaken_for_community(
        self, server: Server, platform: LabelStudioPlatform
    ) -> None:
        with pytest.raises(PlatformNotFound, match="No Project"):
            platform.assign(6, "ann@x.org", [1])

    def test_an_unknown_person_is_named_with_the_nearest(self, server: Server, platform: LabelStudioPlatform) -> None:
        with pytest.raises(PlatformRejected, match=r"no user 'an@x\.org'.*Did you mean 'ann@x\.org'"):
            platform.assign(5, "an@x.org", [1])
        assert server.said == []

    def test_nothing_to_assign_asks_nothing(self, server: Server, platform: LabelStudioPlatform) -> None:
        platform.assign(5, "zoe", [])
        platform.unassign(5, "zoe", [])
        assert server.said == []

    def test_users_come_with_their_last_sign_of_life(self, platform: LabelStudioPlatform) -> None:
        ann, bob = platform.users()
        assert (ann.id, ann.name, ann.active_at is not None and ann.active_at.year) == (7, "ann@x.org", 2026)
        assert (bob.id, bob.name, bob.active_at) == (8, "bob@x.org", None)


class TestBulkOverTheWire:
    def test_tasks_with_the_same_text_share_a_request(self, server: Server, platform: LabelStudioPlatform) -> None:
        Views(platform).show(5, {n: ["ann@x.org"] if n % 2 else ["bob@x.org"] for n in range(1, 1201)}, {})
        assert [(path, body["value"], len(body["selectedItems"]["included"])) for _, path, body in server.said] == [
            ("/api/dm/actions/?id=add_data_field&project=5", ";ann@x.org;", 600),
            ("/api/dm/actions/?id=add_data_field&project=5", ";bob@x.org;", 600),
        ]

    @pytest.mark.parametrize("status", [400, 403, 404, 500])
    def test_a_server_without_the_bulk_action_is_asked_task_by_task(
        self, server: Server, platform: LabelStudioPlatform, status: int
    ) -> None:
        server.broken_bulk = status
        platform.update_tasks(5, {1: {"a": "x"}, 404: {"a": "x"}, 2: {"a": "x"}})
        written = [path for method, path, body in server.said if method == "PATCH" and body]
        assert written == ["/api/tasks/1/", "/api/tasks/2/"]
        assert next(body for method, _, body in server.said if method == "PATCH" and body) == {
            "data": {"text": "t", "a": "x"}
        }

    def test_a_connection_that_breaks_is_no_answer(self, server: Server) -> None:
        lost = LabelStudioPlatform("http://127.0.0.1:9", "t" * 40, 0.2)
        with pytest.raises(PlatformUnreachable):
            lost.update_tasks(5, {1: {"a": "x"}})
        lost.close()
