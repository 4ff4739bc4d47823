"""Checks that every model backend passes, for authors of backends. Each is a plain function; a broken rule raises
AssertionError that says which.

    material = Material(factory=Mine, fields=("text",), examples=[...], labels=[0, 1, ...], unreadable={})
    for check in CHECKS:
        check(material, empty_folder)

With pytest: parametrize over `CHECKS` and give `tmp_path` as the folder.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adapter.backend_loading import for_labels, make
from adapter.ports import Backend, BackendFactory, Floats
from adapter.testing_checks import check_damaged, check_not_fitted, check_options, content, pickled, refused
from adapter.vocabulary import JsonObject

CLOSE = 1e-6


@dataclass(frozen=True)
class Material:
    """What the checks work with: a factory, and real examples that it can learn something from.

    examples: 20 or more of two or more classes, every class 5 times or more. labels: class number of each, from 0.
    unreadable: an example that the backend cannot read (a missing field, a broken file). learnable: accuracy that it
    reaches on the examples that it was trained on.
    """

    factory: BackendFactory
    fields: tuple[str, ...]
    examples: Sequence[JsonObject]
    labels: Sequence[int]
    unreadable: JsonObject
    options: Mapping[str, Any] = field(default_factory=dict)
    learnable: float = 0.9

    @property
    def classes(self) -> int:
        """The number of classes."""
        return max(self.labels) + 1

    def new(self) -> Backend:
        """Return an unfitted backend."""
        return for_labels(make(self.factory, self.fields, self.options), "material")

    def ready(self) -> Backend:
        """Return a fitted backend."""
        return self.fitted()

    def targets(self) -> Floats:
        """Return one-hot targets (n, k)."""
        return np.asarray(np.eye(self.classes)[np.asarray(self.labels)], np.float32)

    def fitted(self, *, seed: int = 0) -> Backend:
        """Return a backend that is fitted to the examples."""
        backend = self.new()
        backend.fit(self.examples, self.targets(), weights=_ones(self), multiple=False, seed=seed)
        return backend


def _ones(material: Material) -> Floats:
    return np.ones(len(material.examples), np.float32)


def _proper(probabilities: Floats, shape: tuple[int, ...], what: str) -> None:
    assert probabilities.shape == shape, f"{what}: shape {probabilities.shape}, due {shape}"
    assert probabilities.dtype == np.float32, f"{what}: {probabilities.dtype}, due float32"
    assert np.isfinite(probabilities).all(), f"{what}: not all finite"
    assert (probabilities >= 0).all(), f"{what}: a probability below 0"
    assert (probabilities <= 1).all(), f"{what}: a probability above 1"


def check_probabilities(material: Material, folder: Path) -> None:
    """Probabilities are (n, k) float32 in 0..1, and rows sum to 1; no examples give no rows."""
    backend = material.fitted()
    answers = backend.predict(material.examples)
    _proper(answers, (len(material.examples), material.classes), "predict")
    assert np.allclose(answers.sum(axis=1), 1.0, atol=1e-4), "rows do not sum to 1"
    assert backend.predict([]).shape == (0, material.classes), "no examples must give shape (0, k)"


def check_learns(material: Material, folder: Path) -> None:
    """It learns what it was shown, and says the same of an example alone as of it among others."""
    backend = material.fitted()
    answers = backend.predict(material.examples)
    accuracy = float((answers.argmax(axis=1) == np.asarray(material.labels)).mean())
    assert accuracy >= material.learnable, f"accuracy {accuracy:.2f} on its own training examples"
    alone = np.concatenate([backend.predict([example]) for example in material.examples[:5]])
    assert np.allclose(alone, answers[:5], atol=1e-4), "an example alone gets other probabilities than among others"


def check_repeatable(material: Material, folder: Path) -> None:
    """Same input and seed, same model; fitting again starts from scratch."""
    once, again = material.fitted(seed=3), material.fitted(seed=3)
    first = once.predict(material.examples)
    assert np.allclose(first, again.predict(material.examples), atol=CLOSE), "same input and seed, another model"
    turned = material.targets()[:, ::-1].copy()
    once.fit(material.examples, turned, weights=_ones(material), multiple=False, seed=3)
    once.fit(material.examples, material.targets(), weights=_ones(material), multiple=False, seed=3)
    assert np.allclose(first, once.predict(material.examples), atol=CLOSE), "a second fit remembers the first"


def check_soft_targets(material: Material, folder: Path) -> None:
    """Soft targets are learned as such: with even targets everywhere, it is sure of nothing."""
    even = np.full((len(material.examples), material.classes), 1.0 / material.classes, np.float32)
    backend = material.new()
    backend.fit(material.examples, even, weights=_ones(material), multiple=False, seed=0)
    answers = backend.predict(material.examples)
    assert float(answers.max()) < 1.0 / material.classes + 0.2, "even targets, yet it is sure"


def check_weights(material: Material, folder: Path) -> None:
    """An example without weight has no influence, whatever its target says."""
    targets, weights = material.targets(), _ones(material)
    half = len(weights) // 5
    weights[:half] = 0.0
    one, other = material.new(), material.new()
    one.fit(material.examples, targets, weights=weights, multiple=False, seed=0)
    changed = targets.copy()
    changed[:half] = np.roll(changed[:half], 1, axis=1)
    other.fit(material.examples, changed, weights=weights, multiple=False, seed=0)
    same = np.allclose(one.predict(material.examples), other.predict(material.examples), atol=1e-4)
    assert same, "targets of examples without weight change the model"


def check_several_labels(material: Material, folder: Path) -> None:
    """With `multiple` each label has a probability of its own; one that always holds stays likely."""
    targets = np.concatenate([material.targets(), np.ones((len(material.examples), 1), np.float32)], axis=1)
    backend = material.new()
    backend.fit(material.examples, targets, weights=_ones(material), multiple=True, seed=0)
    answers = backend.predict(material.examples)
    _proper(answers, targets.shape, "predict with several labels")
    assert (answers[:, -1] > 0.8).all(), "a label that always held is not likely"
    right = float(((answers > 0.5) == (targets > 0.5)).mean())
    assert right >= material.learnable, f"{right:.2f} of the cells right on its own training examples"


def check_unseen_class(material: Material, folder: Path) -> None:
    """A label without an example keeps its column, with a small probability that is not 0."""
    targets = np.concatenate([material.targets(), np.zeros((len(material.examples), 1), np.float32)], axis=1)
    backend = material.new()
    backend.fit(material.examples, targets, weights=_ones(material), multiple=False, seed=0)
    answers = backend.predict(material.examples)
    _proper(answers, targets.shape, "predict with an unseen label")
    assert (answers[:, -1] > 0).all(), "an unseen label has probability 0"
    assert (answers[:, -1] < 0.2).all(), "an unseen label is likely"


def check_one_class(material: Material, folder: Path) -> None:
    """With one class only there is nothing to learn: BackendError, with a remedy."""
    targets = np.zeros((len(material.examples), material.classes), np.float32)
    targets[:, 0] = 1.0
    backend, weights = material.new(), _ones(material)
    error = refused(lambda: backend.fit(material.examples, targets, weights=weights, multiple=False, seed=0))
    assert error is not None, "one class only was accepted"
    assert error.remedy, "the error for one class has no remedy"


def check_unreadable(material: Material, folder: Path) -> None:
    """An example that it cannot read is a row of NaN, harms no other row, and is passed over in training."""
    backend = material.new()
    examples = [material.unreadable, *material.examples]
    targets = np.concatenate([material.targets()[:1], material.targets()])
    backend.fit(examples, targets, weights=np.ones(len(examples), np.float32), multiple=False, seed=0)
    answers = backend.predict([material.examples[0], material.unreadable, material.examples[1]])
    assert np.isnan(answers[1]).all(), "an example that cannot be read must be a row of NaN"
    assert np.isfinite(answers[[0, 2]]).all(), "an example that cannot be read harms its neighbours"
    alone = backend.predict([material.unreadable])
    assert alone.shape == (1, material.classes), "an example that cannot be read keeps its row"
    nothing, two = [material.unreadable] * 4, np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    fresh = material.new()
    error = refused(lambda: fresh.fit(nothing, two, weights=np.ones(4, np.float32), multiple=False, seed=0))
    assert error is not None, "examples that cannot be read were accepted"
    assert error.remedy, "the error for unreadable examples has no remedy"


def check_embeddings(material: Material, folder: Path) -> None:
    """Vectors are (n, d) float32 of length 1 (0 where nothing is known), the same for the same example; or there are
    none."""
    backend = material.fitted()
    vectors = backend.embed([*material.examples, material.examples[0], material.unreadable])
    if vectors is None:
        return
    assert vectors.ndim == 2, "vectors must have shape (n, d)"
    assert len(vectors) == len(material.examples) + 2, "one vector an example"
    assert vectors.dtype == np.float32, "vectors must be float32"
    assert np.isfinite(vectors).all(), "vectors must be finite"
    lengths = np.linalg.norm(vectors, axis=1)
    assert (np.isclose(lengths, 1.0, atol=1e-3) | (lengths == 0)).all(), "vectors must have length 1, or 0"
    assert np.allclose(vectors[0], vectors[-2], atol=1e-4), "the same example has two vectors"
    assert not vectors[-1].any(), "an example that cannot be read must have the zero vector"
    none = backend.embed([])
    assert none is not None, "no examples must give no vectors, not None"
    assert len(none) == 0, "no examples must give no vectors"


def check_saved(material: Material, folder: Path) -> None:
    """What was saved says the same after loading, of probabilities and vectors; there is no pickle; a copy saved from
    what was loaded is the same, byte for byte."""
    backend = material.fitted()
    place, copy = folder / "model", folder / "copy"
    place.mkdir()
    copy.mkdir()
    backend.save(place)
    loaded = material.new()
    loaded.load(place)
    ours, theirs = backend.predict(material.examples), loaded.predict(material.examples)
    assert np.allclose(ours, theirs, atol=CLOSE), "loaded, it predicts something else"
    before, after = backend.embed(material.examples), loaded.embed(material.examples)
    assert (before is None) == (after is None), "loaded, it has vectors where it had none, or lost them"
    if before is not None and after is not None:
        assert np.allclose(before, after, atol=1e-5), "loaded, its vectors are others"
    for path in place.rglob("*"):
        known = path.suffix in (".json", ".safetensors", ".npy", ".txt")
        assert path.is_dir() or known, f"{path.name}: no known format"
        assert path.is_dir() or not pickled(path), f"{path.name} looks like a pickle"
    loaded.save(copy)
    assert content(place) == content(copy), "saved again, the files are others"


def check_threads(material: Material, folder: Path) -> None:
    """Several threads may ask at once: a web server does."""
    backend = material.fitted()
    expected = backend.predict(material.examples)
    wrong: list[str] = []

    def asks() -> None:
        for _ in range(5):
            if not np.allclose(backend.predict(material.examples), expected, atol=1e-4):
                wrong.append("another answer")

    threads = [threading.Thread(target=asks) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, "asked from several threads, it gives other answers"


CHECKS: tuple[Callable[[Material, Path], None], ...] = (
    check_probabilities,
    check_learns,
    check_repeatable,
    check_soft_targets,
    check_weights,
    check_several_labels,
    check_unseen_class,
    check_one_class,
    check_unreadable,
    check_embeddings,
    check_saved,
    check_damaged,
    check_not_fitted,
    check_options,
    check_threads,
)
"""All checks, in the order of the Protocol."""
