"""What only the fake has: switches, determinism, speed. What it shares with Label Studio is in the contract suite."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapter.errors import PlatformNotFound, PlatformRejected, PlatformUnreachable
from adapter.ports import Desk, NewPrediction, NewTask, Platform
from adapter.testing import MemoryPlatform

CONFIG = """<View><Text name="text" value="$text"/>
<Choices name="label" toName="text"><Choice value="a"/><Choice value="b"/></Choices></View>"""


def result(label: str = "a") -> list[dict[str, Any]]:
    return [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]


class SlowClock:
    def __init__(self) -> None:
        self.time = datetime(2025, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> SlowClock:
    return SlowClock()


@pytest.fixture
def platform(clock: SlowClock) -> MemoryPlatform:
    return MemoryPlatform(now=clock)


def filled(platform: MemoryPlatform, count: int = 5, overlap: int = 1) -> tuple[int, list[int]]:
    project = platform.create_project("demo", CONFIG).id
    made = platform.import_tasks(project, [NewTask(f"k{n}", {"text": str(n)}, overlap) for n in range(count)])
    return project, list(made.values())


def drain(desk: Desk) -> list[int]:
    served = []
    while (assignment := desk.next_task()) is not None:
        desk.submit(assignment.task_id, result(), 1.0)
        served.append(assignment.task_id)
    return served


def test_it_is_a_platform_with_desks(platform: MemoryPlatform) -> None:
    port: Platform = platform
    project, _ = filled(platform, 1)
    desk: Desk = platform.desk(project, "ann")
    assert port.check() == "memory"
    assert desk.annotator == "ann"


class TestFailures:
    def test_before_the_effect_nothing_happened(self, platform: MemoryPlatform) -> None:
        project, _ = filled(platform, 1)
        platform.fail_next("import_tasks", PlatformUnreachable("cut"))
        with pytest.raises(PlatformUnreachable, match="cut"):
            platform.import_tasks(project, [NewTask("new", {"text": "x"})])
        assert platform.find_tasks(project, ["new"]) == {}
        assert platform.import_tasks(project, [NewTask("new", {"text": "x"})])

    def test_after_the_effect_only_the_answer_is_lost(self, platform: MemoryPlatform) -> None:
        project, _ = filled(platform, 1)
        platform.fail_next("import_tasks", PlatformUnreachable("cut"), after_effect=True)
        with pytest.raises(PlatformUnreachable, match="cut"):
            platform.import_tasks(project, [NewTask("new", {"text": "x"})])
        assert len(platform.find_tasks(project, ["new"])["new"]) == 1

    def test_failures_queue_up_and_desks_have_them_too(self, platform: MemoryPlatform) -> None:
        project, ids = filled(platform, 1)
        platform.fail_next("submit", PlatformUnreachable("one"))
        platform.fail_next("submit", PlatformUnreachable("two"), after_effect=True)
        desk = platform.desk(project, "ann")
        for words in ("one", "two"):
            with pytest.raises(PlatformUnreachable, match=words):
                desk.submit(ids[0], result(), 1.0)
        (task,) = platform.tasks(project)
        assert len(task.annotations) == 1

    def test_settings_can_fail(self, platform: MemoryPlatform) -> None:
        project, _ = filled(platform, 1)
        platform.fail_next("configure", KeyboardInterrupt(), after_effect=True)
        with pytest.raises(KeyboardInterrupt):
            platform.configure(project, maximum_annotations=3)
        assert platform.project(project).maximum_annotations == 3

    def test_a_method_that_is_not_there_cannot_fail(self, platform: MemoryPlatform) -> None:
        with pytest.raises(ValueError, match="import_tasks"):
            platform.fail_next("import_task", PlatformUnreachable("cut"))

    def test_down_is_down_for_all_until_it_is_up(self, platform: MemoryPlatform) -> None:
        project, _ = filled(platform, 1)
        desk = platform.desk(project, "ann")
        platform.down = PlatformUnreachable("down")
        for call in (platform.check, desk.next_task, lambda: platform.tasks(project)):
            with pytest.raises(PlatformUnreachable):
                call()
        platform.down = None
        assert desk.next_task() is not None


class TestWebhooks:
    def heard(self, platform: MemoryPlatform) -> list[Any]:
        heard: list[Any] = []
        platform.on_webhook = heard.append
        return heard

    def test_nobody_registered_nobody_told(self, platform: MemoryPlatform) -> None:
        heard = self.heard(platform)
        filled(platform)
        assert heard == []

    def test_every_event_comes_in_label_studios_shape(self, platform: MemoryPlatform) -> None:
        heard = self.heard(platform)
        project = platform.create_project("demo", CONFIG).id
        platform.ensure_webhook(project, "http://us/webhook", {"X-Secret": "s"})
        ids = platform.import_tasks(project, [NewTask("a", {"text": "x"}), NewTask("b", {"text": "y"})])
        desk = platform.desk(project, "ann")
        made = desk.submit(ids["a"], result(), 2.5)
        skipped = desk.skip(ids["b"], 1.0)
        bulk = platform.annotate(ids["b"], "bob", result("b"))
        platform.change_annotation(made, result("b"))
        platform.delete_annotation(made)
        platform.configure(project, sampling="Uniform sampling")
        platform.delete_tasks(project, [ids["b"]])
        assert [event["action"] for event in heard] == [
            "TASKS_CREATED",
            "ANNOTATION_CREATED",
            "ANNOTATION_CREATED",
            "ANNOTATIONS_CREATED",
            "ANNOTATION_UPDATED",
            "ANNOTATIONS_DELETED",
            "PROJECT_UPDATED",
            "TASKS_DELETED",
        ]
        created, submitted, cancelled, many, updated, deleted, changed, gone = heard
        assert [task["data"]["hitl_id"] for task in created["tasks"]] == ["a", "b"]
        assert (submitted["annotation"]["id"], submitted["task"]["id"]) == (made, ids["a"])
        assert submitted["annotation"]["lead_time"] == 2.5
        assert (cancelled["annotation"]["id"], cancelled["annotation"]["was_cancelled"]) == (skipped, True)
        assert [annotation["id"] for annotation in many["annotation"]] == [bulk]
        assert [task["id"] for task in many["task"]] == [ids["b"]]
        assert updated["annotation"]["result"] == result("b")
        assert deleted == {
            "action": "ANNOTATIONS_DELETED",
            "annotations": [{"id": made}],
            "project": deleted["project"],
        }
        assert changed["project"]["sampling"] == "Uniform sampling"
        assert gone["tasks"] == [{"id": ids["b"]}]
        assert all(event["project"]["id"] == project for event in heard)

    def test_some_or_all_can_be_lost(self, platform: MemoryPlatform) -> None:
        heard = self.heard(platform)
        project, ids = filled(platform, 6)
        platform.ensure_webhook(project, "http://us/webhook", {})
        platform.drop_webhooks = lambda number: number % 2 == 1
        desk = platform.desk(project, "ann")
        for number in ids[:4]:
            desk.submit(number, result(), 1.0)
        assert [event["task"]["id"] for event in heard] == [ids[0], ids[2]]
        platform.drop_webhooks = True
        desk.submit(ids[4], result(), 1.0)
        assert len(heard) == 2

    def test_a_broken_receiver_never_breaks_the_annotators_submit(self, platform: MemoryPlatform) -> None:
        def broken(_: Any) -> None:
            raise RuntimeError("receiver")

        platform.on_webhook = broken
        project, ids = filled(platform, 1)
        platform.ensure_webhook(project, "http://us/webhook", {})
        assert platform.desk(project, "ann").submit(ids[0], result(), 1.0)
        assert [str(error) for error in platform.webhook_errors] == ["receiver"]

    def test_the_receiver_may_call_back(self, platform: MemoryPlatform) -> None:
        project, ids = filled(platform, 1)
        platform.ensure_webhook(project, "http://us/webhook", {})
        seen: list[int] = []
        platform.on_webhook = lambda event: seen.append(len(platform.changes(event["project"]["id"], None).tasks))
        platform.desk(project, "ann").submit(ids[0], result(), 1.0)
        assert seen == [1]


class TestServing:
    def test_a_reserved_task_is_free_again_after_its_time(self, platform: MemoryPlatform, clock: SlowClock) -> None:
        project, ids = filled(platform, 2)
        ann, bob = platform.desk(project, "ann"), platform.desk(project, "bob")
        assert ann.next_task().task_id == ids[0]  # type: ignore[union-attr]
        assert bob.next_task().task_id == ids[1]  # type: ignore[union-attr]
        clock.time += timedelta(hours=23)
        assert platform.desk(project, "cy").next_task() is None
        clock.time += timedelta(hours=2)
        assert platform.desk(project, "cy").next_task().task_id == ids[0]  # type: ignore[union-attr]

    def test_the_same_seed_serves_the_same_order(self) -> None:
        def order(seed: int) -> list[int]:
            platform = MemoryPlatform(seed=seed)
            project, _ = filled(platform, 30)
            platform.configure(project, sampling="Uniform sampling")
            return drain(platform.desk(project, "ann"))

        assert order(1) == order(1)
        assert order(1) != order(2)
        assert sorted(order(1)) == sorted(order(2))

    def test_uncertainty_without_matching_predictions_is_random(self, platform: MemoryPlatform) -> None:
        project, ids = filled(platform, 40)
        platform.import_predictions(project, [NewPrediction(ids[0], tuple(result()), 0.5, "old")])
        platform.configure(project, sampling="Uncertainty sampling")
        order = drain(platform.desk(project, "ann"))
        assert sorted(order) == ids
        assert order != ids

    def test_more_people_at_once_finish_begun_tasks_first(self, platform: MemoryPlatform) -> None:
        project, ids = filled(platform, 3)
        platform.configure(project, maximum_annotations=2)
        ann, bob = platform.desk(project, "ann"), platform.desk(project, "bob")
        ann.submit(ids[2], result(), 1.0)
        assert bob.next_task().task_id == ids[2]  # type: ignore[union-attr]

    def test_a_deleted_annotation_opens_the_task_again(self, platform: MemoryPlatform) -> None:
        project, ids = filled(platform, 2)
        desk = platform.desk(project, "ann")
        made = desk.submit(ids[0], result(), 1.0)
        desk.submit(ids[1], result(), 1.0)
        platform.delete_annotation(made)
        assert desk.next_task().task_id == ids[0]  # type: ignore[union-attr]

    def test_ten_thousands_of_tasks_are_served_and_followed(self) -> None:
        platform = MemoryPlatform()
        project, ids = filled(platform, 20_000, overlap=2)
        desks = [platform.desk(project, name) for name in ("ann", "bob", "cy")]
        for turn in range(3_000):
            desk = desks[turn % 3]
            assignment = desk.next_task()
            assert assignment is not None
            desk.submit(assignment.task_id, result(), 1.0)
        mark = platform.changes(project, None).mark
        for number in ids[:200]:
            platform.set_overlap(number, 3)
            mark_now = platform.changes(project, mark)
            assert [task.id for task in mark_now.tasks] == [number]
            mark = mark_now.mark

    def test_ten_thousands_of_scores_are_served_in_their_order(self) -> None:
        platform = MemoryPlatform()
        project, ids = filled(platform, 20_000)
        platform.import_predictions(
            project,
            [NewPrediction(number, tuple(result()), (i * 7919 % 20_000) / 20_000, "m") for i, number in enumerate(ids)],
        )
        platform.configure(project, sampling="Uncertainty sampling", model_version="m")
        desk = platform.desk(project, "ann")
        served = []
        for _ in range(2_000):
            assignment = desk.next_task()
            assert assignment is not None
            served.append(assignment.task_id)
            desk.submit(assignment.task_id, result(), 1.0)
        assert served == sorted(ids, key=lambda number: (number - 1) * 7919 % 20_000)[:2_000]


def test_threads_never_share_a_task_or_lose_an_annotation() -> None:
    platform = MemoryPlatform()
    project, ids = filled(platform, 300)
    served: dict[str, list[int]] = {}

    def work(name: str) -> None:
        served[name] = drain(platform.desk(project, name))

    threads = [threading.Thread(target=work, args=(f"a{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for numbers in served.values() for number in numbers) == ids
    assert all(len(task.annotations) == 1 for task in platform.tasks(project))


class TestHelpers:
    def test_foreign_tasks_have_no_key(self, platform: MemoryPlatform) -> None:
        project, _ = filled(platform, 1)
        number = platform.add_task(project, {"text": "theirs"})
        assert [task.key for task in platform.tasks(project)] == ["k0", None]
        assert number in platform.task_ids(project)

    def test_a_deleted_project_is_gone_with_its_tasks(self, platform: MemoryPlatform) -> None:
        project, ids = filled(platform, 1)
        platform.delete_project(project)
        for call in (
            lambda: platform.project(project),
            lambda: platform.update_task_data(ids[0], {"x": 1}),
            lambda: platform.annotate(ids[0], "ann", result()),
        ):
            with pytest.raises(PlatformNotFound):
                call()

    def test_views_show_what_they_filter_greatest_first(self, platform: MemoryPlatform) -> None:
        project, ids = filled(platform, 4)
        view = platform.ensure_view(project, "Suspected errors", "flag", "Why")
        platform.update_task_data(ids[1], {"flag": "0.500 x"})
        platform.update_task_data(ids[3], {"flag": "0.900 y"})
        platform.update_task_data(ids[0], {"flag": ""})
        assert platform.view_tasks(project, view) == [ids[3], ids[1]]

    def test_what_comes_back_is_what_json_left(self, platform: MemoryPlatform) -> None:
        project, _ = filled(platform, 1)
        data = {"text": "x", "parts": ("a", "b")}
        platform.import_tasks(project, [NewTask("t", data)])
        task = list(platform.tasks(project))[-1]
        assert task.data["parts"] == ["a", "b"]
        with pytest.raises(PlatformRejected, match="no JSON"):
            platform.import_tasks(project, [NewTask("bad", {"text": {1, 2}})])

    @pytest.mark.parametrize(
        "change",
        [{"sampling": "random"}, {"model": "m"}, {"label_config": "<View"}],
        ids=lambda change: next(iter(change)),
    )
    def test_settings_that_make_no_sense_are_rejected_and_change_nothing(
        self, platform: MemoryPlatform, change: dict[str, Any]
    ) -> None:
        project, _ = filled(platform, 1)
        before = platform.project(project)
        with pytest.raises(PlatformRejected):
            platform.configure(project, maximum_annotations=2, **change)
        assert platform.project(project) == before


def test_imported_annotations_take_no_desk_and_no_prelabel(platform: MemoryPlatform) -> None:
    project, ids = filled(platform, 1)
    platform.import_predictions(project, [NewPrediction(ids[0], tuple(result()), 0.5, "m")])
    platform.configure(project, model_version="m", maximum_annotations=2)
    platform.annotate(ids[0], "ann", result("b"), ground_truth=True)
    (task,) = platform.tasks(project)
    (annotation,) = task.annotations
    assert (annotation.annotator, annotation.prediction, annotation.ground_truth) == ("ann", None, True)
    bob = platform.desk(project, "bob")
    assert bob.next_task() is not None
    bob.submit(ids[0], result(), 1.0)
    (task,) = platform.tasks(project)
    assert task.annotations[1].prediction == "m"
    platform.delete_predictions([stored.id for stored in platform.predictions(project)])
    (task,) = platform.tasks(project)
    assert task.annotations[1].prediction is None
