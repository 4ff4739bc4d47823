"""Groups among the tasks that no function covers, with the words that tell them from the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adapter.core.neighbours import clusters, unit_rows
from adapter.core.suggest.base import Bools, Evidence, Ints
from adapter.core.suggest.terms import tokens
from adapter.ports import Floats

MOST_ROWS = 20_000
MOST_WORDS = 20_000
DIMENSIONS = 50
SMALLEST = 5
TELLING = 6
TOGETHER = 2
"""Telling words that must meet in a text: one alone is a word like any other."""
COMMON = 0.3
"""Share of the uncovered texts beyond which a word tells nothing: function words, in any language."""
LEAST_LABELS = 3
MAJORITY = 2 / 3


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Uncovered tasks that are alike. rows: int64, of the sample, the most typical first. terms: words that are far
    more frequent here than among the other uncovered tasks. reach: sorted rows, covered or not, that
    have two of them.
    label: index of the label that most labelled tasks of the group have, None where too few or too mixed are. counted:
    labelled tasks of the group. agreeing: those with that label."""

    rows: Ints
    terms: tuple[str, ...]
    reach: Ints
    label: int | None
    counted: int
    agreeing: int


def groups(
    texts: Sequence[str], evidence: Evidence, *, vectors: Floats | None = None, count: int = 0, seed: int = 0
) -> list[Group]:
    """Return groups of uncovered rows, large ones first; empty with fewer than ten uncovered texts.

    texts: (n,), empty where there is none. vectors: (n, d) to group by; a small semantic space of the texts themselves
    (TF-IDF, truncated SVD: Deerwester et al. 1990) if left out. count: of groups; 0: about the square root of a
    quarter of the rows, at most 12. At most 20,000 rows are looked at, drawn with `seed`.
    """
    free = np.array([row for row in np.flatnonzero(evidence.votes == 0) if texts[row].strip()], np.int64)
    random = np.random.default_rng(seed)
    if len(free) > MOST_ROWS:
        free = np.sort(random.choice(free, MOST_ROWS, replace=False))
    if len(free) < 2 * SMALLEST:
        return []
    wanted = count or int(min(12, max(2, (len(free) / 4) ** 0.5)))
    space = _semantic([texts[row] for row in free], seed) if vectors is None else vectors[free]
    if space is None:
        return []
    unit, usable = unit_rows(space)
    free, unit = free[usable], unit[usable]
    if len(free) < 2 * SMALLEST:
        return []
    label_of = clusters(unit, wanted, random)
    spoken = [_words(texts[row]) for row in free]
    found = []
    for number in range(wanted):
        mine = np.flatnonzero(label_of == number)
        if len(mine) < SMALLEST:
            continue
        terms = _telling(spoken, label_of == number)
        if len(terms) >= TOGETHER:
            centre = unit[mine].mean(axis=0)
            order = mine[np.argsort(-(unit[mine] @ centre), kind="stable")]
            found.append((free[order], terms))
    reach = _reach(texts, [terms for _, terms in found])
    made = [_group(rows, terms, there, evidence) for (rows, terms), there in zip(found, reach, strict=True)]
    return sorted(made, key=lambda group: (-len(group.rows), group.terms))


def _reach(texts: Sequence[str], lists: Sequence[tuple[str, ...]]) -> list[Ints]:
    """For each list of words the rows that have TOGETHER of them."""
    groups_of: dict[str, list[int]] = {}
    for number, terms in enumerate(lists):
        for term in terms:
            groups_of.setdefault(term, []).append(number)
    found: list[list[int]] = [[] for _ in lists]
    for row, text in enumerate(texts):
        met = Counter(number for term in groups_of.keys() & _words(text) for number in groups_of[term])
        for number, count in met.items():
            if count >= TOGETHER:
                found[number].append(row)
    return [np.array(rows, np.int64) for rows in found]


def _semantic(texts: Sequence[str], seed: int) -> Floats | None:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        matrix = TfidfVectorizer(
            analyzer=lambda text: tokens(text, 1, 1),
            min_df=2,
            max_df=COMMON,
            max_features=MOST_WORDS,
            sublinear_tf=True,
        ).fit_transform(texts)
    except ValueError:  # no word stands in two of them
        return None
    width = min(DIMENSIONS, matrix.shape[1] - 1, matrix.shape[0] - 1)
    if width < 1:
        return np.asarray(matrix.toarray(), np.float32)
    return np.asarray(TruncatedSVD(width, random_state=seed).fit_transform(matrix), np.float32)


def _words(text: str) -> set[str]:
    return tokens(text, 1, 1)


def _telling(spoken: Sequence[set[str]], inside: Bools) -> tuple[str, ...]:
    """The words with the greatest signed root of the likelihood ratio (Dunning 1993) of the group against the rest."""
    counts: dict[str, list[int]] = {}
    for words, mine in zip(spoken, inside, strict=True):
        for word in words:
            counts.setdefault(word, [0, 0])[0 if mine else 1] += 1
    n, rest = int(inside.sum()), int((~inside).sum())
    scored = []
    for word, (here, there) in counts.items():
        common = (here + there) / (n + rest) > COMMON and there > 0.05 * rest
        if not common and here >= max(3, 0.03 * n) and here / n > 2 * there / max(1, rest):
            whole = (here + there) / (n + rest)
            ratio = here * np.log(here / (n * whole)) + (there * np.log(there / (rest * whole)) if there else 0.0)
            scored.append((-float(ratio), word))
    return tuple(word for _, word in sorted(scored)[:TELLING])


def _group(rows: Ints, terms: tuple[str, ...], reach: Ints, evidence: Evidence) -> Group:
    at = evidence.place[rows]
    targets = evidence.targets[at[at >= 0]]
    counted = len(targets)
    if counted >= LEAST_LABELS:
        sums = targets.sum(axis=0)
        best = int(sums.argmax())
        if sums[best] >= MAJORITY * counted:
            return Group(rows, terms, reach, best, counted, int(sums[best]))
    return Group(rows, terms, reach, None, counted, 0)
