"""Spans of characters as tags of words, and back.

Tags are BIO (Ramshaw and Marcus 1995): 0 is outside; label l begins with 1 + 2 l and goes on with 2 + 2 l. Words are
cut by the rules of `adapter.core.spans.words` and not by a tokenizer, so that spans mean the same whatever the model.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adapter.core.spans.words import Place

Span = tuple[int, int, int]
"""start, end (exclusive) in characters, and the number of the label."""
Tags = npt.NDArray[np.int64]


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
