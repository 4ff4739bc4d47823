"""/predict while a person works on a task: the marked words spread, the model's suggestions beside them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web_support import PASSWORD, SECRET, USER, Web, open_web

from adapter.app import App
from adapter.core.spans.spread import SCORE
from adapter.settings import Settings
from adapter.web.visits import MOST_TASKS, MOST_VISITS, UNSAVED_S, Visits

CONFIG = """<View>
  <Labels name="names" toName="text"><Label value="person"/><Label value="place"/></Labels>
  <Text name="text" value="$text"/>
  <Choices name="tone" toName="text"><Choice value="good"/><Choice value="bad"/></Choices>
  <Image name="image" value="$image"/>
  <RectangleLabels name="boxes" toName="image"><Label value="cell"/></RectangleLabels>
</View>
"""
TEXT = "Ann met Bob in Rome. Ann left; Annette stayed with Ann in Rome."
Item = dict[str, Any]


class Suggesting:
    """A model that suggests what it is told to, and never pre-labels a region."""

    def __init__(self, *found: Any) -> None:
        self.found = list(found)
        self.asked: list[tuple[str, Any, list[Any]]] = []

    def predict(self, examples: Sequence[Any]) -> dict[str, Any]:
        return {"tone": np.full((len(examples), 2), 0.5, np.float32)}

    def regions(self, examples: Sequence[Any]) -> dict[str, Any]:
        return {"names": [[] for _ in examples]}

    def suggest(self, name: str, example: Any, drawn: Sequence[Any]) -> Any:
        self.asked.append((name, example, list(drawn)))
        if self.found and isinstance(self.found[0], Exception):
            raise self.found[0]
        return self.found[0] if self.found and not isinstance(self.found[0], dict) else self.found


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    (tmp_path / "names.xml").write_text(CONFIG, encoding="utf-8")
    project = {"name": "spam", "label_config": str(tmp_path / "names.xml"), "blind": {"share": 0.3}}
    secrets = {"backend_password": PASSWORD, "webhook_secret": SECRET, "backend_user": USER}
    backends = {"names": {"path": "word_list:WordList"}, "boxes": {"path": "word_list:WordList"}}
    app = App(
        Settings.model_validate(
            {
                "home": tmp_path / "home",
                "config": tmp_path,
                "projects": {"spam": {**project, "backends": backends}},
                "web": secrets,
            }
        )
    )
    app.store.projects.ensure("spam", "digest")
    app.store.projects.bind("spam", 7)
    bundles: dict[str, Any] = {}
    client, service = open_web(app, bundles)
    with client:
        assert service.host.wait_ready(5)
        yield Web(app, client, service, bundles)
    app.close()


def span(word: str, nth: int = 0, label: str = "person", **more: Any) -> Item:
    """The nth place of a word as the page tells it, with an id of the page's making."""
    start = -1
    for _ in range(nth + 1):
        start = TEXT.index(word, start + 1)
    value = {"start": start, "end": start + len(word), "text": word, "labels": [label]}
    name = f"{word}-{nth}-{label}"
    return {"id": name, "from_name": "names", "to_name": "text", "type": "labels", "value": value, **more}


def found(word: str, nth: int = 0, label: str = "person", score: float = 0.8) -> Item:
    """The same place as a model suggests it."""
    value = span(word, nth)["value"]
    return {"labels": [label], "value": {"start": value["start"], "end": value["end"]}, "score": score}


def ask(web: Web, *drawn: Any, blind: bool = False, number: int = 1, **more: Any) -> Item:
    """What a page with these regions is answered."""
    task = {"id": number, "data": {"text": TEXT, "hitl_id": web.blind_key(blind)}, "project": 7, **more}
    (result,) = web.predict(task, params={"context": {"result": list(drawn)}})
    assert set(result) == {"result", "score", "model_version"}
    made: Item = result
    return made


def marked(result: Item) -> list[tuple[int, str]]:
    return [(item["value"]["start"], item["value"]["labels"][0]) for item in result["result"]]


def test_a_marked_span_is_spread_without_any_model(web: Web) -> None:
    answer = ask(web, span("Ann"))
    assert marked(answer) == [(21, "person"), (51, "person")]
    assert answer["score"] == SCORE
    assert answer["model_version"] == "none"
    first = answer["result"][0]
    assert {key: first[key] for key in ("from_name", "to_name", "type", "score")} == {
        "from_name": "names",
        "to_name": "text",
        "type": "labels",
        "score": SCORE,
    }
    assert first["value"]["text"] == "Ann"
    assert web.faults() == []


def test_the_models_suggestions_stand_beside_it_in_reading_order(web: Web) -> None:
    model = Suggesting(found("Bob", score=0.7), found("Rome", 1, "place"))
    web.promote("spam-1", model)
    answer = ask(web, span("Ann"))
    assert marked(answer) == [(8, "person"), (21, "person"), (51, "person"), (58, "place")]
    assert answer["score"] == pytest.approx(0.7)
    [(name, example, drawn)] = model.asked
    assert name == "names"
    assert example["text"] == TEXT
    assert [region["value"]["start"] for region in drawn] == [0]


def test_what_is_drawn_is_not_suggested_whatever_the_model_says(web: Web) -> None:
    web.promote("spam-1", Suggesting(found("Ann"), found("Ann", 1, "place"), found("Rome", 0, "place"), found("Ann l")))
    answer = ask(web, span("Rome", label="place"), span("Ann"))
    assert marked(answer) == [(21, "person"), (51, "person")]  # the person has said what "Ann" is


def test_of_a_blind_task_the_model_does_not_speak(web: Web) -> None:
    model = Suggesting(found("Bob"))
    web.promote("spam-1", model)
    assert marked(ask(web, span("Ann"), blind=True)) == [(21, "person"), (51, "person")]
    assert model.asked == []
    assert marked(ask(web, span("Ann"), number=2)) == [(8, "person"), (21, "person"), (51, "person")]


def test_a_model_that_fails_costs_only_its_own_suggestions(web: Web) -> None:
    web.promote("spam-1", Suggesting(RuntimeError("the model burst")))
    assert marked(ask(web, span("Ann"))) == [(21, "person"), (51, "person")]
    assert any("the model suggests nothing: RuntimeError" in message for message in web.faults())


@pytest.mark.parametrize(
    "said",
    [
        None,
        [None, 3, "x"],
        [{}],
        [{"labels": ["nobody"], "value": {"start": 8, "end": 11}}],
        [{"labels": ["person"], "value": {"start": 11, "end": 8}}],
        [{"labels": ["person"], "value": {"start": 8, "end": 11}, "score": float("nan")}],
        [{"labels": ["person"], "value": {"start": float("inf"), "end": 11}}],
        [{"labels": ["person"], "value": [8, 11]}],
        7,
    ],
)
def test_nonsense_of_a_model_is_passed_over(web: Web, said: Any) -> None:
    model = Suggesting()
    model.found = [said]
    web.promote("spam-1", model)
    assert marked(ask(web, span("Ann"))) == [(21, "person"), (51, "person")]


def test_ids_follow_from_what_is_suggested(web: Web) -> None:
    web.promote("spam-1", Suggesting({**found("Bob"), "id": "mine"}, {**found("Rome"), "id": "mine"}))
    one, two = ask(web, span("Ann")), ask(web, span("Ann"), number=2)
    names = [item["id"] for item in one["result"]]
    assert names == [item["id"] for item in two["result"]]
    assert len(set(names)) == 4
    assert "mine" not in names


def test_only_controls_of_regions_are_answered(web: Web) -> None:
    tone = {"id": "c", "from_name": "tone", "to_name": "text", "type": "choices", "value": {"choices": ["good"]}}
    web.promote("spam-1", Suggesting(found("Bob")))
    assert ask(web, tone) == {"result": [], "score": 0.0, "model_version": "spam-1"}
    assert marked(ask(web, span("Ann"), tone)) == [(8, "person"), (21, "person"), (51, "person")]


def test_a_page_on_which_nothing_is_left_gets_nothing(web: Web) -> None:
    web.promote("spam-1", Suggesting(found("Bob")))
    assert ask(web) == {"result": [], "score": 0.0, "model_version": "spam-1"}


def test_a_removed_suggestion_does_not_come_back(web: Web) -> None:
    web.promote("spam-1", Suggesting(found("Bob")))
    first = ask(web, span("Ann"))
    taken = {item["id"]: item for item in first["result"]}
    removed = next(name for name, item in taken.items() if item["value"]["start"] == 51)
    left = [item for name, item in taken.items() if name != removed]
    assert ask(web, span("Ann"), *left)["result"] == []  # nothing new is drawn
    assert ask(web, *left)["result"] == []
    again = ask(web, span("Ann"), *left, span("Rome", label="place"))
    assert marked(again) == [(58, "place")]  # Bob was there before, and is no news
    bob = next(item for item in left if item["value"]["start"] == 8)
    without = [item for item in left if item is not bob]
    assert marked(ask(web, span("Ann"), *without, span("Ann", 3))) == []


def test_another_person_at_the_same_task_gets_all_of_it(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.promote("spam-1", Suggesting(found("Bob")))
    assert len(ask(web, span("Ann"))["result"]) == 3
    monkeypatch.setattr("adapter.web.visits.UNSAVED_S", 0.0)
    assert len(ask(web, span("Ann", id="of another page"))["result"]) == 3


def test_the_saved_draft_tells_the_rest_of_the_page(web: Web) -> None:
    web.promote("spam-1", Suggesting(found("Rome", 0, "person"), found("Bob")))
    saved = [span("Rome", label="place"), span("Ann", 1)]
    drafts = [
        {"result": [span("Bob")], "updated_at": "2026-01-01T00:00:00Z"},
        {"result": saved, "updated_at": "2026-01-01T00:00:05Z"},
    ]
    # Rome is a place already; the second Ann was removed since: of its label the page tells all that is there.
    assert marked(ask(web, span("Ann"), drafts=drafts)) == [(8, "person"), (21, "person"), (51, "person")]
    assert marked(ask(web, span("Ann"), number=2)) == [(8, "person"), (15, "person"), (21, "person"), (51, "person")]


def test_the_pre_label_that_the_page_began_with_is_no_news(web: Web) -> None:
    web.promote("spam-1", Suggesting(found("Bob"), found("Rome", 0, "place")))
    (bob,) = ask(web, span("Ann"), number=9)["result"][:1]
    shown = [{"model_version": "spam-1", "result": [bob]}, {"model_version": "spam-0", "result": [span("Rome")]}]
    assert marked(ask(web, bob, predictions=shown)) == []
    assert marked(ask(web, bob, span("Ann"), predictions=shown, number=3)) == [
        (15, "place"),
        (21, "person"),
        (51, "person"),
    ]


def test_on_a_picture_what_was_drawn_to_ask_is_repeated(web: Web) -> None:
    def box(x: float, **more: Any) -> Item:
        value = {"x": x, "y": 10, "width": 10, "height": 10, "rotation": 0, "rectanglelabels": ["cell"]}
        made = {"from_name": "boxes", "to_name": "image", "type": "rectanglelabels", "value": value}
        return {**made, "original_width": 100, "original_height": 100, "image_rotation": 0, **more}

    size = {"original_width": 100, "original_height": 100, "image_rotation": 0}
    other = {
        "labels": ["cell"],
        "value": {"x": 50, "y": 10, "width": 10, "height": 10, "rotation": 0},
        "envelope": size,
    }
    same = {**other, "value": {**other["value"], "x": 11}}
    web.promote("spam-1", Suggesting({**other, "score": 0.6}, {**same, "score": 0.9}))
    answer = ask(web, box(10, id="asked"))
    assert sorted(item["value"]["x"] for item in answer["result"]) == [10, 50]
    assert "asked" not in {item["id"] for item in answer["result"]}
    assert answer["score"] == pytest.approx(0.6)
    web.promote("spam-2", Suggesting())
    assert ask(web, box(10, id="asked"), number=2)["result"] == []  # alone it is no suggestion


def test_many_people_at_once_each_get_their_answer(web: Web) -> None:
    web.promote("spam-1", Suggesting(found("Bob")))
    answers: dict[int, Any] = {}

    def work(number: int) -> None:
        answers[number] = marked(ask(web, span("Ann", (0, 1, 3)[number % 3]), number=number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    starts = [0, 21, 51]
    for number, answer in answers.items():
        others = [start for start in starts if start != starts[number % 3]]
        assert answer == sorted([(8, "person"), *((start, "person") for start in others)])


json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "from_name", "to_name", "type", "value", "start", "end", "labels", "result", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
items = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b", "", 3, None, ["a"]]),
        "from_name": st.sampled_from(["names", "boxes", "tone", "nobody", 3, None, ["names"]]),
        "to_name": st.sampled_from(["text", "image", 3, None]) | json,
        "type": st.sampled_from(["labels", "rectanglelabels", "choices", None, 3]),
        "value": st.fixed_dictionaries(
            {},
            optional={
                "start": st.integers(-2, 70) | json,
                "end": st.integers(-2, 70) | json,
                "labels": st.sampled_from([["person"], ["place"], ["x"], "person", None, [3]]) | json,
                "text": json,
                "x": json,
                "width": json,
            },
        )
        | json,
        "score": json,
    },
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(items | json, max_size=4), json, json, st.booleans())
def test_no_page_however_hostile_breaks_an_answer(
    web: Web, drawn: list[Any], drafts: Any, shown: Any, draft: bool
) -> None:
    import orjson

    if "spam-1" not in web.bundles:
        web.promote("spam-1", Suggesting(found("Bob")))
    task = {"id": 1, "data": {"text": TEXT, "hitl_id": web.blind_key(False)}, "predictions": shown}
    task["drafts"] = [{"result": drawn[::-1], "updated_at": drafts}] if draft else drafts
    body = {"project": "7.1", "tasks": [task, None], "params": {"context": {"result": drawn, "more": shown}}}
    try:
        sent = orjson.dumps(body)
    except (TypeError, orjson.JSONEncodeError):
        return  # a number that JSON here does not have
    reply = web.post("/predict", sent)
    assert reply.status_code == 200
    answer, other = reply.json()["results"]
    assert other == {"result": [], "score": 0.0, "model_version": "spam-1"}
    assert 0 <= answer["score"] <= 1
    assert not [message for message in web.faults() if "no suggestions" in message]
    for item in answer["result"]:
        if item["from_name"] == "names":
            assert 0 <= item["value"]["start"] < item["value"]["end"]


@pytest.mark.parametrize("context", ["x", 3, [], {"result": None}, {"result": {"a": 1}}, {"event": "x"}])
def test_a_context_that_tells_no_regions_asks_for_a_prediction(web: Web, context: Any) -> None:
    web.promote("spam-1", Suggesting())
    task = {"id": 1, "data": {"text": TEXT, "hitl_id": web.blind_key(False)}}
    (answer,) = web.predict(task, params={"context": context})
    assert [item["from_name"] for item in answer["result"]] == ["tone"]


def test_visits_are_told_apart_and_forgotten_in_time() -> None:
    visits = Visits()
    one = visits.of(1, {"a"}, 0.0)
    one.drawn.add("a")
    assert visits.of(1, {"a", "b"}, 1_000.0) is one
    assert visits.of(1, {"c"}, 1_000.0 + UNSAVED_S / 2) is one
    other = visits.of(1, {"c"}, 2_000.0)
    assert other is not one
    assert visits.of(2, {"a"}, 2_000.0) is not one
    assert visits.of(None, {"a"}, 2_000.0) is not one
    for number in range(MOST_VISITS):
        visits.of(1, {str(number)}, 3_000.0 + UNSAVED_S * number)
    assert visits.of(1, {"a"}, 9_000.0) is not one
    kept = visits.of(3, {"a"}, 0.0)
    for number in range(10, 10 + MOST_TASKS):
        visits.of(number, set(), 0.0)
    assert visits.of(3, {"a"}, 0.0) is not kept
