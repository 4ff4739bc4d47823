from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from box_examples import LABELS, box, drawn, ground, uri
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import BackendError
from adapter.testing_region_backends import CHECKS, RegionMaterial, f1
from backends.detection import Detection
from backends.detection_boxes import hits, overlaps, picture, region, strongest, truth, upright
from backends.detection_small import targets
from backends.detection_training import Sureness
from backends.images import ImageReader

BROKEN = {"image": "data:image/png;base64,AAAA"}


@cache
def material() -> RegionMaterial:
    examples, regions = drawn(24)
    empty = {"image": uri(ground(np.random.default_rng(9)))}
    options = {"size": 64, "epochs": 40, "zoom": 0.1}
    return RegionMaterial(Detection, ("image",), "boxes", LABELS, examples, regions, BROKEN, empty, options, 0.8)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_small_detector_keeps_the_contract(check: Callable[[RegionMaterial, Path], None], tmp_path: Path) -> None:
    check(material(), tmp_path)


def test_it_finds_boxes_on_images_that_it_has_not_seen() -> None:
    examples, regions = drawn(20, seed=7)
    one = material()
    unseen = RegionMaterial(Detection, ("image",), "boxes", LABELS, examples, regions, BROKEN, BROKEN)
    assert f1(unseen, one.shared().predict(examples)) > 0.7


def test_boxes_lie_on_the_image_as_a_browser_turns_it() -> None:
    examples, _ = drawn(1, seed=3, width=96, height=64)
    import base64
    import io

    from PIL import Image

    raw = base64.b64decode(examples[0]["image"].partition(",")[2])
    stored = Image.open(io.BytesIO(raw)).rotate(90, expand=True)  # on its side; tag 6 says: turn clockwise to see it
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    stored.save(stream, "PNG", exif=exif)
    turned = {"image": "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()}
    backend = material().shared()
    here, there = (backend.predict([one])[0] for one in (examples[0], turned))
    assert here
    assert here == there
    assert here[0]["envelope"] == {"original_width": 96, "original_height": 64, "image_rotation": 0}


def test_hostile_and_damaged_images_are_none_and_harm_no_other() -> None:
    examples, _ = drawn(2, seed=5)
    good = examples[0]["image"]
    hostile: list[dict[str, Any]] = [
        {},
        {"image": None},
        {"image": 7},
        {"image": ["x"]},
        {"image": "../../etc/passwd"},
        {"image": "http://example.org/a.png"},
        {"image": good[: len(good) // 2]},
        {"image": "data:image/png;base64,%%%"},
    ]
    backend = material().shared()
    answers = backend.predict([examples[0], *hostile, examples[1]])
    assert answers[0] == backend.predict(examples)[0]
    assert answers[-1] is not None
    assert answers[1:7] == [None] * 6
    vectors = backend.embed([*hostile[:6], examples[0]])
    assert vectors is not None
    assert not vectors[:6].any()
    none = backend.embed([{}])
    assert none is not None
    assert not none.any()


def test_senseless_regions_are_passed_over_in_training() -> None:
    examples, regions = drawn(22)
    junk: list[Any] = [
        {"labels": ["block"], "value": {"x": math.nan, "y": 1, "width": 3, "height": 3}},
        {"labels": ["block"], "value": {"x": 200, "y": 1, "width": 3, "height": 3}},
        {"labels": ["block"], "value": {"x": "1", "y": 1, "width": 3, "height": 3}},
        {"labels": ["block"], "value": {"x": 1, "y": 1, "width": -3, "height": 3}},
        {"labels": ["block"], "value": None},
        {"labels": ["other"], "value": {"x": 1, "y": 1, "width": 3, "height": 3}},
        {"labels": [], "value": {}},
        {},
    ]
    backends = []
    for more in ([], junk):
        backend = Detection(("image",), size=64, epochs=2)
        given_regions = [[*one, *more] for one in regions]
        backend.fit(examples, given_regions, labels=LABELS, weights=np.ones(22, np.float32), seed=0)
        backends.append(backend.predict(examples[:3]))
    assert backends[0] == backends[1]


def test_images_of_many_shapes_and_sizes_train_together() -> None:
    examples, regions = [], []
    for number, (width, height) in enumerate(((64, 64), (200, 90), (90, 300), (1200, 64), (70, 68))):
        some, boxes = drawn(2, number, width, height)
        examples += some
        regions += boxes
    backend = Detection(("image",), size=64, epochs=2, flips="both", batch_size=3)
    backend.fit(examples, regions, labels=LABELS, weights=np.linspace(0.5, 2, 10).astype(np.float32), seed=0)
    assert all(found is not None for found in backend.predict(examples))


def test_a_drawn_box_brings_up_those_that_look_like_it_without_any_training() -> None:
    random = np.random.default_rng(0)
    pixels = ground(random, 300, 200)
    places = [(20, 30), (120, 40), (220, 120), (60, 140)]
    for x, y in places:
        pixels[y : y + 24, x : x + 24] = (230, 40, 40)
        pixels[y + 6 : y + 18, x + 6 : x + 18] = (250, 250, 60)
    example = {"image": uri(pixels)}
    boxes = [box(x / 3, y / 2, 8, 12, "block") for x, y in places]
    backend = Detection(("image",), size=320)
    found = backend.suggest(example, boxes[:1], LABELS)
    centres = sorted((round(f["value"]["x"] * 3, -1), round(f["value"]["y"] * 2, -1)) for f in found)
    assert centres == sorted((float(x), float(y)) for x, y in places[1:])
    assert {tuple(one["labels"]) for one in found} == {("block",)}
    assert len(backend.suggest(example, boxes[1:3] + boxes[:1], LABELS)) == 1
    assert backend.suggest(example, [], LABELS) == []
    assert backend.suggest(example, [{"labels": ["unknown"], "value": boxes[0]["value"]}], LABELS) == []
    assert backend.suggest(example, [{"labels": ["block"], "value": {"x": "a"}}], LABELS) == []
    assert backend.suggest({"image": uri(np.full((50, 50, 3), 90, np.uint8))}, boxes[:1], LABELS) == []


def test_what_it_has_learned_is_suggested_beside_a_drawn_box() -> None:
    examples, regions = drawn(3, seed=11)
    backend = material().shared()
    for example, due in zip(examples, regions, strict=True):
        seen = backend.suggest(example, [], LABELS)
        assert {tuple(one["labels"]) for one in seen} <= {("block",), ("ring",)}
        rest = backend.suggest(example, due, LABELS)
        assert all(one["labels"] == due[-1]["labels"] for one in rest)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 32}, "size"),
        ({"flips": "vertical"}, "flips"),
        ({"zoom": 0.9}, "zoom"),
        ({"overlap": True}, "overlap"),
        ({"model": ""}, "model"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"device": "gpu"}, "device"),
        ({"epoch": 3}, "epochs"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BackendError, match=said) as caught:
        Detection(("image",), **options)
    assert caught.value.remedy


def test_what_does_not_fit_together_is_refused() -> None:
    examples, regions = drawn(3)
    ones = np.ones(3, np.float32)
    for wrong in (
        {"regions": regions[:2], "weights": ones},
        {"regions": regions, "weights": ones[:2]},
        {"regions": regions, "weights": ones * np.nan},
    ):
        with pytest.raises(BackendError) as caught:
            Detection(("image",), size=64).fit(examples, labels=LABELS, seed=0, **wrong)
        assert caught.value.remedy


percents = st.floats(0, 99)


@given(percents, percents, st.floats(0.1, 100), st.floats(0.1, 100), st.integers(3, 4000), st.integers(3, 4000))
def test_boxes_survive_the_way_to_pixels_and_back(
    x: float, y: float, width: float, height: float, wide: int, high: int
) -> None:
    value = {"x": x, "y": y, "width": min(width, 100 - x), "height": min(height, 100 - y), "rotation": 0}
    inner = (wide / 3, high / 3)
    pixels = upright(value, inner)
    assert pixels is not None
    made = region(np.asarray(pixels), "a", 0.5, inner, (wide, high))
    assert made is not None
    assert all(abs(made["value"][name] - value[name]) < 1e-3 for name in value)


def test_of_a_turned_box_the_upright_one_around_it_counts() -> None:
    quarter = upright({"x": 50, "y": 20, "width": 10, "height": 30, "rotation": 90}, (200.0, 100.0))
    assert quarter == pytest.approx((70.0, 20.0, 100.0, 40.0))


def test_boxes_and_labels_for_training_are_those_that_make_sense() -> None:
    boxes, labels = truth([box(0, 0, 50, 50, "ring"), box(90, 90, 50, 50, "block"), {}], LABELS, (64.0, 32.0))
    assert boxes.tolist() == [[0, 0, 32, 16], pytest.approx([57.6, 28.8, 64, 32])]
    assert labels.tolist() == [1, 0]


def test_of_overlapping_boxes_the_strongest_of_each_label_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [30, 30, 40, 40], [0, 0, 10, 10]], np.float32)
    scores = np.array([0.6, 0.9, 0.5, 0.8], np.float32)
    assert strongest(boxes, scores, np.array([0, 0, 0, 1]), 0.5).tolist() == [1, 3, 2]
    assert strongest(boxes, scores, np.array([0, 0, 0, 0]), 0.5).tolist() == [1, 2]
    assert strongest(boxes[:0], scores[:0], np.zeros(0, np.int64), 0.5).tolist() == []


def test_overlap_and_hits_are_those_of_pascal_voc() -> None:
    a = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    due = np.array([[0, 0, 10, 8], [20, 20, 31, 30]], np.float32)
    assert overlaps(a[:1], due)[0].tolist() == pytest.approx([0.8, 0.0])
    found, named = hits(a, np.array([0, 0, 1]), due, np.array([0, 0])), np.array([0, 0, 0])
    assert found.tolist() == [True, False, False]
    assert hits(a, named, due, named[:2]).tolist() == [True, False, True]


def test_the_target_is_one_at_each_middle_and_smaller_things_keep_their_places() -> None:
    boxes = np.array([[0, 0, 64, 64], [28, 28, 36, 36]], np.float32)
    heat, edges, held = targets(boxes, np.array([0, 1]), 2, (64, 64))
    assert heat.shape == (2, 16, 16)
    assert heat[0, 8, 8] == heat[1, 8, 8] == 1.0
    assert heat[0, 8, 12] > heat[1, 8, 12]
    assert edges[:, 8, 8].tolist() == [28, 28, 36, 36]
    assert held.sum() == 9


def test_scores_become_probabilities_in_order() -> None:
    scores = np.array([0.0, 0.1, 0.5, 1.0], np.float32)
    assert np.allclose(Sureness().of(scores), scores, atol=2e-4)
    said = Sureness(2.0, 1.0).of(scores)
    assert (np.diff(said) > 0).all()
    assert said[2] == pytest.approx(1 / (1 + math.exp(-1)))


def test_a_picture_keeps_its_proportions_and_is_filled_up() -> None:
    example, _ = drawn(1, width=200, height=80)
    seen = picture(example[0]["image"], 128, ImageReader())
    assert seen is not None
    assert seen.pixels.shape == (64, 128, 3)
    assert seen.inner == (128.0, 51.0)
    assert seen.original == (200, 80)
    assert (seen.pixels[52:] == 127).all()
