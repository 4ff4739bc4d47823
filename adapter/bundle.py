"""A model version on disk: one fitted backend for each control, and the JSON that says how to bring them back."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adapter.errors import BackendError, HitlError, ModelError, nearest
from adapter.ports import Backend, BackendFactory, Floats
from adapter.vocabulary import Control, JsonObject

MODEL_FILE = "model.json"
FORMAT = 1


def load_factory(path: str, *, where: str = "") -> BackendFactory:
    """Return what a dotted path such as `backends.linear:Linear` names. Raises BackendError with advice.

    The module is imported: like labeling functions, backends are code that whoever writes the settings trusts.
    """
    module_name, colon, name = path.partition(":")
    if not colon or not module_name or not name or module_name.startswith("."):
        raise BackendError(
            f"'{path}' is no backend path",
            where=where,
            remedy="Write it as `module:factory`: `backends.linear:Linear`.",
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        known = ("backends.linear", "backends.embedding", "backends.pixels")
        raise BackendError(
            f"the module of the backend '{path}' cannot be imported: {error}",
            where=where,
            remedy=f"{nearest(module_name, known)} Its folder must be on Python's path, and what it imports installed.",
        ) from error
    except Exception as error:
        raise BackendError(
            f"the module of the backend '{path}' fails when imported: {type(error).__name__}: {error}",
            where=where,
            remedy=f"Run `python -c 'import {module_name}'` and mend what it reports.",
        ) from error
    factory = getattr(module, name, None)
    if not callable(factory):
        named = [word for word, thing in vars(module).items() if inspect.isclass(thing) and hasattr(thing, "predict")]
        raise BackendError(f"'{module_name}' has no backend '{name}'", where=where, remedy=nearest(name, named))
    made: BackendFactory = factory
    return made


def build(
    path: str, fields: Sequence[str], options: Mapping[str, Any], places: Mapping[str, str] | None = None
) -> Backend:
    """Return an unfitted backend. places: what this machine offers, such as `media_root` and `cache_folder`: passed to
    factories that have a parameter of that name and no such option, and never part of a model. Raises BackendError."""
    return make(load_factory(path, where="backend.path"), fields, options, places, where=path)


def make(
    factory: BackendFactory,
    fields: Sequence[str],
    options: Mapping[str, Any],
    places: Mapping[str, str] | None = None,
    *,
    where: str = "",
) -> Backend:
    """Do as `build`, for a factory that is already loaded."""
    known: Mapping[str, inspect.Parameter] = {}
    if places:
        try:
            known = inspect.signature(factory).parameters
        except (TypeError, ValueError):  # a factory written in C: it gets its options only
            known = {}
    here = {name: place for name, place in (places or {}).items() if name in known and name not in options}
    try:
        backend = factory(fields=tuple(fields), **{**options, **here})
    except HitlError:
        raise
    except Exception as error:
        raise BackendError(
            f"the backend cannot be built: {type(error).__name__}: {error}",
            where=where,
            remedy="Check `backend.options` in the project's settings.",
        ) from error
    if not isinstance(backend, Backend):
        missing = [name for name in ("fit", "predict", "embed", "save", "load") if not hasattr(backend, name)]
        raise BackendError(
            f"a {type(backend).__name__} is no backend: it lacks {', '.join(missing)}",
            where=where,
            remedy="See backends/README.md for the five methods.",
        )
    return backend


class Bundle:
    """A model: control name to fitted backend. Safe to ask from several threads if its backends are.

    meta: JSON with `backend` (dotted path), `options`, and `controls`: for each its `labels`, `multiple` and `fields`.
    """

    def __init__(self, backends: Mapping[str, Backend], meta: JsonObject) -> None:
        self.backends = dict(backends)
        self.meta = meta

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Control to its labels, in the order of the probabilities' columns."""
        return {name: tuple(about["labels"]) for name, about in self.meta["controls"].items()}

    def check(self, controls: Sequence[Control]) -> None:
        """Raise ModelError if the model learned one of these controls with other labels, or in another order. One that
        it has not learned (too few labels by then) is no contradiction."""
        labels = self.labels
        for control in controls:
            if control.name in labels and labels[control.name] != control.labels:
                raise ModelError(
                    f"the model knows {list(labels[control.name])} for '{control.name}', the label config has "
                    f"{list(control.labels)}",
                    where=control.name,
                    remedy="Train a new model, or restore the labels in the label config.",
                )

    def predict(self, examples: Sequence[JsonObject]) -> dict[str, Floats]:
        """Return control to probabilities (n, k) in 0..1; rows of NaN where it cannot tell. Raises BackendError."""
        answers = {}
        for name, backend in self.backends.items():
            answers[name] = ask(backend, examples, len(self.meta["controls"][name]["labels"]), name)
        return answers

    def embed(self, examples: Sequence[JsonObject]) -> Floats | None:
        """Return vectors (n, d) of the first control whose backend has some; None if none has. Raises BackendError."""
        for name, backend in self.backends.items():
            try:
                vectors = backend.embed(examples)
            except HitlError:
                raise
            except Exception as error:
                raise _failed(name, "embed", error) from error
            if vectors is not None:
                array = np.asarray(vectors, np.float32)
                if array.ndim != 2 or len(array) != len(examples):
                    raise _misshaped(name, "embed", array.shape, f"({len(examples)}, d)")
                return array
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
                raise _failed(name, "save", error) from error
        files = {
            path.relative_to(folder).as_posix(): _digest(path) for path in sorted(folder.rglob("*")) if path.is_file()
        }
        document = {"format": FORMAT, **self.meta, "folders": places, "files": files}
        partial = folder / f"{MODEL_FILE}.partial"
        partial.write_text(json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True), encoding="utf-8")
        partial.replace(folder / MODEL_FILE)

    @classmethod
    def load(cls, folder: Path, *, controls: Sequence[Control] = (), places: Mapping[str, str] | None = None) -> Bundle:
        """Return the model that was saved there. controls: verify their labels. places: see `build`.

        Raises ModelError if files are missing or changed or labels differ, BackendError if its backend cannot be built.
        """
        document = _document(folder)
        for name, digest in document["files"].items():
            path = (folder / name).resolve()
            if not path.is_relative_to(folder.resolve()) or not path.is_file() or _digest(path) != digest:
                raise _damaged(folder, f"'{name}' is missing or changed")
        meta = {key: value for key, value in document.items() if key not in ("format", "folders", "files")}
        bundle = cls({}, meta)
        bundle.check(controls)
        for name, about in meta["controls"].items():
            backend = build(meta["backend"], about["fields"], meta["options"], places)
            try:
                backend.load(folder / document["folders"][name])
            except HitlError:
                raise
            except Exception as error:
                raise _damaged(folder, f"its backend for '{name}' says {type(error).__name__}: {error}") from error
            bundle.backends[name] = backend
        return bundle


def ask(backend: Backend, examples: Sequence[JsonObject], k: int, control: str) -> Floats:
    """Return a backend's probabilities (n, k), clipped to 0..1; a row with a NaN is all NaN. Raises BackendError."""
    try:
        array = np.array(backend.predict(examples), np.float32)
    except HitlError:
        raise
    except Exception as error:
        raise _failed(control, "predict", error) from error
    if array.shape != (len(examples), k):
        raise _misshaped(control, "predict", array.shape, f"({len(examples)}, {k})")
    np.clip(array, 0.0, 1.0, out=array)
    array[np.isnan(array).any(axis=1)] = np.nan
    return array


def _document(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
        whole = (
            document["format"] == FORMAT
            and isinstance(document["backend"], str)
            and all(isinstance(document[key], dict) for key in ("options", "controls", "folders", "files"))
            and set(document["folders"]) == set(document["controls"])
            and all({"labels", "multiple", "fields"} <= set(about) for about in document["controls"].values())
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


def _failed(control: str, method: str, error: Exception) -> BackendError:
    return BackendError(
        f"the backend fails in `{method}`: {type(error).__name__}: {error}",
        where=f"control '{control}'",
        remedy="Check it with `adapter.testing_backends`.",
    )


def _misshaped(control: str, method: str, shape: tuple[int, ...], wanted: str) -> BackendError:
    return BackendError(
        f"the backend's `{method}` gave shape {shape} where {wanted} was due",
        where=f"control '{control}'",
        remedy="Check it with `adapter.testing_backends`.",
    )
