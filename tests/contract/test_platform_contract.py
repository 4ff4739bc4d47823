"""What every Platform and every Desk does: the fake of `adapter.testing` and a real Label Studio, by the same tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import httpx
import pytest

from adapter.errors import PlatformNotFound, PlatformRejected
from adapter.label_studio.label_config import parse_label_config
from adapter.label_studio.tiers import TieredPlatform
from adapter.ports import Desk, NewPrediction, NewTask, Platform, PlatformAnnotation, PlatformTask
from adapter.testing import MemoryPlatform
from adapter.vocabulary import REASON_FIELD, TASK_KEY_FIELD, JsonObject

CONFIG = """<View>
  <Header value="$hitl_reason"/>
  <Text name="text" value="$text"/>
  <Choices name="label" toName="text" choice="single"><Choice value="spam"/><Choice value="ham"/></Choices>
</View>"""
NOBODY = 987_654


def result(label: str = "spam") -> list[dict[str, Any]]:
    return [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]


def new(key: str, overlap: int = 1, **data: Any) -> NewTask:
    return NewTask(key, {"text": f"text of {key}", REASON_FIELD: "because", **data}, overlap)


class Bench(Protocol):
    """A platform with what people can do at it besides working at a desk."""

    platform: Platform

    def new_project(self, title: str) -> int: ...

    def desk(self, project_id: int, name: str, view: int | None = None) -> Desk: ...

    def change_annotation(self, annotation_id: int, changed: list[dict[str, Any]]) -> None: ...

    def delete_annotation(self, annotation_id: int) -> None: ...

    def view_tasks(self, project_id: int, view_id: int) -> list[int]: ...

    def close(self) -> None: ...


class MemoryBench:
    def __init__(self) -> None:
        self.memory = MemoryPlatform()
        self.platform: Platform = self.memory

    def new_project(self, title: str) -> int:
        return self.platform.create_project(title, CONFIG).id

    def desk(self, project_id: int, name: str, view: int | None = None) -> Desk:
        return self.memory.desk(project_id, f"{name}@annotators.local", view=view)

    def change_annotation(self, annotation_id: int, changed: list[dict[str, Any]]) -> None:
        self.memory.change_annotation(annotation_id, changed)

    def delete_annotation(self, annotation_id: int) -> None:
        self.memory.delete_annotation(annotation_id)

    def view_tasks(self, project_id: int, view_id: int) -> list[int]:
        return self.memory.view_tasks(project_id, view_id)

    def close(self) -> None:
        pass


class TieredBench(MemoryBench):
    """A project with one tier, seen as one. away: every task lies in the tier, where people then work."""

    def __init__(self, *, away: bool = False) -> None:
        super().__init__()
        self.main, self.tier = (self.memory.create_project(title, CONFIG).id for title in ("main", "main · tier"))
        self.place = self.tier if away else self.main
        self.platform = TieredPlatform(
            self.memory, self.main, {"tier": self.tier}, lambda keys: dict.fromkeys(keys, "tier") if away else {}
        )

    def new_project(self, title: str) -> int:
        return self.main

    def desk(self, project_id: int, name: str, view: int | None = None) -> Desk:
        return super().desk(self.place if project_id == self.main else project_id, name, view)


class LabelStudioBench:
    def __init__(self, server: Any) -> None:
        from adapter.label_studio.platform import LabelStudioPlatform

        self.server = server
        self.label_studio = LabelStudioPlatform(server.url, server.token)
        self.platform: Platform = self.label_studio
        self.desks: list[Any] = []
        self.http = httpx.Client(
            base_url=server.url, headers={"Authorization": f"Token {server.token}"}, timeout=60, trust_env=False
        )

    def new_project(self, title: str) -> int:
        return self.platform.create_project(title, CONFIG).id

    def desk(self, project_id: int, name: str, view: int | None = None) -> Desk:
        from adapter.label_studio.desk import LabelStudioDesk
        from adapter.label_studio.users import make_annotator

        desk = LabelStudioDesk(self.server.url, make_annotator(self.server, name), project_id, view=view)
        self.desks.append(desk)
        return desk

    def change_annotation(self, annotation_id: int, changed: list[dict[str, Any]]) -> None:
        self.http.patch(f"/api/annotations/{annotation_id}/", json={"result": changed}).raise_for_status()

    def delete_annotation(self, annotation_id: int) -> None:
        self.http.delete(f"/api/annotations/{annotation_id}/").raise_for_status()

    def view_tasks(self, project_id: int, view_id: int) -> list[int]:
        answer = self.http.get("/api/tasks", params={"view": view_id, "project": project_id, "page_size": 100})
        return [task["id"] for task in answer.raise_for_status().json()["tasks"]]

    def close(self) -> None:
        for client in (*self.desks, self.label_studio, self.http):
            client.close()


@pytest.fixture(params=["memory", "tiered", pytest.param("label-studio", marks=pytest.mark.integration)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made: Bench
    if request.param == "label-studio":
        made = LabelStudioBench(_server(request))
    else:
        made = MemoryBench() if request.param == "memory" else TieredBench()
    yield made
    made.close()


def _server(request: pytest.FixtureRequest) -> Any:
    """The session's real server; asked for only by the tests that run against it."""
    return request.getfixturevalue("label_studio")


@pytest.fixture
def platform(bench: Bench) -> Platform:
    return bench.platform


@pytest.fixture
def project(bench: Bench, request: pytest.FixtureRequest) -> int:
    """An empty project of this test's own."""
    return bench.new_project(request.node.name[:45])


@pytest.fixture
def backend_url() -> Iterator[str]:
    """The address of something that answers as an ML backend must."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.dumps({"status": "UP", "model_version": "v", "versions": ["v"], "results": []}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def fill(platform: Platform, project: int, count: int, overlap: int = 1) -> list[int]:
    return list(platform.import_tasks(project, [new(f"k{n}", overlap) for n in range(count)]).values())


def predict(
    platform: Platform, project: int, scores: dict[int, float], version: str = "m1", label: str = "spam"
) -> int:
    rows = [NewPrediction(number, tuple(result(label)), score, version) for number, score in scores.items()]
    return platform.import_predictions(project, rows)


def whole(platform: Platform, project: int, task_id: int) -> PlatformTask:
    return next(task for task in platform.tasks(project) if task.id == task_id)


def only(task: PlatformTask) -> PlatformAnnotation:
    (annotation,) = task.annotations
    return annotation


def drain(desk: Desk, limit: int = 50) -> list[int]:
    served: list[int] = []
    while len(served) < limit and (assignment := desk.next_task()) is not None:
        desk.submit(assignment.task_id, result(), 1.0)
        served.append(assignment.task_id)
    return served


def next_id(desk: Desk) -> int | None:
    assignment = desk.next_task()
    return None if assignment is None else assignment.task_id


GONE: dict[str, Callable[[Platform], object]] = {
    "project": lambda p: p.project(NOBODY),
    "configure": lambda p: p.configure(NOBODY, model_version="m"),
    "import_tasks": lambda p: p.import_tasks(NOBODY, [new("a")]),
    "find_tasks": lambda p: p.find_tasks(NOBODY, ["a"]),
    "delete_tasks": lambda p: p.delete_tasks(NOBODY, [1]),
    "task_ids": lambda p: p.task_ids(NOBODY),
    "tasks": lambda p: list(p.tasks(NOBODY)),
    "changes": lambda p: p.changes(NOBODY, None),
    "import_predictions": lambda p: p.import_predictions(NOBODY, [NewPrediction(1, tuple(result()), 0.5, "m")]),
    "prediction_versions": lambda p: p.prediction_versions(NOBODY),
    "predictions": lambda p: p.predictions(NOBODY),
    "ensure_view": lambda p: p.ensure_view(NOBODY, "view", "field", "Field"),
    "ensure_queue": lambda p: p.ensure_queue(NOBODY, "view", "field", ";ann;", "order"),
    "update_tasks": lambda p: p.update_tasks(NOBODY, {1: {"field": "text"}}),
    "assign": lambda p: p.assign(NOBODY, "ann@annotators.local", [1]),
    "unassign": lambda p: p.unassign(NOBODY, "ann@annotators.local", [1]),
    "webhooks": lambda p: p.webhooks(NOBODY),
    "ensure_webhook": lambda p: p.ensure_webhook(NOBODY, "http://127.0.0.1:9/webhook", {}),
    "backends": lambda p: p.backends(NOBODY),
}


class TestProjects:
    def test_the_platform_tells_its_version(self, platform: Platform) -> None:
        assert platform.check()

    def test_a_new_project_serves_in_order_and_shows_prelabels(self, platform: Platform) -> None:
        made = platform.create_project("A brand new project", CONFIG)
        assert platform.project(made.id) == made
        assert (made.title, made.sampling, made.show_prelabels) == ("A brand new project", "Sequential sampling", True)
        assert (made.maximum_annotations, made.model_version, made.task_count) == (1, "", 0)
        assert parse_label_config(made.label_config).controls == parse_label_config(CONFIG).controls

    def test_projects_are_found_by_their_exact_title_the_oldest_first(self, platform: Platform) -> None:
        first = platform.create_project("Find me", CONFIG)
        platform.create_project("Find me", CONFIG)
        platform.create_project("Find me too", CONFIG)
        assert platform.find_project("Find me") == first
        assert platform.find_project("find m") is None

    def test_a_broken_label_config_is_rejected(self, platform: Platform) -> None:
        with pytest.raises(PlatformRejected):
            platform.create_project("broken", "<View><Text</View>")
        assert platform.find_project("broken") is None

    def test_settings_change_and_only_those_given(self, platform: Platform, project: int) -> None:
        predict(platform, project, dict.fromkeys(fill(platform, project, 1), 0.5), "m7")
        platform.configure(project, model_version="m7", sampling="Uncertainty sampling")
        platform.configure(project, maximum_annotations=2)
        now = platform.project(project)
        assert (now.model_version, now.sampling) == ("m7", "Uncertainty sampling")
        assert (now.maximum_annotations, now.show_prelabels) == (2, True)
        wider = CONFIG.replace('<Choice value="ham"/>', '<Choice value="ham"/><Choice value="other"/>')
        platform.configure(project, label_config=wider, model_version="")
        now = platform.project(project)
        assert parse_label_config(now.label_config).controls[0].labels == ("spam", "ham", "other")
        assert (now.model_version, now.sampling) == ("", "Uncertainty sampling")

    def test_hiding_prelabels_forgets_the_model_version(self, platform: Platform, project: int) -> None:
        predict(platform, project, dict.fromkeys(fill(platform, project, 1), 0.5))
        platform.configure(project, model_version="m1")
        platform.configure(project, show_prelabels=False)
        now = platform.project(project)
        assert (now.show_prelabels, now.model_version) == (False, "")

    def test_a_version_without_predictions_cannot_be_the_current_one(self, platform: Platform, project: int) -> None:
        with pytest.raises(PlatformRejected):
            platform.configure(project, model_version="nobody-made-it")
        assert platform.project(project).model_version == ""

    def test_senseless_settings_are_rejected(self, platform: Platform, project: int) -> None:
        with pytest.raises(PlatformRejected):
            platform.configure(project, sampling="by mood")
        assert platform.project(project).sampling == "Sequential sampling"

    @pytest.mark.parametrize("ask", GONE.values(), ids=GONE)
    def test_a_project_that_is_gone_is_not_found(self, platform: Platform, ask: Callable[[Platform], object]) -> None:
        with pytest.raises(PlatformNotFound):
            ask(platform)


class TestTasks:
    def test_ids_ascend_in_the_order_given(self, platform: Platform, project: int) -> None:
        keys = [f"k{n}" for n in (5, 3, 9, 1)]
        made = platform.import_tasks(project, [new(key) for key in keys])
        assert list(made) == keys
        assert list(made.values()) == sorted(set(made.values()))
        later = platform.import_tasks(project, [new("z")])
        assert later["z"] > max(made.values())
        assert platform.project(project).task_count == 5
        assert platform.task_ids(project) == {*made.values(), *later.values()}

    def test_tasks_come_whole_in_id_order(self, platform: Platform, project: int) -> None:
        made = platform.import_tasks(project, [new("b", extra={"n": [1, 2.5, None, "ü"]}), new("a", overlap=2)])
        tasks = list(platform.tasks(project))
        assert [(task.id, task.key, task.overlap) for task in tasks] == [(made["b"], "b", 1), (made["a"], "a", 2)]
        assert tasks[0].data["text"] == "text of b"
        assert tasks[0].data["extra"] == {"n": [1, 2.5, None, "ü"]}
        assert tasks[0].data[TASK_KEY_FIELD] == "b"
        assert tasks[0].updated_at.tzinfo is not None
        assert tasks[0].annotations == ()

    def test_nothing_to_import_is_nothing_imported(self, platform: Platform, project: int) -> None:
        assert platform.import_tasks(project, []) == {}

    def test_tasks_are_found_by_their_keys(self, platform: Platform, project: int) -> None:
        keys = ["plain", 'quo"te', "back\\slash", "com,ma", "sp ace", "per%cent", "ümlaut", "semi;colon", "'"]
        made = platform.import_tasks(project, [new(key) for key in keys])
        found = platform.find_tasks(project, [*keys, "absent"])
        assert found == {key: (made[key],) for key in keys}
        assert platform.find_tasks(project, []) == {}

    def test_a_key_that_landed_twice_shows_both_places_lowest_first(self, platform: Platform, project: int) -> None:
        first = platform.import_tasks(project, [new("twice")])["twice"]
        second = platform.import_tasks(project, [new("other"), new("twice")])["twice"]
        assert platform.find_tasks(project, ["twice"]) == {"twice": (first, second)}

    def test_one_call_gives_a_key_once(self, platform: Platform, project: int) -> None:
        with pytest.raises(PlatformRejected):
            platform.import_tasks(project, [new("a"), new("a")])
        assert platform.task_ids(project) == frozenset()

    def test_keys_belong_to_their_project(self, platform: Platform, project: int) -> None:
        other = platform.create_project("another", CONFIG).id
        platform.import_tasks(other, [new("mine")])
        assert platform.find_tasks(project, ["mine"]) == {}

    def test_a_task_without_the_shown_field_is_rejected_and_none_lands(self, platform: Platform, project: int) -> None:
        with pytest.raises(PlatformRejected):
            platform.import_tasks(project, [new("good"), NewTask("bad", {"words": "no text"})])
        assert platform.task_ids(project) == frozenset()

    def test_deleted_tasks_are_gone_and_deleting_twice_is_deleting_once(self, platform: Platform, project: int) -> None:
        ids = fill(platform, project, 4)
        predict(platform, project, {ids[0]: 0.5, ids[3]: 0.5})
        platform.delete_tasks(project, [ids[0], ids[2]])
        assert platform.task_ids(project) == {ids[1], ids[3]}
        assert platform.project(project).task_count == 2
        assert [stored.task_id for stored in platform.predictions(project)] == [ids[3]]
        platform.delete_tasks(project, [ids[0], ids[2]])
        platform.delete_tasks(project, [])
        assert platform.task_ids(project) == {ids[1], ids[3]}

    def test_data_is_merged(self, platform: Platform, project: int) -> None:
        (number,) = fill(platform, project, 1)
        platform.update_task_data(number, {"hitl_flag": "0.900 label issue", REASON_FIELD: "doubted"})
        data = whole(platform, project, number).data
        assert (data["hitl_flag"], data[REASON_FIELD]) == ("0.900 label issue", "doubted")
        assert (data["text"], data[TASK_KEY_FIELD]) == ("text of k0", "k0")

    def test_tasks_that_are_gone_are_not_found(self, platform: Platform) -> None:
        with pytest.raises(PlatformNotFound):
            platform.update_task_data(NOBODY, {"a": "b"})
        with pytest.raises(PlatformNotFound):
            platform.set_overlap(NOBODY, 2)


class TestChanges:
    def test_without_a_mark_everything_comes(self, bench: Bench, platform: Platform, project: int) -> None:
        ids = fill(platform, project, 3)
        bench.desk(project, "ann").submit(ids[1], result("ham"), 2.0)
        tasks = {task.id: task for task in platform.changes(project, None).tasks}
        assert only(tasks[ids[1]]).result[0]["value"] == {"choices": ["ham"]}

    def test_an_empty_project_has_a_mark_too(self, platform: Platform, project: int) -> None:
        empty = platform.changes(project, None)
        assert empty.tasks == ()
        ids = fill(platform, project, 1)
        assert ids[0] in {task.id for task in platform.changes(project, empty.mark).tasks}

    def test_a_mark_that_is_none_of_ours_means_everything(self, bench: Bench, platform: Platform, project: int) -> None:
        ids = fill(platform, project, 1)
        bench.desk(project, "ann").submit(ids[0], result(), 1.0)
        assert ids[0] in {task.id for task in platform.changes(project, "yesterday").tasks}

    def test_created_changed_skipped_and_deleted_annotations_are_all_seen(
        self, bench: Bench, platform: Platform, project: int
    ) -> None:
        ids = fill(platform, project, 5)
        desk = bench.desk(project, "ann")
        mark = platform.changes(project, None).mark

        def since() -> dict[int, PlatformTask]:
            nonlocal mark
            seen = platform.changes(project, mark)
            mark = seen.mark
            return {task.id: task for task in seen.tasks}

        made = desk.submit(ids[0], result("spam"), 3.5)
        task = since()[ids[0]]
        annotation = only(task)
        assert (annotation.id, annotation.task_id, annotation.annotator) == (made, ids[0], desk.annotator)
        assert (annotation.lead_time, annotation.cancelled, annotation.ground_truth) == (3.5, False, False)
        assert annotation.result[0]["value"] == {"choices": ["spam"]}
        assert annotation.created_at.tzinfo is not None
        assert task.key == "k0"

        bench.change_annotation(made, result("ham"))
        changed = only(since()[ids[0]])
        assert (changed.id, changed.result[0]["value"]) == (made, {"choices": ["ham"]})
        assert changed.updated_at >= annotation.updated_at

        skipped = desk.skip(ids[1], 1.5)
        cancelled = only(since()[ids[1]])
        assert (cancelled.id, cancelled.cancelled, cancelled.lead_time) == (skipped, True, 1.5)

        bench.delete_annotation(made)
        assert since()[ids[0]].annotations == ()

    def test_a_task_comes_with_everybodys_annotations(self, bench: Bench, platform: Platform, project: int) -> None:
        ids = fill(platform, project, 1, overlap=2)
        ann, bob = bench.desk(project, "ann"), bench.desk(project, "bob")
        ann.submit(ids[0], result("spam"), 1.0)
        mark = platform.changes(project, None).mark
        bob.submit(ids[0], result("ham"), 1.0)
        (task,) = (task for task in platform.changes(project, mark).tasks if task.id == ids[0])
        assert [annotation.annotator for annotation in task.annotations] == [ann.annotator, bob.annotator]

    def test_new_tasks_and_new_data_are_changes(self, platform: Platform, project: int) -> None:
        first = fill(platform, project, 1)[0]
        mark = platform.changes(project, None).mark
        second = platform.import_tasks(project, [new("later")])["later"]
        platform.update_task_data(first, {"more": "data"})
        tasks = {task.id: task for task in platform.changes(project, mark).tasks}
        assert {first, second} <= set(tasks)
        assert tasks[first].data["more"] == "data"

    def test_deleted_tasks_come_no_more(self, bench: Bench, platform: Platform, project: int) -> None:
        ids = fill(platform, project, 2)
        bench.desk(project, "ann").submit(ids[0], result(), 1.0)
        mark = platform.changes(project, None).mark
        platform.delete_tasks(project, ids[:1])
        assert ids[0] not in {task.id for task in platform.changes(project, mark).tasks}
        assert ids[0] not in {task.id for task in platform.changes(project, None).tasks}

    def test_other_projects_stay_out(self, platform: Platform, project: int) -> None:
        mark = platform.changes(project, None).mark
        other = platform.create_project("noise", CONFIG).id
        fill(platform, other, 2)
        assert platform.changes(project, mark).tasks == ()


class TestPredictions:
    def test_they_are_counted_and_listed(self, platform: Platform, project: int) -> None:
        ids = fill(platform, project, 3)
        assert predict(platform, project, {ids[0]: 0.25, ids[1]: 1.0}) == 2
        assert predict(platform, project, {ids[0]: 0.5}, "m2", "ham") == 1
        assert platform.prediction_versions(project) == {"m1": 2, "m2": 1}
        stored = platform.predictions(project)
        assert sorted((p.task_id, p.model_version, p.score) for p in stored) == [
            (ids[0], "m1", 0.25),
            (ids[0], "m2", 0.5),
            (ids[1], "m1", 1.0),
        ]
        (of_one,) = platform.predictions(project, [ids[1], ids[2]])
        assert (of_one.task_id, of_one.result[0]["value"]) == (ids[1], {"choices": ["spam"]})

    def test_an_empty_project_has_none(self, platform: Platform, project: int) -> None:
        assert platform.predictions(project) == []
        assert platform.prediction_versions(project) == {}
        assert platform.import_predictions(project, []) == 0

    def test_an_empty_result_is_valid(self, platform: Platform, project: int) -> None:
        ids = fill(platform, project, 1)
        assert platform.import_predictions(project, [NewPrediction(ids[0], (), 0.5, "m1")]) == 1

    def test_sent_twice_they_are_there_twice_and_can_be_deleted(self, platform: Platform, project: int) -> None:
        (number,) = fill(platform, project, 1)
        predict(platform, project, {number: 0.5})
        predict(platform, project, {number: 0.5})
        first, second = sorted(p.id for p in platform.predictions(project, [number]))
        platform.delete_predictions([second])
        platform.delete_predictions([second])
        assert [p.id for p in platform.predictions(project)] == [first]

    @pytest.mark.parametrize(
        "wrong",
        [
            NewPrediction(0, tuple(result("eggs")), 0.5, "m1"),
            NewPrediction(0, tuple(result()), 1.5, "m1"),
            NewPrediction(0, ({**result()[0], "from_name": "other"},), 0.5, "m1"),
            NewPrediction(0, ({**result()[0], "to_name": "other"},), 0.5, "m1"),
            NewPrediction(0, ({**result()[0], "type": "labels"},), 0.5, "m1"),
            NewPrediction(0, ({key: value for key, value in result()[0].items() if key != "value"},), 0.5, "m1"),
        ],
        ids=["label", "score", "from_name", "to_name", "type", "value"],
    )
    def test_invalid_ones_never_land_and_the_caller_learns_it(
        self, platform: Platform, project: int, wrong: NewPrediction
    ) -> None:
        good, bad = fill(platform, project, 2)
        rows = [
            NewPrediction(good, tuple(result()), 0.5, "m1"),
            NewPrediction(bad, wrong.result, wrong.score, wrong.model_version),
        ]
        try:
            created = platform.import_predictions(project, rows)
        except PlatformRejected:
            created = 0
        assert created == len(platform.predictions(project)) < 2
        assert platform.predictions(project, [bad]) == []

    def test_foreign_tasks_get_none(self, platform: Platform, project: int) -> None:
        other = platform.create_project("elsewhere", CONFIG).id
        (mine,), (theirs,) = fill(platform, project, 1), fill(platform, other, 1)
        with pytest.raises(PlatformRejected):
            predict(platform, project, {mine: 0.5, theirs: 0.5})
        assert platform.predictions(project) == []
        assert platform.predictions(other) == []


class TestServing:
    def test_tasks_come_in_id_order_and_then_no_more(self, bench: Bench, platform: Platform, project: int) -> None:
        ids = fill(platform, project, 4)
        desk = bench.desk(project, "ann")
        assert drain(desk) == ids
        assert desk.next_task() is None
        later = platform.import_tasks(project, [new("later")])["later"]
        assert next_id(desk) == later

    def test_an_assignment_carries_the_tasks_data(self, bench: Bench, platform: Platform, project: int) -> None:
        fill(platform, project, 1)
        assignment = bench.desk(project, "ann").next_task()
        assert assignment is not None
        assert assignment.data["text"] == "text of k0"
        assert assignment.data[TASK_KEY_FIELD] == "k0"

    def test_a_task_on_a_desk_is_served_again_there_and_nowhere_else(
        self, bench: Bench, platform: Platform, project: int
    ) -> None:
        ids = fill(platform, project, 2)
        ann, bob, cy = (bench.desk(project, name) for name in ("ann", "bob", "cy"))
        assert (next_id(ann), next_id(ann)) == (ids[0], ids[0])
        assert next_id(bob) == ids[1]
        assert cy.next_task() is None
        ann.submit(ids[0], result(), 1.0)
        assert ann.next_task() is None
        bob.skip(ids[1], 1.0)
        assert next_id(cy) == ids[1]

    def test_overlap_asks_so_many_people(self, bench: Bench, platform: Platform, project: int) -> None:
        made = platform.import_tasks(project, [new("twice", 2), new("once")])
        ann, bob, cy = (bench.desk(project, name) for name in ("ann", "bob", "cy"))
        assert drain(ann) == [made["twice"], made["once"]]
        assert drain(bob) == [made["twice"]]
        assert drain(cy) == []

    def test_asking_one_more_person_opens_a_done_task(self, bench: Bench, platform: Platform, project: int) -> None:
        ids = fill(platform, project, 2)
        ann, bob = bench.desk(project, "ann"), bench.desk(project, "bob")
        drain(ann)
        assert bob.next_task() is None
        platform.set_overlap(ids[1], 2)
        assert whole(platform, project, ids[1]).overlap == 2
        assert ann.next_task() is None
        assert drain(bob) == [ids[1]]

    def test_a_skipped_task_goes_to_others(self, bench: Bench, platform: Platform, project: int) -> None:
        ids = fill(platform, project, 2)
        ann, bob = bench.desk(project, "ann"), bench.desk(project, "bob")
        ann.skip(ids[0], 1.0)
        assert drain(ann) == [ids[1]]
        assert drain(bob) == [ids[0]]

    def test_uncertainty_serves_the_least_score_of_the_current_version(
        self, bench: Bench, platform: Platform, project: int
    ) -> None:
        ids = fill(platform, project, 4)
        scores = dict(zip(ids, (0.9, 0.2, 0.6, 0.4), strict=True))
        predict(platform, project, scores)
        predict(platform, project, {number: 1 - score for number, score in scores.items()}, "old")
        platform.configure(project, sampling="Uncertainty sampling", model_version="m1")
        desk = bench.desk(project, "ann")
        assert next_id(desk) == ids[1]
        desk.submit(ids[1], result(), 1.0)
        (last,) = (p for p in platform.predictions(project, [ids[0]]) if p.model_version == "m1")
        platform.set_prediction_score(last.id, 0.1)
        assert drain(desk) == [ids[0], ids[3], ids[2]]

    def test_a_score_outside_its_range_is_rejected(self, platform: Platform, project: int) -> None:
        (number,) = fill(platform, project, 1)
        predict(platform, project, {number: 0.5})
        (stored,) = platform.predictions(project)
        with pytest.raises(PlatformRejected):
            platform.set_prediction_score(stored.id, 1.5)
        with pytest.raises(PlatformNotFound):
            platform.set_prediction_score(NOBODY, 0.5)
        assert platform.predictions(project)[0].score == 0.5

    def test_working_on_a_task_that_is_gone_is_not_found(self, bench: Bench, platform: Platform, project: int) -> None:
        (number,) = fill(platform, project, 1)
        desk = bench.desk(project, "ann")
        platform.delete_tasks(project, [number])
        with pytest.raises(PlatformNotFound):
            desk.submit(number, result(), 1.0)
        with pytest.raises(PlatformNotFound):
            desk.skip(number, 1.0)


class TestPrelabels:
    def work(self, bench: Bench, project: int, answer: Sequence[JsonObject]) -> tuple[Any, PlatformAnnotation]:
        """Take the next task, submit, and return what was shown and what was stored."""
        desk = bench.desk(project, "ann")
        assignment = desk.next_task()
        assert assignment is not None
        desk.submit(assignment.task_id, answer, 1.0)
        return assignment, only(whole(bench.platform, project, assignment.task_id))

    def test_the_current_versions_prediction_is_on_the_page_and_remembered(
        self, bench: Bench, platform: Platform, project: int
    ) -> None:
        (number,) = fill(platform, project, 1)
        predict(platform, project, {number: 0.7}, "m1", "ham")
        predict(platform, project, {number: 0.7}, "m2", "spam")
        platform.configure(project, model_version="m1")
        assignment, stored = self.work(bench, project, result("spam"))
        assert [item["value"] for item in assignment.prelabel] == [{"choices": ["ham"]}]
        assert assignment.prelabel_version == "m1"
        assert stored.prediction == "m1"
        assert stored.result[0]["value"] == {"choices": ["spam"]}

    def test_a_blind_task_shows_nothing(self, bench: Bench, platform: Platform, project: int) -> None:
        fill(platform, project, 1)
        predict(platform, project, {platform.import_tasks(project, [new("later")])["later"]: 0.5})
        platform.configure(project, model_version="m1")
        assignment, stored = self.work(bench, project, result())
        assert (assignment.prelabel, assignment.prelabel_version, stored.prediction) == ((), None, None)

    def test_another_versions_prediction_stays_hidden(self, bench: Bench, platform: Platform, project: int) -> None:
        (number,) = fill(platform, project, 1)
        predict(platform, project, {number: 0.7}, "old")
        predict(platform, project, {platform.import_tasks(project, [new("later")])["later"]: 0.5}, "new")
        platform.configure(project, model_version="new")
        assignment, stored = self.work(bench, project, result())
        assert (assignment.prelabel, assignment.prelabel_version, stored.prediction) == ((), None, None)

    def test_an_empty_prediction_shows_nothing(self, bench: Bench, platform: Platform, project: int) -> None:
        (number,) = fill(platform, project, 1)
        platform.import_predictions(project, [NewPrediction(number, (), 0.5, "m1")])
        platform.configure(project, model_version="m1")
        assignment, _ = self.work(bench, project, result())
        assert assignment.prelabel == ()

    def test_prelabels_can_be_switched_off(self, bench: Bench, platform: Platform, project: int) -> None:
        (number,) = fill(platform, project, 1)
        predict(platform, project, {number: 0.7})
        platform.configure(project, show_prelabels=False, model_version="m1")
        assignment, _ = self.work(bench, project, result())
        assert (assignment.prelabel, assignment.prelabel_version) == ((), None)


class TestQueues:
    """Each annotator's own queue: a view on a text field, in the numeric order of another."""

    def queue(self, platform: Platform, project: int, name: str) -> int:
        return platform.ensure_queue(project, f"For {name}", "hitl_for", f";{name};", "hitl_priority")

    def test_a_desk_follows_its_views_filter_and_numeric_order(
        self, bench: Bench, platform: Platform, project: int
    ) -> None:
        tasks = [new(f"k{n}", hitl_priority=priority) for n, priority in enumerate((10, 9, 100, 2.5, "30", 1))]
        ids = list(platform.import_tasks(project, tasks).values())
        mine, other = {"hitl_for": ";ann;"}, {"hitl_for": ";joann;"}
        platform.update_tasks(project, {**dict.fromkeys(ids[:5], mine), ids[5]: other})
        platform.update_tasks(project, {ids[2]: {"hitl_for": ";ann;bob;"}})
        ann, bob = self.queue(platform, project, "ann"), self.queue(platform, project, "bob")
        assert bench.view_tasks(project, ann) == [ids[3], ids[1], ids[0], ids[4], ids[2]]
        assert bench.view_tasks(project, bob) == [ids[2]]
        assert drain(bench.desk(project, "bob", bob)) == [ids[2]]
        assert drain(bench.desk(project, "ann", ann)) == [ids[3], ids[1], ids[0], ids[4]]
        assert drain(bench.desk(project, "cy")) == [ids[5]], "without a view everything is served"

    def test_a_desk_with_a_view_keeps_its_task_until_that_leaves_the_view(
        self, bench: Bench, platform: Platform, project: int
    ) -> None:
        ids = list(platform.import_tasks(project, [new(f"k{n}", hitl_priority=n) for n in range(3)]).values())
        view = self.queue(platform, project, "ann")
        platform.update_tasks(project, {key: {"hitl_for": ";ann;"} for key in ids[1:]})
        desk = bench.desk(project, "ann", view)
        assert (next_id(desk), next_id(desk)) == (ids[1], ids[1])
        platform.update_tasks(project, {ids[1]: {"hitl_for": ""}})
        assert next_id(desk) == ids[2]
        platform.update_tasks(project, {ids[2]: {"hitl_for": ";bob;"}})
        assert next_id(desk) is None

    def test_overlap_is_kept_over_several_views(self, bench: Bench, platform: Platform, project: int) -> None:
        ids = list(platform.import_tasks(project, [new("once"), new("twice", 2)]).values())
        platform.update_tasks(project, {key: {"hitl_for": ";ann;bob;"} for key in ids})
        desks = [bench.desk(project, name, self.queue(platform, project, name)) for name in ("ann", "bob")]
        assert drain(desks[0]) == ids
        assert drain(desks[1]) == [ids[1]]

    def test_many_tasks_change_at_once_and_only_in_the_fields_given(self, platform: Platform, project: int) -> None:
        ids = list(platform.import_tasks(project, [new(f"k{n}", hitl_priority=n) for n in range(30)]).values())
        text = 'quo"te \\ per%cent, ü;'
        platform.update_tasks(project, {number: {"a": text, "b": f"{n % 3}"} for n, number in enumerate(ids)})
        platform.update_tasks(project, {ids[0]: {"a": ""}, NOBODY: {"a": "gone"}})
        platform.update_tasks(project, {})
        stored = {task.id: task.data for task in platform.tasks(project)}
        assert set(stored) == set(ids)
        assert [stored[number]["a"] for number in ids] == ["", *[text] * 29]
        assert [stored[number]["b"] for number in ids] == [f"{n % 3}" for n in range(30)]
        assert [stored[number]["hitl_priority"] for number in ids] == list(range(30))
        assert platform.find_tasks(project, ["k7"]) == {"k7": (ids[7],)}

    def test_a_view_is_made_once_and_put_right_when_asked_for_again(
        self, bench: Bench, platform: Platform, project: int
    ) -> None:
        (number,) = platform.import_tasks(project, [new("a", hitl_priority=1)]).values()
        platform.update_tasks(project, {number: {"hitl_for": ";ann;"}})
        view = platform.ensure_queue(project, "For ann", "hitl_for", ";old;", "hitl_priority")
        assert bench.view_tasks(project, view) == []
        assert self.queue(platform, project, "ann") == view
        assert bench.view_tasks(project, view) == [number]
        assert self.queue(platform, project, "bob") != view

    def test_users_are_known_with_their_last_sign_of_life(self, bench: Bench, platform: Platform, project: int) -> None:
        fill(platform, project, 1)
        desk = bench.desk(project, "ann")
        drain(desk)
        (ann,) = [user for user in platform.users() if user.name == desk.annotator]
        assert ann.active_at is not None
        assert ann.active_at.tzinfo is not None

    def test_without_assignment_it_refuses_and_says_what_to_do(
        self, bench: Bench, platform: Platform, project: int
    ) -> None:
        (number,) = fill(platform, project, 1)
        who = bench.desk(project, "ann").annotator
        with pytest.raises(PlatformRejected, match=r"no assignment.*(views|enterprise)"):
            platform.assign(project, who, [number])
        platform.assign(project, who, [])
        platform.unassign(project, who, [])


class TestConnections:
    def test_a_view_shows_tasks_with_the_field_greatest_first(
        self, bench: Bench, platform: Platform, project: int
    ) -> None:
        ids = fill(platform, project, 4)
        view = platform.ensure_view(project, "Suspected errors", "hitl_flag", "Why doubted")
        platform.update_task_data(ids[1], {"hitl_flag": "0.500 label issue"})
        platform.update_task_data(ids[3], {"hitl_flag": "0.900 label issue"})
        platform.update_task_data(ids[0], {"hitl_flag": "0.700 label issue"})
        platform.update_task_data(ids[0], {"hitl_flag": ""})
        assert bench.view_tasks(project, view) == [ids[3], ids[1]]
        assert platform.ensure_view(project, "Suspected errors", "hitl_flag", "Why doubted") == view
        assert platform.ensure_view(project, "Another", "hitl_flag", "Why doubted") != view

    def test_there_is_one_webhook_for_each_url_and_its_headers_are_renewed(
        self, platform: Platform, project: int
    ) -> None:
        url = "http://127.0.0.1:9/webhook"
        assert platform.webhooks(project) == []
        first = platform.ensure_webhook(project, url, {"X-Hitl-Secret": "old"})
        assert (first.url, first.header_names, first.active, first.send_payload) == (
            url,
            ("X-Hitl-Secret",),
            True,
            True,
        )
        again = platform.ensure_webhook(project, url, {"X-Hitl-Secret": "new", "X-Also": "b"})
        assert (again.id, again.header_names) == (first.id, ("X-Also", "X-Hitl-Secret"))
        assert platform.webhooks(project) == [again]
        other = platform.ensure_webhook(project, url + "/2", {})
        assert {hook.id for hook in platform.webhooks(project)} == {first.id, other.id}
        assert "new" not in repr(platform.webhooks(project))

    def test_there_is_one_backend_for_each_url_and_the_model_version_stays(
        self, platform: Platform, project: int, backend_url: str
    ) -> None:
        assert platform.backends(project) == []
        first = platform.ensure_backend(project, backend_url, "our model", "user", "password")
        assert (first.url.rstrip("/"), first.title, first.state) == (backend_url, "our model", "CO")
        assert platform.project(project).model_version == ""
        predict(platform, project, dict.fromkeys(fill(platform, project, 1), 0.5), "m3")
        platform.configure(project, model_version="m3")
        again = platform.ensure_backend(project, backend_url, "our model", "user", "other password")
        assert again.id == first.id
        assert [(known.id, known.state) for known in platform.backends(project)] == [(first.id, "CO")]
        assert platform.project(project).model_version == "m3"
        assert "password" not in repr(platform.backends(project))

    def test_a_new_backend_leaves_no_webhook_without_our_secret(
        self, platform: Platform, project: int, backend_url: str
    ) -> None:
        ours = platform.ensure_webhook(project, backend_url + "/webhook", {"X-Hitl-Secret": "s"})
        platform.ensure_backend(project, backend_url, "our model", "user", "password")
        assert [hook.id for hook in platform.webhooks(project)] == [ours.id]
        second = platform.create_project("without a webhook", CONFIG).id
        platform.ensure_backend(second, backend_url, "our model", "user", "password")
        assert platform.webhooks(second) == []


class _InTier:
    """The same with every task in a tier's project: the caller does not see the difference."""

    @pytest.fixture
    def bench(self) -> Bench:
        return TieredBench(away=True)


class TestTasksInTier(_InTier, TestTasks):
    pass


class TestChangesInTier(_InTier, TestChanges):
    pass


class TestPredictionsInTier(_InTier, TestPredictions):
    pass


class TestPrelabelsInTier(_InTier, TestPrelabels):
    pass
