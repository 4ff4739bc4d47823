from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import LabelConfigError, LabelError, UnsupportedControl
from adapter.kinds.base import Given, LabelKind, Tag, Unit
from adapter.kinds.taxonomy import KIND
from adapter.vocabulary import Control

TEXT = Tag("Text", {"name": "text", "value": "$text"})
XML = (
    '<Choice value="Archaea"/><Choice value="Eukarya" alias="euk"><Choice value="Human"/>'
    '<Choice value="Opossum"><Choice value="Young"/></Choice></Choice>'
)


def choice(value: str, *children: Tag, **more: str) -> Tag:
    return Tag("Choice", {"value": value, **more}, children)


TREE = (
    choice("Archaea"),
    choice("Eukarya", choice("Human"), choice("Opossum", choice("Young")), alias="euk"),
)


def taxonomy(*children: Tag, **more: str) -> Tag:
    return Tag("Taxonomy", {"name": "life", "toName": "text", **more}, children, {"text": TEXT})


LIFE = KIND.control(taxonomy(*TREE))
ONE = KIND.control(taxonomy(*TREE, maxUsages="1"))
TWO = KIND.control(taxonomy(*TREE, maxUsages="2"))
REQUIRED = KIND.control(taxonomy(*TREE, required="true"))
LABELS = ("Archaea", "euk", "euk / Human", "euk / Opossum", "euk / Opossum / Young")


def item(paths: Any) -> dict[str, Any]:
    return {"from_name": "life", "to_name": "text", "type": "taxonomy", "value": {"taxonomy": paths}}


class TestControl:
    def test_every_place_is_a_label_top_to_bottom_and_the_alias_counts(self) -> None:
        assert LIFE.labels == LABELS
        assert LIFE.multiple
        assert isinstance(KIND, LabelKind)

    def test_one_usage_is_one_label(self) -> None:
        assert not ONE.multiple
        assert TWO.multiple

    def test_only_ends_where_only_leaves_can_be_chosen(self) -> None:
        control = KIND.control(taxonomy(*TREE, leafsOnly="true"))
        assert control.labels == ("Archaea", "euk / Human", "euk / Opossum / Young")
        with pytest.raises(LabelError):
            KIND.canonical(control, ["euk"])

    def test_the_separator_is_the_pages(self) -> None:
        control = KIND.control(taxonomy(*TREE, pathSeparator=" > ", showFullPath="true"))
        assert control.labels[2] == "euk > Human"
        assert KIND.item(control, ["euk > Human"]) == {"taxonomy": [["euk", "Human"]]}

    def test_a_separator_inside_a_label_does_not_split_it(self) -> None:
        control = KIND.control(taxonomy(choice("and / or", choice("x"))))
        assert control.labels == ("and / or", "and / or / x")
        assert KIND.item(control, ["and / or / x"]) == {"taxonomy": [["and / or", "x"]]}
        assert KIND.distance(control, ("and / or",), ("and / or / x",)) == pytest.approx(1 - 2 / 3 / 2)

    def test_of_siblings_with_one_name_the_first_counts_as_on_the_page(self) -> None:
        assert KIND.control(taxonomy(choice("a", choice("b")), choice("a", choice("c")))).labels == ("a", "a / b")

    def test_the_config_survives_json(self) -> None:
        assert json.loads(json.dumps(LIFE.options))["paths"][4] == ["euk", "Opossum", "Young"]

    @pytest.mark.parametrize(
        ("tag", "words"),
        [
            (taxonomy(value="$tree"), "come from task data"),
            (taxonomy(choice("a"), apiUrl="https://example.org"), "come from task data"),
            (taxonomy(choice("a"), apiurl="https://example.org"), "come from task data"),
            (taxonomy(choice("a"), labeling="true"), "stretches of text"),
            (taxonomy(choice("a"), perItem="true"), "on each item"),
            (taxonomy(choice("$label")), "from task data"),
        ],
    )
    def test_what_is_not_served_is_refused_in_a_sentence(self, tag: Tag, words: str) -> None:
        with pytest.raises(UnsupportedControl, match=words) as caught:
            KIND.control(tag)
        assert "<Taxonomy name='life'>" in str(caught.value)

    @pytest.mark.parametrize(
        ("tag", "words"),
        [
            (taxonomy(), "no labels"),
            (taxonomy(choice("")), "no value"),
            (taxonomy(choice("a"), maxUsages="0"), "maxUsages"),
            (taxonomy(choice("a"), maxUsages="few"), "maxUsages"),
            (taxonomy(choice("a / b"), choice("a", choice("b"))), "two places are called"),
        ],
    )
    def test_mistakes_are_named(self, tag: Tag, words: str) -> None:
        with pytest.raises(LabelConfigError, match=words) as caught:
            KIND.control(tag)
        assert not isinstance(caught.value, UnsupportedControl)


class TestCanonical:
    def test_labels_and_paths_in_the_configs_order(self) -> None:
        assert KIND.canonical(LIFE, "Archaea") == ("Archaea",)
        assert KIND.canonical(LIFE, [["euk", "Human"], "Archaea"]) == ("Archaea", "euk / Human")
        assert KIND.canonical(LIFE, {"euk / Human", "euk"}) == ("euk", "euk / Human")
        assert KIND.canonical(LIFE, []) == ()

    @pytest.mark.parametrize(
        "value", ["Mars", [["euk", "Mars"]], [["Human"]], [[1]], [[["euk"]]], 3, None, [None], [{}]]
    )
    def test_strangers_are_refused(self, value: object) -> None:
        with pytest.raises(LabelError):
            KIND.canonical(LIFE, value)

    def test_the_end_of_a_path_gets_the_whole_path_as_advice(self) -> None:
        with pytest.raises(LabelError, match="Give the whole path: 'euk / Human'"):
            KIND.canonical(LIFE, "Human")

    def test_numbers_of_labels_are_checked(self) -> None:
        with pytest.raises(LabelError, match="exactly one"):
            KIND.canonical(ONE, ["Archaea", "euk"])
        with pytest.raises(LabelError, match="at most 2"):
            KIND.canonical(TWO, LABELS[:3])
        with pytest.raises(LabelError, match="required"):
            KIND.canonical(REQUIRED, [])


VALUES = st.sets(st.sampled_from(LABELS)).map(lambda labels: KIND.canonical(LIFE, labels))


class TestReadAndWrite:
    @given(VALUES)
    def test_what_is_written_reads_back_after_json(self, value: tuple[str, ...]) -> None:
        assert KIND.read(LIFE, json.loads(json.dumps(KIND.write(LIFE, value)))) == value
        assert KIND.canonical(LIFE, json.loads(json.dumps(value))) == value
        assert KIND.value_of(LIFE, KIND.item(LIFE, value)) == value

    def test_the_wire_holds_paths(self) -> None:
        assert KIND.write(LIFE, ("euk / Opossum / Young",))[0]["value"] == {"taxonomy": [["euk", "Opossum", "Young"]]}

    @pytest.mark.parametrize("value", [("Archaea",), ("euk", "euk / Human"), LABELS, ()])
    def test_label_studio_accepts_what_is_written(self, value: tuple[str, ...]) -> None:
        from label_studio_sdk.label_interface import LabelInterface

        config = f'<View><Text name="text" value="$text"/><Taxonomy name="life" toName="text">{XML}</Taxonomy></View>'
        prediction = {"result": KIND.write(LIFE, value), "score": 0.5, "model_version": "m"}
        assert LabelInterface(config).validate_prediction(prediction, return_errors=True) == []

    def test_left_empty_is_an_answer_only_where_none_may_hold(self) -> None:
        assert KIND.read(LIFE, []) == ()
        assert KIND.read(LIFE, [item([])]) == ()
        assert KIND.read(ONE, []) is None
        assert KIND.read(REQUIRED, []) is None

    @pytest.mark.parametrize("paths", [[["Mars"]], 7, None, {"euk": 1}, [[["euk"]]], [7]])
    def test_foreign_results_are_label_errors(self, paths: Any) -> None:
        with pytest.raises(LabelError):
            KIND.read(LIFE, [item(paths)])

    def test_a_bare_text_is_a_path_of_one_part(self) -> None:
        assert KIND.read(LIFE, [item(["Archaea"])]) == ("Archaea",)


class TestDistance:
    def test_a_near_miss_costs_less_than_a_far_one(self) -> None:
        # {euk, euk/Human} against {euk, euk/Opossum}: one of three shared, neither holds the other.
        assert KIND.distance(LIFE, ("euk / Human",), ("euk / Opossum",)) == pytest.approx(1 - 1 / 3 * 1 / 3)
        # {euk} lies inside {euk, euk/Human}.
        assert KIND.distance(LIFE, ("euk",), ("euk / Human",)) == pytest.approx(1 - 2 / 3 * 1 / 2)
        assert KIND.distance(LIFE, ("Archaea",), ("euk / Human",)) == 1

    @given(VALUES, VALUES)
    def test_it_is_symmetric_bounded_and_zero_for_equals(self, a: tuple[str, ...], b: tuple[str, ...]) -> None:
        assert KIND.distance(LIFE, a, b) == KIND.distance(LIFE, b, a)
        assert 0 <= KIND.distance(LIFE, a, b) <= 1
        assert KIND.distance(LIFE, a, a) == 0

    def test_units_hold_the_ancestors_too(self) -> None:
        assert KIND.measure(LIFE).scale == KIND.measure(ONE).scale == "set"
        assert KIND.units(LIFE, {"ann": ("euk / Human",), "bob": ()}) == [
            Unit({"ann": frozenset({"euk", "euk / Human"}), "bob": frozenset()})
        ]
        assert KIND.units(LIFE, {}) == []

    def test_f1_counts_labels_as_given(self) -> None:
        assert KIND.pair_counts(LIFE, ("euk / Human",), ("euk / Human", "Archaea"))["label_f1"] == (2.0, 3.0)

    def test_words(self) -> None:
        assert (
            KIND.disagreement(LIFE, ("euk / Human",), ("euk / Opossum",))
            == "only the first says 'euk / Human'; only the second says 'euk / Opossum'; both lie under 'euk'"
        )
        assert KIND.disagreement(ONE, ("Archaea",), ("euk",)) == "'Archaea' against 'euk'"
        assert KIND.disagreement(LIFE, ("euk",), ("euk",)) == "no difference"


def test_probabilities_stand_for_labels_up_to_the_most_allowed() -> None:
    p = np.array([0.6, 0.9, 0.8, 0.2, 0.1], dtype=np.float32)
    assert KIND.decide(LIFE, p)[0] == ("Archaea", "euk", "euk / Human")
    assert KIND.decide(TWO, p) == (("euk", "euk / Human"), pytest.approx(0.4 * 0.9 * 0.8 * 0.8 * 0.9))
    assert KIND.decide(ONE, p)[0] == ("euk",)
    assert KIND.target(LIFE, [["euk", "Human"]]).tolist() == [0, 0, 1, 0, 0]


class TestConsensus:
    def test_label_by_label(self) -> None:
        votes = {"t": {"ann": ("euk / Human",), "bob": ("euk / Human", "Archaea"), "cy": ("euk / Opossum",)}}
        merged = KIND.consensus(LIFE, votes, Given(method="majority")).merged["t"]
        assert merged.value == ("euk / Human",)
        assert merged.probabilities == pytest.approx((1 / 3, 0, 2 / 3, 1 / 3, 0))

    def test_one_label_only(self) -> None:
        votes = {"t": {"ann": ("euk / Human",), "bob": ("euk / Human",), "cy": ("Archaea",)}}
        assert KIND.consensus(ONE, votes, Given(method="majority")).merged["t"].value == ("euk / Human",)

    def test_more_labels_than_may_hold_are_no_guess(self) -> None:
        votes = {"t": dict.fromkeys(("ann", "bob"), KIND.canonical(LIFE, LABELS[:3]))}
        merged = KIND.consensus(TWO, votes, Given(method="majority")).merged["t"]
        assert merged.value is None
        assert merged.proposal == ("Archaea", "euk")
        assert "only 2 may hold" in merged.why

    def test_gold_wins(self) -> None:
        votes = {"t": {"ann": ("Archaea",), "bob": ("Archaea",)}}
        merged = KIND.consensus(LIFE, votes, Given(gold={"t": ("euk",)})).merged["t"]
        assert (merged.value, merged.confidence) == (("euk",), 1.0)


def test_a_control_from_elsewhere_without_paths_splits_its_labels() -> None:
    bare = Control("life", "taxonomy", "text", "Text", "text", ("a", "a / b"), multiple=True)
    assert KIND.write(bare, ("a / b",))[0]["value"] == {"taxonomy": [["a", "b"]]}
