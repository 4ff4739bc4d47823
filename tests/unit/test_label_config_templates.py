"""The templates that Label Studio's users start from: a config of theirs must not surprise us."""

from __future__ import annotations

import importlib.util

import pytest

from adapter.errors import HitlError
from adapter.kinds import kind_of
from adapter.label_studio.label_config import parse_label_config, require_served, with_reason_header
from adapter.label_studio.templates import Row, Template, rows, templates

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("label_studio") is None,
    reason="needs the templates of an installed label-studio: pip install '.[server]'",
)


@pytest.fixture(scope="module")
def table() -> dict[str, Row]:
    return {row.template.name: row for row in rows(templates())}


def test_all_of_them_are_found() -> None:
    found = templates()
    assert len(found) == 69
    assert len({each.name for each in found}) == 69
    assert {each.edition for each in found} == {"community", "enterprise"}


def test_all_of_them_parse(table: dict[str, Row]) -> None:
    assert {name: row.wrong for name, row in table.items() if row.wrong} == {}


def test_every_control_is_served_or_left_alone_with_a_reason(table: dict[str, Row]) -> None:
    for name, row in table.items():
        assert row.controls or row.unserved, name
        assert row.support == ("full" if not row.unserved else "part" if row.controls else "none")
        for each in row.unserved:
            assert each.title.startswith("<"), name
            assert each.why, name


def test_every_served_control_says_what_it_is_and_how_it_is_compared(table: dict[str, Row]) -> None:
    for name, row in table.items():
        for each in row.controls:
            control = each.control
            assert control.tag, name
            assert control.field, name
            assert control.fields, name
            assert kind_of(control.kind).measure(control).sentence, name


def test_made_up_answers_are_accepted_and_read_back(table: dict[str, Row]) -> None:
    assert {
        f"{name}: {each.control.name}": each.wrong for name, row in table.items() for each in row.controls if each.wrong
    } == {}


def test_the_header_with_the_reason_changes_no_control(table: dict[str, Row]) -> None:
    for row in table.values():
        space = parse_label_config(row.template.config)
        assert parse_label_config(with_reason_header(row.template.config, "why")).controls == space.controls


def test_those_without_any_served_control_are_refused_at_set_up_with_all_reasons(table: dict[str, Row]) -> None:
    for row in table.values():
        space = parse_label_config(row.template.config)
        if space.controls:
            require_served(space)
            continue
        with pytest.raises(HitlError) as caught:
            require_served(space)
        assert all(each.why in str(caught.value) for each in space.unserved)


@pytest.mark.parametrize("name", ["chat/chat_eval", "chat/chat_red_team", "chat/chatbot"])
def test_conversations_are_left_alone(table: dict[str, Row], name: str) -> None:
    assert table[name].support == "none"
    assert any("conversation" in each.why for each in table[name].unserved)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("natural-language-processing/named-entity-recognition", ["spans"]),
        ("natural-language-processing/relation-extraction", ["relations", "spans"]),
        ("computer-vision/object-detection-with-bounding-boxes", ["rectangles"]),
        ("computer-vision/optical-character-recognition", ["per-region", "rectangles", "polygons", "per-region"]),
        ("ranking-and-scoring/pairwise-classification", ["pairwise"]),
        ("generative-ai/llm-ranker", ["ranker"]),
        ("audio-speech-processing/automatic-speech-recognition-using-segments", ["time", "per-region"]),
        ("videos/video-object-tracking", ["tracks"]),
    ],
)
def test_what_users_start_from_is_served_by_the_kind_for_it(table: dict[str, Row], name: str, kinds: list[str]) -> None:
    assert [each.control.kind for each in table[name].controls] == kinds


def test_a_template_that_does_not_parse_is_a_row_that_says_why() -> None:
    (row,) = rows([Template("x/y", "Broken", "community", "<View>")])
    assert (row.support, row.controls) == ("none", ())
    assert "no well-formed XML" in row.wrong


def test_without_the_server_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HitlError) as caught:
        templates()
    assert "pip install" in caught.value.remedy
    assert str(caught.value).count(". ") == 1
