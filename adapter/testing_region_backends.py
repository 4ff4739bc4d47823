"""Checks that every backend for regions (spans of text, boxes on images) passes, for authors of backends. Each is a
plain function; a broken rule raises AssertionError that says which.

    material = RegionMaterial(factory=Mine, fields=("text",), kind="spans", labels=("PER",), examples=[...],
                              regions=[[...], ...], unreadable={}, empty={"text": ""})
    for check in CHECKS:
        check(material, empty_folder)

With pytest: parametrize over `CHECKS` and give `tmp_path` as the folder.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from adapter.backend_loading import make
from adapter.ports import BackendFactory, Floats, Interactive, RegionBackend
from adapter.testing_checks import check_damaged, check_not_fitted, check_options, content, pickled, refused, saved
from adapter.testing_regions import SHOWN, Answers, found_f1, overlap, same, valid_box, valid_span
from adapter.vocabulary import JsonObject


@dataclass(frozen=True, eq=False)
class RegionMaterial:
    """What the checks work with: a factory, and real examples that it can learn something from.

    kind: `spans` (value start, end) or `boxes` (value x, y, width, height in percent). labels: of the control; each has
    a region in 5 examples or more. examples: 20 or more. regions: those of each example, as `adapter.kinds.base.Region`
    has them, at least with `labels` and `value`. unreadable: an example that the backend cannot read (a missing field,
    a broken file). empty: an example in which there is nothing to find. learnable: F1 that it reaches on the examples
    that it was trained on, where a region is found if one with the same label shares `iou` of its extent.
    """

    factory: BackendFactory
    fields: tuple[str, ...]
    kind: Literal["spans", "boxes"]
    labels: tuple[str, ...]
    examples: Sequence[JsonObject]
    regions: Sequence[Sequence[JsonObject]]
    unreadable: JsonObject
    empty: JsonObject
    options: Mapping[str, Any] = field(default_factory=dict)
    learnable: float = 0.8
    iou: float = 0.5
    _kept: list[RegionBackend] = field(default_factory=list, repr=False)

    def new(self) -> RegionBackend:
        """Return an unfitted backend."""
        return cast(RegionBackend, make(self.factory, self.fields, self.options))

    def fitted(self, *, seed: int = 0) -> RegionBackend:
        """Return a backend that is fitted to the examples."""
        backend = self.new()
        backend.fit(self.examples, self.regions, labels=self.labels, weights=_ones(self.examples), seed=seed)
        return backend

    def ready(self) -> RegionBackend:
        """Return a fitted backend."""
        return self.shared()

    def shared(self) -> RegionBackend:
        """Return a backend that is fitted once for all checks that only ask it."""
        if not self._kept:
            self._kept.append(self.fitted())
        return self._kept[0]


def _ones(examples: Sequence[object]) -> Floats:
    return np.ones(len(examples), np.float32)


def check_answers_regions(material: RegionMaterial, folder: Path) -> None:
    """It says of itself that it answers with regions, before and after it is fitted."""
    backend = material.new()
    assert isinstance(backend, RegionBackend), "it lacks a method or the attribute `answers`"
    assert backend.answers == "regions", 'a backend for regions has the attribute answers = "regions"'


def check_regions(material: RegionMaterial, folder: Path) -> None:
    """Each example gets a list of plain, valid regions of known labels with scores in 0..1; no examples give no
    lists."""
    backend = material.shared()
    answers = backend.predict(material.examples)
    assert isinstance(answers, list), "predict must return a list"
    assert len(answers) == len(material.examples), "one list of regions an example"
    for example, found in zip(material.examples, answers, strict=True):
        assert found is not None, "an example that can be read got None"
        for region in found:
            check_region(material, example, region)
    assert backend.predict([]) == [], "no examples must give no lists"


def check_region(material: RegionMaterial, example: JsonObject, region: JsonObject) -> None:
    """One region is plain JSON, has one known label, a score in 0..1, and a place inside its object."""
    assert json.loads(json.dumps(region)) == dict(region), f"{region}: no plain JSON"
    labels, value, score = region.get("labels"), region.get("value"), region.get("score")
    assert isinstance(labels, list), f"{region}: `labels` must be a list"
    assert len(labels) == 1, f"{region}: a region has one label"
    assert labels[0] in material.labels, f"{region}: unknown label"
    assert isinstance(score, float), f"{region}: `score` must be a float"
    assert 0.0 <= score <= 1.0, f"{region}: a score outside 0..1"
    assert isinstance(value, dict), f"{region}: `value` must be an object"
    if material.kind == "spans":
        valid_span(material.fields, example, value)
    else:
        valid_box(region, value)


def f1(material: RegionMaterial, answers: Answers) -> float:
    """Return the F1 of the regions with a score from .5 against the material's, see `testing_regions.found_f1`."""
    return found_f1(material.kind, material.regions, answers, material.iou)


def check_learns(material: RegionMaterial, folder: Path) -> None:
    """It finds what it was shown, and says the same of an example alone as of it among others."""
    backend = material.shared()
    answers = backend.predict(material.examples)
    value = f1(material, answers)
    assert value >= material.learnable, f"F1 {value:.2f} on its own training examples"
    for row in range(min(5, len(answers))):
        alone = backend.predict([material.examples[row]])
        assert same(alone, answers[row : row + 1]), "an example alone gets other regions than among others"


def check_repeatable(material: RegionMaterial, folder: Path) -> None:
    """Same input and seed, same model; fitting again starts from scratch."""
    first = material.shared().predict(material.examples)
    again = material.fitted()
    assert same(first, again.predict(material.examples)), "same input and seed, another model"
    half = len(material.examples) // 2
    again.fit(
        material.examples[:half],
        material.regions[:half],
        labels=material.labels,
        weights=_ones(material.examples[:half]),
        seed=5,
    )
    again.fit(material.examples, material.regions, labels=material.labels, weights=_ones(material.examples), seed=0)
    assert same(first, again.predict(material.examples)), "a second fit remembers the first"


def check_weights(material: RegionMaterial, folder: Path) -> None:
    """An example without weight has no influence, whatever its regions say."""
    weights = _ones(material.examples)
    cut = len(weights) // 5
    weights[:cut] = 0.0
    silenced = [[] if row < cut else regions for row, regions in enumerate(material.regions)]
    one, other = material.new(), material.new()
    one.fit(material.examples, material.regions, labels=material.labels, weights=weights, seed=0)
    other.fit(material.examples, silenced, labels=material.labels, weights=weights, seed=0)
    equal = same(one.predict(material.examples), other.predict(material.examples))
    assert equal, "regions of examples without weight change the model"


def check_nothing_to_learn(material: RegionMaterial, folder: Path) -> None:
    """Without a single region, or with nothing that can be read, there is nothing to learn: BackendError, with a
    remedy."""
    none: list[list[JsonObject]] = [[] for _ in material.examples]
    unreadable = [material.unreadable] * len(material.examples)
    for examples, regions, what in ((material.examples, none, "no region"), (unreadable, material.regions, "no text")):
        backend = material.new()
        error = refused(_fitting(backend, examples, regions, material.labels))
        assert error is not None, f"{what} in any example, yet it was fitted"
        assert error.remedy, "the error has no remedy"


def _fitting(
    backend: RegionBackend,
    examples: Sequence[JsonObject],
    regions: Sequence[Sequence[JsonObject]],
    labels: Sequence[str],
) -> Callable[[], None]:
    return lambda: backend.fit(examples, regions, labels=labels, weights=_ones(examples), seed=0)


def check_unreadable(material: RegionMaterial, folder: Path) -> None:
    """An example that it cannot read is None, harms no other, and is passed over in training; one with nothing in it
    is an empty list, or at least no error."""
    backend = material.new()
    examples = [material.unreadable, material.empty, *material.examples]
    regions = [material.regions[0], [], *material.regions]
    backend.fit(examples, regions, labels=material.labels, weights=_ones(examples), seed=0)
    answers = backend.predict([material.examples[0], material.unreadable, material.empty, material.examples[1]])
    assert answers[1] is None, "an example that cannot be read must be None"
    assert answers[0] is not None, "an example that cannot be read harms its neighbours"
    assert answers[3] is not None, "an example that cannot be read harms its neighbours"
    assert answers[2] is not None, "an example with nothing in it can be read all the same"
    assert not [region for region in answers[2] if region["score"] >= SHOWN], "it finds something where nothing is"
    assert backend.predict([material.unreadable]) == [None], "an example that cannot be read keeps its place"


def check_unseen_label(material: RegionMaterial, folder: Path) -> None:
    """A label without a region is allowed, and not found."""
    backend = material.new()
    labels = (*material.labels, "never seen")
    backend.fit(material.examples, material.regions, labels=labels, weights=_ones(material.examples), seed=0)
    shown = [
        region for found in backend.predict(material.examples) for region in found or [] if region["score"] >= SHOWN
    ]
    assert shown, "with a label more than was seen, it finds nothing any more"
    assert not [region for region in shown if region["labels"] == ["never seen"]], "it finds what it never saw"


def check_embeddings(material: RegionMaterial, folder: Path) -> None:
    """Vectors are (n, d) float32 of length 1 (0 where nothing is known), the same for the same example; or there are
    none."""
    vectors = material.shared().embed([*material.examples, material.examples[0], material.unreadable])
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


def check_saved(material: RegionMaterial, folder: Path) -> None:
    """What was saved says the same after loading; there is no pickle; a copy saved from what was loaded is the same,
    byte for byte."""
    backend = material.shared()
    place, copy = saved(backend, folder / "model"), folder / "copy"
    loaded = material.new()
    loaded.load(place)
    assert same(backend.predict(material.examples), loaded.predict(material.examples)), "loaded, it is another"
    before, after = backend.embed(material.examples), loaded.embed(material.examples)
    assert (before is None) == (after is None), "loaded, it has vectors where it had none, or lost them"
    if before is not None and after is not None:
        assert np.allclose(before, after, atol=1e-5), "loaded, its vectors are others"
    for path in place.rglob("*"):
        known = path.suffix in (".json", ".safetensors", ".npy", ".txt")
        assert path.is_dir() or known, f"{path.name}: no known format"
        assert path.is_dir() or not pickled(path), f"{path.name} looks like a pickle"
    saved(loaded, copy)
    assert content(place) == content(copy), "saved again, the files are others"


def check_threads(material: RegionMaterial, folder: Path) -> None:
    """Several threads may ask at once: a web server does."""
    backend = material.shared()
    expected = backend.predict(material.examples)
    wrong: list[str] = []

    def asks() -> None:
        try:
            for _ in range(3):
                if not same(backend.predict(material.examples), expected):
                    wrong.append("another answer")
        except Exception as error:  # a thread's error would be lost
            wrong.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=asks) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, f"asked from several threads: {wrong[0]}"


def check_suggestions(material: RegionMaterial, folder: Path) -> None:
    """A backend that answers while a person works (`ports.Interactive`) gives valid regions, none of them drawn
    already; others pass."""
    backend = material.shared()
    if not isinstance(backend, Interactive):
        return
    for example, regions in list(zip(material.examples, material.regions, strict=True))[:5]:
        for drawn in ([], list(regions[:1]), list(regions)):
            for region in backend.suggest(example, drawn, material.labels):
                check_region(material, example, region)
                repeated = [one for one in drawn if overlap(material.kind, one, region) > 0.9]
                assert not repeated, f"{region}: drawn already"
    assert backend.suggest(material.unreadable, [], material.labels) == [], "nothing can be suggested there"


CHECKS: tuple[Callable[[RegionMaterial, Path], None], ...] = (
    check_answers_regions,
    check_regions,
    check_learns,
    check_repeatable,
    check_weights,
    check_nothing_to_learn,
    check_unreadable,
    check_unseen_label,
    check_embeddings,
    check_saved,
    check_damaged,
    check_not_fitted,
    check_options,
    check_threads,
    check_suggestions,
)
"""All checks, in the order of the Protocol."""
