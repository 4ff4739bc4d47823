"""Pretrained dual encoders and cross-encoders, with tiny models of random weights that are built here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pair_examples import captioned, texts

from adapter.errors import BackendError, ModelError
from adapter.testing_backends import CHECKS, Material
from backends.pairs import Pairs

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
VOCABULARY = [*SPECIAL, "a", "the", "one", "red", "green", "blue", "black", "square", "something", "of", "thing"]


def tokenizer_files(folder: Path, words: list[str]) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    folder = tmp_path_factory.mktemp("clip")
    tokenizer_files(folder, VOCABULARY)
    layer = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={
            **layer,
            "vocab_size": len(VOCABULARY),
            "max_position_embeddings": 16,
            "eos_token_id": 3,
            "bos_token_id": 2,
        },
        vision_config={**layer, "image_size": 16, "patch_size": 8},
        projection_dim=24,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    words = sorted({word for pair in texts()[0] for side in pair.values() for word in side.replace(",", " ,").split()})
    tokenizer_files(folder, [*SPECIAL, *words])
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=4 + len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48
    )
    BertModel(config).save_pretrained(folder)
    return folder


def clip_material(folder: Path) -> Material:
    images, wrong = captioned(40, 0.5, 0)
    broken = {"image": "data:image/png;base64,AAAA", "caption": "a red square"}
    options = {"model": str(folder), "c": 1000.0}
    return Material(Pairs, ("image", "caption"), images, wrong.astype(int).tolist(), broken, options)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_a_clip_like_model_keeps_the_contract(
    check: Callable[[Material, Path], None], clip_folder: Path, tmp_path: Path
) -> None:
    check(clip_material(clip_folder), tmp_path)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_a_cross_encoder_keeps_the_contract(
    check: Callable[[Material, Path], None], bert_folder: Path, tmp_path: Path
) -> None:
    examples, labels = texts()
    for example, label in zip(examples, labels, strict=True):  # two layers from scratch learn words, not likeness
        example["b"] += " number" if label else ""
    options = {
        "model": str(bert_folder),
        "encoder": "cross",
        "epochs": 15,
        "learning_rate": 0.003,
        "max_tokens": 24,
        "batch_size": 8,
    }
    check(Material(Pairs, ("a", "b"), examples, labels, {"a": "only one part"}, options), tmp_path)


def test_clip_alignment_is_its_cosine_against_other_partners(clip_folder: Path) -> None:
    examples, _ = captioned(30, 0.1, 3)
    pairs = Pairs(("image", "caption"), model=str(clip_folder))
    scores = pairs.alignment(examples)
    assert np.isfinite(scores).all()
    vectors = pairs.embed(examples)
    assert vectors is not None
    assert vectors.shape == (30, 48)
    u, v = vectors[:, :24] * np.sqrt(2), vectors[:, 24:] * np.sqrt(2)
    logits = np.exp(2.6592) * (u @ v.T)  # CLIP's own scale at the start of its training
    of_right = np.log(np.exp(logits).mean(axis=1))
    of_left = np.log(np.exp(logits).mean(axis=0))
    expected = 1 / (1 + np.exp(-(np.diag(logits) - (of_right + of_left) / 2)))
    assert np.allclose(scores, expected, atol=1e-3)


def test_another_pretrained_model_than_before_is_told(clip_folder: Path, tmp_path: Path) -> None:
    pairs = clip_material(clip_folder).fitted()
    (tmp_path / "m").mkdir()
    pairs.save(tmp_path / "m")
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in clip_folder.iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    same = Pairs(("image", "caption"), model=str(moved))
    same.load(tmp_path / "m")
    from safetensors.numpy import load_file, save_file

    weights = load_file(moved / "model.safetensors")
    save_file(
        {name: np.asarray(array + 0.1) for name, array in weights.items()},
        moved / "model.safetensors",
        {"format": "pt"},
    )
    other = tmp_path / "other"
    moved.rename(other)
    with pytest.raises(ModelError, match="another encoder"):
        Pairs(("image", "caption"), model=str(other)).load(tmp_path / "m")


def test_a_folder_without_weights_is_refused_with_advice(clip_folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((clip_folder / name).read_bytes())
    examples, _ = captioned(4, 0.5, 0)
    with pytest.raises(BackendError, match="cannot be loaded") as caught:
        Pairs(("image", "caption"), model=str(tmp_path)).alignment(examples)
    assert caught.value.remedy


def test_a_cross_encoder_is_saved_without_places_of_this_machine(bert_folder: Path, tmp_path: Path) -> None:
    examples, labels = texts()
    pairs = Pairs(("a", "b"), model=str(bert_folder), encoder="cross", epochs=1, labels=("match", "other"))
    targets = np.eye(2, dtype=np.float32)[labels]
    pairs.fit(examples, targets, weights=np.ones(len(labels), np.float32), multiple=False, seed=0)
    assert np.allclose(pairs.alignment(examples), pairs.predict(examples)[:, 0])
    pairs.save(tmp_path)
    assert str(bert_folder) not in (tmp_path / "backend.json").read_text(encoding="utf-8")
    meta = json.loads((tmp_path / "backend.json").read_text(encoding="utf-8"))
    assert meta["config"]["model_type"] == "bert"
    loaded = Pairs(("a", "b"), encoder="cross", model="/gone")
    loaded.load(tmp_path)
    assert np.allclose(loaded.predict(examples), pairs.predict(examples), atol=1e-6)
