from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from box_examples import LABELS as SHAPES
from box_examples import drawn, uri
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import tiny_bert

from adapter.errors import BackendError
from backends import detection_training, image_cnn_training, transformer
from backends.detection import Detection
from backends.image import Image
from backends.transformer import Transformer
from backends.warm import HELD, LEARNED, folds_on, held_on, mark, parts_as_arrays, parts_from, parts_of

KEYS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2)), min_size=1, max_size=60)


@given(KEYS, KEYS)
def test_what_was_learned_is_never_held_out_and_what_was_held_out_stays_so(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    def held(rows: list[tuple[int, int]], former: dict[int, int]) -> tuple[list[str], np.ndarray]:
        keys = [f"text {key}" for key, _ in rows]
        return keys, held_on(keys, [label for _, label in rows], former, 0.2)

    keys, out = held(first, {})
    parts = parts_of(keys, np.where(out, HELD, LEARNED).tolist(), {})
    both = [*first, *second]
    keys, out = held(both, parts)
    for key, apart in zip(keys, out, strict=True):
        if mark(key) in parts:
            assert apart == (parts[mark(key)] == HELD)
    assert len({(key, bool(apart)) for key, apart in zip(keys, out, strict=True)}) == len(set(keys))
    assert out.sum() == sum(bool(o) for o in out)
    distinct: dict[str, int] = {}
    for key, (_, label) in zip(keys, both, strict=True):
        distinct.setdefault(key, label)
    total = Counter(distinct.values())
    fresh = Counter(distinct[key] for key in {k for k, o in zip(keys, out, strict=True) if o and mark(k) not in parts})
    assert all(fresh[label] <= 0.2 * total[label] for label in total)


@given(KEYS, KEYS)
def test_folds_of_the_former_model_stay_and_new_ones_are_spread_evenly(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    def folds(rows: list[tuple[int, int]], former: dict[int, int]) -> tuple[list[str], list[int]]:
        keys = [f"image {key}" for key, _ in rows]
        return keys, folds_on(keys, [label for _, label in rows], former, 5)

    keys, numbers = folds(first, {})
    fold = dict(zip(keys, numbers, strict=True))
    assert [fold[key] for key in keys] == numbers, "equal keys share one"
    spread = Counter(fold.values())
    assert max(spread.values()) - min(spread[number] for number in range(5)) <= 3, "one a class"
    keys, later = folds([*first, *second], parts_of(keys, numbers, {}))
    assert all(number == fold[key] for key, number in zip(keys, later, strict=True) if key in fold)


def test_parts_survive_a_file_and_senseless_ones_are_refused() -> None:
    parts = parts_of(["a", "b", "\udcff"], [0, 1, 1], {2**64 - 1: 0})
    arrays = parts_as_arrays(parts)
    assert parts_from(arrays, 2) == parts
    assert parts_from({}, 2) == {}
    for damage in (
        {"seen.parts": arrays["seen.parts"][:2]},
        {"seen.parts": arrays["seen.parts"].astype(np.int64)},
        {"seen.marks": arrays["seen.marks"].astype(np.float32)},
        {"seen.parts": np.full(4, -1, np.int8)},
    ):
        with pytest.raises(ValueError, match="parts"):
            parts_from({**arrays, **damage}, 2)
    with pytest.raises(ValueError, match="range"):
        parts_from(arrays, 1)


def stripes(count: int, side: int = 12, seed: int = 0) -> tuple[list[dict[str, str]], np.ndarray]:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 90, (count, side, side, 3))
    labels = np.arange(count) % 3
    for picture, label in zip(pixels, labels, strict=True):
        picture[label * side // 3 : (label + 1) * side // 3] += 120
    return [{"image": uri(picture.astype(np.uint8))} for picture in pixels], labels


def texts(count: int) -> tuple[list[dict[str, str]], np.ndarray]:
    random = np.random.default_rng(0)
    sides = ("win a free phone now cash prize", "see you at dinner tonight meeting")
    rest = ["monday", "paris", "oslo", "cold", "warm", "here", "today"]
    labels = np.arange(count) % 2
    return [
        {"text": f"{sides[label]} {' '.join(random.choice(rest, 3))} {number}"} for number, label in enumerate(labels)
    ], labels


class Case:
    """One backend with examples to grow on. still: options with which a training changes nothing."""

    def __init__(self, module: Any, make: Any, examples: Sequence[Any], labels: Any, still: dict[str, Any]) -> None:
        self.module, self.make, self.examples, self.labels, self.still = module, make, examples, labels, still

    def fit(self, backend: Any, n: int) -> Any:
        ones = np.ones(n, np.float32)
        if isinstance(backend, Detection):
            backend.fit(self.examples[:n], self.labels[:n], labels=SHAPES, weights=ones, seed=0)
        else:
            targets = np.eye(int(self.labels.max()) + 1, dtype=np.float32)[self.labels[:n]]
            backend.fit(self.examples[:n], targets, weights=ones, multiple=False, seed=0)
        return backend

    def first(self, folder: Path, n: int = 0, **options: Any) -> Any:
        backend = self.fit(self.make(**options), n or len(self.examples) * 3 // 4)
        folder.mkdir()
        backend.save(folder)
        return backend

    def numbers(self, backend: Any) -> np.ndarray:
        return np.asarray(backend.embed(self.examples[-8:]))

    def parts(self, backend: Any) -> dict[int, int]:
        return dict(backend._net.parts if isinstance(backend, Image) else backend._parts)


@pytest.fixture(scope="module", params=["image", "transformer", "detection"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    if request.param == "image":

        def image(**options: Any) -> Image:
            return Image(("image",), **{"steps": 20, "augment": False, "warm_start": True, **options})

        return Case(image_cnn_training, image, *stripes(64), still={})
    if request.param == "transformer":
        model = str(tiny_bert(tmp_path_factory.mktemp("bert") / "model"))

        def tuned(**options: Any) -> Transformer:
            given = {"model": model, "epochs": 4, "learning_rate": 2e-3, "batch_size": 8, "warm_start": True}
            return Transformer(("text",), **{**given, **options})

        return Case(transformer, tuned, *texts(136), still={"learning_rate": 1e-12})

    def boxes(**options: Any) -> Detection:
        return Detection(("image",), **{"size": 64, "epochs": 6, "zoom": 0.0, "warm_start": True, **options})

    return Case(detection_training, boxes, *drawn(40), still={"learning_rate": 1e-12})


def test_a_fit_begins_near_the_former_model(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    former = case.first(tmp_path / "former")
    monkeypatch.setattr(case.module, "KEPT", 1.0)
    if case.module is image_cnn_training:
        monkeypatch.setattr(case.module, "RATE", 1e-12)
    again = case.make(**case.still)
    again.warm_start(tmp_path / "former")
    case.fit(again, len(case.examples) * 3 // 4)
    assert again.warm
    assert not former.warm
    assert np.allclose(case.numbers(again), case.numbers(former), atol=2e-3), "nothing shrunk, nothing learned"
    anew = case.fit(case.make(**case.still), len(case.examples) * 3 // 4)
    assert not np.allclose(case.numbers(anew), case.numbers(former), atol=0.05)


def test_what_was_held_out_is_held_out_again_when_examples_grow(case: Case, tmp_path: Path) -> None:
    former = case.first(tmp_path / "former")
    again = case.make()
    again.warm_start(tmp_path / "former")
    case.fit(again, len(case.examples))
    before, after = case.parts(former), case.parts(again)
    assert again.warm
    assert len(before) == len(case.examples) * 3 // 4
    assert len(after) == len(case.examples)
    assert before.items() <= after.items()
    assert HELD in [part for one, part in after.items() if one not in before]
    (tmp_path / "later").mkdir()
    again.save(tmp_path / "later")
    read = case.make()
    read.load(tmp_path / "later")
    assert case.parts(read) == after, "the next one is told of them all"
    assert np.allclose(case.numbers(read), case.numbers(again), atol=1e-5)


def test_fewer_rounds_are_enough(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []

    def count(where: Any, name: str, read: Any) -> None:
        true = getattr(where, name)

        def counted(*args: Any, **named: Any) -> Any:
            rounds.append(read(*args, **named))
            return true(*args, **named)

        monkeypatch.setattr(where, name, counted)

    if case.module is image_cnn_training:
        count(image_cnn_training._Trainer, "run", lambda self, rest, out, steps: steps)
    elif case.module is transformer:
        count(transformer, "fine_tune", lambda *args: args[6].epochs)
    else:
        count(detection_training, "_varied", lambda *args: 1)
    case.first(tmp_path / "former")
    cold = sum(rounds)
    rounds.clear()
    again = case.make()
    again.warm_start(tmp_path / "former")
    case.fit(again, len(case.examples) * 3 // 4)
    assert 0 < sum(rounds) < 0.7 * cold


def test_a_model_that_does_not_fit_is_passed_over(case: Case, tmp_path: Path) -> None:
    n = len(case.examples) * 3 // 4
    case.first(tmp_path / "former")
    fresh = case.numbers(case.fit(case.make(), n))
    (tmp_path / "empty").mkdir()
    small = {"n": 12} if case.module is not transformer else {"n": 60}
    case.first(tmp_path / "few", **small)  # which held nothing out
    damaged = tmp_path / "damaged"
    shutil.copytree(tmp_path / "former", damaged)
    about = json.loads((damaged / "backend.json").read_text())
    (damaged / "backend.json").write_text(json.dumps({**about, "head": 3, "encoder": [1], "sureness": "x"}))
    again = case.make()
    for place in ("nowhere", "empty", "few", "damaged"):
        again.warm_start(tmp_path / place)
        assert again._former is None, place
    case.fit(again, n)
    assert not again.warm
    assert np.array_equal(case.numbers(again), fresh)
    off = case.make(warm_start=False)
    off.warm_start(tmp_path / "former")
    assert off._former is None


def test_a_model_of_another_shape_is_passed_over(case: Case, tmp_path: Path) -> None:
    n = len(case.examples) * 3 // 4
    if case.module is transformer:
        case.first(tmp_path / "other", model=str(tiny_bert(tmp_path / "wide", hidden=16)))
    else:
        case.first(tmp_path / "other", size=32 if case.module is image_cnn_training else 96)
    again = case.make()
    again.warm_start(tmp_path / "other")
    case.fit(again, n)
    assert not again.warm
    assert np.array_equal(case.numbers(again), case.numbers(case.fit(case.make(), n)))


def test_images_with_other_labels_begin_anew(tmp_path: Path) -> None:
    examples, labels = stripes(60)
    former = Image(("image",), steps=20)
    former.fit(examples, np.eye(3, dtype=np.float32)[labels], weights=np.ones(60), multiple=False, seed=0)
    former.save(tmp_path)
    for targets, multiple in (
        (np.eye(4, dtype=np.float32)[labels], False),
        (np.eye(3, dtype=np.float32)[labels], True),
    ):
        again = Image(("image",), steps=20, warm_start=True)
        again.warm_start(tmp_path)
        again.fit(examples, targets, weights=np.ones(60), multiple=multiple, seed=0)
        assert not again.warm


def test_a_label_that_nobody_had_used_is_learned_near_a_former_net(tmp_path: Path) -> None:
    examples, labels = stripes(150)
    two = np.flatnonzero(labels < 2)
    former = Image(("image",), steps=60, augment=False)
    targets = np.eye(3, dtype=np.float32)[labels]
    former.fit([examples[row] for row in two], targets[two], weights=np.ones(len(two)), multiple=False, seed=0)
    former.save(tmp_path)
    again = Image(("image",), steps=120, augment=False, warm_start=True)
    again.warm_start(tmp_path)
    again.fit(examples, targets, weights=np.ones(150), multiple=False, seed=0)
    assert again.warm
    unseen, due = stripes(90, seed=5)
    assert (again.predict(unseen).argmax(axis=1) == due).mean() > 0.9


@pytest.mark.parametrize("factory", [Image, Transformer, Detection])
def test_the_option_is_true_or_false(factory: Any) -> None:
    with pytest.raises(BackendError, match="'warm_start' of") as caught:
        factory(("image",), warm_start="yes")
    assert "true or false" in str(caught.value)
