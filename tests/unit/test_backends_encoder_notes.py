from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from backends import embedding
from backends.embedding import Embedding
from backends.encoder_notes import About, note, noted, stamp


def test_what_was_noted_comes_back_and_damage_is_nothing(tmp_path: Path) -> None:
    about = About("abc", 384)
    note(tmp_path, "key", about)
    assert noted(tmp_path, "key") == about
    assert noted(tmp_path, "other") is None
    for text in ("", "[]", '{"identity": "", "dimensions": 3}', '{"identity": "x", "dimensions": "y"}'):
        (tmp_path / "encoder-key.json").write_text(text)
        assert noted(tmp_path, "key") is None
    note(tmp_path / "not there", "key", about)  # no error
    note(tmp_path, "", about)
    assert noted(tmp_path, "") is None


def test_a_model_whose_files_changed_has_another_stamp(tmp_path: Path) -> None:
    assert stamp("some/hub-name", "exact") == ""
    (tmp_path / "config.json").write_text("{}")
    before = stamp(str(tmp_path), "exact")
    assert before == stamp(str(tmp_path), "exact") != stamp(str(tmp_path), "bf16")
    os.utime(tmp_path / "config.json", ns=(1, 1))
    assert stamp(str(tmp_path), "exact") != before


def test_remembered_vectors_are_used_without_loading_the_transformer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = [{"text": f"{word} {n}"} for n in range(4) for word in ("good", "bad")]
    targets = np.eye(2, dtype=np.float32)[[0, 1] * 4]
    first = Embedding(("text",), cache_folder=str(tmp_path))
    first.fit(examples, targets, weights=np.ones(8, np.float32), multiple=False, seed=0)
    said = first.predict(examples)
    (tmp_path / "model").mkdir()
    first.save(tmp_path / "model")

    def loaded(*_: object) -> None:
        raise AssertionError("the transformer was loaded")

    monkeypatch.setattr(embedding, "_encoder", loaded)
    again = Embedding(("text",), cache_folder=str(tmp_path))
    again.load(tmp_path / "model")
    assert np.allclose(again.predict(examples), said)
    with pytest.raises(AssertionError, match="was loaded"):
        again.predict([{"text": "never seen"}])
