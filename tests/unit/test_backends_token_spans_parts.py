from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_bert, tiny_roberta

from adapter.core.spans.words import words_of
from backends.token_spans_find import find
from backends.token_spans_tags import best_tags, decode, encode, flat
from backends.token_spans_windows import cut, windows
from backends.transformer_encoder import Encoder, pretrained


@st.composite
def texts_with_spans(draw: st.DrawFn) -> tuple[str, list[tuple[int, int, int]]]:
    text = draw(st.text(max_size=120))
    places = words_of(text)
    borders = sorted(draw(st.sets(st.integers(0, len(places)), max_size=12)))
    spans = []
    for first, last in pairwise(borders):
        if draw(st.booleans()):
            spans.append((places[first][0], places[last - 1][1], draw(st.integers(0, 3))))
    return text, spans


@settings(max_examples=300)
@given(texts_with_spans())
def test_spans_of_whole_words_survive_tags(given_: tuple[str, list[tuple[int, int, int]]]) -> None:
    text, spans = given_
    places = words_of(text)
    found = decode(places, encode(places, spans))
    assert [(places[first][0], places[last][1], label) for first, last, label in found] == spans


def test_a_span_that_cuts_words_takes_them_whole() -> None:
    places = words_of("Dr. Smithson lives")
    assert decode(places, encode(places, [(1, 7, 0), (8, 14, 1)])) == [(0, 2, 0), (3, 3, 1)]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8), st.integers(0, 2), st.sampled_from([0.3, 0.7, 1.0]))))
def test_flat_spans_do_not_overlap_and_what_is_left_out_overlaps_something_better(
    given_: list[tuple[int, int, int, float]],
) -> None:
    spans = [((start, start + length, label), score) for start, length, label, score in given_]
    kept = flat(spans)
    assert all(a[1] <= b[0] for a, b in pairwise(kept))
    scores = {span: max(s for other, s in spans if other == span) for span, _ in spans}
    for span, score in spans:
        if span not in kept:
            assert any(span[0] < one[1] and one[0] < span[1] and scores[one] >= score for one in kept)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_best_tags_are_the_best_of_all_lawful_ones(seed: int, n: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.ones(5), n)
    lawful = [
        tags
        for tags in product(range(5), repeat=n)
        if all(tag == 0 or tag % 2 or (at and tags[at - 1] in (tag, tag - 1)) for at, tag in enumerate(tags))
    ]
    best = max(lawful, key=lambda tags: sum(np.log(p[at, tag]) for at, tag in enumerate(tags)))
    assert tuple(best_tags(p)) == best
    assert best_tags(np.zeros((0, 5))).shape == (0,)


def chances(rows: list[list[float]]) -> np.ndarray:
    return np.asarray(rows, np.float32)


def test_a_doubtful_second_reading_gets_what_the_first_leaves_over() -> None:
    places = [(0, 4), (5, 10)]
    found = find(places, chances([[0.05, 0.6, 0.0, 0.35, 0.0], [0.1, 0.0, 0.6, 0.0, 0.3]]))
    assert [(start, end, label, round(score, 2)) for start, end, label, score in found] == [
        (0, 10, 0, 0.6),
        (0, 10, 1, 0.33),
    ]


def test_what_is_unlikely_is_not_told_and_nothing_shown_overlaps() -> None:
    places = [(0, 4), (5, 10)]
    assert find(places, chances([[0.97, 0.03, 0.0], [0.96, 0.02, 0.02]])) == []
    assert find([], np.zeros((0, 3))) == []


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_scores_are_chances_and_shown_spans_do_not_overlap(seed: int, n: int) -> None:
    p = np.random.default_rng(seed).dirichlet(np.full(7, 0.3), n)
    found = find([(2 * at, 2 * at + 1) for at in range(n)], p)
    assert all(0.05 <= score <= 1.0 and 0 <= start < end for start, end, _, score in found)
    assert len({one[:3] for one in found}) == len(found)
    sure = [one for one in found if one[3] > 0.5]
    assert all(a[1] <= b[0] for a, b in pairwise(sure))


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> list[Encoder]:
    folder = tmp_path_factory.mktemp("parts")
    made = [
        pretrained(str(make(folder / make.__name__)), 32, download=False, where="test")
        for make in (tiny_bert, tiny_roberta)
    ]
    for encoder in made:
        cut(encoder)
    return made


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=300))
def test_each_word_has_at_most_one_token_that_speaks_for_it(encoders: list[Encoder], text: str) -> None:
    places = words_of(text)
    for encoder in encoders:
        own = windows(encoder, [text], [places])[0]
        spoken = [word for window in own for word in window.words.tolist()]
        assert len(spoken) == len(set(spoken))
        assert all(len(window.ids) <= encoder.longest for window in own)
        assert all((window.at >= 0).all() and (window.at < len(window.ids)).all() for window in own)


def test_the_token_that_speaks_begins_its_word_far_from_the_edges(encoders: list[Encoder]) -> None:
    text = "win a free phone now " * 30
    places = words_of(text)
    for encoder in encoders:
        own = windows(encoder, [text], [places])[0]
        assert len(own) > 3
        assert sorted(word for window in own for word in window.words.tolist()) == list(range(len(places)))
        assert sum(window.weight for window in own) >= len(places)
        for window in own[1:-1]:
            assert window.at.min() > 2
            assert window.at.max() < len(window.ids) - 3
        whole = encoder.tokenizer.encode("win a free phone now", add_special_tokens=False).ids
        first = own[0]
        assert int(first.ids[first.at[0]]) == whole[0]


def test_texts_without_a_token_have_a_window_all_the_same(encoders: list[Encoder]) -> None:
    for encoder in encoders:
        own = windows(encoder, ["", "\x00"], [[], words_of("\x00")])
        assert [len(one) for one in own] == [1, 1]
        assert all(len(window.ids) and window.weight == 1 for one in own for window in one)
