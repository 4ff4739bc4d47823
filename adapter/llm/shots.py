"""Which labelled examples a language model is shown: as many of each label as there is room for, or those most like the
task."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adapter.llm.prompt import Shot
from adapter.ports import Floats

CLEAR = 0.75
"""Probability from which a label counts as known: an example that people differ about teaches the model nothing."""
POOL = 400
"""Examples that the nearest ones are chosen from."""
_WORD = re.compile(r"\w+")


def choose(texts: Sequence[str], targets: Floats, *, multiple: bool, most: int, seed: int) -> list[Shot]:
    """Return at most `most` examples, balanced: by turns one of each label, drawn at random by the seed, no text twice.

    targets (n, k): as in `ports.Backend.fit`. Examples without a clear label are passed over. With several labels an
    example stands for the rarest of its own. The last ones, which models heed most, are of different labels.
    """
    clear, told = [], []
    for row, target in enumerate(np.asarray(targets, np.float64)):
        if multiple:
            if bool(((target >= CLEAR) | (target <= 1 - CLEAR)).all()):
                clear.append(row)
                told.append(tuple(np.flatnonzero(target >= CLEAR).tolist()))
        elif target.max() >= CLEAR:
            clear.append(row)
            told.append((int(target.argmax()),))
    counts = np.bincount([label for labels in told for label in labels] or [0], minlength=targets.shape[1])
    order = np.random.default_rng(seed).permutation(len(clear))
    by_class: dict[int, list[int]] = {}
    seen: set[str] = set()
    for place in order.tolist():
        if texts[clear[place]] in seen:
            continue
        seen.add(texts[clear[place]])
        group = min(told[place], key=lambda label: (counts[label], label), default=-1)
        by_class.setdefault(group, []).append(place)
    chosen: list[int] = []
    turns = sorted(by_class.items(), key=lambda item: (len(item[1]), item[0]))
    while len(chosen) < most and any(places for _, places in turns):
        for _, places in turns:
            if places and len(chosen) < most:
                chosen.append(places.pop())
    return [Shot(texts[clear[place]], told[place]) for place in chosen]


class Nearest:
    """The examples most like a text, by the cosine of their words with inverse document frequency (Liu et al. 2022,
    "What makes good in-context examples", with words for vectors: no model is needed)."""

    def __init__(self, shots: Sequence[Shot]) -> None:
        self._shots = list(shots)
        self._words = [frozenset(_WORD.findall(shot.text.casefold())) for shot in shots]
        counts: dict[str, int] = {}
        for words in self._words:
            for word in words:
                counts[word] = counts.get(word, 0) + 1
        total = len(self._words)
        self._weight = {word: float(np.log((1 + total) / (1 + count)) + 1) for word, count in counts.items()}
        self._lengths = [self._length(words) for words in self._words]

    def of(self, text: str, most: int) -> list[Shot]:
        """Return at most `most` examples, the nearest last, where models heed it most."""
        words = frozenset(_WORD.findall(text.casefold()))
        length = self._length(words) or 1.0
        cosines: npt.NDArray[np.float64] = np.asarray(
            [
                sum(self._weight[word] ** 2 for word in words & own) / (length * own_length) if own_length else 0.0
                for own, own_length in zip(self._words, self._lengths, strict=True)
            ]
        )
        best = np.argsort(-cosines, kind="stable")[:most]
        return [self._shots[place] for place in reversed(best.tolist())]

    def _length(self, words: frozenset[str]) -> float:
        return float(np.sqrt(sum(self._weight.get(word, 1.0) ** 2 for word in words)))
