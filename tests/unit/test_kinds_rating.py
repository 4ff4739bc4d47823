from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import LabelConfigError, LabelError, UnsupportedControl
from adapter.kinds.base import Given, LabelKind, Tag, Unit
from adapter.kinds.rating import KIND
from adapter.vocabulary import Control

TEXT = Tag("Text", {"name": "text", "value": "$text"})


def stars(most: int = 5) -> Control:
    return Control("stars", "rating", "text", "Text", "text", tuple(str(n) for n in range(1, most + 1)))


FIVE = stars()


def rating(**more: str) -> Tag:
    return Tag("Rating", {"name": "stars", "toName": "text", **more}, (), {"text": TEXT})


def item(value: Any) -> dict[str, Any]:
    return {"from_name": "stars", "to_name": "text", "type": "rating", "value": {"rating": value}}


class TestControl:
    def test_five_stars_by_default(self) -> None:
        control = KIND.control(rating())
        assert control.labels == ("1", "2", "3", "4", "5")
        assert not control.multiple
        assert (control.tag, control.field, control.fields) == ("Rating", "text", ("text",))
        assert isinstance(KIND, LabelKind)

    def test_max_rating_however_it_is_spelt(self) -> None:
        assert len(KIND.control(rating(maxRating="10")).labels) == 10
        assert len(KIND.control(rating(maxrating=" 7 ")).labels) == 7
        assert KIND.control(rating(required="true")).required

    @pytest.mark.parametrize("most", ["0", "-1", "4.5", "five", "1000000000", "9" * 400, "٣"])
    def test_absurd_scales_are_refused(self, most: str) -> None:
        with pytest.raises(LabelConfigError, match="maxRating"):
            KIND.control(rating(maxRating=most))

    def test_ratings_of_items_are_not_served(self) -> None:
        with pytest.raises(UnsupportedControl, match="on each item"):
            KIND.control(rating(perItem="true"))


class TestCanonical:
    @pytest.mark.parametrize("value", [4, 4.0, "4", np.int64(4), np.float32(4)])
    def test_a_whole_number_however_it_comes(self, value: object) -> None:
        assert KIND.canonical(FIVE, value) == 4
        assert type(KIND.canonical(FIVE, value)) is int

    @pytest.mark.parametrize(
        "value", [0, 6, -1, 4.5, True, None, "four", "4.0", [4], {}, float("nan"), float("inf"), 10**400, b"4", 1j]
    )
    def test_strangers_are_refused(self, value: object) -> None:
        with pytest.raises(LabelError, match="from 1 to 5"):
            KIND.canonical(FIVE, value)


class TestReadAndWrite:
    @given(st.integers(1, 100), st.data())
    def test_what_is_written_reads_back_after_json(self, most: int, data: st.DataObject) -> None:
        control = stars(most)
        value = data.draw(st.integers(1, most))
        assert KIND.read(control, json.loads(json.dumps(KIND.write(control, value)))) == value
        assert KIND.canonical(control, json.loads(json.dumps(value))) == value
        assert KIND.value_of(control, KIND.item(control, value)) == value

    @pytest.mark.parametrize("most", [1, 5, 10])
    def test_label_studio_accepts_what_is_written(self, most: int) -> None:
        from label_studio_sdk.label_interface import LabelInterface

        config = (
            f'<View><Text name="text" value="$text"/><Rating name="stars" toName="text" maxRating="{most}"/></View>'
        )
        for value in range(1, most + 1):
            prediction = {"result": KIND.write(stars(most), value), "score": 0.5, "model_version": "m"}
            assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []

    def test_no_star_is_no_answer(self) -> None:
        assert KIND.read(FIVE, []) is None
        assert KIND.read(FIVE, [item(0)]) is None
        assert KIND.read(FIVE, [item(None)]) is None

    def test_only_this_controls_items_count(self) -> None:
        assert KIND.read(FIVE, [{**item(2), "from_name": "other"}, item(3)]) == 3

    @pytest.mark.parametrize("value", [6, "x", [3], {"a": 1}, False])
    def test_foreign_results_are_label_errors(self, value: Any) -> None:
        with pytest.raises(LabelError):
            KIND.read(FIVE, [item(value)])

    def test_an_item_without_a_rating_and_two_that_differ_are_label_errors(self) -> None:
        with pytest.raises(LabelError, match="holds no rating"):
            KIND.read(FIVE, [{**item(3), "value": {"choices": ["3"]}}])
        with pytest.raises(LabelError, match="holds no rating"):
            KIND.read(FIVE, [{**item(3), "value": 3}])
        with pytest.raises(LabelError, match="2 different"):
            KIND.read(FIVE, [item(3), item(4)])


class TestMeasure:
    def test_stars_are_ordinal_and_units_hold_numbers(self) -> None:
        assert KIND.measure(FIVE).scale == "ordinal"
        assert KIND.units(FIVE, {"ann": 3, "bob": 5}) == [Unit({"ann": 3, "bob": 5})]
        assert KIND.units(FIVE, {}) == []

    def test_distance_by_hand(self) -> None:
        assert KIND.distance(FIVE, 1, 5) == 1
        assert KIND.distance(FIVE, 4, 5) == 0.25
        assert KIND.distance(stars(1), 1, 1) == 0
        assert KIND.pair_counts(FIVE, 4, 5) == {"score": (0.75, 1.0)}

    @given(st.integers(1, 5), st.integers(1, 5))
    def test_distance_is_symmetric_bounded_and_zero_only_for_equals(self, a: int, b: int) -> None:
        assert KIND.distance(FIVE, a, b) == KIND.distance(FIVE, b, a)
        assert 0 <= KIND.distance(FIVE, a, b) <= 1
        assert (KIND.distance(FIVE, a, b) == 0) == (a == b)

    def test_words(self) -> None:
        assert KIND.disagreement(FIVE, 1, 4) == "1 star against 4 stars"
        assert KIND.disagreement(FIVE, 2, 2) == "no difference"
        assert KIND.doubt(FIVE, 3) == 0
        assert KIND.of_label(FIVE, 3, "2") == 3


def test_probabilities_stand_for_stars() -> None:
    p = np.array([0.1, 0.1, 0.2, 0.5, 0.1], dtype=np.float32)
    assert KIND.decide(FIVE, p) == (4, pytest.approx(0.5))
    assert KIND.target(FIVE, 4).tolist() == [0, 0, 0, 1, 0]
    assert KIND.uncertainty(FIVE, np.eye(5, dtype=np.float32)[:1], "margin").tolist() == [0]


class TestConsensus:
    def test_three_people(self) -> None:
        merged = KIND.consensus(FIVE, {"t": {"ann": 4, "bob": 4, "cy": 5}}, Given(method="majority")).merged["t"]
        assert merged.value == 4
        assert merged.probabilities == pytest.approx((0, 0, 0, 2 / 3, 1 / 3))

    def test_a_tie_proposes_the_first_in_order(self) -> None:
        merged = KIND.consensus(FIVE, {"t": {"ann": 5, "bob": 2}}, Given(method="majority")).merged["t"]
        assert (merged.value, merged.proposal, merged.why) == (None, 2, "1 says '2', 1 says '5'")

    def test_gold_wins(self) -> None:
        merged = KIND.consensus(FIVE, {"t": {"ann": 5, "bob": 5}}, Given(gold={"t": 1})).merged["t"]
        assert (merged.value, merged.confidence, merged.probabilities) == (1, 1.0, (1, 0, 0, 0, 0))

    def test_one_vote_is_as_sure_as_its_person(self) -> None:
        found = KIND.consensus(FIVE, {"t": {"ann": 5}}, Given())
        assert found.merged["t"].value == 5
        assert found.merged["t"].confidence == pytest.approx(found.skill["ann"].accuracy) == pytest.approx(0.9)

    @settings(deadline=None, max_examples=50)
    @given(
        st.dictionaries(
            st.sampled_from("xyz"), st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5), min_size=1), min_size=1
        )
    )
    def test_what_comes_out_is_a_rating_or_a_reason(self, votes: dict[str, dict[str, int]]) -> None:
        found = KIND.consensus(FIVE, votes, Given())
        again = KIND.consensus(FIVE, {t: dict(reversed(v.items())) for t, v in reversed(votes.items())}, Given())
        assert found.merged == again.merged
        for merged in found.merged.values():
            assert (merged.value is None) == bool(merged.why)
            assert (merged.value or merged.proposal) in range(1, 6)
            assert sum(merged.probabilities) == pytest.approx(1)
