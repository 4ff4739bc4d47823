"""Words of a text, and spans of characters as tags of words.

Tags are BIO (Ramshaw and Marcus 1995): 0 is outside; label l begins with 1 + 2 l and goes on with 2 + 2 l. Words are
cut by the rules below and not by a tokenizer, so that spans mean the same whatever the model.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Span = tuple[int, int, int]
"""start, end (exclusive) in characters, and the number of the label."""
Place = tuple[int, int]
Tags = npt.NDArray[np.int64]
SPACE, WORD, ALONE, GOES_ON = range(4)
UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x1100, 0x11FF),  # Hangul: spaces stand between phrases, and endings are no part of a name
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Ranges of scripts without spaces between words, in which each letter counts as a word."""


def words_of(text: str) -> list[Place]:
    """Return the words of a text as (start, end), in order: runs of letters, digits and underscores; every other sign,
    and every letter of a script that has no spaces, by itself. Marks and invisible characters belong to what they
    follow; white space belongs to no word."""
    out: list[Place] = []
    before = SPACE
    for at, sign in enumerate(text):
        kind = _kind(sign)
        if kind == SPACE:
            before = SPACE
        elif before != SPACE and (kind == GOES_ON or (kind == WORD and before == WORD)):
            out[-1] = (out[-1][0], at + 1)
        else:
            out.append((at, at + 1))
            before = WORD if kind == GOES_ON else kind
    return out


@lru_cache(maxsize=4096)
def _kind(sign: str) -> int:
    if sign.isspace():
        return SPACE
    category = unicodedata.category(sign)
    if category[0] == "M" or category in ("Cf", "Cc"):
        return GOES_ON
    code = ord(sign)
    if any(low <= code <= high for low, high in UNSPACED):
        return ALONE
    return WORD if category[0] in "LN" or sign == "_" else ALONE


def flat(spans: Sequence[tuple[Span, float]]) -> list[Span]:
    """Return the spans, each with a score, less those that overlap a better one: a tag says one thing of a word. The
    higher score is better, then the longer span, then the earlier, then the label that comes first."""
    out: list[Span] = []
    for span, _ in sorted(spans, key=lambda one: (-one[1], one[0][0] - one[0][1], one[0])):
        if all(span[1] <= other[0] or other[1] <= span[0] for other in out):
            out.append(span)
    return sorted(out)


def encode(words: Sequence[Place], spans: Sequence[Span]) -> Tags:
    """Return (n,) the tag of each word. A span takes the words that it touches, none that an earlier span has taken;
    spans must not overlap."""
    tags = np.zeros(len(words), np.int64)
    ends = [end for _, end in words]
    taken = 0
    for start, end, label in sorted(spans):
        first = max(bisect_right(ends, start), taken)
        for number in range(first, len(words)):
            if words[number][0] >= end:
                break
            tags[number] = 1 + 2 * label if number == first else 2 + 2 * label
            taken = number + 1
    return tags


def decode(words: Sequence[Place], tags: Sequence[int] | Tags) -> list[tuple[int, int, int]]:
    """Return the spans that tags mean as (first word, last word, label). A tag that goes on with a label which has not
    begun begins it."""
    out: list[tuple[int, int, int]] = []
    inside = -1
    for number in range(len(words)):
        tag = int(tags[number])
        label = (tag - 1) // 2 if tag else -1
        if tag and tag % 2 == 0 and label == inside:
            out[-1] = (out[-1][0], number, label)
        elif tag:
            out.append((number, number, label))
        inside = label
    return out


def best_tags(probabilities: npt.NDArray[np.floating]) -> Tags:
    """Return (n,) the likeliest tags of words with probabilities (n, 1 + 2 k) of which each goes on only with a label
    that has begun (Viterbi 1967)."""
    n, t = probabilities.shape
    score = np.log(np.maximum(probabilities, 1e-12)).astype(np.float64)
    on, begin = np.arange(2, t, 2), np.arange(1, t, 2)
    back = np.zeros((n, t), np.int64)
    if n:
        score[0, on] = -np.inf
    for at in range(1, n):
        before = score[at - 1]
        back[at] = int(before.argmax())
        from_begin = before[begin] >= before[on]
        back[at, on] = np.where(from_begin, begin, on)
        score[at] += before[back[at]]
    tags = np.zeros(n, np.int64)
    for at in range(n - 1, -1, -1):
        tags[at] = int(score[at].argmax()) if at == n - 1 else back[at + 1, tags[at + 1]]
    return tags


def touched(words: Sequence[Place], start: int, end: int) -> range:
    """Return the numbers of the words that a stretch of characters touches."""
    first = bisect_right([place[1] for place in words], start)
    return range(first, max(first, bisect_left([place[0] for place in words], end)))
