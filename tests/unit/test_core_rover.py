"""ROVER on hand-made transcripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.rover import MOST_WORDS, compose

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=8)


def heard(text: str) -> list[str]:
    return text.split()


def test_each_word_is_voted_on_by_itself() -> None:
    said = [heard("the cat sat on a mat"), heard("the cat sat on the mat"), heard("a cat sat on the mat")]
    assert compose(said, [1, 1, 1]).words == ("the", "cat", "sat", "on", "the", "mat")


def test_a_word_that_most_people_missed_is_dropped_and_one_that_most_heard_is_kept() -> None:
    said = [heard("we will go now"), heard("we go now"), heard("we go right now"), heard("we go right now")]
    assert compose(said, [1, 1, 1.5, 1]).words == ("we", "go", "right", "now")


def test_skill_outweighs_number() -> None:
    assert compose([["no"], ["yes"], ["yes"]], [3, 1, 1]).words == ("no",)


def test_a_tie_goes_to_the_transcript_that_came_first() -> None:
    composed = compose([["left"], ["right"]], [1, 1])
    assert (composed.words, composed.shares) == (("left",), (0.5,))


@given(WORDS, st.integers(1, 4))
def test_equal_transcripts_come_out_as_they_are(words: list[str], people: int) -> None:
    composed = compose([words] * people, [1.0] * people)
    assert composed.words == tuple(words)
    assert all(share == 1.0 for share in composed.shares)


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_no_word_is_made_up_and_every_slot_is_weighed_in_full(said: list[list[str]]) -> None:
    composed = compose(said, [1.0] * len(said))
    assert set(composed.words) <= {word for words in said for word in words}
    assert all(1 / len(said) - 1e-9 <= share <= 1 for share in composed.shares)


def test_what_cannot_be_aligned_in_time_is_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        compose([["a"] * (MOST_WORDS + 1)], [1])
    with pytest.raises(ValueError, match="at least one"):
        compose([], [])
