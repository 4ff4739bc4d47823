"""Imports over a connection that breaks, the mark of a pull over odd clocks, and answers of strange shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from adapter.errors import PlatformRejected, PlatformUnreachable
from adapter.label_studio import imports, parse
from adapter.label_studio.mark import OVERLAP_S, Mark, advance
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.ports import NewPrediction, NewTask
from adapter.vocabulary import TASK_KEY_FIELD

CONFIG = """<View><Text name="text" value="$text"/>
<Choices name="label" toName="text"><Choice value="spam"/><Choice value="ham"/></Choices></View>"""
NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)


def result(label: str = "spam") -> tuple[dict[str, Any], ...]:
    return ({"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}},)


class Studio:
    """The few requests that an import makes. `troubles` are done, one for each import: before or after it lands."""

    def __init__(self, *troubles: str) -> None:
        self.troubles = list(troubles)
        self.tasks: dict[int, dict[str, Any]] = {}
        self.predictions: dict[int, dict[str, Any]] = {}
        self.next = 1
        self.sent = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, method = request.url.path, request.method
        if method == "POST" and path.endswith("/import/predictions"):
            return self.landing(request, self.predict)
        if method == "POST" and path.endswith("/import"):
            return self.landing(request, self.create)
        if method == "POST" and path == "/api/dm/actions/":
            for number in json.loads(request.content)["selectedItems"]["included"]:
                self.tasks.pop(number, None)
            return httpx.Response(200, json={})
        if method == "DELETE":
            self.predictions.pop(int(path.split("/")[3]), None)
            return httpx.Response(204)
        if path == "/api/tasks/":
            return httpx.Response(200, json={"tasks": self.listed(request)})
        return httpx.Response(200, json={"id": 1, "label_config": CONFIG, "maximum_annotations": 1})

    def landing(self, request: httpx.Request, land: Callable[[Any], dict[str, Any]]) -> httpx.Response:
        self.sent += 1
        trouble = self.troubles.pop(0) if self.troubles else ""
        if trouble == "before":
            raise httpx.ReadTimeout("it never came to it")
        answer = land(json.loads(request.content))
        if trouble == "after":
            raise httpx.RemoteProtocolError("the answer got lost")
        if trouble == "twice":
            land(json.loads(request.content))
            raise httpx.ReadTimeout("a proxy sent it again")
        return httpx.Response(201, json=answer)

    def create(self, body: list[dict[str, Any]]) -> dict[str, Any]:
        made = list(range(self.next, self.next + len(body)))
        self.next += len(body)
        self.tasks |= {number: item["data"] for number, item in zip(made, body, strict=True)}
        return {"task_ids": made}

    def predict(self, body: list[dict[str, Any]]) -> dict[str, Any]:
        for item in body:
            self.predictions[self.next] = {**item, "id": self.next}
            self.next += 1
        return {"created": len(body)}

    def listed(self, request: httpx.Request) -> list[dict[str, Any]]:
        conditions = json.loads(unquote(request.url.params["query"]))["filters"]["items"]
        found = self.tasks
        for one in conditions:
            if one["filter"] == "filter:tasks:id" and one["operator"] == "greater":
                found = {number: data for number, data in found.items() if number > one["value"]}
            elif one["filter"] == "filter:tasks:id":
                found = {number: data for number, data in found.items() if number in one["value"]}
            else:
                found = {number: data for number, data in found.items() if data[TASK_KEY_FIELD] in one["value"]}
        return [
            {
                "id": number,
                "data": data,
                "predictions": [one for one in self.predictions.values() if one["task"] == number],
            }
            for number, data in sorted(found.items())
        ]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "SETTLE_S", 0.0)


def platform(studio: Callable[[httpx.Request], httpx.Response]) -> LabelStudioPlatform:
    return LabelStudioPlatform("http://studio.test", "token-of-a-test", transport=httpx.MockTransport(studio))


TROUBLES = [(), ("before",), ("after",), ("twice",), ("before", "before"), ("before", "after"), ("before", "twice")]


class TestImports:
    @pytest.mark.parametrize("troubles", TROUBLES, ids=lambda troubles: "-".join(troubles) or "none")
    def test_tasks_land_once_and_in_order(self, troubles: tuple[str, ...]) -> None:
        studio = Studio(*troubles)
        keys = ["c", "a", "100%25", "ü"]
        placed = platform(studio).import_tasks(1, [NewTask(key, {"text": key}) for key in keys])
        assert list(placed) == keys
        assert list(placed.values()) == sorted(placed.values())
        assert {number: data[TASK_KEY_FIELD] for number, data in studio.tasks.items()} == {
            number: key for key, number in placed.items()
        }

    @pytest.mark.parametrize("troubles", TROUBLES, ids=lambda troubles: "-".join(troubles) or "none")
    def test_predictions_land_once(self, troubles: tuple[str, ...]) -> None:
        studio = Studio()
        there = platform(studio)
        ids = list(there.import_tasks(1, [NewTask(str(n), {"text": "t"}) for n in range(5)]).values())
        studio.troubles = list(troubles)
        created = there.import_predictions(1, [NewPrediction(number, result(), 0.5, "m1") for number in ids])
        assert created == 5
        assert sorted(one["task"] for one in studio.predictions.values()) == ids

    def test_other_versions_survive_a_broken_import(self) -> None:
        studio = Studio()
        there = platform(studio)
        (number,) = there.import_tasks(1, [NewTask("a", {"text": "t"})]).values()
        there.import_predictions(1, [NewPrediction(number, result(), 0.5, "m1")])
        studio.troubles = ["twice"]
        there.import_predictions(1, [NewPrediction(number, result(), 0.5, "m2")])
        assert sorted(one["model_version"] for one in studio.predictions.values()) == ["m1", "m2"]

    @pytest.mark.parametrize("limit", ["PREDICTIONS_AT_ONCE", "BYTES_AT_ONCE"])
    def test_many_or_large_predictions_go_in_several_requests(
        self, limit: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        studio = Studio()
        there = platform(studio)
        ids = list(there.import_tasks(1, [NewTask(str(n), {"text": "t"}) for n in range(5)]).values())
        size = len(json.dumps(result()))
        monkeypatch.setattr(imports, limit, 2 if limit == "PREDICTIONS_AT_ONCE" else 2 * size)
        studio.sent = 0
        assert there.import_predictions(1, [NewPrediction(number, result(), 0.5, "m1") for number in ids]) == 5
        assert sorted(one["task"] for one in studio.predictions.values()) == ids
        assert studio.sent == 3

    def test_a_wrong_result_is_named_for_each_task_that_has_it(self) -> None:
        rows = [NewPrediction(number, result("eggs" if number > 1 else "spam"), 0.5, "m") for number in (1, 2, 3)]
        with pytest.raises(PlatformRejected) as caught:
            platform(Studio()).import_predictions(1, rows)
        assert "task 1:" not in str(caught.value)
        assert "task 2:" in str(caught.value)
        assert "task 3:" in str(caught.value)

    def test_a_result_that_is_no_json_is_named(self) -> None:
        odd = ({**result()[0], "value": {"choices": {"spam"}}},)
        with pytest.raises(PlatformRejected, match="task 7: its result is no JSON"):
            platform(Studio()).import_predictions(1, [NewPrediction(7, odd, 0.5, "m")])

    def test_it_gives_up_when_the_connection_never_holds(self) -> None:
        studio = Studio(*["before"] * 10)
        with pytest.raises(PlatformUnreachable):
            platform(studio).import_tasks(1, [NewTask("a", {"text": "t"})])
        assert studio.sent == imports.ATTEMPTS

    @pytest.mark.parametrize(
        ("score", "version", "label", "reason"),
        [
            (1.1, "m", "spam", "not in 0..1"),
            (-0.1, "m", "spam", "not in 0..1"),
            (float("nan"), "m", "spam", "not in 0..1"),
            (0.5, " ", "spam", "no model version"),
            (0.5, "m", "eggs", "eggs"),
        ],
    )
    def test_invalid_predictions_are_named_and_none_is_sent(
        self, score: float, version: str, label: str, reason: str
    ) -> None:
        studio = Studio()
        with pytest.raises(PlatformRejected, match=reason):
            platform(studio).import_predictions(1, [NewPrediction(7, result(label), score, version)])
        assert studio.sent == 0

    def test_deleting_nothing_asks_nothing(self) -> None:
        """An empty selection would mean every task of the project."""

        def refuse(request: httpx.Request) -> httpx.Response:
            raise AssertionError(request.url)

        platform(refuse).delete_tasks(1, [])

    def test_a_server_that_ignores_the_filter_does_not_loop_for_ever(self) -> None:
        page = {"tasks": [{"id": number} for number in range(1, 5001)]}
        with pytest.raises(PlatformRejected, match="ignores filter or order"):
            platform(lambda request: httpx.Response(200, json=page)).task_ids(1)


class TestMark:
    def test_it_survives_text(self) -> None:
        for mark in (Mark(NOON, 1234.5), Mark(NOON, None)):
            assert Mark.read(str(mark)) == mark

    @pytest.mark.parametrize("text", [None, "", "yesterday", "2025-03-03|x", "|5", "2025-03-03T12:00:00|5"])
    def test_another_text_means_everything(self, text: str | None) -> None:
        assert Mark.read(text) is None

    def test_a_quiet_project_moves_on_by_the_time_that_passed(self) -> None:
        skewed = 9e9  # a proxy's clock that has nothing to do with the application's
        mark = advance(Mark(NOON, skewed), None, skewed + 60)
        assert mark is not None
        assert mark.seen == NOON + timedelta(seconds=60)
        assert mark.since == mark.seen - timedelta(seconds=OVERLAP_S)

    def test_it_never_falls_behind_what_was_seen(self) -> None:
        newest = NOON + timedelta(seconds=90)
        assert advance(Mark(NOON, 100.0), newest, 101.0) == Mark(newest, 101.0)

    def test_a_clock_that_was_set_back_does_not_set_it_back(self) -> None:
        assert advance(Mark(NOON, 100.0), None, 50.0) == Mark(NOON, 50.0)

    def test_without_a_date_header_it_follows_the_changes(self) -> None:
        later = NOON + timedelta(seconds=5)
        assert advance(Mark(NOON, None), later, None) == Mark(later, None)
        assert advance(None, None, 5.0) is None


class TestStrangeAnswers:
    @pytest.mark.parametrize(
        "raw",
        [
            None,
            [],
            "task",
            {},
            {"id": "1", "data": {}},
            {"id": True, "data": {}, "updated_at": "2025-03-03T12:00:00Z"},
            {"id": 1, "data": [], "updated_at": "2025-03-03T12:00:00Z"},
            {"id": 1, "data": {}, "updated_at": "soon"},
            {"id": 1, "data": {}, "updated_at": "2025-03-03T12:00:00"},
            {"id": 1, "data": {}, "updated_at": "2025-03-03T12:00:00Z", "annotations": {}},
            {"id": 1, "data": {}, "updated_at": "2025-03-03T12:00:00Z", "annotations": [7]},
        ],
    )
    def test_a_task_of_a_strange_shape_is_refused(self, raw: Any) -> None:
        with pytest.raises(PlatformRejected, match="version"):
            parse.task(raw)

    @pytest.mark.parametrize(
        ("name", "by", "annotator"),
        [
            (" ann@x.org, 7", 7, "ann@x.org"),
            ("Ann Other ann@x.org, 7", 7, "ann@x.org"),
            ("evil@x.org, 7 ann@x.org, 8", 8, "ann@x.org"),
            (" ann@x.org, 7", 8, "user:8"),
            ("", 8, "user:8"),
            (None, None, "user:unknown"),
        ],
    )
    def test_the_annotator_is_who_the_server_says(self, name: Any, by: Any, annotator: str) -> None:
        raw = {"id": 1, "created_at": str(NOON), "updated_at": str(NOON), "completed_by": by, "created_username": name}
        task = parse.task({"id": 2, "data": {}, "updated_at": str(NOON), "annotations": [raw]})
        assert task.annotations[0].annotator == annotator
