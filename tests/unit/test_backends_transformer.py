from __future__ import annotations

import gc
import hashlib
import json
import random
import shutil
import socket
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from tiny_models import tiny_bert, tiny_roberta
from transformers import AutoModel, AutoTokenizer

from adapter.errors import BackendError, ModelError
from adapter.testing_backends import CHECKS, Material
from backends import transformer_encoder
from backends.head import Head
from backends.transformer import Transformer
from backends.transformer_options import TuningOptions
from backends.transformer_tops import Top
from backends.transformer_training import bucketed, held_rows, sliced

SPAM = ["win a free phone now", "free cash prize click", "claim your free voucher today", "cheap pills free delivery"]
HAM = [
    "see you at dinner tonight",
    "the meeting moved to monday",
    "thanks for the lovely evening",
    "call your mother please",
]
EXAMPLES = [{"text": f"{text} {word}"} for word in ("ok", "hi", "so", "well", "oh", "yes") for text in SPAM + HAM]
LABELS = [0, 0, 0, 0, 1, 1, 1, 1] * 6
FAST = {"epochs": 6, "learning_rate": 2e-3, "batch_size": 8}


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_bert(tmp_path_factory.mktemp("bert") / "model"))


@cache
def material(model: str) -> Material:
    return Material(Transformer, ("text",), EXAMPLES, LABELS, unreadable={"other": 1}, options={"model": model, **FAST})


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_transformer_keeps_the_contract(
    model: str, check: Callable[[Material, Path], None], tmp_path: Path
) -> None:
    check(material(model), tmp_path)


def one_hot(labels: list[int], k: int = 2) -> np.ndarray:
    return np.eye(k, dtype=np.float32)[labels]


def many(n: int, *, noise: float = 0.0) -> tuple[list[dict[str, str]], list[int]]:
    """Distinct texts of two classes; a share of the labels turned round."""
    dice = random.Random(0)
    words = f"{SPAM[0]} {HAM[0]} monday paris oslo cold warm here today".split()
    texts, labels = [], []
    for number in range(n):
        base = (SPAM if number % 2 else HAM)[number // 2 % 4]
        texts.append({"text": f"{base} {' '.join(dice.choices(words, k=4))} {number}"})
        labels.append(number % 2 if dice.random() >= noise else 1 - number % 2)
    return texts, labels


def fitted(model: str, texts: list[dict[str, str]], targets: np.ndarray, **options: Any) -> Transformer:
    multiple = bool(options.pop("multiple", False))
    backend = Transformer(("text",), **{"model": model, **FAST, **options})
    backend.fit(texts, targets, weights=np.ones(len(texts), np.float32), multiple=multiple, seed=1)
    return backend


def test_few_examples_are_seen_many_times_and_none_is_held_out(model: str) -> None:
    backend = fitted(model, EXAMPLES, one_hot(LABELS), epochs=0, batch_size=16)
    assert backend.tuned is not None
    assert backend.tuned.epochs == backend.tuned.best == 30
    assert backend.tuned.losses == ()


def test_training_stops_when_held_out_examples_get_worse_and_the_best_weights_stay(model: str) -> None:
    texts, labels = many(120, noise=0.3)
    backend = fitted(model, texts, one_hot(labels), epochs=40, patience=2)
    tuned = backend.tuned
    assert tuned is not None
    assert tuned.epochs < 40, "a third of the labels is noise: it must stop"
    assert tuned.best == int(np.argmin(tuned.losses))
    assert len(tuned.losses) == tuned.epochs + 1
    held = held_rows([one["text"] for one in texts], labels, 1)
    chances = backend.predict([one for one, out in zip(texts, held, strict=True) if out])
    due = np.asarray(labels)[held]
    loss = -np.log(chances[np.arange(len(due)), due]).mean()
    assert loss <= tuned.losses[tuned.best] + 1e-3, "the temperature can only lower the held-out loss"


def test_what_is_held_out_keeps_duplicates_together_and_spares_rare_labels() -> None:
    keys = [f"text {number // 2}" for number in range(400)]
    labels = [number // 2 % 2 for number in range(396)] + [7] * 4
    held = held_rows(keys, labels, 3)
    assert 30 <= held.sum() <= 50
    assert all(held[row] == held[row + 1] for row in range(0, 400, 2))
    assert not held[396:].any()
    assert (held == held_rows(keys, labels, 3)).all()
    assert (held != held_rows(keys, labels, 4)).any()
    assert not held_rows(keys[:150], labels[:150], 3).any(), "75 texts are too few"


def test_a_duplicate_of_what_is_learned_is_never_held_out() -> None:
    keys = [f"text {number}" for number in range(150)] * 2
    labels = [0] * 150 + [0] * 145 + [5] * 5  # the twins of the last five have a rare label
    held = held_rows(keys, labels, 0)
    assert held.any()
    assert not held[145:150].any()
    assert {keys[row] for row in np.flatnonzero(held)}.isdisjoint(keys[row] for row in np.flatnonzero(~held))


def test_soft_targets_are_told_again(model: str) -> None:
    soft = np.where(np.asarray(LABELS)[:, None] == 0, [[0.7, 0.3]], [[0.2, 0.8]]).astype(np.float32)
    answers = fitted(model, EXAMPLES, soft, epochs=20).predict(EXAMPLES)
    assert np.allclose(answers, soft, atol=0.12)


def test_a_heavier_example_wins_where_two_differ(model: str) -> None:
    texts = EXAMPLES + [EXAMPLES[0]] * 2
    targets = np.concatenate([one_hot(LABELS), one_hot([1, 1])])
    weights = np.ones(len(texts), np.float32)
    weights[-2:] = 20.0
    backend = Transformer(("text",), model=model, **{**FAST, "epochs": 15})
    backend.fit(texts, targets, weights=weights, multiple=False, seed=0)
    assert backend.predict(EXAMPLES[:1])[0].argmax() == 1


def test_several_labels_at_once(model: str) -> None:
    both = np.stack([np.asarray(LABELS) == 0, ["call" in one["text"] for one in EXAMPLES]], axis=1).astype(np.float32)
    answers = fitted(model, EXAMPLES, both, multiple=True, epochs=15, class_weight="balanced").predict(EXAMPLES)
    assert ((answers > 0.5) == (both > 0.5)).mean() > 0.95
    assert answers.sum(axis=1).max() > 1.2 or answers.sum(axis=1).min() < 0.8, "rows need not sum to 1"


def test_balanced_weights_pull_but_do_not_bend_probabilities(model: str) -> None:
    head = Head(np.zeros((4, 2), np.float32), np.log([0.9, 0.1]).astype(np.float32), np.zeros(2, bool), 0.0, False, 1.0)
    top = Top(head, head, np.asarray([90.0, 10.0]), 100.0, True, "cpu")
    assert top.pull == pytest.approx([100 / 180, 5.0])
    same = top.head(np.zeros((0, 4)), np.zeros((0, 2)), np.zeros(0))
    assert same.predict(np.zeros((1, 4)))[0] == pytest.approx([0.9, 0.1], abs=1e-6)
    features, targets = torch.zeros((2, 4)), np.asarray([[0.9, 0.1], [0.9, 0.1]])
    loss = top.loss(features, targets, np.ones(2))
    loss.backward()
    assert top.layer.bias.grad.abs().max() < 1e-6, "where the data say 9 to 1, it is at rest"


def test_a_rare_label_is_not_drowned(model: str) -> None:
    texts = EXAMPLES[:4] + [one for one, label in zip(EXAMPLES, LABELS, strict=True) if label == 1] * 2
    labels = [0] * 4 + [1] * (len(texts) - 4)
    answers = fitted(model, texts, one_hot(labels), class_weight="balanced", epochs=15).predict(texts)
    assert (answers.argmax(axis=1) == labels).all()


def test_accumulated_batches_make_the_same_steps_as_large_ones(model: str) -> None:
    steps: list[tuple[int, int]] = []
    backend = Transformer(("text",), model=model, epochs=2, batch_size=8, accumulate=3)
    backend.progress = lambda done, total: steps.append((done, total))
    backend.fit(EXAMPLES, one_hot(LABELS), weights=np.ones(48, np.float32), multiple=False, seed=0)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_batches_hold_every_row_once_and_like_lengths_together() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 1000).tolist()
    batches = bucketed(lengths, 10, np.random.default_rng(1))
    assert sorted(row for batch in batches for row in batch) == list(range(1000))
    spread = np.mean([np.ptp([lengths[row] for row in batch]) for batch in batches])
    assert spread < 5
    firsts = [lengths[batch[0]] for batch in batches[:20]]
    assert firsts != sorted(firsts), "short ones do not come first"
    assert bucketed([], 4, np.random.default_rng(0)) == []


def test_long_texts_are_learned_in_slices_that_fit_in_memory() -> None:
    lengths = [10, 20, 50, 50, 90, 300]
    found = [list(rows) for rows in sliced([[0, 1, 2, 3], [4, 5]], lengths, 100)]
    assert found == [[0, 1], [2, 3], [4], [5]]


def test_frozen_layers_stay_as_they_are(model: str) -> None:
    fresh = Transformer(("text",), model=model)
    fresh.embed(EXAMPLES[:1])
    before = {name: weight.clone() for name, weight in fresh._encoder.model.state_dict().items()}  # type: ignore[union-attr]
    after = fitted(model, EXAMPLES, one_hot(LABELS), freeze=1)._encoder.model.state_dict()  # type: ignore[union-attr]
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("layer.1." in name for name in changed)
    with pytest.raises(BackendError, match="has 2 layers"):
        fitted(model, EXAMPLES, one_hot(LABELS), freeze=3)


def test_memory_of_the_optimizer_is_given_back(model: str) -> None:
    backend = fitted(model, EXAMPLES, one_hot(LABELS))
    weights = list(backend._encoder.model.parameters())  # type: ignore[union-attr]
    assert all(weight.grad is None and not weight.requires_grad for weight in weights)
    assert not [thing for thing in gc.get_objects() if type(thing) is torch.optim.AdamW]


def test_the_chance_of_the_process_is_left_alone(model: str) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fitted(model, EXAMPLES, one_hot(LABELS), epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_vectors_need_no_training_and_change_with_it(model: str) -> None:
    before = Transformer(("text",), model=model).embed(EXAMPLES[:3])
    assert np.allclose(np.linalg.norm(before, axis=1), 1.0, atol=1e-5)
    after = fitted(model, EXAMPLES, one_hot(LABELS)).embed(EXAMPLES[:3])
    assert not np.allclose(before, after, atol=1e-3)


def test_what_is_saved_is_a_model_that_transformers_reads(model: str, tmp_path: Path) -> None:
    backend = fitted(model, EXAMPLES, one_hot(LABELS))
    backend.save(tmp_path)
    module = AutoModel.from_pretrained(tmp_path / "encoder", local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "encoder", local_files_only=True)
    tokens = tokenizer("win a free phone", return_tensors="pt")
    with torch.inference_mode():
        states = module(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).last_hidden_state[0]
    vector = torch.nn.functional.normalize(states.mean(0), dim=0).numpy()
    assert np.allclose(vector, backend.embed([{"text": "win a free phone"}])[0], atol=1e-5)


@pytest.mark.parametrize("change", ["labels", "numbers", "swapped"])
def test_files_of_another_model_are_refused(model: str, tmp_path: Path, change: str) -> None:
    backend = fitted(model, EXAMPLES, one_hot(LABELS), epochs=1)
    backend.save(tmp_path)
    about = json.loads((tmp_path / "backend.json").read_text())
    if change == "labels":
        del about["files"]["config.json"]
    elif change == "numbers":
        about["encoder"]["dimensions"] = 7
    else:
        (tmp_path / "encoder" / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
        about["files"]["config.json"] = hashlib.sha256((tmp_path / "encoder" / "config.json").read_bytes()).hexdigest()
    (tmp_path / "backend.json").write_text(json.dumps(about))
    with pytest.raises(ModelError, match="Go back to an earlier model version"):
        Transformer(("text",), model=model).load(tmp_path)


def test_another_tokenizer_works_too(tmp_path: Path) -> None:
    place = str(tiny_roberta(tmp_path / "roberta"))
    backend = fitted(place, EXAMPLES, one_hot(LABELS), epochs=10)
    answers = backend.predict([*EXAMPLES, {"text": "word " * 500}, {"text": ""}])
    assert (answers[:48].argmax(axis=1) == LABELS).mean() > 0.9
    assert np.isfinite(answers).all()
    assert backend._encoder is not None
    assert backend._encoder.longest == 64, "RoBERTa counts positions from behind its padding index"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\x00\x01",
        "\ud800 lone",
        "\U0001d518 \U0001f469\u200d\U0001f467",
        "a" * 30_000,
        "[CLS] [PAD]",
        "word " * 5_000,
    ],
)
def test_any_text_gets_an_answer(model: str, text: str) -> None:
    backend = once(model)
    answer = backend.predict([{"text": text}, EXAMPLES[0]])
    assert np.isfinite(answer).all()
    assert np.allclose(answer[1], backend.predict(EXAMPLES[:1])[0], atol=1e-5)


@cache
def once(model: str) -> Transformer:
    return fitted(model, EXAMPLES, one_hot(LABELS), epochs=1)


def test_a_rate_that_runs_off_is_told(model: str) -> None:
    with pytest.raises(BackendError, match="learning_rate"):
        fitted(model, EXAMPLES, one_hot(LABELS), learning_rate=1e30, clip=1e30)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": -1}, "from 0 to 1000"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": -1e-5}, "above 0"),
        ({"warmup": 1.5}, "below 1"),
        ({"class_weight": "balance"}, "Did you mean 'balanced'"),
        ({"device": "gpu"}, "device"),
        ({"device": ["cpu"]}, "device"),
        ({"model": ""}, "name or a folder"),
        ({"download": 1}, "true or false"),
        ({"learning_rat": 1e-3}, "Did you mean 'learning_rate'"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(BackendError, match=words):
        Transformer(("text",), **options)


def test_a_model_that_is_not_there_is_told_without_a_look_at_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(BackendError, match="download: true"):
        Transformer(("text",), model="no-such-owner/no-such-model").embed([{"text": "x"}])


def test_only_whoever_wants_a_download_is_on_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with transformer_encoder._on_line(False):
        assert constants.HF_HUB_OFFLINE
    with transformer_encoder._on_line(True):
        assert not constants.HF_HUB_OFFLINE
    assert constants.HF_HUB_OFFLINE


def test_weights_in_a_pickle_are_never_read(model: str, tmp_path: Path) -> None:
    place = tmp_path / "pickled"
    shutil.copytree(model, place)
    (place / "model.safetensors").unlink()
    torch.save({"embeddings.word_embeddings.weight": torch.zeros(3)}, place / "pytorch_model.bin")
    with pytest.raises(BackendError, match="safetensors"):
        Transformer(("text",), model=str(place)).embed([{"text": "x"}])


def test_wider_models_learn_more_slowly() -> None:
    options = TuningOptions.read("Transformer", {})
    assert options.recipe(0, 384).learning_rate == pytest.approx(1e-4)
    assert options.recipe(0, 768).learning_rate == pytest.approx(5e-5)
    assert options.recipe(0, 32).learning_rate == pytest.approx(1e-4)
    assert TuningOptions.read("Transformer", {"learning_rate": 3e-5}).recipe(0, 768).learning_rate == 3e-5


def test_cuda_that_is_not_there_is_told(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendError, match="no CUDA"):
        Transformer(("text",), model=model, device="cuda").embed([{"text": "x"}])


def test_how_sure_the_model_is_sets_no_held_out_loss() -> None:
    head = Head(np.eye(2, dtype=np.float32), np.zeros(2, np.float32), np.zeros(2, bool), 0.0, False, 1.0)
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (4000, 2))
    drawn = (random.random(4000) > 1 / (1 + np.exp(logits[:, 1] - logits[:, 0]))).astype(int)
    top, goal, ones = Top(head, head, np.ones(2), 2.0, False, "cpu"), np.eye(2)[drawn], np.ones(4000)
    right = top.held_loss(logits, goal, ones)
    assert top.held_loss(3.0 * logits, goal, ones) == pytest.approx(right, abs=1e-3)
    assert top.head(3.0 * logits, goal, ones).temperature == pytest.approx(3.0, rel=0.1)
    honest = 1 / (1 + np.exp(-np.abs(logits[:, 1] - logits[:, 0])))
    assert right == pytest.approx(
        float(-(honest * np.log(honest) + (1 - honest) * np.log(1 - honest)).mean()), abs=0.02
    )
