from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import LabelConfigError, LabelError
from adapter.kinds.base import Given, LabelKind, Tag, Unit
from adapter.kinds.number import KIND
from adapter.vocabulary import Control

TEXT = Tag("Text", {"name": "text", "value": "$text"})


def number(**more: str) -> Tag:
    return Tag("Number", {"name": "size", "toName": "text", **more}, (), {"text": TEXT})


FREE = KIND.control(number())
TEN = KIND.control(number(min="0", max="10"))
HALVES = KIND.control(number(min="1", max="10", step="0.5"))


def item(value: Any) -> dict[str, Any]:
    return {"from_name": "size", "to_name": "text", "type": "number", "value": {"number": value}}


class TestControl:
    def test_bounds_and_step_are_kept(self) -> None:
        assert HALVES.options == {"min": 1.0, "max": 10.0, "step": 0.5}
        assert FREE.options == {}
        assert HALVES.labels == ()
        assert (FREE.tag, FREE.object_tag, FREE.fields) == ("Number", "Text", ("text",))

    def test_a_number_has_no_list_of_labels_to_learn(self) -> None:
        assert not isinstance(KIND, LabelKind)

    @pytest.mark.parametrize(
        "more",
        [{"min": "low"}, {"max": "nan"}, {"max": "inf"}, {"step": "0"}, {"step": "-1"}, {"min": "3", "max": "2"}],
    )
    def test_mistakes_are_named(self, more: dict[str, str]) -> None:
        with pytest.raises(LabelConfigError, match="Number name='size'"):
            KIND.control(number(**more))


class TestCanonical:
    @pytest.mark.parametrize("value", [1.5, "1.5", np.float64(1.5), np.float32(1.5)])
    def test_a_number_however_it_comes(self, value: object) -> None:
        assert KIND.canonical(FREE, value) == 1.5
        assert type(KIND.canonical(FREE, value)) is float

    @pytest.mark.parametrize(
        "value", [None, True, "big", float("nan"), float("inf"), "inf", 10**400, 1e101, [1], {}, 1j, b"1"]
    )
    def test_strangers_are_refused(self, value: object) -> None:
        with pytest.raises(LabelError, match="no number"):
            KIND.canonical(FREE, value)

    def test_bounds_and_steps_are_held(self) -> None:
        with pytest.raises(LabelError, match="min='1' and max='10'"):
            KIND.canonical(HALVES, 10.5)
        with pytest.raises(LabelError, match=r"nearest number of step 0.5 is 2.5"):
            KIND.canonical(HALVES, 2.4)
        tenths = KIND.control(number(step="0.1"))
        assert KIND.canonical(tenths, 0.1 + 0.2) == 0.1 + 0.2
        assert KIND.canonical(KIND.control(number(step="1e-300")), 5) == 5

    def test_negative_zero_is_zero(self) -> None:
        assert math.copysign(1, KIND.canonical(FREE, -0.0)) == 1


NUMBERS = st.floats(-1e100, 1e100)


class TestReadAndWrite:
    @given(NUMBERS)
    def test_what_is_written_reads_back_after_json(self, drawn: float) -> None:
        value = KIND.canonical(FREE, drawn)
        assert KIND.read(FREE, json.loads(json.dumps(KIND.write(FREE, value)))) == value
        assert KIND.canonical(FREE, json.loads(json.dumps(value))) == value
        assert KIND.value_of(FREE, KIND.item(FREE, value)) == value

    @given(st.integers(2, 20).map(lambda n: n / 2))
    def test_steps_read_back_too(self, value: float) -> None:
        assert KIND.read(HALVES, json.loads(json.dumps(KIND.write(HALVES, value)))) == value

    @pytest.mark.parametrize("value", [0.0, -3.25, 7.0, 1e100])
    def test_label_studio_accepts_what_is_written(self, value: float) -> None:
        from label_studio_sdk.label_interface import LabelInterface

        config = '<View><Text name="text" value="$text"/><Number name="size" toName="text"/></View>'
        prediction = {"result": KIND.write(FREE, value), "score": 0.5, "model_version": "m"}
        assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []

    def test_nothing_is_no_answer_and_zero_is_one(self) -> None:
        assert KIND.read(FREE, []) is None
        assert KIND.read(FREE, [item(None)]) is None
        assert KIND.read(FREE, [item(0)]) == 0

    @pytest.mark.parametrize("value", ["x", [3], {"a": 1}, False])
    def test_foreign_results_are_label_errors(self, value: Any) -> None:
        with pytest.raises(LabelError):
            KIND.read(FREE, [item(value)])
        with pytest.raises(LabelError):
            KIND.value_of(FREE, {"rating": value})


class TestMeasure:
    def test_numbers_are_an_interval_scale(self) -> None:
        assert KIND.measure(TEN).scale == "interval"
        assert KIND.units(TEN, {"ann": 3.0, "bob": 4.0}) == [Unit({"ann": 3.0, "bob": 4.0})]
        assert KIND.disagreement(TEN, 3.0, 4.5) == "3 against 4.5, 1.5 apart"
        assert KIND.disagreement(TEN, 3.0, 3.0) == "no difference"

    def test_distance_by_hand(self) -> None:
        assert KIND.distance(TEN, 2.0, 7.0) == 0.5
        assert KIND.distance(FREE, 1.0, 3.0) == 0.5
        assert KIND.distance(FREE, -1.0, 1.0) == 1
        assert KIND.distance(FREE, 0.0, 0.0) == 0

    @given(NUMBERS, NUMBERS)
    def test_it_is_symmetric_bounded_and_zero_for_equals(self, a: float, b: float) -> None:
        assert KIND.distance(FREE, a, b) == KIND.distance(FREE, b, a)
        assert 0 <= KIND.distance(FREE, a, b) <= 1
        assert KIND.distance(FREE, a, a) == 0


class TestConsensus:
    def test_most_people_win_and_the_outlier_moves_nothing(self) -> None:
        found = KIND.consensus(TEN, {"t": {"ann": 3.0, "bob": 3.0, "cy": 9.0}}, Given())
        merged = found.merged["t"]
        assert merged.value == 3.0
        assert 0.9 < merged.confidence == merged.certainty < 1
        assert found.method == "huber"

    def test_one_vote_is_as_sure_as_its_person(self) -> None:
        found = KIND.consensus(TEN, {"t": {"ann": 3.0}}, Given())
        assert found.merged["t"].value == 3.0
        assert found.merged["t"].confidence == pytest.approx(found.skill["ann"].accuracy) == pytest.approx(0.9)
        assert found.skill["ann"].n == 0

    def test_two_people_far_apart_are_no_consensus(self) -> None:
        merged = KIND.consensus(FREE, {"t": {"ann": 3.0, "bob": 8.0}}, Given()).merged["t"]
        assert merged.value is None
        assert merged.proposal in (5.0, 6.0)
        assert merged.why == "too far apart: 3, 8"
        assert merged.certainty < 0.2

    def test_counts_stay_whole_and_steps_are_kept(self) -> None:
        votes = {"t": {"ann": 3.0, "bob": 4.0, "cy": 4.0}}
        assert KIND.consensus(FREE, votes, Given()).merged["t"].value == 4.0
        halves = KIND.consensus(HALVES, {"t": {"ann": 3.0, "bob": 3.5}}, Given()).merged["t"]
        assert KIND.canonical(HALVES, halves.value or halves.proposal) in (3.0, 3.5)

    def test_gold_wins(self) -> None:
        merged = KIND.consensus(TEN, {"t": {"ann": 3.0, "bob": 3.0}}, Given(gold={"t": 8.0, "x": 1.0})).merged
        assert set(merged) == {"t"}
        assert (merged["t"].value, merged["t"].confidence) == (8.0, 1.0)

    def test_no_votes_are_no_consensus(self) -> None:
        assert KIND.consensus(TEN, {}, Given()).merged == {}
        merged = KIND.consensus(TEN, {"t": {}}, Given()).merged["t"]
        assert (merged.value, merged.certainty) == (None, 0.0)
        assert merged.why

    def test_a_person_who_is_always_two_too_high_is_corrected(self) -> None:
        rng = np.random.default_rng(1)
        truth = rng.integers(10, 50, 80).astype(float)
        votes = {f"t{i:02}": {"ann": x, "bob": x, "cy": x + 2} for i, x in enumerate(truth)}
        votes["alone"] = {"cy": 32.0}
        found = KIND.consensus(FREE, votes, Given())
        assert found.merged["alone"].value == 30.0
        assert found.skill["cy"].accuracy > 0.95

    def test_a_careful_person_outweighs_two_careless_ones(self) -> None:
        rng = np.random.default_rng(2)
        control = KIND.control(number(min="0", max="100"))
        truth = rng.uniform(20, 80, 300)
        votes = {
            f"t{i:03}": {
                "ann": float(x + rng.laplace(0, 0.3)),
                "bob": float(x + rng.laplace(0, 6)),
                "cy": float(x + rng.laplace(0, 6)),
            }
            for i, x in enumerate(truth)
        }
        found = KIND.consensus(control, votes, Given(gold={f"t{i:03}": float(truth[i]) for i in range(60)}))
        rows = range(60, 300)
        got = [found.merged[f"t{i:03}"] for i in rows]
        ours = np.mean(
            [abs((m.value if m.value is not None else m.proposal) - truth[i]) for i, m in zip(rows, got, strict=True)]
        )
        plain = np.mean([abs(np.median(list(votes[f"t{i:03}"].values())) - truth[i]) for i in rows])
        assert ours < 0.35 * plain
        assert found.skill["ann"].accuracy > 0.8 > 0.4 > found.skill["bob"].accuracy

    def test_confidence_is_about_right(self) -> None:
        """Counts by people who are right nine times in ten, else one or two off: what is said to be sure is."""
        rng = np.random.default_rng(3)
        truth = rng.integers(0, 40, 600).astype(float)
        votes = {
            f"t{i:03}": {
                who: float(x if rng.random() < 0.85 else x + rng.choice([-2, -1, 1, 2]))
                for who in rng.choice(list("abcdef"), rng.integers(1, 4), replace=False)
            }
            for i, x in enumerate(truth)
        }
        found = KIND.consensus(FREE, votes, Given())
        got = [
            (m.confidence, m.value == truth[i]) for i in range(600) if (m := found.merged[f"t{i:03}"]).value is not None
        ]
        sure, right = np.array(got, float).T
        assert abs(sure.mean() - right.mean()) < 0.05
        assert right[sure > 0.95].mean() > 0.95

    @settings(deadline=None, max_examples=50)
    @given(
        st.dictionaries(
            st.sampled_from("xyz"), st.dictionaries(st.sampled_from("abcd"), st.floats(0, 10), max_size=4), max_size=3
        )
    )
    def test_what_comes_out_is_a_value_or_a_reason(self, votes: dict[str, dict[str, float]]) -> None:
        found = KIND.consensus(TEN, votes, Given())
        again = KIND.consensus(TEN, {t: dict(reversed(v.items())) for t, v in reversed(votes.items())}, Given())
        assert found.merged == again.merged
        for task, merged in found.merged.items():
            assert (merged.value is None) == bool(merged.why)
            assert 0 <= merged.confidence <= 1
            settled = merged.value if merged.value is not None else merged.proposal
            assert (settled is None) == (not votes[task])
            assert settled is None or KIND.canonical(TEN, settled) == settled

    @settings(deadline=None, max_examples=50)
    @given(
        st.dictionaries(st.sampled_from("xyz"), st.dictionaries(st.sampled_from("ab"), NUMBERS, max_size=2), max_size=3)
    )
    def test_extreme_numbers_break_nothing(self, votes: dict[str, dict[str, float]]) -> None:
        for merged in KIND.consensus(FREE, votes, Given()).merged.values():
            assert merged.value is None or math.isfinite(merged.value)


def test_a_control_from_elsewhere_without_options_is_free() -> None:
    assert KIND.canonical(Control("n", "number", "t", "Text", "t"), 1e9) == 1e9
