from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import BackendError
from backends.head import fit_head
from backends.linear import Linear
from backends.terms import MARK, Terms, char_terms, word_terms
from backends.text import text_of

WORDS = ["free", "prize", "hello", "hi", "a", "I'm", "£100", "www.x.com", "ünïcode", "日本", "!!!", "1st", "x_y"]
texts = st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=8).map(" ".join)


@given(st.lists(texts, min_size=2, max_size=6), st.lists(texts, max_size=4), st.sampled_from([(1, 1), (1, 2), (2, 3)]))
@settings(max_examples=60, deadline=None)
def test_the_lean_path_is_scikit_learns_tfidf(known: list[str], new: list[str], ngrams: tuple[int, int]) -> None:
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    words = CountVectorizer(token_pattern=r"(?u)\w+", ngram_range=ngrams).build_analyzer()
    chars = CountVectorizer(analyzer="char_wb", ngram_range=(2, 4)).build_analyzer()
    reference = TfidfVectorizer(
        analyzer=lambda text: words(text) + [MARK + term for term in chars(text)], sublinear_tf=True
    )
    wanted = reference.fit_transform(["anchor one two", *known])
    terms, matrix = Terms.fit(["anchor one two", *known], 10_000, ngrams, (2, 4))
    assert terms.vocabulary == reference.get_feature_names_out().tolist()
    assert abs(matrix - wanted).max() < 1e-12
    for text in [*known, *new]:
        columns, values = terms.transform(text)
        dense = np.zeros(len(terms.vocabulary))
        dense[columns] = values
        assert np.allclose(dense, reference.transform([text]).toarray()[0], atol=1e-6)


def test_terms_by_hand() -> None:
    assert word_terms("Free PRIZE, now", (1, 2)) == ["free", "prize", "now", "free prize", "prize now"]
    assert char_terms("ab", (2, 4)) == [MARK + term for term in (" a", "ab", "b ", " ab", "ab ", " ab ")]
    assert char_terms("a", (2, 4)) == [MARK + term for term in (" a", "a ", " a ")]
    assert char_terms("ab", (0, 0)) == []


def test_the_head_is_scikit_learns_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    features, labels = random.normal(size=(30, 5)), random.integers(0, 3, 30)
    weights = random.uniform(0.5, 2.0, 30)
    head = fit_head(
        features, np.eye(3)[labels], weights, multiple=False, c=0.7, keys=[str(i) for i in range(30)], seed=0
    )
    reference = LogisticRegression(C=0.7, tol=1e-8, max_iter=2000).fit(features, labels, sample_weight=weights)
    assert head.temperature == 1.0
    assert np.allclose(head.predict(features), reference.predict_proba(features), atol=2e-3)


def test_the_short_way_through_the_examples_span_gives_the_same() -> None:
    from backends.head import _descend, _solve

    random = np.random.default_rng(1)
    features, targets = random.normal(size=(12, 40)), np.eye(3)[random.integers(0, 3, 12)]
    short, long = (solve(features, targets, np.ones(12), False, 1.0) for solve in (_solve, _descend))
    assert np.allclose(features @ short[0] + short[1], features @ long[0] + long[1], atol=5e-3)


def test_soft_targets_are_copies_of_examples_with_split_weights() -> None:
    random = np.random.default_rng(2)
    features = random.normal(size=(20, 4))
    soft = random.dirichlet([1, 1, 1], 20)
    keys = [str(i) for i in range(20)]
    head = fit_head(features, soft, np.ones(20), multiple=False, c=1.0, keys=keys, seed=0)
    copies = fit_head(
        np.repeat(features, 3, axis=0),
        np.tile(np.eye(3), (20, 1)),
        soft.ravel(),
        multiple=False,
        c=1.0,
        keys=[key for key in keys for _ in range(3)],
        seed=0,
    )
    assert np.allclose(head.predict(features), copies.predict(features), atol=1e-3)


def test_calibration_takes_back_confidence_that_is_not_deserved() -> None:
    random = np.random.default_rng(3)
    features = random.normal(size=(300, 60))
    labels = (features[:, 0] + random.normal(size=300) * 3 > 0).astype(int)
    train, test = slice(0, 150), slice(150, 300)
    loss = {}
    for name, keys in (("calibrated", [str(i) for i in range(150)]), ("not", ["same"] * 150)):
        head = fit_head(
            features[train], np.eye(2)[labels[train]], np.ones(150), multiple=False, c=100.0, keys=keys, seed=0
        )
        loss[name] = -np.log(head.predict(features[test])[np.arange(150), labels[test]]).mean()
    assert loss["calibrated"] < 0.7 * loss["not"]
    assert loss["calibrated"] < 0.9


def linear() -> Linear:
    examples = [{"text": f"{word} {n}"} for n in range(10) for word in ("win a free prize", "see you at dinner")]
    backend = Linear(("text",))
    backend.fit(
        examples,
        np.eye(2, dtype=np.float32)[[0, 1] * 10],
        weights=np.ones(20, np.float32),
        multiple=False,
        seed=0,
    )
    return backend


def test_an_unknown_text_gets_the_prior_and_an_absent_one_none() -> None:
    answers = linear().predict([{"text": ""}, {"text": "☃"}, {"other": "x"}, {"text": None}])
    assert np.allclose(answers[:2], 0.5, atol=0.1)
    assert np.isnan(answers[2:]).all()


@given(st.text(max_size=200) | st.none() | st.integers() | st.lists(st.text(max_size=3), max_size=3))
@settings(max_examples=50, deadline=None)
def test_any_value_is_answered(value: object) -> None:
    answers = LINEAR.predict([{"text": value}])
    assert answers.shape == (1, 2)
    assert np.isnan(answers).all() == (value is None)


LINEAR = linear()


def test_hostile_texts_cost_little() -> None:
    started = time.perf_counter()
    LINEAR.predict([{"text": "x" * 10_000_000}, {"text": "a b " * 2_000_000}, {"text": "\ud800"}])
    assert time.perf_counter() - started < 10.0  # quadratic work would take minutes


def test_asking_needs_no_scikit_learn(tmp_path: object) -> None:
    import subprocess
    import sys
    from pathlib import Path

    folder = Path(str(tmp_path))
    LINEAR.save(folder)
    code = (
        "import sys, pathlib; from backends.linear import Linear; b = Linear(('text',)); "
        f"b.load(pathlib.Path({str(folder)!r})); b.predict([{{'text': 'free prize'}}]); b.embed([{{'text': 'free'}}]); "
        "print([m for m in ('sklearn', 'scipy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"max_feature": 3}, "Did you mean 'max_features'"),
        ({"c": 0}, "above 0"),
        ({"c": "much"}, "above 0"),
        ({"ngrams": [2, 1]}, "shortest and longest"),
        ({"chars": 3}, "for none"),
        ({"max_features": 1.5}, "whole number"),
        ({"dimensions": True}, "whole number"),
    ],
)
def test_senseless_options_are_advised(options: dict[str, object], advice: str) -> None:
    with pytest.raises(BackendError) as caught:
        Linear(("text",), **options)  # type: ignore[arg-type]
    assert advice in str(caught.value)


@pytest.mark.parametrize("fields", ["text", ()])
def test_fields_are_a_tuple_of_names(fields: tuple[str, ...]) -> None:
    with pytest.raises(BackendError, match="tuple"):
        Linear(fields)


def test_texts_without_a_word_are_an_error_with_advice() -> None:
    with pytest.raises(BackendError, match="hold no word"):
        Linear(("text",)).fit(
            [{"text": " "}, {"text": ""}],
            np.eye(2, dtype=np.float32),
            weights=np.ones(2, np.float32),
            multiple=False,
            seed=0,
        )


def test_fields_are_joined_and_odd_values_are_their_json() -> None:
    assert text_of({"a": "x", "b": "y", "c": None}, ("a", "b", "c", "d")) == "x\ny"
    assert text_of({"a": {"k": [1]}}, ("a",)) == json.dumps({"k": [1]})
    assert text_of({"a": None}, ("a",)) is None
    assert text_of({"a": "\ud800x"}, ("a",)) == "?x"


def test_near_means_alike_in_the_embedding() -> None:
    vectors = LINEAR.embed([{"text": "win a free prize"}, {"text": "a free prize"}, {"text": "see you at dinner"}])
    assert vectors[0] @ vectors[1] > 0.8
    assert vectors[0] @ vectors[2] < 0.3
