"""A model version on disk: one fitted backend for each control, and the JSON that says how to bring them back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from adapter.backend_loading import (
    AnyBackend,
    ask,
    ask_regions,
    build,
    costly,
    failed,
    load_factory,
    misshaped,
    regions_of,
)
from adapter.errors import HitlError, ModelError
from adapter.kinds import label_kind
from adapter.ports import Aligning, Backend, Floats, Interactive, RegionBackend
from adapter.vocabulary import Control, JsonObject

if TYPE_CHECKING:
    from adapter.core.calibration import Calibrator

MODEL_FILE = "model.json"
CALIBRATION_FILE = "calibration.json"
FORMAT = 2
PARTS = {"labels", "multiple", "fields", "backend", "options"}


class Bundle:
    """A model: control name to fitted backend. Safe to ask from several threads if its backends are.

    meta: JSON with `controls`: for each its `labels`, `multiple`, `fields`, `backend` (dotted path) and `options`.
    calibrators: control to what turns its backend's probabilities into honest ones.
    """

    def __init__(
        self,
        backends: Mapping[str, AnyBackend],
        meta: JsonObject,
        calibrators: Mapping[str, Calibrator] | None = None,
    ) -> None:
        self.backends = dict(backends)
        self.meta = meta
        self.calibrators = dict(calibrators or {})

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Control to its labels, in the order of the probabilities' columns."""
        return {name: tuple(about["labels"]) for name, about in self.meta["controls"].items()}

    @property
    def marked(self) -> tuple[str, ...]:
        """The controls whose values are regions."""
        return tuple(name for name, backend in self.backends.items() if regions_of(backend))

    @property
    def costly(self) -> bool:
        """Whether asking about the whole pool would cost too much, see `backend_loading.costly`."""
        return any(costly(backend) for backend in self.backends.values())

    def check(self, controls: Sequence[Control]) -> None:
        """Raise ModelError if the model learned one of these controls with other labels, or in another order, or with
        another number of labels a task. One that it has not learned (too few labels by then) is no contradiction."""
        labels = self.labels
        for control in controls:
            if control.name in labels and labels[control.name] != control.labels:
                raise ModelError(
                    f"the model knows {list(labels[control.name])} for '{control.name}', the label config has "
                    f"{list(control.labels)}",
                    where=control.name,
                    remedy="Train a new model, or restore the labels in the label config.",
                )
            several = bool(self.meta["controls"].get(control.name, {}).get("multiple"))
            if control.name in labels and label_kind(control) is not None and several != control.multiple:
                raise ModelError(
                    f"the model knows {'several labels' if several else 'one label'} a task for '{control.name}', the "
                    f"label config has {'several' if control.multiple else 'one'}",
                    where=control.name,
                    remedy="Train a new model, or restore the label config.",
                )

    def predict(self, examples: Sequence[JsonObject], *, controls: Sequence[str] | None = None) -> dict[str, Floats]:
        """Return control to calibrated probabilities (n, k) in 0..1; rows of NaN where it cannot tell. controls: these
        only. Controls of regions are left out. Raises BackendError."""
        answers = {}
        for name, backend in self.backends.items():
            if regions_of(backend) or (controls is not None and name not in controls):
                continue
            about = self.meta["controls"][name]
            raw = ask(cast(Backend, backend), examples, len(about["labels"]), name)
            calibrator = self.calibrators.get(name)
            answers[name] = raw if calibrator is None else calibrator.apply(raw, multiple=bool(about["multiple"]))
        return answers

    def regions(self, examples: Sequence[JsonObject]) -> dict[str, list[list[JsonObject] | None]]:
        """Return control to the regions of each example, doubtful ones included; None where it cannot read. As the
        backend gives them: not checked yet. Raises BackendError."""
        return {name: ask_regions(cast(RegionBackend, self.backends[name]), examples, name) for name in self.marked}

    def suggest(self, name: str, example: JsonObject, drawn: Sequence[JsonObject]) -> list[JsonObject] | None:
        """Return further regions for a person who works on this example; None where the control's backend does not do
        that. Raises BackendError."""
        backend = self.backends.get(name)
        if not isinstance(backend, Interactive):
            return None
        try:
            return list(backend.suggest(example, drawn, self.labels[name]))
        except HitlError:
            raise
        except Exception as error:
            raise failed(name, "suggest", error) from error

    def embed(self, examples: Sequence[JsonObject]) -> Floats | None:
        """Return vectors (n, d) of the first control whose backend has some; None if none has. Raises BackendError."""
        for name, backend in self.backends.items():
            try:
                vectors = backend.embed(examples)
            except HitlError:
                raise
            except Exception as error:
                raise failed(name, "embed", error) from error
            if vectors is not None:
                array = np.asarray(vectors, np.float32)
                if array.ndim != 2 or len(array) != len(examples):
                    raise misshaped(name, "embed", array.shape, f"({len(examples)}, d)")
                return array
        return None

    def alignment(self, examples: Sequence[JsonObject]) -> Floats | None:
        """Return (n,) how well the two parts of each pair fit together, 0..1, by the first control whose backend
        measures it; None if none does. Raises BackendError."""
        for name, backend in self.backends.items():
            found = aligned(name, backend, examples)
            if found is not None:
                return found
        return None

    def save(self, folder: Path) -> None:
        """Write the model into an empty or new folder; `model.json`, with every file's digest, comes last."""
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ModelError("the folder is not empty", where=str(folder), remedy="Save a model into a new folder.")
        places: dict[str, str] = {}
        for number, (name, backend) in enumerate(self.backends.items()):
            places[name] = f"control-{number}"  # a control's name need not be a file's
            (folder / places[name]).mkdir()
            try:
                backend.save(folder / places[name])
            except (HitlError, OSError):
                raise
            except Exception as error:
                raise failed(name, "save", error) from error
        if self.calibrators:
            write_calibration(folder, self.calibrators)
        written = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CALIBRATION_FILE)
        files = {path.relative_to(folder).as_posix(): _digest(path) for path in written}
        document = {"format": FORMAT, **self.meta, "folders": places, "files": files}
        partial = folder / f"{MODEL_FILE}.partial"
        partial.write_text(json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True), encoding="utf-8")
        partial.replace(folder / MODEL_FILE)

    @classmethod
    def load(cls, folder: Path, *, controls: Sequence[Control] = (), places: Mapping[str, Any] | None = None) -> Bundle:
        """Return the model that was saved there. controls: verify their labels. places: see `build`.

        Raises ModelError if files are missing or changed or labels differ, BackendError if its backend cannot be built.
        """
        document = _document(folder)
        for name, digest in document["files"].items():
            path = (folder / name).resolve()
            if not path.is_relative_to(folder.resolve()) or not path.is_file() or _digest(path) != digest:
                raise _damaged(folder, f"'{name}' is missing or changed")
        meta = {key: value for key, value in document.items() if key not in ("format", "folders", "files")}
        bundle = cls({}, meta, read_calibration(folder))
        bundle.check(controls)
        for name, about in meta["controls"].items():
            offered = {**(places or {}), "labels": tuple(about["labels"]), "control": name}
            backend = build(about["backend"], about["fields"], about["options"], offered)
            try:
                backend.load(folder / document["folders"][name])
            except HitlError:
                raise
            except Exception as error:
                raise _damaged(folder, f"its backend for '{name}' says {type(error).__name__}: {error}") from error
            bundle.backends[name] = backend
        return bundle


def folder_of(folder: Path, control: str, about: Mapping[str, Any]) -> Path | None:
    """Return where a saved model keeps the backend of a control, if it is of this kind: same labels, fields, backend
    and options. None otherwise, and for a damaged model."""
    try:
        document = _document(folder)
    except ModelError:
        return None
    kept = document["controls"].get(control)
    same = kept is not None and all(json.dumps(kept[part]) == json.dumps(about[part]) for part in sorted(PARTS))
    return folder / document["folders"][control] if same else None


def _document(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
        if document.get("format") == 1:  # one backend for all controls
            shared = {"backend": document.pop("backend"), "options": document.pop("options")}
            document |= {"format": 2, "controls": {n: {**shared, **about} for n, about in document["controls"].items()}}
        whole = (
            document["format"] == FORMAT
            and all(isinstance(document[key], dict) for key in ("controls", "folders", "files"))
            and set(document["folders"]) == set(document["controls"])
            and all(set(about) >= PARTS for about in document["controls"].values())
            and all(isinstance(about["backend"], str) for about in document["controls"].values())
            and all(isinstance(about["options"], dict) for about in document["controls"].values())
            and all(Path(name).name == name for name in document["folders"].values())
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, f"{MODEL_FILE}: {type(error).__name__}: {error}") from error
    if not whole:
        raise _damaged(folder, f"{MODEL_FILE} is of another format")
    result: dict[str, Any] = document
    return result


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _damaged(folder: Path, why: str) -> ModelError:
    return ModelError(
        f"the model's files are damaged: {why}",
        where=str(folder),
        remedy="Go back to an earlier version with `hitl model rollback`, or train again.",
    )


def write_calibration(folder: Path, calibrators: Mapping[str, Calibrator]) -> None:
    """Put calibrators into a saved model's folder, before it becomes an artifact: what they are fitted on is known only
    after the model has answered the blind sample."""
    document = {name: calibrator.to_json() for name, calibrator in calibrators.items()}
    (folder / CALIBRATION_FILE).write_text(json.dumps(document, ensure_ascii=False, sort_keys=True), encoding="utf-8")


def read_calibration(folder: Path) -> dict[str, Calibrator]:
    """Return the calibrators in a model's folder; none if it has none. Raises ModelError on damaged ones."""
    path = folder / CALIBRATION_FILE
    if not path.is_file():
        return {}
    from adapter.core.calibration import Calibrator

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): Calibrator.from_json(one) for name, one in document.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise _damaged(folder, f"{CALIBRATION_FILE}: {error}") from error


def aligned(name: str, backend: object, examples: Sequence[JsonObject]) -> Floats | None:
    """Return (n,) how well the parts of each pair fit together, 0..1, NaN where it cannot read them; None where the
    backend has no such measure. Raises BackendError."""
    if not isinstance(backend, Aligning):
        return None
    try:
        found = np.asarray(backend.alignment(examples), np.float32)
    except HitlError:
        raise
    except Exception as error:
        raise failed(name, "alignment", error) from error
    if found.shape != (len(examples),):
        raise misshaped(name, "alignment", found.shape, f"({len(examples)},)")
    return found


__all__ = [
    "AnyBackend",
    "Bundle",
    "aligned",
    "ask",
    "ask_regions",
    "build",
    "load_factory",
    "read_calibration",
    "regions_of",
    "write_calibration",
]
