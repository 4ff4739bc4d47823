from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import tiny_bert, tiny_roberta

from adapter.core.spans.spread import SCORE
from adapter.core.spans.words import words_of
from adapter.errors import BackendError, ModelError
from adapter.testing_region_backends import CHECKS, RegionMaterial
from backends.token_spans import TokenSpans, _tags

NAMES = ("Anna Smith", "Maria Jones", "Anna", "Maria")
PLACES = ("Paris", "Berlin", "London", "Oslo")
FRAMES = ("{p} lives in {l}", "hello {p} in {l} today", "the meeting moved to {l} for {p}", "{p} visits {l} and {p}")
FAST = {"epochs": 12, "learning_rate": 3e-3, "batch_size": 8}


def example(frame: str, person: str, place: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    text, regions = frame, []
    while "{" in text:
        at = text.index("{")
        label, word = ("PER", person) if text[at + 1] == "p" else ("LOC", place)
        text = text[:at] + word + text[at + 3 :]
        regions.append({"labels": [label], "value": {"start": at, "end": at + len(word)}})
    return {"text": text}, regions


def examples() -> tuple[list[dict[str, str]], list[list[dict[str, Any]]]]:
    made = [
        example(frame, NAMES[(number + turn) % 4], PLACES[(number * 3 + turn) % 4])
        for turn in range(8)
        for number, frame in enumerate(FRAMES)
    ]
    made += [({"text": "see you at dinner tonight"}, []), ({"text": "cold cash prize now"}, [])]
    return [one for one, _ in made], [regions for _, regions in made]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_bert(tmp_path_factory.mktemp("spans") / "model"))


@cache
def material(model: str) -> RegionMaterial:
    texts, regions = examples()
    return RegionMaterial(
        TokenSpans,
        ("text",),
        "spans",
        ("PER", "LOC"),
        texts,
        regions,
        unreadable={"text": None},
        empty={"text": "  "},
        options={"model": model, **FAST},
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_token_spans_keep_the_contract(
    model: str, check: Callable[[RegionMaterial, Path], None], tmp_path: Path
) -> None:
    check(material(model), tmp_path)


def fitted(model: str, **options: Any) -> TokenSpans:
    texts, regions = examples()
    backend = TokenSpans(("text",), **{"model": model, **FAST, **options})
    backend.fit(texts, regions, labels=("PER", "LOC"), weights=np.ones(len(texts), np.float32), seed=0)
    return backend


@cache
def once(model: str) -> TokenSpans:
    return fitted(model)


def shown(regions: list[dict[str, Any]] | None) -> list[tuple[str, str]]:
    assert regions is not None
    return [(one["value"]["text"], one["labels"][0]) for one in regions if one["score"] >= 0.5]


def test_names_are_found_in_sentences_that_it_has_not_seen(model: str) -> None:
    text = "thanks for the call Anna Smith see you in Oslo"
    assert shown(once(model).predict([{"text": text}])[0]) == [("Anna Smith", "PER"), ("Oslo", "LOC")]


def test_long_texts_are_read_to_their_end(model: str) -> None:
    filler = "the meeting moved to monday and call your mother please " * 30
    text = f"hello Anna Smith in Paris today {filler} Maria Jones lives in Oslo"
    found = once(model).predict([{"text": text}])[0]
    assert found is not None
    ends = [one for one in found if one["score"] >= 0.5 and one["value"]["start"] >= len(text) - 30]
    assert [(one["value"]["text"], one["labels"][0]) for one in ends] == [("Maria Jones", "PER"), ("Oslo", "LOC")]


def test_a_span_on_the_border_of_two_windows_is_found_once_and_whole(model: str) -> None:
    backend = once(model)
    for words in range(40, 70):
        text = "well " * words + "Anna Smith lives in Paris"
        assert ("Anna Smith", "PER") in shown(backend.predict([{"text": text}])[0]), words


def test_doubtful_spans_are_told_with_their_scores(model: str) -> None:
    found = fitted(model, epochs=1, learning_rate=1e-5).predict([{"text": "hello Anna Smith in Paris today"}])[0]
    assert found is not None
    assert any(0.05 <= one["score"] < 0.5 for one in found)


def test_examples_count_by_their_weight(model: str) -> None:
    texts, regions = examples()
    silent = [[] for _ in regions]
    backend = TokenSpans(("text",), model=model, **FAST)
    weights = np.asarray([1.0] * len(texts) + [30.0] * len(texts), np.float32)
    backend.fit([*texts, *texts], [*regions, *silent], labels=("PER", "LOC"), weights=weights, seed=0)
    assert not any(shown(found) for found in backend.predict(texts))


def test_early_stopping_from_forty_texts_on(model: str) -> None:
    texts, regions = examples()
    many = [{"text": f"{one['text']} {number}"} for number in range(4) for one in texts]
    backend = TokenSpans(("text",), model=model, **FAST)
    backend.fit(many, regions * 4, labels=("PER", "LOC"), weights=np.ones(len(many), np.float32), seed=0)
    assert backend.tuned is not None
    assert len(backend.tuned.losses) == backend.tuned.epochs + 1
    assert backend.tuned.best == int(np.argmin(backend.tuned.losses))


def test_examples_with_spans_of_pages_are_left_out(model: str) -> None:
    texts, regions = examples()
    page = {"labels": ["PER"], "value": {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "startOffset": 0}}
    outside = {"labels": ["PER"], "value": {"start": 3, "end": 10_000}}
    backend = TokenSpans(("text",), model=model, **FAST)
    one = np.ones(len(texts) + 2, np.float32)
    backend.fit([*texts, *texts[:2]], [*regions, [page], [outside]], labels=("PER", "LOC"), weights=one, seed=0)
    assert shown(backend.predict(texts[:1])[0])
    with pytest.raises(BackendError, match="Mark spans in some tasks"):
        backend.fit(texts[:2], [[page], [outside]], labels=("PER", "LOC"), weights=one[:2], seed=0)


def test_spans_of_labels_that_the_control_lost_teach_nothing_there() -> None:
    text = "Anna Smith in Paris"
    words = words_of(text)
    regions = [
        {"labels": ["GONE"], "value": {"start": 0, "end": 10}},
        {"labels": ["LOC"], "value": {"start": 14, "end": 19}},
    ]
    assert _tags(text, words, regions, ("PER", "LOC")).tolist() == [-1, -1, 0, 3]


def test_of_overlapping_spans_the_surer_then_the_longer_is_learned() -> None:
    text = "Anna Smith in Paris"
    words = words_of(text)
    long, short = {"start": 0, "end": 10}, {"start": 5, "end": 10}
    twice = [{"labels": ["LOC"], "value": short}, {"labels": ["PER"], "value": long}]
    assert _tags(text, words, twice, ("PER", "LOC")).tolist() == [1, 2, 0, 0]
    sure = [{"labels": ["LOC"], "value": short, "score": 0.9}, {"labels": ["PER"], "value": long, "score": 0.6}]
    assert _tags(text, words, sure, ("PER", "LOC")).tolist() == [0, 3, 0, 0]


def test_a_byte_level_tokenizer_marks_the_same_words(tmp_path: Path) -> None:
    backend = fitted(str(tiny_roberta(tmp_path / "roberta")), epochs=20)
    assert shown(backend.predict([{"text": "hello Anna Smith in Paris today"}])[0]) == [
        ("Anna Smith", "PER"),
        ("Paris", "LOC"),
    ]


@pytest.mark.parametrize(
    "text",
    ["", " \n", "\x00\x01", "\ud800 Anna", "\u0301\u0301", "\u200d", "a" * 5_000, "Anna\r\n\tSmith", "王小明住在巴黎"],
)
def test_any_text_gets_an_answer(model: str, text: str) -> None:
    found, other = once(model).predict([{"text": text}, {"text": 7}])
    assert found is not None
    assert other is None
    for one in found:
        assert (
            text.encode("utf-8", "replace").decode()[one["value"]["start"] : one["value"]["end"]]
            == one["value"]["text"]
        )


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200))
def test_predicted_spans_lie_in_the_text_whatever_it_is(model: str, text: str) -> None:
    found = once(model).predict([{"text": text}])[0]
    assert found is not None
    for one in found:
        start, end = one["value"]["start"], one["value"]["end"]
        assert 0 <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip() == one["value"]["text"]


def test_marks_and_suggestions_of_hostile_payloads_are_passed_over(model: str) -> None:
    drawn: list[Any] = [
        {},
        {"labels": "PER", "value": {"start": 0, "end": 4}},
        {"labels": [["PER"]], "value": {"start": 0, "end": 4}},
        {"labels": ["PER"], "value": None},
        {"labels": ["PER"], "value": {"start": -1, "end": 4}},
        {"labels": ["PER"], "value": {"start": True, "end": 4}},
        {"labels": ["PER"], "value": {"start": 0, "end": 10**9}},
        {"labels": ["PER"], "value": {"start": 2, "end": 2}},
    ]
    fresh = TokenSpans(("text",), model=model)
    assert fresh.suggest({"text": "Anna met Anna"}, drawn, ("PER",)) == []
    assert fresh.suggest({"text": None}, drawn, ("PER",)) == []


def test_a_marked_span_is_spread_before_any_training(model: str) -> None:
    fresh = TokenSpans(("text",), model=model)
    drawn = [{"labels": ["PER"], "value": {"start": 0, "end": 4}}]
    found = fresh.suggest({"text": "Anna met Annabel, and Anna's dog saw anna."}, drawn, ("PER", "LOC"))
    assert [(one["value"]["start"], one["value"]["end"], one["labels"]) for one in found] == [(22, 26, ["PER"])]
    assert [one["score"] for one in found] == [SCORE]
    assert fresh.suggest({"text": "Anna met Anna"}, drawn, ("LOC",)) == [], "only labels that were asked for"


def test_a_trained_model_adds_what_is_not_drawn(model: str) -> None:
    text = "hello Anna Smith in Paris today"
    backend = once(model)
    drawn = [{"labels": ["PER"], "value": {"start": 6, "end": 16}}]
    assert shown(backend.suggest({"text": text}, drawn, ("PER", "LOC"))) == [("Paris", "LOC")]
    assert backend.suggest({"text": text}, drawn, ("PER",)) == [], "only labels that were asked for"


def test_files_of_another_labels_list_are_refused(model: str, tmp_path: Path) -> None:
    once(model).save(tmp_path)
    about = json.loads((tmp_path / "backend.json").read_text())
    about["labels"] = ["PER"]
    (tmp_path / "backend.json").write_text(json.dumps(about))
    with pytest.raises(ModelError, match="TokenSpans"):
        TokenSpans(("text",), model=model).load(tmp_path)


def test_inputs_that_do_not_fit_are_refused(model: str) -> None:
    backend = TokenSpans(("text",), model=model)
    with pytest.raises(BackendError, match="do not fit"):
        backend.fit([{"text": "a"}], [], labels=("PER",), weights=np.ones(1, np.float32), seed=0)
    with pytest.raises(BackendError, match="not finite"):
        backend.fit([{"text": "a"}], [[]], labels=("PER",), weights=np.full(1, np.nan, np.float32), seed=0)
