"""Words and borders of texts in many scripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.spans.words import LONGEST_TAIL, begins_sentence, borders, words_of

mixed = st.text(alphabet="ab A1_.'-\n\u0301\u200d\U0001f600ह\u093fの東", max_size=60)


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in words_of(text)]


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("Dr. Smith's dog", ["Dr", ".", "Smith", "'", "s", "dog"]),
        ("  a_b 3rd\t\nx-y ", ["a_b", "3rd", "x", "-", "y"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("東京に行く", ["東", "京", "に", "行", "く"]),
        ("\U0001f469\u200d\U0001f467!", ["\U0001f469\u200d", "\U0001f467", "!"]),
        ("a\x00b", ["a\x00b"]),
        ("\u0301a", ["\u0301a"]),
        ("", []),
        (" \u3000\xa0", []),
    ],
)
def test_words_of_many_scripts(text: str, due: list[str]) -> None:
    assert words(text) == due


@given(st.text())
def test_words_are_in_order_hold_no_space_and_leave_nothing_else_out(text: str) -> None:
    places = words_of(text)
    ends = [0, *(end for _, end in places)]
    assert all(start >= before and start < end for before, (start, end) in zip(ends, places, strict=False))
    inside = set().union(*(range(start, end) for start, end in places)) if places else set()
    assert inside == {at for at, sign in enumerate(text) if not sign.isspace()}


@given(mixed)
def test_borders_lie_between_words_and_nowhere_within(text: str) -> None:
    within = {at for start, end in words_of(text) for at in range(start + 1, end)}
    assert {at for at in range(len(text) + 1) if not borders(text, at)} == within


def test_a_hostile_pile_of_marks_is_no_border_and_costs_nothing() -> None:
    text = "a" + "\u0301" * 500_000 + "b"
    assert not borders(text, len(text) - 1)
    assert not borders(text, LONGEST_TAIL)


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("x", True),
        ("\u201cx", True),
        ("Well. x", True),
        ("Well.) \u201cx", True),
        ("好。x", True),
        ("Title\n- x", True),
        ("an x", False),
        ("an (x", False),
        ("one, x", False),
        ("it: x", False),
        ("." + " " * 200 + "x", False),
    ],
)
def test_where_a_sentence_may_begin(text: str, begins: bool) -> None:
    assert begins_sentence(text, text.index("x")) is begins
