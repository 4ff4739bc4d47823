"""Rankings: codec, comparison, consensus."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import LabelConfigError, LabelError
from adapter.kinds import kind_of
from adapter.kinds.base import Given, Tag

KIND = kind_of("ranker")
LIST = Tag("List", {"name": "items", "value": "$items"})
PLAIN = KIND.control(Tag("Ranker", {"name": "rank", "toName": "items"}, (), {"items": LIST}))
BUCKETS = KIND.control(
    Tag(
        "Ranker",
        {"name": "rank", "toName": "items"},
        (Tag("Bucket", {"name": "good"}), Tag("Bucket", {"name": "bad"})),
        {"items": LIST},
    )
)
ORDERS = st.permutations(["a", "b", "c", "d"])


def ranked(*orders: str) -> Any:
    votes = {"t": {f"p{n}": (("rank", tuple(order)),) for n, order in enumerate(orders)}}
    return KIND.consensus(PLAIN, votes, Given()).merged["t"]


@given(ORDERS)
def test_a_ranking_reads_back_through_json(order: list[str]) -> None:
    value = KIND.canonical(PLAIN, order)
    assert KIND.read(PLAIN, json.loads(json.dumps(KIND.write(PLAIN, value)))) == value
    assert KIND.canonical(PLAIN, json.loads(json.dumps(value))) == value


@given(ORDERS, st.integers(0, 4))
def test_buckets_read_back(order: list[str], cut: int) -> None:
    value = KIND.canonical(BUCKETS, {"good": order[:cut], "bad": order[cut:]})
    assert KIND.read(BUCKETS, KIND.write(BUCKETS, value)) == value


def test_the_sdk_takes_what_we_write_and_items_left_outside_are_no_answer() -> None:
    from label_studio_sdk.label_interface import LabelInterface

    config = "<View><List name='items' value='$items'/><Ranker name='rank' toName='items'/></View>"
    written = {"result": KIND.write(PLAIN, (("rank", ("b", "a")),)), "model_version": "v", "score": 0.5}
    assert LabelInterface(config).validate_prediction(written, return_errors=True) == []
    loose = [{"from_name": "rank", "value": {"ranker": {"_": ["a"], "good": ["b"], "bad": []}}}]
    assert KIND.read(BUCKETS, loose) == (("good", ("b",)), ("bad", ()))
    assert KIND.read(BUCKETS, []) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"ranker": 3},
        {"ranker": {"goood": ["a"]}},
        {"ranker": {"good": ["a", "a"]}},
        {"ranker": {"good": [1]}},
    ],
)
def test_hostile_rankings_are_refused_in_words(value: object) -> None:
    with pytest.raises(LabelError):
        KIND.read(BUCKETS, [{"from_name": "rank", "value": value}])


def test_buckets_need_names_of_their_own() -> None:
    tag = Tag("Ranker", {"name": "r", "toName": "items"}, (Tag("Bucket", {}),), {"items": LIST})
    with pytest.raises(LabelConfigError, match="names"):
        KIND.control(tag)


@given(ORDERS, ORDERS)
def test_distance_is_kendalls_symmetric_and_bounded(one: list[str], other: list[str]) -> None:
    a, b = KIND.canonical(PLAIN, one), KIND.canonical(PLAIN, other)
    assert KIND.distance(PLAIN, a, b) == KIND.distance(PLAIN, b, a)
    assert 0 <= KIND.distance(PLAIN, a, b) <= 1
    assert KIND.distance(PLAIN, a, a) == 0
    assert KIND.distance(PLAIN, a, KIND.canonical(PLAIN, one[::-1])) == 1


def test_one_swap_of_neighbours_in_four_items_is_one_of_six_pairs() -> None:
    a, b = KIND.canonical(PLAIN, list("abcd")), KIND.canonical(PLAIN, list("bacd"))
    assert KIND.distance(PLAIN, a, b) == pytest.approx(1 / 6)
    assert KIND.pair_counts(PLAIN, a, b)["pair_agreement"] == (5.0, 6.0)
    assert "'a' and 'b' the other way round" in KIND.disagreement(PLAIN, a, b)


def test_another_bucket_is_told_in_words() -> None:
    a = KIND.canonical(BUCKETS, {"good": ["x", "y"], "bad": ["z"]})
    b = KIND.canonical(BUCKETS, {"good": ["x"], "bad": ["y", "z"]})
    assert KIND.disagreement(BUCKETS, a, b) == "'y' in 'good' against 'bad'"
    assert KIND.pair_counts(BUCKETS, a, b)["same_bucket"] == (2.0, 3.0)


def test_three_people_agree_on_the_order_that_most_pairs_have() -> None:
    found = ranked("abcd", "abdc", "bacd")
    assert found.value == (("rank", ("a", "b", "c", "d")),)
    assert 0.5 < found.certainty < 1


def test_two_reversed_rankings_have_no_consensus_but_a_proposal() -> None:
    found = ranked("ab", "ba")
    assert found.value is None
    assert found.proposal is not None
    assert "other way round" in found.why


def test_a_single_ranking_is_as_sure_as_its_author() -> None:
    found = ranked("cab")
    assert found.value == (("rank", ("c", "a", "b")),)
    assert found.certainty == pytest.approx(0.9)


def test_an_annotator_who_ranks_backwards_is_found_and_outweighed() -> None:
    votes = {
        f"t{n}": {
            "ann": (("rank", tuple("abcd")),),
            "bob": (("rank", tuple("abcd")),),
            "rev": (("rank", tuple("dcba")),),
        }
        for n in range(30)
    }
    together = KIND.consensus(PLAIN, votes, Given())
    assert together.merged["t0"].value == (("rank", tuple("abcd")),)
    assert together.skill["rev"].accuracy < 0.5 < together.skill["ann"].accuracy
