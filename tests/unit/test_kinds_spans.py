from __future__ import annotations

import itertools
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import LabelError
from adapter.kinds.base import Given, Tag
from adapter.kinds.spans import KIND
from adapter.policies import ConsolidatePolicy
from adapter.vocabulary import Control, Value

LABELS = ("PER", "LOC", "ORG")
TEXT = Control("ner", "spans", "text", "Text", "text", LABELS, tag="Labels")
PAGE = Control("ner", "spans", "text", "HyperText", "text", LABELS, tag="HyperTextLabels")
TALK = Control("ner", "spans", "text", "Paragraphs", "text", LABELS, tag="ParagraphLabels")
KEYS = {"Labels": "labels", "HyperTextLabels": "hypertextlabels", "ParagraphLabels": "paragraphlabels"}


def item(control: Control, *labels: str, **value: Any) -> dict[str, Any]:
    key = KEYS[control.tag]
    return {"from_name": "ner", "to_name": "text", "type": key, "value": {**value, key: list(labels)}}


def spans(*marks: tuple[int, int, str], control: Control = TEXT) -> Value:
    return KIND.read(control, [item(control, label, start=start, end=end) for start, end, label in marks])


def places(value: Value) -> list[tuple[int, int, str]]:
    return [(r["value"]["start"], r["value"]["end"], r["labels"][0]) for r in value]


OFFSETS = st.integers(0, 80)
XPATHS = st.sampled_from(["/div[1]/p[1]/text()[1]", "/div[1]/p[2]/text()[1]"])


@st.composite
def items(draw: st.DrawFn, control: Control) -> dict[str, Any]:
    start, end = sorted(draw(st.tuples(OFFSETS, OFFSETS)))
    value: dict[str, Any] = {"start": start, "end": end}
    if control.tag == "HyperTextLabels":
        path = draw(XPATHS)
        value = {"start": path, "end": path, "startOffset": start, "endOffset": end}
        if draw(st.booleans()):
            value["globalOffsets"] = {"start": start + 100, "end": end + 100}
    elif control.tag == "ParagraphLabels":
        first, last = sorted(draw(st.tuples(st.integers(0, 4), st.integers(0, 4))))
        value = {"start": str(first), "end": str(last), "startOffset": start, "endOffset": end}
    if draw(st.booleans()):
        value["text"] = draw(st.text(max_size=8))
    labels = draw(st.lists(st.sampled_from(LABELS), min_size=1, max_size=2, unique=True))
    ordered = [label for label in LABELS if label in labels]
    return {**item(control, *ordered, **value), "id": draw(st.uuids()).hex[:10], "origin": "manual"}


def values(control: Control) -> st.SearchStrategy[Value]:
    return st.lists(items(control), max_size=5, unique_by=lambda one: one["id"]).map(
        lambda found: KIND.read(control, found)
    )


CONTROLS = pytest.mark.parametrize("control", [TEXT, PAGE, TALK], ids=lambda control: control.tag)


class TestCodec:
    @CONTROLS
    @given(data=st.data())
    def test_items_survive_whole(self, control: Control, data: st.DataObject) -> None:
        drawn = data.draw(st.lists(items(control), max_size=4, unique_by=lambda one: one["id"]))
        written = KIND.write(control, KIND.read(control, drawn))
        by_id = lambda one: one["id"]  # noqa: E731 - a key
        assert sorted(written, key=by_id) == sorted(drawn, key=by_id)

    @CONTROLS
    @given(data=st.data())
    def test_values_survive_json(self, control: Control, data: st.DataObject) -> None:
        value = data.draw(values(control))
        assert KIND.canonical(control, json.loads(json.dumps(value))) == value

    @CONTROLS
    @settings(max_examples=10, deadline=None)
    @given(data=st.data())
    def test_label_studio_takes_what_is_written_as_a_prediction(self, control: Control, data: st.DataObject) -> None:
        from label_studio_sdk.label_interface import LabelInterface

        labels = "".join(f"<Label value='{label}'/>" for label in LABELS)
        config = (
            f"<View><{control.object_tag} name='text' value='$text'/>"
            f"<{control.tag} name='ner' toName='text'>{labels}</{control.tag}></View>"
        )
        prediction = {"result": KIND.write(control, data.draw(values(control))), "score": 0.5, "model_version": "m"}
        assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []

    @pytest.mark.parametrize(
        ("control", "value"),
        [
            (TEXT, {"start": 5, "end": 3}),
            (TEXT, {"start": -1, "end": 3}),
            (TEXT, {"start": 0.5, "end": 3}),
            (TEXT, {"start": "0", "end": 3}),
            (TEXT, {"end": 3}),
            (TEXT, {"start": 1, "end": 10**30}),
            (PAGE, {"start": "/p[1]", "end": "/p[1]", "startOffset": 5, "endOffset": 3}),
            (PAGE, {"start": "/p[1]", "end": "/p[1]", "startOffset": 5}),
            (PAGE, {"start": None, "end": "/p[1]", "startOffset": 1, "endOffset": 3}),
            (PAGE, {"start": "/p[1]", "end": "", "startOffset": 1, "endOffset": 3}),
            (PAGE, {"start": "/p", "end": "/p", "startOffset": 1, "endOffset": 3, "globalOffsets": {"start": 9}}),
            (PAGE, {"start": "/p", "end": "/p", "startOffset": 1, "endOffset": 3, "globalOffsets": [1, 2]}),
            (TALK, {"start": "3", "end": "2", "startOffset": 1, "endOffset": 3}),
            (TALK, {"start": [], "end": {}, "startOffset": 1, "endOffset": 3}),
        ],
    )
    def test_impossible_places_are_refused_with_advice(self, control: Control, value: dict[str, Any]) -> None:
        with pytest.raises(LabelError) as caught:
            KIND.read(control, [item(control, "PER", **value)])
        assert caught.value.remedy

    @pytest.mark.parametrize("strange", ["²", "9" * 5000, "\u0663", "-1"])
    def test_strange_paragraph_numbers_break_nothing(self, strange: str) -> None:
        value = {"start": strange, "end": strange, "startOffset": 1, "endOffset": 4}
        a = KIND.read(TALK, [item(TALK, "PER", **value)])
        assert KIND.distance(TALK, a, a) == 0.0

    def test_the_config_gives_labels_and_field(self) -> None:
        objects = {"text": Tag("HyperText", {"name": "text", "value": "$page"})}
        children = (Tag("Label", {"value": "Person", "alias": "PER"}),)
        control = KIND.control(Tag("HyperTextLabels", {"name": "ner", "toName": "text"}, children, objects))
        assert (control.kind, control.tag, control.labels, control.field) == (
            "spans",
            "HyperTextLabels",
            ("PER",),
            "page",
        )


class TestOverlap:
    def test_it_is_the_share_of_characters(self) -> None:
        [a], [b] = spans((0, 10, "PER")), spans((5, 10, "LOC"))
        assert KIND.overlap(a, b) == 0.5

    def test_touching_spans_share_nothing(self) -> None:
        [a], [b] = spans((0, 5, "PER")), spans((5, 9, "PER"))
        assert KIND.overlap(a, b) == 0.0

    def test_a_page_is_compared_by_offsets_in_the_whole_text_where_it_has_them(self) -> None:
        more = {"startOffset": 0, "endOffset": 4}
        [a] = KIND.read(
            PAGE, [item(PAGE, "PER", start="/p[1]", end="/b[1]", **more, globalOffsets={"start": 0, "end": 8})]
        )
        [b] = KIND.read(
            PAGE, [item(PAGE, "PER", start="/i[1]", end="/b[1]", **more, globalOffsets={"start": 4, "end": 8})]
        )
        assert KIND.overlap(a, b) == 0.5

    def test_else_by_offsets_in_the_same_element(self) -> None:
        def region(path: str, start: int, end: int) -> Any:
            return KIND.read(PAGE, [item(PAGE, "PER", start=path, end=path, startOffset=start, endOffset=end)])[0]

        assert KIND.overlap(region("/p[1]", 0, 8), region("/p[1]", 4, 8)) == 0.5
        assert KIND.overlap(region("/p[1]", 0, 8), region("/p[2]", 0, 8)) == 0.0

    def test_one_with_and_one_without_offsets_in_the_whole_text_still_meet(self) -> None:
        value = {"start": "/p", "end": "/p", "startOffset": 0, "endOffset": 8}
        [a] = KIND.read(PAGE, [item(PAGE, "PER", **value)])
        [b] = KIND.read(PAGE, [item(PAGE, "PER", **value, globalOffsets={"start": 50, "end": 58})])
        assert KIND.overlap(a, b) == KIND.overlap(b, a) == 1.0
        assert KIND.distance(PAGE, (a,), (b,)) == 0.0

    def test_paragraphs_follow_each_other(self) -> None:
        def region(first: str, last: str, start: int, end: int) -> Any:
            return KIND.read(TALK, [item(TALK, "PER", start=first, end=last, startOffset=start, endOffset=end)])[0]

        assert KIND.overlap(region("1", "1", 0, 8), region("1", "1", 4, 8)) == 0.5
        assert KIND.overlap(region("1", "1", 0, 8), region("2", "2", 0, 8)) == 0.0
        assert KIND.overlap(region("1", "3", 0, 8), region("2", "2", 0, 8)) > 0

    @CONTROLS
    @given(data=st.data())
    def test_the_table_of_overlaps_is_that_of_single_ones(self, control: Control, data: st.DataObject) -> None:
        a, b = data.draw(values(control)), data.draw(values(control))
        table = KIND.overlaps(a, b)
        assert table.shape == (len(a), len(b))
        for (i, one), (j, other) in itertools.product(enumerate(a), enumerate(b)):
            assert table[i, j] == pytest.approx(KIND.overlap(one, other))
            assert KIND.overlap(one, other) == pytest.approx(KIND.overlap(other, one))

    @CONTROLS
    @given(data=st.data())
    def test_distance_is_symmetric(self, control: Control, data: st.DataObject) -> None:
        a, b = data.draw(values(control)), data.draw(values(control))
        assert KIND.distance(control, a, b) == pytest.approx(KIND.distance(control, b, a))
        assert KIND.distance(control, a, a) == pytest.approx(0.0)
        assert 0 <= KIND.distance(control, a, b) <= 1 + 1e-9

    def test_label_studio_enterprises_example_counts_words(self) -> None:
        [a] = KIND.read(TEXT, [item(TEXT, "PER", start=0, end=14, text="Excellent tool")])
        [b] = KIND.read(TEXT, [item(TEXT, "PER", start=10, end=14, text="tool")])
        assert KIND.likeness(a, b) == 0.5
        assert KIND.distance(TEXT, (a,), (b,)) == 0.5

    def test_any_overlap_counts_for_the_headline(self) -> None:
        counts = KIND.pair_counts(TEXT, spans((0, 20, "PER")), spans((18, 40, "PER")))
        assert counts["overlap_f1"] == (2.0, 2.0)
        assert counts["f1_at_50"] == counts["exact_f1"] == (0.0, 2.0)


class TestUnits:
    def test_stretches_between_borders_are_weighted_by_length(self) -> None:
        units = KIND.units(TEXT, {"ann": spans((5, 10, "PER")), "bob": spans((5, 12, "LOC"))})
        assert [(dict(unit.codes), unit.weight) for unit in units] == [
            ({"ann": "", "bob": ""}, 5.0),
            ({"ann": "PER", "bob": "LOC"}, 5.0),
            ({"ann": "", "bob": "LOC"}, 2.0),
        ]

    def test_overlapping_spans_of_one_person_make_one_code(self) -> None:
        units = KIND.units(TEXT, {"ann": spans((0, 4, "LOC"), (0, 4, "PER"))})
        assert [unit.codes["ann"] for unit in units] == ["PER + LOC"]

    def test_nothing_drawn_gives_no_units(self) -> None:
        assert KIND.units(TEXT, {"ann": (), "bob": ()}) == []


class TestWords:
    def test_where_and_what(self) -> None:
        [span] = KIND.read(TEXT, [item(TEXT, "PER", start=3, end=8, text="Smith")])
        assert KIND.describe(span) == "'PER' at 3-8 \"Smith\""

    def test_a_place_on_a_page(self) -> None:
        [span] = KIND.read(PAGE, [item(PAGE, "PER", start="/p[1]", end="/p[2]", startOffset=1, endOffset=3)])
        assert KIND.where(span) == "from /p[1]:1 to /p[2]:3"


def crowd(*rows: dict[str, Value]) -> dict[str, dict[str, Value]]:
    return {f"t{number}": row for number, row in enumerate(rows)}


class TestConsensus:
    def test_a_careless_majority_does_not_lose_what_careful_people_find(self) -> None:
        full = spans((0, 5, "PER"), (10, 15, "LOC"), (20, 30, "ORG"))
        some = [spans((0, 5, "PER")), spans((10, 15, "LOC")), ()]
        rows = [{"good": full, "fine": full, **{f"lazy{n}": some[(i + n) % 3] for n in range(3)}} for i in range(30)]
        found = KIND.consensus(TEXT, crowd(*rows), Given())
        assert all(places(merged.value) == places(full) for merged in found.merged.values())
        assert found.skill["good"].accuracy > 0.9 > found.skill["lazy0"].accuracy

    def test_a_name_keeps_one_label_and_the_borders_most_people_drew(self) -> None:
        rows = [
            {"a": spans((0, 13, "ORG")), "b": spans((0, 13, "ORG")), "c": spans((0, 4, "ORG"), (5, 13, "LOC"))}
            for _ in range(10)
        ]
        assert places(KIND.consensus(TEXT, crowd(*rows), Given()).merged["t0"].value) == [(0, 13, "ORG")]

    def test_the_same_words_elsewhere_help_to_decide(self) -> None:
        text = "met Taibe ."
        sure = {who: spans((4, 9, "LOC")) for who in "abc"}
        open_ = {"a": spans((4, 9, "LOC")), "b": spans((4, 9, "ORG"))}
        votes = crowd(*[sure] * 10, open_)
        data = {task: {"text": text} for task in votes}
        assert places(KIND.consensus(TEXT, votes, Given(data=data)).merged["t10"].value) == [(4, 9, "LOC")]

    def test_what_one_of_two_drew_asks_a_third(self) -> None:
        merged = KIND.consensus(TEXT, crowd({"a": spans((0, 5, "PER")), "b": ()}), Given()).merged["t0"]
        assert merged.certainty < 0.75

    def test_one_person_alone_stands_with_what_is_assumed_of_people(self) -> None:
        votes = crowd(*[{"a": spans((0, 5, "PER"), (9, 12, "LOC"))} for _ in range(50)])
        merged = KIND.consensus(TEXT, votes, Given()).merged["t0"]
        assert places(merged.value) == [(0, 5, "PER"), (9, 12, "LOC")]
        assert 0.75 < merged.certainty < 0.95

    @pytest.mark.parametrize("labels", [1, 2, 4, 8, 20])
    @pytest.mark.parametrize("nested", [False, True])
    def test_one_person_alone_is_believed_however_many_labels_there_are(self, labels: int, nested: bool) -> None:
        names = tuple(f"L{number}" for number in range(labels))
        control = replace(TEXT, labels=names)
        ends = (20, 7) if nested else (5, 7)
        rows = [
            {"a": spans((0, ends[0], names[n % labels]), (6, ends[1], names[(n + 1) % labels]), control=control)}
            for n in range(60)
        ]
        found = KIND.consensus(control, crowd(*rows), Given()).merged
        assert all(found[task].value for task in found)
        assert min(merged.certainty for merged in found.values()) >= ConsolidatePolicy().people_threshold

    def test_more_labels_do_not_make_what_two_people_mark_less_certain(self) -> None:
        certainty = []
        for k in (2, 4, 8, 20):
            control = replace(TEXT, labels=("PER", *(f"L{number}" for number in range(1, k))))
            one = spans((0, 5, "PER"), control=control)
            certainty.append(KIND.consensus(control, crowd({"a": one, "b": one}), Given()).merged["t0"].certainty)
        assert all(later >= earlier - 0.01 for earlier, later in pairwise(certainty))

    def test_nothing_to_mark_is_a_consensus(self) -> None:
        merged = KIND.consensus(TEXT, crowd({"a": (), "b": (), "c": ()}), Given()).merged["t0"]
        assert merged.value == ()
        assert merged.certainty > 0.9

    def test_a_tie_of_labels_is_for_an_adjudicator(self) -> None:
        merged = KIND.consensus(TEXT, crowd({"a": spans((0, 5, "PER")), "b": spans((0, 5, "LOC"))}), Given()).merged[
            "t0"
        ]
        assert merged.value is None
        assert merged.proposal
        assert "label is tied" in merged.why

    def test_gold_stands_and_measures_people(self) -> None:
        gold = spans((0, 5, "PER"), (9, 12, "LOC"))
        rows = [{"good": gold, "bad": spans((0, 3, "ORG"))} for _ in range(20)]
        found = KIND.consensus(TEXT, crowd(*rows), Given(gold={f"t{i}": gold for i in range(20)}))
        assert found.merged["t3"].value == gold
        assert found.skill["good"].accuracy > 0.9 > 0.5 > found.skill["bad"].accuracy

    def test_nested_spans_are_consolidated_thing_by_thing(self) -> None:
        nested = spans((0, 20, "ORG"), (0, 5, "LOC"))
        found = KIND.consensus(TEXT, crowd({"a": nested, "b": nested, "c": nested}), Given())
        assert sorted(places(found.merged["t0"].value)) == [(0, 5, "LOC"), (0, 20, "ORG")]

    def test_plain_and_nested_tasks_go_together(self) -> None:
        nested, plain = spans((0, 20, "ORG"), (0, 5, "LOC")), spans((3, 9, "PER"))
        found = KIND.consensus(TEXT, crowd({"a": nested, "b": nested}, {"a": plain, "b": plain}, {}), Given())
        assert [places(found.merged[task].value) for task in ("t0", "t1")] == [
            [(0, 5, "LOC"), (0, 20, "ORG")],
            [(3, 9, "PER")],
        ]
        assert found.merged["t2"].value is None
        assert set(found.skill) == {"a", "b"}

    @CONTROLS
    @settings(max_examples=25, deadline=None)
    @given(data=st.data())
    def test_any_spans_give_a_value_of_the_kind_whatever_the_order(self, control: Control, data: st.DataObject) -> None:
        votes = {
            task: {who: data.draw(values(control)) for who in ("ann", "bob", "cem")[: data.draw(st.integers(0, 3))]}
            for task in ("one", "two")
        }
        found = KIND.consensus(control, votes, Given())
        again = KIND.consensus(control, {t: dict(reversed(votes[t].items())) for t in reversed(votes)}, Given())
        assert found.merged == again.merged
        for merged in found.merged.values():
            assert 0 <= merged.confidence <= merged.certainty + 1e-9 <= 1 + 2e-9
            if merged.value is not None:
                assert KIND.canonical(control, json.loads(json.dumps(merged.value))) == merged.value
            else:
                assert merged.why
