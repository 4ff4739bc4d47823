"""The author's kit: preprocessors with memory, resources made once, examples, answers and what is told of faults."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import FunctionsError
from adapter.labeling import (
    LabelingFunction,
    ResourceFailed,
    answer_codes,
    bound,
    labeling_function,
    preprocessor,
    read_answer,
    reason,
)
from adapter.labeling.preprocess import Memory, chain, content_key

LABELS = ("spam", "ham")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def kept(value: Any) -> Any:
    """JSON with its types, so that 1, 1.0 and True differ as they do in a file."""
    if isinstance(value, dict):
        return [(name, kept(part)) for name, part in value.items()]
    return [kept(part) for part in value] if isinstance(value, list) else (type(value).__name__, repr(value))


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4), st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_two_rows_have_one_key_exactly_when_they_are_the_same_json(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (content_key(one) == content_key(other)) == (kept(one) == kept(other))
    assert content_key(one) == content_key(dict(one))


def test_keys_stay_small_and_tell_types_apart() -> None:
    assert len(content_key({"text": "x" * 1_000_000}) or b"") == 16
    keys = [content_key({"n": value}) for value in (1, 1.0, True, "1", None, [1], -0.0, 0.0)]
    assert len(set(keys)) == len(keys)
    assert content_key({"array": np.zeros(3)}) is None


def test_a_preprocessor_is_called_once_a_content_whichever_function_asks() -> None:
    calls: list[str] = []

    @preprocessor
    def words(data: Mapping[str, Any]) -> Mapping[str, Any]:
        calls.append(data["text"])
        return {**data, "words": data["text"].split()}

    @preprocessor(memory=0)
    def count(data: Mapping[str, Any]) -> Mapping[str, Any]:
        calls.append("count")
        return {**data, "count": len(data["words"])}

    @labeling_function(pre=[words])
    def first(data: Any) -> str | None:
        return data["words"][0]

    @labeling_function(pre=[words, count])
    def second(data: Any) -> str | None:
        return str(data["count"])

    one, two = bound(first), bound(second)
    row = {"text": "spam and eggs"}
    assert [one(row), one(dict(row)), two(row), two(row)] == ["spam", "spam", "3", "3"]
    assert calls == ["spam and eggs", "count", "count"]
    assert one({"text": "ham"}) == "ham"
    assert calls[-1] == "ham"
    assert first({"text": "ham"}) == "ham"
    assert calls[-2:] == ["ham", "ham"], "a plain call remembers nothing"


def test_a_step_is_remembered_apart_from_the_same_step_after_another() -> None:
    @preprocessor
    def double(data: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**data, "n": data["n"] * 2}

    @preprocessor
    def more(data: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**data, "n": data["n"] + 1}

    assert chain([double, more])({"n": 3})["n"] == 7
    assert chain([more, double])({"n": 3})["n"] == 8
    assert chain([double, double])({"n": 3})["n"] == 12
    assert chain([double])({"n": 3})["n"] == 6


def test_no_function_can_change_what_another_sees_of_a_preprocessor() -> None:
    @preprocessor
    def shape(data: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**data, "shape": "round"}

    @labeling_function(pre=[shape])
    def vandal(data: Any) -> str | None:
        data["shape"] = "square"
        return None

    @labeling_function(pre=[shape])
    def honest(data: Any) -> str | None:
        return str(data["shape"])

    with pytest.raises(TypeError, match="does not support item assignment"):
        bound(vandal)({"text": "x"})
    assert bound(honest)({"text": "x"}) == "round"


def test_a_failing_preprocessor_is_told_by_name_and_line_and_tried_again() -> None:
    ready: list[int] = []

    @preprocessor
    def shape(data: Mapping[str, Any]) -> Mapping[str, Any]:
        if not ready:
            raise ValueError("blank image")
        return data

    @labeling_function(pre=[shape])
    def f(data: Any) -> str | None:
        return "spam"

    rule = bound(f)
    with pytest.raises(ValueError, match="blank image") as caught:
        rule({"text": "x"})
    line = shape.function.__code__.co_firstlineno + 3
    assert reason(caught.value) == f"ValueError: blank image (line {line}, in preprocessor 'shape')"
    ready.append(1)
    assert rule({"text": "x"}) == "spam"


def test_a_preprocessor_that_returns_no_data_is_told_what_to_return() -> None:
    @preprocessor
    def forgot(data: Any) -> Any:
        data.get("x")

    with pytest.raises(TypeError, match=r"preprocessor 'forgot' returned NoneType.*\{\*\*data"):
        chain([forgot])({"text": "x"})


def test_a_memory_lets_the_least_recently_used_go() -> None:
    memory = Memory(2)
    memory.put(b"a", {"n": 1})
    memory.put(b"b", {"n": 2})
    assert memory.get(b"a") == {"n": 1}
    memory.put(b"c", {"n": 3})
    assert (memory.get(b"b"), memory.get(b"a"), memory.get(b"c")) == (None, {"n": 1}, {"n": 3})


def test_a_memory_is_bounded_in_bytes_and_holds_nothing_that_is_too_large_alone() -> None:
    memory = Memory(1000, size=100_000)
    for number in range(20):
        memory.put(bytes([number]), {"array": np.zeros(2500)})  # 20 kB each
    assert 3 <= len(memory.held) <= 5
    assert memory.bytes <= 100_000
    memory.put(b"huge", {"text": "x" * 200_000})
    assert memory.get(b"huge") is None
    for key in list(memory.held):
        memory.put(key, {"n": 1})
    assert memory.bytes < 10_000


@pytest.mark.parametrize(
    ("declare", "why"),
    [
        (lambda: preprocessor(memory=-1)(dict), "no number of results"),
        (lambda: preprocessor(lambda one, two: one), "one argument"),
        (lambda: preprocessor(preprocessor(lambda data: data)), "no plain|not a plain"),
        (lambda: labeling_function(pre=[len])(lambda data: None), "no preprocessor"),
        (lambda: labeling_function(resources={"words": ["a"]})(lambda data, words: None), "resource 'words'"),
        (lambda: labeling_function(resources=["words"])(lambda data: None), "no mapping"),
        (lambda: labeling_function(resources={"words": list})(lambda data: None), "words"),
        (lambda: labeling_function(examples=[{"text": "x"}])(lambda data: None), "example 1 of"),
        (lambda: labeling_function(examples=({"text": "x"}, "spam"))(lambda data: None), "one pair"),
        (lambda: labeling_function(examples=[("x", "spam")])(lambda data: None), "no mapping of fields"),
        (lambda: labeling_function(examples=[({"text": "x"}, 3)])(lambda data: None), "expects 3"),
        (lambda: labeling_function(examples="spam")(lambda data: None), "no list"),
    ],
)
def test_nonsense_is_refused_when_it_is_declared(declare: Callable[[], Any], why: str) -> None:
    with pytest.raises(FunctionsError, match=why):
        declare()


def test_examples_are_kept_as_pairs() -> None:
    @labeling_function(examples=[({"text": "http://x"}, "spam"), ({"text": "hi"}, None)])
    def link(data: Any) -> str | None:
        return "spam" if "http" in data["text"] else None

    assert link.examples == (({"text": "http://x"}, "spam"), ({"text": "hi"}, None))
    assert all(link(data) == label for data, label in link.examples)


def test_a_function_that_needs_nothing_is_called_directly() -> None:
    def rule(data: Any) -> str | None:
        return None

    assert bound(labeling_function(rule)) is rule


def test_resources_are_made_once_and_given_by_name() -> None:
    made: list[str] = []

    def load_words() -> set[str]:
        made.append("words")
        return {"win"}

    @labeling_function(resources={"words": load_words})
    def f(data: Any, words: set[str]) -> str | None:
        return "spam" if words & set(data["text"].split()) else None

    rule = bound(f)
    assert made == []
    assert [rule({"text": "win it"}), rule({"text": "hello"}), rule({"text": "win"})] == ["spam", None, "spam"]
    assert made == ["words"]
    assert rule.prepare() == ""  # type: ignore[attr-defined]
    assert f({"text": "win"}) == "spam"


def test_a_resource_that_cannot_be_made_is_the_same_fault_on_each_row_and_made_no_second_time() -> None:
    tries: list[int] = []

    def load() -> Any:
        tries.append(1)
        raise FileNotFoundError("words.txt")

    @labeling_function(resources={"words": load})
    def f(data: Any, words: Any) -> str | None:
        return None

    rule = bound(f)
    told = f"resource 'words' could not be made: FileNotFoundError: words.txt (line {load.__code__.co_firstlineno + 2})"
    assert rule.prepare() == told  # type: ignore[attr-defined]
    for _ in range(2):
        with pytest.raises(ResourceFailed) as caught:
            rule({"text": "x"})
        assert str(caught.value) == told
        assert reason(caught.value) == told
    assert tries == [1]


def test_a_maker_cut_off_by_its_time_limit_is_tried_again() -> None:
    class TooLong(BaseException):
        pass

    tries: list[int] = []

    def load() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise TooLong
        return 7

    rule = bound(LabelingFunction("f", lambda data, n: str(n), resources={"n": load}))
    with pytest.raises(TooLong):
        rule({})
    assert rule({}) == "7"


def test_answers_are_read_as_code_and_confidence() -> None:
    codes = answer_codes(LabelingFunction("f", lambda data: None), LABELS)
    assert codes == {None: -1, "spam": 0, "ham": 1}

    def read(answer: object) -> tuple[int, float]:
        return read_answer(answer, codes, LABELS, "topic")

    assert read(None) == (-1, 1.0)
    assert read("ham") == (1, 1.0)
    assert read(("ham", 0.25)) == (1, 0.25)
    assert read(("spam", np.float32(1))) == (0, 1.0)
    assert read(("spam", 0)) == (0, 0.0)


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("spma", "returned 'spma', which is not a label of 'topic'. Did you mean 'spam'?"),
        (("spma", 0.5), "returned 'spma', which is not a label of 'topic'. Did you mean 'spam'?"),
        (1, "returned 1, which is no label; return a label's name or None."),
        (True, "returned True, which is no label; return a label's name or None."),
        (["spam"], "returned ['spam'], which is no label; return a label's name or None."),
        (("spam",), "returned ('spam',), which is no label; return a label's name or None."),
        (("spam", 2), "returned ('spam', 2), whose confidence is no number between 0 and 1."),
        (("spam", math.nan), "whose confidence is no number between 0 and 1."),
        (("spam", "0.5"), "whose confidence is no number between 0 and 1."),
        (("spam", True), "whose confidence is no number between 0 and 1."),
        ((None, 0.5), "returned (None, 0.5). Return None alone to abstain."),
        (Unprintable(), "returned a Unprintable, which is no label"),
    ],
)
def test_a_wrong_answer_is_told_what_would_be_right(answer: object, told: str) -> None:
    codes = answer_codes(LabelingFunction("f", lambda data: None), LABELS)
    with pytest.raises(FunctionsError) as caught:
        read_answer(answer, codes, LABELS, "topic")
    assert told in str(caught.value)


def test_indexed_answers_are_indices_of_labels() -> None:
    codes = answer_codes(LabelingFunction("f", lambda data: None, indexed=True), LABELS)
    assert [read_answer(answer, codes, LABELS, "topic") for answer in (-1, 0, np.int64(1))] == [(-1, 1), (0, 1), (1, 1)]
    for wrong in (2, -2, None, "spam", (0, 0.5), [0]):
        with pytest.raises(FunctionsError, match="Return -1 to abstain, or: 0 spam, 1 ham"):
            read_answer(wrong, codes, LABELS, "topic")
