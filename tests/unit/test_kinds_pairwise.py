from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import LabelConfigError, LabelError
from adapter.kinds.base import Given, LabelKind, Tag, Unit
from adapter.kinds.pairwise import KIND
from adapter.vocabulary import Control

OBJECTS = {name: Tag("Text", {"name": name, "value": f"${name}"}) for name in ("one", "two")}
CONTROL = Control(
    "better", "pairwise", "one,two", "Text", "one", ("left", "right"), tag="Pairwise", fields=("one", "two")
)


def pairwise(to_name: str = "one,two") -> Tag:
    return Tag("Pairwise", {"name": "better", "toName": to_name}, (), OBJECTS)


def item(value: Any, to_name: str = "better") -> dict[str, Any]:
    return {"from_name": "better", "to_name": to_name, "type": "pairwise", "value": {"selected": value}}


def test_two_objects_left_and_right() -> None:
    assert KIND.control(pairwise()) == CONTROL
    assert KIND.control(pairwise("one, two")).fields == ("one", "two")
    assert isinstance(KIND, LabelKind)


@pytest.mark.parametrize("to_name", ["one", "one,one", "one,two,three", "", "one,"])
def test_other_numbers_of_objects_are_mistakes(to_name: str) -> None:
    with pytest.raises(LabelConfigError, match="two"):
        KIND.control(pairwise(to_name))


@pytest.mark.parametrize("value", ["middle", "none", "Left", None, True, 0, ["left"], {}])
def test_strangers_are_refused(value: object) -> None:
    with pytest.raises(LabelError):
        KIND.canonical(CONTROL, value)


class TestReadAndWrite:
    @given(st.sampled_from(["left", "right"]))
    def test_what_is_written_reads_back_after_json(self, value: str) -> None:
        assert KIND.read(CONTROL, json.loads(json.dumps(KIND.write(CONTROL, value)))) == value
        assert KIND.canonical(CONTROL, json.loads(json.dumps(value))) == value
        assert KIND.value_of(CONTROL, KIND.item(CONTROL, value)) == value

    @pytest.mark.parametrize("value", ["left", "right"])
    def test_label_studio_accepts_what_is_written(self, value: str) -> None:
        from label_studio_sdk.label_interface import LabelInterface

        config = (
            '<View><Text name="one" value="$one"/><Text name="two" value="$two"/>'
            '<Pairwise name="better" toName="one,two"/></View>'
        )
        prediction = {"result": KIND.write(CONTROL, value), "score": 0.5, "model_version": "m"}
        assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []

    def test_what_the_page_writes_is_read(self) -> None:
        assert KIND.read(CONTROL, [item("right")]) == "right"
        assert KIND.read(CONTROL, [item("right", to_name="one")]) == "right"

    def test_neither_is_no_answer(self) -> None:
        assert KIND.read(CONTROL, []) is None
        assert KIND.read(CONTROL, [item("none")]) is None
        assert KIND.read(CONTROL, [item(None)]) is None

    @pytest.mark.parametrize("value", ["up", 1, ["left"], {"left": 1}])
    def test_foreign_results_are_label_errors(self, value: Any) -> None:
        with pytest.raises(LabelError):
            KIND.read(CONTROL, [item(value)])
        with pytest.raises(LabelError, match="holds no selected"):
            KIND.read(CONTROL, [{**item("left"), "value": {"choices": [value]}}])


def test_sides_are_compared_as_categories() -> None:
    assert KIND.measure(CONTROL).scale == "nominal"
    assert KIND.distance(CONTROL, "left", "left") == 0
    assert KIND.distance(CONTROL, "left", "right") == KIND.distance(CONTROL, "right", "left") == 1
    assert KIND.pair_counts(CONTROL, "left", "right") == {"score": (0.0, 1.0)}
    assert KIND.units(CONTROL, {"ann": "left", "bob": "right"}) == [Unit({"ann": "left", "bob": "right"})]
    assert KIND.disagreement(CONTROL, "left", "right") == "'left' against 'right'"


def test_probabilities_stand_for_sides() -> None:
    assert KIND.decide(CONTROL, np.array([0.2, 0.8], dtype=np.float32)) == ("right", pytest.approx(0.8))
    assert KIND.target(CONTROL, "right").tolist() == [0, 1]


class TestConsensus:
    def test_most_people_win(self) -> None:
        votes = {"t": {"ann": "right", "bob": "right", "cy": "left"}}
        merged = KIND.consensus(CONTROL, votes, Given(method="majority")).merged["t"]
        assert (merged.value, merged.probabilities) == ("right", pytest.approx((1 / 3, 2 / 3)))

    def test_a_tie_is_no_consensus(self) -> None:
        merged = KIND.consensus(CONTROL, {"t": {"ann": "right", "bob": "left"}}, Given(method="majority")).merged["t"]
        assert (merged.value, merged.proposal, merged.why) == (None, "left", "1 says 'left', 1 says 'right'")

    def test_gold_wins(self) -> None:
        merged = KIND.consensus(CONTROL, {"t": {"ann": "right"}}, Given(gold={"t": "left"})).merged["t"]
        assert (merged.value, merged.confidence) == ("left", 1.0)
