from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from adapter.backend_kit import TwoMethods
from adapter.errors import BackendError, ModelError


class Mean(TwoMethods):
    options: ClassVar[dict[str, Any]] = {"width": 2.0, "words": ["a"], "free": None}

    def fit(self, examples: Any, targets: Any, *, weights: Any, multiple: bool, seed: int) -> None:
        self.learned = {"mean": np.asarray(targets).mean(axis=0), "seen": {"n": len(examples)}}

    def predict(self, examples: Any) -> Any:
        return np.tile(self.fitted()["mean"], (len(examples), 1)).astype(np.float32)


def test_what_was_learned_comes_back(tmp_path: Path) -> None:
    before = Mean(("text",), width=3)
    before.fit([{}] * 4, np.eye(4, 2, dtype=np.float32), weights=np.ones(4), multiple=False, seed=0)
    before.save(tmp_path)
    after = Mean(("text",))
    after.load(tmp_path)
    assert after.learned is not None
    assert after.learned["seen"] == {"n": 4}
    assert np.array_equal(after.predict([{}]), before.predict([{}]))
    assert (before.width, after.width) == (3, 2.0)  # type: ignore[attr-defined]
    assert not list(tmp_path.glob("*.pkl"))


@pytest.mark.parametrize(
    ("options", "said"),
    [({"widht": 1.0}, "widht"), ({"width": "wide"}, "Give a float"), ({"words": "a"}, "Give a list")],
)
def test_options_that_do_not_fit_are_refused_with_advice(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BackendError, match=said):
        Mean(("text",), **options)
    assert Mean(("text",), free=object()).learned is None


def test_methods_that_are_not_written_say_so() -> None:
    bare = TwoMethods(("text",))
    with pytest.raises(BackendError, match="Write its method `fit`"):
        bare.fit([], np.empty((0, 2), np.float32), weights=np.empty(0), multiple=False, seed=0)
    with pytest.raises(BackendError, match="Write its method `predict`"):
        bare.predict([])
    with pytest.raises(BackendError, match="not trained yet"):
        Mean(("text",)).predict([{}])
    with pytest.raises(BackendError, match="names of the task fields"):
        Mean("text")


def test_damaged_foreign_and_unkeepable_models_are_refused(tmp_path: Path) -> None:
    model = Mean(("text",))
    with pytest.raises(ModelError, match="no Mean model"):
        model.load(tmp_path)
    model.learned = {"what": object()}
    with pytest.raises(BackendError, match="cannot be kept"):
        model.save(tmp_path)
    model.learned = {"mean": np.ones(2)}
    model.save(tmp_path)
    (tmp_path / "learned.json").write_text('{"backend": "Other", "learned": {}}')
    with pytest.raises(ModelError, match="saved by 'Other'"):
        model.load(tmp_path)
    (tmp_path / "arrays.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError):
        model.load(tmp_path)
