"""Detectors of `transformers`, with tiny models of random weights that are built here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from box_examples import LABELS, drawn, ground, uri

from adapter.errors import BackendError, ModelError
from adapter.testing_region_backends import CHECKS, RegionMaterial, check_learns, check_unseen_label
from backends.detection import Detection


def yolos() -> Any:
    from transformers import YolosConfig, YolosForObjectDetection

    return YolosForObjectDetection(
        YolosConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            image_size=[64, 64],
            patch_size=16,
            num_detection_tokens=6,
            num_labels=5,
        )
    )


def rt_detr() -> Any:
    from transformers import RTDetrConfig, RTDetrForObjectDetection, RTDetrResNetConfig

    backbone = RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic", out_indices=[2, 3, 4]
    )
    return RTDetrForObjectDetection(
        RTDetrConfig(
            backbone_config=backbone,
            encoder_hidden_dim=32,
            encoder_in_channels=[16, 24, 32],
            encoder_ffn_dim=32,
            encoder_attention_heads=2,
            d_model=32,
            decoder_in_channels=[32, 32, 32],
            decoder_ffn_dim=32,
            decoder_layers=2,
            decoder_attention_heads=2,
            num_queries=10,
            num_denoising=4,
            num_labels=5,
        )
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import torch

    made = {}
    for name, build in (("yolos", yolos), ("rt_detr", rt_detr)):
        made[name] = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        build().save_pretrained(made[name])
    (made["yolos"] / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}), encoding="utf-8"
    )
    return made


@pytest.mark.parametrize("name", ["yolos", "rt_detr"])
@pytest.mark.parametrize(
    "check",
    [
        check for check in CHECKS if check not in (check_learns, check_unseen_label)
    ],  # two layers from scratch learn slowly
    ids=lambda check: check.__name__.removeprefix("check_"),
)
def test_detectors_of_transformers_keep_the_contract(
    name: str, check: Callable[[RegionMaterial, Path], None], folders: dict[str, Path], tmp_path: Path
) -> None:
    examples, regions = drawn(22)
    empty = {"image": uri(ground(np.random.default_rng(9)))}
    options = {"model": str(folders[name]), "size": 64, "epochs": 1}
    broken = {"image": "data:image/png;base64,AAAA"}
    check(RegionMaterial(Detection, ("image",), "boxes", LABELS, examples, regions, broken, empty, options), tmp_path)


def test_fine_tuning_lowers_the_loss_and_uses_the_weights(folders: dict[str, Path]) -> None:
    import torch

    from backends.detection_boxes import truth
    from backends.detection_models import pretrained
    from backends.detection_training import tensor

    examples, regions = drawn(12)
    losses = []
    for epochs in (1, 25):
        backend = Detection(("image",), model=str(folders["yolos"]), size=64, epochs=epochs, learning_rate=0.002)
        backend.fit(examples, regions, labels=LABELS, weights=np.ones(12, np.float32), seed=0)
        model = backend._model
        assert model is not None
        seen = [backend._picture(example) for example in examples]
        pictures = [one for one in seen if one is not None]
        truths = [truth(due, LABELS, one.inner) for due, one in zip(regions, pictures, strict=True)]
        with torch.inference_mode():
            images = tensor(pictures, "cpu")
            even = float(model.loss(images, truths, [1.0] * 12))
            each = [float(model.loss(images[row : row + 1], truths[row : row + 1], [1.0])) for row in range(12)]
            uneven = float(model.loss(images, truths, [2.0] + [1.0] * 11))
            assert uneven == pytest.approx((sum(each) + each[0]) / 12, rel=1e-4)
        losses.append(even)
    assert losses[1] < 0.8 * losses[0]
    assert pretrained(str(folders["yolos"]), 2, "cpu").mean == (0.5, 0.5, 0.5)
    assert pretrained(str(folders["rt_detr"]), 2, "cpu").mean == (0.485, 0.456, 0.406)


def test_a_saved_detector_needs_its_first_folder_no_more(folders: dict[str, Path], tmp_path: Path) -> None:
    examples, regions = drawn(4)
    backend = Detection(("image",), model=str(folders["yolos"]), size=64, epochs=1)
    backend.fit(examples, regions, labels=LABELS, weights=np.ones(4, np.float32), seed=0)
    backend.save(tmp_path)
    assert str(folders["yolos"]) not in (tmp_path / "backend.json").read_text(encoding="utf-8")
    loaded = Detection(("image",), model="/gone", size=96)
    loaded.load(tmp_path)
    assert loaded.predict(examples) == backend.predict(examples)
    with pytest.raises(ModelError, match="another kind"):
        Detection(("image",)).load(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", '{"model_type": "bert"}', '{"model_type": "no-such"}'])
def test_folders_that_hold_no_detector_are_refused_with_advice(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    examples, regions = drawn(2)
    with pytest.raises(BackendError, match="cannot be loaded") as caught:
        Detection(("image",), model=str(tmp_path), size=64).fit(
            examples, regions, labels=LABELS, weights=np.ones(2, np.float32), seed=0
        )
    assert "small" in caught.value.remedy
