"""From probabilities of tags to spans with scores: the best reading of a text, and what else may be there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adapter.core.spans.words import Place
from backends.token_spans_tags import best_tags, decode

LEAST = 0.05
"""Least score of a span that is told."""
FALL = 0.5
"""A doubtful span ends where its label is less than this share as likely as at its first word."""
MOST = 500
"""Most spans of a text beside those of the best reading."""
Found = tuple[int, int, int, float]
"""start, end (exclusive) in characters, label, score."""


def find(words: Sequence[Place], probabilities: npt.NDArray[np.floating]) -> list[Found]:
    """Return the spans of a text whose words have these probabilities (n, 1 + 2 k), by place.

    First those of the likeliest sequence of tags; then, for each label, those that begin at a word where it begins with
    LEAST or more. A span's score is the mean over its words of the probability that the word is of its label: the share
    of its words that are expected to be right. A span beside the best reading gets no more than better ones leave over:
    scores of spans that share a word sum to at most 1.
    """
    p = np.asarray(probabilities, np.float64)
    n, k = p.shape[0], (p.shape[1] - 1) // 2
    begins = p[:, 1::2]
    labels = begins + p[:, 2::2]
    best = [
        (first, last, label, _mean(labels, first, last, label)) for first, last, label in decode(words, best_tags(p))
    ]
    left_over = np.ones(n)
    taken = np.zeros((n, k), bool)
    for first, last, label, score in best:
        left_over[first : last + 1] = 1.0 - score
        taken[first : last + 1, label] = True
    others = []
    for first, label in np.argwhere((begins >= LEAST) & ~taken).tolist():
        last = first
        floor = max(LEAST, FALL * labels[first, label])
        while (
            last + 1 < n
            and not taken[last + 1, label]
            and labels[last + 1, label] >= floor
            and begins[last + 1, label] <= 0.5 * labels[last + 1, label]
        ):
            last += 1
        others.append((first, last, label, _mean(labels, first, last, label)))
    found = [one for one in best if one[3] >= LEAST]
    for first, last, label, score in sorted(others, key=lambda one: (-one[3], one))[:MOST]:
        score = min(score, float(left_over[first : last + 1].min()))
        if score >= LEAST:
            left_over[first : last + 1] -= score
            found.append((first, last, label, score))
    return sorted((words[first][0], words[last][1], label, score) for first, last, label, score in found)


def _mean(labels: npt.NDArray[np.float64], first: int, last: int, label: int) -> float:
    return float(min(1.0, labels[first : last + 1, label].mean()))
