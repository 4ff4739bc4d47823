"""Text: codec, comparison, and the consensus of several transcripts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import LabelConfigError, LabelError
from adapter.kinds import kind_of
from adapter.kinds.base import Given, Tag
from adapter.vocabulary import Control

KIND = kind_of("text")
CONTROL = KIND.control(
    Tag("TextArea", {"name": "answer", "toName": "audio"}, (), {"audio": Tag("Audio", {"value": "$url"})})
)
TEXTS = st.lists(st.text(max_size=40), min_size=1, max_size=3).map(tuple)


def merged(*said: str, gold: str | None = None, others: dict[str, dict[str, Any]] | None = None) -> Any:
    votes = {"t": {f"p{n}": (text,) for n, text in enumerate(said)}, **(others or {})}
    known = {} if gold is None else {"t": (gold,)}
    return KIND.consensus(CONTROL, votes, Given(gold=known)).merged["t"]


def test_a_text_area_is_parsed_with_its_field_and_limit() -> None:
    tag = Tag(
        "TextArea",
        {"name": "answer", "toName": "audio", "maxSubmissions": "1", "required": "true"},
        (),
        {"audio": Tag("Audio", {"value": "$url"})},
    )
    control = KIND.control(tag)
    assert (control.field, control.object_tag, control.required, control.options["most"]) == ("url", "Audio", True, 1)
    with pytest.raises(LabelError, match="at most 1"):
        KIND.canonical(control, ["a", "b"])


def test_a_limit_that_is_no_number_is_refused() -> None:
    tag = Tag("TextArea", {"name": "a", "toName": "t", "maxSubmissions": "one"}, (), {"t": Tag("Text", {})})
    with pytest.raises(LabelConfigError, match="whole number"):
        KIND.control(tag)


@given(TEXTS)
def test_what_is_written_reads_back_through_json(value: tuple[str, ...]) -> None:
    items = json.loads(json.dumps(KIND.write(CONTROL, value)))
    back = KIND.read(CONTROL, items)
    assert back == value or (back is None and value == ())
    assert KIND.canonical(CONTROL, json.loads(json.dumps(value))) == value


def test_the_sdk_takes_what_we_write() -> None:
    from label_studio_sdk.label_interface import LabelInterface

    config = "<View><Audio name='audio' value='$url'/><TextArea name='answer' toName='audio'/></View>"
    written = {"result": KIND.write(CONTROL, ("hello", "there")), "model_version": "v", "score": 0.5}
    assert LabelInterface(config).validate_prediction(written, return_errors=True) == []


@pytest.mark.parametrize("value", [{"text": 3}, {"text": [3]}, {}, None, [1], {"text": {"a": 1}}])
def test_a_hostile_item_is_refused_in_words(value: object) -> None:
    with pytest.raises(LabelError):
        KIND.read(CONTROL, [{"from_name": "answer", "value": value}])


def test_nothing_written_is_no_vote() -> None:
    assert KIND.read(CONTROL, []) is None
    assert KIND.read(CONTROL, [{"from_name": "answer", "value": {"text": []}}]) is None
    with pytest.raises(LabelError):
        KIND.canonical(CONTROL, [])


@given(TEXTS, TEXTS)
def test_distance_is_symmetric_and_bounded(a: tuple[str, ...], b: tuple[str, ...]) -> None:
    there = KIND.distance(CONTROL, a, b)
    assert there == KIND.distance(CONTROL, b, a)
    assert 0 <= there <= 1
    assert KIND.distance(CONTROL, a, a) == 0


def test_one_edit_in_ten_characters_is_a_tenth() -> None:
    assert KIND.distance(CONTROL, ("abcdefghij",), ("abcdefghiX",)) == pytest.approx(0.1)
    counts = KIND.pair_counts(CONTROL, ("one two three four",), ("one two three five",))
    assert counts["word_similarity"] == (0.75, 1.0)
    assert counts["exact"] == (0.0, 1.0)


def test_white_space_and_unicode_forms_are_no_difference() -> None:
    assert KIND.distance(CONTROL, ("caf\u00e9  noir",), ("cafe\u0301 noir ",)) == 0
    assert KIND.disagreement(CONTROL, ("caf\u00e9",), ("cafe\u0301",)) == "no difference"


def test_equal_texts_stand_and_two_make_it_surer_than_one() -> None:
    one, two = merged("yes"), merged("yes", "yes")
    assert one.value == two.value == ("yes",)
    assert one.certainty == pytest.approx(0.9)
    assert two.certainty > one.certainty


def test_two_texts_that_differ_go_to_a_person_with_a_proposal() -> None:
    found = merged("turn left here", "turn right here")
    assert found.value is None
    assert found.proposal in {("turn left here",), ("turn right here",)}
    assert "67%" in found.why


def test_three_versions_of_one_text_are_voted_word_by_word() -> None:
    found = merged("the cat sat on a mat", "the cat sat on the mat", "a cat sat on the mat")
    assert found.value == ("the cat sat on the mat",)
    assert 0.75 < found.certainty < 1


def test_different_answers_have_no_consensus_unless_two_are_alike() -> None:
    assert merged("paris", "in the south", "nobody knows it").value is None
    assert merged("it is paris", "paris it is", "it is paris france").value is not None


def test_gold_wins_and_measures_the_annotators() -> None:
    votes = {f"t{n}": {"good": ("one two three",), "poor": ("x y z",)} for n in range(30)}
    together = KIND.consensus(CONTROL, votes, Given(gold={task: ("one two three",) for task in votes}))
    assert together.merged["t0"].value == ("one two three",)
    assert together.skill["good"].accuracy > 0.9 > 0.5 > together.skill["poor"].accuracy
    assert together.skill["good"].lower < together.skill["good"].accuracy < together.skill["good"].upper


@given(st.permutations(["ann", "bob", "cid"]))
def test_the_order_of_people_changes_nothing(order: list[str]) -> None:
    said = {"ann": ("the cat sat",), "bob": ("the cat sits",), "cid": ("a cat sat",)}
    found = KIND.consensus(CONTROL, {"t": {who: said[who] for who in order}}, Given()).merged["t"]
    assert found == KIND.consensus(CONTROL, {"t": said}, Given()).merged["t"]


def test_controls_are_frozen_values() -> None:
    assert isinstance(hash(CONTROL), int)
    assert isinstance(CONTROL, Control)
