"""Our Label Studio client against the real server, beyond what the contract of platforms asks."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from adapter.errors import PlatformNotFound, PlatformRefused
from adapter.label_studio.client import Client
from adapter.label_studio.desk import LabelStudioDesk
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.mark import OVERLAP_S
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.label_studio.users import annotator_email, annotator_password, make_annotator, token_by_password
from adapter.ports import NewPrediction, NewTask

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CONFIG = """<View><Text name="text" value="$text"/>
<Choices name="label" toName="text"><Choice value="spam"/><Choice value="ham"/></Choices></View>"""


def result(label: str = "spam") -> tuple[dict[str, Any], ...]:
    return ({"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}},)


def new(count: int, start: int = 0) -> list[NewTask]:
    return [NewTask(f"k{n}", {"text": f"text {n}"}) for n in range(start, start + count)]


class LosesAnswers(httpx.HTTPTransport):
    """Sends everything; loses the answers to the first `count` imports."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if self.left and request.method == "POST" and "/import" in request.url.path:
            self.left -= 1
            answer.read()
            answer.close()
            raise httpx.ReadTimeout("the answer got lost", request=request)
        return answer


@pytest.fixture(scope="module")
def platform(label_studio: EmbeddedServer) -> LabelStudioPlatform:
    return LabelStudioPlatform(label_studio.url, label_studio.token)


@pytest.fixture
def project(platform: LabelStudioPlatform, request: pytest.FixtureRequest) -> int:
    return platform.create_project(request.node.name[:45], CONFIG).id


def test_a_personal_access_token_works_as_well(label_studio: EmbeddedServer) -> None:
    admin = Client(label_studio.url, label_studio.token)
    admin.post("/api/jwt/settings", {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True})
    personal = admin.post("/api/token/", {})["token"]
    assert personal.count(".") == 2
    there = LabelStudioPlatform(label_studio.url, personal)
    assert there.check() == LabelStudioPlatform(label_studio.url, label_studio.token).check()
    made = there.create_project("by a personal token", CONFIG)
    assert len(there.import_tasks(made.id, new(3))) == 3


def test_a_wrong_token_is_refused_with_advice(label_studio: EmbeddedServer) -> None:
    with pytest.raises(PlatformRefused, match="HITL_LABEL_STUDIO_TOKEN") as caught:
        LabelStudioPlatform(label_studio.url, "f" * 40).check()
    assert "f" * 40 not in str(caught.value)


def test_an_annotator_is_made_once_and_can_log_in(label_studio: EmbeddedServer) -> None:
    token = make_annotator(label_studio, "Ann Other")
    assert make_annotator(label_studio, "Ann Other") == token != label_studio.token
    email = annotator_email("Ann Other")
    assert email == "ann-other@annotators.local"
    assert token_by_password(label_studio.url, email, annotator_password(label_studio, "Ann Other")) == token
    with pytest.raises(PlatformRefused):
        token_by_password(label_studio.url, email, "not it")


@pytest.mark.parametrize("lost", [1, 2])
def test_an_import_whose_answer_got_lost_lands_once(
    label_studio: EmbeddedServer, platform: LabelStudioPlatform, project: int, lost: int
) -> None:
    shaky = LabelStudioPlatform(label_studio.url, label_studio.token, transport=LosesAnswers(lost))
    placed = shaky.import_tasks(project, new(300))
    assert platform.task_ids(project) == set(placed.values())
    assert list(placed.values()) == sorted(placed.values())
    shaky = LabelStudioPlatform(label_studio.url, label_studio.token, transport=LosesAnswers(lost))
    rows = [NewPrediction(number, result(), 0.5, "m1") for number in placed.values()]
    assert shaky.import_predictions(project, rows) == 300
    assert platform.prediction_versions(project) == {"m1": 300}


def test_a_large_import_keeps_its_order(platform: LabelStudioPlatform, project: int) -> None:
    tasks = new(2300)
    placed = platform.import_tasks(project, tasks)
    assert [task.key for task in tasks] == sorted(placed, key=lambda key: placed[key])
    assert len(platform.find_tasks(project, [task.key for task in tasks[::3]])) == len(tasks[::3])


def test_order_is_kept_beside_tasks_that_ask_two_people(
    label_studio: EmbeddedServer, platform: LabelStudioPlatform, project: int
) -> None:
    tasks = [NewTask(f"k{n}", {"text": f"text {n}"}, overlap=2 if n in (1, 4) else 1) for n in range(6)]
    ids = list(platform.import_tasks(project, tasks).values())
    desks = [LabelStudioDesk(label_studio.url, make_annotator(label_studio, name), project) for name in ("ann", "bob")]
    served: list[list[int]] = []
    for desk in desks:
        mine: list[int] = []
        while (assignment := desk.next_task()) is not None:
            desk.submit(assignment.task_id, result(), 1.0)
            mine.append(assignment.task_id)
        served.append(mine)
    assert served == [ids, [ids[1], ids[4]]]


def test_an_import_leaves_the_overlap_of_other_tasks(platform: LabelStudioPlatform, project: int) -> None:
    first = platform.import_tasks(project, new(2))
    platform.set_overlap(first["k1"], 3)
    platform.import_tasks(project, new(2, start=2))
    assert [task.overlap for task in platform.tasks(project)] == [1, 3, 1, 1]


def test_asking_fewer_people_closes_a_task_that_has_enough(
    label_studio: EmbeddedServer, platform: LabelStudioPlatform, project: int
) -> None:
    (number,) = platform.import_tasks(project, [NewTask("a", {"text": "t"}, overlap=2)]).values()
    ann, bob = (
        LabelStudioDesk(label_studio.url, make_annotator(label_studio, name), project) for name in ("ann", "bob")
    )
    ann.submit(number, result(), 1.0)
    platform.set_overlap(number, 1)
    assert bob.next_task() is None


def test_every_kind_of_change_is_seen_and_a_quiet_project_costs_nothing(
    label_studio: EmbeddedServer, platform: LabelStudioPlatform, project: int
) -> None:
    ids = list(platform.import_tasks(project, new(8)).values())
    platform.import_predictions(project, [NewPrediction(number, result(), 0.5, "m1") for number in ids])
    raw = Client(label_studio.url, label_studio.token)
    desk = LabelStudioDesk(label_studio.url, make_annotator(label_studio, "ann"), project)
    first = [desk.submit(number, result(), 1.0) for number in ids[:3]]
    mark: str | None = platform.changes(project, None).mark

    def quiet() -> None:
        nonlocal mark
        deadline = time.monotonic() + 3 * OVERLAP_S
        while (changes := platform.changes(project, mark)).tasks:
            mark = changes.mark
            assert time.monotonic() < deadline, "the same changes come for ever"
            time.sleep(1.0)
        mark = changes.mark

    def changed() -> set[int]:
        return {task.id for task in platform.changes(project, mark).tasks}

    quiet()
    select = {"selectedItems": {"all": False, "included": ids[1:3]}}
    raw.patch(f"/api/annotations/{first[0]}/", {"result": list(result("ham"))})
    raw.post("/api/dm/actions/", select, {"id": "delete_tasks_annotations", "project": project})
    desk.skip(ids[3], 1.0)
    select = {"selectedItems": {"all": False, "included": ids[4:6]}, "model_version": "m1"}
    raw.post("/api/dm/actions/", select, {"id": "predictions_to_annotations", "project": project})
    assert changed() == set(ids[:6])
    quiet()
    raw.delete(f"/api/annotations/{first[0]}/")
    platform.import_predictions(project, [NewPrediction(number, result(), 0.5, "m2") for number in ids])
    assert changed() == {ids[0]}


def test_a_desk_can_follow_a_views_order(
    label_studio: EmbeddedServer, platform: LabelStudioPlatform, project: int
) -> None:
    ids = list(platform.import_tasks(project, new(5)).values())
    platform.update_task_data(ids[1], {"hitl_flag": "0.400 label issue"})
    platform.update_task_data(ids[3], {"hitl_flag": "0.900 label issue"})
    view = platform.ensure_view(project, "Suspected errors", "hitl_flag", "Why doubted")
    desk = LabelStudioDesk(label_studio.url, make_annotator(label_studio, "ann"), project, view=view)
    served = []
    while (assignment := desk.next_task()) is not None:
        desk.submit(assignment.task_id, result(), 1.0)
        served.append(assignment.task_id)
    assert served == [ids[3], ids[1]]


def test_a_desk_at_a_project_that_is_gone_is_not_an_empty_queue(label_studio: EmbeddedServer) -> None:
    desk = LabelStudioDesk(label_studio.url, label_studio.token, 987_654)
    with pytest.raises(PlatformNotFound):
        desk.next_task()
