"""A marked span spread over a document: by hand, and what always holds."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.kinds.families.spread import LONGEST_TEXT, LONGEST_WORDS, MOST, spread


def span(start: int, end: int, label: str = "name") -> dict[str, Any]:
    return {"labels": [label], "value": {"start": start, "end": end}}


def of(text: str, word: str, nth: int = 0) -> dict[str, Any]:
    """The nth place of a word."""
    at = -1
    for _ in range(nth + 1):
        at = text.index(word, at + 1)
    return span(at, at + len(word))


def places(text: str, *drawn: dict[str, Any]) -> list[tuple[int, int]]:
    return [(region["value"]["start"], region["value"]["end"]) for region in spread(text, drawn)]


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("Ann met Ann", "Ann", [8]),
        ("Ann met Annette, ann and JoAnn", "Ann", []),
        ("Ann's dog, (Ann) and Ann_1", "Ann", [12]),
        ("New York, New  York, New York", "New York", [21]),
        ("a.b a.b axb", "a.b", [4]),
        ("Jose\u0301 and Jose met Jose\u0301", "Jose\u0301", [19]),
        ("Jose and Jose\u0301 and Jose", "Jose", [19]),
        ("हिन्दी हिन्दीभाषी हिन्दी", "हिन्दी", [18]),
        ("aaaa aaaa", "aaaa", [5]),
        ("-- x --", "--", [5]),
        ("C++ and C++, not C", "C++", [8]),
    ],
)
def test_the_same_words_are_found_as_words(text: str, word: str, found: list[int]) -> None:
    assert places(text, of(text, word)) == [(at, at + len(word)) for at in found]


def test_a_span_within_a_word_is_spread_within_words() -> None:
    text = "unhappy happy unhappily"
    assert places(text, span(0, 2)) == [(14, 16)]
    assert places("東京に行く、東京都", span(0, 2)) == [(6, 8)]


def test_white_space_around_the_words_does_not_count() -> None:
    text = " Ann \nand Ann, Ann"
    assert places(text, span(0, 6)) == [(10, 13), (15, 18)]


def test_only_the_newest_is_spread_and_what_is_drawn_stays_free() -> None:
    text = "Ann Lee met Ann, Bob and Ann Lee"
    drawn = [of(text, "Bob"), of(text, "Ann Lee"), of(text, "Ann", 1)]
    assert places(text, *drawn) == [(25, 28)]
    assert places(text, *drawn[::-1]) == []
    assert spread(text, drawn)[0] == {
        "labels": ["name"],
        "value": {"start": 25, "end": 28, "text": "Ann"},
        "score": 1.0,
    }


def test_characters_count_as_label_studio_counts_them() -> None:
    text = "\U0001f600 Ann \U0001f600\U0001f600 Ann"
    assert places(text, of(text, "Ann")) == [(9, 12)]


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"start": "0", "end": "3"},
        {"start": 0, "end": 99},
        {"start": 3, "end": 3},
        {"start": -3, "end": 3},
        {"start": True, "end": 3},
        {"start": 0.0, "end": 3.0},
        {"start": "/p[1]", "end": "/p[1]", "startOffset": 0, "endOffset": 3},
        {"start": 3, "end": 4},
    ],
)
def test_what_has_no_words_is_not_spread(value: Any) -> None:
    assert spread("Ann Ann", [{"labels": ["name"], "value": value}]) == []


def test_without_label_or_mark_there_is_nothing_to_spread() -> None:
    assert spread("Ann Ann", []) == []
    assert spread("Ann Ann", [{**span(0, 3), "labels": []}]) == []


def test_there_is_an_end_to_suggestions_and_to_patience() -> None:
    assert len(places("a " * 5_000, span(0, 1))) == MOST
    assert places("a" * (LONGEST_TEXT + 1), span(0, 1)) == []
    assert places("a" * 10_000, span(0, LONGEST_WORDS + 1)) == []
    started = time.perf_counter()
    covered = [span(n, n + 1) for n in range(0, 900_000, 900)]
    assert len(places("a" * LONGEST_TEXT, *covered, span(1, 1 + LONGEST_WORDS))) < MOST
    assert places("ab" * (LONGEST_TEXT // 2), *covered, span(0, 1_000)) == []
    assert time.perf_counter() - started < 10


signs = st.text(alphabet="ab AB.'_é\u0301-\n\U0001f600ह\u093f", min_size=1, max_size=60)


@given(signs, st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), min_size=1, max_size=5))
def test_suggestions_are_the_same_words_and_lie_free(text: str, marks: list[tuple[int, int]]) -> None:
    drawn = [span(min(at, len(text)), min(at + long, len(text))) for at, long in marks]
    start, end = drawn[-1]["value"]["start"], drawn[-1]["value"]["end"]
    words = text[start:end].strip()
    first = start + len(text[start:end]) - len(text[start:end].lstrip())
    whole = bool(words) and opens(text, first), bool(words) and opens(text[::-1], len(text) - first - len(words))
    extents = [(one["value"]["start"], one["value"]["end"]) for one in drawn]
    found = spread(text, drawn)
    for region in found:
        here, there = region["value"]["start"], region["value"]["end"]
        assert text[here:there] == region["value"]["text"] == words
        assert region["labels"] == ["name"]
        assert not any(here < other and one < there for one, other in extents if one < other)
        assert not whole[0] or opens(text, here)
        assert not whole[1] or opens(text[::-1], len(text) - there)
        extents.append((here, there))
    assert found == sorted(found, key=lambda region: region["value"]["start"])


@given(signs, st.integers(0, 59), st.integers(1, 8))
def test_no_free_place_is_forgotten(text: str, at: int, long: int) -> None:
    start, end = min(at, len(text) - 1), min(at + long, len(text))
    if not (words := text[start:end].strip()):
        return
    found = places(text, span(start, end))
    taken = [(start, end), *found]
    first = start + text[start:end].index(words)
    behind = first + len(words)
    ends_whole = opens(text[::-1], len(text) - behind)
    for here in range(len(text) - len(words) + 1):
        there = here + len(words)
        fits = text[here:there] == words
        fits = fits and (not opens(text, first) or opens(text, here))
        fits = fits and (not ends_whole or opens(text[::-1], len(text) - there))
        # a place that fits is suggested, or lies over one that stands before it
        assert not fits or any(here < other and one < there for one, other in taken) or (here, there) in taken


def opens(text: str, at: int) -> bool:
    """Whether a word begins at a place, told another way: by the letters around it."""
    letters = "abABé\u0301_ह\u093f"
    return text[at] in letters and (at == 0 or text[at - 1] not in letters)
