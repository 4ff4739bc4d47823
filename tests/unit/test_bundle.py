from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter.backend_loading import load_factory, make
from adapter.bundle import Bundle
from adapter.errors import BackendError, ModelError
from adapter.vocabulary import Control
from backends.linear import Linear

EXAMPLES = [{"text": f"{word} {n}"} for n in range(6) for word in ("good film", "bad film")]
TARGETS = np.eye(2, dtype=np.float32)[[0, 1] * 6]


def fitted() -> Linear:
    backend = Linear(("text",))
    backend.fit(EXAMPLES, TARGETS, weights=np.ones(12, np.float32), multiple=False, seed=0)
    return backend


def bundle() -> Bundle:
    about = {
        "labels": ["good", "bad"],
        "multiple": False,
        "fields": ["text"],
        "backend": "backends.linear:Linear",
        "options": {"c": 5.0},
    }
    meta = {"controls": {"tone/1": about, "mood": about}}
    return Bundle({"tone/1": fitted(), "mood": fitted()}, meta)


def control(*labels: str) -> Control:
    return Control("mood", "choices", "text", "Text", "text", labels)


def test_a_bundle_says_the_same_after_loading(tmp_path: Path) -> None:
    before = bundle()
    before.save(tmp_path / "model")
    after = Bundle.load(tmp_path / "model", controls=[control("good", "bad")])
    assert after.labels == {"tone/1": ("good", "bad"), "mood": ("good", "bad")}
    assert {one["options"]["c"] for one in after.meta["controls"].values()} == {5.0}
    for name, answers in before.predict(EXAMPLES).items():
        assert np.allclose(answers, after.predict(EXAMPLES)[name], atol=1e-6)
    vectors = after.embed(EXAMPLES)
    assert vectors is not None
    assert len(vectors) == 12


def test_other_labels_are_refused(tmp_path: Path) -> None:
    bundle().save(tmp_path / "model")
    with pytest.raises(ModelError, match="Train a new model"):
        Bundle.load(tmp_path / "model", controls=[control("bad", "good")])


def test_one_label_a_task_is_not_several(tmp_path: Path) -> None:
    """Probabilities that sum to one are no probabilities of each label by itself."""
    bundle().save(tmp_path / "model")
    several = replace(control("good", "bad"), multiple=True)
    with pytest.raises(ModelError, match="one label a task for 'mood', the label config has several"):
        Bundle.load(tmp_path / "model", controls=[several])


@pytest.mark.parametrize("name", ["model.json", "control-0/backend.json", "control-1/arrays.safetensors"])
@pytest.mark.parametrize("how", ["gone", "changed"])
def test_damage_is_noticed(tmp_path: Path, name: str, how: str) -> None:
    bundle().save(tmp_path / "model")
    path = tmp_path / "model" / name
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ModelError, match="rollback"):
        Bundle.load(tmp_path / "model")


def test_a_model_file_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    bundle().save(tmp_path / "model")
    path = tmp_path / "model" / "model.json"
    document = json.loads(path.read_text())
    document["folders"]["mood"] = "../elsewhere"
    path.write_text(json.dumps(document))
    with pytest.raises(ModelError):
        Bundle.load(tmp_path / "model")


def test_a_model_is_not_saved_over_another(tmp_path: Path) -> None:
    bundle().save(tmp_path / "model")
    with pytest.raises(ModelError, match="not empty"):
        bundle().save(tmp_path / "model")


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("backends.linear", "module:factory"),
        ("backends.linear:Linaer", "Did you mean 'Linear'"),
        ("backends.linaer:Linear", "Did you mean 'backends.linear'"),
        ("no_such_package_at_all:Thing", "Python's path"),
    ],
)
def test_a_wrong_path_is_advised(path: str, advice: str) -> None:
    with pytest.raises(BackendError, match=r"x\.yaml") as caught:
        load_factory(path, where="x.yaml")
    assert advice in str(caught.value)


def test_a_module_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaks_at_import.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BackendError, match="ZeroDivisionError"):
        load_factory("breaks_at_import:Mine")


def test_something_else_is_no_backend() -> None:
    with pytest.raises(BackendError, match="lacks fit, predict"):
        make(lambda *, fields: object(), ("text",), {})  # type: ignore[arg-type, return-value]


def test_places_reach_only_those_who_ask() -> None:
    got: dict[str, Any] = {}

    def asks(*, fields: tuple[str, ...], media_root: str = "", c: float = 1.0) -> Linear:
        got.update(media_root=media_root)
        return Linear(fields)

    make(asks, ("text",), {"c": 2.0}, {"media_root": "m", "cache_folder": "f"})
    assert got == {"media_root": "m"}
    make(asks, ("text",), {"media_root": "mine"}, {"media_root": "m"})
    assert got == {"media_root": "mine"}
    make(load_factory("backends.linear:Linear"), ("text",), {}, {"media_root": "m"})


@pytest.mark.parametrize(
    ("answer", "message"),
    [(np.ones((2, 3)), "shape"), (np.ones(2), "shape"), (ValueError("no tea"), "ValueError: no tea")],
)
def test_a_backend_that_answers_nonsense_is_named(answer: Any, message: str) -> None:
    one = bundle()

    class Odd(Linear):
        def predict(self, examples: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    one.backends["mood"] = Odd(("text",))
    with pytest.raises(BackendError, match="control 'mood'") as caught:
        one.predict(EXAMPLES[:2])
    assert message in str(caught.value)


def test_half_a_row_of_nan_is_a_row_of_nan() -> None:
    one = bundle()

    class Half(Linear):
        def predict(self, examples: Any) -> Any:
            return np.array([[np.nan, 0.5], [1.5, -0.5]])

    one.backends["mood"] = Half(("text",))
    answers = one.predict(EXAMPLES[:2])["mood"]
    assert np.isnan(answers[0]).all()
    assert answers[1].tolist() == [1.0, 0.0]
