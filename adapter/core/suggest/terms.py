"""Keywords and phrases of one to three words that tell a label, with the meaning of the declared `keywords`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from adapter.core.suggest.base import LEAST_RIGHT, Candidate, Evidence, Ints

MOST_TERMS = 1_500
"""Terms of one length class and label that are counted in the whole sample."""
LONGEST_TEXT = 20_000
LONGEST_TERM = 60
SHORTEST = 2
COMMON = 0.1
"""Share of the texts beyond which a single word is taken for a function word, unless it tells a lot."""
TELLS = 0.6
"""Edge from which even a common word is a suggestion."""

_WORD = re.compile(r"\w+")
_JOINT = re.compile(r"\s+|[^\w\s]{1,3}")


def tokens(text: str, least: int = 1, most: int = 3) -> set[str]:
    """Return the n-grams of a text, lower case, `least` to `most` words long.

    Words are runs of `\\w`. Joined are those with white space (written as one space) or one to three other signs
    between them (kept: "don't", "http://www"), so that each term is found by `keywords` with whole words and ignored
    case exactly where it stands here.
    """
    lowered = text[:LONGEST_TEXT].lower()
    words = [(match.start(), match.end()) for match in _WORD.finditer(lowered)]
    found = set()
    joints = []
    for (_, end), (start, _) in pairwise(words):
        between = lowered[end:start]
        joints.append((" " if between.isspace() else between) if _JOINT.fullmatch(between) else None)
    for first, (start, end) in enumerate(words):
        term = lowered[start:end]
        if least == 1 and len(term) >= SHORTEST and not term.isdigit():
            found.add(term)
        for length in range(2, most + 1):
            last = first + length - 1
            if last >= len(words) or (joint := joints[last - 1]) is None:
                break
            term = f"{term}{joint}{lowered[words[last][0] : words[last][1]]}"
            if length >= least and len(term) <= LONGEST_TERM:
                found.add(term)
    return found


def term_rules(
    texts: Sequence[str], evidence: Evidence, *, kind: str, field: str = "text", most: int = MOST_TERMS
) -> list[Candidate]:
    """Return candidates for every label: single words (kind `keywords`) or phrases of two and three (`ngrams`).

    texts: (n,), of all rows of the evidence, empty where there is none. field: the task field that they come from. A
    term is looked for in the labelled texts of the half that finds, then counted in all rows; at most `most` terms a
    label are, those with the most to say.
    """
    least, longest = (1, 1) if kind == "keywords" else (2, 3)
    found = evidence.rows[~evidence.held]
    targets = evidence.targets[~evidence.held]
    seen: Counter[str] = Counter()
    right: list[Counter[str]] = [Counter() for _ in evidence.labels]
    for row, target in zip(found.tolist(), targets, strict=True):
        terms = tokens(texts[row], least, longest)
        seen.update(terms)
        for label in np.flatnonzero(target):
            right[label].update(terms)
    wanted: list[tuple[int, str]] = []
    for label, counts in enumerate(right):
        base = evidence.base[label]
        scored = []
        for term, hits in counts.items():
            lead = hits - base * seen[term]  # labels more than the base rate explains
            if hits >= LEAST_RIGHT and lead > 0:
                scored.append((-lead / seen[term] ** 0.5, term))
        wanted += [(label, term) for _, term in sorted(scored)[:most]]
    columns = _occurrences(texts, sorted({term for _, term in wanted}), least, longest)
    candidates = []
    for label, term in wanted:
        hits_at = columns[term]
        judged = evidence.judge(label, hits_at)
        common = kind == "keywords" and (hits_at < evidence.size).sum() > COMMON * evidence.size
        if judged.worth and (not common or judged.edge >= TELLS):
            options = {} if field == "text" else {"field": field}
            args = (evidence.labels[label], [term])
            words = tuple(_WORD.findall(term))
            candidates.append(Candidate(kind, label, hits_at, judged, "keywords", args, options, words, term))
    return candidates


def _occurrences(texts: Sequence[str], terms: Sequence[str], least: int, most: int) -> dict[str, Ints]:
    """Term to the sorted rows whose text has it."""
    if not terms:
        return {}
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer=lambda text: tokens(text, least, most), vocabulary=list(terms), binary=True)
    matrix = counter.transform(texts).tocsc()
    matrix.sort_indices()
    return {
        term: matrix.indices[matrix.indptr[column] : matrix.indptr[column + 1]].astype(np.int64)
        for column, term in enumerate(terms)
    }
