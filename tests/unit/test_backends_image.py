from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PIL

from adapter.errors import BackendError, ModelError
from adapter.testing_backends import CHECKS, Material
from backends import image as room
from backends.image import Image
from backends.image_encoder import Preparation, VisionEncoder, vision_encoder
from backends.vectors import Remembered

VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def uri(pixels: np.ndarray) -> str:
    stream = io.BytesIO()
    PIL.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def stripes(count: int, side: int = 12) -> tuple[list[dict[str, str]], list[int]]:
    random = np.random.default_rng(0)
    examples, labels = [], []
    for number in range(count):
        label = number % 3
        pixels = random.integers(0, 60, (side, side))
        pixels[label * side // 3 : (label + 1) * side // 3] += 180
        examples.append({"image": uri(pixels)})
        labels.append(label)
    return examples, labels


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny vision transformer with random weights."""
    import torch
    from transformers import ViTConfig, ViTModel

    folder = tmp_path_factory.mktemp("vit")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ViTModel(ViTConfig(image_size=24, patch_size=4, **VIT)).save_pretrained(folder)
    config = {"do_resize": True, "size": {"height": 24, "width": 24}, "resample": 2, "do_rescale": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(config | {"do_normalize": True}), encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize("model", ["cnn", "vit"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_it_keeps_the_contract(
    model: str, check: Callable[[Material, Path], None], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    options: dict[str, Any] = {"model": model if model == "cnn" else request.getfixturevalue("vit")}
    options |= {"steps": 20} if model == "cnn" else {"c": 100.0}
    examples, labels = stripes(42)
    check(Material(Image, ("image",), examples, labels, {"image": "data:image/png;base64,AAAA"}, options), tmp_path)


def digits(count: int) -> tuple[list[dict[str, str]], np.ndarray]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))[:count]
    return [{"image": uri(image.reshape(8, 8) * 15)} for image in images[order]], labels[order]


def test_real_digits_are_told_apart_by_a_net_from_scratch() -> None:
    examples, labels = digits(900)
    net = Image(("image",))
    ones = np.ones(200, np.float32)
    net.fit(examples[:200], np.eye(10, dtype=np.float32)[labels[:200]], weights=ones, multiple=False, seed=0)
    answers = net.predict(examples[200:])
    right = answers.argmax(axis=1) == labels[200:]
    assert right.mean() > 0.93
    assert abs(answers.max(axis=1).mean() - right.mean()) < 0.06
    vectors = net.embed(examples[:200])
    likeness = vectors @ vectors.T
    same = labels[:200, None] == labels[:200]
    assert likeness[same].mean() > likeness[~same].mean() + 0.4
    assert (likeness[same & ~np.eye(200, dtype=bool)] > 0.95).mean() < 0.05  # of one class is no near duplicate


def test_before_a_fit_images_that_look_alike_are_near() -> None:
    examples, _ = stripes(6)
    red, blue = np.zeros((20, 20, 3)), np.zeros((20, 20, 3))
    red[..., 0], blue[..., 2] = 200, 200
    vectors = Image(("image",)).embed([*examples, {"image": uri(red)}, {"image": uri(blue)}])
    assert vectors[0] @ vectors[3] > 0.9 > 0.5 > vectors[0] @ vectors[1]
    assert vectors[-1] @ vectors[-2] < 0


def test_colours_count() -> None:
    random = np.random.default_rng(0)
    examples, labels = [], np.arange(60) % 2
    for label in labels:
        pixels = np.full((40, 40, 3), 100.0) + random.normal(0, 5, (40, 40, 3))
        pixels[..., 0 if label else 2] += 60
        examples.append({"image": uri(pixels)})
    net = Image(("image",), steps=40)
    net.fit(examples, np.eye(2, dtype=np.float32)[labels], weights=np.ones(60, np.float32), multiple=False, seed=0)
    assert (net.predict(examples).argmax(axis=1) == labels).all()
    assert net._net is not None
    assert net._net.shape == (3, 64)


@pytest.mark.parametrize("kind", ["vit", "clip", "convnext", "crop", "dinov2"])
def test_images_are_prepared_as_the_models_own_processor_does(kind: str) -> None:
    from transformers import AutoImageProcessor  # noqa: F401 - loads the module that the next line looks in
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    size = {"shortest_edge": 40}
    theirs: Any = {
        "vit": lambda: ViTImageProcessorPil(size={"height": 32, "width": 40}),
        "clip": lambda: CLIPImageProcessorPil(size=size, crop_size={"height": 40, "width": 40}),
        "convnext": lambda: ConvNextImageProcessorPil(size=size, crop_pct=0.8),
        "crop": lambda: CLIPImageProcessorPil(size=size, crop_size={"height": 56, "width": 30}),
        "dinov2": lambda: CLIPImageProcessorPil(size=size, crop_size={"height": 32, "width": 32}, resample=3),
    }[kind]()
    config = json.loads(theirs.to_json_string())
    config["image_processor_type"] = type(theirs).__name__
    ours = Preparation.of(config, 224)
    random = np.random.default_rng(0)
    for shape in ((50, 70, 3), (71, 50, 3), (20, 21, 3)):
        picture = PIL.fromarray(random.integers(0, 256, shape).astype(np.uint8))
        due = np.asarray(theirs(picture, return_tensors="np")["pixel_values"][0])
        assert ours.apply(picture).shape == due.shape
        assert np.abs(ours.apply(picture) - due).max() < 1e-5


def test_old_ways_to_write_a_size_are_understood() -> None:
    assert Preparation.of({"size": 30}, 224).height == 30
    old = Preparation.of({"size": 30, "crop_size": 20, "do_center_crop": True}, 224)
    assert (old.shortest, old.height, old.width) == (30, 20, 20)
    assert Preparation.of({}, 48).width == 48
    assert Preparation.of({"do_normalize": False, "do_rescale": False}, 8).deviation == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="side"):
        Preparation.of({"size": 10**9}, 224)


@pytest.mark.parametrize("kind", ["clip", "convnext", "dinov2"])
def test_other_kinds_of_vision_models_are_read(kind: str, tmp_path: Path) -> None:
    import transformers as t

    text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**VIT, "image_size": 16, "patch_size": 4}
    model: Any = {
        "clip": lambda: t.CLIPModel(
            t.CLIPConfig(text_config={**text, "vocab_size": 50}, vision_config=vision, projection_dim=12)
        ),
        "convnext": lambda: t.ConvNextModel(t.ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1])),
        "dinov2": lambda: t.Dinov2Model(t.Dinov2Config(**{**vision, "mlp_ratio": 2})),
    }[kind]()
    model.save_pretrained(tmp_path)
    if kind == "convnext":
        (tmp_path / "preprocessor_config.json").write_text('{"size": {"shortest_edge": 32}}', encoding="utf-8")
    backend = Image(("image",), model=str(tmp_path))
    examples, _ = stripes(3, 20)
    vectors = backend.embed(examples)
    assert vectors.shape == (3, {"clip": 12, "convnext": 20, "dinov2": 64}[kind])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-4)


def test_an_image_is_encoded_once(vit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0
    whole = VisionEncoder.encode

    def counting(self: VisionEncoder, pixels: np.ndarray, threads: int) -> np.ndarray:
        nonlocal count
        count += len(pixels)
        return whole(self, pixels, threads)

    vision_encoder(vit, "cpu")
    monkeypatch.setattr(VisionEncoder, "encode", counting)
    monkeypatch.setattr(room, "_vectors", Remembered())
    examples, _ = stripes(5)
    first = Image(("image",), model=vit, cache_folder=str(tmp_path), device="cpu").embed([*examples, examples[0]])
    assert count == 5
    monkeypatch.setattr(room, "_vectors", Remembered())
    room.vector_folder.cache_clear()  # as another process would
    again = Image(("image",), model=vit, cache_folder=str(tmp_path), device="cpu", batch_size=2).embed(examples)
    assert count == 5
    assert np.allclose(first[:5], again)


def test_models_are_not_mixed_up(vit: str, tmp_path: Path) -> None:
    examples, labels = stripes(12)
    targets, ones = np.eye(3, dtype=np.float32)[labels], np.ones(12, np.float32)
    pretrained, net = Image(("image",), model=vit), Image(("image",), steps=2)
    for name, backend in (("a", pretrained), ("b", net)):
        backend.fit(examples, targets, weights=ones, multiple=False, seed=0)
        (tmp_path / name).mkdir()
        backend.save(tmp_path / name)
    with pytest.raises(ModelError, match="another `model`"):
        Image(("image",)).load(tmp_path / "a")
    with pytest.raises(ModelError, match="another `model`"):
        Image(("image",), model=vit).load(tmp_path / "b")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vision_encoder(vit, "cpu"), "identity", "another")
        with pytest.raises(ModelError, match="another vision model"):
            Image(("image",), model=vit, device="cpu").load(tmp_path / "a")


def test_options_are_checked() -> None:
    for options, message in (
        ({"sise": 3}, "Did you mean 'size'"),
        ({"size": 20}, "multiple of 16"),
        ({"device": "cud"}, "Did you mean 'cuda'"),
        ({"model": ""}, "'model'"),
        ({"threads": -1}, "whole number"),
    ):
        with pytest.raises(BackendError, match=message):
            Image(("image",), **options)  # type: ignore[arg-type]
    with pytest.raises(BackendError, match="local hub cache"):
        Image(("image",), model="no-such-owner/no-such-model").embed([{"image": uri(np.zeros((4, 4)))}])
