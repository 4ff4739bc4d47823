"""A marked span spread over a document: by hand, and what always holds."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.spans.spread import LONGEST_TEXT, LONGEST_WORDS, MOST, SCORE, spread
from adapter.core.spans.words import words_of


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
        ("東京は東京都、東京", "東京", [3, 7]),
        ("서울에서 서울, 서울특별시", "서울", [5, 9]),
        ("US troops told us: the US, USA and U.S. and US-led", "US", [23, 44]),
        ("an apple. Apple pie, APPLE, apples, apple", "apple", [10, 36]),
        ("an apple, or Apple (Apple)\n\u201cApple pie\u201d", "apple", [28]),
        ("Apple pie of an apple", "Apple", []),
        ("a stra\u00dfe. Stra\u00dfe", "stra\u00dfe", [10]),
        ("an \ufb01g. Fig", "\ufb01g", []),
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
        "score": SCORE,
    }


def test_all_labels_of_the_newest_are_spread_and_the_newest_says_them() -> None:
    text = "Paris and Paris and Paris"
    drawn = [span(0, 5, "person"), {"labels": ["place", "city"], "value": {"start": 10, "end": 15}}]
    assert [(one["value"]["start"], one["labels"]) for one in spread(text, drawn)] == [(20, ["place", "city"])]


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
    started = time.process_time()
    covered = [span(n, n + 1) for n in range(0, 900_000, 900)]
    assert len(places("a" * LONGEST_TEXT, *covered, span(1, 1 + LONGEST_WORDS))) < MOST
    assert places("ab" * (LONGEST_TEXT // 2), *covered, span(0, 1_000)) == []
    assert time.process_time() - started < 10


signs = st.text(alphabet="ab AB.'_é\u0301-\n\U0001f600ह\u093f", min_size=1, max_size=60)


@given(signs, st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), min_size=1, max_size=5))
def test_suggestions_are_the_same_words_and_lie_free(text: str, marks: list[tuple[int, int]]) -> None:
    drawn = [span(min(at, len(text)), min(at + long, len(text))) for at, long in marks]
    start, end = drawn[-1]["value"]["start"], drawn[-1]["value"]["end"]
    words = text[start:end].strip()
    first = start + len(text[start:end]) - len(text[start:end].lstrip())
    starts, ends = word_borders(text)
    extents = [(one["value"]["start"], one["value"]["end"]) for one in drawn]
    found = spread(text, drawn)
    for region in found:
        here, there = region["value"]["start"], region["value"]["end"]
        assert text[here:there] == region["value"]["text"]
        assert text[here:there] in (words, words[:1].upper() + words[1:])
        assert region["labels"] == ["name"]
        assert not any(here < other and one < there for one, other in extents if one < other)
        assert first not in starts or here in starts
        assert first + len(words) not in ends or there in ends
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
    starts, ends = word_borders(text)
    for here in range(len(text) - len(words) + 1):
        there = here + len(words)
        fits = text[here:there] == words
        fits = fits and (first not in starts or here in starts) and (behind not in ends or there in ends)
        # a place that fits is suggested, or lies over one that stands before it
        assert not fits or any(here < other and one < there for one, other in taken) or (here, there) in taken


def word_borders(text: str) -> tuple[set[int], set[int]]:
    """Where words begin and where they end."""
    places = words_of(text)
    return {start for start, _ in places}, {end for _, end in places}
