"""ROVER: several people's transcripts of one recording into one, word by word.

Source: Fiscus 1997, "A post-processing system to yield reduced word error rates: Recognizer Output Voting Error
Reduction", sections 2 and 3, with people's skill in place of recognizers' confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NULL = ""
"""The arc of a slot that says: no word here."""
MOST_WORDS = 2_000
"""Of one transcript. Aligning takes time that grows with the square of it."""


@dataclass(frozen=True, slots=True)
class Composed:
    """words: the winning word of each slot, null arcs left out. shares: the winners' share of the weight, (slots,), the
    slots whose winner is the null arc included: how sure each decision is."""

    words: tuple[str, ...]
    shares: tuple[float, ...]


def compose(transcripts: Sequence[Sequence[str]], weights: Sequence[float]) -> Composed:
    """Vote on each slot of the word transition network that the transcripts align to.

    transcripts: words of each person, best first: the network grows from the first, and a tie goes to the word that
    came first. weights: positive, one a person. Raises ValueError for none, or one longer than MOST_WORDS.
    """
    if not transcripts or len(transcripts) != len(weights):
        raise ValueError("as many transcripts as weights are needed, and at least one")
    if max(len(words) for words in transcripts) > MOST_WORDS:
        raise ValueError(f"a transcript is longer than {MOST_WORDS} words")
    slots = [{word: weights[0]} for word in transcripts[0]]
    total = weights[0]
    for words, weight in zip(transcripts[1:], weights[1:], strict=True):
        slots = _joined(slots, words, weight, total)
        total += weight
    winners = [max(slot, key=lambda word: slot[word]) for slot in slots]
    shares = tuple(slot[word] / total for slot, word in zip(slots, winners, strict=True))
    return Composed(tuple(word for word in winners if word != NULL), shares)


def _joined(slots: list[dict[str, float]], words: Sequence[str], weight: float, total: float) -> list[dict[str, float]]:
    """Return the network with one more transcript. total: weight of those that are in it already."""
    n, m = len(slots), len(words)
    # Cheapest alignment: 0 for a word that the slot knows, 1 for one that it does not, for a skipped slot (0 if it
    # has a
    # null arc already) and for a new slot.
    cost = [[0.0] * (m + 1) for _ in range(n + 1)]
    skip = [0.0 if NULL in slot else 1.0 for slot in slots]
    for i in range(1, n + 1):
        cost[i][0] = cost[i - 1][0] + skip[i - 1]
    for j in range(1, m + 1):
        cost[0][j] = cost[0][j - 1] + 1.0
    for i in range(1, n + 1):
        row, above, known, past = cost[i], cost[i - 1], slots[i - 1], skip[i - 1]
        for j in range(1, m + 1):
            row[j] = min(above[j - 1] + (words[j - 1] not in known), above[j] + past, row[j - 1] + 1.0)
    out: list[dict[str, float]] = []
    i, j = n, m
    while i or j:
        known = slots[i - 1] if i else {}
        if i and j and cost[i][j] == cost[i - 1][j - 1] + (words[j - 1] not in known):
            out.append({**known, words[j - 1]: known.get(words[j - 1], 0.0) + weight})
            i, j = i - 1, j - 1
        elif i and cost[i][j] == cost[i - 1][j] + skip[i - 1]:
            out.append({**known, NULL: known.get(NULL, 0.0) + weight})
            i -= 1
        else:
            out.append({NULL: total, words[j - 1]: weight})
            j -= 1
    out.reverse()
    return out
