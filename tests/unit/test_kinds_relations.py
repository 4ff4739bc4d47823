from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import LabelConfigError, LabelError, UnsupportedControl
from adapter.kinds import kind_of
from adapter.kinds.base import Given, RegionKind, Tag
from adapter.kinds.relations import KIND
from adapter.kinds.samples import samples
from adapter.label_studio.label_config import parse_label_config
from adapter.policies import ConsolidatePolicy
from adapter.vocabulary import Control, JsonObject, Value

CONFIG = """<View><Image name="img" value="$image"/>
  <RectangleLabels name="box" toName="img"><Label value="Man"/><Label value="Horse"/></RectangleLabels>
  <Relations><Relation value="rides"/><Relation value="near"/></Relations>
</View>"""
SPACE = parse_label_config(CONFIG)
CONTROL = SPACE.control("relations")
BARE = parse_label_config(CONFIG.replace('<Relation value="rides"/><Relation value="near"/>', "")).control("relations")


def box(number: str, x: float, label: str = "Man") -> Any:
    return {
        "id": number,
        "type": "rectanglelabels",
        "labels": [label],
        "value": {"x": x, "y": 10.0, "width": 10.0, "height": 20.0, "rotation": 0},
        "envelope": {"original_width": 640, "original_height": 480},
    }


def rel(one: dict[str, Any], other: dict[str, Any], *labels: str, way: str = "right") -> dict[str, Any]:
    return {"from": one, "to": other, "direction": way, "labels": list(labels)}


def value(*relations: dict[str, Any], control: Control = CONTROL) -> Value:
    return KIND.canonical(control, list(relations))


def item(number: str, x: float) -> JsonObject:
    region = box(number, x)
    return {
        "id": number,
        "from_name": "box",
        "to_name": "img",
        "type": "rectanglelabels",
        "value": {**region["value"], "rectanglelabels": ["Man"]},
        **region["envelope"],
    }


def link(one: str, other: str, *labels: str, way: str = "right") -> JsonObject:
    return {"type": "relation", "from_id": one, "to_id": other, "direction": way, "labels": list(labels)}


MAN, HORSE, TREE = box("m", 10), box("h", 40, "Horse"), box("t", 70, "Horse")


class TestParse:
    def test_labels_and_whether_several_may_hold(self) -> None:
        tag = Tag("Relations", {"choice": "single"}, (Tag("Relation", {"value": "rides"}),))
        control = KIND.control(tag)
        assert (control.name, control.labels, control.multiple) == ("relations", ("rides",), False)
        assert CONTROL.multiple

    @pytest.mark.parametrize(("labels", "words"), [(("a", "a"), "'a' is there twice"), ((" ",), "has no value")])
    def test_mistakes_are_named(self, labels: tuple[str, ...], words: str) -> None:
        with pytest.raises(LabelConfigError, match=words):
            KIND.control(Tag("Relations", {}, tuple(Tag("Relation", {"value": label}) for label in labels)))

    def test_labels_from_task_data_are_not_served(self) -> None:
        with pytest.raises(UnsupportedControl, match="comes from task data"):
            KIND.control(Tag("Relations", {}, (Tag("Relation", {"value": "$x"}),)))


class TestReadAndWrite:
    def test_ids_become_whole_regions(self) -> None:
        read = KIND.read(CONTROL, [item("m", 10), item("h", 40), link("m", "h", "rides")])
        assert read == value(rel(box("m", 10), box("h", 40), "rides"))
        assert KIND.write(CONTROL, read) == [link("m", "h", "rides")]

    def test_no_relation_is_an_answer(self) -> None:
        assert KIND.read(CONTROL, [item("m", 10)]) == ()
        assert KIND.write(CONTROL, ()) == []

    def test_label_studio_leaves_direction_and_labels_out_sometimes(self) -> None:
        bare = {"type": "relation", "from_id": "m", "to_id": "h"}
        read = KIND.read(CONTROL, [item("m", 10), item("h", 40), bare])
        assert read is not None
        assert (read[0]["direction"], read[0]["labels"]) == ("right", [])

    def test_dangling_ids_are_named(self) -> None:
        with pytest.raises(LabelError, match=r"'gone', 'lost'"):
            KIND.read(CONTROL, [item("m", 10), link("m", "gone"), link("lost", "m")])

    def test_a_relation_to_a_region_that_is_not_served_is_passed_over(self) -> None:
        other = {**item("x", 10), "from_name": "hologram", "type": "hologram"}
        assert KIND.read(CONTROL, [item("m", 10), other, link("m", "x")]) == ()

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            (rel(MAN, HORSE, "flies"), "'flies' is not a label of 'relations'"),
            (rel(MAN, HORSE, way="up"), "'up' is no direction"),
            ({"from": MAN}, "no object with `from` and `to`"),
            (rel(MAN, {**HORSE, "type": "hologram"}), "hologram"),
        ],
    )
    def test_what_is_no_relation_is_refused_in_words(self, wrong: dict[str, Any], words: str) -> None:
        with pytest.raises(LabelError, match=words):
            value(wrong)

    def test_the_order_of_drawing_does_not_matter(self) -> None:
        one, other = rel(MAN, HORSE, "rides"), rel(HORSE, TREE, "near")
        assert value(one, other) == value(other, one)

    @settings(deadline=None)  # the first call imports Label Studio's SDK
    @given(seed=st.integers(0, 2**32))
    def test_made_up_relations_round_trip_and_are_accepted(self, seed: int) -> None:
        from label_studio_sdk.label_interface import LabelInterface

        values = samples(SPACE, seed, {})
        result = [item for each in SPACE.controls for item in kind_of(each.kind).write(each, values[each.name])]
        assert len(values["relations"]) == 1
        assert LabelInterface(CONFIG).validate_prediction({"result": result}, return_errors=True) == []
        assert KIND.read(CONTROL, json.loads(json.dumps(result))) == values["relations"]
        assert KIND.canonical(CONTROL, json.loads(json.dumps(values["relations"]))) == values["relations"]

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
        )
    )
    def test_nonsense_is_a_label_error(self, what: Any) -> None:
        for wrong in (what, [what], [{"from": what, "to": what}], [{**rel(MAN, HORSE), "labels": what}]):
            with contextlib.suppress(LabelError):
                KIND.canonical(CONTROL, wrong)
        for broken in (what, {"type": "relation", "from_id": what, "to_id": "m"}, {**link("m", "h"), "labels": what}):
            with contextlib.suppress(LabelError):
                KIND.read(CONTROL, [item("m", 10), item("h", 40), broken])

    def test_it_marks_no_regions_itself(self) -> None:
        assert not isinstance(KIND, RegionKind)


class TestComparison:
    def test_left_is_right_told_from_the_other_end(self) -> None:
        one, other = value(rel(MAN, HORSE, "rides")), value(rel(HORSE, MAN, "rides", way="left"))
        assert KIND.distance(CONTROL, one, other) == 0.0
        assert KIND.disagreement(CONTROL, one, other) == "no difference"

    def test_both_ways_knows_no_order(self) -> None:
        one, other = value(rel(MAN, HORSE, way="bi")), value(rel(HORSE, MAN, way="bi"))
        assert KIND.distance(CONTROL, one, other) == 0.0

    def test_the_other_direction_is_another_relation(self) -> None:
        counts = KIND.pair_counts(CONTROL, value(rel(MAN, HORSE)), value(rel(HORSE, MAN)))
        assert counts["f1"] == (0.0, 2.0)
        assert counts["score"] == (0.0, 1.0)

    def test_f1_by_ends_and_by_labels(self) -> None:
        one = value(rel(MAN, HORSE, "rides"), rel(HORSE, TREE, "near"))
        other = value(rel(box("a", 11), box("b", 41), "rides"), rel(box("b", 41), box("c", 70), "rides"))
        counts = KIND.pair_counts(CONTROL, one, other)
        assert counts["f1"] == (4.0, 4.0)
        assert counts["labelled_f1"] == (2.0, 4.0)
        assert counts["score"] == (0.5, 1.0)

    def test_nobody_related_anything(self) -> None:
        assert KIND.distance(CONTROL, (), ()) == 0.0
        assert KIND.pair_counts(CONTROL, (), ())["f1"] == (0.0, 0.0)
        assert KIND.distance(CONTROL, (), value(rel(MAN, HORSE))) == 1.0

    def test_units_are_the_pairs_that_anybody_related(self) -> None:
        votes = {
            "ann": value(rel(MAN, HORSE, "rides")),
            "bob": value(rel(box("b", 41, "Horse"), box("a", 11), "rides", way="left"), rel(HORSE, TREE)),
            "cem": value(),
        }
        units = KIND.units(CONTROL, votes)
        codes = sorted(tuple(str(unit.codes[who]) for who in sorted(votes)) for unit in units)
        assert codes == [("", "right", ""), ("right rides", "right rides", "")]

    def test_the_headline_asks_for_labels_where_there_are_some(self) -> None:
        assert KIND.measure(CONTROL).headline == "labelled_f1"
        assert KIND.measure(BARE).headline == "f1"

    def test_disagreement_in_words(self) -> None:
        one = value(rel(MAN, HORSE, "rides"), rel(MAN, TREE))
        other = value(rel(MAN, HORSE, "near"))
        words = KIND.disagreement(CONTROL, one, other)
        assert "(rides) against" in words
        assert "(near)" in words
        assert "only the first says" in words

    def test_of_label_and_doubt(self) -> None:
        both = value(rel(MAN, HORSE, "rides"), rel(HORSE, {**TREE, "score": 0.6}, "near"))
        assert len(KIND.of_label(CONTROL, both, "near")) == 1
        assert KIND.doubt(CONTROL, both) == pytest.approx(0.4)


class TestConsensus:
    PARENTS = {"t": [box("M", 10), box("H", 40, "Horse"), box("T", 70, "Horse")]}  # noqa: RUF012 - read only

    def merged(self, control: Control = CONTROL, **votes: Value) -> Any:
        return KIND.consensus(control, {"t": votes}, Given(parents=self.PARENTS)).merged["t"]

    def test_two_of_three_make_a_relation_between_consensus_regions(self) -> None:
        merged = self.merged(
            ann=value(rel(MAN, HORSE, "rides")),
            bob=value(rel(box("b", 41, "Horse"), box("a", 11), "rides", way="left")),
            cem=value(),
        )
        (relation,) = merged.value
        assert (relation["from"]["id"], relation["to"]["id"]) == ("M", "H")
        assert (relation["direction"], relation["labels"]) == ("right", ["rides"])
        assert 0 < merged.certainty < 1

    def test_what_one_of_three_says_does_not_stand(self) -> None:
        merged = self.merged(
            ann=value(rel(MAN, HORSE, "rides"), rel(HORSE, TREE)),
            bob=value(rel(MAN, HORSE, "rides")),
            cem=value(rel(MAN, HORSE, "rides")),
        )
        assert [each["to"]["id"] for each in merged.value] == ["H"]

    def test_direction_and_labels_are_voted_on(self) -> None:
        merged = self.merged(
            ann=value(rel(MAN, HORSE, "rides", "near")),
            bob=value(rel(MAN, HORSE, "rides")),
            cem=value(rel(HORSE, MAN, "rides")),
        )
        (relation,) = merged.value
        assert (relation["from"]["id"], relation["direction"], relation["labels"]) == ("M", "right", ["rides"])

    def test_a_tied_label_leaves_the_task_open_with_a_proposal(self) -> None:
        merged = self.merged(ann=value(rel(MAN, HORSE, "rides")), bob=value(rel(MAN, HORSE, "near")))
        assert merged.value is None
        assert "its label is tied" in merged.why
        assert merged.proposal[0]["from"]["id"] == "M"

    def test_a_tied_direction_too(self) -> None:
        merged = self.merged(BARE, ann=value(rel(MAN, HORSE), control=BARE), bob=value(rel(HORSE, MAN), control=BARE))
        assert merged.value is None
        assert "its direction is tied" in merged.why

    def test_an_end_that_did_not_survive_takes_its_relation_along(self) -> None:
        lost = rel(MAN, box("x", 85))
        merged = self.merged(ann=value(lost), bob=value(lost))
        assert merged.value == ()

    def test_without_consensus_regions_the_related_ones_stand_for_themselves(self) -> None:
        votes = {"t": {"ann": value(rel(MAN, HORSE, "rides")), "bob": value(rel(box("q", 11), HORSE, "rides"))}}
        merged: Any = KIND.consensus(CONTROL, votes, Given()).merged["t"]
        (relation,) = merged.value
        assert relation["labels"] == ["rides"]

    def test_where_nothing_can_be_related_nothing_is_doubted(self) -> None:
        votes = {"t": {"ann": value(), "bob": value()}}
        lonely = KIND.consensus(CONTROL, votes, Given(parents={"t": [box("M", 10)]})).merged["t"]
        assert (lonely.value, lonely.certainty) == ((), 1.0)
        assert 0.5 < self.merged(ann=value(), bob=value()).certainty < 1

    def test_gold_stands_and_measures_people(self) -> None:
        gold = {str(number): value(rel(MAN, HORSE, "rides")) for number in range(20)}
        votes = {task: {"ann": value(rel(MAN, HORSE, "rides")), "bob": value(rel(HORSE, TREE))} for task in gold}
        parents = {task: self.PARENTS["t"] for task in gold}
        together = KIND.consensus(CONTROL, votes, Given(gold=gold, parents=parents))
        assert together.merged["3"].value == gold["3"]
        assert together.skill["ann"].accuracy > 0.9 > together.skill["bob"].accuracy

    def test_one_person_alone_is_less_certain_than_two(self) -> None:
        one = value(rel(MAN, HORSE, "rides"))
        assert self.merged(ann=one).certainty < self.merged(ann=one, bob=one).certainty

    @pytest.mark.parametrize("labels", [1, 2, 8, 20])
    @pytest.mark.parametrize("multiple", [False, True])
    def test_one_person_alone_is_believed_however_many_labels_there_are(self, labels: int, multiple: bool) -> None:
        names = ("rides", *(f"l{number}" for number in range(1, labels)))
        control = replace(CONTROL, labels=names, multiple=multiple)
        merged = self.merged(control, ann=value(rel(MAN, HORSE, "rides"), control=control))
        assert merged.value is not None
        assert merged.certainty >= ConsolidatePolicy().people_threshold

    def test_the_order_of_people_and_tasks_does_not_matter(self) -> None:
        votes = {
            "t": {"ann": value(rel(MAN, HORSE, "rides")), "bob": value(rel(HORSE, MAN, "near")), "cem": value()},
            "u": {"bob": value(rel(MAN, TREE)), "ann": value(rel(MAN, TREE))},
        }
        turned = {task: dict(reversed(votes[task].items())) for task in reversed(votes)}
        parents = {task: self.PARENTS["t"] for task in votes}
        one, other = (KIND.consensus(CONTROL, each, Given(parents=parents)) for each in (votes, turned))
        assert one.merged == other.merged
        assert one.skill == other.skill

    def test_a_task_without_votes_has_no_value(self) -> None:
        merged = KIND.consensus(CONTROL, {"t": {}}, Given(parents=self.PARENTS)).merged["t"]
        assert (merged.value, merged.why) == (None, "nobody has answered")
