"""The family of regions, shown on spans and frame ranges: codec, comparison, clusters, consensus."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import LabelConfigError, LabelError, UnsupportedControl
from adapter.kinds.base import Given, RegionKind, Tag
from adapter.kinds.families.region_items import MOST_REGIONS
from adapter.kinds.families.region_measures import precision_recall
from adapter.kinds.families.regions import Regions
from adapter.kinds.spans import KIND as SPANS
from adapter.kinds.timeline import KIND
from adapter.vocabulary import Control, Value

LABELS = ("run", "jump", "rest")
CONTROL = Control("moves", "timeline", "video", "Video", "video", LABELS, tag="TimelineLabels")
REQUIRED = Control("moves", "timeline", "video", "Video", "video", LABELS, tag="TimelineLabels", required=True)
VIDEO = Tag("Video", {"name": "video", "value": "$video"})


def item(start: Any, end: Any, *labels: str, **more: Any) -> dict[str, Any]:
    value = {"ranges": [{"start": start, "end": end}], "timelinelabels": list(labels)}
    return {"from_name": "moves", "to_name": "video", "type": "timelinelabels", "value": value, **more}


def value(*marks: tuple[int, int, str]) -> Value:
    return KIND.read(CONTROL, [item(start, end, label) for start, end, label in marks])


def tag(*children: Tag, objects: dict[str, Tag] | None = None, **more: str) -> Tag:
    named = {"name": "moves", "toName": "video", **more}
    return Tag("TimelineLabels", named, children, {"video": VIDEO} if objects is None else objects)


def label(name: str, **more: str) -> Tag:
    return Tag("Label", {"value": name, **more})


MARKS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 30), st.sampled_from(LABELS)), max_size=5)
VALUES = MARKS.map(lambda marks: value(*((start, start + length, name) for start, length, name in marks)))


def test_kinds_of_regions_are_region_kinds() -> None:
    assert isinstance(KIND, Regions)
    assert isinstance(KIND, RegionKind)


class TestControl:
    def test_labels_keep_the_config_order_and_an_alias_beats_the_value(self) -> None:
        shown = KIND.control(tag(label("run"), Tag("View", {}, (label("Jump!", alias="jump"),)), required="true"))
        assert (shown.labels, shown.required, shown.tag) == (("run", "jump"), True, "TimelineLabels")
        assert (shown.object_tag, shown.field, shown.fields) == ("Video", "video", ("video",))

    def test_labels_from_task_data_are_left_open(self) -> None:
        shown = KIND.control(tag(value="$names"))
        assert shown.labels == ()
        assert shown.options["dynamic"] == "names"
        assert KIND.read(shown, [item(1, 2, "anything")])[0]["labels"] == ["anything"]

    def test_no_labels_at_all_are_refused(self) -> None:
        with pytest.raises(LabelConfigError, match="lists no labels"):
            KIND.control(tag())

    def test_a_label_that_is_there_twice_is_refused(self) -> None:
        with pytest.raises(LabelConfigError, match="twice"):
            KIND.control(tag(label("a"), label("a")))

    def test_an_object_that_it_cannot_mark_is_refused(self) -> None:
        with pytest.raises(UnsupportedControl, match="<Image>"):
            KIND.control(tag(label("a"), objects={"video": Tag("Image", {"name": "video", "value": "$x"})}))

    def test_an_unknown_object_is_refused(self) -> None:
        with pytest.raises(LabelConfigError, match="names no object"):
            KIND.control(tag(label("a"), objects={}))

    def test_several_objects_give_several_fields(self) -> None:
        objects = {name: Tag("Video", {"name": name, "value": f"${name}_url"}) for name in ("left", "right")}
        shown = KIND.control(tag(label("a"), objects=objects, toName="left,right"))
        assert (shown.to_name, shown.field, shown.fields) == ("left,right", "left_url", ("left_url", "right_url"))


class TestRead:
    def test_ids_envelope_and_score_are_kept_in_their_places(self) -> None:
        [region] = KIND.read(CONTROL, [item(1, 5, "run", id="abc", score=0.5, meta={"text": ["hm"]}, origin="manual")])
        assert (region["id"], region["score"], region["labels"]) == ("abc", 0.5, ["run"])
        assert region["envelope"] == {"meta": {"text": ["hm"]}, "origin": "manual"}
        assert region["value"] == {"ranges": [{"start": 1, "end": 5}]}

    def test_drawing_nothing_is_an_answer(self) -> None:
        assert KIND.read(CONTROL, []) == ()
        assert KIND.read(CONTROL, [{**item(1, 2, "run"), "from_name": "other"}]) == ()

    def test_drawing_nothing_is_no_answer_where_one_is_required(self) -> None:
        assert KIND.read(REQUIRED, []) is None

    def test_an_id_that_is_missing_follows_from_the_content(self) -> None:
        one, two = value((1, 5, "run"), (1, 5, "run"))
        assert one["id"] != two["id"]
        assert {one["id"], two["id"]} == {region["id"] for region in value((1, 5, "run"), (1, 5, "run"))}

    def test_regions_are_sorted_as_a_person_reads_them(self) -> None:
        assert [r["labels"][0] for r in value((9, 10, "run"), (1, 2, "rest"), (1, 2, "jump"))] == [
            "jump",
            "rest",
            "run",
        ]

    def test_the_object_is_kept_where_there_are_several(self) -> None:
        two = Control("moves", "timeline", "a,b", "Video", "a", LABELS, tag="TimelineLabels")
        items = [{**item(1, 5, "run"), "to_name": "b"}]
        read = KIND.read(two, items)
        assert read[0]["envelope"] == {"to_name": "b"}
        assert KIND.write(two, read)[0]["to_name"] == "b"
        assert KIND.overlap(read[0], KIND.read(two, [{**item(1, 5, "run"), "to_name": "a"}])[0]) == 0.0

    @pytest.mark.parametrize(
        "wrong",
        [
            {"value": None},
            {"value": {"ranges": [{"start": 1, "end": 2}], "timelinelabels": ["walk"]}},
            {"value": {"ranges": [{"start": 1, "end": 2}], "timelinelabels": [3]}},
            {"value": {"ranges": [{"start": 1, "end": 2}], "timelinelabels": {"run": 1}}},
            {"value": {"ranges": [{"start": 5, "end": 2}], "timelinelabels": ["run"]}},
            {"value": {"ranges": [{"start": math.nan, "end": 2}], "timelinelabels": ["run"]}},
            {"value": {"ranges": [{"start": 1, "end": math.inf}], "timelinelabels": ["run"]}},
            {"value": {"ranges": [{"start": 1, "end": 10**400}], "timelinelabels": ["run"]}},
            {"value": {"ranges": [{"start": True, "end": 2}], "timelinelabels": ["run"]}},
            {"value": {"ranges": "1-2", "timelinelabels": ["run"]}},
            {"value": {"ranges": [], "timelinelabels": ["run"]}},
            {"value": {"ranges": [7], "timelinelabels": ["run"]}},
            {"value": {"ranges": [{"start": 1, "end": 2, "more": math.nan}], "timelinelabels": ["run"]}},
            {"type": "choices"},
            {"type": ["timelinelabels"]},
            {"id": {"a": 1}},
            {"id": True},
            {"score": math.nan},
            {"score": 2},
            {"score": "high"},
            {"meta": {"x": math.inf}},
            {"meta": object()},
        ],
    )
    def test_what_is_malformed_is_refused_with_advice(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(LabelError) as caught:
            KIND.read(CONTROL, [{**item(1, 5, "run"), **wrong}])
        assert caught.value.remedy

    def test_the_nearest_label_is_named(self) -> None:
        with pytest.raises(LabelError, match="Did you mean 'jump'"):
            KIND.read(CONTROL, [item(1, 2, "jmp")])

    def test_endless_nesting_is_refused(self) -> None:
        deep: list[Any] = []
        deep.append(deep)
        with pytest.raises(LabelError, match="no plain JSON"):
            KIND.read(CONTROL, [item(1, 2, "run", meta=deep)])

    def test_a_result_that_is_no_list_is_refused(self) -> None:
        with pytest.raises(LabelError, match="no list of items"):
            KIND.read(CONTROL, {"from_name": "moves"})  # type: ignore[arg-type]
        with pytest.raises(LabelError, match="no list"):
            KIND.canonical(CONTROL, "run")

    def test_more_regions_than_can_be_judged_are_refused(self) -> None:
        with pytest.raises(LabelError, match="split the task"):
            KIND.read(CONTROL, [item(1, 2, "run")] * (MOST_REGIONS + 1))

    def test_one_id_for_two_regions_is_refused(self) -> None:
        with pytest.raises(LabelError, match="have the id 'a'"):
            KIND.read(CONTROL, [item(1, 2, "run", id="a"), item(3, 4, "run", id="a")])

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["value", "ranges", "start", "end", "timelinelabels", "id", "type", "x"]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=12,
        )
    )
    def test_anything_is_read_or_refused_but_never_breaks(self, what: Any) -> None:
        more = what if isinstance(what, dict) else {"value": what}
        for result in ([{**item(1, 2, "run"), **more}], [what], what):
            try:
                read = KIND.read(CONTROL, result)
            except LabelError:
                continue
            assert read == KIND.canonical(CONTROL, json.loads(json.dumps(read)))


class TestRoundTrip:
    @given(VALUES)
    def test_what_is_written_reads_as_the_same(self, drawn: Value) -> None:
        items = KIND.write(CONTROL, drawn)
        assert KIND.read(CONTROL, items) == drawn
        assert KIND.read(CONTROL, list(reversed(items))) == drawn
        assert KIND.canonical(CONTROL, json.loads(json.dumps(drawn))) == drawn

    def test_items_survive_whole(self) -> None:
        items = [item(1, 5, "run", id="x", score=0.25, origin="manual", hidden=False, meta={"text": ["a"]}, extra=[1])]
        assert KIND.write(CONTROL, KIND.read(CONTROL, items)) == items


class TestComparison:
    @given(VALUES, VALUES)
    def test_distance_is_symmetric_and_in_range(self, a: Value, b: Value) -> None:
        there, back = KIND.distance(CONTROL, a, b), KIND.distance(CONTROL, b, a)
        assert there == pytest.approx(back, abs=1e-9)
        assert -1e-9 <= there <= 1 + 1e-9
        left, right = KIND.pair_counts(CONTROL, a, b), KIND.pair_counts(CONTROL, b, a)
        for name, (numerator, denominator) in left.items():
            assert right[name] == pytest.approx((numerator, denominator), abs=1e-6), name
            assert 0 <= numerator <= denominator + 1e-9

    @given(VALUES)
    def test_a_value_is_like_itself(self, a: Value) -> None:
        assert KIND.distance(CONTROL, a, a) == pytest.approx(0.0)
        assert KIND.disagreement(CONTROL, a, a) == "no difference"
        for numerator, denominator in KIND.pair_counts(CONTROL, a, a).values():
            assert numerator == pytest.approx(denominator)

    def test_two_empty_values_agree_but_prove_nothing_about_finding(self) -> None:
        assert KIND.distance(CONTROL, (), ()) == 0.0
        counts = KIND.pair_counts(CONTROL, (), ())
        assert counts["score"] == (1.0, 1.0)
        assert counts["f1_at_50"] == (0.0, 0.0)

    def test_nothing_against_something_is_as_far_as_can_be(self) -> None:
        assert KIND.distance(CONTROL, (), value((1, 5, "run"))) == 1.0

    def test_figures_of_a_small_case(self) -> None:
        a = value((1, 10, "run"), (21, 30, "jump"), (51, 60, "rest"))
        b = value((1, 10, "run"), (21, 26, "jump"), (71, 80, "rest"))
        counts = KIND.pair_counts(CONTROL, a, b)
        assert counts["exact_f1"] == (2.0, 6.0)
        assert counts["f1_at_50"] == (4.0, 6.0)
        assert counts["mean_iou"] == (pytest.approx(1.6), 4.0)
        assert counts["score"] == (pytest.approx(1.6 / 4), 1.0)

    def test_a_label_that_differs_matches_in_place_only(self) -> None:
        counts = KIND.pair_counts(CONTROL, value((1, 10, "run")), value((1, 10, "jump")))
        assert counts["f1_at_50"] == (0.0, 2.0)
        assert counts["mean_iou"] == (1.0, 1.0)
        assert counts["score"] == (0.0, 1.0)

    def test_label_studio_enterprises_example_of_precision_and_recall(self) -> None:
        matches = [(0.99, True), (0.34, True), (0.82, False), (0.44, False), (0.67, False)]
        assert precision_recall(matches, 0.5) == (pytest.approx(1 / 3), pytest.approx(1 / 2), pytest.approx(0.4))
        assert precision_recall([], 0.5) == (0.0, 0.0, 0.0)

    def test_its_mean_of_overlaps_is_that_of_the_pairs_that_agree(self) -> None:
        agreeing = [iou for iou, same in [(0.99, True), (0.34, True), (0.82, False)] if same]
        assert sum(agreeing) / len(agreeing) == pytest.approx(0.66, abs=0.0051)

    def test_words_say_what_differs(self) -> None:
        said = KIND.disagreement(
            CONTROL, value((1, 10, "run"), (30, 31, "rest")), value((1, 9, "run"), (50, 60, "jump"))
        )
        assert said == (
            "'run' in frames 1-10 against in frames 1-9; only the first marks 'rest' in frames 30-31; "
            "only the second marks 'jump' in frames 50-60"
        )

    def test_words_stay_few(self) -> None:
        many = value(*((i * 10 + 1, i * 10 + 2, "run") for i in range(9)))
        assert KIND.disagreement(CONTROL, many, ()).endswith("and 4 more")

    def test_the_part_of_a_label(self) -> None:
        both = value((1, 5, "run"), (7, 9, "rest"))
        assert [r["labels"] for r in KIND.of_label(CONTROL, both, "rest")] == [["rest"]]

    def test_doubt_is_that_of_the_least_certain_region(self) -> None:
        assert KIND.doubt(CONTROL, value((1, 5, "run"))) == 0.0
        scored = KIND.read(CONTROL, [item(1, 2, "run", score=0.9), item(4, 5, "run", score=0.25)])
        assert KIND.doubt(CONTROL, scored) == 0.75

    def test_the_measure_names_a_statistic_that_is_there(self) -> None:
        for kind, control in ((KIND, CONTROL), (SPANS, Control("n", "spans", "t", "Text", "t", ("a",), tag="Labels"))):
            assert kind.measure(control).headline in kind.pair_counts(control, (), ())


VOTES = {
    "ann": value((1, 10, "run"), (30, 40, "jump")),
    "bob": value((2, 10, "run"), (31, 41, "rest")),
    "cem": value((1, 11, "jump")),
}


class TestClusters:
    def test_marks_of_one_thing_come_together_whatever_their_labels(self) -> None:
        found = KIND.cluster(CONTROL, VOTES)
        assert [sorted(thing) for thing in found] == [["ann", "bob", "cem"], ["ann", "bob"]]

    def test_the_order_of_people_does_not_matter(self) -> None:
        expected = KIND.cluster(CONTROL, VOTES)
        for order in itertools.permutations(VOTES):
            assert KIND.cluster(CONTROL, {who: VOTES[who] for who in order}) == expected

    def test_two_labels_on_one_place_pair_by_label(self) -> None:
        both = value((1, 10, "run"), (1, 10, "rest"))
        for thing in KIND.cluster(CONTROL, {"ann": both, "bob": both}):
            assert thing["ann"]["labels"] == thing["bob"]["labels"]


class TestConsensus:
    def test_everybody_alike_gives_that_value_with_certainty(self) -> None:
        votes = {f"t{i}": {who: value((1, 10, "run"), (20, 30, "rest")) for who in "abc"} for i in range(5)}
        merged = KIND.consensus(CONTROL, votes, Given()).merged["t0"]
        assert [(r["labels"], r["value"]) for r in merged.value] == [
            (["run"], {"ranges": [{"start": 1, "end": 10}]}),
            (["rest"], {"ranges": [{"start": 20, "end": 30}]}),
        ]
        assert merged.certainty > 0.95
        assert all(0.9 < r["score"] <= 1 for r in merged.value)

    def test_what_one_of_two_drew_asks_a_third_person(self) -> None:
        votes = {"t": {"ann": value((1, 10, "run"), (50, 60, "rest")), "bob": value((1, 10, "run"))}}
        merged = KIND.consensus(CONTROL, votes, Given()).merged["t"]
        assert merged.certainty < 0.75

    def test_what_one_of_five_drew_is_left_out(self) -> None:
        votes: dict[str, dict[str, Value]] = {
            f"t{i}": {who: value((1, 10, "run")) for who in "abcde"} for i in range(10)
        }
        votes["t0"]["a"] = value((1, 10, "run"), (50, 60, "rest"))
        merged = KIND.consensus(CONTROL, votes, Given()).merged["t0"]
        assert [r["labels"] for r in merged.value] == [["run"]]

    def test_one_person_alone_stands_with_that_persons_precision(self) -> None:
        merged = KIND.consensus(CONTROL, {"t": {"ann": value((1, 10, "run"))}}, Given()).merged["t"]
        assert merged.value is not None
        assert 0.75 < merged.certainty < 0.95

    def test_nothing_to_mark_is_surer_the_more_people_say_so(self) -> None:
        votes = {"one": {"a": ()}, "three": {"a": (), "b": (), "c": ()}}
        merged = KIND.consensus(CONTROL, votes, Given()).merged
        assert merged["one"].value == merged["three"].value == ()
        assert 0.5 < merged["one"].certainty < merged["three"].certainty

    def test_nobodys_answer_is_no_consensus(self) -> None:
        merged = KIND.consensus(CONTROL, {"t": {}}, Given()).merged["t"]
        assert merged.value is None
        assert merged.why

    def test_gold_stands_and_measures_people(self) -> None:
        gold = {f"t{i}": value((1, 10, "run")) for i in range(20)}
        votes = {task: {"good": value((1, 10, "run")), "bad": value((40, 50, "run"))} for task in gold}
        found = KIND.consensus(CONTROL, votes, Given(gold=gold))
        assert found.merged["t0"].value == gold["t0"]
        assert found.skill["good"].accuracy > 0.9 > 0.6 > found.skill["bad"].accuracy

    def test_a_tie_of_labels_is_for_an_adjudicator(self) -> None:
        votes = {"t": {"ann": value((1, 10, "run")), "bob": value((1, 10, "jump"))}}
        merged = KIND.consensus(CONTROL, votes, Given(method="majority")).merged["t"]
        assert merged.value is None
        assert "tied" in merged.why
        assert merged.proposal

    @given(st.permutations(["ann", "bob", "cem"]), st.permutations(["t1", "t2", "t3"]))
    def test_the_order_of_people_and_tasks_does_not_matter(self, people: list[str], tasks: list[str]) -> None:
        votes = {
            "t1": VOTES,
            "t2": {"ann": value((5, 9, "run")), "bob": (), "cem": value((5, 9, "run"))},
            "t3": {"ann": (), "bob": (), "cem": value((1, 2, "rest"))},
        }
        expected = KIND.consensus(CONTROL, votes, Given())
        found = KIND.consensus(CONTROL, {t: {p: votes[t][p] for p in people} for t in tasks}, Given())
        assert found.merged == expected.merged
        assert found.skill == expected.skill

    def test_units_count_existence(self) -> None:
        codes = [dict(unit.codes) for unit in Regions.units(KIND, CONTROL, VOTES)]
        assert codes == [
            {"ann": "run", "bob": "run", "cem": "jump"},
            {"ann": "jump", "bob": "rest", "cem": ""},
        ]
