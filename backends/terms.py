"""Terms of a text and their TF-IDF, lean enough to serve thousands of single requests a second.

Words are runs of letters, digits and underscores (one is enough), alone and in runs of `ngrams`; characters are taken
inside words padded with a space, `chars` long: what scikit-learn calls analyzers `word` and `char_wb`. A term's value
is (1 + log count) * idf, and a text's values are scaled to length 1: scikit-learn's
`TfidfVectorizer(sublinear_tf=True)`. The vocabulary is scikit-learn's; after that only NumPy is needed.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.ports import Floats

WORD = re.compile(r"\w+")
MARK = "\x00"
"""Starts a term of characters, so that it is never taken for a word."""
MEMO = 100_000
LONGEST_WORD = 64
"""Longer runs without a space (such as encoded data) give their first characters only, and are not remembered."""


def word_terms(text: str, ngrams: tuple[int, int]) -> list[str]:
    """Return the runs of words of a text, lower-cased, joined by a space."""
    words = WORD.findall(text.lower())
    low, high = ngrams
    terms = list(words) if low == 1 else []
    for n in range(max(low, 2), high + 1):
        terms.extend(map(" ".join, zip(*(words[i:] for i in range(n)), strict=False)))
    return terms


def char_terms(word: str, chars: tuple[int, int]) -> list[str]:
    """Return the runs of characters of one word between blanks."""
    low, high = chars
    if not high:
        return []
    padded = f" {word[:LONGEST_WORD]} "
    size = len(padded)
    terms: list[str] = []
    for n in range(low, high + 1):
        if size <= n:
            terms.append(MARK + padded)
            break
        terms.extend(MARK + padded[i : i + n] for i in range(size - n + 1))
    return terms


class Terms:
    """A fitted vocabulary with idf. Safe to use from several threads."""

    def __init__(self, vocabulary: Sequence[str], idf: Floats, ngrams: tuple[int, int], chars: tuple[int, int]) -> None:
        self.vocabulary = list(vocabulary)
        self.idf = idf.astype(np.float32)
        self.ngrams = ngrams
        self.chars = chars
        self._words = {term: i for i, term in enumerate(self.vocabulary) if not term.startswith(MARK)}
        self._chars = {term: i for i, term in enumerate(self.vocabulary) if term.startswith(MARK)}
        self._memo: dict[str, tuple[int, ...]] = {}

    @classmethod
    def fit(
        cls, texts: Sequence[str], max_features: int, ngrams: tuple[int, int], chars: tuple[int, int]
    ) -> tuple[Terms, Any]:
        """Return the terms of these texts and the texts' TF-IDF as a CSR matrix (n, d). Raises ValueError if there is
        no term at all."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        def analyse(text: str) -> list[str]:
            terms = word_terms(text, ngrams)
            for word in text.lower().split():
                terms.extend(char_terms(word, chars))
            return terms

        vectorizer = TfidfVectorizer(analyzer=analyse, sublinear_tf=True, max_features=max_features, dtype=np.float64)
        matrix = vectorizer.fit_transform(texts)
        return cls(vectorizer.get_feature_names_out().tolist(), vectorizer.idf_, ngrams, chars), matrix

    def transform(self, text: str) -> tuple[npt.NDArray[np.int64], Floats]:
        """Return (column numbers, values), both (terms,), of one text; empty if it has no known term."""
        lower = text.lower()
        words = WORD.findall(lower)
        look = self._words.get
        low, high = self.ngrams
        found = list(map(look, words)) if low == 1 else []
        if low <= 2 <= high:
            found += [look(f"{first} {second}") for first, second in itertools.pairwise(words)]
        for n in range(max(low, 3), high + 1):
            found += [look(" ".join(run)) for run in zip(*(words[i:] for i in range(n)), strict=False)]
        if self.chars[1]:
            memo = self._memo
            for word in lower.split():
                known = memo.get(word)
                found += known if known is not None else self._remember(word)
        counts = Counter(found)
        counts.pop(None, None)
        if not counts:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        size = len(counts)
        columns = np.fromiter(counts.keys(), np.int64, size)
        values: Floats = np.fromiter(counts.values(), np.float32, size)
        np.log(values, out=values)
        values += 1.0
        values *= self.idf[columns]
        values /= np.sqrt(values @ values)
        return columns, values

    def _remember(self, word: str) -> tuple[int, ...]:
        look = self._chars.get
        known = tuple(i for term in char_terms(word, self.chars) if (i := look(term)) is not None)
        if len(word) <= LONGEST_WORD:
            if len(self._memo) >= MEMO:
                self._memo.clear()
            self._memo[word] = known
        return known
