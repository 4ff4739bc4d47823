"""A text classifier on pairs of products, out of fold: the model whose opinion stands beside the crowd's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

FOLDS = 5
Doubles = np.ndarray[Any, np.dtype[np.float64]]


def features(pairs: Sequence[tuple[str, str]]) -> Doubles:
    """Return (t, 12) similarities of the two texts: TF-IDF cosines by words, by characters and by model numbers, shared
    model numbers, and some of their products."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    columns, rows = [], []
    for options in ({}, {"analyzer": "char_wb", "ngram_range": (3, 5)}, {"token_pattern": r"(?u)\b\w*\d\w*\b"}):
        tfidf = TfidfVectorizer(sublinear_tf=True, **options).fit(left + right)
        columns.append(np.asarray(tfidf.transform(left).multiply(tfidf.transform(right)).sum(axis=1)).ravel())
    for a, b in pairs:
        ours, theirs = _numbers(a), _numbers(b)
        shared = ours & theirs
        row = (
            len(shared),
            len(shared) / max(1, min(len(ours), len(theirs))),
            any(len(word) > 3 for word in shared),
            any(word in _plain(b) for word in ours if len(word) > 4),
            any(word in _plain(a) for word in theirs if len(word) > 4),
        )
        rows.append(row)
    cosines, numbers = np.stack(columns, axis=1), np.array(rows, np.float64)
    products = np.stack([cosines[:, 0] * numbers[:, 2], cosines[:, 1] * numbers[:, 4]], axis=1)
    return np.concatenate([cosines, numbers, cosines**2, products], axis=1)


def out_of_fold(x: Doubles, posterior: Doubles, *, seed: int) -> Doubles:
    """Return (t, k) probabilities of a logistic regression, each task scored by the one of FOLDS that did not learn
    from it. Learned from the consensus, weighted by its confidence; never from gold. NaN where the consensus holds one
    class alone, from which nothing can be learned."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    label, weight = posterior.argmax(axis=1), posterior.max(axis=1)
    out = np.full_like(posterior, np.nan)
    if np.bincount(label).max() > len(label) - FOLDS:
        return out
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, label):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
        model.fit(x[train], label[train], logisticregression__sample_weight=weight[train])
        out[test] = model.predict_proba(x[test])
    return out


def _plain(text: str) -> str:
    return re.sub(r"\W", "", text.lower())


def _numbers(text: str) -> set[str]:
    return {_plain(word) for word in text.split() if any(c.isdigit() for c in word)} - {""}
