from __future__ import annotations

import json
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import LabelConfigError, LabelError, UnsupportedControl
from adapter.kinds import kind_for_tag, kinds
from adapter.kinds.base import Given, LabelKind, Tag, Unit
from adapter.kinds.choices import KIND
from adapter.vocabulary import Control

LABELS = ("red", "green", "blue")
SINGLE = Control("colour", "choices", "text", "Text", "text", LABELS, tag="Choices", fields=("text",))
MULTIPLE = Control("colours", "choices", "text", "Text", "text", LABELS, multiple=True)
REQUIRED = Control("colours", "choices", "text", "Text", "text", LABELS, multiple=True, required=True)
TEXT = Tag("Text", {"name": "text", "value": "$text"})


def choice(value: str, *children: Tag, **more: str) -> Tag:
    return Tag("Choice", {"value": value, **more}, children)


def choices(*children: Tag, **more: str) -> Tag:
    return Tag("Choices", {"name": "colour", "toName": "text", **more}, children, {"text": TEXT})


def item(labels: Any, control: Control = SINGLE) -> dict[str, Any]:
    return {"from_name": control.name, "to_name": "text", "type": "choices", "value": {"choices": labels}}


def test_choices_is_found_as_a_kind() -> None:
    assert kinds()["choices"] is KIND
    assert kind_for_tag("Choices") is KIND
    assert isinstance(KIND, LabelKind)


class TestControl:
    def test_single_is_the_default_and_labels_keep_the_config_order(self) -> None:
        control = KIND.control(choices(choice("red"), choice("green"), choice("blue")))
        assert control == SINGLE

    def test_radio_is_single(self) -> None:
        assert not KIND.control(choices(choice("a"), choice="single-radio")).multiple

    def test_multiple_and_required(self) -> None:
        control = KIND.control(choices(choice("a"), choice="multiple", required="true"))
        assert control.multiple
        assert control.required

    def test_several_objects_keep_the_configs_words(self) -> None:
        objects = {name: Tag("Image", {"name": name, "value": f"${name}"}) for name in ("left", "right")}
        tag = Tag("Choices", {"name": "colour", "toName": "left,right"}, (choice("a"), choice("b")), objects)
        control = KIND.control(tag)
        assert (control.to_name, control.object_tag, control.field) == ("left,right", "Image", "left")
        assert control.fields == ("left", "right")
        assert KIND.write(control, ("a",))[0]["to_name"] == "left"

    def test_a_control_for_each_region_parses_like_any_other(self) -> None:
        assert KIND.control(choices(choice("a"), choice("b"), perRegion="true")).labels == ("a", "b")

    def test_the_alias_is_the_label(self) -> None:
        assert KIND.control(choices(choice("Very red", alias="red"), choice("green"))).labels == ("red", "green")

    def test_choices_laid_out_in_views_are_found(self) -> None:
        tag = choices(
            Tag("View", {}, (Tag("Header", {"value": "Warm"}), choice("red"))), Tag("View", {}, (choice("blue"),))
        )
        assert KIND.control(tag).labels == ("red", "blue")

    @pytest.mark.parametrize(
        ("tag", "words"),
        [
            (choices(choice("a"), perItem="true"), "on each item"),
            (choices(choice("a"), peritem="True"), "on each item"),
            (choices(value="$options"), "come from task data"),
            (choices(choice("a"), apiUrl="https://example.org"), "come from task data"),
            (choices(choice("$option")), "takes its label from task data"),
            (choices(choice("a", choice("b"))), "form a tree"),
            (choices(choice("a", Tag("View", {}, (choice("b"),)))), "form a tree"),
            (choices(choice("a"), allowNested="true"), "form a tree"),
            (choices(choice("a"), allownested="true"), "form a tree"),
            (choices(choice("a"), choice("a")), "'a' is there twice"),
            (choices(choice("a"), choice("b", alias="a")), "'a' is there twice"),
        ],
    )
    def test_what_is_not_served_is_refused_in_a_sentence(self, tag: Tag, words: str) -> None:
        with pytest.raises(UnsupportedControl, match=words) as caught:
            KIND.control(tag)
        assert "<Choices name='colour'>" in str(caught.value)
        assert caught.value.remedy

    @pytest.mark.parametrize(
        ("tag", "words"),
        [
            (choices(), "lists no labels"),
            (choices(choice("  ")), "has no value"),
            (choices(choice("a", alias="")), "empty alias"),
            (choices(choice("a"), choice="multi"), "Did you mean 'multiple'"),
        ],
    )
    def test_mistakes_are_named(self, tag: Tag, words: str) -> None:
        with pytest.raises(LabelConfigError, match=words) as caught:
            KIND.control(tag)
        assert not isinstance(caught.value, UnsupportedControl)


class TestCanonical:
    def test_order_is_the_configs_whatever_the_author_gave(self) -> None:
        assert KIND.canonical(MULTIPLE, {"blue", "red"}) == ("red", "blue")
        assert KIND.canonical(MULTIPLE, ["blue", "red", "blue"]) == ("red", "blue")
        assert KIND.canonical(SINGLE, "green") == ("green",)

    def test_a_whole_number_may_stand_for_its_label(self) -> None:
        digits = Control("digit", "choices", "image", "Image", "image", ("0", "1"))
        assert KIND.canonical(digits, 1) == ("1",)
        assert KIND.canonical(digits, np.int64(0)) == ("0",)

    @pytest.mark.parametrize("value", ["gren", None, True, 3.0, ["red", "pink"], [["red"]], {"red": 1}, b"red"])
    def test_strangers_are_refused(self, value: object) -> None:
        with pytest.raises(LabelError):
            KIND.canonical(MULTIPLE, value)

    def test_the_error_names_the_nearest_label(self) -> None:
        with pytest.raises(LabelError, match="Did you mean 'green'"):
            KIND.canonical(SINGLE, "gren")

    def test_the_number_of_labels_is_checked(self) -> None:
        with pytest.raises(LabelError, match="exactly one"):
            KIND.canonical(SINGLE, ["red", "green"])
        with pytest.raises(LabelError, match="exactly one"):
            KIND.canonical(SINGLE, [])
        with pytest.raises(LabelError, match="required"):
            KIND.canonical(REQUIRED, [])


class TestReadAndWrite:
    @given(st.data())
    def test_what_is_written_reads_back_after_json(self, data: st.DataObject) -> None:
        labels = tuple(data.draw(st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True)))
        multiple, required = data.draw(st.booleans()), data.draw(st.booleans())
        control = Control("c", "choices", "t", "Text", "text", labels, multiple=multiple, required=required)
        least = 1 if required or not multiple else 0
        chosen = data.draw(st.sets(st.sampled_from(labels), min_size=least, max_size=len(labels) if multiple else 1))
        value = KIND.canonical(control, chosen)
        wire = json.loads(json.dumps(KIND.write(control, value)))
        assert KIND.read(control, wire) == value
        assert KIND.canonical(control, json.loads(json.dumps(value))) == value

    @pytest.mark.parametrize(
        ("control", "value"), [(SINGLE, ("green",)), (MULTIPLE, ("red", "blue")), (MULTIPLE, ()), (REQUIRED, ("red",))]
    )
    def test_label_studio_accepts_what_is_written(self, control: Control, value: tuple[str, ...]) -> None:
        from label_studio_sdk.label_interface import LabelInterface

        mode = "multiple" if control.multiple else "single"
        listed = "".join(f'<Choice value="{label}"/>' for label in LABELS)
        config = (
            f'<View><Text name="text" value="$text"/><Choices name="{control.name}" toName="text" choice="{mode}">'
            f"{listed}</Choices></View>"
        )
        prediction = {"result": KIND.write(control, value), "score": 0.5, "model_version": "m"}
        assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []

    def test_only_this_controls_items_count(self) -> None:
        other = {**item(["yes"]), "from_name": "other"}
        assert KIND.read(SINGLE, [other, item(["blue"])]) == ("blue",)
        assert KIND.read(SINGLE, [other]) is None

    def test_left_empty_is_an_answer_only_where_none_may_hold(self) -> None:
        assert KIND.read(SINGLE, []) is None
        assert KIND.read(REQUIRED, []) is None
        assert KIND.read(MULTIPLE, []) == ()
        assert KIND.read(SINGLE, [item([])]) is None

    @pytest.mark.parametrize("labels", [["pink"], [["red"]], [None], 7, None, {"red": 1}, ["red", "green"]])
    def test_foreign_results_are_label_errors(self, labels: Any) -> None:
        with pytest.raises(LabelError):
            KIND.read(SINGLE, [item(labels)])

    def test_items_that_are_no_mappings_are_passed_over(self) -> None:
        hostile: Any = ["x", None, {"value": 3}]
        assert KIND.read(SINGLE, hostile) is None


class TestDistance:
    def test_single_is_all_or_nothing(self) -> None:
        assert KIND.distance(SINGLE, ("red",), ("red",)) == 0
        assert KIND.distance(SINGLE, ("red",), ("blue",)) == 1

    def test_masi_by_hand(self) -> None:
        assert KIND.distance(MULTIPLE, ("red",), ("red", "blue")) == pytest.approx(1 - 2 / 3 * 1 / 2)
        assert KIND.distance(MULTIPLE, ("red", "green"), ("green", "blue")) == pytest.approx(1 - 1 / 3 * 1 / 3)
        assert KIND.distance(MULTIPLE, ("red",), ("blue",)) == 1
        assert KIND.distance(MULTIPLE, (), ()) == 0
        assert KIND.distance(MULTIPLE, (), ("red",)) == 1

    @given(st.sets(st.sampled_from(LABELS)), st.sets(st.sampled_from(LABELS)))
    def test_it_is_symmetric_bounded_and_zero_only_for_equals(self, a: set[str], b: set[str]) -> None:
        there = KIND.distance(MULTIPLE, tuple(a), tuple(b))
        assert there == KIND.distance(MULTIPLE, tuple(b), tuple(a))
        assert 0 <= there <= 1
        assert (there == 0) == (a == b)


def test_targets_are_one_hot_or_multi_hot() -> None:
    assert KIND.target(SINGLE, ("green",)).tolist() == [0, 1, 0]
    assert KIND.target(MULTIPLE, ["blue", "red"]).tolist() == [1, 0, 1]
    assert KIND.target(MULTIPLE, ()).dtype == np.float32


class TestDecide:
    def test_single_takes_the_likeliest_with_its_probability(self) -> None:
        value, confidence = KIND.decide(SINGLE, np.array([0.2, 0.7, 0.1], dtype=np.float32))
        assert value == ("green",)
        assert confidence == pytest.approx(0.7)

    def test_multiple_takes_what_is_likelier_than_not_with_the_product(self) -> None:
        value, confidence = KIND.decide(MULTIPLE, np.array([0.9, 0.2, 0.5], dtype=np.float32))
        assert value == ("red", "blue")
        assert confidence == pytest.approx(0.9 * 0.8 * 0.5)

    def test_none_may_hold_unless_required(self) -> None:
        p = np.array([0.1, 0.2, 0.3], dtype=np.float32)
        assert KIND.decide(MULTIPLE, p) == ((), pytest.approx(0.9 * 0.8 * 0.7))
        assert KIND.decide(REQUIRED, p) == (("blue",), pytest.approx(0.9 * 0.8 * 0.3))

    def test_nan_is_refused(self) -> None:
        with pytest.raises(ValueError, match="NaN"):
            KIND.decide(SINGLE, np.full(3, np.nan, dtype=np.float32))

    def test_a_decision_can_always_be_written(self) -> None:
        for control in (SINGLE, MULTIPLE, REQUIRED):
            value, _ = KIND.decide(control, np.array([0.1, 0.2, 0.3], dtype=np.float32))
            assert KIND.read(control, KIND.write(control, value)) == value


class TestUncertainty:
    @pytest.mark.parametrize("strategy", ["margin", "entropy", "least-confidence"])
    def test_ends_of_the_scale(self, strategy: str) -> None:
        rows = np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [np.nan] * 3], dtype=np.float32)
        sure, unsure, unknown = KIND.uncertainty(SINGLE, rows, strategy)
        assert sure == pytest.approx(0, abs=1e-6)
        assert unsure == pytest.approx(1, abs=1e-6)
        assert np.isnan(unknown)

    def test_by_hand(self) -> None:
        row = np.array([[0.5, 0.3, 0.2]], dtype=np.float32)
        assert KIND.uncertainty(SINGLE, row, "margin")[0] == pytest.approx(0.8)
        assert KIND.uncertainty(SINGLE, row, "least-confidence")[0] == pytest.approx(0.75)
        entropy = -sum(p * np.log(p) for p in (0.5, 0.3, 0.2)) / np.log(3)
        assert KIND.uncertainty(SINGLE, row, "entropy")[0] == pytest.approx(entropy)

    def test_multiple_is_as_unsure_as_its_least_sure_label(self) -> None:
        row = np.array([[0.99, 0.01, 0.6], [0.0, 1.0, 0.0]], dtype=np.float32)
        assert KIND.uncertainty(MULTIPLE, row, "margin").tolist() == pytest.approx([0.8, 0.0], abs=1e-6)

    def test_one_label_is_never_uncertain_and_no_rows_are_no_scores(self) -> None:
        one = Control("c", "choices", "t", "Text", "text", ("only",))
        assert KIND.uncertainty(one, np.ones((2, 1), dtype=np.float32), "entropy").tolist() == [0, 0]
        assert KIND.uncertainty(SINGLE, np.empty((0, 3), dtype=np.float32), "margin").shape == (0,)

    def test_unknown_strategies_are_refused(self) -> None:
        with pytest.raises(ValueError, match="Did you mean 'margin'"):
            KIND.uncertainty(SINGLE, np.ones((1, 3), dtype=np.float32), "margins")

    @given(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda p: sum(p) > 0))
    def test_bounds(self, p: list[float]) -> None:
        row = np.array([p], dtype=np.float64) / sum(p)
        for strategy in ("margin", "entropy", "least-confidence"):
            for control in (SINGLE, MULTIPLE):
                score = KIND.uncertainty(control, row.astype(np.float32), strategy)
                assert score.dtype == np.float32
                assert 0 <= score[0] <= 1


class TestMeasure:
    def test_one_label_is_nominal_and_several_are_sets(self) -> None:
        assert (KIND.measure(SINGLE).scale, KIND.measure(SINGLE).headline) == ("nominal", "alpha")
        assert (KIND.measure(MULTIPLE).scale, KIND.measure(MULTIPLE).headline) == ("set", "alpha")

    def test_units_hold_what_each_person_said(self) -> None:
        assert KIND.units(SINGLE, {"ann": ("red",), "bob": ("blue",)}) == [Unit({"ann": "red", "bob": "blue"})]
        assert KIND.units(MULTIPLE, {"ann": ("red", "blue"), "bob": ()}) == [
            Unit({"ann": frozenset({"red", "blue"}), "bob": frozenset()})
        ]
        assert KIND.units(SINGLE, {}) == []

    def test_pair_counts_by_hand(self) -> None:
        assert KIND.pair_counts(SINGLE, ("red",), ("red",)) == {"score": (1.0, 1.0)}
        assert KIND.pair_counts(SINGLE, ("red",), ("blue",)) == {"score": (0.0, 1.0)}
        counts = KIND.pair_counts(MULTIPLE, ("red", "green"), ("green", "blue"))
        assert counts["label_f1"] == (2.0, 4.0)
        assert counts["score"] == (pytest.approx(1 / 9), 1.0)
        assert KIND.pair_counts(MULTIPLE, (), ())["label_f1"] == (0.0, 0.0)

    def test_a_value_has_no_parts_and_carries_no_scores(self) -> None:
        assert KIND.of_label(MULTIPLE, ("red", "blue"), "red") == ("red", "blue")
        assert KIND.doubt(SINGLE, ("red",)) == 0


def cast(*rows: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Tasks t0, t1, ... from rows such as "ann:red bob:green+blue cy:"."""
    return {
        f"t{row}": {
            who: tuple(filter(None, labels.split("+"))) for who, _, labels in (v.partition(":") for v in text.split())
        }
        for row, text in enumerate(rows)
    }


class TestConsensus:
    def test_two_against_one(self) -> None:
        found = KIND.consensus(SINGLE, cast("ann:red bob:red cy:green"), Given(method="majority"))
        merged = found.merged["t0"]
        assert merged.value == ("red",)
        assert found.method == "majority"
        assert merged.confidence == merged.certainty == pytest.approx(2 / 3)
        assert merged.probabilities == pytest.approx((2 / 3, 1 / 3, 0))
        assert set(found.skill) == {"ann", "bob", "cy"}

    def test_a_tie_has_no_value_but_a_proposal_and_says_why(self) -> None:
        merged = KIND.consensus(SINGLE, cast("ann:blue bob:red cy:red di:blue"), Given(method="one-coin")).merged["t0"]
        assert merged.value is None
        assert merged.proposal == ("red",)
        assert merged.why == "2 say 'red', 2 say 'blue'"
        assert merged.certainty == pytest.approx(0.5, abs=0.01)

    def test_one_vote_is_as_sure_as_its_person(self) -> None:
        found = KIND.consensus(SINGLE, cast("ann:red", *["ann:red bob:red cy:red"] * 30), Given())
        merged = found.merged["t0"]
        assert merged.value == ("red",)
        assert merged.confidence == found.skill["ann"].accuracy > 0.93
        assert sum(merged.probabilities) == pytest.approx(1)

    def test_a_stranger_is_right_nine_times_in_ten(self) -> None:
        merged = KIND.consensus(SINGLE, cast("ann:red"), Given()).merged["t0"]
        assert merged.confidence == pytest.approx(0.9)
        assert merged.probabilities == pytest.approx((0.9, 0.05, 0.05))

    def test_one_vote_of_somebody_who_is_mostly_wrong_is_no_consensus(self) -> None:
        yes_no = Control("q", "choices", "t", "Text", "text", ("yes", "no"))
        gold = {f"t{i}": ("no",) for i in range(1, 60)}
        found = KIND.consensus(yes_no, cast("ann:yes", *["ann:yes"] * 59), Given(gold=gold))
        merged = found.merged["t0"]
        assert found.skill["ann"].accuracy < 0.5
        assert merged.value is None
        assert merged.proposal == ("yes",)
        assert "more often than right" in merged.why

    def test_no_votes_are_no_consensus(self) -> None:
        for control in (SINGLE, MULTIPLE):
            merged = KIND.consensus(control, {"t0": {}}, Given()).merged["t0"]
            assert (merged.value, merged.proposal, merged.certainty) == (None, None, 0.0)
            assert merged.why

    def test_gold_wins_and_tells_skill(self) -> None:
        votes = cast(*["ann:red bob:green"] * 30)
        found = KIND.consensus(SINGLE, votes, Given(gold={f"t{i}": ("green",) for i in range(20)}))
        assert found.merged["t0"].value == ("green",)
        assert found.merged["t0"].confidence == 1
        assert found.skill["bob"].accuracy > 0.9 > 0.6 > found.skill["ann"].accuracy
        assert found.merged["t29"].value == ("green",)

    def test_a_model_speaks_only_where_the_method_hears_it(self) -> None:
        people = ["ann", "bob", "cy"]
        votes = {
            f"t{i:02}": {who: (LABELS[i % 3],) for who in people[: 1 + i % 3] if (i + len(who)) % 7} for i in range(40)
        }
        votes = {task: said or {"ann": ("red",)} for task, said in votes.items()}
        against = np.array([0.02, 0.02, 0.96], dtype=np.float32)
        model = {task: against if task == "t00" else np.eye(3, dtype=np.float32)[int(task[1:]) % 3] for task in votes}
        deaf = KIND.consensus(SINGLE, votes, Given(method="one-coin", model=model))
        assert deaf.merged["t00"].confidence == pytest.approx(deaf.skill["ann"].accuracy)
        hears = KIND.consensus(SINGLE, votes, Given(method="crowdlab", model=model))
        assert hears.merged["t00"].probabilities[0] < deaf.merged["t00"].probabilities[0]

    def test_nothing_to_consolidate(self) -> None:
        assert KIND.consensus(SINGLE, {}, Given()).merged == KIND.consensus(MULTIPLE, {}, Given()).merged == {}

    def test_gold_of_tasks_without_votes_is_left_alone(self) -> None:
        assert set(KIND.consensus(SINGLE, cast("ann:red"), Given(gold={"x": ("red",)})).merged) == {"t0"}

    def test_multiple_goes_label_by_label(self) -> None:
        votes = cast("ann:red+green bob:red cy:red+blue")
        merged = KIND.consensus(MULTIPLE, votes, Given(method="majority")).merged["t0"]
        assert merged.value == ("red",)
        assert merged.probabilities == pytest.approx((1, 1 / 3, 1 / 3))
        assert merged.confidence == pytest.approx(4 / 9)
        assert merged.certainty == pytest.approx(2 / 3)

    def test_a_tie_on_one_label_is_a_tie(self) -> None:
        merged = KIND.consensus(MULTIPLE, cast("ann:red bob:red+blue"), Given(method="one-coin")).merged["t0"]
        assert merged.value is None
        assert merged.proposal == ("red", "blue")
        assert merged.why == "1 of 2 says 'blue'"
        assert merged.certainty == pytest.approx(0.5, abs=1e-3)

    def test_everybody_says_none(self) -> None:
        merged = KIND.consensus(MULTIPLE, cast("ann: bob:", "ann: bob:"), Given()).merged["t0"]
        assert merged.value == ()
        assert merged.certainty > 0.9

    def test_required_and_nothing_agreed_is_no_consensus(self) -> None:
        merged = KIND.consensus(REQUIRED, cast("ann:red bob:green cy:blue"), Given(method="majority")).merged["t0"]
        assert merged.value is None
        assert merged.proposal == ("red",)
        assert "required" in merged.why

    def test_one_set_is_as_sure_as_its_person(self) -> None:
        found = KIND.consensus(MULTIPLE, cast("ann:red", "ann:red+blue bob:red cy:green"), Given())
        assert found.merged["t0"].value == ("red",)
        assert found.merged["t0"].certainty == pytest.approx(found.skill["ann"].accuracy)

    def test_gold_sets_win(self) -> None:
        votes = cast("ann:red bob:red", "ann:red+blue bob:red")
        found = KIND.consensus(MULTIPLE, votes, Given(gold={"t0": ("green",), "t1": ()}))
        assert found.merged["t0"].value == ("green",)
        assert found.merged["t0"].probabilities == (0.0, 1.0, 0.0)
        assert found.merged["t1"].value == ()
        assert found.skill["ann"].accuracy < found.skill["bob"].accuracy < 0.9

    def test_a_list_of_one_label(self) -> None:
        one = Control("c", "choices", "t", "Text", "text", ("only",))
        merged = KIND.consensus(one, cast("ann:only bob:only"), Given()).merged["t0"]
        assert (merged.value, merged.confidence, merged.probabilities) == (("only",), 1.0, (1.0,))

    def test_unknown_methods_are_refused(self) -> None:
        with pytest.raises(ValueError, match="magic"):
            KIND.consensus(SINGLE, cast("ann:red"), Given(method="magic"))

    def test_many_labels_are_asked_of_only_where_somebody_gave_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        votes = cast("ann:red+green bob:red cy:red+blue", "ann:blue bob:blue cy:blue")
        full = KIND.consensus(MULTIPLE, votes, Given(method="majority")).merged
        monkeypatch.setattr("adapter.kinds.families.label_votes.MOST_QUESTIONS", 1)
        sparse = KIND.consensus(MULTIPLE, votes, Given(method="majority")).merged
        assert {task: m.value for task, m in sparse.items()} == {task: m.value for task, m in full.items()}
        assert sparse["t1"].probabilities == full["t1"].probabilities == (0.0, 0.0, 1.0)
        assert KIND.consensus(MULTIPLE, votes, Given(method="dawid-skene")).method == "one-coin"

    @settings(deadline=None, max_examples=50)
    @given(
        st.lists(st.dictionaries(st.sampled_from("abcde"), st.sets(st.sampled_from(LABELS)), max_size=4), max_size=6),
        st.randoms(use_true_random=False),
    )
    def test_order_does_not_matter_and_what_comes_out_is_a_value(self, rows: list[Any], random: Random) -> None:
        votes = {
            f"t{i}": {who: KIND.canonical(MULTIPLE, said) for who, said in row.items()} for i, row in enumerate(rows)
        }
        found = KIND.consensus(MULTIPLE, votes, Given())
        shuffled = {
            task: dict(random.sample(sorted(votes[task].items()), len(votes[task])))
            for task in random.sample(sorted(votes), len(votes))
        }
        again = KIND.consensus(MULTIPLE, shuffled, Given())
        assert found.merged == again.merged
        for task, merged in found.merged.items():
            assert 0 <= merged.confidence <= merged.certainty + 1e-12 <= 1 + 1e-12
            assert all(0 <= p <= 1 for p in merged.probabilities)
            assert merged.value is None or KIND.canonical(MULTIPLE, merged.value) == merged.value
            assert (merged.value is None) == bool(merged.why)
            assert set(votes[task]) <= set(found.skill)

    @settings(deadline=None, max_examples=50)
    @given(
        st.lists(st.dictionaries(st.sampled_from("abcde"), st.sampled_from(LABELS), min_size=1, max_size=4), min_size=1)
    )
    def test_single_posteriors_are_distributions(self, rows: list[dict[str, str]]) -> None:
        votes = {f"t{i}": {who: (said,) for who, said in row.items()} for i, row in enumerate(rows)}
        for task, merged in KIND.consensus(SINGLE, votes, Given()).merged.items():
            assert sum(merged.probabilities) == pytest.approx(1)
            assert merged.certainty == merged.confidence == pytest.approx(max(merged.probabilities))
            if len({*votes[task].values()}) == 1:
                assert merged.value == next(iter(votes[task].values()))


def test_a_choice_on_a_region_is_read_and_written_by_the_same_two() -> None:
    assert KIND.item(MULTIPLE, ("blue", "red")) == {"choices": ["red", "blue"]}
    assert KIND.value_of(MULTIPLE, {"choices": ["blue", "red"], "start": 3, "end": 9}) == ("red", "blue")
    with pytest.raises(LabelError):
        KIND.value_of(SINGLE, {"start": 3})


def test_disagreements_are_said_in_words() -> None:
    assert KIND.disagreement(SINGLE, ("red",), ("blue",)) == "'red' against 'blue'"
    assert (
        KIND.disagreement(MULTIPLE, ("red", "green"), ("green", "blue"))
        == "only the first says 'red'; only the second says 'blue'"
    )
    assert KIND.disagreement(MULTIPLE, (), ("blue",)) == "only the second says 'blue'"
    assert KIND.disagreement(MULTIPLE, (), ()) == "no difference"
