from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import LabelError, UnsupportedControl
from adapter.kinds import kind_of
from adapter.kinds.base import Given, RegionKind, Tag
from adapter.kinds.per_region import KIND
from adapter.kinds.samples import samples
from adapter.label_studio.label_config import parse_label_config
from adapter.vocabulary import Control, JsonObject, Value

BOXES = '<RectangleLabels name="box" toName="img"><Label value="Car"/><Label value="Bus"/></RectangleLabels>'
STATE = (
    '<Choices name="state" toName="img" perRegion="true"><Choice value="wet"/><Choice value="dry"/>'
    '<Choice value="icy"/></Choices>'
)
CONFIG = f"""<View><Image name="img" value="$image"/>{BOXES}{STATE}
  <Choices name="tags" toName="img" perRegion="true" choice="multiple"><Choice value="x"/><Choice value="y"/></Choices>
  <Rating name="stars" toName="img" perRegion="true" maxRating="5"/>
  <TextArea name="note" toName="img" perRegion="true"/>
  <Number name="count" toName="img" perRegion="true"/>
</View>"""
SHAPES = """<View><Image name="img" value="$image"/>
  <Labels name="what" toName="img"><Label value="Car"/><Label value="Bus"/></Labels>
  <Rectangle name="r" toName="img"/><Ellipse name="e" toName="img"/>
</View>"""
SPACE = parse_label_config(CONFIG)
STATES = SPACE.control("state")


def box(number: str, x: float, *, width: float = 10.0, score: float | None = None) -> Any:
    region: dict[str, Any] = {
        "id": number,
        "type": "rectanglelabels",
        "labels": [],
        "value": {"x": x, "y": 10.0, "width": width, "height": 20.0, "rotation": 0},
        "envelope": {"original_width": 640, "original_height": 480, "image_rotation": 0},
    }
    return region if score is None else {**region, "score": score}


def on(*answers: tuple[dict[str, Any], str], control: Control = STATES) -> Value:
    return KIND.canonical(control, [{"region": region, "value": [value]} for region, value in answers])


def box_item(number: str, x: float) -> JsonObject:
    region = box(number, x)
    value = {**region["value"], "rectanglelabels": ["Car"]}
    return {
        "id": number,
        "from_name": "box",
        "to_name": "img",
        "type": "rectanglelabels",
        "value": value,
        **region["envelope"],
    }


def state_item(number: str, x: float, *choices: str) -> JsonObject:
    return {**box_item(number, x), "from_name": "state", "type": "choices"} | {
        "value": {**box(number, x)["value"], "choices": list(choices)}
    }


class TestReadAndWrite:
    def test_an_answer_stands_with_the_whole_region_it_hangs_on(self) -> None:
        read = KIND.read(STATES, [box_item("b", 50), box_item("a", 10), state_item("a", 10, "wet")])
        assert read == ({"region": box("a", 10), "value": ("wet",)},)

    def test_written_items_repeat_id_geometry_and_envelope(self) -> None:
        assert KIND.write(STATES, on((box("a", 10), "wet"))) == [state_item("a", 10, "wet")]

    def test_no_answer_is_no_entry(self) -> None:
        assert KIND.read(STATES, [box_item("a", 10)]) == ()
        assert KIND.read(STATES, [box_item("a", 10), state_item("a", 10)]) == ()

    def test_a_required_control_without_any_answer_has_no_value(self) -> None:
        space = parse_label_config(CONFIG.replace('name="state"', 'name="state" required="true"'))
        assert KIND.read(space.control("state"), [box_item("a", 10)]) is None

    def test_an_answer_keeps_apart_from_the_words_of_a_marked_text(self) -> None:
        space = parse_label_config(
            '<View><Text name="t" value="$t"/><Labels name="l" toName="t"><Label value="Name"/></Labels>'
            '<TextArea name="note" toName="t" perRegion="true"/></View>'
        )
        span = {"start": 0, "end": 3, "text": "Ann"}
        items: list[JsonObject] = [
            {"id": "s", "from_name": "l", "to_name": "t", "type": "labels", "value": {**span, "labels": ["Name"]}},
            {"id": "s", "from_name": "note", "to_name": "t", "type": "textarea", "value": {**span, "text": ["who?"]}},
        ]
        read = KIND.read(space.control("note"), items)
        assert read is not None
        assert [(entry["region"]["value"]["text"], entry["value"]) for entry in read] == [("Ann", ("who?",))]
        assert KIND.write(space.control("note"), read) == items[1:]

    def test_an_answer_on_a_track_reads_beside_the_labels_in_the_track_itself(self) -> None:
        space = parse_label_config(
            '<View><Video name="v" value="$v"/><Labels name="l" toName="v"><Label value="Man"/></Labels>'
            '<VideoRectangle name="b" toName="v"/>'
            '<Choices name="c" toName="v" perRegion="true"><Choice value="runs"/></Choices></View>'
        )
        values = samples(space, 1, {})
        result = [item for each in space.controls for item in kind_of(each.kind).write(each, values[each.name])]
        assert {item["type"] for item in result} == {"videorectangle", "choices"}
        assert KIND.read(space.control("c"), result) == values["c"]

    def test_an_answer_on_no_region_names_the_id(self) -> None:
        with pytest.raises(LabelError, match="'gone'"):
            KIND.read(STATES, [box_item("a", 10), state_item("gone", 10, "wet")])

    def test_a_region_of_a_control_that_is_not_served_is_passed_over(self) -> None:
        other = {**box_item("m", 10), "from_name": "hologram", "type": "hologram"}
        assert KIND.read(STATES, [other, state_item("m", 10, "wet")]) == ()

    def test_labels_beside_bare_shapes_are_written_as_label_studio_does(self) -> None:
        space = parse_label_config(SHAPES)
        control = space.control("what")
        shape = {**box_item("a", 10), "from_name": "r", "type": "rectangle", "value": box("a", 10)["value"]}
        named = {**shape, "from_name": "what", "type": "labels", "value": {**box("a", 10)["value"], "labels": ["Bus"]}}
        read = KIND.read(control, [shape, named])
        assert read is not None
        assert [(entry["region"]["type"], entry["value"]) for entry in read] == [("rectangle", ("Bus",))]
        assert KIND.write(control, read) == [named]

    @pytest.mark.parametrize("config", [CONFIG, SHAPES])
    @settings(deadline=None)  # the first call imports Label Studio's SDK
    @given(seed=st.integers(0, 2**32))
    def test_made_up_answers_round_trip_and_are_accepted(self, config: str, seed: int) -> None:
        from label_studio_sdk.label_interface import LabelInterface

        space = parse_label_config(config)
        values = samples(space, seed, {})
        result = [
            item for control in space.controls for item in kind_of(control.kind).write(control, values[control.name])
        ]
        assert LabelInterface(config).validate_prediction({"result": result}, return_errors=True) == []
        for control in space.controls:
            kind = kind_of(control.kind)
            assert kind.read(control, json.loads(json.dumps(result))) == values[control.name]
            assert kind.canonical(control, json.loads(json.dumps(values[control.name]))) == values[control.name]

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        )
    )
    def test_nonsense_is_a_label_error(self, what: object) -> None:
        for value in (what, [what], [{"region": what, "value": ["wet"]}], [{"region": box("a", 1), "value": what}]):
            with contextlib.suppress(LabelError):
                KIND.canonical(STATES, value)
        items: list[Any] = [what, {**box_item("a", 1), "value": what}, {**state_item("a", 1, "wet"), "value": what}]
        for item in items:
            with contextlib.suppress(LabelError):
                KIND.read(STATES, [box_item("b", 50), item])

    def test_two_answers_on_one_region_are_refused(self) -> None:
        with pytest.raises(LabelError, match="two answers on the region 'a'"):
            on((box("a", 10), "wet"), (box("a", 10), "dry"))

    def test_labels_of_the_region_are_no_part_of_the_answer(self) -> None:
        labelled = {**box("a", 10), "labels": ["Car"]}
        assert on((labelled, "wet")) == on((box("a", 10), "wet"))

    def test_it_is_no_kind_of_regions_and_has_no_tag(self) -> None:
        assert not isinstance(KIND, RegionKind)
        with pytest.raises(UnsupportedControl, match="not asked of each region"):
            KIND.control(Tag("Choices", {}))


class TestComparison:
    A = on((box("a", 10), "wet"), (box("b", 40), "dry"))
    B = on((box("p", 11), "wet"), (box("q", 41), "icy"), (box("r", 70), "wet"))

    def test_only_regions_that_both_answered_on_count(self) -> None:
        assert KIND.distance(STATES, self.A, self.B) == 0.5
        assert KIND.pair_counts(STATES, self.A, self.B)["score"] == (0.5, 1.0)

    def test_without_common_regions_nothing_is_known(self) -> None:
        other = on((box("z", 80), "wet"))
        assert KIND.distance(STATES, self.A, other) == 0.0
        assert KIND.pair_counts(STATES, self.A, other)["score"] == (0.0, 0.0)

    def test_units_are_the_regions(self) -> None:
        units = KIND.units(STATES, {"ann": self.A, "bob": self.B})
        said = sorted(tuple(sorted((who, str(code)) for who, code in unit.codes.items())) for unit in units)
        assert len(units) == 3
        assert [len(codes) for codes in said] == [2, 2, 1]

    def test_the_sentence_says_what_is_left_to_the_other_control(self) -> None:
        measure = KIND.measure(STATES)
        assert measure.scale == kind_of("choices").measure(STATES.inner or STATES).scale
        assert "business of the control that marks them" in measure.sentence

    def test_disagreement_names_the_region(self) -> None:
        words = KIND.disagreement(STATES, self.A, self.B)
        assert "'dry' against 'icy'" in words
        assert "wet" not in words
        assert KIND.disagreement(STATES, self.A, self.A) == "no difference"

    def test_doubt_is_that_of_the_least_certain_region(self) -> None:
        assert KIND.doubt(STATES, self.A) == 0.0
        assert KIND.doubt(STATES, on((box("a", 10, score=0.75), "wet"))) == pytest.approx(0.25)


class TestConsensus:
    VOTES = {  # noqa: RUF012 - read only
        "t": {
            "ann": on((box("a", 10), "wet"), (box("b", 40), "dry"), (box("lost", 80), "icy")),
            "bob": on((box("p", 11), "wet"), (box("q", 41), "dry")),
            "cem": on((box("x", 10), "wet"), (box("y", 40), "icy")),
        }
    }
    PARENTS = {"t": [box("one", 10.5), box("two", 40)]}  # noqa: RUF012 - read only

    def test_answers_hang_on_the_consensus_regions(self) -> None:
        merged: Any = KIND.consensus(STATES, self.VOTES, Given(parents=self.PARENTS)).merged["t"]
        assert [(entry["region"]["id"], entry["value"]) for entry in merged.value] == [
            ("one", ("wet",)),
            ("two", ("dry",)),
        ]
        assert 0.5 < merged.certainty < 1
        assert merged.confidence <= merged.certainty

    def test_regions_that_did_not_survive_are_dropped(self) -> None:
        merged: Any = KIND.consensus(STATES, self.VOTES, Given(parents={"t": [box("one", 10)]})).merged["t"]
        assert [entry["region"]["id"] for entry in merged.value] == ["one"]
        assert KIND.consensus(STATES, self.VOTES, Given(parents={"t": []})).merged["t"].value == ()

    def test_a_tie_on_one_region_leaves_the_task_open_with_a_proposal(self) -> None:
        votes = {"t": {"ann": on((box("a", 10), "wet")), "bob": on((box("b", 10), "dry"))}}
        merged: Any = KIND.consensus(STATES, votes, Given(parents={"t": [box("one", 10)]})).merged["t"]
        assert merged.value is None
        assert "rectangle" in merged.why
        assert merged.proposal is not None

    def test_a_required_question_that_nobody_answered_leaves_the_task_open(self) -> None:
        space = parse_label_config(CONFIG.replace('name="state"', 'name="state" required="true"'))
        control = space.control("state")
        votes = {"t": {"ann": on((box("a", 10), "wet"))}}
        parents = {"t": [box("one", 10), box("two", 60)]}
        merged: Any = KIND.consensus(control, votes, Given(parents=parents)).merged["t"]
        assert merged.value is None
        assert "nobody who answered marked it" in merged.why
        free: Any = KIND.consensus(STATES, votes, Given(parents=parents)).merged["t"]
        assert [entry["region"]["id"] for entry in free.value] == ["one"]

    def test_without_consensus_regions_the_answered_ones_stand_for_themselves(self) -> None:
        merged: Any = KIND.consensus(STATES, self.VOTES, Given()).merged["t"]
        assert [entry["value"] for entry in merged.value or merged.proposal] == [("wet",), ("dry",), ("icy",)]

    def test_gold_stands_and_measures_people(self) -> None:
        gold = {"t": on((box("g", 10), "wet"), (box("h", 40), "dry"))}
        together = KIND.consensus(STATES, self.VOTES, Given(gold=gold, parents=self.PARENTS))
        assert together.merged["t"].value == gold["t"]
        assert together.skill["ann"].accuracy > together.skill["cem"].accuracy

    def test_the_order_of_people_and_tasks_does_not_matter(self) -> None:
        votes = {**self.VOTES, "u": {"ann": on((box("a", 10), "icy")), "bob": on((box("b", 11), "icy"))}}
        turned = {task: dict(reversed(votes[task].items())) for task in reversed(votes)}
        parents = {**self.PARENTS, "u": [box("k", 10)]}
        one, other = (KIND.consensus(STATES, each, Given(parents=parents)) for each in (votes, turned))
        assert one.merged == other.merged
        assert one.skill == other.skill

    @pytest.mark.parametrize(("name", "value"), [("stars", 4), ("note", ["a car"]), ("count", 2.0), ("tags", ["x"])])
    def test_any_kind_of_answer_can_be_asked(self, name: str, value: object) -> None:
        control = SPACE.control(name)
        votes = {
            "t": {
                who: KIND.canonical(control, [{"region": box(who, 10 + shift), "value": value}])
                for who, shift in (("ann", 0.0), ("bob", 0.5))
            }
        }
        merged: Any = KIND.consensus(control, votes, Given(parents={"t": [box("one", 10)]})).merged["t"]
        (entry,) = merged.value
        assert entry["region"]["id"] == "one"
        assert entry["value"] == votes["t"]["ann"][0]["value"]
